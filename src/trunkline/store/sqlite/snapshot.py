"""A copy of the database while it is written to, and what a copy must pass before it is trusted.

The copy is one moment of the data: the source is read inside one read transaction, which in WAL
mode holds no writer up, so that it never starts again however much is committed meanwhile.
Used by `trunkline backup` and `restore`; a running server has no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import msgspec

from trunkline.errors import StoreDamaged

from . import starting
from .connection import connect_plain, connect_reader, create_file, guarded
from .statements import SQL

STEP_PAGES: Final = 2048


class Inspected(msgspec.Struct, frozen=True):
    """What is in a database that passed.

    Args:
        revision: of its tables, "" for one without any.
        rows: by table, all tables of ours.
    """

    revision: str
    rows: Mapping[str, int]


def copy_database(source: Path, target: Path, on_pages: Callable[[int, int], None]) -> None:
    """Copy one moment of `source` to the new file `target`, mode 0600.

    Args:
        on_pages: told (pages done, pages in all) from time to time.

    Raises:
        StoreUnavailable: the source cannot be read, or the target not written.
    """
    guarded(lambda: _copy(source, target, on_pages))


def _copy(source: Path, target: Path, on_pages: Callable[[int, int], None]) -> None:
    create_file(target)
    with closing(connect_reader(source)) as reading, closing(connect_plain(target)) as writing:
        reading.execute("BEGIN")
        reading.execute(SQL["has_versions"]).fetchone()  # the first read fixes the moment

        def tell(_status: int, left: int, total: int) -> None:
            on_pages(total - left, total)

        reading.backup(writing, pages=STEP_PAGES, progress=tell)
        # A copy is one file: without this it would ask for a log of its own when it is opened.
        writing.execute("PRAGMA journal_mode=DELETE")
    for ending in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            target.with_name(target.name + ending).unlink()


def inspect(path: Path) -> Inspected:
    """Check a database that nobody writes to, and count its rows.

    Raises:
        StoreDamaged: with the first thing that is wrong.
        StoreTooNew: a newer trunkline wrote it.
        StoreUnavailable: it is no database of ours, or cannot be read.
    """
    found: Inspected = guarded(lambda: _inspect(path))
    return found


def _inspect(path: Path) -> Inspected:
    with closing(connect_plain(path)) as connection:
        wrong: str = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if wrong != "ok":
            raise StoreDamaged(f"the copy is damaged: {wrong}")
        stray = connection.execute("PRAGMA foreign_key_check").fetchone()
        if stray is not None:
            raise StoreDamaged(f"the copy is damaged: a row of {stray[0]} points to nothing")
        revision = starting.revision(connection)
        tables = [row[0] for row in connection.execute(SQL["own_tables"])]
        # Names come from the database's own list and are quoted; a name cannot be a parameter.
        rows = {
            table: int(connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])  # noqa: S608
            for table in tables
        }
        return Inspected(revision, rows)
