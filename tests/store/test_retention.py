"""Forgetting: what goes at which age, in small batches, and what never goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from storekit import (
    CONFIRMED,
    DAY_MS,
    DEAD,
    NOW_MS,
    QUEUED,
    SENDING,
    SENT,
    UNCERTAIN,
    WAITING,
    all_deliveries,
    all_messages,
    answer,
    chat,
    message,
    put,
)
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import EventKind, InboxRow, InboxState, OutboxRow, Retention
from trunkline.store.sqlite import SqliteStore

POLICY = Retention(keys_days=60)
LARGE = b"x" * 40_000


def days_ago(days: float) -> int:
    return NOW_MS - round(days * DAY_MS)


async def forget(store: SqliteStore, policy: Retention = POLICY, now_ms: int = NOW_MS) -> int:
    """Call `retain` until all is done; return what went."""
    total = 0
    for _ in range(1000):
        gone = await store.retain(now_ms, policy)
        if not gone:
            return total
        total += gone
    raise AssertionError("retention does not come to an end")


async def messages(store: SqliteStore) -> list[InboxRow]:
    return list(reversed(await all_messages(store)))


async def deliveries(store: SqliteStore) -> list[OutboxRow]:
    return list(reversed(await all_deliveries(store)))


async def test_each_thing_goes_at_its_own_age(store: SqliteStore):
    ages = [61, 59, 31, 29, 15, 13]
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(0, at_ms=days_ago(age), why=b"why") for age in ages],
        outbox=[answer(0, at_ms=days_ago(age), state=SENT) for age in ages],
    )
    await forget(store)
    assert [(bool(row.body), bool(row.why)) for row in await messages(store)] == [
        (False, False), (False, False), (True, False), (True, False), (True, True),
    ]  # fmt: skip
    assert [bool(row.body) for row in await deliveries(store)] == [False, False, True, True, True]
    # Keys outlive bodies: a repeat is still one.
    again = await put(store, inbox=[message(1, key=message(0, at_ms=days_ago(59)).key)])
    assert again.duplicates == {0}
    fresh = await put(store, inbox=[message(1, key=message(0, at_ms=days_ago(61)).key)])
    assert not fresh.duplicates


async def test_a_line_has_its_own_age_for_bodies(store: SqliteStore):
    chats = [chat(1), chat(2, line="blog"), chat(3, line="brief")]
    policy = Retention(bodies_days=30, keys_days=30, lines_days={"blog": 180, "brief": 10})
    ages = [181, 179, 31, 29, 11, 9]
    inbox = [message(n, n, at_ms=days_ago(age)) for age in ages for n in (1, 2, 3)]
    outbox = [answer(n, n, at_ms=days_ago(age), state=CONFIRMED) for age in ages for n in (1, 2, 3)]
    await put(store, conversations=chats, inbox=inbox, outbox=outbox)
    await forget(store, policy)
    for rows in (await messages(store), await deliveries(store)):
        left = [
            (round((NOW_MS - row.at_ms) / DAY_MS), row.conversation, bool(row.body)) for row in rows
        ]
        assert left == [
            (179, 2, True), (31, 2, True),
            (29, 1, True), (29, 2, True), (29, 3, False),
            (11, 1, True), (11, 2, True), (11, 3, False),
            (9, 1, True), (9, 2, True), (9, 3, True),
        ]  # fmt: skip


async def test_requests_go_with_their_line_and_not_before(store: SqliteStore):
    policy = Retention(keys_days=30, lines_days={"blog": 180})
    await put(
        store,
        conversations=[chat(1, line="blog")],
        inbox=[message(0, at_ms=days_ago(age), kind=EventKind.REQUEST) for age in (181, 179, 40)],
    )
    await forget(store, policy)
    left = [round((NOW_MS - row.at_ms) / DAY_MS) for row in await messages(store)]
    assert left == [179, 40]


async def test_what_is_open_stays_however_old(store: SqliteStore):
    old = days_ago(300)
    kept = [DeliveryState.DRAFT, QUEUED, SENDING, UNCERTAIN]
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(n, at_ms=old, state=state) for n, state in enumerate(InboxState)],
        outbox=[answer(n, at_ms=old, state=state) for n, state in enumerate(DeliveryState)],
    )
    await forget(store)
    assert [(row.state, bool(row.body)) for row in await messages(store)] == [(WAITING, True)]
    assert [(row.state, bool(row.body)) for row in await deliveries(store)] == [
        (state, True) for state in kept
    ]


async def test_dead_letters_keep_their_payload_for_their_days(store: SqliteStore):
    policy = Retention(bodies_days=5, dead_days=30, keys_days=7)
    lost = [DEAD, InboxState.DISCARDED]
    failed = [
        DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.DEAD, DeliveryState.DISCARDED,
    ]  # fmt: skip
    ages = (31, 29)
    await put(
        store,
        conversations=[chat(1)],
        inbox=[
            message(n, at_ms=days_ago(age), state=state, body=LARGE)
            for age in ages
            for n, state in enumerate(lost)
        ],
        outbox=[
            answer(n, at_ms=days_ago(age), state=state, body=LARGE)
            for age in ages
            for n, state in enumerate(failed)
        ],
    )
    await forget(store, policy)
    assert [(row.state, len(row.body)) for row in await messages(store)] == [
        (state, len(LARGE)) for state in lost
    ]
    assert [(row.state, len(row.body)) for row in await deliveries(store)] == [
        (state, len(LARGE)) for state in failed
    ]


async def test_a_dead_row_keeps_its_key_as_long_as_keys_are_kept(store: SqliteStore):
    row = message(0, at_ms=days_ago(40), state=DEAD)
    await put(store, conversations=[chat(1)], inbox=[row])
    await forget(store)
    assert (await put(store, inbox=[message(1, key=row.key)])).duplicates == {0}


async def test_requests_go_like_messages(store: SqliteStore):
    rows = [message(0, at_ms=days_ago(age), kind=EventKind.REQUEST) for age in (61, 31, 1)]
    await put(store, conversations=[chat(1)], inbox=rows)
    await forget(store)
    assert [bool(row.body) for row in await messages(store)] == [False, True]


@pytest.mark.parametrize("batch", [3, 4, 100])
async def test_one_call_takes_at_most_one_batch(store: SqliteStore, batch: int):
    old = days_ago(300)
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(n, at_ms=old) for n in range(10)],
        outbox=[answer(n, at_ms=old, state=SENT) for n in range(10)],
    )
    policy = Retention(batch=batch)
    steps: list[int] = []
    while gone := await store.retain(NOW_MS, policy):
        steps.append(gone)
    assert max(steps) == min(batch, 10)
    assert sum(steps) == 20 + 1  # rows, and the older run of the stream: the last one stays
    assert await messages(store) == []
    assert await deliveries(store) == []
    assert await store.retain(NOW_MS, policy) == 0


async def test_a_call_that_found_nothing_yet_says_that_there_is_more(store: SqliteStore):
    """Many rows to look at before the first one that is too old: bounded work, not "all done"."""
    rows = [message(n, 1, at_ms=days_ago(40)) for n in range(60)]
    rows.append(message(60, 2, at_ms=days_ago(40)))
    await put(store, conversations=[chat(1, line="blog"), chat(2)], inbox=rows)
    policy = Retention(lines_days={"blog": 180}, batch=2)
    first = await store.retain(NOW_MS, policy)
    assert first == 1
    assert len(await messages(store)) == 61
    await forget(store, policy)
    assert len(await messages(store)) == 60


async def test_time_going_on_takes_what_was_too_young(store: SqliteStore):
    await put(store, conversations=[chat(1)], inbox=[message(0, at_ms=days_ago(n)) for n in (9, 8)])
    policy = Retention(bodies_days=10, keys_days=10)
    assert await forget(store, policy) == 0
    assert await forget(store, policy, NOW_MS + round(1.5 * DAY_MS)) == 1
    assert await forget(store, policy, NOW_MS + 3 * DAY_MS) == 1
    assert await messages(store) == []


async def test_a_row_that_was_open_when_the_walk_passed_goes_after_the_next_start(
    store: SqliteStore,
):
    rows = [answer(n, at_ms=days_ago(90), state=UNCERTAIN if n else SENT) for n in range(2)]
    await put(store, conversations=[chat(1)], outbox=rows)
    await forget(store)
    assert [row.state for row in await deliveries(store)] == [UNCERTAIN]
    await store.move_delivery(rows[1].id, [UNCERTAIN], QUEUED, "person")
    await put(store, claims=[rows[1].id])
    await put(store, sent_ranges=[(rows[1].id, rows[1].id)])
    await forget(store)
    await store.close()
    await store.open()
    await forget(store)
    assert await deliveries(store) == []


# -- media files ---------------------------------------------------------------------------------


def files(folder: Path) -> list[int]:
    return sorted(path.stat().st_size for path in (folder / "data" / "media").iterdir())


async def test_large_bodies_go_at_the_age_of_media_and_their_rows_stay(
    store: SqliteStore, tmp_path: Path
):
    sizes = {8: 40_008, 6: 40_006}
    for age, size in sizes.items():
        await put(
            store,
            conversations=[chat(1)],
            inbox=[message(0, at_ms=days_ago(age), body=b"i" * size)],
            outbox=[answer(0, at_ms=days_ago(age), body=b"o" * size, state=SENT)],
            now_ms=days_ago(age),
        )
    assert files(tmp_path) == [40_006, 40_006, 40_008, 40_008]
    await forget(store)
    assert files(tmp_path) == [40_006, 40_006]
    assert [len(row.body) for row in await messages(store)] == [0, 40_006]
    assert [len(row.body) for row in await deliveries(store)] == [0, 40_006]


async def test_a_file_that_another_row_names_stays(store: SqliteStore, tmp_path: Path):
    rows = [message(0, at_ms=days_ago(8), body=LARGE), message(1, body=LARGE)]
    await put(store, conversations=[chat(1)], inbox=rows[:1], now_ms=days_ago(8))
    await put(store, outbox=[answer(5, at_ms=days_ago(8), state=QUEUED, body=b"q" * 40_001)],
              now_ms=days_ago(8))  # fmt: skip
    await put(store, inbox=rows[1:], now_ms=NOW_MS)
    assert len(files(tmp_path)) == 2
    await forget(store)
    assert files(tmp_path) == [40_000, 40_001]
    assert [len(row.body) for row in await messages(store)] == [0, 40_000]


async def test_a_file_whose_commit_failed_goes_when_it_is_old(store: SqliteStore, tmp_path: Path):
    await put(store, conversations=[chat(1)], inbox=[message(0)])
    repeat = message(1, key=message(0).key, body=LARGE)
    assert (await put(store, inbox=[repeat])).duplicates
    assert files(tmp_path) == [40_000]
    await forget(store)
    assert files(tmp_path) == [40_000]
    assert await forget(store, now_ms=NOW_MS + 8 * DAY_MS) >= 1
    assert files(tmp_path) == []


async def test_what_is_not_ours_in_the_folder_stays(store: SqliteStore, tmp_path: Path):
    for name in ("readme.txt", "A" * 64, "0" * 63):
        (tmp_path / "data" / "media" / name).write_bytes(b"")
    await forget(store, now_ms=NOW_MS + 10_000 * DAY_MS)
    assert len(files(tmp_path)) == 3


async def test_what_becomes_old_all_the_time_does_not_keep_the_rest(store: SqliteStore):
    """Found by the soak: changes grew old at every step, so no body was ever reached.

    Each call began anew with the changes; while at least one of them had become old since the
    last call, it ended there.
    """
    hour = DAY_MS / 24
    for n in range(240):  # from 40 hours older than a body lives to 200 hours younger
        await put(
            store,
            conversations=[chat(1)] if n == 0 else [],
            inbox=[message(n, at_ms=NOW_MS - round(30 * DAY_MS + (40 - n) * hour))],
        )
    policy = Retention(bodies_days=30, keys_days=60, changes_days=25, batch=1)
    for step in range(250):  # the clock runs on between two calls, as it does
        await store.retain(NOW_MS + round(step * hour), policy)
    kept = [bool(row.body) for row in await messages(store)]
    assert not any(kept[:20])
