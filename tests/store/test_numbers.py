"""Numbers: given once, found both ways, forgotten with the row that they are about."""

from __future__ import annotations

import pytest

from storekit import DAY_MS, NOW_MS, QUEUED, SENT, answer, chat, message, message_id, put
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import Number, Retention
from trunkline.store.sqlite import SqliteStore

CHAT = Number(1, "core", "chat", '["qq","private","ann"]')


async def test_numbers_are_found_by_what_they_stand_for_and_by_themselves(store: SqliteStore):
    assert await store.next_number() == 1
    of_message = Number(2, "core", "message", "p1", message_id(0))
    await put(store, conversations=[chat(1)], inbox=[message(0)], numbers=[CHAT, of_message])
    assert await store.next_number() == 3
    keys = [CHAT.key, of_message.key, ("blog", *CHAT.key[1:]), ("core", "quote", "p1")]
    assert await store.find_numbers(keys) == [CHAT, of_message, None, None]
    assert await store.numbers([2, 7, 1]) == [of_message, None, CHAT]


async def test_numbers_are_written_with_their_beat_or_not_at_all(store: SqliteStore):
    await put(store, conversations=[chat(1)], inbox=[message(0)])
    again = await put(store, inbox=[message(0)], numbers=[CHAT])
    assert again.duplicates
    assert await store.numbers([1]) == [None]
    assert await store.next_number() == 1


async def test_one_thing_never_gets_a_second_number(store: SqliteStore):
    await put(store, numbers=[CHAT])
    with pytest.raises(Exception, match="UNIQUE"):
        await put(store, numbers=[Number(2, *CHAT.key)])
    assert await store.next_number() == 2


async def test_the_newest_message_has_an_id_and_the_older_keeps_its_number(store: SqliteStore):
    rows = [message_id(nth) for nth in range(3)]
    await put(store, numbers=[Number(1, "core", "message", "p", rows[0])])
    await put(store, numbers=[
        Number(2, "core", "message", "p", rows[1]), Number(3, "core", "message", "p", rows[2]),
    ])  # fmt: skip
    found = await store.numbers([1, 2, 3])
    assert [one and one.ident for one in found] == [f"#{rows[0]}", f"#{rows[1]}", "p"]


async def test_a_number_may_get_its_id_after_the_message_was_sent(store: SqliteStore):
    sent = answer(0)
    await put(
        store, conversations=[chat(1)], outbox=[sent],
        numbers=[Number(1, "core", "message", f"#{sent.id}", sent.id)],
    )  # fmt: skip
    named = Number(1, "core", "message", "p", sent.id)
    await store.put_numbers([named])
    assert await store.numbers([1]) == [named]
    assert await store.find_numbers([named.key]) == [named]


async def test_numbers_go_with_their_rows_but_the_last_stays(store: SqliteStore):
    old_ms = NOW_MS - 61 * DAY_MS
    received = message(0, at_ms=old_ms)
    sent = answer(1, at_ms=old_ms, state=SENT)
    last = message(2, at_ms=old_ms)
    numbers = [
        Number(nth, "core", "message", f"#{row}", row)
        for nth, row in enumerate((received.id, sent.id, last.id), 2)
    ]
    await put(
        store, conversations=[chat(1)], inbox=[received, last], outbox=[sent],
        numbers=[CHAT, *numbers],
    )  # fmt: skip
    while await store.retain(NOW_MS, Retention(keys_days=60)):
        pass
    assert await store.numbers([1, 2, 3, 4]) == [CHAT, None, None, numbers[2]]
    assert await store.next_number() == 5


async def test_erasing_a_conversation_forgets_the_numbers_of_its_messages(store: SqliteStore):
    rows = [message(0), message(1, 2)]
    numbers = [
        Number(nth, "core", "message", f"#{row.id}", row.id) for nth, row in enumerate(rows, 1)
    ]
    await put(store, conversations=[chat(1), chat(2)], inbox=rows, numbers=[*numbers])
    await store.erase(chat(1).id)
    assert await store.numbers([1, 2]) == [None, numbers[1]]


async def test_only_the_oldest_of_what_was_carried_to_a_line_expires(store: SqliteStore):
    carried = [answer(nth, state=QUEUED, source="carry:blog") for nth in range(5)]
    others = [
        answer(10, state=QUEUED, source="api"),
        answer(11, 2, state=QUEUED, source="carry:blog"),
        answer(12, state=SENT, source="carry:blog"),
    ]
    lines = [chat(1, line="bot"), chat(2, line="other")]
    await put(store, conversations=lines, outbox=[*carried, *others])
    gone = await store.expire_carried("bot", 2, "too many", NOW_MS, 2)
    gone += await store.expire_carried("bot", 2, "too many", NOW_MS, 2)
    assert sorted(gone) == [row.id for row in carried[:3]]
    assert await store.expire_carried("bot", 2, "too many", NOW_MS, 2) == []
    found = await store.delivery(carried[0].id)
    assert found is not None
    assert (found.row.state, found.row.reason) == (DeliveryState.EXPIRED, "too many")
    kept = await store.delivery(carried[3].id)
    assert kept is not None
    assert kept.row.state is QUEUED
