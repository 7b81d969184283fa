"""What happened, in our words. Durable events are stored; fleeting ones are passed on."""

from __future__ import annotations

from typing import TypeAlias, final

import msgspec

from trunkline.model.address import Chat
from trunkline.model.message import Segments


class Person(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Who spoke. `card` is the name inside a group."""

    id: str
    name: str = ""
    card: str = ""

    @property
    def shown(self) -> str:
        """The name to address the person by: card, name, or id."""
        return self.card or self.name or self.id


class MessageReceived(msgspec.Struct, frozen=True, tag="message", omit_defaults=True):
    """Somebody said something.

    Args:
        chat: where.
        sender: who; None when the platform does not say.
        segments: what.
        key: de-duplication key, beginning with the peer's time where a repeat carries the same
            time; None = never a duplicate. The unique index is over (key, conversation).
        peer_id: the platform's id of the message, for quotes; "" when none.
        at_ms: the peer's time, or None.
        item: what the chat is about (a shop's goods), or "".
        context: opaque bytes which the session needs to address an answer; come back as
            `delivery.context`.
        is_own: our own account said it (an echo, or the owner in the app).
        alias: a second key: an event that has either of them is the same one; b"" = it has none,
            but another's alias may be its key; None = nobody on this platform has one.
    """

    chat: Chat
    sender: Person | None
    segments: Segments
    key: bytes | None = None
    peer_id: str = ""
    at_ms: int | None = None
    item: str = ""
    context: bytes = b""
    is_own: bool = False
    alias: bytes | None = None


class NoticeReceived(msgspec.Struct, frozen=True, tag="notice", omit_defaults=True):
    """Something happened that nobody said: a ban, a recall, an order, a named custom event.

    Args:
        name: the dialect's word (`ban`, `order:paid`); what stands before a colon is its kind.
        data: JSON bytes with the rest.
        item: what it is about (a shop's goods), or "".
        is_trusted: the platform itself says so; false = it only looks like that: it is shown and
            stored, and nothing acts on it.
        alias: see `MessageReceived`.
    """

    chat: Chat
    name: str
    sender: Person | None = None
    data: bytes = b"{}"
    key: bytes | None = None
    peer_id: str = ""
    at_ms: int | None = None
    context: bytes = b""
    item: str = ""
    is_trusted: bool = True
    alias: bytes | None = None


class RequestReceived(msgspec.Struct, frozen=True, tag="request", omit_defaults=True):
    """Somebody asks the owner for something: contact me, be my friend, send your phone number.

    Args:
        name: what is asked (`contact`).
        text: the words that came with it.
        data: JSON bytes with the rest (user agent, page, mail address).
        alias: see `MessageReceived`.
    """

    chat: Chat
    name: str
    text: str = ""
    sender: Person | None = None
    data: bytes = b"{}"
    key: bytes | None = None
    peer_id: str = ""
    at_ms: int | None = None
    context: bytes = b""
    alias: bytes | None = None


@final  # so that `type(event) is Fleeting` narrows
class Fleeting(msgspec.Struct, frozen=True, tag="fleeting", omit_defaults=True):
    """Typing, read marks, presence: passed on to who watches, never stored, no receipt."""

    chat: Chat
    name: str
    data: bytes = b"{}"


DurableEvent: TypeAlias = MessageReceived | NoticeReceived | RequestReceived
Event: TypeAlias = DurableEvent | Fleeting
