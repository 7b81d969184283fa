"""When a turn is due: after a pause in the talk, but never later than a cap."""

from __future__ import annotations

from typing import Final

CAP_FACTOR: Final = 10
MAX_CAP_S: Final = 60.0


def due_ms(since_ms: int, last_ms: int, debounce_s: float, cap_s: float | None = None) -> int:
    """Return the wall time (ms) at which a turn shall be decided.

    Args:
        since_ms: when its first event came; the cap counts from here.
        last_ms: when its latest event came; the pause counts from here.
        debounce_s: the pause, 0 … 60.
        cap_s: the longest wait; None = ten times the pause, at most 60 s.
    """
    longest_ms = cap_ms(debounce_s) if cap_s is None else round(cap_s * 1000)
    return min(last_ms + round(debounce_s * 1000), since_ms + longest_ms)


def cap_ms(debounce_s: float) -> int:
    """Return the longest wait of a turn from its beginning, in milliseconds."""
    return round(min(CAP_FACTOR * debounce_s, MAX_CAP_S) * 1000)
