"""What a framework looks up on the line that its own line carries: chats, people, messages.

All of it comes from what the store knows; chats and people are named by number. At most 200 rows
are in one answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from trunkline.dialects.contract import (
    FindCarried,
    FindCarriedChats,
    FindCarriedMembers,
    FindCarriedMessage,
)  # fmt: skip
from trunkline.errors import LocalProtocolError, RemoteProtocolError
from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.exchange.carrying import Carrying
from trunkline.exchange.contract import LineFacts, Origin
from trunkline.exchange.conversations import Key
from trunkline.exchange.numbering import (
    EVERYBODY,
    GROUP,
    MESSAGE,
    QUOTE,
    chat_behind,
    chat_key,
    kind_shown,
    message_key,
    parse_number,
    person_key,
    with_ids,
)  # fmt: skip
from trunkline.exchange.plans import UNSTORABLE
from trunkline.ids import DeliveryId, InboxId
from trunkline.model.address import Chat
from trunkline.model.carrying import CarriedChat, CarriedMember, CarriedMessage
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import Say
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import Segments
from trunkline.model.segment import Mention, Quote, Segment
from trunkline.store.contract import InboxRow, Number, NumberKey, OutboxRow, Queued, Store

ROWS: Final = 200
PAGES: Final = 10  # of conversations that are looked through for those of one kind


def carried_line(facts: Mapping[str, LineFacts], origin: Origin) -> str:
    """Return the line that an origin's line carries.

    Raises:
        LocalProtocolError: it carries none.
    """
    line = facts[origin.line].carries
    if not line:
        raise LocalProtocolError(f"line {origin.line} carries no other line")
    return line


def chat_meant(number: Number | None, facts: LineFacts, chat: Chat) -> Key:
    """Return the chat of a carried line that a peer means.

    Raises:
        RemoteProtocolError: there is no such chat.
    """
    key = chat_behind(number, facts.name)
    kinds = facts.kinds
    if key is None or kind_shown(key[2]) != chat.kind or (kinds and key[2] not in kinds):
        raise RemoteProtocolError(f"there is no {chat.kind} chat {chat.id}")
    return key


class Lookups:
    """Answers what frameworks ask."""

    def __init__(self, *, store: Store, carrying: Carrying, facts: Mapping[str, LineFacts]) -> None:
        self._store = store
        self._carrying = carrying
        self._facts = facts

    async def _meant(self, origin: Origin, chat: Chat) -> tuple[Key, ConversationState | None]:
        """Return a carried chat, and its conversation when something was said in it."""
        line = carried_line(self._facts, origin)
        (number,) = await self._store.numbers([parse_number(chat.id)])
        key = chat_meant(number, self._facts[line], chat)
        (state,) = await self._store.find_conversations([key])
        return key, state

    async def find_chat(self, origin: Origin, request: FindCarried) -> CarriedChat:
        """Return what is known of a chat."""
        _, state = await self._meant(origin, request.chat)
        if state is None:
            return CarriedChat(request.chat)
        rows = await self._store.history(state.id, 0, 1)
        (name,) = await self._names(origin, [(request.chat, state)])
        chat = msgspec.structs.replace(request.chat, name=name)
        return CarriedChat(chat, rows[0].at_ms if rows else 0)

    async def _names(
        self, origin: Origin, chats: list[tuple[Chat, ConversationState]]
    ) -> list[str]:
        """Return what chats are called; of a chat of two, else by who spoke in it."""
        account = self._facts[origin.line].account
        shown = await self._store.find_conversations(
            [(origin.line, account, chat.kind, chat.id) for chat, _ in chats]
        )
        return [
            state.name or (one.name if one is not None else "")
            for (_, state), one in zip(chats, shown, strict=True)
        ]

    async def find_chats(
        self, origin: Origin, request: FindCarriedChats
    ) -> tuple[CarriedChat, ...]:
        """Return the chats that were active last."""
        line = carried_line(self._facts, origin)
        found: list[tuple[ConversationState, int]] = []
        cursor = ""
        for _ in range(PAGES):
            page = await self._store.conversations(line=line, cursor=cursor, limit=ROWS)
            found += [
                (state, last.at_ms if last is not None else 0)
                for state, last in page.rows
                if kind_shown(state.kind) == request.kind and _key_of(state)[1:] != UNSTORABLE
            ]
            cursor = page.cursor
            if not cursor or len(found) >= ROWS:
                break
        del found[ROWS:]
        numbers = await self._carrying.ensure([chat_key(_key_of(state)) for state, _ in found])
        account = self._facts[origin.line].account
        chats: list[tuple[Chat, ConversationState]] = []
        for state, _ in found:
            number = numbers[chat_key(_key_of(state))]
            chats.append((Chat(account, request.kind, str(number)), state))
        names = await self._names(origin, chats)
        return tuple(
            CarriedChat(msgspec.structs.replace(chat, name=name), last_ms)
            for (chat, _), name, (_, last_ms) in zip(chats, names, found, strict=True)
            if chat.id != "0"  # no number was left for it
        )

    async def find_members(
        self, origin: Origin, request: FindCarriedMembers
    ) -> tuple[CarriedMember, ...]:
        """Return who spoke lately, the last one first."""
        key, state = await self._meant(origin, request.chat)
        rows = await self._store.history(state.id, 0, ROWS) if state is not None else []
        people: dict[NumberKey, tuple[Person, int]] = {}
        for row in rows:
            event = _message_in(row)
            if event is not None and event.sender is not None and not event.is_own:
                people.setdefault(_speaker(key, event.sender), (event.sender, row.at_ms))
        numbers = await self._carrying.ensure(list(people))
        return tuple(
            CarriedMember(Person(str(numbers[at]), person.name, person.card), last_ms)
            for at, (person, last_ms) in people.items()
            if numbers[at]
        )

    async def find_message(self, origin: Origin, request: FindCarriedMessage) -> CarriedMessage:
        """Return a message by its number.

        Raises:
            RemoteProtocolError: there is none, or its words are forgotten.
        """
        line = carried_line(self._facts, origin)
        (number,) = await self._store.numbers([parse_number(str(request.number))])
        if number is not None and number.line == line and number.kind == MESSAGE:
            received = await self._store.message(InboxId(number.row))
            if received is not None:
                event = _message_in(received[0])
                if event is not None:
                    at_ms = event.at_ms or received[0].at_ms
                    return await self._shown(
                        origin, number.id, received[1], event.segments, (event.sender, at_ms)
                    )
            sent = await self._store.delivery(DeliveryId(number.row))
            segments = _segments_of(sent)
            if sent is not None and segments is not None:
                return await self._shown(
                    origin, number.id, sent.conversation, segments, (None, sent.row.at_ms)
                )
        raise RemoteProtocolError(f"there is no message {request.number}")

    async def _shown(
        self,
        origin: Origin,
        number: int,
        state: ConversationState,
        segments: Segments,
        said: tuple[Person | None, int],
    ) -> CarriedMessage:
        """Return a message of the carried line with numbers instead of its ids."""
        key = _key_of(state)
        sender, at_ms = said
        account = self._facts[origin.line].account
        mentioned = [part.user for part in segments if type(part) is Mention]
        quoted = [part.message for part in segments if type(part) is Quote and part.message]
        people = [person_key(key[0], key[1], user) for user in mentioned if user != EVERYBODY]
        if sender is not None:
            people.append(_speaker(key, sender))
        numbers = await self._carrying.ensure([chat_key(key), *people])
        heard = [message_key(key, one, kind) for one in quoted for kind in (MESSAGE, QUOTE)]
        found = await self._store.find_numbers(heard) if heard else ()
        messages = {one.key: one.id for one in found if one is not None}

        def person(part: Mention) -> Segment:
            if part.user == EVERYBODY:
                return part
            if account and part.user == key[1]:
                return Mention(account, part.name)
            return Mention(str(numbers[person_key(key[0], key[1], part.user)]), part.name)

        def message(part: Quote) -> Segment | None:
            for kind in (MESSAGE, QUOTE):
                if found_number := messages.get(message_key(key, part.message, kind)):
                    return Quote(str(found_number))
            return None

        if sender is not None:
            sender = Person(str(numbers[_speaker(key, sender)]), sender.name, sender.card)
        chat = Chat(account, kind_shown(key[2]), str(numbers[chat_key(key)]), state.name)
        return CarriedMessage(number, chat, sender, with_ids(segments, person, message), at_ms)


def _speaker(key: Key, sender: Person) -> NumberKey:
    """Return the key of who speaks: in a chat of two, the chat."""
    return person_key(key[0], key[1], sender.id) if kind_shown(key[2]) == GROUP else chat_key(key)


def _key_of(state: ConversationState) -> Key:
    return (state.line, state.account, state.kind, state.peer)


def _message_in(row: InboxRow | OutboxRow) -> MessageReceived | None:
    """Return what a row says; None for what nobody said, or what is forgotten."""
    if isinstance(row, OutboxRow) or not row.body:
        return None
    try:
        event = decode_event(row.body)
    except msgspec.DecodeError:
        return None
    return event if isinstance(event, MessageReceived) else None


def _segments_of(sent: Queued | None) -> Segments | None:
    if sent is None or not sent.row.body:
        return None
    try:
        what = decode_what(sent.row.body)
    except msgspec.DecodeError:
        return None
    return what.segments if isinstance(what, Say) else None
