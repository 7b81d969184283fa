"""MessagePack as peers really send it, read into what JSON has: text keys, no bytes, no extensions.

A strict decoder refuses what some platforms pack: binary where text is meant, integer keys beside
text keys, bytes that are not UTF-8. `decode` reads all of it in time linear in the input, allocates
nothing for what is only declared, and refuses what it cannot stand for. `encode` writes plain
values for our own side of such a protocol, in the new string form or in the old one that has no
8-bit header. Imports nothing of the house but its errors.

Source: the MessagePack specification; xianyu 6 (tolerance, nesting limit, both string headers)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from trunkline.errors import WireMalformed

MAX_DEPTH: Final = 64

# format byte → struct format of the number behind it
_NUMBERS: Final = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
# format byte → struct format of the length behind it
_TEXTS: Final = {
    0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I",
}  # fmt: skip
_ARRAYS: Final = {0xDC: ">H", 0xDD: ">I"}
_MAPS: Final = {0xDE: ">H", 0xDF: ">I"}
_CONSTANTS: Final = {0xC0: None, 0xC2: False, 0xC3: True}


def decode(data: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Decode one value that fills `data` exactly.

    Keys of maps become text (`1` → `"1"`), binary becomes text with replacement characters, 64-bit
    integers stay exact.

    Raises:
        WireMalformed: `bad_msgpack`: truncated, trailing bytes, an extension or an unknown format;
            `too_deep`.
    """
    reader = _Reader(data, max_depth)
    value = reader.value(0)
    if reader.at != len(data):
        raise WireMalformed("bad_msgpack", "bytes behind the value")
    return value


class _Reader:
    """A place in the input."""

    def __init__(self, data: bytes, max_depth: int) -> None:
        self.at = 0
        self._data = data
        self._max_depth = max_depth

    def value(self, depth: int) -> Any:
        """Read the next value."""
        code = self._take(1)[0]
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 0x100
        if code >= 0xC0:
            return self._long(code, depth)
        if code >= 0xA0:
            return self._text(code & 31)
        read = self._map if code < 0x90 else self._array
        return read(code & 15, depth)

    def _long(self, code: int, depth: int) -> Any:
        """Read a value whose kind has a byte of its own."""
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            return self._number(_NUMBERS[code])
        if code in _TEXTS:
            return self._text(self._number(_TEXTS[code]))
        read = self._array if code in _ARRAYS else self._map if code in _MAPS else None
        if read is None:
            raise WireMalformed("bad_msgpack", f"format byte 0x{code:02x}")
        return read(self._number((_ARRAYS | _MAPS)[code]), depth)

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._data):
            raise WireMalformed("bad_msgpack", "the value is cut off")
        piece = self._data[self.at : end]
        self.at = end
        return piece

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self, size: int) -> str:
        return self._take(size).decode("utf-8", "replace")

    def _enter(self, size: int, depth: int) -> None:
        # Each element has at least one byte: a larger number is a lie, and nothing is allocated.
        if size > len(self._data) - self.at:
            raise WireMalformed("bad_msgpack", "more elements declared than bytes left")
        if depth >= self._max_depth:
            raise WireMalformed("too_deep")

    def _array(self, size: int, depth: int) -> list[Any]:
        self._enter(size, depth)
        return [self.value(depth + 1) for _ in range(size)]

    def _map(self, size: int, depth: int) -> dict[str, Any]:
        self._enter(size * 2, depth)
        found: dict[str, Any] = {}
        for _ in range(size):
            key = self.value(depth + 1)
            found[_to_key(key)] = self.value(depth + 1)
        return found


def _to_key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool) or not isinstance(key, int | float):
        raise WireMalformed("bad_msgpack", "a key is neither text nor a number")
    return str(key)


def encode(value: Any, *, has_old_strings: bool = False) -> bytes:
    """Encode text, numbers, booleans, None, lists and maps. Keys that are digits become integers.

    Args:
        has_old_strings: write no 8-bit string header, as packers before 2013 do. Source: xianyu 6
    """
    out = bytearray()
    _write(out, value, has_old_strings=has_old_strings)
    return bytes(out)


def _write(out: bytearray, value: Any, *, has_old_strings: bool) -> None:
    if value is None:
        out.append(0xC0)
    elif isinstance(value, bool):
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _write_int(out, value)
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, str):
        _write_text(out, value.encode("utf-8", "replace"), has_old_strings=has_old_strings)
    elif isinstance(value, Mapping):
        fields = cast("Mapping[Any, Any]", value)  # isinstance cannot tell what is in it
        _write_size(out, len(fields), 0x80, 0xDE)
        for key, item in fields.items():
            _write(out, _from_key(key), has_old_strings=has_old_strings)
            _write(out, item, has_old_strings=has_old_strings)
    else:
        items = cast("Sequence[Any]", value)  # the only kind that is left
        _write_size(out, len(items), 0x90, 0xDC)
        for item in items:
            _write(out, item, has_old_strings=has_old_strings)


def _from_key(key: Any) -> Any:
    # 18 digits always fit; longer keys stay text, and both read the same.
    is_number = isinstance(key, str) and len(key) <= 18 and key.isdecimal() and str(int(key)) == key
    return int(key) if is_number else key


def _write_int(out: bytearray, value: int) -> None:
    if -32 <= value < 128:
        out.append(value & 0xFF)
        return
    forms = (0xCC, 0xCD, 0xCE, 0xCF) if value >= 0 else (0xD0, 0xD1, 0xD2, 0xD3)
    for code in forms:
        try:
            out += bytes((code,)) + struct.pack(_NUMBERS[code], value)
        except struct.error:
            continue
        return
    raise ValueError("an integer has at most 64 bits")


def _write_text(out: bytearray, data: bytes, *, has_old_strings: bool) -> None:
    size = len(data)
    if size < 32:
        out.append(0xA0 | size)
    elif size < 0x100 and not has_old_strings:
        out += struct.pack(">BB", 0xD9, size)
    elif size < 0x10000:
        out += struct.pack(">BH", 0xDA, size)
    else:
        out += struct.pack(">BI", 0xDB, size)
    out += data


def _write_size(out: bytearray, size: int, short: int, long: int) -> None:
    if size < 16:
        out.append(short | size)
    elif size < 0x10000:
        out += struct.pack(">BH", long, size)
    else:
        out += struct.pack(">BI", long + 1, size)
