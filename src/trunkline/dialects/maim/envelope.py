"""The API-Server's envelope around a message, and its acknowledgements. Source: maim 9.2, 9.3

The payload of an envelope is a message like that of the classic line, with three differences: who
speaks or is addressed is in `sender_info` or `receiver_info` alone, some fields are required, and
`message_dim` names the account. So frames of ours are made by the classic session and turned into
payloads here, and payloads of peers are checked here and read by the classic decoder.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from trunkline.dialects.maim import frames
from trunkline.dialects.maim.blocks import ABSENT, MAX_ID_CHARS, to_object, to_word
from trunkline.dialects.maim.frames import encode_custom
from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire

STANDARD: Final = "sys_std"
ACK: Final = "sys_ack"
SYSTEM: Final = "sys_"
CUSTOM: Final = "custom_"
SERVER: Final = "server"
Side: TypeAlias = Literal["server", "client"]  # of the line: a core is the server of its adapters

# A payload may be as deep as a classic frame, and is inside two objects more.
_MAX_JSON_DEPTH = 2 * frames.MAX_SEGMENT_DEPTH + 66

REJECTIONS: Final = frozenset({
    "binary_frame", "not_json", "too_deep", "not_an_object", "incomplete_message", "unknown_type",
    "custom_without_name", "id_too_long",
})  # fmt: skip


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What a peer sent.

    Args:
        msg_id: "" when it had none: such a frame is not acknowledged.
        payload: JSON, or b"" when there was none.
        acked: the id that an acknowledgement is about.
    """

    type: str
    msg_id: str
    payload: bytes
    acked: str


class Us(msgspec.Struct, frozen=True):
    """Who we are on a connection.

    Args:
        side: decides where the parties of a message stand and how an acknowledgement is signed.
        key: the API key of the connection.
        uuid: the connection's.
    """

    side: Side
    platform: str
    key: str
    uuid: str


class _Meta(msgspec.Struct, frozen=True, gc=False):
    acked_msg_id: str | int | None = None


class _Wire(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    msg_id: str | int | None = None
    meta: _Meta | None = None
    payload: msgspec.Raw = ABSENT


_decode_wire = msgspec.json.Decoder(_Wire).decode
_encode = msgspec.json.Encoder().encode


def decode(data: bytes) -> Envelope:
    """Decode one TEXT frame. Whatever is an object is an envelope, so that it is acknowledged.

    Raises:
        WireMalformed: `not_json`, `too_deep` or `not_an_object`.
    """
    try:
        wire = _decode_wire(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _repair(data)
    acked = wire.meta.acked_msg_id if wire.meta is not None else None
    return Envelope(
        wire.type, to_word(wire.msg_id) or "", bytes(wire.payload), to_word(acked) or ""
    )


def _repair(data: bytes) -> Envelope:
    fields = to_object(jsonwire.tolerant(data, allow_nan=True, max_depth=_MAX_JSON_DEPTH))
    if fields is None:
        raise WireMalformed("not_an_object")
    kind = fields.get("type")
    payload = fields.get("payload")
    meta = to_object(fields.get("meta")) or {}
    return Envelope(
        kind if isinstance(kind, str) else "",
        to_word(fields.get("msg_id")) or "",
        b"" if payload is None else jsonwire.encode(payload),
        to_word(meta.get("acked_msg_id")) or "",
    )


# -- payloads ----------------------------------------------------------------------------------

_Word: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)] | int


class _UserIn(msgspec.Struct, frozen=True, gc=False):
    platform: _Word
    user_id: _Word


class _GroupIn(msgspec.Struct, frozen=True, gc=False):
    platform: _Word
    group_id: _Word


class _PartyIn(msgspec.Struct, frozen=True, gc=False):
    user_info: _UserIn | None = None
    group_info: _GroupIn | None = None


class _InfoIn(msgspec.Struct, frozen=True, gc=False):
    platform: _Word
    message_id: _Word
    time: float | str
    sender_info: _PartyIn | None = None
    receiver_info: _PartyIn | None = None


class _DimIn(msgspec.Struct, frozen=True, gc=False):
    api_key: str
    platform: _Word


class _PayloadIn(msgspec.Struct, frozen=True, gc=False):
    message_info: _InfoIn
    message_dim: _DimIn


_check = msgspec.json.Decoder(_PayloadIn).decode


def check_message(payload: bytes) -> None:
    """Check what this line requires and the classic one does not. Source: maim 9.3

    Raises:
        WireMalformed: `incomplete_message`.
    """
    try:
        _check(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise WireMalformed("incomplete_message") from error


def to_classic_custom(envelope: Envelope, platform: str) -> bytes:
    """Return a custom message as a classic frame.

    Raises:
        WireMalformed: `custom_without_name`.
    """
    name = envelope.type.removeprefix(CUSTOM)
    if not name:
        raise WireMalformed("custom_without_name")
    return encode_custom(name, platform, envelope.payload or b"{}", 0.0)


# -- ours --------------------------------------------------------------------------------------


class _Classic(msgspec.Struct, frozen=True, gc=False):
    """A frame that our classic session made: a chat message, or a custom one."""

    message_info: dict[str, msgspec.Raw] = {}
    message_segment: msgspec.Raw = ABSENT
    message_type_name: str = ""
    content: msgspec.Raw = ABSENT


class _PartyOut(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    group_info: msgspec.Raw = ABSENT
    user_info: msgspec.Raw = ABSENT


class _Dim(msgspec.Struct, frozen=True, gc=False):
    api_key: str
    platform: str


class _PayloadOut(msgspec.Struct, frozen=True, gc=False):
    message_info: dict[str, msgspec.Raw]
    message_segment: msgspec.Raw
    message_dim: _Dim


class _MetaOut(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    sender_user: str
    platform: str
    timestamp: float
    target_user: str | None = None


class _EnvelopeOut(msgspec.Struct, frozen=True, gc=False):
    msg_id: str
    type: str
    meta: _MetaOut
    payload: _PayloadOut | msgspec.Raw
    ver: int = 1


_decode_classic = msgspec.json.Decoder(_Classic).decode


def wrap(frame: bytes, us: Us, msg_id: str, now_s: float) -> bytes:
    """Put a frame that our classic session made into an envelope. Source: maim 9.2, 9.3

    Args:
        now_s: wall seconds.
    """
    classic = _decode_classic(frame)
    if us.side == "server":
        meta = _MetaOut(SERVER, us.platform, now_s, us.key)
    else:
        meta = _MetaOut(us.key, us.platform, now_s)
    if classic.message_type_name:
        kind = CUSTOM + classic.message_type_name
        return _encode(_EnvelopeOut(msg_id, kind, meta, classic.content))
    info = classic.message_info
    party = _PartyOut(info.pop("group_info", ABSENT), info.pop("user_info", ABSENT))
    # A core names the addressee in `receiver_info` on the classic line already. Source: maim 4.4
    if us.side == "client":
        info["sender_info"] = msgspec.Raw(_encode(party))
    payload = _PayloadOut(info, classic.message_segment, _Dim(us.key, us.platform))
    return _encode(_EnvelopeOut(msg_id, STANDARD, meta, payload))


def encode_ack(us: Us, msg_id: str, acked: str, now_s: float) -> bytes:
    """Encode the acknowledgement of a frame. It is never acknowledged itself. Source: maim 9.2"""
    payload: dict[str, Any] = {"status": "received", f"{us.side}_timestamp": now_s}
    meta = {"uuid": us.uuid, "acked_msg_id": acked, "timestamp": now_s}
    return _encode({"ver": 1, "msg_id": msg_id, "type": ACK, "meta": meta, "payload": payload})


def describe(data: bytes) -> str:
    """Describe a frame of either line for logs. API keys are not part of it."""
    try:
        envelope = decode(data)
    except WireMalformed:
        return frames.describe(data)
    kind = envelope.type[:MAX_ID_CHARS]
    if not kind:
        return frames.describe(data)
    if kind == ACK:
        return f"{ACK} of {envelope.acked[:100] or '-'}"
    said = f"{kind[:60]} {envelope.msg_id[:60] or '-'}"
    if kind != STANDARD:
        return f"{said} {len(envelope.payload)} bytes"
    return f"{said} {frames.describe(envelope.payload)}"[:160]
