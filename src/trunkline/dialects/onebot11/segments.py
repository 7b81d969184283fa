"""Segments as they are on the wire: `{"type": …, "data": {…}}`, and how peers' are made clean.

What a segment means is `translate`'s business; the CQ-code spelling of a list is `cq`'s.
Source: onebot11 6.1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec

from trunkline.model.message import storable
from trunkline.wire import jsonwire

MAX_SEGMENTS: Final = 10_000
# Values that are ids become decimal text, whatever a peer writes them as. Source: onebot11 6.1
_IDS: Final = frozenset({"id", "qq", "user_id"})
_PLAIN: Final = frozenset({str, int, float, bool})

Data = dict[str, Any]


class Seg(msgspec.Struct, frozen=True, gc=False):
    """One segment; `data` holds any JSON when a peer sent it, text when we send it."""

    type: str
    data: Data


def text_seg(text: str) -> Seg:
    """Return a text segment."""
    return Seg("text", {"text": text})


def clean(items: Sequence[object], flags: list[str]) -> list[Seg]:
    """Return the segments of a peer's list.

    Adjacent text is merged, empty text and nulls are dropped, ids become text; what is no segment
    is dropped and marked `dropped_segment`. Source: onebot11 6.1
    """
    found: list[Seg] = []
    words: list[str] = []
    for item in items:
        seg = _clean_one(item)
        if seg is None:
            flags.append("dropped_segment")
        elif seg.type == "text":
            words.append(to_word(seg.data.get("text")))
        else:
            flush(words, found)
            found.append(seg)
    flush(words, found)
    return found


def flush(words: list[str], found: list[Seg]) -> None:
    """Add the text gathered so far as one segment, unless there is none."""
    text = "".join(words)
    words.clear()
    if text:
        found.append(text_seg(text))


def _clean_one(item: object) -> Seg | None:
    if type(item) is Seg:
        return item
    if type(item) is not dict:
        return None
    fields = cast("dict[str, object]", item)  # JSON: the keys are text
    kind, data = fields.get("type"), fields.get("data")
    if type(kind) is not str or not kind:
        return None
    if data is None:
        return Seg(kind, {})
    if type(data) is not dict:
        return None
    values = cast("Data", data)  # JSON: the keys are text
    return Seg(kind, {key: _value(key, one) for key, one in values.items() if one is not None})


def _value(key: str, value: object) -> object:
    if key in _IDS and type(value) is not str and type(value) in _PLAIN:
        return to_word(value)
    return value


def to_word(value: object) -> str:
    """Return a value as text: numbers in decimal, booleans as 1 and 0, the rest as JSON.

    Source: onebot11 6.3
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    if type(value) is bool:
        return "1" if value else "0"
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)
    return jsonwire.encode(value).decode()


def to_wire(segments: Sequence[Seg]) -> list[Seg]:
    """Return segments with text for every value but a node's content. Source: onebot11 6.1"""
    wire: list[Seg] = []
    for one in segments:
        data = _worded(one)
        wire.append(one if data is one.data else Seg(one.type, data))
    return wire


def _worded(seg: Seg) -> Data:
    for value in seg.data.values():
        if type(value) is not str:
            break
    else:
        return seg.data
    return {
        key: value if (seg.type == "node" and key == "content") else to_word(value)
        for key, value in seg.data.items()
        if value is not None
    }


def plain(segments: Sequence[Seg]) -> str:
    """Return the text segments joined."""
    return "".join(one.data.get("text", "") for one in segments if one.type == "text")


def safe(text: str) -> str:
    """Return text that can be written: lone surrogates replaced. Source: onebot11 4"""
    return storable(text)
