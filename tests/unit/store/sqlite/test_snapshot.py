"""A copy of the database under load: one moment, whole, and refused when it is not."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from trunkline.clock import FakeClock
from trunkline.errors import StoreDamaged, StoreTooNew, StoreUnavailable
from trunkline.store.migrations import HEAD
from trunkline.store.sqlite import SqliteStore, snapshot
from trunkline.store.sqlite.snapshot import copy_database, inspect


@pytest.fixture
async def source(tmp_path: Path) -> Path:
    store = SqliteStore(tmp_path, clock=FakeClock())
    await store.open()
    await store.close()
    return tmp_path / "trunkline.db"


def nothing(_done: int, _total: int) -> None:
    """Tell nobody."""


@pytest.fixture
def writer(source: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(source, isolation_level=None, check_same_thread=False)) as one:
        one.execute("CREATE TABLE pair (a, b)")
        one.executemany("INSERT INTO pair VALUES (?, zeroblob(4000))", [(n,) for n in range(400)])
        yield one


def test_a_copy_is_one_moment_however_much_is_written_meanwhile(
    source: Path, writer: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Another connection's commit begins a copy anew, unless it reads inside one transaction."""
    monkeypatch.setattr(snapshot, "STEP_PAGES", 16)
    steps: list[int] = []

    def write_meanwhile(done: int, total: int) -> None:
        steps.append(done)
        assert len(steps) < 200, "it begins again and again"
        writer.execute("INSERT INTO pair VALUES (-1, zeroblob(4000))")

    copy_database(source, tmp_path / "copy", write_meanwhile)
    assert len(steps) > 10
    assert steps == sorted(steps)
    found = inspect(tmp_path / "copy")
    assert found.rows["pair"] == 400
    assert found.revision == HEAD


def test_a_copy_holds_no_writer_up(
    source: Path, writer: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(snapshot, "STEP_PAGES", 64)
    written: list[bool] = []

    def write_meanwhile(_done: int, _total: int) -> None:
        def write() -> None:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("COMMIT")
            written.append(True)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(5)

    copy_database(source, tmp_path / "copy", write_meanwhile)
    assert all(written)
    assert written


def test_a_copy_is_one_private_file(source: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    copy_database(source, tmp_path / "out" / "copy", nothing)
    inspect(tmp_path / "out" / "copy")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["copy"]
    assert stat.S_IMODE((tmp_path / "out" / "copy").stat().st_mode) == 0o600


def test_a_source_that_is_away_is_said_so(tmp_path: Path):
    with pytest.raises(StoreUnavailable):
        copy_database(tmp_path / "gone.db", tmp_path / "copy", nothing)


def test_a_damaged_copy_is_refused(source: Path, writer: sqlite3.Connection, tmp_path: Path):
    copy_database(source, tmp_path / "copy", nothing)
    with (tmp_path / "copy").open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StoreDamaged):
        inspect(tmp_path / "copy")


def test_a_row_that_points_to_nothing_is_refused(source: Path, tmp_path: Path):
    with closing(sqlite3.connect(source, isolation_level=None)) as one:
        one.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        one.execute("CREATE TABLE child (id REFERENCES parent (id))")
        one.execute("INSERT INTO child VALUES (7)")
    copy_database(source, tmp_path / "copy", nothing)
    with pytest.raises(StoreDamaged, match="child points to nothing"):
        inspect(tmp_path / "copy")


def test_newer_and_foreign_data_are_refused(source: Path, tmp_path: Path):
    with closing(sqlite3.connect(source, isolation_level=None)) as one:
        one.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreTooNew):
        inspect(source)
    with closing(sqlite3.connect(tmp_path / "other", isolation_level=None)) as one:
        one.execute("CREATE TABLE theirs (a)")
    with pytest.raises(StoreUnavailable, match="another program"):
        inspect(tmp_path / "other")
