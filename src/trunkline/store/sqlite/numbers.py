"""Numbers that stand for longer ids: rows to values and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from trunkline.store.contract import Number, NumberKey

from .connection import Connection
from .statements import SQL


def put(connection: Connection, numbers: Iterable[Number]) -> None:
    """Write new numbers, in order. A message takes its id over from an older one that has it."""
    for one in numbers:
        if one.row:
            connection.execute(SQL["free_number"], (one.line, one.kind, one.ident, one.id))
        values = (one.id, one.line, one.kind, one.ident, one.row or None)
        connection.execute(SQL["put_number"], values)


def _from_row(row: Sequence[Any]) -> Number:
    return Number(row[0], row[1], row[2], row[3], row[4] or 0)


def find(connection: Connection, keys: Sequence[NumberKey]) -> list[Number | None]:
    """Look up (line, kind, ident)."""
    found = (connection.execute(SQL["find_number"], key).fetchone() for key in keys)
    return [None if row is None else _from_row(row) for row in found]


def get(connection: Connection, idents: Sequence[int]) -> list[Number | None]:
    """Look up numbers."""
    found = (connection.execute(SQL["number"], (ident,)).fetchone() for ident in idents)
    return [None if row is None else _from_row(row) for row in found]


def next_id(connection: Connection) -> int:
    """Return the first number that was never given."""
    last: int = connection.execute(SQL["last_number"]).fetchone()[0]
    return last + 1
