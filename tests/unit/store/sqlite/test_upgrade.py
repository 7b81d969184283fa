"""Data of the first answer (revision 0001) goes on under the newest one, killed or not."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from storekit import NOW_MS, SENT, answer, chat, delivery_id, message, message_id, put
from trunkline.clock import FakeClock
from trunkline.ids import ConversationId
from trunkline.store.migrations import HEAD, REVISIONS
from trunkline.store.sqlite import SqliteStore
from trunkline.store.sqlite.connection import connect, create_file
from trunkline.store.sqlite.migrating import downgrade, upgrade

OPEN = """
import asyncio, sys
from pathlib import Path
from trunkline import failpoints
from trunkline.clock import FakeClock
from trunkline.store.sqlite import SqliteStore
failpoints.arm(failpoints.parse("migrate.mid:kill"))
asyncio.run(SqliteStore(Path(sys.argv[1]), clock=FakeClock()).open())
"""


def make_old(folder: Path) -> None:
    """Write a database as 0001 made it, with three messages, two answers and a notice."""
    path = folder / "trunkline.db"
    create_file(path)
    upgrade(lambda: connect(path, "FULL"), to="0001")
    database = connect(path, "FULL")
    database.execute(
        "INSERT INTO conversation (id, line, account, peer, kind, name, context, state)"
        " VALUES (1, 'mai', 'bot', 'u1', 'private', '', x'', NULL)"
    )
    for nth, kind in ((0, 0), (1, 0), (2, 2), (3, 1)):
        database.execute(
            "INSERT INTO inbox (id, conversation, key, kind, state, at_ms, attempts, reason, body)"
            " VALUES (?, 1, ?, ?, 1, ?, 1, '', x'01')",
            (message_id(nth), b"k%d" % nth, kind, NOW_MS),
        )
    for nth in (0, 1):
        database.execute(
            "INSERT INTO outbox (id, conversation, state, at_ms, source, attempt, due_ms,"
            " expires_ms, settled_ms, reason, peer_id, body)"
            " VALUES (?, 1, 3, ?, 'rule:x', 1, 0, 0, 0, '', '', x'02')",
            (delivery_id(nth), NOW_MS),
        )
    database.close()


async def look(folder: Path) -> None:
    store = SqliteStore(folder, clock=FakeClock())
    await store.open()
    said = [message_id(2), delivery_id(1), message_id(1), delivery_id(0), message_id(0)]
    assert [row.id for row in await store.history(ConversationId(1), 0, 99)] == said
    assert await store.index_history(100) == 0
    page = await store.conversations(line="mai", cursor="", limit=9)
    assert [(state.id, last.id) for state, last in page.rows] == [(1, message_id(2))]
    changes = await store.changes(0, 99)
    assert [row.id for _, row, _ in changes.rows] == [
        *(message_id(n) for n in range(4)), delivery_id(0), delivery_id(1),
    ]  # fmt: skip
    await put(store, conversations=[chat(1)], inbox=[message(9)], outbox=[answer(9, state=SENT)])
    later = await store.changes(changes.seq, 99)
    assert [row.id for _, row, _ in later.rows] == [message_id(9), delivery_id(9)]
    await store.close()


async def test_old_data_has_history_conversations_and_changes(tmp_path: Path):
    make_old(tmp_path)
    await look(tmp_path)


async def test_an_upgrade_that_is_killed_is_run_again(tmp_path: Path):
    make_old(tmp_path)
    killed = subprocess.run(
        [sys.executable, "-c", OPEN, str(tmp_path)], capture_output=True, timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    database = sqlite3.connect(tmp_path / "trunkline.db")
    assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    assert database.execute("SELECT name FROM sqlite_master WHERE name = 'stream'").fetchall() == []
    database.close()
    await look(tmp_path)


async def test_data_that_was_taken_one_step_back_comes_forward_again(tmp_path: Path):
    """The crash harness needs an upgrade to kill, again and again."""
    make_old(tmp_path)
    path = tmp_path / "trunkline.db"
    upgrade(lambda: connect(path, "FULL"))
    downgrade(lambda: connect(path, "FULL"))
    database = sqlite3.connect(path)
    found = database.execute("SELECT version_num FROM alembic_version").fetchall()
    database.close()
    assert found == [(REVISIONS[-2],)]
    await look(tmp_path)


def test_new_and_upgraded_tables_are_the_same(tmp_path: Path):
    """What the migrations make is what `schema.py` says."""
    from sqlalchemy import create_engine, inspect

    from trunkline.store.schema import metadata

    path = tmp_path / "trunkline.db"
    create_file(path)
    upgrade(lambda: connect(path, "FULL"))
    made = inspect(create_engine(f"sqlite:///{path}"))
    for table in metadata.tables.values():
        columns = [column["name"] for column in made.get_columns(table.name)]
        if table.name in ("inbox", "outbox"):
            assert columns == [column.name for column in table.columns]
        assert set(columns) == {column.name for column in table.columns}, table.name
        indexes = {index["name"] for index in made.get_indexes(table.name)}
        assert indexes == {index.name for index in table.indexes}, table.name
    assert HEAD == "0005"
