"""The one place that knows the driver: opening a file, and what its errors mean.

`isolation_level=None`: transactions are begun and ended by our own sentences. A connection belongs
to one thread at a time; the threads are in `worker.py`.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from trunkline.errors import StoreDamaged, StoreFull, StoreUnavailable

Connection: TypeAlias = sqlite3.Connection
OperationalError = sqlite3.OperationalError
IntegrityError = sqlite3.IntegrityError

BUSY_TIMEOUT_S: Final = 5.0
JOURNAL_BYTES: Final = 64 << 20
_CACHE_KIB: Final = 4000

# What is wrong with the file or the disk, not with the rows offered: the caller waits and retries.
_UNAVAILABLE: Final = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
})  # fmt: skip
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def connect(path: Path, synchronous: str) -> Connection:
    """Open the file for writing and set it up (reliability 4)."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    # The first statement that reads the file: one that is no database fails here.
    mode: str = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        connection.close()
        raise StoreUnavailable(f"{path} cannot use a write-ahead log (journal mode {mode})")
    for pragma in (
        f"synchronous={synchronous}",
        "foreign_keys=ON",
        f"journal_size_limit={JOURNAL_BYTES}",
        f"cache_size=-{_CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def connect_reader(path: Path) -> Connection:
    """Open the file for reading only."""
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    return connection


def connect_plain(path: Path) -> Connection:
    """Open a copy that nobody else has, as it is: no log is made beside it."""
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def create_file(path: Path) -> None:
    """Make an empty file of mode 0600, or tighten the one that is there.

    SQLite gives its log and index files the mode of the database.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(FileNotFoundError):
            path.with_name(name).chmod(0o600)


def file_id(path: Path) -> tuple[int, int] | None:
    """Return which file a path names now (device and inode), None when none."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - once a commit, and twice as fast
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def explain(error: Exception) -> Exception:
    """Return the error of the house for one of the driver or of a file, or the error itself."""
    if isinstance(error, sqlite3.Error):
        code: int = getattr(error, "sqlite_errorcode", -1) & 0xFF  # the low byte: primary code
        if code == sqlite3.SQLITE_FULL:
            return StoreFull()
        if code in _DAMAGED:
            return StoreDamaged(f"the database is damaged: {error}")
        if code in _UNAVAILABLE:
            return StoreUnavailable(f"database: {error}")
    elif isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreFull()
        return StoreUnavailable(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
    return error


@contextmanager
def transaction(connection: Connection) -> Generator[None]:
    """Commit what is done inside, or roll it back whole. Not for the hot path."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: Connection) -> None:
    """End a transaction that failed; SQLite has ended it itself after some errors."""
    if connection.in_transaction:
        # The error that brought us here is the one to tell.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def guarded(call: Callable[[], Any]) -> Any:
    """Call, and raise errors of the driver and of files as errors of the house."""
    try:
        return call()
    except (sqlite3.Error, OSError) as error:
        told = explain(error)
        if told is error:
            raise
        raise told from error
