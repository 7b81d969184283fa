"""Who sits on which link: (line, seat) → drivers, newest first.

Cleanup is by connection, never by identity: the late end of an older link cannot unseat a newer
one. Everything that links of a line share and that is not in the store is here.

A seat may be claimed instead of taken (`Seat.probe_s`): who has it is asked whether they are there,
and the link that wants it waits, bounded by the driver's clock. One link at most waits for a place.
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

    @property
    def is_leaving(self) -> bool:
        """Whether its link is closing: it still sits there, and nobody has to wait for it."""
        ...

    def replaced(self) -> None:
        """A newer link has the seat: close 1000."""
        ...

    def probe(self) -> None:
        """Ask the peer whether it is there; `Roster.heard` follows when anything comes from it."""
        ...


class Claimant(Sitter, Protocol):
    """A driver that waits for a seat."""

    def granted(self) -> None:
        """Nobody has the seat any more, or who has it is silent: take it."""
        ...

    def denied(self) -> None:
        """Who has the seat is there: close 1008."""
        ...


class Claim:
    """A link waits for a seat that others have: it is granted, denied or withdrawn, once.

    Args:
        claimant: who waits.
        seat: that it wants.
        rivals: who have it, none of whom said anything yet.
    """

    __slots__ = ("claimant", "is_over", "rivals", "seat")

    def __init__(self, claimant: Claimant, seat: Seat, rivals: dict[Sitter, None]) -> None:
        self.claimant = claimant
        self.seat = seat
        self.rivals = rivals
        self.is_over = False


class Roster:
    """The seats of all lines (`exchange.contract.Router`)."""

    def __init__(self) -> None:
        self._seats: dict[tuple[str, str], list[Sitter]] = {}
        self._shared: set[tuple[str, str]] = set()
        self._claims: dict[tuple[str, str], list[Claim]] = {}

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

    def take(self, sitter: Sitter, seat: Seat, *, is_granted: bool = False) -> bool:
        """Seat a link; an older one on a REPLACE seat, or of the same link id, is closed.

        Return False, and seat nobody, when the older one is to keep its seat, or another link waits
        for it.

        Args:
            is_granted: it waited for the seat, and may have it.
        """
        is_asked_for = bool(seat.refusal) and not is_granted
        if is_asked_for and (self._rivals(sitter, seat) or self._is_awaited(sitter.line, seat)):
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

    def _rivals(self, sitter: Sitter, seat: Seat) -> list[Sitter]:
        """Return who has the seat whole, or the same part of it (`Seat.link_id`)."""
        sitters = self._seats.get((sitter.line, seat.key), ())
        return [
            one
            for one in sitters
            if one is not sitter
            and one.seat is not None
            and _is_rival(one.seat, seat)
            and not one.is_leaving
        ]

    def _is_awaited(self, line: str, seat: Seat) -> bool:
        """Whether a link waits for the seat, or for a part that cannot be had beside it."""
        if not self._claims:
            return False
        waiting = self._claims.get((line, seat.key), ())
        return any(_is_rival(claim.seat, seat) for claim in waiting)

    # -- claims ------------------------------------------------------------------------------

    def claim(self, claimant: Claimant, seat: Seat) -> Claim | None:
        """Let a link wait for a seat that others have; `ask` begins.

        Return None when it need not or may not wait, because nobody has the seat or another link
        waits for it: `take` knows which.
        """
        rivals = self._rivals(claimant, seat)
        if not rivals or self._is_awaited(claimant.line, seat):
            return None
        claim = Claim(claimant, seat, dict.fromkeys(rivals))
        self._claims.setdefault((claimant.line, seat.key), []).append(claim)
        return claim

    def ask(self, claim: Claim) -> None:
        """Ask who has the seat whether they are there. One may say so before this returns."""
        for rival in list(claim.rivals):
            if not claim.is_over:
                rival.probe()

    def heard(self, sitter: Sitter) -> None:
        """Somebody who was asked is there: who waits for that seat is denied it."""
        for claim in self._claims_on(sitter, sitter.seat):
            self.withdraw(claim)
            claim.claimant.denied()

    def overdue(self, claim: Claim) -> None:
        """Nobody who was asked said anything in time: they go."""
        if claim.is_over:
            return
        self.withdraw(claim)
        for rival in claim.rivals:
            rival.replaced()  # first: what leaves for the seat now must not go there
        claim.claimant.granted()

    def vacated(self, sitter: Sitter, seat: Seat) -> None:
        """A link has left its seat for good: who waits for that alone has it now."""
        for claim in self._claims_on(sitter, seat):
            del claim.rivals[sitter]
            if not claim.rivals:
                self.withdraw(claim)
                claim.claimant.granted()

    def withdraw(self, claim: Claim) -> None:
        """Let a link wait no longer. Nobody is told."""
        if claim.is_over:
            return
        claim.is_over = True
        where = (claim.claimant.line, claim.seat.key)
        claims = self._claims[where]
        claims.remove(claim)
        if not claims:
            del self._claims[where]

    def _claims_on(self, sitter: Sitter, seat: Seat | None) -> list[Claim]:
        if seat is None or not self._claims:
            return []
        claims = self._claims.get((sitter.line, seat.key), ())
        return [claim for claim in claims if sitter in claim.rivals]

    # -- leaving -----------------------------------------------------------------------------

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


def _is_rival(older: Seat, newer: Seat) -> bool:
    """Whether two links cannot both have one seat; the halves of a pair can."""
    if older.sharing is Sharing.REPLACE:
        return True
    return bool(older.link_id) and (newer.link_id or older.link_id) == older.link_id


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
