"""Which deliveries are SENDING, in memory: an index for them would cost every message 1.5 µs.

Nothing is lost with it: a start finds no SENDING row, since the one before it made them UNCERTAIN.
Changed only after a commit, by the thread that commits. Bound: as many as links have under way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence


class Flight:
    """Ids that are SENDING, in order, each with its conversation."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._conversations: list[int] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, rows: Sequence[tuple[int, int]]) -> None:
        """Add (id, conversation), usually above all that are here."""
        if not rows:
            return
        ordered = sorted(rows)
        if not self._ids or ordered[0][0] > self._ids[-1]:
            ids, conversations = zip(*ordered, strict=True)
            self._ids += ids
            self._conversations += conversations
            return
        for ident, conversation in ordered:
            place = bisect_left(self._ids, ident)
            self._ids.insert(place, ident)
            self._conversations.insert(place, conversation)

    def remove(self, ids: Iterable[int]) -> None:
        """Remove ids; those that are not here do no harm."""
        for ident in ids:
            self.remove_range(ident, ident)

    def remove_range(self, first: int, last: int) -> None:
        """Remove first … last."""
        start = bisect_left(self._ids, first)
        end = bisect_right(self._ids, last)
        del self._ids[start:end]
        del self._conversations[start:end]

    def earliest(self) -> dict[int, int]:
        """Return the lowest id by conversation."""
        return dict(zip(reversed(self._conversations), reversed(self._ids), strict=True))
