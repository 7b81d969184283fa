"""The sentences: named, one each, and none scans a table that grows."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import trunkline.store.sqlite
from trunkline.clock import FakeClock
from trunkline.store.sqlite import SqliteStore
from trunkline.store.sqlite.statements import SIZES, SQL, repeated

SOURCES = list(Path(trunkline.store.sqlite.__file__).parent.glob("*.py"))

# These read a whole table on purpose: a start reads the whole file anyway (quick_check), and
# `turn` holds only what is open.
# `stream` is read from its old end, which retention keeps short.
# `pace` holds one row a line.
# `json_each` is a list that was handed in: accounts at their limit.
SCANNED = {
    "left_sending": ("o",), "clamp_turns": ("turn",), "queued_chats": ("outbox", "q"),
    "tops": ("stream",), "stream_old": ("stream",), "stream_end": ("stream",),
    "stream_start": ("stream",), "due_turns_besides": ("json_each",),
    "paces": ("pace",), "drafts_by_line": ("o",), "for_person_by_line": ("i",),
    "delete_stream": ("stream",),
    "fill_active": ("n",), "tail_active": ("n",),
}  # fmt: skip
# What these sort is bounded: one visitor's rows, what waits at a start, a batch or its tail, lines.
SORTED = {
    "queued_of_peer", "drafts_by_line", "for_person_by_line", "fill_history", "fill_active",
    "tail_of", "tail_active",
}  # fmt: skip
SMALL = ("CONSTANT", "sqlite_master", "alembic_version")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    one = SqliteStore(tmp_path, clock=FakeClock())
    await one.open()
    yield one
    await one.close()


def test_every_sentence_is_one_sentence():
    assert len(SQL) > 50
    for name, sentence in SQL.items():
        assert sentence, name
        assert ";" not in sentence, name
        assert "--" not in sentence, name


def test_every_sentence_is_used_and_every_name_exists():
    words = set[str]()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    # f"{table}_walk" and its like
    made = {f"{t}_{end}" for t in ("inbox", "outbox") for end in ("walk", "media_before")}
    made |= {f"empty_{t}" for t in ("inbox", "outbox")} | {"delete_inbox", "delete_outbox"}
    assert set(SQL) - words - made == set()


async def test_no_sentence_scans_what_grows_nor_sorts_what_an_index_orders(store: SqliteStore):
    connection = store._writing
    assert connection is not None
    for name, sentence in SQL.items():
        numbered = re.findall(r"\?(\d+)", sentence)
        count = max(map(int, numbered)) if numbered else sentence.count("?")
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sentence}", [0] * count).fetchall()
        for *_, step in plan:
            if step.startswith("SCAN"):
                what = step.split()[1]
                is_inner = what.startswith("(subquery-")  # its own steps are listed too
                assert is_inner or what in (*SCANNED.get(name, ()), *SMALL), (name, step)
            if "TEMP B-TREE" in step:
                assert name in SORTED, (name, step)


async def test_a_beats_settling_goes_by_the_primary_key(store: SqliteStore):
    connection = store._writing
    assert connection is not None
    plan = connection.execute(f"EXPLAIN QUERY PLAN {SQL['settle_range']}", (1, 2, 3, 4)).fetchall()
    assert [step[3] for step in plan] == [
        "SEARCH outbox USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    ]


def test_an_insert_is_repeated_for_several_rows():
    shapes = dict(repeated("INSERT INTO t (a, b, c) VALUES (?, 0, ?) ON CONFLICT DO NOTHING"))
    assert tuple(shapes) == tuple(2 * size for size in SIZES)  # values, not rows
    assert shapes[4] == (
        "INSERT INTO t (a, b, c) VALUES (?, 0, ?), (?, 0, ?) ON CONFLICT DO NOTHING"
    )
    assert shapes[64].count("(?, 0, ?)") == 32
    with pytest.raises(ValueError, match="VALUES"):
        repeated("SELECT 1")
