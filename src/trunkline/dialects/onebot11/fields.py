"""Single fields of an event, read by the tolerance rules of the normal form (onebot11 10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, cast

from trunkline.dialects.onebot11.cq import parse_cq
from trunkline.dialects.onebot11.segments import Seg, clean
from trunkline.errors import WireMalformed

_ID: Final = re.compile(r"[A-Za-z0-9_:.\-]{1,128}")
_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,9})?")
MS_FROM: Final = 10**11  # seconds above this are milliseconds. Source: onebot11 10
_MS_END: Final = 10**14
MAX_NAME_CHARS: Final = 512


def read_id(value: object, flags: list[str]) -> str:
    """Read an id as text; "" = absent.

    Raises:
        WireMalformed: `bad_id`.
    """
    if type(value) is int:
        return str(value)
    if value is None or value == "":
        return ""
    if type(value) is float and value.is_integer() and abs(value) < 2**63:
        return str(int(value))
    if type(value) is str:
        text = value.strip()
        if _ID.fullmatch(text):
            flags.append("string_ids")
            return text
    raise WireMalformed("bad_id")


def read_time(value: object, flags: list[str]) -> int | None:
    """Read a time in seconds, or in milliseconds where it can be nothing else; None = unknown."""
    if type(value) is str and _NUMBER.fullmatch(value):
        flags.append("string_time")
        value = float(value) if "." in value else int(value)
    if (type(value) is int or type(value) is float) and value > 0:
        if value <= MS_FROM:
            return round(value * 1000)
        if value <= _MS_END:
            flags.append("ms_time")
            return round(value)
    flags.append("no_time")
    return None


def read_flag(value: object) -> bool | None:
    """Read a boolean that may be unknown."""
    return value if type(value) is bool else None


def read_sender(value: object, flags: list[str]) -> tuple[str, str, str | None, str]:
    """Read nickname, card, role and the group of a temporary chat. Source: onebot11 5.2"""
    if type(value) is not dict:
        flags.append("no_sender")
        return "", "", None, ""
    fields = cast("dict[str, object]", value)  # JSON: the keys are text
    role, group = fields.get("role"), fields.get("group_id")
    home = str(group) if type(group) is int and group else ""
    return (
        _text(fields.get("nickname")),
        _text(fields.get("card")),
        role if type(role) is str else None,
        home,
    )


def _text(value: object) -> str:
    return value[:MAX_NAME_CHARS] if type(value) is str else ""


def read_content(fields: Mapping[str, object], flags: list[str]) -> list[Seg]:
    """Read what was said; the JSON type decides how. Source: onebot11 6.1

    Raises:
        WireMalformed: `no_content`.
    """
    message = fields.get("message")
    if type(message) is str:
        return parse_cq(message)
    if type(message) is list:
        return clean(cast("list[object]", message), flags)  # JSON
    if type(message) is dict:
        return clean([cast("object", message)], flags)  # JSON
    raw = fields.get("raw_message")
    if message is None and type(raw) is str:
        flags.append("from_raw_message")
        return parse_cq(raw)
    raise WireMalformed("no_content")
