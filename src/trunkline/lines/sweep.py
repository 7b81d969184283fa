"""What all links of a process share: one timer, one memory budget, one place for our own bugs.

A timer or task per link would cost more than the link: the sweep is a single loop timer that visits
every link once a second. The budget adds up what links hold and closes one when it is too much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from trunkline.clock import Clock

PERIOD_S: Final = 1.0
BUDGET_BYTES: Final = 268_435_456  # Source: reliability 2
LARGE_BYTES: Final = 65_536


class Swept(Protocol):
    """What the sweep and the budget need of a link."""

    @property
    def active_s(self) -> float:
        """Monotonic second of the last traffic, as exact as the sweep's period."""
        ...

    def visit(self, now_s: float) -> None:
        """A second has passed: ping, notice a missing pong or a stalled write."""
        ...

    def evict(self) -> None:
        """Close 1013: the process holds too much."""
        ...


class PingSweep:
    """Visits every link once a second: pings, missing pongs, peers that do not read.

    Args:
        clock: monotonic time.
        is_driven: False = no timer of its own; somebody calls `visit` (tests, the simulation).
    """

    def __init__(self, clock: Clock, *, is_driven: bool = True) -> None:
        self._clock = clock
        self._is_driven = is_driven
        self._links: dict[Swept, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.now_s = clock.monotonic_s()

    def __len__(self) -> int:
        return len(self._links)

    def add(self, link: Swept) -> None:
        """Visit `link` from now on. The timer runs while there are links."""
        if not self._links:
            self.now_s = self._clock.monotonic_s()
        self._links[link] = None
        if self._timer is None and self._is_driven:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._ring)

    def discard(self, link: Swept) -> None:
        """Visit `link` no longer."""
        self._links.pop(link, None)
        if not self._links and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def visit(self) -> None:
        """Visit every link. A link may end while it is visited."""
        self.now_s = now_s = self._clock.monotonic_s()
        for link in tuple(self._links):
            link.visit(now_s)

    def _ring(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._ring)
        self.visit()


class Budget:
    """Adds up the bytes that links hold; over the limit the idlest large link is closed 1013.

    Read buffers never shrink, so a link counts twice its largest frame for as long as it lives.
    """

    def __init__(self, limit_bytes: int = BUDGET_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._held: dict[Swept, int] = {}
        self.total_bytes = 0

    def put(self, link: Swept, held_bytes: int) -> None:
        """Say that `link` holds so much now. May close a link, also this one."""
        self.total_bytes += held_bytes - self._held.get(link, 0)
        self._held[link] = held_bytes
        while self.total_bytes > self._limit_bytes and self._held:
            victim = self._idlest()
            # Before `evict`, so that the loop ends whatever the link does about it.
            self.discard(victim)
            victim.evict()

    def discard(self, link: Swept) -> None:
        """`link` holds nothing any more."""
        self.total_bytes -= self._held.pop(link, 0)

    def _idlest(self) -> Swept:
        large = [link for link, held in self._held.items() if held >= LARGE_BYTES]
        held = self._held
        return min(large or held, key=lambda link: (link.active_s, -held[link]))


class Commons(msgspec.Struct, frozen=True):
    """What all links of a process share.

    Args:
        sweep: visits them.
        budget: counts what they hold.
        on_trouble: told of an exception from a link's user, with where it came from; the link
            closes 1011 and the process goes on.
    """

    sweep: PingSweep
    budget: Budget
    on_trouble: Callable[[str, BaseException], None]
