"""What leaves an embedded line: from a target to a link, and back to what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Settled
from trunkline.errors import (
    DeliveryRefused,
    DeliveryThrottled,
    DeliveryUncertain,
    LinkTimeout,
)
from trunkline.exchange.contract import Origin
from trunkline.ids import DeliveryId, Ids, InboxId, answer_id
from trunkline.lines.contract import LinkLimits
from trunkline.lines.driver import Driver
from trunkline.lines.roster import Roster
from trunkline.model.address import Chat, parse_address
from trunkline.model.delivery import Delivery, Outcome, Say, What
from trunkline.model.event import DurableEvent
from trunkline.model.message import Segments, parse_message
from trunkline.model.segment import Segment, Text

from .inbox import Inbox
from .pacing import Turns
from .settings import Settings
from .watched import Peer

NOBODY: Final = "nobody is connected who could take it"
PACED: Final = "the pace of the line: every_s or daily"
Target: TypeAlias = str | Chat | DurableEvent
Message: TypeAlias = str | Segment | Sequence[Segment]


class Fate(msgspec.Struct, frozen=True):
    """What became of a message.

    Args:
        outcome: CONFIRMED (the peer has it), SENT (written; this dialect gives no proof), UNCERTAIN
            (it may or may not have arrived) or LATER (nothing was written).
        peer_id: the peer's id of the message, or "".
        detail: why, when it is UNCERTAIN or LATER.
        wait_s: when LATER: not before so many seconds.
        data: what the peer returned for an action, as JSON; b"" = nothing.
    """

    outcome: Outcome
    peer_id: str = ""
    detail: str = ""
    wait_s: float = 0.0
    data: bytes = b""

    @property
    def is_sent(self) -> bool:
        """Whether it was written, as far as anybody can know."""
        return self.outcome in (Outcome.SENT, Outcome.CONFIRMED)


class Wait(Protocol):
    """Waits until something is so, the line is over or the time is; says whether it is so."""

    def __call__(
        self, is_so: Callable[[], bool], timeout_s: float | None = None, /
    ) -> Awaitable[bool]:
        """Wait."""
        ...


class Outgoing:
    """Sends over the links of one line.

    Args:
        settings: of the line.
        inbox: gets the sessions' word.
        roster: who sits where.
        ids, clock: for deliveries.
        wait: until a link is there.
        peers: who is connected.
        turns: how fast it may send.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        roster: Roster,
        *,
        ids: Ids,
        clock: Clock,
        wait: Wait,
        peers: Callable[[], Sequence[Peer]],
        turns: Turns,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._roster = roster
        self._ids = ids
        self._clock = clock
        self._wait = wait
        self._peers = peers
        self._turns = turns
        self._high_water_bytes = LinkLimits().high_water_bytes

    async def deliver(
        self, target: Target, what: What, timeout_s: float, context: bytes = b""
    ) -> Fate:
        """Wait for a link and for the line's turn, send, wait for the session's word.

        Args:
            context: what the session needs to address it; b"" = what the target says.

        Raises:
            DeliveryRefused: the peer or the dialect said no.
            ValueError: the target is none.
        """
        chat, context, is_answer = self._resolve(target, context)
        dialect = self._settings.dialect
        if dialect.kinds and chat.kind not in dialect.kinds and isinstance(what, Say):
            raise ValueError(f"a {dialect.name} target is {' or '.join(dialect.kinds)}:ID")
        if not await self._wait(lambda: bool(self._find(chat)), timeout_s):
            return Fate(Outcome.LATER, detail=NOBODY)
        if not await self._wait(lambda: self._has_room(chat), timeout_s):
            return Fate(Outcome.LATER, detail="the peer does not read what was sent before")
        if left_s := await self._turns.take(timeout_s):
            return Fate(Outcome.LATER, detail=PACED, wait_s=left_s)
        fate = await self._send(chat, what, context, timeout_s, is_answer=is_answer)
        if fate.outcome is Outcome.LATER:
            self._turns.give_back()
        return fate

    async def _send(
        self, chat: Chat, what: What, context: bytes, timeout_s: float, *, is_answer: bool
    ) -> Fate:
        """Send over the links that are there, and wait for the session's word."""
        origins = self._find(chat)
        if not origins:  # it went while we waited for our turn
            return Fate(Outcome.LATER, detail=NOBODY)
        row = self._ids.next()
        # The id of an answer says so, and a dialect can then name the question.
        ident = answer_id(InboxId(row), 0) if is_answer else DeliveryId(row)
        delivery = Delivery(ident, self._seated_at(chat), what, context, self._clock.now_ms())
        fate = self._inbox.expect(ident, len(origins))
        try:
            for origin in origins:
                origin.deliver((delivery,))
                origin.flush()
            async with asyncio.timeout(timeout_s):
                settled = await fate
        except TimeoutError:
            return Fate(Outcome.UNCERTAIN, detail=f"no word of the peer within {timeout_s:g} s")
        finally:
            self._inbox.forget(ident)
        return _to_fate(settled)

    def _resolve(self, target: Target, context: bytes) -> tuple[Chat, bytes, bool]:
        """Return the chat, what the session needs to address it, and whether it is an answer."""
        if isinstance(target, str):
            address = parse_address(f"embedded/{target}")
            # Dialects that open a chat about an item read it there. Source: xianyu 8
            ident = f"{address.id}?item={address.item}" if address.item else address.id
            chat = Chat(address.account, address.kind, ident)
        elif isinstance(target, Chat):
            chat = target
        else:
            return target.chat, target.context, bool(target.context)
        where = self._seated_at(Chat(chat.account, chat.kind, chat.id))
        return chat, context or self._inbox.contexts.get(where, b""), False

    def _seated_at(self, chat: Chat) -> Chat:
        """Return the chat with the account filled in, when only one can be meant."""
        if chat.account:
            return chat
        accounts = {peer.account for peer in self._peers()}
        if len(accounts) > 1:
            names = ", ".join(sorted(accounts))
            raise ValueError(f"name the account, as in {chat.kind}:{chat.id}@…; here are {names}")
        return Chat(accounts.pop(), chat.kind, chat.id, chat.name) if accounts else chat

    def _has_room(self, chat: Chat) -> bool:
        """Whether the links of a chat take more: a program that sends is as fast as who reads."""
        return all(
            not isinstance(origin, Driver)
            or origin.link is None
            or origin.link.buffered_bytes < self._high_water_bytes
            for origin in self._find(chat)
        )

    def _find(self, chat: Chat) -> Sequence[Origin]:
        seat = self._settings.dialect.seat_of(self._seated_at(chat))
        return self._roster.find(self._settings.name, seat)


def read_message(message: Message) -> Segments:
    """Return a message as segments.

    Raises:
        ValueError: there is nothing in it.
        TypeError: something in it is no segment.
    """
    if isinstance(message, str):
        return parse_message(message)
    segments = tuple(message) if isinstance(message, Sequence) else (message,)
    for part in segments:
        if not isinstance(part, Segment):  # pyright: ignore[reportUnnecessaryIsInstance] - callers
            raise TypeError(f"{type(part).__name__} is no segment")
    if all(type(part) is Text and not part.text.strip() for part in segments):
        raise ValueError("the message is empty")
    return segments


def read_result(fate: Fate) -> Any:
    """Return the data of an action that was done.

    Raises:
        DeliveryUncertain: nobody knows whether it was.
        DeliveryThrottled: nothing was asked, because of the peer.
        LinkTimeout: nothing was asked, because nobody is there.
    """
    if fate.outcome is Outcome.UNCERTAIN:
        raise DeliveryUncertain(fate.detail)
    if fate.outcome is Outcome.LATER:
        if fate.detail == NOBODY:
            raise LinkTimeout(NOBODY)
        raise DeliveryThrottled(fate.wait_s)
    return msgspec.json.decode(fate.data) if fate.data else None


def _to_fate(settled: Settled) -> Fate:
    if settled.outcome is Outcome.REFUSED:
        raise DeliveryRefused(settled.detail or "the peer refused the message")
    return Fate(settled.outcome, settled.peer_id, settled.detail, settled.wait_s, settled.data)
