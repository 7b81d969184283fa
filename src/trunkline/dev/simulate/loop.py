"""An event loop without sockets whose time is a fake clock that jumps to the next timer.

The tasks of the house run on it unchanged: `asyncio.sleep`, `timeout`, `call_at` cost nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from trunkline.clock import FakeClock

STUCK_TURNS: Final = 200_000  # of the loop without time passing: something spins


class Deadlock(Exception):
    """Nothing is ready and no timer is set: whoever waits, waits for ever."""


class Livelock(Exception):
    """The loop turns and turns and no time passes."""


class _Selector:
    """What `BaseEventLoop` waits on between two turns: here the clock moves instead."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._turns = 0

    def select(self, timeout: float | None) -> list[Any]:
        """Let `timeout` seconds pass; nothing ever becomes readable."""
        if timeout is None:
            raise Deadlock("everything waits, and no timer is set")
        if timeout > 0:
            self._turns = 0
            self._clock.advance(timeout)
            return []
        self._turns += 1
        if self._turns > STUCK_TURNS:
            raise Livelock(f"{STUCK_TURNS} turns of the loop without time passing")
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module.

    Args:
        clock: moved by the loop only.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._fake_clock = clock
        self._selector = _Selector(clock)

    def time(self) -> float:
        """Return the virtual monotonic time."""
        return self._fake_clock.monotonic_s()

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: there are no files to watch."""

    def _write_to_self(self) -> None:
        """Do nothing: there is one thread, the loop need not be woken."""
