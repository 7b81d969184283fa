"""Pure delays: how long a dialled line waits before its next attempt (`guides 5`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from trunkline.dialects.options import LineOptions

BACKOFF_CEILING_S = 60.0
# "Accept, then drop" must not stay at the first delay. Source: xianyu 9 (flapping guard)
FLAPS = 5
FLAPS_WITHIN_S = 300.0
FLAP_LIVED_S = 30.0


def next_delay_s(
    options: LineOptions,
    table: Callable[[str, int], float],
    cause: str,
    nth: int,
    jitter: float,
) -> float:
    """Return the seconds before attempt `nth` (1 = the first after a loss).

    Args:
        table: the dialect's retry table, used unless the line names its own interval.
        cause: the class of the failure, as the session's `Again` says.
        jitter: 0 … 1, already drawn: the delay grows by at most this share.
    """
    if options.reconnect_interval_s is None:
        delay_s = table(cause, nth)
    elif options.reconnect_backoff:
        grown = options.reconnect_interval_s * 2.0 ** min(nth - 1, 16)
        delay_s = min(grown, max(BACKOFF_CEILING_S, options.reconnect_interval_s))
    else:
        delay_s = options.reconnect_interval_s
    return delay_s * (1.0 + jitter)


def next_count(nth: int, lived_s: float, stable_s: float) -> int:
    """Return the number of the next attempt after a link that lived `lived_s`.

    One that lived for `stable_s` resets the count, so flapping still backs off.
    """
    return 1 if lived_s >= stable_s else nth + 1


class Flaps:
    """Counts failures from the last READY, unless links end soon again and again."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=FLAPS)

    def next_count(self, nth: int, lived_s: float, now_s: float, *, was_ready: bool) -> int:
        """Return the number of the next attempt.

        Args:
            nth: failures before this one.
            lived_s: how long the link was open.
            was_ready: whether it was READY.
        """
        if not was_ready:
            return nth + 1
        if lived_s >= FLAP_LIVED_S:
            self._ends.clear()
            return 1
        self._ends.append(now_s)
        is_flapping = len(self._ends) == FLAPS and now_s - self._ends[0] <= FLAPS_WITHIN_S
        return nth + 1 if is_flapping else 1
