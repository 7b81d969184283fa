"""Lists for people: pages, filters, and bounds on what one call looks at."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from storekit import (
    DEAD,
    DONE,
    QUEUED,
    SENT,
    UNCERTAIN,
    WAITING,
    answer,
    chat,
    message,
    message_id,
    put,
)
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import EventKind, InboxState
from trunkline.store.sqlite import SqliteStore, paging

CHATS = [chat(1), chat(2, line="qq"), chat(3, line="blog", account="")]


async def pages(store: SqliteStore, **wanted: Any) -> list[list[int]]:
    """Read a list of messages to its end; return the numbers of its rows page by page."""
    found: list[list[int]] = []
    cursor = ""
    while True:
        page = await store.messages(cursor=cursor, **wanted)
        found.append([(row.id - message_id(0)) // 16 for row, _ in page.rows])
        cursor = page.cursor
        if not cursor:
            return found


async def delivery_pages(store: SqliteStore, **wanted: Any) -> list[list[int]]:
    found: list[list[int]] = []
    cursor = ""
    while True:
        page = await store.deliveries(cursor=cursor, **wanted)
        found.append([(one.row.id - message_id(0)) // 16 for one in page.rows])
        cursor = page.cursor
        if not cursor:
            return found


def wanted(**more: Any) -> dict[str, Any]:
    return {"line": "", "states": (), "kinds": (), "after": 0, "limit": 100} | more


async def fill(store: SqliteStore, count: int = 24) -> None:
    """Rows whose line, state and kind all differ in turn."""
    await put(
        store,
        conversations=CHATS,
        inbox=[
            message(n, 1 + n % 3, state=InboxState(n % 4), kind=EventKind(n // 4 % 3))
            for n in range(count)
        ],
        outbox=[answer(n, 1 + n % 3, state=DeliveryState(n % 10)) for n in range(count)],
    )


@pytest.mark.parametrize("limit", [1, 5, 24, 25])
async def test_pages_together_are_the_list(store: SqliteStore, limit: int):
    await fill(store)
    found = await pages(store, **wanted(limit=limit))
    assert [n for page in found for n in page] == list(range(23, -1, -1))
    assert all(len(page) == limit for page in found[:-1])
    assert found[-1]  # no empty page at the end
    sent = await delivery_pages(store, states=(), line="", limit=limit)
    assert [n for page in sent for n in page] == list(range(23, -1, -1))


@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_after_lists_the_oldest_first(store: SqliteStore, limit: int):
    await fill(store)
    found = await pages(store, **wanted(after=message_id(10), limit=limit))
    assert [n for page in found for n in page] == list(range(11, 24))
    dead = await pages(store, **wanted(after=message_id(10), limit=limit, states=[DEAD]))
    assert [n for page in dead for n in page] == [14, 18, 22]


STATES = [(), (DONE,), (DEAD,), (WAITING, DEAD), (DONE, DEAD)]
KINDS = [(), (EventKind.REQUEST,), (EventKind.MESSAGE, EventKind.NOTICE)]
SENT_STATES = [(), (QUEUED,), (UNCERTAIN, QUEUED), (SENT,), (SENT, UNCERTAIN)]
LINES = {1: "mai", 2: "qq", 3: "blog"}


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_every_filter_of_messages(store: SqliteStore, limit: int):
    await fill(store)
    for line, states, kinds in product(["", "mai", "qq", "nobody"], STATES, KINDS):
        right = [
            n
            for n in range(23, -1, -1)
            if line in ("", LINES[1 + n % 3])
            and (not states or n % 4 in states)
            and (not kinds or n // 4 % 3 in kinds)
        ]
        found = await pages(store, **wanted(line=line, states=states, kinds=kinds, limit=limit))
        assert [n for page in found for n in page] == right, (line, states, kinds)


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_every_filter_of_deliveries(store: SqliteStore, limit: int):
    await fill(store)
    for line, states in product(["", "qq", "nobody"], SENT_STATES):
        right = [
            n
            for n in range(23, -1, -1)
            if line in ("", LINES[1 + n % 3]) and (not states or n % 10 in states)
        ]
        found = await delivery_pages(store, states=states, line=line, limit=limit)
        assert [n for page in found for n in page] == right, (line, states)


async def test_one_call_looks_at_a_bounded_number_of_rows(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("trunkline.store.sqlite.inbox.WINDOW", 4)
    monkeypatch.setattr("trunkline.store.sqlite.inbox.WINDOWS", 2)
    monkeypatch.setattr("trunkline.store.sqlite.outbox.WINDOW", 4)
    monkeypatch.setattr("trunkline.store.sqlite.outbox.WINDOWS", 2)
    await put(
        store,
        conversations=CHATS,
        inbox=[message(n, 1 if n else 2) for n in range(20)],
        outbox=[answer(n, 1 if n else 2) for n in range(20)],
    )
    assert await pages(store, **wanted(line="qq")) == [[], [], [0]]
    assert await delivery_pages(store, line="qq", states=(), limit=5) == [[], [], [0]]
    rising = await pages(store, **wanted(line="mai", after=message_id(1), limit=3))
    assert [n for page in rising for n in page] == list(range(2, 20))


@pytest.mark.parametrize("cursor", ["x", "-1", "1e3", "９", "1" * 20])
async def test_a_cursor_that_is_none_is_refused(store: SqliteStore, cursor: str):
    with pytest.raises(ValueError, match="cursor"):
        await store.messages(**wanted(), cursor=cursor)
    with pytest.raises(ValueError, match="cursor"):
        await store.deliveries(states=(), line="", cursor=cursor, limit=1)


def test_a_cursor_beyond_all_ids_is_the_end():
    assert paging.read_cursor("9" * 19, 5) == (1 << 63) - 1
    assert paging.read_cursor("", 5) == 5


async def test_counts_tell_what_needs_attention(store: SqliteStore):
    await fill(store, 40)
    counts = await store.counts()
    for state in DeliveryState:
        name = f"outbox.{state.name.lower()}"
        if state.name in ("SENT", "CONFIRMED"):
            assert name not in counts
        else:
            assert counts[name] == 4
    for state in (InboxState.WAITING, InboxState.DEAD, InboxState.DISCARDED):
        assert counts[f"inbox.{state.name.lower()}"] == 10


async def test_counting_stops_at_a_bound(store: SqliteStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("trunkline.store.sqlite.store.COUNTED", 3)
    await fill(store, 40)
    assert (await store.counts())["outbox.queued"] == 3


async def test_lookups_of_what_is_not_there(store: SqliteStore):
    assert await store.delivery(answer(3).id) is None
    assert await store.message(message(3).id) is None
    assert await store.answers(message(3).id) == []
    assert store.free_bytes() > 0
