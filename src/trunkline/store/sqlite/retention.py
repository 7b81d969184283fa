"""Forgets what is too old, one small batch at a time (reliability 3).

Row ids contain the time, so age is a bound on the id and needs no index. Rows in rare states and
large bodies are found by the indexes they have; all others by walks in the order of ids, one for
each thing that is forgotten at an age of its own. The places of the walks are kept in memory: a
restart begins them anew, and so meets rows that were open when a walk passed them.

What is open (waiting, held, queued, under way) is never touched, however old.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from trunkline.ids import id_at
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import InboxState, Retention
from trunkline.store.media import Media

from . import stream
from .connection import Connection, transaction
from .statements import SQL

_DAY_MS: Final = 86_400_000
_LOOKS: Final = 20  # batches looked at in one call, so that it never blocks a beat for long
_OVER_INBOX: Final = (InboxState.DEAD, InboxState.DISCARDED)
_OVER_OUTBOX: Final = (
    DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.DEAD, DeliveryState.DISCARDED,
)  # fmt: skip

_FORGET_HISTORY: Final = {
    "delete_inbox": "forget_history_of_inbox", "delete_outbox": "forget_history_of_outbox",
}  # fmt: skip

_Place: TypeAlias = tuple[str, str, float, frozenset[str] | None]


class _Walk(msgspec.Struct, frozen=True):
    """One thing that is forgotten at one age.

    Args:
        sentence: what is done to a row.
        column: which flag of the walk's rows says that there is something to do.
        lines: the lines it is for; None = all that are not in `others`.
    """

    table: str
    sentence: str
    days: float
    column: int
    lines: frozenset[str] | None
    others: frozenset[str] = frozenset()
    is_final_only: bool = True

    def wants(self, row: Sequence[Any]) -> bool:
        """Whether a row (id, line, is_final, has_body, has_why) loses something."""
        if self.is_final_only and not row[2]:
            return False
        if self.column and not row[self.column]:
            return False
        return row[1] not in self.others if self.lines is None else row[1] in self.lines

    @property
    def place(self) -> _Place:
        """What its progress is kept under. Two groups of lines may share an age."""
        return (self.table, self.sentence, self.days, self.lines)


class Forgetting:
    """Retention over one database. All of it on the writer thread."""

    def __init__(self, connection: Connection, media: Media) -> None:
        self._connection = connection
        self._media = media
        self._places: dict[_Place, int] = {}
        self._round: Iterator[int] | None = None

    def step(self, now_ms: int, policy: Retention) -> int:
        """Forget at most one batch; return how many rows and files, 0 when all is done.

        At least 1 while more is to be looked at, though nothing in this batch was too old. A round
        goes on where the last call stopped, with the ages of its beginning: begun anew each time,
        what becomes old every second would keep it from ever reaching what comes after.
        """
        if self._round is None:
            self._round = self._work(now_ms, policy)
        try:
            for _ in range(_LOOKS):
                changed = next(self._round, None)
                if changed is None:
                    self._round = None
                    return 0
                if changed:
                    return changed
        except BaseException:
            self._round = None  # a generator that raised is over
            raise
        return 1

    def _work(self, now_ms: int, policy: Retention) -> Iterator[int]:
        """Yield, for each batch looked at, how much of it was changed."""
        yield from self._large_bodies(_bound(now_ms, policy.media_days), policy.batch)
        bound = _bound(now_ms, policy.changes_days)
        while forgotten := stream.forget(self._connection, bound, policy.batch):
            yield forgotten
        yield from self._dead_letters(now_ms, policy)
        for walk in _walks(policy):
            yield from self._walk(walk, _bound(now_ms, walk.days), policy.batch)
        before_ms = now_ms - round(policy.media_days * _DAY_MS)
        while (swept := self._media.sweep(before_ms, self._is_named, policy.batch)) is not None:
            yield swept

    def _large_bodies(self, bound: int, batch: int) -> Iterator[int]:
        for table in ("inbox", "outbox"):
            while ids := self._ids(f"{table}_media_before", (bound, batch)):
                yield self._apply(f"empty_{table}", ids)

    def _dead_letters(self, now_ms: int, policy: Retention) -> Iterator[int]:
        bound = _bound(now_ms, max(policy.dead_days, policy.keys_days))  # a dead row has a key too
        for state in _OVER_INBOX:
            while ids := self._ids("inbox_marked_before", (int(state), bound, policy.batch)):
                yield self._apply("delete_inbox", ids)
        bound = _bound(now_ms, policy.dead_days)
        for sent in _OVER_OUTBOX:
            while ids := self._ids("outbox_marked_before", (int(sent), bound, policy.batch)):
                yield self._apply("delete_outbox", ids)

    def _walk(self, walk: _Walk, bound: int, batch: int) -> Iterator[int]:
        while True:
            place = self._places.get(walk.place, -1)
            values = (place, bound, batch)
            rows = self._connection.execute(SQL[f"{walk.table}_walk"], values).fetchall()
            if not rows:
                return
            changed = self._apply(walk.sentence, [row[0] for row in rows if walk.wants(row)])
            self._places[walk.place] = rows[-1][0]
            yield changed

    def _ids(self, name: str, values: tuple[int, ...]) -> list[int]:
        return [row[0] for row in self._connection.execute(SQL[name], values)]

    def _apply(self, name: str, ids: Sequence[int]) -> int:
        if ids:
            values = [(ident,) for ident in ids]
            with transaction(self._connection):
                if name in _FORGET_HISTORY:
                    self._connection.executemany(SQL[_FORGET_HISTORY[name]], values)
                    self._connection.executemany(SQL["forget_numbers"], values)
                if name == "delete_inbox":
                    self._connection.executemany(SQL["forget_aliases"], values)
                self._connection.executemany(SQL[name], values)
        return len(ids)

    def _is_named(self, digest: bytes) -> bool:
        return bool(self._connection.execute(SQL["names_media"], (digest,)).fetchone()[0])


def _bound(now_ms: int, days: float) -> int:
    return id_at(now_ms - round(days * _DAY_MS))


def _walks(policy: Retention) -> Iterable[_Walk]:
    """Return the walks of a policy: *why*, then bodies and whole rows by the age of their line."""
    yield _Walk("inbox", "forget_why", policy.why_days, 4, None, is_final_only=False)
    named = frozenset(policy.lines_days)
    groups: list[tuple[float, frozenset[str] | None]] = [(policy.bodies_days, None)]
    for days in sorted(set(policy.lines_days.values())):
        lines = frozenset(line for line, own in policy.lines_days.items() if own == days)
        groups.append((days, lines))
    for table in ("inbox", "outbox"):
        for days, lines in groups:
            if days < policy.keys_days:
                yield _Walk(table, f"empty_{table}", days, 3, lines, named)
            whole = max(days, policy.keys_days)
            yield _Walk(table, f"delete_{table}", whole, 0, lines, named)
