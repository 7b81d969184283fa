"""A restart: what was under way, the highest id, the fence; and who may open the data."""

from __future__ import annotations

import pytest

from storekit import (
    NOW_MS,
    QUEUED,
    SENT,
    UNCERTAIN,
    MakeStore,
    answer,
    chat,
    delivery_id,
    message,
    message_id,
    put,
    states_of,
)
from trunkline.clock import FakeClock
from trunkline.errors import DataDirInUse, StoreUnavailable
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import Beat
from trunkline.store.sqlite import SqliteStore


async def depth(store: SqliteStore, line: str, account: str, peer: str) -> tuple[int, int]:
    """Return (queued rows, earliest due time) of a seat, by the store's own clock."""
    queue = await store.queued(line, account, peer, 1, store._clock.now_ms())
    return queue.depth, queue.due_ms


async def test_what_was_sending_is_one_uncertain_group_for_each_restart(
    make_store: MakeStore, clock: FakeClock
):
    store = make_store()
    assert await store.open() == 0
    rows = [answer(0), answer(1), answer(2, state=SENT), answer(3, state=QUEUED)]
    await put(store, conversations=[chat(1)], outbox=rows)
    await store.close()
    clock.advance(5)
    store = make_store()
    assert await store.open() == delivery_id(3)
    ids = [row.id for row in rows]
    assert await states_of(store, ids) == [UNCERTAIN, UNCERTAIN, SENT, QUEUED]
    found = await store.delivery(delivery_id(0))
    assert found is not None
    assert (found.row.reason, found.row.settled_ms) == ("restart 2", NOW_MS + 5000)
    # Held, and in nobody's way.
    queued = (await store.queued("mai", "bot", "", 9, NOW_MS + 5000)).rows
    assert [one.row.id for one in queued] == [delivery_id(3)]
    await put(store, claims=[delivery_id(3)])
    await store.close()
    store = make_store()
    await store.open()
    found = await store.delivery(delivery_id(3))
    assert found is not None
    assert found.row.reason == "restart 3"
    assert await store.move_group("restart 2", QUEUED, "person") == 2
    await store.close()


async def test_a_peer_that_drops_second_copies_gets_it_again(make_store: MakeStore):
    store = make_store()
    await store.open()
    await put(
        store,
        conversations=[chat(1), chat(2, line="api")],
        outbox=[answer(0, 1), answer(1, 2, due_ms=0)],
    )
    await store.close()
    store = make_store()
    await store.open(requeue_lines=["api"])
    assert await states_of(store, [delivery_id(0), delivery_id(1)]) == [UNCERTAIN, QUEUED]
    (again,) = (await store.queued("api", "bot", "", 9, NOW_MS)).rows
    assert (again.row.id, again.row.attempt) == (delivery_id(1), 1)
    await store.close()


async def test_the_highest_id_counts_both_tables(make_store: MakeStore):
    store = make_store()
    await store.open()
    await put(store, conversations=[chat(1)], inbox=[message(9)], outbox=[answer(3)])
    await store.close()
    assert await store.open() == message_id(9)
    await put(store, outbox=[answer(9)])
    await store.close()
    assert await store.open() == delivery_id(9)
    await store.close()


async def test_a_due_time_from_a_clock_that_was_ahead_is_brought_back(
    make_store: MakeStore, clock: FakeClock
):
    store = make_store()
    await store.open()
    far = NOW_MS + 40 * 86_400_000
    await put(store, conversations=[chat(1)], outbox=[answer(0, state=QUEUED, due_ms=far)])
    await store.close()
    await store.open()
    assert await depth(store, "mai", "bot", "") == (1, NOW_MS + 86_400_000)
    await store.close()


async def test_a_store_opened_again_remembers_nothing_that_is_not_in_the_data(
    make_store: MakeStore,
):
    store = make_store()
    await store.open()
    await put(store, conversations=[chat(1)], outbox=[answer(0)])
    assert (await store.counts())["outbox.sending"] == 1
    await store.close()
    await store.open()
    counts = await store.counts()
    assert (counts["outbox.sending"], counts["outbox.uncertain"]) == (0, 1)
    await store.close()


async def test_a_second_store_on_the_same_data_is_refused(make_store: MakeStore):
    first, second = make_store(), make_store()
    await first.open()
    with pytest.raises(DataDirInUse, match="pid"):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_a_closed_store_says_so(make_store: MakeStore):
    store = make_store()
    with pytest.raises(StoreUnavailable):
        await store.commit(Beat())
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.commit(Beat())
    with pytest.raises(StoreUnavailable):
        await store.delivery(delivery_id(0))


async def test_nothing_but_sending_is_touched(store: SqliteStore, make_store: MakeStore):
    rows = [answer(n, state=DeliveryState(n)) for n in range(10)]
    await put(store, conversations=[chat(1)], outbox=rows)
    await store.close()
    await store.open()
    found = await states_of(store, [row.id for row in rows])
    assert found == [
        UNCERTAIN if state is DeliveryState.SENDING else state for state in DeliveryState
    ]
