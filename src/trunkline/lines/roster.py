"""Who sits on which link: (line, seat) → drivers, newest first.

Cleanup is by connection, never by identity: the late end of an older link cannot unseat a newer
one. Everything that links of a line share and that is not in the store is here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence, Set
from typing import Final, Protocol

from trunkline.clock import Clock
from trunkline.dialects.contract import Allowance, Seat, Sharing
from trunkline.exchange.contract import Origin

_NOBODY: Final[tuple[Origin, ...]] = ()
ALLOWANCE_KEYS = 10_000


class Sitter(Origin, Protocol):
    """A driver as the roster sees it."""

    def replaced(self) -> None:
        """A newer link has the seat: close 1000."""
        ...


class Roster:
    """The seats of all lines (`exchange.contract.Router`)."""

    def __init__(self) -> None:
        self._seats: dict[tuple[str, str], list[Sitter]] = {}
        self._shared: set[tuple[str, str]] = set()

    @property
    def shared(self) -> Set[tuple[str, str]]:
        """The (line, seat) pairs on which more than one link JOINed sits."""
        return self._shared

    def find(self, line: str, seat_key: str) -> Sequence[Origin]:
        """Return who a delivery goes to: every JOINed link, else the newest that can send."""
        sitters = self._seats.get((line, seat_key))
        if not sitters:
            return _NOBODY
        able = [sitter for sitter in sitters if sitter.can_send]
        if not able:
            return _NOBODY
        seat = able[0].seat
        return able if seat is not None and seat.sharing is Sharing.JOIN else able[:1]

    def seats(self, line: str) -> list[tuple[str, str]]:
        """Return the (line, seat) pairs of a line that are taken now."""
        return [where for where in self._seats if where[0] == line]

    def take(self, sitter: Sitter, seat: Seat) -> bool:
        """Seat a link; an older one on a REPLACE seat, or of the same link id, is closed.

        Return False, and seat nobody, when the older one is to keep its seat.
        """
        if seat.refusal and self._has_rival(sitter.line, seat):
            return False
        sitters = self._seats.setdefault((sitter.line, seat.key), [])
        if seat.sharing is Sharing.REPLACE:
            older = list(sitters)
        elif seat.link_id:
            older = [one for one in sitters if one.seat and one.seat.link_id == seat.link_id]
        else:
            older = []
        sitters.insert(0, sitter)
        if len(sitters) > 1 and seat.sharing is Sharing.JOIN:
            self._shared.add((sitter.line, seat.key))
        for old in older:
            old.replaced()
        return True

    def _has_rival(self, line: str, seat: Seat) -> bool:
        """Whether a link has the seat whole, or the same part of it (`Seat.link_id`)."""
        taken = [one.seat for one in self._seats.get((line, seat.key), ()) if one.seat is not None]
        return any(
            other.sharing is Sharing.REPLACE
            or (bool(other.link_id) and (seat.link_id or other.link_id) == other.link_id)
            for other in taken
        )

    def leave(self, sitter: Sitter, seat: Seat) -> bool:
        """Remove exactly this link; return whether the seat is empty now."""
        where = (sitter.line, seat.key)
        sitters = self._seats.get(where, [])
        if sitter in sitters:
            sitters.remove(sitter)
            if len(sitters) < 2:
                self._shared.discard(where)
        if not sitters:
            self._seats.pop(where, None)
            return True
        return False


class Allowances:
    """Sliding counts for `Allowance` requests of one line: bounded, in memory.

    At 10,000 keys the one unused for longest is forgotten, which can only allow too much.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._uses: OrderedDict[str, list[float]] = OrderedDict()

    def use(self, request: Allowance) -> bool | float:
        """Return True and count the use, or the seconds to wait."""
        now_s = self._clock.monotonic_s()
        uses = self._uses.setdefault(request.key, [])
        self._uses.move_to_end(request.key)
        if len(self._uses) > ALLOWANCE_KEYS:
            self._uses.popitem(last=False)
        horizon_s = now_s - request.per_s
        while uses and uses[0] <= horizon_s:
            uses.pop(0)
        if len(uses) >= request.limit:
            return max(0.001, uses[0] - horizon_s) if uses else request.per_s
        uses.append(now_s)
        return True
