"""JSON as peers really send it: a typed fast path, and one tolerant path for the rest.

Typed decoding (`msgspec.json.Decoder`) refuses NaN, a byte order mark and lone surrogates, and
runs into the recursion limit on deep input. `decode` takes the fast path first; only what it
refuses goes through `tolerant`, which repairs what may be repaired and names what may not.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn, TypeVar, cast

import msgspec

from trunkline.errors import WireMalformed

T = TypeVar("T")

MAX_DEPTH: Final = 64
# Possessive, and an unterminated string runs to the end: linear whatever the input.
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
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


def check_depth(text: str, limit: int = MAX_DEPTH) -> None:
    """Refuse more than `limit` open brackets. Brackets inside strings are not counted.

    Raises:
        WireMalformed: `too_deep`.
    """
    if text.count("[") + text.count("{") <= limit:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > limit:
            raise WireMalformed("too_deep")


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
