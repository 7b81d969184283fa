"""Pure delays: how long a dialled line waits before its next attempt (`guides 5`)."""

from __future__ import annotations

from collections.abc import Callable

from trunkline.dialects.options import LineOptions

STABLE_S = 60.0  # a link that lived so long resets the count, so flapping still backs off
BACKOFF_CEILING_S = 60.0


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


def next_count(nth: int, lived_s: float) -> int:
    """Return the number of the next attempt after a link that lived `lived_s`."""
    return 1 if lived_s >= STABLE_S else nth + 1
