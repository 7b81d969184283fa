"""Starts: new data, killed migrations, newer and foreign and damaged files."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from trunkline.clock import FakeClock
from trunkline.errors import StoreDamaged, StoreTooNew, StoreUnavailable
from trunkline.store.migrations import HEAD
from trunkline.store.sqlite import SqliteStore, starting

OPEN = """
import asyncio, sys
from pathlib import Path
from trunkline import failpoints
from trunkline.clock import FakeClock
from trunkline.store.sqlite import SqliteStore
folder, armed, *scripts = sys.argv[1:]
failpoints.arm(failpoints.parse(armed))
store = SqliteStore(Path(folder), clock=FakeClock(), scripts=[Path(one) for one in scripts])
asyncio.run(store.open())
print("opened", "sqlalchemy" in sys.modules or "alembic" in sys.modules)
"""
# Two more migrations, as a later trunkline may have them; 9001 may be killed half way.
SECOND = """
import os, signal
from pathlib import Path
from alembic import op
revision, down_revision = "9001", "HEAD"
def upgrade():
    op.execute("CREATE TABLE two (a INTEGER)")
    op.execute("INSERT INTO two SELECT value FROM meta WHERE name = 'fence'")
    if (Path(__file__).parent / "kill").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    op.execute("ALTER TABLE two ADD COLUMN b INTEGER")
"""
THIRD = """
from alembic import op
revision, down_revision = "9002", "9001"
def upgrade():
    op.execute("CREATE TABLE three (a INTEGER)")
"""


def open_in_child(
    folder: Path, armed: str = "", *scripts: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", OPEN, str(folder), armed, *map(str, scripts)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def query(folder: Path, sentence: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(folder / "trunkline.db")
    try:
        found = connection.execute(sentence).fetchall()
        connection.commit()
        return found
    finally:
        connection.close()


async def open_and_close(folder: Path) -> None:
    store = SqliteStore(folder, clock=FakeClock())
    try:
        await store.open()
    finally:
        await store.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_everything_is_private_and_set_up_as_promised(tmp_path: Path):
    folder = tmp_path / "new" / "data"
    store = SqliteStore(folder, clock=FakeClock())
    await store.open()
    assert mode(folder) == 0o700
    assert mode(folder / "media") == 0o700
    names = ("trunkline.db", "trunkline.db-wal", "trunkline.db-shm", "trunkline.lock")
    assert {name: mode(folder / name) for name in names} == dict.fromkeys(names, 0o600)
    connection = store._writing
    assert connection is not None
    pragmas = {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000,
        "journal_size_limit": 64 << 20, "cache_size": -4000,
    }  # fmt: skip
    for name, value in pragmas.items():
        assert connection.execute(f"PRAGMA {name}").fetchone() == (value,), name
    assert store._reading is not None
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._reading.execute("DELETE FROM inbox")
    await store.close()
    assert not (folder / "trunkline.db-wal").exists()  # checkpointed: one file can be copied


async def test_files_that_others_could_read_are_closed(tmp_path: Path):
    await open_and_close(tmp_path)
    (tmp_path / "trunkline.db").chmod(0o644)
    (tmp_path / "media").chmod(0o755)
    await open_and_close(tmp_path)
    assert mode(tmp_path / "trunkline.db") == 0o600
    assert mode(tmp_path / "media") == 0o700


async def test_normal_is_possible(tmp_path: Path):
    store = SqliteStore(tmp_path, clock=FakeClock(), synchronous="NORMAL")
    await store.open()
    assert store._writing is not None
    assert store._writing.execute("PRAGMA synchronous").fetchone() == (1,)
    await store.close()


def test_a_killed_first_migration_is_run_again(tmp_path: Path):
    killed = open_in_child(tmp_path, "migrate.mid:kill")
    assert killed.returncode == -signal.SIGKILL
    assert query(tmp_path, "SELECT name FROM sqlite_master WHERE name = 'inbox'") == []
    again = open_in_child(tmp_path)
    assert again.stdout == "opened True\n", again.stderr
    assert query(tmp_path, "SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_a_start_with_nothing_to_migrate_does_not_load_the_tools_for_it(tmp_path: Path):
    assert open_in_child(tmp_path).stdout == "opened True\n"
    assert open_in_child(tmp_path).stdout == "opened False\n"


async def test_a_migration_killed_half_way_is_undone_and_run_again(tmp_path: Path):
    folder, scripts = tmp_path / "data", tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "9001_two.py").write_text(SECOND.replace("HEAD", HEAD))
    (scripts / "9002_three.py").write_text(THIRD)
    await open_and_close(folder)
    (scripts / "kill").touch()
    assert open_in_child(folder, "", scripts).returncode == -signal.SIGKILL
    assert query(folder, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert query(folder, "SELECT name FROM sqlite_master WHERE name = 'two'") == []
    (scripts / "kill").unlink()
    # Killed before the commit of 9001: the same.
    assert open_in_child(folder, "migrate.mid:kill", scripts).returncode == -signal.SIGKILL
    assert query(folder, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    done = open_in_child(folder, "", scripts)
    assert done.stdout == "opened True\n", done.stderr
    assert query(folder, "SELECT version_num FROM alembic_version") == [("9002",)]
    assert query(folder, "SELECT a, b FROM two") == [(1, None)]
    # And the trunkline that does not know 9002 keeps its hands off.
    before = query(folder, "SELECT value FROM meta")
    with pytest.raises(StoreTooNew, match=rf"9002.*up to {HEAD}"):
        await open_and_close(folder)
    assert query(folder, "SELECT value FROM meta") == before


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path):
    query(tmp_path, "CREATE TABLE precious (a)")
    with pytest.raises(StoreUnavailable, match="another program"):
        await open_and_close(tmp_path)
    assert query(tmp_path, "SELECT name FROM sqlite_master") == [("precious",)]


async def test_a_file_that_is_no_database(tmp_path: Path):
    (tmp_path / "trunkline.db").write_bytes(b"this is not a database, it is a text file" * 99)
    with pytest.raises(StoreUnavailable, match="not a database"):
        await open_and_close(tmp_path)
    (tmp_path / "trunkline.db").unlink()
    await open_and_close(tmp_path)  # the failed start has let the folder go


async def test_a_damaged_file_is_refused(tmp_path: Path):
    await open_and_close(tmp_path)
    path = tmp_path / "trunkline.db"
    data = bytearray(path.read_bytes())
    (root,) = query(tmp_path, "SELECT rootpage FROM sqlite_master WHERE name = 'inbox'")[0]
    assert isinstance(root, int)
    data[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    with pytest.raises(StoreUnavailable, match=r"damaged|malformed"):
        await open_and_close(tmp_path)


async def test_a_folder_in_the_place_of_the_file(tmp_path: Path):
    (tmp_path / "trunkline.db").mkdir()
    with pytest.raises(StoreUnavailable, match="directory"):
        await open_and_close(tmp_path)


def test_a_long_check_tells_how_long_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock, told = FakeClock(), list[float]()
    monkeypatch.setattr(starting, "CHECK_STEPS", 10)
    now_s = clock.monotonic_s()

    class Slow(FakeClock):
        def monotonic_s(self) -> float:
            nonlocal now_s
            now_s += 0.5
            return now_s

    with closing(sqlite3.connect(tmp_path / "x", isolation_level=None)) as one:
        one.execute("CREATE TABLE t (a)")
        one.executemany("INSERT INTO t VALUES (zeroblob(3000))", [()] * 2000)
        starting.check(one, Slow(), told.append)
        one.execute("SELECT count(*) FROM t")  # nobody is told any more
        count = len(told)
        starting.check(one, clock, told.append)  # a quick one says nothing
    assert told[0] >= starting.TELL_AFTER_S
    steps = [later - earlier for earlier, later in pairwise(told)]
    assert steps
    assert all(step >= starting.TELL_EVERY_S for step in steps)
    assert len(told) == count


async def test_a_folder_that_is_half_restored_is_not_opened(tmp_path: Path):
    (tmp_path / "trunkline.restoring").mkdir()
    (tmp_path / "trunkline.restoring" / "plan.json").write_text("{}")
    with pytest.raises(StoreUnavailable, match="interrupted"):
        await open_and_close(tmp_path)
    assert not (tmp_path / "trunkline.db").exists()


async def test_a_damaged_file_is_told_as_such(tmp_path: Path):
    (tmp_path / "trunkline.db").write_bytes(b"not a database, whatever its name" * 200)
    with pytest.raises(StoreDamaged):
        await open_and_close(tmp_path)


async def test_a_table_that_is_gone_is_damage(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, clock=FakeClock())
    await store.open()
    await store.close()
    with closing(sqlite3.connect(tmp_path / "trunkline.db")) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("DROP TABLE inbox")
        connection.commit()
    with pytest.raises(StoreDamaged, match="no such table"):
        await SqliteStore(tmp_path, clock=FakeClock()).open()
