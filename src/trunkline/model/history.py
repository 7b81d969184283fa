"""What was said in a chat, by whom, in the order of row ids."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from trunkline.model.address import Chat
from trunkline.model.event import Fleeting, MessageReceived, RequestReceived
from trunkline.model.message import Segments

Speaker: TypeAlias = Literal["user", "assistant", "operator", "system"]


class HistoryItem(msgspec.Struct, frozen=True, tag="item", omit_defaults=True):
    """One thing that was said.

    Args:
        id: of the inbox or outbox row; orders the items, and for an answer is the delivery id.
        speaker: the visitor, an automatic answer, a person of ours, or a broadcast.
        event: what was received, for `user`; with its context and peer_id.
        segments: what was said, otherwise.
        context: of the question that an answer answers, b"" when it answers none.
        name: of the person, for `operator`.
        state: of the delivery, in lower case; "" for `user`.
    """

    id: int
    at_ms: int
    speaker: Speaker
    event: MessageReceived | RequestReceived | None = None
    segments: Segments = ()
    context: bytes = b""
    name: str = ""
    state: str = ""


class History(msgspec.Struct, frozen=True):
    """A piece of a chat's history, oldest first."""

    items: tuple[HistoryItem, ...] = ()
    has_more: bool = False


class ChatFacts(msgspec.Struct, frozen=True):
    """What is known of a chat.

    Args:
        exists: something was said in it before.
        last_ms: when something was said last, 0 = never.
        last: the last item, for lists.
        taken_until_ms: a person has it until then, 0 = nobody.
        taken_by: that person's name.
        unread: items of the other side since a person of ours last said something or looked.
        is_online: a link sits on its seat now.
    """

    chat: Chat
    exists: bool = False
    last_ms: int = 0
    last: HistoryItem | None = None
    taken_until_ms: int = 0
    taken_by: str = ""
    unread: int = 0
    is_online: bool = False


class TakeoverChanged(msgspec.Struct, frozen=True, tag="takeover"):
    """A person took the chat, or gave it back."""

    chat: Chat
    name: str = ""
    is_taken: bool = True
    reason: str = ""


Told: TypeAlias = HistoryItem | TakeoverChanged | Fleeting
