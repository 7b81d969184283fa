"""A beat is one transaction: all of it, or nothing and the reason."""

from __future__ import annotations

import os
import sqlite3

import msgspec
import pytest

from storekit import (
    CONFIRMED,
    DEAD,
    DONE,
    NOW_MS,
    QUEUED,
    SENDING,
    SENT,
    UNCERTAIN,
    WAITING,
    MakeStore,
    all_deliveries,
    all_messages,
    answer,
    chat,
    delivery_id,
    message,
    message_id,
    put,
    states_of,
)
from trunkline import failpoints
from trunkline.errors import StoreError, StoreUnavailable
from trunkline.ids import ConversationId
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import (
    Committed,
    EventKind,
    KeptState,
    Outcome,
    TurnRow,
)
from trunkline.store.sqlite import SqliteStore


@pytest.mark.parametrize("count", [1, 2, 3, 31, 32, 33, 63, 100, 256])
async def test_every_row_of_a_beat_comes_back_as_it_went(store: SqliteStore, count: int):
    received = [
        message(n, why=b"why %d" % n, attempts=n, reason="r", kind=EventKind(n % 3))
        for n in range(count)
    ]
    sent = [
        answer(
            n, due_ms=n, expires_ms=n and NOW_MS + n, reason="later", peer_id=f"p{n}",
            settled_ms=n, dedupe=f"d{n}" if n else "", attempt=n, state=DeliveryState(n % 10),
        )
        for n in range(count)
    ]  # fmt: skip
    result = await put(store, conversations=[chat(1)], inbox=received, outbox=sent)
    assert result == Committed()
    assert await all_messages(store) == received[::-1]
    assert await all_deliveries(store) == sent[::-1]
    found = await store.message(message_id(count - 1))
    assert found == (received[-1], chat(1))
    assert await store.answers(message_id(count - 1)) == [sent[-1]]


@pytest.mark.parametrize("count", [1, 2, 33, 50])
async def test_ordinary_rows_come_back_as_they_went_also_among_others(
    store: SqliteStore, count: int
):
    """Rows of the fast path are written by other sentences; what is odd in one must not be lost."""
    plain = [message(n, why=b"why") for n in range(count)]
    odd = [
        message(count, why=b"w", state=WAITING),
        message(count + 1, why=b"w", kind=EventKind.REQUEST),
        message(count + 2, why=b"w", attempts=2),
        message(count + 3, why=b"w", reason="r"),
        message(count + 4, why=b"w", key=None),
        message(count + 5, why=b""),
        message(count + 6, why=b"w", body=b"x" * 40_000),
        message(count + 7, why=b"w", kind=EventKind.NOTICE),
    ]
    leaving = [answer(n, state=SENDING, attempt=1, source="rule:any") for n in range(count)]
    more = [
        {"due_ms": 1}, {"settled_ms": 1}, {"reason": "r"}, {"peer_id": "p"}, {"dedupe": "d"},
        {"context": b"c"}, {"attempt": 2}, {"state": QUEUED}, {"body": b"x" * 40_000},
    ]  # fmt: skip
    others = [
        answer(count + n, **({"state": SENDING, "attempt": 1} | fields))
        for n, fields in enumerate(more)
    ]
    received, sent = [*odd[:4], *plain, *odd[4:]], [*others[:4], *leaving, *others[4:]]
    assert await put(store, conversations=[chat(1)], inbox=received, outbox=sent) == Committed()
    assert {row.id: row for row in await all_messages(store)} == {row.id: row for row in received}
    assert {row.id: row for row in await all_deliveries(store)} == {row.id: row for row in sent}


async def test_a_late_row_keeps_its_place_in_the_stream_though_it_is_ordinary(store: SqliteStore):
    await put(store, conversations=[chat(1)], inbox=[message(5, why=b"w")])
    last = await store.last_change()
    await put(store, inbox=[message(2, why=b"w")], outbox=[answer(2, state=SENDING, attempt=1)])
    changes = await store.changes(last, 10)
    assert [row.id for _, row, _ in changes.rows] == [message_id(2), answer(2).id]


async def test_a_chat_that_is_known_under_another_id_rolls_everything_back(store: SqliteStore):
    """The caller guessed that it is new: it must not answer without what is remembered of it."""
    known = chat(1)
    await put(store, conversations=[known])
    guessed = msgspec.structs.replace(known, id=ConversationId(9), name="other")
    result = await put(
        store, conversations=[chat(2), guessed], inbox=[message(0, 9), message(1, 2)],
        kept=[KeptState("mai", "bot", b"moved")],
    )  # fmt: skip
    assert result == Committed(known=(known,))
    assert await all_messages(store) == []
    assert await store.kept("mai", "bot") is None
    assert await store.find_conversations([chat_key(1), chat_key(2)]) == [known, None]
    assert await put(store, conversations=[chat(2)], inbox=[message(0), message(1, 2)]) == (
        Committed()
    )


async def test_a_duplicate_rolls_everything_back_and_is_named(store: SqliteStore):
    await put(store, conversations=[chat(1), chat(2)], inbox=[message(0), message(1)])
    result = await put(
        store,
        conversations=[chat(3)],
        inbox=[
            message(5, 1, key=message(0).key),
            message(6, 2, key=message(0).key),  # the same key in another chat is news
            message(7, 1, key=message(1).key),
            message(8, 1, key=None),
        ],
        outbox=[answer(5), answer(6)],
        kept=[KeptState("mai", "bot", b"moved")],
        turns=[TurnRow(ConversationId(1), 5, 5)],
        done=[(message_id(0), b"x")],
    )
    assert result.duplicates == {0, 2}
    assert [row.id for row in await all_messages(store)] == [message_id(1), message_id(0)]
    assert await all_deliveries(store) == []
    assert await store.kept("mai", "bot") is None
    assert await store.due_turns(NOW_MS, 10) == []
    assert await store.find_conversations([("mai", "bot", "private", "u3")]) == [None]


async def test_the_beat_without_its_duplicates_goes_through(store: SqliteStore):
    await put(store, conversations=[chat(1)], inbox=[message(0)])
    again = [message(1, key=message(0).key), message(2)]
    duplicates = (await put(store, inbox=again)).duplicates
    rest = [row for place, row in enumerate(again) if place not in duplicates]
    assert await put(store, inbox=rest) == Committed()
    assert [row.id for row in await all_messages(store)] == [message_id(2), message_id(0)]


async def test_a_repeat_inside_one_beat_is_the_second_one(store: SqliteStore):
    result = await put(
        store, conversations=[chat(1)], inbox=[message(0, key=b"k"), message(1, key=b"k")]
    )
    assert result.duplicates == {1}
    assert await all_messages(store) == []


async def test_rows_without_a_key_are_never_duplicates(store: SqliteStore):
    rows = [message(n, key=None) for n in range(40)]
    assert await put(store, conversations=[chat(1)], inbox=rows) == Committed()
    assert len(await all_messages(store)) == 40


NOT_THE_STORES_FAULT = (UnicodeEncodeError, OverflowError, sqlite3.IntegrityError)


@pytest.mark.parametrize(
    "bad",
    [
        message(3, reason="\ud800"),  # cannot be encoded
        message(3, attempts=1 << 64),  # cannot be stored
        message(0, key=b"another"),  # the id exists
        message(3, conversation=99),  # no such conversation
    ],
)
async def test_a_bad_row_raises_and_leaves_nothing_so_that_halving_finds_it(
    store: SqliteStore, bad: object
):
    await put(store, conversations=[chat(1)], inbox=[message(0)])
    rows = [message(1), bad, message(2)]
    with pytest.raises(NOT_THE_STORES_FAULT) as caught:
        await put(store, inbox=rows, outbox=[answer(1)])
    assert not isinstance(caught.value, StoreError)
    assert [row.id for row in await all_messages(store)] == [message_id(0)]
    assert await all_deliveries(store) == []
    assert await put(store, inbox=[message(1)], outbox=[answer(1)]) == Committed()
    with pytest.raises(type(caught.value)):
        await put(store, inbox=[bad])
    assert await put(store, inbox=[message(2)]) == Committed()
    assert len(await all_messages(store)) == 3


async def test_an_answer_has_one_id_so_a_second_one_is_refused(store: SqliteStore):
    await put(store, conversations=[chat(1)], outbox=[answer(0)])
    with pytest.raises(Exception, match="UNIQUE"):
        await put(store, outbox=[answer(0)])


async def test_an_idempotency_key_is_unique_and_found(store: SqliteStore):
    await put(store, conversations=[chat(1)], outbox=[answer(0, dedupe="order-1"), answer(1)])
    assert await store.delivery_by_dedupe("order-1") == delivery_id(0)
    assert await store.delivery_by_dedupe("order-2") is None
    assert await store.delivery_by_dedupe("") is None
    with pytest.raises(Exception, match="UNIQUE"):
        await put(store, outbox=[answer(2, dedupe="order-1")])


async def test_conversations_are_written_and_changed(store: SqliteStore):
    first = ConversationState(
        ConversationId(7), "mai", "bot", "group", "g", "Gruppe", b"ctx",
        {"default:2026-01-01": 3}, (1, 2, NOW_MS), NOW_MS + 1, NOW_MS + 2,
    )  # fmt: skip
    await put(store, conversations=[first, chat(8)])
    keys = [("mai", "bot", "group", "g"), ("mai", "bot", "group", "u8"), chat_key(8)]
    assert await store.find_conversations(keys) == [first, None, chat(8)]
    changed = ConversationState(ConversationId(7), "mai", "bot", "group", "g", "G", b"c", {"x": 1})
    await put(store, conversations=[changed])
    assert await store.find_conversations(keys[:1]) == [changed]
    assert await store.next_conversation_id() == 9


def chat_key(ident: int) -> tuple[str, str, str, str]:
    one = chat(ident)
    return (one.line, one.account, one.kind, one.peer)


async def test_a_chat_cannot_have_two_rows(store: SqliteStore):
    await put(store, conversations=[chat(1)])
    result = await put(store, conversations=[chat(2, peer="u1")])
    assert result == Committed(known=(chat(1),))
    with pytest.raises(Exception, match="UNIQUE"):
        await put(store, conversations=[chat(3), chat(4, peer="u3")])  # nobody has it: our fault


async def test_kept_state_is_replaced(store: SqliteStore):
    await put(store, kept=[KeptState("shop", "a", b"1"), KeptState("shop", "b", b"2")])
    await put(store, kept=[KeptState("shop", "a", b"3")])
    assert await store.kept("shop", "a") == b"3"
    assert await store.kept("shop", "b") == b"2"
    assert await store.kept("shop", "c") is None


async def test_a_range_settles_what_is_sending_and_nothing_else(store: SqliteStore):
    rows = [answer(0), answer(1, state=QUEUED), answer(2), answer(3), answer(4)]
    await put(store, conversations=[chat(1)], outbox=rows)
    await put(store, sent_ranges=[(delivery_id(0), delivery_id(3))], now_ms=NOW_MS + 5)
    ids = [row.id for row in rows]
    assert await states_of(store, ids) == [SENT, QUEUED, SENT, SENT, SENDING]
    found = await store.delivery(delivery_id(0))
    assert found is not None
    assert found.row.settled_ms == NOW_MS + 5


async def test_results_move_only_what_they_may(store: SqliteStore):
    sources = [SENDING, SENT, CONFIRMED, QUEUED, UNCERTAIN, DeliveryState.DRAFT]
    targets = [
        SENT, CONFIRMED, DeliveryState.REFUSED, UNCERTAIN, QUEUED, DeliveryState.EXPIRED,
        DeliveryState.DEAD,
    ]  # fmt: skip
    rows = [
        answer(n, state=source) for n, source in enumerate(one for one in sources for _ in targets)
    ]
    await put(store, conversations=[chat(1)], outbox=rows)
    outcomes = [
        Outcome(row.id, targets[n % len(targets)], NOW_MS + 1) for n, row in enumerate(rows)
    ]
    await put(store, outcomes=outcomes)
    found = await states_of(store, [row.id for row in rows])
    wanted = [
        target if source is SENDING or (source, target) == (SENT, CONFIRMED) else source
        for source in sources
        for target in targets
    ]
    assert found == wanted


async def test_a_result_carries_its_details(store: SqliteStore):
    await put(store, conversations=[chat(1)], outbox=[answer(0), answer(1)])
    await put(
        store,
        outcomes=[
            Outcome(delivery_id(0), CONFIRMED, NOW_MS + 1, "peer-7"),
            Outcome(delivery_id(1), QUEUED, NOW_MS + 1, "", "busy", NOW_MS + 500),
        ],
    )
    first, second = await store.delivery(delivery_id(0)), await store.delivery(delivery_id(1))
    assert first is not None
    assert second is not None
    assert (first.row.peer_id, first.row.settled_ms, first.row.reason) == ("peer-7", NOW_MS + 1, "")
    assert (second.row.due_ms, second.row.reason) == (NOW_MS + 500, "busy")
    assert second.row.settled_ms == 0  # it is not settled at all


async def test_a_late_proof_keeps_the_peers_id(store: SqliteStore):
    await put(store, conversations=[chat(1)], outbox=[answer(0)])
    await put(store, outcomes=[Outcome(delivery_id(0), SENT, NOW_MS, "peer-1")])
    await put(store, outcomes=[Outcome(delivery_id(0), CONFIRMED, NOW_MS + 9)])
    found = await store.delivery(delivery_id(0))
    assert found is not None
    assert (found.row.state, found.row.peer_id) == (CONFIRMED, "peer-1")


async def test_what_is_sent_is_not_sent_again_later(store: SqliteStore):
    await put(store, conversations=[chat(1)], outbox=[answer(0)])
    await put(store, outcomes=[Outcome(delivery_id(0), SENT, NOW_MS + 1)])
    await put(store, outcomes=[Outcome(delivery_id(0), SENT, NOW_MS + 9, "p", "again")])
    found = await store.delivery(delivery_id(0))
    assert found is not None
    assert (found.row.settled_ms, found.row.peer_id, found.row.reason) == (NOW_MS + 1, "", "")


async def test_claims_count_the_attempt_and_name_what_is_not_queued(store: SqliteStore):
    rows = [answer(0, state=QUEUED, attempt=2), answer(1), answer(2, state=UNCERTAIN)]
    await put(store, conversations=[chat(1)], outbox=rows)
    claims = [row.id for row in rows]
    result = await put(store, claims=[*claims, delivery_id(9)])
    assert result == Committed(unclaimed=frozenset({*claims[1:], delivery_id(9)}))
    assert await states_of(store, claims) == [SENDING, SENDING, UNCERTAIN]
    found = await store.delivery(claims[0])
    assert found is not None
    assert found.row.attempt == 3


async def test_a_row_claimed_twice_in_one_beat_is_an_error_not_two_sends(store: SqliteStore):
    await put(store, conversations=[chat(1)], outbox=[answer(0, state=QUEUED)])
    with pytest.raises(ValueError, match="claimed twice"):
        await put(store, claims=[delivery_id(0), delivery_id(0)])
    assert await states_of(store, [delivery_id(0)]) == [QUEUED]


async def test_a_range_does_not_settle_what_the_same_beat_claims(store: SqliteStore):
    """An older beat's range may enclose a row that was queued then and is claimed only now."""
    rows = [answer(0), answer(1, state=QUEUED), answer(2)]
    await put(store, conversations=[chat(1)], outbox=rows)
    await put(store, sent_ranges=[(delivery_id(0), delivery_id(2))], claims=[delivery_id(1)])
    assert await states_of(store, [row.id for row in rows]) == [SENT, SENDING, SENT]


async def test_a_result_and_a_new_claim_of_one_row_meet_in_order(store: SqliteStore):
    await put(store, conversations=[chat(1)], outbox=[answer(0)])
    result = await put(
        store, outcomes=[Outcome(delivery_id(0), QUEUED, NOW_MS)], claims=[delivery_id(0)]
    )
    assert result == Committed()
    assert await states_of(store, [delivery_id(0)]) == [SENDING]


async def test_waiting_rows_become_done_together_with_their_trace(store: SqliteStore):
    rows = [message(0, state=WAITING), message(1, state=WAITING), message(2, state=DEAD)]
    await put(store, conversations=[chat(1)], inbox=rows)
    await put(store, done=[(row.id, b"trace") for row in rows])
    found = await all_messages(store)
    assert [(row.state, row.why) for row in reversed(found)] == [
        (DONE, b"trace"), (DONE, b"trace"), (DEAD, b""),
    ]  # fmt: skip


LARGE = b"\x89PNG" + b"x" * 40_000


@pytest.mark.parametrize("size", [32_768, 32_769, 200_000])
async def test_bodies_of_any_size_come_back(store: SqliteStore, size: int):
    body = b"b" * size
    await put(
        store,
        conversations=[chat(1)],
        inbox=[message(0, body=body, state=WAITING)],
        outbox=[answer(0, body=body, state=QUEUED)],
    )
    assert [row.body for row in await all_messages(store)] == [body]
    assert [row.body for row in await all_deliveries(store)] == [body]
    assert [row.body for row in (await store.waiting(ConversationId(1)))[1]] == [body]
    queued = (await store.queued("mai", "bot", "", 10, NOW_MS)).rows
    assert [(one.row.body, one.question and one.question.body) for one in queued] == [(body, body)]


async def test_the_body_survives_a_restart(make_store: MakeStore):
    store = make_store()
    await store.open()
    await put(store, conversations=[chat(1)], inbox=[message(0, body=LARGE)])
    await store.close()
    store = make_store()
    await store.open()
    assert [row.body for row in await all_messages(store)] == [LARGE]
    await store.close()


@pytest.mark.parametrize(
    "name",
    [
        "ingest.before_commit", "decide.before_commit", "send.before_ack_commit",
        "ingest.after_commit", "decide.after_commit", "claim.after_commit",
    ],
)  # fmt: skip
async def test_every_crash_point_of_a_beat_is_passed_on_its_side_of_the_commit(
    store: SqliteStore, name: str
):
    first = answer(0), answer(1, state=QUEUED)
    await put(store, conversations=[chat(1)], outbox=list(first))
    failpoints.arm({name: ("error", 1.0)})
    with pytest.raises(failpoints.FailpointHit, match=name):
        await put(
            store,
            inbox=[message(5)],
            outbox=[answer(5)],
            sent_ranges=[(first[0].id, first[0].id)],
            claims=[first[1].id],
        )
    failpoints.arm({})
    is_committed = "after" in name
    assert len(await all_messages(store)) == is_committed
    assert await states_of(store, [first[0].id, first[1].id, delivery_id(5)]) == (
        [SENT, SENDING, SENDING] if is_committed else [SENDING, QUEUED, None]
    )


async def test_nothing_is_committed_into_a_file_that_was_deleted(
    store: SqliteStore,
):
    await put(store, conversations=[chat(1)], inbox=[message(0)])
    for name in ("trunkline.db", "trunkline.db-wal", "trunkline.db-shm"):
        (store._folder / name).unlink()
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        await put(store, inbox=[message(1)])


async def test_a_folder_that_is_away_has_no_room(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
):
    """Its error ended the task that looks at the disk, and with it the process."""

    def away(path: object) -> os.statvfs_result:
        raise OSError("stale")

    assert store.free_bytes() > 0
    monkeypatch.setattr(os, "statvfs", away)
    assert store.free_bytes() == 0
