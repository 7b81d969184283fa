"""The stream of changes: everything once, with its last state, across pages and restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storekit import (
    CONFIRMED,
    DAY_MS,
    NOW_MS,
    QUEUED,
    SENDING,
    SENT,
    UNCERTAIN,
    WAITING,
    MakeStore,
    answer,
    chat,
    delivery_id,
    message,
    message_id,
    put,
)
from trunkline.clock import FakeClock
from trunkline.ids import ConversationId
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import InboxState, OutboxRow, Outcome, Retention, TurnRow
from trunkline.store.sqlite import SqliteStore


async def drain(store: SqliteStore, after: int, limit: int = 100):
    """Return (id, state) of everything after a position, and the position then."""
    found: list[tuple[int, int]] = []
    last = after
    while True:
        piece = await store.changes(after, limit)
        for seq, row, _ in piece.rows:
            assert seq > last
            last = seq
            found.append((row.id, int(row.state)))
        assert piece.seq >= last
        if piece.seq == after:
            return found, after
        after = last = piece.seq


async def test_new_rows_then_what_became_of_them(store: SqliteStore):
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(n) for n in range(3)],
        outbox=[answer(n) for n in range(3)],
    )
    found, at = await drain(store, 0)
    assert found == [
        *((message_id(n), InboxState.DONE) for n in range(3)),
        *((delivery_id(n), SENDING) for n in range(3)),
    ]
    assert await store.last_change() == at
    assert await drain(store, at) == ([], at)
    await put(store, sent_ranges=[(delivery_id(0), delivery_id(2))])
    found, later = await drain(store, at)
    assert found == [(delivery_id(n), SENT) for n in range(3)]
    # From the beginning, each comes once: where it changed last.
    found, end = await drain(store, 0)
    assert found == [
        *((message_id(n), InboxState.DONE) for n in range(3)),
        *((delivery_id(n), SENT) for n in range(3)),
    ]
    assert end == later == await store.last_change()


async def test_a_row_that_changed_twice_comes_once(store: SqliteStore):
    await put(store, conversations=[chat(1)], outbox=[answer(0), answer(1)])
    _, at = await drain(store, 0)
    await put(store, outcomes=[Outcome(delivery_id(0), SENT, NOW_MS)])
    await put(store, outcomes=[Outcome(delivery_id(1), QUEUED, NOW_MS)])
    await put(store, outcomes=[Outcome(delivery_id(0), CONFIRMED, NOW_MS)])
    assert (await drain(store, at))[0] == [(delivery_id(1), QUEUED), (delivery_id(0), CONFIRMED)]


async def test_every_way_a_row_changes_is_told(store: SqliteStore):
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(9, state=WAITING)],
        turns=[TurnRow(ConversationId(1), NOW_MS, NOW_MS)],
        outbox=[
            answer(0, state=QUEUED), answer(1, state=UNCERTAIN, reason="g"),
            answer(2, state=QUEUED, expires_ms=NOW_MS - 1), answer(3, state=QUEUED),
        ],
    )  # fmt: skip
    _, at = await drain(store, 0)

    async def told() -> list[tuple[int, int]]:
        nonlocal at
        found, at = await drain(store, at)
        return found

    await put(store, claims=[delivery_id(0)])
    assert await told() == [(delivery_id(0), SENDING)]
    await store.expire(NOW_MS, 9)
    assert await told() == [(delivery_id(2), DeliveryState.EXPIRED)]
    await store.move_group("g", QUEUED, "person")
    assert await told() == [(delivery_id(1), QUEUED)]
    await store.move_delivery(delivery_id(1), [QUEUED], DeliveryState.DISCARDED, "")
    assert await told() == [(delivery_id(1), DeliveryState.DISCARDED)]
    await store.expire_seat("mai", "bot", "", "gone")
    assert await told() == [(delivery_id(3), DeliveryState.EXPIRED)]
    await put(store, done=[(message_id(9), b"why")])
    assert await told() == [(message_id(9), InboxState.DONE)]
    await store.move_message(message_id(9), [InboxState.DONE], InboxState.DISCARDED)
    assert await told() == [(message_id(9), InboxState.DISCARDED)]


async def test_an_answer_to_a_turn_that_waited_is_new(store: SqliteStore):
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(0, state=WAITING), message(1)],
        outbox=[answer(1)],
        turns=[TurnRow(ConversationId(1), NOW_MS, NOW_MS)],
    )
    _, at = await drain(store, 0)
    await put(store, outbox=[answer(0), answer(2)], done=[(message_id(0), b"")])
    expected = {(message_id(0), 1), (delivery_id(0), int(SENDING)), (delivery_id(2), int(SENDING))}
    found, _ = await drain(store, at)
    assert len(found) == 3
    assert set(found) == expected
    found, _ = await drain(store, 0)
    assert len(found) == len({ident for ident, _ in found}) == 5


async def test_positions_go_on_after_a_restart(
    store: SqliteStore, make_store: MakeStore, clock: FakeClock
):
    await put(store, conversations=[chat(1)], outbox=[answer(0)])
    _, at = await drain(store, 0)
    await store.close()
    store = make_store()
    await store.open()
    found, at = await drain(store, at)
    assert found == [(delivery_id(0), UNCERTAIN)]  # the restart itself changed it
    await put(store, inbox=[message(1)])
    assert (await drain(store, at))[0] == [(message_id(1), InboxState.DONE)]
    await store.close()


async def test_a_failed_beat_takes_no_positions(store: SqliteStore):
    await put(store, conversations=[chat(1)], inbox=[message(0)])
    at = await store.last_change()
    repeated = await put(store, inbox=[message(1, key=message(0).key)])
    assert repeated.duplicates
    with pytest.raises(Exception, match="UNIQUE"):
        await put(store, outbox=[answer(1), answer(1)])
    assert await store.last_change() == at
    await put(store, inbox=[message(2)])
    assert (await drain(store, at))[0] == [(message_id(2), InboxState.DONE)]


async def test_a_gap_is_told_and_only_to_who_missed_something(
    store: SqliteStore, make_store: MakeStore
):
    old = NOW_MS - 10 * DAY_MS
    await put(store, conversations=[chat(1)], inbox=[message(0, at_ms=old)])
    first = await store.last_change()
    await put(store, inbox=[message(1, at_ms=old)])
    second = await store.last_change()
    await put(store, inbox=[message(0)])
    while await store.retain(NOW_MS, Retention()):
        pass
    assert (await store.changes(first, 9)).is_gap
    assert not (await store.changes(second, 9)).is_gap
    from_start = await store.changes(0, 9)
    assert not from_start.is_gap
    assert [row.id for _, row, _ in from_start.rows] == [message_id(0)]
    end = await store.last_change()
    other = await store.changes(end + 1000, 9)  # a position of other data
    assert (other.rows, other.seq, other.is_gap) == ([], end, True)
    # The last position survives although everything is old.
    while await store.retain(NOW_MS + 100 * DAY_MS, Retention()):
        pass
    await store.close()
    again = make_store()
    await again.open()
    assert await again.last_change() == end
    await again.close()


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("insert"), st.integers(1, 4)),
            st.tuples(st.just("settle"), st.integers(0, 12)),
            st.tuples(st.just("range"), st.integers(0, 12)),
            st.tuples(st.just("read"), st.integers(1, 5)),
        ),
        max_size=14,
    )
)
async def test_a_reader_who_follows_misses_nothing(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
):
    """A viewer with any page size, reading at any time, ends with the state of every row."""
    folder: Path = tmp_path_factory.mktemp("stream")
    store = SqliteStore(folder, clock=FakeClock())
    await store.open()
    await put(store, conversations=[chat(1)])
    nth = 0
    seen: dict[int, int] = {}
    after = 0
    for what, number in [*steps, ("read", 3)]:
        if what == "insert":
            numbers = range(nth, nth + number)
            nth += number
            await put(
                store,
                inbox=[message(n) for n in numbers],
                outbox=[answer(n) for n in numbers],
            )
        elif what == "settle":
            await put(store, outcomes=[Outcome(delivery_id(number), CONFIRMED, NOW_MS)])
        elif what == "range":
            await put(store, sent_ranges=[(delivery_id(number), delivery_id(number + 3))])
        else:
            while True:
                piece = await store.changes(after, number)
                assert not piece.is_gap
                assert len(piece.rows) <= number
                for _, row, _ in piece.rows:
                    state = int(row.state)
                    assert not isinstance(row, OutboxRow) or seen.get(row.id) != state
                    seen[row.id] = state
                if piece.seq == after:
                    break
                after = piece.seq
    page = await store.deliveries(states=(), line="", cursor="", limit=1000)
    stored = {one.row.id: int(one.row.state) for one in page.rows}
    assert {ident: state for ident, state in seen.items() if ident & 15} == stored
    assert sum(1 for ident in seen if not ident & 15) == nth
    await store.close()
