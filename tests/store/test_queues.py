"""Queues of seats: what may leave, in which order, and what is too late."""

from __future__ import annotations

from pathlib import Path

from storekit import (
    CONFIRMED,
    NOW_MS,
    QUEUED,
    SENDING,
    answer,
    chat,
    delivery_id,
    message,
    put,
    states_of,
)
from trunkline.clock import FakeClock
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import Outcome, Queued
from trunkline.store.sqlite import SqliteStore

EXPIRED = DeliveryState.EXPIRED


async def depth(store: SqliteStore, line: str, account: str, peer: str) -> tuple[int, int]:
    """Return (queued rows, earliest due time) of a seat, by the store's own clock."""
    queue = await store.queued(line, account, peer, 1, store._clock.now_ms())
    return queue.depth, queue.due_ms


async def ask(
    store: SqliteStore,
    account: str = "bot",
    peer: str = "",
    *,
    limit: int = 64,
    now_ms: int = NOW_MS,
) -> list[int]:
    """Return the numbers of the rows that may leave."""
    found = (await store.queued("mai", account, peer, limit, now_ms)).rows
    return [(one.row.id - delivery_id(0)) // 16 for one in found]


async def test_a_seat_gets_its_own_rows_oldest_first(store: SqliteStore):
    chats = [
        chat(1), chat(2), chat(3, account="other"), chat(4, line="qq"),
        chat(5, account="", peer="v1"), chat(6, account="", peer="v2"),
    ]  # fmt: skip
    # Later conversations first, so that the order of rows differs from that of conversations.
    rows = [answer(n, 6 - n % 6, state=QUEUED) for n in range(18)]
    await put(store, conversations=chats, outbox=rows)
    assert await ask(store) == [n for n in range(18) if 6 - n % 6 in (1, 2)]
    assert await ask(store, "other") == [3, 9, 15]
    assert await ask(store, "", "v1") == [1, 7, 13]
    assert await ask(store, "", "v2", limit=2) == [0, 6]
    assert await ask(store, "nobody") == []
    assert await ask(store, "bot", "u2") == [4, 10, 16]


async def test_what_a_session_needs_comes_with_the_row(store: SqliteStore):
    asked = message(0)
    await put(store, conversations=[chat(1)], inbox=[asked], outbox=[answer(0, state=QUEUED)])
    found = (await store.queued("mai", "bot", "", 1, NOW_MS)).rows
    assert found == [Queued(answer(0, state=QUEUED), chat(1), b"", asked)]


async def test_a_retrying_row_blocks_later_rows_of_its_conversation_only(store: SqliteStore):
    rows = [
        answer(0, 1, state=QUEUED), answer(1, 1, state=QUEUED, due_ms=NOW_MS + 500),
        answer(2, 1, state=QUEUED), answer(3, 2, state=QUEUED),
    ]  # fmt: skip
    await put(store, conversations=[chat(1), chat(2)], outbox=rows)
    assert await ask(store) == [0, 3]
    assert await ask(store, peer="u1") == [0]
    assert await depth(store, "mai", "bot", "") == (4, NOW_MS + 500)
    assert await ask(store, now_ms=NOW_MS + 500) == [0, 1, 2, 3]


async def test_a_row_under_way_blocks_later_rows_of_its_conversation_only(store: SqliteStore):
    rows = [answer(0, 1), answer(1, 1, state=QUEUED), answer(2, 2, state=QUEUED)]
    await put(store, conversations=[chat(1), chat(2)], outbox=rows)
    assert await ask(store) == [2]
    await put(store, sent_ranges=[(delivery_id(0), delivery_id(0))])
    assert await ask(store) == [1, 2]


async def test_a_claimed_row_blocks_until_its_result(store: SqliteStore):
    rows = [answer(n, 1, state=QUEUED) for n in range(3)]
    await put(store, conversations=[chat(1)], outbox=rows)
    await put(store, claims=[delivery_id(0)])
    assert await ask(store) == []
    await put(store, outcomes=[Outcome(delivery_id(0), CONFIRMED, NOW_MS)])
    assert await ask(store) == [1, 2]
    await put(store, claims=[delivery_id(1)])
    await put(store, outcomes=[Outcome(delivery_id(1), QUEUED, NOW_MS, "", "", NOW_MS + 9)])
    assert await ask(store) == []
    assert await ask(store, now_ms=NOW_MS + 9) == [1, 2]


async def test_a_rolled_back_beat_blocks_nothing(store: SqliteStore):
    rows = [answer(1, 1, state=QUEUED)]
    await put(store, conversations=[chat(1)], inbox=[message(0)], outbox=rows)
    again = await put(store, inbox=[message(5, key=message(0).key)], outbox=[answer(0, 1)])
    assert again.duplicates
    assert await ask(store) == [1]


async def test_a_later_row_under_way_blocks_nothing_before_it(store: SqliteStore):
    rows = [answer(0, 1, state=QUEUED), answer(1, 1)]
    await put(store, conversations=[chat(1)], outbox=rows)
    assert await ask(store) == [0]


async def test_what_is_too_late_neither_leaves_nor_blocks_nor_counts(
    store: SqliteStore, clock: FakeClock
):
    rows = [
        answer(0, 1, state=QUEUED, expires_ms=NOW_MS + 100),
        answer(1, 1, state=QUEUED, expires_ms=NOW_MS + 99, due_ms=NOW_MS + 1000),
        answer(2, 1, state=QUEUED),
    ]
    await put(store, conversations=[chat(1)], outbox=rows)
    assert await ask(store) == [0]
    assert await depth(store, "mai", "bot", "") == (3, NOW_MS + 1000)
    clock.advance(0.1)
    assert await ask(store, now_ms=clock.now_ms()) == [2]
    assert await depth(store, "mai", "bot", "") == (1, 0)
    assert await depth(store, "mai", "", "u1") == (0, 0)
    assert await depth(store, "mai", "bot", "u1") == (1, 0)


async def test_expiry_takes_queued_rows_that_are_too_late(store: SqliteStore):
    rows = [
        answer(0, state=QUEUED, expires_ms=NOW_MS), answer(1, state=QUEUED, expires_ms=NOW_MS + 1),
        answer(2, state=QUEUED), answer(3, expires_ms=NOW_MS),
        answer(4, state=QUEUED, expires_ms=NOW_MS), answer(5, state=QUEUED, expires_ms=1),
    ]  # fmt: skip
    await put(store, conversations=[chat(1)], outbox=rows)
    assert await store.expire(NOW_MS, 2) == [delivery_id(0), delivery_id(4)]
    assert await store.expire(NOW_MS, 2) == [delivery_id(5)]
    assert await store.expire(NOW_MS, 2) == []
    assert await states_of(store, [row.id for row in rows]) == [
        EXPIRED, QUEUED, QUEUED, SENDING, EXPIRED, EXPIRED,
    ]  # fmt: skip
    found = await store.delivery(delivery_id(0))
    assert found is not None
    assert (found.row.reason, found.row.settled_ms) == ("too late", NOW_MS)


async def test_a_visitor_who_left_gets_nothing_any_more(store: SqliteStore):
    chats = [chat(1, account="", peer="v1"), chat(2, account="", peer="v2")]
    rows = [answer(0, 1, state=QUEUED), answer(1, 2, state=QUEUED), answer(2, 1)]
    await put(store, conversations=chats, outbox=rows)
    assert await store.expire_seat("mai", "", "v1", "the visitor left") == [delivery_id(0)]
    assert await store.expire_seat("mai", "", "v1", "the visitor left") == []
    assert await states_of(store, [row.id for row in rows]) == [EXPIRED, QUEUED, SENDING]
    found = await store.delivery(delivery_id(0))
    assert found is not None
    assert found.row.reason == "the visitor left"


async def test_a_row_whose_body_was_lost_with_its_file_is_dead_and_blocks_nobody(
    store: SqliteStore, tmp_path: Path
):
    rows = [answer(0, state=QUEUED, body=b"x" * 40_000), answer(1, state=QUEUED)]
    await put(store, conversations=[chat(1)], outbox=rows)
    (file,) = (tmp_path / "data" / "media").iterdir()
    file.unlink()
    assert await ask(store) == [1]
    assert await states_of(store, [delivery_id(0)]) == [DeliveryState.DEAD]
