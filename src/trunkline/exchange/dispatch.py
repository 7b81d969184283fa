"""The outbox towards the lines: who may be answered directly, and what waits for whom.

A seat is *direct* while no delivery waits for it: then a reply is inserted as SENDING and leaves
with the beat that decided it. As soon as one row is QUEUED for a seat, everything for that seat is
queued behind it and leaves in order by claims; with the commit of the last claim it is direct
again. So the order within a conversation holds whatever failed, and the fast path costs one set
look-up. A row that is about to be queued *holds* its seat until that is committed: a look at the
store in between would find nothing there and open the way to what is newer.

Seats of a line with `send_gap_s` are never direct: one row is claimed, and the next when its fate
is committed and the gap is over.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Seat
from trunkline.errors import StoreUnavailable
from trunkline.exchange.contract import LineFacts, Origin, Router
from trunkline.exchange.pacing import Pacing, count_back
from trunkline.exchange.plans import GONE
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.store.contract import Queued, Store

CLAIM_BATCH = 64
ROUND_SEATS = 32
# At the bound nobody is direct: everything is queued and leaves by claims, slower but in order.
WAITING_SEATS = 100_000
GONE_SEATS = 10_000
RETRY_S = 1.0  # when the store is away
UNREADABLE_RETRY_S = 60.0
MAX_ALARM_S = 60.0
# Longer than an answer takes: a delivery that waits for its echo holds up nothing behind it.
SINGLE_S = 25.0
BEAT = 0  # no delivery has this id
_PROBE = Chat("\0account", "probe", "\0peer")

Where = tuple[str, str]  # line, seat


class Single(msgspec.Struct):
    """The one delivery of a seat that is under way.

    Args:
        ident: of it.
        next_s: the next is not handed over before.
        late_s: … and not before this while its fate is unknown; 0 = it is not claimed yet.
    """

    ident: int
    next_s: float = 0.0
    late_s: float = 0.0
    is_over: bool = False


class Claimer(Protocol):
    """The beat, as dispatch needs it."""

    def claim(self, rows: Sequence[Queued], committed: Callable[[], None]) -> asyncio.Future[None]:
        """Put rows into the next beat.

        `committed` is called right after its commit, before anything is written or decided; the
        future is done once the rows are handed over, or were not claimed because the store is away.
        """
        ...


class Dispatch:
    """Moves queued rows to their seats.

    Args:
        store, clock, facts, router: see `intake.Core`.
        pacing: when a line with a pace may send.
        later: `(delay_s, call)`, the loop's timer.
        expired: told of what expired because nobody comes back for it.
        on_trouble: told of a queue that cannot be read.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        facts: Mapping[str, LineFacts],
        router: Router,
        pacing: Pacing,
        later: Callable[[float, Callable[[], None]], object],
        expired: Callable[[Sequence[DeliveryId]], None],
        on_trouble: Callable[[str, BaseException], None],
    ) -> None:
        self._store = store
        self._pacing = pacing
        self._clock = clock
        self._facts = facts
        self._router = router
        self._later = later
        self._expired = expired
        self._on_trouble = on_trouble
        # Every seat with a QUEUED row, and how many were queued for it since it is in here.
        self._waiting: dict[Where, int] = {}
        # Seats with rows that become QUEUED with something which is not committed yet.
        self._held: dict[Where, set[int]] = {}
        # When a seat is looked at by itself; one alarm each, so their number has a bound.
        self._alarms: dict[Where, float] = {}
        # Of seats that send singly, while the gap after the last one lasts: one each.
        self._singles: dict[Where, Single] = {}
        self._is_overfull = False
        self._is_stale = False
        self._todo: dict[Where, None] = {}
        # Seats that never come back, for what is decided after they went; the oldest is forgotten.
        self._gone: OrderedDict[Where, None] = OrderedDict()
        self._wake = asyncio.Event()
        self._rested = asyncio.Event()
        self._is_stopping = False

    async def learn(self) -> None:
        """Read which seats have queued rows. Before the first link: all others are direct."""
        await self._pacing.learn(self._store)
        self._waiting.update(dict.fromkeys(await self._read_seats(), 0))

    def review(self) -> None:
        """Rows were changed by others than the beat: compare with the store soon."""
        self._is_stale = True
        self._wake.set()

    async def _review(self) -> None:
        """Look wherever something waits; forget seats where nothing does any more.

        What changed while the store was read is left as it is.
        """
        before = dict(self._waiting)
        found = await self._read_seats()
        for where in found:
            self._waiting.setdefault(where, 0)
            if self._router.find(*where):
                self.look(where)
        for where, count in before.items():
            is_same = self._waiting.get(where) == count and where not in self._held
            if where not in found and is_same:
                del self._waiting[where]

    async def _read_seats(self) -> dict[Where, None]:
        """Read where rows wait; those of visitors who never come back expire, visibly.

        A visitor who keeps its session comes back, also after a restart: its rows wait.
        """
        chats = await self._store.queued_chats(WAITING_SEATS + 1)
        self._is_overfull = len(chats) > WAITING_SEATS
        found: dict[Where, None] = {}
        for line, chat, is_brief in chats:
            facts = self._facts.get(line)
            if facts is None:
                continue
            seat_key = facts.seat_of(chat)
            if is_brief and not self._router.find(line, seat_key):
                self._expired(await self._store.expire_seat(line, *scope(facts, seat_key), GONE))
            else:
                found[line, seat_key] = None
        return found

    @property
    def has_waiting(self) -> bool:
        """Whether any seat has to wait its turn."""
        return bool(self._waiting) or self._is_overfull

    @property
    def is_overfull(self) -> bool:
        """Whether more seats wait than are known by name."""
        return self._is_overfull

    def is_direct(self, where: Where) -> bool:
        """Whether nothing older waits for this seat."""
        if where in self._waiting or self._is_overfull:
            return False
        facts = self._facts.get(where[0])
        return facts is None or facts.send_gap_s is None

    def seated(self, origin: Origin, seat: Seat) -> None:
        """A link is ready: what waits for its seat may leave."""
        where = (origin.line, seat.key)
        if where in self._gone:  # its session took the same seat again, to stay
            del self._gone[where]
        if where in self._waiting or self._is_overfull:
            self.look(where)

    def unseated(self, line: str, seat: Seat) -> bool:
        """The last link of a seat is gone; return whether something may wait for it."""
        where = (line, seat.key)
        self._todo.pop(where, None)
        if seat.is_brief:
            self._gone[where] = None
            if len(self._gone) > GONE_SEATS:
                self._gone.popitem(last=False)
        return where in self._waiting

    def is_gone(self, line: str, seat_key: str) -> bool:
        """Whether the seat was brief and its last link went."""
        return (line, seat_key) in self._gone

    def forget(self, line: str, seat_key: str) -> None:
        """Nothing waits for a seat any more that never comes back."""
        self._waiting.pop((line, seat_key), None)

    def hold(self, where: Where, ident: int) -> None:
        """A row is about to be QUEUED for this seat: nothing newer may pass it.

        Args:
            ident: of the delivery, or `BEAT` for all new rows of the beat under way.
        """
        self._waiting[where] = self._waiting.get(where, 0) + 1
        self._is_overfull = self._is_overfull or len(self._waiting) > WAITING_SEATS
        self._held.setdefault(where, set()).add(ident)

    def release(self, where: Where, ident: int) -> None:
        """That is committed, or given up: what waits may leave."""
        self.done(where, ident)
        held = self._held.get(where)
        if held is not None:
            held.discard(ident)
            if not held:
                del self._held[where]
        self.look(where)

    def done(self, where: Where, ident: int) -> None:
        """The fate of a delivery is committed, or it never left."""
        single = self._singles.get(where)
        if single is not None and single.ident == ident:
            single.is_over = True

    def look(self, where: Where) -> None:
        """Look at the seat's queue soon."""
        self._todo[where] = None
        self._wake.set()

    async def quiet(self) -> None:
        """Return when every seat looked at until now is served."""
        while self._todo or self._is_stale or not self._rested.is_set():
            self._rested.clear()
            self._wake.set()
            await self._rested.wait()

    def stop(self) -> None:
        """End `run` after the round under way."""
        self._is_stopping = True
        self._wake.set()

    async def run(self, claimer: Claimer) -> None:
        """Serve the seats that were looked at, at most 32 in one round."""
        while not self._is_stopping:
            if not self._todo and not self._is_stale:
                self._rested.set()
                self._wake.clear()
                await self._wake.wait()
                continue
            self._rested.clear()
            if self._is_stale:
                self._is_stale = False
                try:
                    await self._review()
                except StoreUnavailable:
                    self._later(RETRY_S, self.review)
            seats = list(self._todo)[:ROUND_SEATS]
            for where in seats:
                del self._todo[where]
            try:
                await self._round(claimer, seats)
            except StoreUnavailable:
                for where in seats:
                    self._look_in(where, RETRY_S)

    async def _round(self, claimer: Claimer, seats: Sequence[Where]) -> None:
        rows: list[Queued] = []
        emptied: dict[Where, int] = {}
        for where in seats:
            try:
                rows += await self._fetch(where, emptied)
            except StoreUnavailable:
                count_back(self._pacing, self._counted(rows))
                raise
            except Exception as error:  # noqa: BLE001 - the edge "beat": concerns this seat only
                self._on_trouble("read queue", error)
                self._look_in(where, UNREADABLE_RETRY_S)
        if not rows:
            self._free(emptied)
            return
        counted = self._counted(rows)
        singles = [(where, self._singles[where]) for where in seats if where in self._singles]

        def committed() -> None:
            counted.clear()
            for where, single in singles:
                self._begin(where, single)
            self._free(emptied)

        await claimer.claim(rows, committed)
        count_back(self._pacing, counted)
        # Not claimed: the store is away, or a row cannot be written. It is looked at again.
        unclaimed = [where for where, single in singles if not single.late_s]
        for where in unclaimed:
            self._singles.pop(where, None)
        for where in dict.fromkeys((*emptied, *unclaimed)):
            if where in self._waiting and where not in self._todo:
                self._look_in(where, RETRY_S)

    def _begin(self, where: Where, single: Single) -> None:
        """The one delivery of a seat is claimed and handed over right now."""
        facts = self._facts.get(where[0])
        if single.late_s or facts is None:
            return
        now_s = self._clock.monotonic_s()
        single.next_s = now_s + (facts.send_gap_s or 0.0)
        single.late_s = now_s + SINGLE_S
        self._look_in(where, SINGLE_S)

    def _must_wait(self, where: Where) -> bool:
        """Whether the one delivery of a seat, or the gap after it, holds up the next."""
        single = self._singles.get(where)
        if single is None:
            return False
        wait_s = (single.next_s if single.is_over else single.late_s) - self._clock.monotonic_s()
        if wait_s > 0:
            self._look_in(where, wait_s)
            return True
        del self._singles[where]
        return False

    def _look_in(self, where: Where, delay_s: float) -> None:
        """Look at a seat later; an earlier alarm of it stays, a later one is replaced."""
        at_s = self._clock.monotonic_s() + delay_s
        if self._alarms.get(where, math.inf) <= at_s:
            return
        self._alarms[where] = at_s

        def ring() -> None:
            if self._alarms.get(where) == at_s:
                del self._alarms[where]
                self.look(where)

        self._later(delay_s, ring)

    def _free(self, emptied: Mapping[Where, int]) -> None:
        """Seats whose queue was taken whole are direct, unless more was queued meanwhile."""
        for where, count in emptied.items():
            if where in self._held:
                continue  # looked at again when that is committed
            if self._waiting.get(where) == count:
                del self._waiting[where]
            elif where in self._waiting:
                self.look(where)

    async def _fetch(self, where: Where, emptied: dict[Where, int]) -> list[Queued]:
        line, seat_key = where
        facts = self._facts.get(line)
        if facts is None or facts.is_paused or not self._router.find(line, seat_key):
            return []
        if self._must_wait(where):
            return []
        is_single = facts.send_gap_s is not None
        count = self._waiting.setdefault(where, 0)
        if not self._pacing.is_free(line):
            self._pacing.wait(where, self.look)
            return []
        account, peer = scope(facts, seat_key)
        now_ms = self._clock.now_ms()
        limit = 1 if is_single or facts.pace is not None else CLAIM_BATCH
        queue = await self._store.queued(line, account, peer, limit, now_ms)
        if queue.rows and facts.pace is not None:
            self._pacing.take(line)
        if queue.rows and is_single:
            self._singles[where] = Single(queue.rows[0].row.id)
        if queue.depth == len(queue.rows):
            emptied[where] = count
        elif queue.rows:
            if not is_single:  # else it is looked at again when the fate of this one is known
                self._todo[where] = None  # more waits behind these
        elif queue.due_ms:
            delay_s = max(0.05, (queue.due_ms - now_ms) / 1000)
            self._look_in(where, min(delay_s, MAX_ALARM_S))
        return queue.rows

    def _counted(self, rows: Sequence[Queued]) -> list[str]:
        """Return the lines whose pace counts these rows, once for each row."""
        lines = [row.conversation.line for row in rows]
        return [line for line in lines if self._facts[line].pace is not None]


def scope(facts: LineFacts, seat_key: str) -> tuple[str, str]:
    """Return (account, peer) of a seat's rows: an account's whole queue, or one visitor's."""
    if facts.seat_of(_PROBE) == _PROBE.account:
        return seat_key, ""
    return "", seat_key
