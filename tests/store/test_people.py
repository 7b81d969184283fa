"""What people do with rows: requeue, discard, approve."""

from __future__ import annotations

import pytest

from storekit import (
    DEAD,
    DONE,
    NOW_MS,
    QUEUED,
    SENDING,
    UNCERTAIN,
    WAITING,
    answer,
    chat,
    delivery_id,
    message,
    message_id,
    put,
    states_of,
)
from trunkline.clock import FakeClock
from trunkline.ids import ConversationId
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import (
    CROWDED,
    MAX_DRAFTS,
    Edit,
    EventKind,
    InboxState,
    OutboxRow,
    PaceRow,
)  # fmt: skip
from trunkline.store.sqlite import SqliteStore

DRAFT = DeliveryState.DRAFT
DISCARDED = DeliveryState.DISCARDED


async def get(store: SqliteStore, nth: int) -> OutboxRow:
    found = await store.delivery(delivery_id(nth))
    assert found is not None
    return found.row


@pytest.mark.parametrize("state", list(DeliveryState))
async def test_a_row_moves_only_from_the_states_named(store: SqliteStore, state: DeliveryState):
    await put(store, conversations=[chat(1)], outbox=[answer(0, state=state)])
    moved = await store.move_delivery(delivery_id(0), [UNCERTAIN, DRAFT], DISCARDED, "person")
    assert moved is (state in (UNCERTAIN, DRAFT))
    row = await get(store, 0)
    assert row.state is (DISCARDED if moved else state)
    if moved:
        assert (row.reason, row.settled_ms) == ("person", NOW_MS)
    assert not await store.move_delivery(delivery_id(9), list(DeliveryState), QUEUED, "person")


async def test_a_drafts_clock_starts_at_its_approval(store: SqliteStore, clock: FakeClock):
    row = answer(0, state=DRAFT, expires_ms=NOW_MS + 120_000)
    await put(store, conversations=[chat(1)], outbox=[row, answer(1, state=DRAFT)])
    clock.advance(3600)
    now_ms = clock.now_ms()
    assert await store.move_delivery(delivery_id(0), [DRAFT], QUEUED, "person")
    assert await store.move_delivery(delivery_id(1), [DRAFT], QUEUED, "person")
    assert (await get(store, 0)).expires_ms == now_ms + 86_400_000, "as a send of a person"
    assert (await get(store, 1)).expires_ms == 0
    assert await store.expire(now_ms, 9) == []
    found = (await store.queued("mai", "bot", "", 9, now_ms)).rows
    assert [one.row.id for one in found] == [delivery_id(0), delivery_id(1)]


@pytest.mark.parametrize("size", [10, 40_000])
async def test_a_draft_and_a_persons_words_for_it_are_one_commit(store: SqliteStore, size: int):
    """Also words that go to a file of their own; words that come too late change nothing."""
    await put(store, conversations=[chat(1)], outbox=[answer(0, state=DRAFT)])
    edit = Edit(b"x" * size, "person")
    assert await store.move_delivery(delivery_id(0), [DRAFT], QUEUED, "person", edit)
    row = await get(store, 0)
    assert (row.state, row.body, row.source) == (QUEUED, edit.body, "person")
    late = Edit(b"y" * size, "person")
    assert not await store.move_delivery(delivery_id(0), [DRAFT], QUEUED, "person", late)
    assert (await get(store, 0)).body == edit.body
    connection = store._writing
    assert connection is not None
    (kept,) = connection.execute("SELECT length(body) FROM outbox").fetchone()
    assert kept == (size if size == 10 else None)


async def test_drafts_run_out_by_their_age_and_of_one_conversation_by_their_number(
    store: SqliteStore,
):
    rows = [answer(nth, state=DRAFT) for nth in range(MAX_DRAFTS + 2)]
    other = answer(30, 2, state=DRAFT, at_ms=NOW_MS + 50_000)
    await put(
        store, conversations=[chat(1), chat(2, line="api")], outbox=[*rows, other],
        drafted=[ConversationId(1), ConversationId(2)],
    )  # fmt: skip
    found = await store.deliveries(states=[DeliveryState.EXPIRED], line="", cursor="", limit=9)
    assert [(one.row.id, one.row.reason) for one in found.rows] == [
        (delivery_id(1), CROWDED), (delivery_id(0), CROWDED),
    ]  # fmt: skip
    assert await store.drafts(99) == {"mai": MAX_DRAFTS, "api": 1}
    assert await store.expire_drafts(NOW_MS, "old", NOW_MS, 99) == []
    gone = await store.expire_drafts(NOW_MS + 50_000, "old", NOW_MS + 60_000, 3)
    assert gone == [delivery_id(nth) for nth in (2, 3, 4)]
    assert (await get(store, 2)).reason == "old"
    assert len(await store.expire_drafts(NOW_MS + 50_000, "old", NOW_MS, 99)) == MAX_DRAFTS - 3
    assert await store.drafts(99) == {"api": 1}


async def test_what_a_line_used_up_of_its_pace_is_kept(store: SqliteStore):
    await put(store, paces=[PaceRow("job", 20_000, 3, NOW_MS), PaceRow("a", 1, 1, 1)])
    await put(store, paces=[PaceRow("job", 20_000, 4, NOW_MS + 6)])
    assert await store.paces() == [PaceRow("a", 1, 1, 1), PaceRow("job", 20_000, 4, NOW_MS + 6)]


async def test_what_is_requeued_is_not_settled_and_leaves_at_once(
    store: SqliteStore, clock: FakeClock
):
    row = answer(
        0, state=UNCERTAIN, attempt=1, expires_ms=NOW_MS + 100, due_ms=NOW_MS + 9_999_999,
        settled_ms=NOW_MS, peer_id="p", dedupe="key",
    )  # fmt: skip
    await put(store, conversations=[chat(1)], outbox=[row])
    clock.advance(60)
    assert await store.move_delivery(delivery_id(0), [UNCERTAIN], QUEUED, "person")
    found = await get(store, 0)
    assert (found.settled_ms, found.due_ms, found.attempt) == (0, 0, 1)
    assert found.id == delivery_id(0)  # the id the peer knows it by never changes
    assert len((await store.queued("mai", "bot", "", 9, clock.now_ms())).rows) == 1


async def test_a_group_that_one_restart_left_is_moved_together(store: SqliteStore):
    rows = [
        answer(0, state=UNCERTAIN, reason="restart 2"), answer(1, state=UNCERTAIN, reason="cut"),
        answer(2, state=UNCERTAIN, reason="restart 2"), answer(3, state=QUEUED, reason="restart 2"),
    ]  # fmt: skip
    await put(store, conversations=[chat(1)], outbox=rows)
    assert await store.move_group("restart 2", QUEUED, "person") == 2
    assert await store.move_group("restart 2", QUEUED, "person") == 0
    ids = [row.id for row in rows]
    assert await states_of(store, ids) == [QUEUED, UNCERTAIN, QUEUED, QUEUED]
    assert (await get(store, 0)).reason == "person"
    assert await store.move_group("cut", DISCARDED, "person") == 1


async def test_a_row_that_was_under_way_and_moved_blocks_nothing(store: SqliteStore):
    rows = [answer(0), answer(1, state=QUEUED)]
    await put(store, conversations=[chat(1)], outbox=rows)
    assert (await store.queued("mai", "bot", "", 9, NOW_MS)).rows == []
    assert await store.move_delivery(delivery_id(0), [SENDING], DISCARDED, "person")
    found = (await store.queued("mai", "bot", "", 9, NOW_MS)).rows
    assert [one.row.id for one in found] == [delivery_id(1)]


@pytest.mark.parametrize("state", list(InboxState))
async def test_messages_move_from_the_states_named(store: SqliteStore, state: InboxState):
    await put(store, conversations=[chat(1)], inbox=[message(0, state=state)])
    moved = await store.move_message(message_id(0), [DEAD, WAITING], InboxState.DISCARDED)
    assert moved is (state in (DEAD, WAITING))
    found = await store.message(message_id(0))
    assert found is not None
    assert found[0].state is (InboxState.DISCARDED if moved else state)
    assert not await store.move_message(message_id(9), list(InboxState), WAITING)


async def test_a_row_without_a_body_cannot_be_processed_again(store: SqliteStore):
    await put(store, conversations=[chat(1)], inbox=[message(0, state=DEAD, body=b"")])
    assert not await store.move_message(message_id(0), [DEAD], WAITING)
    assert await store.waiting(ConversationId(1)) == (chat(1), [])
    assert await store.due_turns(NOW_MS, 9) == []
    assert await store.move_message(message_id(0), [DEAD], InboxState.DISCARDED)


async def test_a_requeued_request_is_found_among_requests_when_it_is_done(store: SqliteStore):
    row = message(0, state=DEAD, kind=EventKind.REQUEST)
    await put(store, conversations=[chat(1)], inbox=[row])
    assert await store.move_message(row.id, [DEAD], WAITING)
    await put(store, done=[(row.id, b"why")], turns_done=[ConversationId(1)])
    page = await store.messages(
        line="", states=[DONE], kinds=[EventKind.REQUEST], after=0, cursor="", limit=9
    )
    assert [(one.id, one.why) for one, _ in page.rows] == [(row.id, b"why")]
