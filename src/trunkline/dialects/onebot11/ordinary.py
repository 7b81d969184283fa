"""The ordinary message, call and response, each in one step.

Nearly every frame is one of the three: a message and a response that one typed decoder reads, and a
call that says one piece of text. What does not fit here, and all that the decoder refuses (ids as
text, a byte order mark, our own messages …), goes by the rules of the specification (`frames`,
`events`, `asking`), which would give the same. Source: onebot11 4, 5, 7, 8
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from trunkline.dialects.onebot11.cq import parse_cq
from trunkline.dialects.onebot11.events import Context, encode_context, to_number
from trunkline.dialects.onebot11.fields import MAX_NAME_CHARS, MS_FROM
from trunkline.dialects.onebot11.segments import Seg, clean
from trunkline.dialects.onebot11.translate import to_segments
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Say
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import Segments
from trunkline.model.segment import Text


class _SegIn(msgspec.Struct, frozen=True, gc=False):
    type: str
    data: dict[str, str] | None = None


class _SenderIn(msgspec.Struct, frozen=True, gc=False):
    nickname: str | None = None
    card: str | None = None
    group_id: int | None = None


class Wire(msgspec.Struct, frozen=True, gc=False):
    """A frame with the fields that both have, whatever it is.

    Args:
        data: of a response, JSON.
    """

    # In the order in which implementations write them: the decoder expects the next one first.
    self_id: int | None = None
    user_id: int | None = None
    time: int | None = None
    message_id: int | None = None
    message_type: str | None = None
    sender: _SenderIn | None = None
    sub_type: str | None = None
    message: list[_SegIn] | str | None = None
    post_type: str | msgspec.UnsetType = msgspec.UNSET
    group_id: int | None = None
    status: Any = None
    retcode: int | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    echo: Any = None


_CALLS: Final = {
    "private": b'send_private_msg","params":{"user_id"',
    "group": b'send_group_msg","params":{"group_id"',
}
_encode: Final = msgspec.json.Encoder().encode
# Raises what `frames.FAULTS` names: then the rules have to be asked. The caller checks the depth.
decode: Final[Callable[[bytes], Wire]] = msgspec.json.Decoder(Wire).decode


def is_done(wire: Wire) -> bool:
    """Whether it is the response to a call that was done. Source: onebot11 8"""
    return wire.retcode == 0 and wire.status == "ok" and wire.post_type is msgspec.UNSET


def to_message(wire: Wire, account: str, *, has_key: bool) -> MessageReceived | None:
    """Return what somebody said to an account; None = the rules have to be asked.

    Args:
        account: of the connection.
        has_key: whether a repeat is to be recognised.
    """
    user, at_s, ident = wire.user_id, wire.time, wire.message_id
    message, sender, group = wire.message, wire.sender, wire.group_id
    if (
        user is None or user == wire.self_id or str(wire.self_id) != account or sender is None
        or at_s is None or not 0 < at_s <= MS_FROM or ident is None or message is None
        or not wire.sub_type
    ):  # fmt: skip
        return None
    nickname, card = sender.nickname or "", sender.card or ""
    if len(nickname) > MAX_NAME_CHARS or len(card) > MAX_NAME_CHARS:
        return None
    segments = to_segments(parse_cq(message)) if type(message) is str else _to_segments(message)
    if segments is None:
        return None
    who, context = str(user), b""
    if wire.message_type == "private":
        chat = Chat(account, "private", who, nickname)
        if wire.sub_type == "group" and (home := group or sender.group_id):
            context = encode_context(Context(group_id=str(home)))
    elif wire.message_type == "group" and group:
        chat = Chat(account, "group", str(group))
    else:
        return None
    number, at_ms = str(ident), at_s * 1000
    return MessageReceived(  # by position: half the time of names, once a message
        chat,
        Person(who, nickname, card),
        segments,
        at_ms.to_bytes(8, "big") + b":" + number.encode() if has_key else None,
        number,
        at_ms,
        "",
        context,
    )


def encode_text(delivery: Delivery, what: Say, echo: str) -> bytes | None:
    """Return the call that says one piece of text; None = `asking.say` has to be asked."""
    segments, chat = what.segments, delivery.chat
    only = segments[0] if len(segments) == 1 else None
    if type(only) is not Text or not only.text or delivery.context:
        return None
    head, target = _CALLS.get(chat.kind), to_number(chat.id)
    if head is None or type(target) is not int:
        return None
    return b'{"action":"%b:%d,"message":[{"type":"text","data":{"text":%b}}]},"echo":"%b"}' % (
        head, target, _encode(only.text), echo.encode(),
    )  # fmt: skip


def _to_segments(message: Any) -> Segments | None:
    if len(message) == 1:
        only = message[0]
        if only.type == "text" and only.data is not None:
            text = only.data.get("text")
            return (Text(text),) if text else ()
    for one in message:
        if not one.type:
            return None
    return to_segments(clean([Seg(one.type, one.data or {}) for one in message], []))
