"""JSON as peers really send it: a typed fast path, and one tolerant path for the rest.

Typed decoding (`msgspec.json.Decoder`) refuses NaN, a byte order mark and lone surrogates, and
runs into the recursion limit on deep input. `decode` takes the fast path first; only what it
refuses goes through `tolerant`, which repairs what may be repaired and names what may not.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any, Final, NoReturn, TypeVar, cast

import msgspec

from trunkline.errors import WireMalformed

T = TypeVar("T")

MAX_DEPTH: Final = 64
_SHORT_BYTES: Final = 4096
# Brackets as signed steps of the depth, quotation marks as they are, all else left out.
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS: Final = bytes(sorted(set(range(256)) - set(b'[{]}"')))
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE: Final = re.compile(r"[\s,]*")
_decoder = json.JSONDecoder()
_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """Encode a struct, dict or list as compact UTF-8 JSON. Never emits NaN."""
    return _encoder.encode(value)


def decode(decoder: msgspec.json.Decoder[T], data: bytes, *, allow_nan: bool = False) -> T:
    """Decode `data` with a typed decoder, tolerantly when the strict way refuses it.

    The fast path bounds the depth by the recursion limit only (`too_deep` as well): a type that
    keeps or skips values of any shape is checked by `check_depth` where 64 levels matter.

    Args:
        decoder: made once per type, at import.
        data: one JSON value as UTF-8 (already checked for TEXT messages).
        allow_nan: read NaN and infinities as None instead of refusing them.

    Raises:
        WireMalformed: `not_json` or `too_deep`; a value of the wrong shape raises
            msgspec.ValidationError, which the caller turns into its dialect's reason.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return msgspec.convert(tolerant(data, allow_nan=allow_nan), decoder.type, strict=True)


def tolerant(data: bytes, *, allow_nan: bool = False, max_depth: int = MAX_DEPTH) -> Any:
    """Decode to plain values: BOM dropped, lone surrogates replaced, depth ≤ `max_depth`.

    Raises:
        WireMalformed: `not_json` or `too_deep`.
    """
    try:
        text = data.decode("utf-8-sig")
        check_depth(text, max_depth)
        value = json.loads(
            text,
            parse_constant=_nan if allow_nan else _no_nan,
            parse_float=_finite_or_none if allow_nan else _finite,
        )
    except WireMalformed:
        raise
    except (ValueError, RecursionError) as error:
        raise WireMalformed("not_json") from error
    return _clean(value) if "\\u" in text or "\\U" in text else value


def raw_field(data: bytes, key: str) -> bytes:
    """Return the JSON of one field of an object, exactly as it came; b"" = it has none.

    Args:
        data: an object that `tolerant` has read.
    """
    text = data.decode("utf-8-sig")
    found = b""
    at = _skip(text, text.index("{") + 1)
    while text[at] == '"':
        name, at = _decoder.raw_decode(text, at)
        at = _skip(text, text.index(":", at) + 1)
        _, end = _decoder.raw_decode(text, at)
        if name == key:
            found = text[at:end].encode()
        at = _skip(text, end)
    return found


def _skip(text: str, at: int) -> int:
    """Return where white space and a comma end."""
    space = _SPACE.match(text, at)
    return space.end() if space is not None else at


def check_depth(text: str, limit: int = MAX_DEPTH) -> None:
    """Refuse more than `limit` open brackets. Brackets inside strings are not counted.

    Raises:
        WireMalformed: `too_deep`.
    """
    if text.count("[") + text.count("{") > limit:
        check_depth_of(text.encode("utf-8", "surrogatepass"), limit)


def check_depth_of(data: bytes, limit: int = MAX_DEPTH) -> None:
    """Do the same with bytes, whatever they are.

    Nothing here is a step of ours per character: a message of 16 MiB must not hold up the loop.
    Outside strings a backslash is no JSON; there it takes a mark behind it away all the same.

    Raises:
        WireMalformed: `too_deep`.
    """
    if len(data) < _SHORT_BYTES:
        if data.count(b"[") + data.count(b"{") <= limit:
            return
    elif _has_few(data, b"[", limit // 2) and _has_few(data, b"{", limit // 2):
        return
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Every second piece between quotation marks is outside; the last string may have no end.
    outside = b"".join(data.translate(_STEPS, _OTHERS).split(b'"')[::2])
    if max(accumulate(memoryview(outside).cast("b")), default=0) > limit:
        raise WireMalformed("too_deep")


def _has_few(data: bytes, bracket: bytes, limit: int) -> bool:
    """Whether there are at most `limit` of these; in long data a search is faster than a count."""
    at = -1
    for _ in range(limit + 1):
        at = data.find(bracket, at + 1)
        if at < 0:
            return True
    return False


def _no_nan(name: str) -> NoReturn:
    raise WireMalformed("not_json", f"{name} is not JSON")


def _nan(_name: str) -> None:
    return None


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):  # 1e999: the fast path refuses it too
        raise WireMalformed("not_json", "a number is out of range")
    return number


def _finite_or_none(digits: str) -> float | None:
    number = float(digits)
    return None if math.isinf(number) else number


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {_clean(key): _clean(item) for key, item in fields.items()}
    if isinstance(value, list):
        return [_clean(item) for item in cast("list[Any]", value)]
    return value
