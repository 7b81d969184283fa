"""What happened elsewhere ⇄ frames: another tab, a person of ours, typing and read marks.

The data of a fleeting event is JSON: `{"active": bool, "sender": …}` for `typing`,
`{"message_id": …, "sender": …}` for `read`; `sender` is user or operator.
"""

from __future__ import annotations

import msgspec

from trunkline.dialects.contact.extension import Joined, Left, ReadOut, TypingOut
from trunkline.dialects.contact.frames import ChatOut
from trunkline.dialects.contact.past import to_item
from trunkline.model.address import Chat
from trunkline.model.event import Fleeting, MessageReceived
from trunkline.model.history import HistoryItem, TakeoverChanged, Told


class _TypingData(msgspec.Struct, frozen=True):
    active: bool = True
    sender: str = "user"


class _ReadData(msgspec.Struct, frozen=True):
    message_id: str = ""
    sender: str = "user"


_read_typing = msgspec.json.Decoder(_TypingData).decode
_read_mark = msgspec.json.Decoder(_ReadData).decode
_to_json = msgspec.json.Encoder().encode


def typing_event(chat: Chat, sender: str, *, is_active: bool) -> Fleeting:
    """Make the event that somebody types, or no longer."""
    return Fleeting(chat, "typing", _to_json(_TypingData(is_active, sender)))


def read_event(chat: Chat, sender: str, message_id: str) -> Fleeting:
    """Make the event that somebody read up to a message."""
    return Fleeting(chat, "read", _to_json(_ReadData(message_id, sender)))


def to_visitor(
    told: Told, features: tuple[str, ...], language: str, now: str
) -> ChatOut | Joined | Left | TypingOut | ReadOut | None:
    """Translate what a visitor is shown of it; None for what it did not opt in to see."""
    if isinstance(told, TakeoverChanged):
        return Joined(told.name, now) if told.is_taken else Left(now, told.name, told.reason)
    if isinstance(told, Fleeting):
        return to_fleeting(told, now) if told.name in features else None
    return _to_own_words(told, language) if "session" in features else None


def _to_own_words(told: HistoryItem, language: str) -> ChatOut | None:
    """Translate what was said in another tab. Answers reach every tab as deliveries."""
    if told.speaker != "user" or not isinstance(told.event, MessageReceived):
        return None
    item = to_item(told, language)
    return ChatOut(
        item.message,
        item.timestamp,
        "user",
        item.message_id,
        client_message_id=item.client_message_id,
    )


def to_fleeting(told: Fleeting, now: str, session_id: str = "") -> TypingOut | ReadOut | None:
    """Translate typing and read marks; None for what has no frame."""
    try:
        if told.name == "typing":
            typing = _read_typing(told.data)
            return TypingOut(typing.active, typing.sender, now, session_id)
        if told.name == "read":
            mark = _read_mark(told.data)
            return ReadOut(mark.message_id, mark.sender, now, session_id)
    except msgspec.DecodeError:
        pass  # of another making: nothing that could be shown
    return None
