"""History and the list of conversations: index and tail together, whatever is indexed when."""

from __future__ import annotations

import pytest

from storekit import (
    DEAD,
    NOW_MS,
    QUEUED,
    SENT,
    WAITING,
    MakeStore,
    answer,
    chat,
    delivery_id,
    message,
    message_id,
    put,
)
from trunkline.ids import ConversationId
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import EventKind, Retention, TurnRow
from trunkline.store.sqlite import SqliteStore
from trunkline.store.sqlite import history as histories

ONE = ConversationId(1)


async def ids(store: SqliteStore, conversation: int = 1, before: int = 0, limit: int = 99):
    rows = await store.history(ConversationId(conversation), before, limit)
    return [row.id for row in rows]


async def fill(store: SqliteStore, index_after: int) -> None:
    """Ten questions with answers in two conversations; index when so many beats are written."""
    for n in range(10):
        conversation = 1 + n % 2
        await put(
            store,
            conversations=[chat(1), chat(2)],
            inbox=[message(n, conversation)],
            outbox=[answer(n, conversation, state=SENT)],
        )
        if n + 1 == index_after:
            assert await store.index_history(100)


@pytest.mark.parametrize("index_after", [0, 1, 5, 10])
async def test_history_is_the_same_wherever_the_index_ends(store: SqliteStore, index_after: int):
    await fill(store, index_after)
    said = [ident for n in (8, 6, 4, 2, 0) for ident in (delivery_id(n), message_id(n))]
    assert await ids(store) == said
    assert await ids(store, limit=3) == said[:3]
    for start in range(len(said)):
        assert await ids(store, before=said[start], limit=2) == said[start + 1 : start + 3]
    assert await ids(store, conversation=3) == []


async def test_what_nobody_said_is_left_out(store: SqliteStore):
    states = [DeliveryState.DRAFT, DeliveryState.DISCARDED, QUEUED, DeliveryState.EXPIRED]
    await put(
        store,
        conversations=[chat(1)],
        inbox=[
            message(0, kind=EventKind.NOTICE), message(1, kind=EventKind.REQUEST),
            message(2, state=DEAD),
        ],
        outbox=[answer(10 + n, state=state) for n, state in enumerate(states)],
    )  # fmt: skip
    expected = [delivery_id(13), delivery_id(12), message_id(2), message_id(1)]
    assert await ids(store) == expected
    await store.index_history(100)
    assert await ids(store) == expected
    assert await ids(store, limit=2) == expected[:2]


async def test_an_answer_that_comes_late_stands_beside_its_question(
    store: SqliteStore, make_store: MakeStore
):
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(0, state=WAITING), message(1)],
        turns=[TurnRow(ONE, NOW_MS, NOW_MS)],
    )
    assert await store.index_history(100) == 2
    await put(store, outbox=[answer(0, state=SENT)], done=[(message_id(0), b"")])
    expected = [message_id(1), delivery_id(0), message_id(0)]
    assert await ids(store) == expected
    await store.close()
    again = make_store()
    await again.open()
    assert await again.index_history(100) == 0  # it is in the index already, not in the tail
    assert await ids(again) == expected
    await again.close()


async def test_the_index_goes_on_where_it_ended(store: SqliteStore, make_store: MakeStore):
    await fill(store, 4)
    await store.close()
    again = make_store()
    await again.open()
    assert await again.index_history(3) == 5
    assert await again.index_history(100) == 7
    assert await again.index_history(100) == 0
    assert len(await ids(again)) == 10
    await again.close()


async def test_small_batches_wait(store: SqliteStore):
    await fill(store, 0)
    assert await store.index_history(100, at_least=21) == 0
    assert await store.index_history(100, at_least=20) == 20


async def test_a_long_tail_is_indexed_before_it_is_read(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(histories, "TAIL", 5)
    await fill(store, 0)
    assert store._indexer.tail == 20
    assert len(await ids(store)) == 10
    assert store._indexer.tail <= 5


@pytest.mark.parametrize("index_after", [0, 3, 10])
async def test_conversations_come_last_active_first(store: SqliteStore, index_after: int):
    await put(store, conversations=[chat(3, line="other"), chat(4)], inbox=[message(20, 3)])
    await fill(store, index_after)
    await put(store, inbox=[message(30, 1), message(31, 4, kind=EventKind.NOTICE)])
    page = await store.conversations(line="", cursor="", limit=9)
    assert [(state.id, last.id) for state, last in page.rows] == [
        (1, message_id(30)), (3, message_id(20)), (2, delivery_id(9)),
    ]  # fmt: skip
    assert page.cursor == ""
    page = await store.conversations(line="mai", cursor="", limit=9)
    assert [state.id for state, _ in page.rows] == [1, 2]
    seen: list[int] = []
    cursor = ""
    for _ in range(4):
        page = await store.conversations(line="", cursor=cursor, limit=1)
        seen += [state.id for state, _ in page.rows]
        cursor = page.cursor
        if not cursor:
            break
    assert seen == [1, 3, 2]


async def test_what_retention_deletes_leaves_the_index_too(store: SqliteStore):
    old = NOW_MS - 100 * 86_400_000
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(0, at_ms=old), message(0)],
        outbox=[answer(0, at_ms=old, state=SENT)],
    )
    await store.index_history(100)
    while await store.retain(NOW_MS, Retention()):
        pass
    assert await ids(store) == [message_id(0)]
    assert store._writing is not None
    assert store._writing.execute("SELECT id FROM history").fetchall() == [(message_id(0),)]


async def test_erasing_forgets_one_conversation_and_no_other(store: SqliteStore):
    await fill(store, 5)
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(20, kind=EventKind.NOTICE), message(21, state=WAITING)],
        outbox=[answer(22, state=QUEUED)],
        turns=[TurnRow(ONE, NOW_MS, NOW_MS)],
    )
    assert await store.erase(ONE) == 13
    assert await ids(store) == []
    assert len(await ids(store, 2)) == 10
    assert await store.message(message_id(20)) is None
    assert await store.due_turns(NOW_MS, 9) == []
    assert [
        state.id for state, _ in (await store.conversations(line="", cursor="", limit=9)).rows
    ] == [2]
    # Who writes again is known under the same id.
    (state,) = await store.find_conversations([("mai", "bot", "private", "u1")])
    assert state is not None
    assert state.id == ONE
    await put(store, inbox=[message(30)])
    assert await ids(store) == [message_id(30)]
