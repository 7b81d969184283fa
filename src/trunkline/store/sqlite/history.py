"""What was said in a conversation, and which conversations were active last.

No index of the beat's tables is led by the conversation (`measurements.md`: 26 → 43 µs a message).
So the tables `history` and `active` are filled behind the beats, in batches that are sorted by
conversation, up to a row id that `meta` holds under `history`. Reads join the index with the tail
that is not in it yet, in one read transaction, so that a row is in exactly one of both. The tail is
bounded: a reader that finds it too long has it indexed first (`store.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import EventKind, InboxRow, OutboxRow, Page
from trunkline.store.media import Media

from . import conversations, inbox, outbox
from .connection import Connection, transaction
from .paging import LAST, page_of, read_cursor
from .statements import SQL

TAIL: Final = 4096  # rows that a read may find unindexed
BATCH: Final = 4096  # rows of each table in one transaction: a few milliseconds of the writer
_COUNTED: Final = 1 << 20
_SLICE: Final = 64
_UNSAID: Final = frozenset({DeliveryState.DRAFT, DeliveryState.DISCARDED})
_ERASED: Final = 500

Said: TypeAlias = InboxRow | OutboxRow


class Indexer:
    """How far the index goes. Belongs to the thread that commits.

    Args:
        end: every row up to this id is indexed.
        tail: about how many rows are not.
    """

    def __init__(self, end: int = 0, tail: int = 0) -> None:
        self.end = end
        self.tail = tail

    @classmethod
    def load(cls, connection: Connection) -> Indexer:
        """Go on where the last start ended."""
        row = connection.execute(SQL["history_end"]).fetchone()
        end = 0 if row is None else row[0]
        tail: int = connection.execute(SQL["count_tail"], (end, _COUNTED)).fetchone()[0]
        return cls(end, tail)

    def put_late(self, connection: Connection, rows: Sequence[Said]) -> None:
        """Index new rows that are older than what is indexed, in the beat that inserts them."""
        late = [(row.conversation, row.id) for row in rows if row.id <= self.end]
        if late:
            connection.executemany(SQL["put_history"], late)
            connection.executemany(SQL["put_active"], late)

    def step(self, connection: Connection, limit: int = BATCH) -> int:
        """Index at most `limit` rows of each table; return how many rows that were."""
        ends: list[int] = []
        last = self.end
        for name in ("nth_inbox", "nth_outbox"):
            count, found = connection.execute(SQL[name], (self.end, limit)).fetchone()
            last = max(last, found or 0)
            if count == limit:
                ends.append(found)
        bound = min(ends, default=last)
        if bound == self.end:
            self.tail = 0
            return 0
        with transaction(connection):
            total = connection.execute(SQL["fill_history"], (self.end, bound)).rowcount
            connection.execute(SQL["fill_active"], (self.end, bound))
            connection.execute(SQL["put_history_end"], (bound,))
        self.end = bound
        self.tail = 0 if bound == last else max(1, self.tail - total)
        return total


@contextmanager
def snapshot(connection: Connection) -> Generator[int]:
    """Read a consistent state; yield how far the index goes in it."""
    connection.execute("BEGIN")
    try:
        row = connection.execute(SQL["history_end"]).fetchone()
        yield 0 if row is None else row[0]
    finally:
        connection.execute("ROLLBACK")


def said(
    connection: Connection, media: Media, conversation: int, before: int, limit: int
) -> list[Said]:
    """Return what was said, newest first, below `before` (0 = the newest)."""
    with snapshot(connection) as end:
        found: list[Said] = []
        for ident in _ids(connection, conversation, before or LAST, end):
            row = load(connection, media, ident)
            if row is not None:
                found.append(row)
                if len(found) == limit:
                    break
        return found


def _ids(connection: Connection, conversation: int, before: int, end: int) -> Iterable[int]:
    """Yield row ids of a conversation, newest first: the tail, then the index slice by slice."""
    if before > end:
        for (ident,) in connection.execute(SQL["tail_of"], (end, conversation, before)).fetchall():
            yield ident
    edge = min(before, end + 1)
    while True:
        rows = connection.execute(SQL["history"], (conversation, edge, _SLICE)).fetchall()
        for (ident,) in rows:
            yield ident
        if len(rows) < _SLICE:
            return
        edge = rows[-1][0]


def load(connection: Connection, media: Media, ident: int) -> Said | None:
    """Return a row when it is something that was said; its id tells nothing of its table."""
    row = inbox.get(connection, media, ident)
    if row is not None:
        return row if row.kind is not EventKind.NOTICE else None
    sent = outbox.get_row(connection, media, ident)
    return sent if sent is not None and sent.state not in _UNSAID else None


def active(connection: Connection, media: Media, *, line: str, cursor: str, limit: int) -> Page:
    """List (conversation, last row or None), last active first."""
    edge = read_cursor(cursor, LAST)
    with snapshot(connection) as end:
        tail = dict(connection.execute(SQL["tail_active"], (end, line)).fetchall())
        found = [(last, ident) for ident, last in tail.items() if last < edge]
        below = edge
        while len(found) <= limit:
            # A conversation of the tail stands where its newest row stands, not where it stood.
            values = (line, below, limit + 1) if line else (below, limit + 1)
            name = "active_of_line" if line else "active"
            rows = connection.execute(SQL[name], values).fetchall()
            found += [(last, ident) for ident, last in rows if ident not in tail]
            if len(rows) <= limit:
                break
            below = rows[-1][1]
        found.sort(reverse=True)
        ids = [last for last, _ in found]
        page, next_cursor = page_of(ids, limit)
        shown: list[tuple[object, Said | None]] = []
        for last, ident in found[: len(page)]:
            state = conversations.get(connection, ident)
            if state is not None:
                shown.append((state, load(connection, media, last)))
        return Page(shown, next_cursor)


def erase(connection: Connection, conversation: int, end: int) -> int:
    """Forget all rows of a conversation but the one that names it; return how many.

    Media files that no row names any more go with the next sweep of the retention.
    """
    values = (conversation, end + 1, LAST)
    ids: list[int] = [row[0] for row in connection.execute(SQL["history"], values)]
    for start in range(0, len(ids), _ERASED):
        part = [(ident,) for ident in ids[start : start + _ERASED]]
        with transaction(connection):
            connection.executemany(SQL["delete_inbox"], part)
            connection.executemany(SQL["delete_outbox"], part)
            connection.executemany(SQL["forget_numbers"], part)
            connection.executemany(SQL["forget_aliases"], part)
            connection.executemany(
                SQL["erase_history"], [(conversation, ident) for (ident,) in part]
            )
    with transaction(connection):
        connection.execute(SQL["erase_turn"], (conversation,))
        connection.execute(SQL["erase_active"], (conversation,))
        connection.execute(SQL["erase_conversation"], (conversation,))
    return len(ids)
