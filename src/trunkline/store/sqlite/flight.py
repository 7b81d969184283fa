"""Which deliveries are SENDING, in memory: an index for them would cost every message 1.5 µs.

Nothing is lost with it: a start finds no SENDING row, since the one before it made them UNCERTAIN.
Changed only after a commit, by the thread that commits. Bound: as many as links have under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Flight:
    """Ids that are SENDING, each with its conversation."""

    def __init__(self) -> None:
        self._conversations: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._conversations)

    def add(self, rows: Mapping[int, int]) -> None:
        """Add ids, each with its conversation."""
        self._conversations.update(rows)

    def remove(self, ids: Iterable[int]) -> None:
        """Remove ids; those that are not here do no harm."""
        pop = self._conversations.pop
        for ident in ids:
            pop(ident, None)

    def remove_range(self, first: int, last: int) -> None:
        """Remove first … last."""
        self.remove([ident for ident in self._conversations if first <= ident <= last])

    def earliest(self) -> dict[int, int]:
        """Return the lowest id by conversation."""
        found: dict[int, int] = {}
        for ident, conversation in self._conversations.items():
            if ident < found.get(conversation, ident + 1):
                found[conversation] = ident
        return found
