"""The order of changes: what is new or different since a position, across restarts.

A position (`seq`) counts places of row ids, not rows: one commit that inserts the ids 160 … 320
takes 161 positions, and row 192 stands at the 33rd of them. So a whole run of rows is one row of
the table `stream` (seq, side, first, last), and a beat that answers and settles writes three of
them, whatever it holds. (Measured, 64 messages a commit, statements only: without a stream 10.1 µs
a message, with the runs 10.1 to 10.8, with an index over `seq` in both tables 10.5 to 10.9, with
one over changed outbox rows only 10.7 to 11.2. The runs also touch
one page a commit instead of two.)

A row that was never changed has no `seq` and stands where its insertion stands. A changed one
stores where it stands now; the runs that it was in before do not show it any more. Rows that come
with an id below those of earlier commits (the answer to a turn that waited) store it from the
start, so that no older run shows them.

63 bits of positions are enough for decades of full load, as long as a run spans a second at most.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Final

from .connection import Connection, transaction
from .statements import SQL

INBOX: Final = 0
OUTBOX: Final = 1
_CHANGED: Final = 2  # added to a side: rows that store their position
_MAX_SPAN: Final = 1 << 32  # ids: a second
_RUNS: Final = 256
_SENTENCES: Final[tuple[str, ...]] = tuple(
    SQL[name] for name in ("stream_inbox_inserted", "stream_outbox_inserted",
                           "stream_inbox_changed", "stream_outbox_changed")
)  # fmt: skip


class Marks:
    """The runs of one transaction, written at its end.

    Args:
        next_seq: the first free position.
        tops: the highest id inserted before, of each side.
    """

    def __init__(self, next_seq: int, tops: tuple[int, int]) -> None:
        self.next_seq = next_seq
        self.tops = list(tops)
        self._runs: list[tuple[int, int, int, int]] = []

    def span(self, side: int, first: int, last: int) -> int:
        """Take positions for changed rows of a range; return what is to be added to an id."""
        return self._take(side + _CHANGED, first, last) - first

    def change(self, side: int, ids: Sequence[int]) -> list[int]:
        """Take positions for changed rows; return one for each id."""
        first, last = min(ids, default=0), max(ids, default=0)
        if ids and last - first < _MAX_SPAN:
            shift = self.span(side, first, last)
            return [ident + shift for ident in ids]
        shifts = self._shifts(side, ids)
        return [ident + shifts[ident] for ident in ids]

    def insert(self, side: int, ids: Sequence[int]) -> dict[int, int]:
        """Take positions for new rows; return those that must be stored, by id."""
        top = self.tops[side]
        first, last = min(ids), max(ids)
        late: dict[int, int] = {}
        if first <= top:
            low = [ident for ident in ids if ident <= top]
            late = {ident: ident + shift for ident, shift in self._shifts(side, low).items()}
            first = min((ident for ident in ids if ident > top), default=0)
        if first:
            self._take(side, first, last)
            self.tops[side] = last
        return late

    def write(self, connection: Connection) -> None:
        """Write the runs; the transaction is the caller's."""
        if self._runs:
            connection.executemany(SQL["insert_stream"], self._runs)

    def _shifts(self, side: int, ids: Iterable[int]) -> dict[int, int]:
        shifts: dict[int, int] = {}
        group: list[int] = []
        for ident in sorted(set(ids)):
            if group and ident - group[0] >= _MAX_SPAN:
                self._close(side, group, shifts)
                group = []
            group.append(ident)
        if group:
            self._close(side, group, shifts)
        return shifts

    def _close(self, side: int, group: Sequence[int], shifts: dict[int, int]) -> None:
        shift = self.span(side, group[0], group[-1])
        shifts.update(dict.fromkeys(group, shift))

    def _take(self, side: int, first: int, last: int) -> int:
        seq = self.next_seq
        self._runs.append((seq, side, first, last))
        self.next_seq = seq + last - first + 1
        return seq


class Stream:
    """Hands out positions. Belongs to the thread that commits."""

    def __init__(self, next_seq: int = 1, tops: tuple[int, int] = (0, 0)) -> None:
        self._next_seq = next_seq
        self._tops = tops

    @classmethod
    def load(cls, connection: Connection) -> Stream:
        """Go on where the last start ended."""
        inbox, outbox = connection.execute(SQL["tops"]).fetchone()
        return cls(end(connection) + 1, (inbox, outbox))

    def marks(self) -> Marks:
        """Begin to take positions; without `keep` they stay free."""
        return Marks(self._next_seq, self._tops)

    def keep(self, marks: Marks) -> None:
        """The transaction is committed."""
        self._next_seq = marks.next_seq
        self._tops = (marks.tops[0], marks.tops[1])

    @contextmanager
    def transaction(self, connection: Connection) -> Generator[Marks]:
        """Commit what is done inside with its positions, or roll all of it back."""
        marks = self.marks()
        with transaction(connection):
            yield marks
            marks.write(connection)
        self.keep(marks)


def end(connection: Connection) -> int:
    """Return the last position, 0 when nothing was ever written."""
    row = connection.execute(SQL["stream_end"]).fetchone()
    return 0 if row is None else row[0]


def read(
    connection: Connection, after: int, limit: int
) -> tuple[list[tuple[int, int, int]], int, bool]:
    """Return (seq, side, id) of what stands after a position, the next position, and `is_gap`.

    A page may be empty while the position moves on: all that stood there has changed since.
    """
    start = connection.execute(SQL["stream_start"]).fetchone()
    last = end(connection)
    if after > last:  # of other data, or of a backup: start anew
        return [], last, True
    is_gap = bool(after) and start is not None and start[0] > after + 1
    found: list[tuple[int, int, int]] = []
    position = after
    runs: list[tuple[int, int, int, int]] = connection.execute(
        SQL["stream_from"], (after + 1, _RUNS)
    ).fetchall()
    for seq, side, first, high in runs:
        room = limit - len(found)
        if not room:
            break
        shift = seq - first
        low = max(first, after + 1 - shift)
        if low <= high:
            values = (low, high, room) if side < _CHANGED else (low, high, room, shift)
            ids: list[int] = [row[0] for row in connection.execute(_SENTENCES[side], values)]
            found += [(ident + shift, side % _CHANGED, ident) for ident in ids]
            if len(ids) == room:
                return found, found[-1][0], is_gap
            position = high + shift
    return found, position, is_gap


def forget(connection: Connection, bound: int, batch: int) -> int:
    """Delete at most a batch of runs that are older than an id; return how many.

    Only insertions tell the time, by their ids: what stands before an old one is old too. The last
    run always stays: it says how far the positions are.
    """
    old: int | None = connection.execute(SQL["stream_old"], (bound,)).fetchone()[0]
    if old is None:
        return 0
    with transaction(connection):
        return connection.execute(SQL["delete_stream"], (old, batch)).rowcount
