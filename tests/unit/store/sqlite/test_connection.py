"""What errors of the driver and the disk become, and that the store recovers by itself."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from storekit import all_messages, chat, message, put
from trunkline.clock import FakeClock
from trunkline.errors import StoreDamaged, StoreFull, StoreUnavailable
from trunkline.store.sqlite import SqliteStore, connection


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    one = SqliteStore(tmp_path, clock=FakeClock())
    await one.open()
    await put(one, conversations=[chat(1)])
    yield one
    await one.close()


def writing(store: SqliteStore) -> sqlite3.Connection:
    assert store._writing is not None
    return store._writing


async def test_a_full_disk_stops_commits_and_room_lets_them_go_on(store: SqliteStore):
    db = writing(store)
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count={pages + 1}")
    rows = [message(n, body=b"x" * 3000) for n in range(50)]
    with pytest.raises(StoreFull) as caught:
        await put(store, inbox=rows)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert not db.in_transaction
    assert await all_messages(store) == []
    with pytest.raises(StoreFull):
        await put(store, inbox=rows)
    db.execute("PRAGMA max_page_count=1000000")
    assert not (await put(store, inbox=rows)).duplicates
    assert len(await all_messages(store)) == 50


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_no_room_for_a_media_file_is_a_full_disk_too(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, number: int
):
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    row = message(0, body=b"x" * 40_000)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreFull):
            await put(store, inbox=[row])
    assert not (await put(store, inbox=[row])).duplicates
    assert await all_messages(store) == [row]


async def test_a_large_body_and_its_name_are_flushed_before_the_commit_begins(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    fsync = os.fsync

    def see(descriptor: int) -> None:
        said.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", see)
    writing(store).set_trace_callback(lambda sentence: said.append(sentence.split()[0]))
    rows = [message(0, body=b"x" * 40_000), message(1, body=b"y" * 40_000)]
    await put(store, inbox=rows)
    assert said == ["file", "file", "folder", "BEGIN", "INSERT", "INSERT", "COMMIT"]  # rows, stream
    said.clear()
    await put(store, inbox=[message(2)])
    assert said == ["BEGIN", "INSERT", "INSERT", "COMMIT"]  # rows, stream


async def test_a_media_folder_that_is_gone_is_not_the_rows_fault(
    store: SqliteStore, tmp_path: Path
):
    (tmp_path / "media").rmdir()
    with pytest.raises(StoreUnavailable, match="No such file"):
        await put(store, inbox=[message(0, body=b"x" * 40_000)])


async def test_a_file_locked_by_another_tool_is_unavailable_until_it_lets_go(
    store: SqliteStore, tmp_path: Path
):
    writing(store).execute("PRAGMA busy_timeout=0")
    other = sqlite3.connect(tmp_path / "trunkline.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await put(store, inbox=[message(0)])
    other.execute("ROLLBACK")
    other.close()
    await put(store, inbox=[message(0)])
    assert len(await all_messages(store)) == 1


async def test_an_error_of_a_change_rolls_it_back(store: SqliteStore):
    db = writing(store)

    def change() -> None:
        with connection.transaction(db):
            db.execute("DELETE FROM conversation")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert not db.in_transaction
    assert await store.next_conversation_id() == 2


def explained(kind: type[sqlite3.Error], code: int) -> Exception:
    error: Any = kind("text")
    error.sqlite_errorcode = code
    return connection.explain(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_BUSY, StoreUnavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable),
        (sqlite3.SQLITE_CORRUPT, StoreDamaged),
        (sqlite3.SQLITE_NOTADB, StoreDamaged),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.OperationalError),
        (sqlite3.SQLITE_TOOBIG, sqlite3.OperationalError),
        (sqlite3.SQLITE_ERROR, sqlite3.OperationalError),
    ],
)
def test_what_each_code_means(code: int, kind: type[Exception]):
    assert type(explained(sqlite3.OperationalError, code)) is kind


def test_an_error_without_a_code_and_one_of_ours_stay_what_they_are():
    for error in (sqlite3.InterfaceError("x"), ValueError("y"), StoreFull()):
        assert connection.explain(error) is error
