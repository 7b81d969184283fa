"""The outbox towards the lines: who may be answered directly, and what waits for whom.

A seat is *direct* while no delivery waits for it: then a reply is inserted as SENDING and leaves
with the beat that decided it. As soon as one row is QUEUED for a seat, everything for that seat is
queued behind it and leaves in order by claims, until nothing waits any more. So the order within a
conversation holds whatever failed, and the fast path costs one set look-up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from trunkline.clock import Clock
from trunkline.dialects.contract import Seat
from trunkline.errors import StoreUnavailable
from trunkline.exchange.contract import LineFacts, Origin, Router
from trunkline.model.address import Chat
from trunkline.store.contract import Queued, Store

CLAIM_BATCH = 64
ROUND_SEATS = 32
_PROBE = Chat("\0account", "probe", "\0peer")


class Claimer(Protocol):
    """The beat, as dispatch needs it."""

    def claim(self, rows: Sequence[Queued]) -> asyncio.Future[None]:
        """Put rows into the next beat; done when they are claimed and handed over."""
        ...


class Dispatch:
    """Moves queued rows to their seats.

    Args:
        store, clock, facts, router: see `intake.Core`.
        claimer: takes what may leave into the next beat.
        later: `(delay_s, call)`, the loop's timer.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        facts: Mapping[str, LineFacts],
        router: Router,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._store = store
        self._clock = clock
        self._facts = facts
        self._router = router
        self._later = later
        self._direct: set[tuple[str, str]] = set()
        self._versions: dict[tuple[str, str], int] = {}
        self._todo: dict[tuple[str, str], None] = {}
        self._wake = asyncio.Event()
        self._rested = asyncio.Event()
        self._is_stopping = False

    def is_direct(self, line: str, seat_key: str) -> bool:
        """Whether nothing older waits for this seat."""
        return (line, seat_key) in self._direct

    def seated(self, origin: Origin, seat: Seat) -> None:
        """A link is ready: a fresh visitor is direct at once, others after a look at the queue."""
        where = (origin.line, seat.key)
        if seat.is_new:
            self._direct.add(where)
        else:
            self.look(where)

    def unseated(self, line: str, seat_key: str) -> bool:
        """The last link of a seat is gone; return whether something may wait for it."""
        where = (line, seat_key)
        self._direct.discard(where)
        self._todo.pop(where, None)
        return self._versions.pop(where, None) is not None

    def queued(self, line: str, seat_key: str) -> None:
        """A row is (about to be) QUEUED for this seat."""
        where = (line, seat_key)
        self._direct.discard(where)
        self._versions[where] = self._versions.get(where, 0) + 1
        if self._router.find(line, seat_key):
            self.look(where)
        elif len(self._versions) > 100_000:
            # The rows are in the store; only the mark that a brief seat left some is forgotten.
            self._versions.pop(next(iter(self._versions)))

    def look(self, where: tuple[str, str]) -> None:
        """Look at the seat's queue soon."""
        self._todo[where] = None
        self._wake.set()

    async def quiet(self) -> None:
        """Return when every seat looked at until now is served."""
        while self._todo or not self._rested.is_set():
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
            if not self._todo:
                self._rested.set()
                self._wake.clear()
                await self._wake.wait()
                continue
            self._rested.clear()
            seats = list(self._todo)[:ROUND_SEATS]
            for where in seats:
                del self._todo[where]
            try:
                await self._round(claimer, seats)
            except StoreUnavailable:
                for where in seats:
                    self._later(1.0, lambda where=where: self.look(where))

    async def _round(self, claimer: Claimer, seats: Sequence[tuple[str, str]]) -> None:
        rows: list[Queued] = []
        for where in seats:
            rows += await self._fetch(where)
        if rows:
            await claimer.claim(rows)

    async def _fetch(self, where: tuple[str, str]) -> list[Queued]:
        line, seat_key = where
        facts = self._facts.get(line)
        if facts is None or facts.is_paused or not self._router.find(line, seat_key):
            return []
        version = self._versions.get(where, 0)
        account, peer = scope(facts, seat_key)
        now_ms = self._clock.now_ms()
        rows = await self._store.queued(line, account, peer, CLAIM_BATCH, now_ms)
        if rows:
            self._todo[where] = None  # look again after these have left
            return rows
        depth, due_ms = await self._store.queue_depth(line, account, peer)
        if depth == 0:
            if self._versions.get(where, 0) == version and self._router.find(line, seat_key):
                self._versions.pop(where, None)
                self._direct.add(where)
            elif self._versions.get(where, 0) != version:
                self.look(where)
        elif due_ms:
            delay_s = max(0.05, (due_ms - now_ms) / 1000)
            self._later(min(delay_s, 60.0), lambda: self.look(where))
        return []


def scope(facts: LineFacts, seat_key: str) -> tuple[str, str]:
    """Return (account, peer) of a seat's rows: an account's whole queue, or one visitor's."""
    if facts.seat_of(_PROBE) == _PROBE.account:
        return seat_key, ""
    return "", seat_key
