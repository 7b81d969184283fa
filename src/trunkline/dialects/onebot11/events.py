"""Events ⇄ the model: what a framework hears, and what an implementation tells.

In: messages, notices, requests; what happens to nobody (lifecycle, heartbeat, typing) is fleeting.
Out: complete events, because frameworks drop what lacks a field. What an answer needs of its
question travels with it as a `Context`. Source: onebot11 5, 10
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.onebot11.cq import format_cq
from trunkline.dialects.onebot11.segments import Seg, to_wire
from trunkline.dialects.onebot11.shapes import EventFrame, MessageFrame
from trunkline.dialects.onebot11.translate import to_segments
from trunkline.model.address import Chat
from trunkline.model.event import (
    Event,
    Fleeting,
    MessageReceived,
    NoticeReceived,
    Person,
    RequestReceived,
)

ACCOUNT: Final = "account"  # kind of the chat that stands for the account itself
KINDS: Final = ("private", "group")
OWN: Final = "message_sent"  # post type of what the account itself said
TYPING: Final = "notice.notify.input_status"
# Who speaks in a group when nobody is named: what the platform itself writes for a mask.
# Source: onebot11 5.2 (vector group-anonymous)
NOBODY: Final = "80000000"
MAX_DIGITS: Final = 20
_MINUTE_MS: Final = 60_000
_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15  # spreads neighbouring row ids over all 31 bits


class Context(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What an answer needs of its question, and whom an implementation lets speak.

    Args:
        group_id: a temporary chat is answered through its group. Source: onebot11 7.4
        flag, request, sub_type: of a request: what approving it needs. Source: onebot11 5.4
        user_id, name, card: who speaks in a group; with an empty id nobody is named.
    """

    group_id: str = ""
    flag: str = ""
    request: str = ""
    sub_type: str = ""
    user_id: str = ""
    name: str = ""
    card: str = ""


_decode_context = msgspec.json.Decoder(Context).decode
_encode = msgspec.json.Encoder().encode
_NONE: Final = Context()


def decode_context(data: bytes) -> Context:
    """Decode what an event carried; an empty one when there is none or it is of another line."""
    if not data:
        return _NONE
    try:
        return _decode_context(data)
    except msgspec.DecodeError:
        return _NONE


def encode_context(context: Context) -> bytes:
    """Encode a context."""
    return _encode(context)


# -- what we hear ------------------------------------------------------------------------------


def to_message(
    frame: MessageFrame, clock: Clock, *, has_key: bool, is_own: bool
) -> MessageReceived | NoticeReceived:
    """Return a message; of a kind of chat that nothing can be sent to, a notice."""
    account, ident = frame.self_id, frame.user_id
    sender = frame.sender
    person = Person(ident, sender.nickname, sender.card) if ident else None
    if frame.detail == "group":
        chat = Chat(account, "group", frame.group_id)
    elif frame.detail == "private":
        peer = (frame.target_id or ident) if frame.is_sent else ident
        chat = Chat(account, "private", peer, "" if frame.is_sent else sender.nickname)
    else:
        chat = Chat(account, ACCOUNT, account)
        return NoticeReceived(
            chat, frame.name, person, frame.data, None, frame.message_id, frame.at_ms
        )
    is_temporary = frame.detail == "private" and frame.sub_type == "group" and frame.group_id
    return MessageReceived(
        chat,
        person,
        to_segments(frame.segments),
        to_key(frame, clock) if has_key else None,
        frame.message_id,
        frame.at_ms,
        "",
        _encode(Context(group_id=frame.group_id)) if is_temporary else b"",
        is_own,
    )


def is_own(frame: MessageFrame, *, ignored: str | bool) -> bool:
    """Whether a message is the account's own, never to be answered.

    Args:
        ignored: `ignore_self`; `auto`: the printed client's messages, which are minimal, are from
            its own account and want an answer. Source: guides 4
    """
    if frame.is_sent or frame.user_id != frame.self_id:
        return frame.is_sent
    return not frame.is_minimal if ignored == "auto" else bool(ignored)


def to_key(frame: MessageFrame, clock: Clock) -> bytes | None:
    """Return the de-duplication key: time first, then the id. Source: guides 4, reliability 1

    Without a time it is the minute of receipt, marked apart so that the two never meet.
    """
    ident = frame.message_id
    if not ident:
        return None
    if frame.at_ms is not None:
        return frame.at_ms.to_bytes(8, "big") + b":" + ident.encode()
    now_ms = clock.now_ms()
    return (now_ms - now_ms % _MINUTE_MS).to_bytes(8, "big") + b"~" + ident.encode()


def to_event(frame: EventFrame) -> Event:
    """Return a notice or request; what concerns nobody's history is fleeting."""
    account = frame.self_id
    if frame.kind == "meta":
        return Fleeting(Chat(account, ACCOUNT, account), frame.name, frame.data)
    if frame.group_id:
        chat = Chat(account, "group", frame.group_id)
    elif frame.user_id:
        chat = Chat(account, "private", frame.user_id)
    else:
        chat = Chat(account, ACCOUNT, account)
    if frame.name == TYPING:
        return Fleeting(chat, "typing", frame.data)
    person = Person(frame.user_id) if frame.user_id else None
    kind, _, name = frame.name.partition(".")
    if frame.kind == "request":
        request, _, sub_type = name.partition(".")
        context = _encode(Context(flag=frame.flag, request=request, sub_type=sub_type))
        return RequestReceived(
            chat, name, frame.comment, person, frame.data, None, frame.flag, frame.at_ms, context
        )
    return NoticeReceived(
        chat, name or kind, person, frame.data, None, frame.message_id, frame.at_ms
    )


# -- what we tell ------------------------------------------------------------------------------


class Member(msgspec.Struct, frozen=True, gc=False):
    """A sender in a group; `level` is text. Source: onebot11 5.2"""

    user_id: int | str
    nickname: str
    card: str = ""
    sex: str = "unknown"
    age: int = 0
    area: str = ""
    level: str = "1"
    role: str = "member"
    title: str = ""


class Friend(msgspec.Struct, frozen=True, gc=False):
    """A sender in a private chat. Source: onebot11 5.2"""

    user_id: int | str
    nickname: str
    sex: str = "unknown"
    age: int = 0


class _PrivateOut(msgspec.Struct, frozen=True, gc=False):
    time: int
    self_id: int | str
    post_type: str
    message_type: str
    sub_type: str
    message_id: int
    user_id: int | str
    target_id: int | str
    message: list[Seg] | str
    raw_message: str
    font: int
    sender: Friend
    message_format: str


class _GroupOut(msgspec.Struct, frozen=True, gc=False):
    time: int
    self_id: int | str
    post_type: str
    message_type: str
    sub_type: str
    message_id: int
    group_id: int | str
    user_id: int | str
    anonymous: None
    message: list[Seg] | str
    raw_message: str
    font: int
    sender: Member
    message_format: str


class _Status(msgspec.Struct, frozen=True, gc=False):
    online: bool = True
    good: bool = True


class _ConnectOut(msgspec.Struct, frozen=True, gc=False):
    time: int
    self_id: int | str
    post_type: str = "meta_event"
    meta_event_type: str = "lifecycle"
    sub_type: str = "connect"


class _HeartbeatOut(msgspec.Struct, frozen=True, gc=False):
    time: int
    self_id: int | str
    interval: int
    status: _Status = _Status()
    post_type: str = "meta_event"
    meta_event_type: str = "heartbeat"


class Message(msgspec.Struct, frozen=True, gc=False):
    """Of `get_msg`. NoneBot asks for every quoted message. Source: onebot11 7.5"""

    time: int
    message_type: str
    message_id: int
    real_id: int
    sender: Friend | Member
    message: list[Seg] | str


class Told(msgspec.Struct, frozen=True, gc=False):
    """A message of ours as an event, and what `get_msg` shows of it later."""

    frame: bytes
    message: Message


def to_number(ident: str) -> int | str:
    """Return an id as the integer that frameworks want, when it is one."""
    digits = ident.removeprefix("-")
    if not 0 < len(digits) <= MAX_DIGITS or not (digits.isascii() and digits.isdecimal()):
        return ident
    number = int(ident)
    # `007` is somebody else than `7`, and what is beyond 64 bits cannot be written as a number.
    is_same = digits[0] != "0" or ident == "0"
    return number if is_same and -(1 << 63) <= number < 1 << 64 else ident


def short_id(row: int) -> int:
    """Return the message id of a row: the same at every attempt, within int32, never 0.

    Source: onebot11 5.1
    """
    return (row * _GOLDEN & _MASK) >> 33 or 1


def tell_message(
    account: str, chat: Chat, segs: Sequence[Seg], speaker: Context, message_id: int,
    at_ms: int,
    *,
    as_text: bool = False,
    is_own: bool = False,
) -> Told:  # fmt: skip
    """Build a complete message event: the chat's person speaks, in a group the context's.

    Args:
        as_text: `message_format` string. Source: onebot11 6.1
        is_own: the account itself spoke, as the context names it: `message_sent`, which no handler
            for incoming messages takes; `target_id` is the private chat's. Source: onebot11 5.2
    """
    wire = to_wire(segs)
    text = format_cq(wire) if as_text else ""
    message, form = (text, "string") if as_text else (wire, "array")
    raw = text if as_text else format_cq(_briefly(wire))
    at_s, number = at_ms // 1000, to_number(account)
    post_type = OWN if is_own else "message"
    sender: Friend | Member
    if chat.kind == "group":
        user = to_number(speaker.user_id or NOBODY)
        sender = Member(user, speaker.name or str(user), speaker.card)
        frame = _encode(_GroupOut(
            at_s, number, post_type, "group", "normal", message_id, to_number(chat.id), user, None,
            message, raw, 0, sender, form,
        ))  # fmt: skip
    else:
        peer = to_number(chat.id)
        user, target = (number, peer) if is_own else (peer, number)
        sender = Friend(user, speaker.name or chat.name or chat.id)
        frame = _encode(_PrivateOut(
            at_s, number, post_type, "private", "friend", message_id, user, target, message, raw,
            0, sender, form,
        ))  # fmt: skip
    shown = Message(at_s, chat.kind, message_id, message_id, sender, message)
    return Told(frame, shown)


def _briefly(segs: Sequence[Seg]) -> list[Seg]:
    """Name a body instead of writing it twice into one event."""
    return [Seg(one.type, {k: _named(v) for k, v in one.data.items()}) for one in segs]


def _named(value: Any) -> Any:
    if type(value) is str and len(value) > 1024 and value.startswith("base64://"):
        return sha256(value.encode()).hexdigest()[:32]
    return value


def encode_connect(account: str, now_ms: int) -> bytes:
    """Encode the connect event. Source: onebot11 3.1"""
    return _encode(_ConnectOut(now_ms // 1000, to_number(account)))


def encode_heartbeat(account: str, now_ms: int, interval_ms: int) -> bytes:
    """Encode a heartbeat. Source: onebot11 3.2"""
    return _encode(_HeartbeatOut(now_ms // 1000, to_number(account), interval_ms))


def complete_event(fields: Mapping[str, Any], account: str, now_ms: int) -> bytes:
    """Encode an event of the caller's own making, with the common fields that it lacks.

    It never holds an `echo`: a framework would take it for a response. Source: onebot11 4, 5.1
    """
    own = {key: value for key, value in fields.items() if key != "echo"}
    return _encode({"time": now_ms // 1000, "self_id": to_number(account)} | own)
