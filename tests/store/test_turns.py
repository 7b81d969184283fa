"""Turns: due rows, their cap, and a message that comes while its turn is decided."""

from __future__ import annotations

from storekit import DONE, NOW_MS, WAITING, MakeStore, chat, message, message_id, put
from trunkline.clock import FakeClock
from trunkline.ids import ConversationId
from trunkline.store.contract import InboxState, TurnRow
from trunkline.store.sqlite import SqliteStore

ONE = ConversationId(1)
TWO = ConversationId(2)
CHATS = [chat(1), chat(2), chat(3)]


async def test_turns_are_due_in_the_order_of_their_time(store: SqliteStore):
    turns = [
        TurnRow(ConversationId(n), NOW_MS + due, NOW_MS, "asking", n)
        for n, due in ((1, 30), (2, 10), (3, 20))
    ]
    await put(store, conversations=CHATS, turns=turns)
    assert await store.due_turns(NOW_MS + 9, 9) == []
    assert await store.due_turns(NOW_MS + 20, 9) == [turns[1], turns[2]]
    assert await store.due_turns(NOW_MS + 99, 1) == [turns[1]]


async def test_a_later_message_moves_the_turn_but_not_its_beginning(store: SqliteStore):
    await put(store, conversations=CHATS, turns=[TurnRow(ONE, NOW_MS + 1000, NOW_MS)])
    later = TurnRow(ONE, NOW_MS + 1900, NOW_MS + 900)
    await put(store, turns=[later])
    assert await store.due_turns(NOW_MS + 9999, 9) == [TurnRow(ONE, NOW_MS + 1900, NOW_MS)]


async def test_the_cap_counts_from_the_beginning_of_the_turn(store: SqliteStore):
    await put(store, conversations=CHATS, turns=[TurnRow(ONE, NOW_MS + 1000, NOW_MS, cap_ms=2500)])
    for since_ms in (NOW_MS + 900, NOW_MS + 1800):
        await put(store, turns=[TurnRow(ONE, since_ms + 1000, since_ms, cap_ms=2500)])
    assert await store.due_turns(NOW_MS + 9999, 9) == [TurnRow(ONE, NOW_MS + 2500, NOW_MS)]


async def test_a_turn_ends_when_all_of_its_rows_are_done(store: SqliteStore):
    rows = [message(0, state=WAITING), message(1, state=WAITING), message(2, 2, state=WAITING)]
    turns = [TurnRow(ONE, NOW_MS, NOW_MS), TurnRow(TWO, NOW_MS, NOW_MS)]
    await put(store, conversations=CHATS, inbox=rows, turns=turns)
    assert await store.waiting(ONE) == (chat(1), rows[:2])
    await put(store, done=[(rows[0].id, b""), (rows[1].id, b"")], turns_done=[ONE])
    assert await store.waiting(ONE) == (chat(1), [])
    assert await store.due_turns(NOW_MS, 9) == [turns[1]]
    assert await store.waiting(ConversationId(77)) == (None, [])


async def test_a_message_that_came_while_the_turn_was_decided_keeps_it(store: SqliteStore):
    """Between reading a turn and ending it, another beat may store one more message."""
    turn = TurnRow(ONE, NOW_MS, NOW_MS)
    await put(store, conversations=CHATS, inbox=[message(0, state=WAITING)], turns=[turn])
    await put(store, inbox=[message(1, state=WAITING)], turns=[turn])
    await put(store, done=[(message_id(0), b"")], turns_done=[ONE])
    assert await store.due_turns(NOW_MS, 9) == [turn]
    # Also in the very beat that ends it.
    await put(
        store,
        inbox=[message(2, state=WAITING)],
        done=[(message_id(1), b"")],
        turns=[turn],
        turns_done=[ONE],
    )
    assert await store.due_turns(NOW_MS, 9) == [turn]
    await put(store, done=[(message_id(2), b"")], turns_done=[ONE])
    assert await store.due_turns(NOW_MS, 9) == []


async def test_discarding_the_last_waiting_row_ends_its_turn(store: SqliteStore):
    rows = [message(0, state=WAITING), message(1, state=WAITING)]
    turn = TurnRow(ONE, NOW_MS, NOW_MS)
    await put(store, conversations=CHATS, inbox=rows, turns=[turn])
    assert await store.move_message(rows[0].id, [WAITING], InboxState.DISCARDED)
    assert await store.due_turns(NOW_MS, 9) == [turn]
    assert await store.move_message(rows[1].id, [WAITING], InboxState.DISCARDED)
    assert await store.due_turns(NOW_MS, 9) == []


async def test_turns_are_there_after_a_restart_and_wait_no_longer_than_they_were_meant_to(
    make_store: MakeStore, clock: FakeClock
):
    """`reliability 3`, the wall clock went back: stored due times must not wait for it."""
    store = make_store()
    await store.open()
    ahead_ms = NOW_MS + 3_600_000
    turns = [TurnRow(ONE, ahead_ms + 1000, ahead_ms), TurnRow(TWO, NOW_MS + 500, NOW_MS)]
    await put(store, conversations=CHATS, turns=turns)
    await store.close()
    store = make_store()
    await store.open()
    assert await store.due_turns(clock.now_ms() + 499, 9) == []
    due = await store.due_turns(clock.now_ms() + 1000, 9)
    assert [(turn.conversation, turn.due_ms) for turn in due] == [
        (TWO, NOW_MS + 500),
        (ONE, NOW_MS + 1000),
    ]
    await store.close()


async def test_requeue_makes_the_turn_due_now(store: SqliteStore):
    row = message(0, state=InboxState.DEAD, reason="decide: ValueError: x")
    await put(store, conversations=CHATS, inbox=[row])
    assert await store.move_message(row.id, [InboxState.DEAD], WAITING)
    assert await store.due_turns(NOW_MS, 9) == [TurnRow(ONE, NOW_MS, NOW_MS)]
    assert [one.id for one in (await store.waiting(ONE))[1]] == [row.id]
    await put(store, done=[(row.id, b"")], turns_done=[ONE])
    found = await store.message(row.id)
    assert found is not None
    assert found[0].state is DONE
