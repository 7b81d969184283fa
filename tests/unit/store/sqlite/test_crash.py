"""Crash points between any two sentences of a beat: all of it, or nothing (`reliability 7`)."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import storecrash
from storekit import put
from trunkline.clock import FakeClock
from trunkline.store.contract import Beat
from trunkline.store.sqlite import SqliteStore

TABLES = ("conversation", "inbox", "outbox", "kept", "turn")
Dump = dict[str, list[tuple[Any, ...]]]


def dump(folder: Path) -> Dump:
    """Read all rows of a store that nobody has open."""
    connection = sqlite3.connect(folder / "trunkline.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in TABLES
        }
    finally:
        connection.close()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "data"
    asyncio.run(storecrash.prepare(folder))
    return folder


def run_child(prepared: Path, folder: Path, when: str) -> bool:
    """Run one child on a copy of the data; return whether it could tell the peer."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(prepared, folder)
    done = subprocess.run(
        [sys.executable, storecrash.__file__, str(folder), when],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (folder / "started").exists()
    return "committed" in done.stdout


@pytest.fixture(scope="module")
def outcomes(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dump, Dump]:
    """What the data is before the beat and after it."""
    folder = tmp_path_factory.mktemp("outcomes") / "data"
    assert not run_child(prepared, folder, "statement:1")
    before = dump(folder)
    assert run_child(prepared, folder, "never")
    after = dump(folder)
    assert all(before[table] != after[table] for table in TABLES)
    return before, after


async def reopens(folder: Path, after: Dump, found: Dump) -> None:
    """The next start works, and what was told is there in full."""
    store = SqliteStore(folder, clock=FakeClock())
    await store.open()
    if found == after:
        row = await store.message(storecrash.message_id(15))
        assert row is not None
        assert len(row[0].body) == 40_000
    result = await put(store, inbox=[storecrash.message(10)])
    assert result.duplicates == ({0} if found == after else set())
    await store.close()


@pytest.mark.slow
def test_a_process_killed_at_any_sentence_leaves_all_or_nothing(
    prepared: Path, outcomes: tuple[Dump, Dump], tmp_path: Path
):
    before, after = outcomes
    folder = tmp_path / "data"
    seen: list[bool] = []
    while True:
        was_told = run_child(prepared, folder, f"statement:{len(seen) + 1}")
        found = dump(folder)
        assert found in (before, after), len(seen)
        assert found == after or not was_told
        asyncio.run(reopens(folder, after, found))
        if was_told:
            break
        seen.append(found == after)
    # BEGIN, 2 for the conversations, 2 × 2 INSERTs, … COMMIT: none of them made it durable.
    assert len(seen) >= 18
    assert not any(seen)


@pytest.mark.parametrize(
    ("name", "is_stored"),
    [
        ("ingest.before_commit", False), ("decide.before_commit", False),
        ("send.before_ack_commit", False), ("ingest.after_commit", True),
        ("decide.after_commit", True), ("claim.after_commit", True),
    ],
)  # fmt: skip
def test_a_process_killed_at_a_failpoint(
    prepared: Path, outcomes: tuple[Dump, Dump], tmp_path: Path, name: str, *, is_stored: bool
):
    before, after = outcomes
    folder = tmp_path / "data"
    assert not run_child(prepared, folder, name)
    found = dump(folder)
    assert found == (after if is_stored else before)
    asyncio.run(reopens(folder, after, found))


class Failing:
    """A connection whose nth sentence fails; the one after works again."""

    def __init__(self, connection: sqlite3.Connection, nth: int) -> None:
        self._connection = connection
        self._left = nth

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("injected")

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return self._connection.execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return self._connection.executemany(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def test_an_error_at_any_sentence_leaves_nothing_and_a_usable_connection(
    prepared: Path, tmp_path: Path
):
    folder = tmp_path / "data"
    shutil.copytree(prepared, folder)
    store = SqliteStore(folder, clock=FakeClock())
    await store.open()
    connection = store._writing
    assert connection is not None
    connection.execute("UPDATE outbox SET state = 2, mark = NULL WHERE mark = 5")

    def look() -> Dump:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in TABLES
        }

    before = look()
    nth = 0
    while True:
        nth += 1
        store._writing = Failing(connection, nth)  # type: ignore[assignment]
        try:
            await store.commit(storecrash.beat())
        except RuntimeError:
            store._writing = connection
            assert not connection.in_transaction
            assert look() == before
            assert len(store._flight) == 0
            continue
        break
    store._writing = connection
    assert nth >= 16
    assert look() != before
    assert len(store._flight) == 42
    await store.close()


async def test_a_duplicate_found_by_nobody_is_an_error_not_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An empty set of duplicates means "committed"; a lost row must never look like that."""
    store = SqliteStore(tmp_path, clock=FakeClock())
    await store.open()
    await put(store, conversations=[storecrash.chat(1)], inbox=[storecrash.message(0)])
    find: Callable[..., frozenset[int]] = lambda *_: frozenset()  # noqa: E731
    monkeypatch.setattr("trunkline.store.sqlite.beat._find_duplicates", find)
    with pytest.raises(RuntimeError, match="none is a duplicate"):
        await store.commit(Beat(inbox=[storecrash.message(1, key=storecrash.message(0).key)]))
    await store.close()
