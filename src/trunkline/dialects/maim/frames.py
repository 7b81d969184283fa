"""What is on the wire: one JSON object per TEXT frame, a chat message or a custom message.

`decode` reads the ordinary frame with one typed decoder. What that refuses (integer ids, NaN, a
number as text, nulls, a missing block) goes through the tolerant path, which repairs what the
specification says may be repaired and names what may not; both end in the same values. Nested
lists of segments come out flat, in reading order; what a segment means is `translate`'s business.
Source: maim 3, 4, 6
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, TypeAlias, cast

import msgspec

from trunkline.dialects.maim.blocks import MessageInfo, read_info, to_object, to_word
from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire

MAX_SEGMENT_DEPTH: Final = 32  # Source: maim 4.5
MAX_SEGMENTS: Final = 10_000
MAX_NAME_CHARS: Final = 128
# A list and its segment open two brackets: 32 nested lists need more than the house's 64.
_MAX_JSON_DEPTH = 2 * MAX_SEGMENT_DEPTH + 64
_MILLISECONDS_FROM = 1e11  # seconds above this are milliseconds. Source: maim 4.1
_HASHED_BYTES = 1 << 20

# Sent without the flag by peers older than custom messages. Source: maim 6
_KNOWN_CUSTOM = frozenset({"message_id_echo", "command_response"})
_OWN_NAMES: Final = frozenset({"message_info", "message_segment", "message_type_name"})

REJECTIONS: Final = frozenset({
    "binary_frame", "not_json", "too_deep", "not_an_object", "missing_message_info",
    "missing_message_segment", "bad_segment", "segment_too_deep", "too_many_segments",
    "id_too_long", "custom_without_name",
})  # fmt: skip


class Seg(msgspec.Struct, frozen=True, gc=False):
    """One segment as a peer sent it; the list of a seglist holds segments, any other any JSON."""

    type: str
    data: str | list[Seg] | dict[str, Any] | bool | int | float | None = None


class SegOut(msgspec.Struct, frozen=True, gc=False):
    """One segment of ours. Bytes in `data` are written as base64."""

    type: str
    data: object


class ChatFrame(msgspec.Struct, frozen=True, gc=False):
    """A chat message.

    Args:
        parts: flat, in reading order.
        at_ms: the peer's time, or None.
        warnings: what was repaired, in a closed set of words.
    """

    info: MessageInfo
    parts: tuple[Seg, ...]
    at_ms: int | None = None
    warnings: tuple[str, ...] = ()


class CustomFrame(msgspec.Struct, frozen=True, gc=False):
    """A custom message; `content` is JSON. Its time is a loop clock and means nothing here."""

    name: str
    platform: str
    content: bytes


Frame: TypeAlias = ChatFrame | CustomFrame


class _Wire(msgspec.Struct, frozen=True, gc=False):
    message_info: MessageInfo
    message_segment: Seg
    is_custom_message: Any = None
    message_type_name: Any = None


class _ChatOut(msgspec.Struct, frozen=True, gc=False):
    message_info: MessageInfo
    message_segment: SegOut


class _CustomOut(msgspec.Struct, frozen=True, gc=False):
    platform: str
    message_type_name: str
    content: msgspec.Raw
    timestamp: float
    is_custom_message: bool = True


_decode_wire = msgspec.json.Decoder(_Wire).decode
_encode = msgspec.json.Encoder().encode


def encode_chat(info: MessageInfo, parts: list[SegOut]) -> bytes:
    """Encode a chat message; nulls are left out.

    One segment that must stand alone does so, everything else is one flat list, which is what
    strict cores take. Source: maim 4.3, 4.5
    """
    if len(parts) == 1 and parts[0].type in STAND_ALONE:
        return _encode(_ChatOut(info, parts[0]))
    return _encode(_ChatOut(info, SegOut("seglist", parts)))


STAND_ALONE: Final = frozenset({"command", "forward"})  # Source: maim 4.5


def encode_custom(name: str, platform: str, content: bytes, timestamp_s: float) -> bytes:
    """Encode a custom message.

    Args:
        content: JSON.
        timestamp_s: of the monotonic clock. Source: maim 6
    """
    return _encode(_CustomOut(platform, name, msgspec.Raw(content), timestamp_s))


def decode(data: bytes) -> Frame:
    """Decode one TEXT frame.

    Raises:
        WireMalformed: with a reason of `REJECTIONS`; the frame is dropped, the link stays open.
    """
    try:
        wire = _decode_wire(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _repair(data)
    if wire.is_custom_message or wire.message_type_name is not None:
        return _repair(data)
    odd: list[str] = []
    segment = wire.message_segment
    parts: list[Seg] = []
    if segment.type == "seglist":
        _flatten(segment, parts, odd, 1)
    else:
        parts.append(segment)
    for part in parts:
        # Only a seglist holds segments; other lists (a forward) must be kept as they came.
        if type(part.data) is list or not part.type:
            return _repair(data)
    return _to_chat(wire.message_info, parts, odd)


def is_frame(data: bytes) -> bool:
    """Return whether this can be a frame of the classic line, by the names in it. Source: maim 4"""
    try:
        fields = to_object(jsonwire.tolerant(data, allow_nan=True, max_depth=_MAX_JSON_DEPTH))
    except WireMalformed:
        return False
    return fields is not None and not _OWN_NAMES.isdisjoint(fields)


def fingerprint(data: bytes) -> str:
    """Return what may be logged of a refused frame: its size and a hash of its first MiB."""
    return f"{len(data)} bytes, sha256 {sha256(data[:_HASHED_BYTES]).hexdigest()[:12]}"


def describe(data: bytes) -> str:
    """Describe a frame for DEBUG logs and `tail --raw`, at most 160 characters."""
    try:
        frame = decode(data)
    except WireMalformed as error:
        return f"! {error.reason}, {fingerprint(data)}"
    if isinstance(frame, CustomFrame):
        return _elide(f"custom {frame.name} {frame.content.decode('utf-8', 'replace')}", 160)
    info = frame.info
    group, user = info.group_info, info.user_info
    where = f"group:{group.group_id}" if group and group.group_id else "private"
    who = user.user_id if user and user.user_id else "-"
    parts = " ".join(_describe_part(part) for part in frame.parts)
    return _elide(f"{info.platform or '-'}/{where} {who} {info.message_id or '-'} [{parts}]", 160)


def _describe_part(part: Seg) -> str:
    data = part.data
    if part.type == "text" and isinstance(data, str):
        return _elide(repr(data), 75)
    if isinstance(data, str) and len(data) > 40:
        return f"{part.type} {len(data)} chars"
    return f"{part.type} {_elide(str(data), 40)}"


def _elide(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


# -- both paths ------------------------------------------------------------------------------


def _to_chat(info: MessageInfo, parts: list[Seg], odd: list[str]) -> ChatFrame:
    if not info.message_id:
        odd.append("message_id_generated")
    time = info.time
    if time is not None and 0 < time <= _MILLISECONDS_FROM:
        at_ms = round(time * 1000)
    else:
        at_ms = _odd_time(time, odd)
    return ChatFrame(info, tuple(parts), at_ms, tuple(odd))


def _odd_time(time: float | None, odd: list[str]) -> int | None:
    if time is not None and _MILLISECONDS_FROM < time <= _MILLISECONDS_FROM * 1000:
        odd.append("time_in_ms")
        return round(time)
    odd.append("time_from_receipt")
    return None


def _flatten(segment: Seg, parts: list[Seg], odd: list[str], depth: int) -> None:
    """Add the segments of a seglist in reading order. Source: maim 4.5"""
    if depth > MAX_SEGMENT_DEPTH:
        raise WireMalformed("segment_too_deep")
    data = segment.data
    if data is None:
        odd.append("seglist_null")
        return
    if type(data) is not list:
        raise WireMalformed("bad_segment", "the data of a seglist is not a list")
    for item in data:
        if item.type == "seglist":
            _flatten(item, parts, odd, depth + 1)
        else:
            parts.append(item)
    if len(parts) > MAX_SEGMENTS:
        raise WireMalformed("too_many_segments")


# -- the tolerant path -----------------------------------------------------------------------


def _repair(data: bytes) -> Frame:
    fields = to_object(jsonwire.tolerant(data, allow_nan=True, max_depth=_MAX_JSON_DEPTH))
    if fields is None:
        raise WireMalformed("not_an_object")
    name = fields.get("message_type_name")
    if fields.get("is_custom_message") is True or (isinstance(name, str) and name in _KNOWN_CUSTOM):
        return _to_custom(fields)
    info = to_object(fields.get("message_info"))
    if info is None:
        raise WireMalformed("missing_message_info")
    segment = fields.get("message_segment")
    if segment is None:
        raise WireMalformed("missing_message_segment")
    odd: list[str] = []
    repaired = read_info(info, odd)
    whole = _segment(segment, 1)
    parts: list[Seg] = []
    if whole.type == "seglist":
        _flatten(whole, parts, odd, 1)
    else:
        parts.append(whole)
    return _to_chat(repaired, parts, odd)


def _segment(value: object, depth: int) -> Seg:
    fields = to_object(value)
    if fields is None:
        raise WireMalformed("bad_segment", "a segment is not an object")
    kind = fields.get("type")
    if type(kind) is not str or not kind:
        raise WireMalformed("bad_segment", "a segment has no type")
    data = fields.get("data")
    if kind != "seglist" or type(data) is not list:
        return Seg(kind, cast("str", data))  # any JSON value, not only a string
    if depth > MAX_SEGMENT_DEPTH:
        raise WireMalformed("segment_too_deep")
    # JSON: the items are anything.
    return Seg(kind, [_segment(item, depth + 1) for item in cast("list[object]", data)])


def _to_custom(fields: dict[str, object]) -> CustomFrame:
    name = fields.get("message_type_name")
    if not isinstance(name, str) or not name:
        raise WireMalformed("custom_without_name")
    content = fields.get("content")
    return CustomFrame(
        name[:MAX_NAME_CHARS],
        to_word(fields.get("platform")) or "",
        jsonwire.encode({} if content is None else content),
    )
