"""A breaker: a service that fails is left alone for a while, then probed by one call.

Source: reliability 3 (5 failures in a row, or ≥ 50 % of ≥ 20 in 30 s; open 30 s, one probe,
doubling to 5 min)
"""

from __future__ import annotations

from collections import deque
from typing import Final

from trunkline.clock import Clock

IN_A_ROW: Final = 5
MIN_CALLS: Final = 20
WINDOW_S: Final = 30.0
OPEN_S: Final = 30.0
MAX_OPEN_S: Final = 300.0
_REMEMBERED: Final = 1_000


class Breaker:
    """Closed, open, or open with one probe under way.

    Args:
        clock: monotonic time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._results: deque[tuple[float, bool]] = deque(maxlen=_REMEMBERED)
        self._in_a_row = 0
        self._open_s = 0.0
        self._until_s = 0.0
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a probe."""
        return self._open_s > 0

    def enter(self) -> bool:
        """Ask to make a call; every call that was let in ends in `note`."""
        if not self.is_open:
            return True
        if self._is_probing or self._clock.monotonic_s() < self._until_s:
            return False
        self._is_probing = True
        return True

    def note(self, *, is_good: bool) -> None:
        """Note how a call ended."""
        now_s = self._clock.monotonic_s()
        if self.is_open:
            # Calls let in before it opened end here as well: a late success proves as much.
            self._is_probing = False
            if is_good:
                self._close()
            elif now_s >= self._until_s:
                self._open(min(self._open_s * 2, MAX_OPEN_S))
            return
        self._results.append((now_s, is_good))
        self._in_a_row = 0 if is_good else self._in_a_row + 1
        if self._in_a_row >= IN_A_ROW or self._is_half_bad(now_s):
            self._open(OPEN_S)

    def leave(self) -> None:
        """End a call that proves nothing: it was given up by our side."""
        self._is_probing = False

    def _is_half_bad(self, now_s: float) -> bool:
        results = self._results
        while results and results[0][0] <= now_s - WINDOW_S:
            results.popleft()
        bad = sum(not is_good for _, is_good in results)
        return len(results) >= MIN_CALLS and bad * 2 >= len(results)

    def _open(self, seconds: float) -> None:
        self._open_s = seconds
        self._until_s = self._clock.monotonic_s() + seconds

    def _close(self) -> None:
        self._open_s = 0.0
        self._in_a_row = 0
        self._results.clear()
