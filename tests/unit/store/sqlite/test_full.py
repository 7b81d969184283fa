"""A full disk: nothing is taken, nothing is harmed, and it goes on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from storekit import chat, message, put
from trunkline.clock import FakeClock
from trunkline.errors import StoreFull
from trunkline.store.sqlite import SqliteStore


async def test_a_full_database_takes_nothing_and_recovers(tmp_path: Path):
    """`max_page_count` makes SQLite answer SQLITE_FULL as a full disk does."""
    store = SqliteStore(tmp_path, clock=FakeClock())
    await store.open()
    try:
        db = store._writing
        assert db is not None
        await put(store, conversations=[chat(1)], inbox=[message(0)])
        pages: int = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreFull):
            await put(store, inbox=[message(n, body=b"x" * 20_000) for n in range(1, 20)])
        assert (await store.counts())["inbox.dead"] == 0
        assert db.execute("SELECT count(*) FROM inbox").fetchone()[0] == 1  # all or nothing
        db.execute("PRAGMA max_page_count=1000000")
        await put(store, inbox=[message(n, body=b"x" * 20_000) for n in range(1, 20)])
        assert db.execute("SELECT count(*) FROM inbox").fetchone()[0] == 20
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    finally:
        await store.close()
