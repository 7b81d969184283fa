"""The exchange of an embedded line, in memory: what was received, until the program reads it.

An event is acknowledged when it has its place in the queue. While the queue is full nothing more is
taken in, so nothing more is acknowledged, and the drivers stop reading their links at their own
bounds (64 events or 1 MiB each): that is the back-pressure. Repeats are recognised by the dialect's
key among the last 10,000 events; a repeat is acknowledged and not shown again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

import msgspec

from trunkline.dialects.contract import (
    FindChat,
    FindChats,
    FindHistory,
    FindUnclear,
    Receipt,
    Seat,
    Settled,
)
from trunkline.errors import LocalProtocolError
from trunkline.exchange.contract import Origin
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Outcome
from trunkline.model.event import DurableEvent, Event, Fleeting
from trunkline.model.history import ChatFacts, History

KEYS: Final = 10_000
CONTEXTS: Final = 1024
_PROOF: Final = frozenset({Outcome.SENT, Outcome.CONFIRMED})


class Arrival(msgspec.Struct, frozen=True):
    """One event in the queue.

    Args:
        event: None = the message held none (`keeps_lone_frames`).
        frame: the message that it came in, as bytes; b"" unless `keeps_frames`, and for the second
            and later events of one message.
    """

    event: Event | None
    frame: bytes = b""


class _Offer(msgspec.Struct, frozen=True):
    """An event, or a message without one, that has no place in the queue yet.

    Args:
        origin: who waits for its acknowledgement; None = nobody.
    """

    origin: Origin | None
    arrival: Arrival
    receipt: Receipt
    size_bytes: int


class _Sending(msgspec.Struct):
    """A delivery whose fate nobody knows yet.

    Args:
        open: how many links still have a word to say.
    """

    fate: asyncio.Future[Settled]
    open: int


class Inbox:
    """Takes in what sessions receive and notes what became of deliveries.

    Args:
        limit: events in the queue.
        seated: told when a link is ready on a seat.
    """

    def __init__(self, limit: int, seated: Callable[[Origin, Seat], None]) -> None:
        self.limit = limit
        self.keeps_frames = False
        self.keeps_lone_frames = False
        self._frame = b""  # the message that is being read now
        self.contexts: OrderedDict[Chat, bytes] = OrderedDict()
        self.kept: dict[tuple[str, str], bytes] = {}
        self.dropped = 0
        self.duplicates = 0
        self._seated = seated
        self._ready: deque[Arrival] = deque()
        self._waiting: deque[_Offer] = deque()
        self._is_pumping = False
        self._news = asyncio.Event()
        self._end: BaseException | None = None
        self._is_ended = False
        self._keys: OrderedDict[tuple[Chat, bytes], None] = OrderedDict()
        self._sendings: dict[DeliveryId, _Sending] = {}

    # -- the reader --------------------------------------------------------------------------

    async def take(self) -> Arrival | None:
        """Return the next event, in order, or None at the end.

        Raises:
            TrunklineError: the line has given up.
        """
        while not self._ready:
            if self._end is not None:
                raise self._end
            if self._is_ended:
                return None
            self._news.clear()
            await self._news.wait()
        arrival = self._ready.popleft()
        if self._waiting:
            self._pump_soon()
        return arrival

    def end(self, error: BaseException | None = None) -> None:
        """Let readers come to an end once they have read what is here.

        Args:
            error: raised to them; None = a quiet end.
        """
        self._is_ended, self._end = True, error
        self._news.set()

    def reopen(self) -> None:
        """Go on after an end."""
        self._is_ended, self._end = False, None
        if self._waiting:
            self._pump_soon()

    def hear(self, data: bytes) -> None:
        """Note the message that a session is about to read: its first event takes it along."""
        self._let_frame_go()
        self._frame = data
        if self.keeps_lone_frames:
            self._pump_soon()

    # -- what drivers call (`exchange.contract.Exchange`) ------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether the queue has no place."""
        return len(self._ready) >= self.limit

    def offer(self, origin: Origin, event: DurableEvent, receipt: Receipt, size_bytes: int) -> None:
        """Take an event; it is acknowledged when it has a place in the queue."""
        frame, self._frame = self._frame, b""
        self._waiting.append(_Offer(origin, Arrival(event, frame), receipt, size_bytes))
        self._pump_soon()

    def pass_on(self, origin: Origin, event: Fleeting) -> None:
        """Show a fleeting event, or drop it when there is no place."""
        del origin
        if self.is_full or self._is_ended:
            self.dropped += 1
            return
        self._ready.append(Arrival(event))
        self._news.set()

    def keep(self, origin: Origin, account: str, state: bytes) -> None:
        """Remember a session's state for the next link."""
        self.kept[origin.line, account] = state

    def settled(self, origin: Origin, settled: Settled) -> None:
        """Note what became of a delivery: the first proof counts, else the last word."""
        del origin
        sending = self._sendings.get(settled.delivery_id)
        if sending is None or sending.fate.done():
            return
        sending.open -= 1
        if settled.outcome in _PROOF or sending.open <= 0:
            sending.fate.set_result(settled)

    def seated(self, origin: Origin, seat: Seat) -> None:
        """A link is ready."""
        self._seated(origin, seat)

    def unseated(self, line: str, seat: Seat) -> None:
        """Do nothing: nothing waits here for a seat."""

    def ask(self, origin: Origin, request: object, answer: Callable[[object], None]) -> None:
        """Answer what a session looks up: there is no store, so nothing is known."""
        del origin
        if isinstance(request, FindChat):
            answer(ChatFacts(request.chat))
        elif isinstance(request, FindHistory):
            answer(History())
        elif isinstance(request, FindChats | FindUnclear):
            answer(())
        else:
            answer(LocalProtocolError("an embedded line has no store"))

    # -- deliveries --------------------------------------------------------------------------

    def expect(self, ident: DeliveryId, links: int) -> asyncio.Future[Settled]:
        """Return the fate of a delivery that so many links are about to get."""
        fate: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        self._sendings[ident] = _Sending(fate, links)
        return fate

    def forget(self, ident: DeliveryId) -> None:
        """Wait for the fate of a delivery no longer."""
        self._sendings.pop(ident, None)

    # -- inside ------------------------------------------------------------------------------

    def _pump_soon(self) -> None:
        # Not at once: an acknowledgement belongs behind everything that its message caused, and
        # one turn of the loop acknowledges all that was read in it.
        if not self._is_pumping:
            self._is_pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        self._let_frame_go()
        if self._is_ended:
            return  # never acknowledged: whoever repeats it to a later link loses nothing
        taken: dict[Origin, tuple[list[Receipt], list[int]]] = {}
        while self._waiting and not self.is_full:
            offer = self._waiting.popleft()
            if offer.arrival.event is None or self._is_new(offer.arrival.event):
                self._ready.append(offer.arrival)
            if offer.origin is None:
                continue
            receipts, sizes = taken.setdefault(offer.origin, ([], []))
            sizes.append(offer.size_bytes)
            if offer.receipt is not None:
                receipts.append(offer.receipt)
        if self._ready:
            self._news.set()
        for origin, (receipts, sizes) in taken.items():
            origin.committed(receipts, len(sizes), sum(sizes))
            origin.flush()

    def _let_frame_go(self) -> None:
        """Queue the last message when no event took it, in its place between the events.

        Nobody waits for its acknowledgement, so there is nothing to hold up: without a place in the
        queue it is dropped and counted.
        """
        frame, self._frame = self._frame, b""
        if not (frame and self.keeps_lone_frames) or self._is_ended:
            return
        if len(self._ready) + len(self._waiting) >= self.limit:
            self.dropped += 1
            return
        self._waiting.append(_Offer(None, Arrival(None, frame), None, 0))

    def _is_new(self, event: Event) -> bool:
        """Note an event: its context for later sends, its key against repeats."""
        if isinstance(event, Fleeting):
            return True
        where = Chat(event.chat.account, event.chat.kind, event.chat.id)
        if event.context:
            self.contexts[where] = event.context
            self.contexts.move_to_end(where)
            if len(self.contexts) > CONTEXTS:
                self.contexts.popitem(last=False)
        if event.key is None:
            return True
        key = (where, event.key)
        if key in self._keys:
            self.duplicates += 1
            return False
        self._keys[key] = None
        if len(self._keys) > KEYS:
            self._keys.popitem(last=False)
        return True
