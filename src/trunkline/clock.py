"""Time as an argument. Pure rooms import the type `Clock` and never the module `time`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for people and stored due times, one for timers."""

    def now_ms(self) -> int:
        """Return wall time in milliseconds since 1970, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never go backwards. Timers use this one only."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Return wall time in milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    # The clock of the event loop. Not wrapped: it is asked six times a message.
    monotonic_s = staticmethod(time.monotonic)


class ScaledClock(SystemClock):
    """The machine's clocks with a wall clock that runs faster: days of retention in minutes.

    Timers are not scaled, so links behave as they always do. For `[dev] clock_scale` only.

    Args:
        scale: seconds of wall time that pass in one second.
    """

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._start_ms = super().now_ms()
        self._start_s = self.monotonic_s()

    def now_ms(self) -> int:
        """Return a wall time that began right and has run ahead since."""
        return self._start_ms + round((self.monotonic_s() - self._start_s) * 1000 * self._scale)


class FakeClock:
    """A clock that moves when it is told to.

    Args:
        now_ms: wall time at the start; the monotonic clock starts at 1000 s.
    """

    def __init__(self, now_ms: int = 1_767_225_600_000) -> None:
        self._start_ms = now_ms
        self._monotonic_s = 1000.0

    def now_ms(self) -> int:
        """Return the wall time set, in milliseconds."""
        return self._start_ms + round((self._monotonic_s - 1000.0) * 1000)

    def monotonic_s(self) -> float:
        """Return the monotonic time set, in seconds."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Move both clocks forward by `seconds` (≥ 0)."""
        if seconds < 0:
            raise ValueError("a clock does not go backwards")
        self._monotonic_s += seconds
