"""What both contact sessions share: the states of a link, and timestamps that never go back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from trunkline.clock import Clock
from trunkline.dialects.contract import LinkState
from trunkline.errors import LocalProtocolError

# From → to. READY begins with `connection_established`; a hang-up or a lost link is CLOSED.
MOVES: Final[dict[LinkState, frozenset[LinkState]]] = {
    LinkState.OPENING: frozenset({LinkState.READY, LinkState.CLOSED}),
    LinkState.READY: frozenset({LinkState.CLOSED}),
    LinkState.CLOSED: frozenset({LinkState.CLOSED}),
}


def move(state: LinkState, to: LinkState) -> LinkState:
    """Return `to` when the table allows it.

    Raises:
        LocalProtocolError: our own code called a verb at the wrong time.
    """
    if to not in MOVES[state]:
        raise LocalProtocolError(f"a contact session does not go from {state.value} to {to.value}")
    return to


def format_instant(at_ms: int) -> str:
    """Format wall milliseconds as `2025-01-01T12:00:00.000+00:00`. Source: contact 3"""
    second, rest_ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(second, UTC).isoformat()[:19]}.{rest_ms:03d}+00:00"


class Stamps:
    """Timestamps of one connection: UTC, milliseconds, numeric offset, never going backwards.

    Source: contact 3. The text up to the second is kept, because it serves many frames.

    Args:
        clock: wall time; when it is set back, the last timestamp is repeated.
    """

    __slots__ = ("_clock", "_last_ms", "_second", "_text", "_to_second")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms = -1
        self._second = -1
        self._to_second = ""
        self._text = ""

    def now(self) -> str:
        """Return the time as `2025-01-01T12:00:00.000+00:00`."""
        now_ms = self._clock.now_ms()
        if now_ms <= self._last_ms:
            return self._text
        self._last_ms = now_ms
        second, rest_ms = divmod(now_ms, 1000)
        if second != self._second:
            self._second = second
            self._to_second = datetime.fromtimestamp(second, UTC).isoformat()[:19]
        self._text = f"{self._to_second}.{rest_ms:03d}+00:00"
        return self._text
