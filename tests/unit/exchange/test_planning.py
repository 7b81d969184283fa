"""A beat is a value built from its inputs: nothing is changed that a failed commit must undo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.maim import MAIM
from trunkline.exchange.answering import REPLY_LIFE_MS
from trunkline.exchange.asking import Asking
from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.exchange.contract import LineFacts
from trunkline.exchange.conversations import Conversations
from trunkline.exchange.extras import DueTurn, Post
from trunkline.exchange.planning import Planner
from trunkline.exchange.plans import GONE, Item, Plan, dead_row, turn_of
from trunkline.ids import ConversationId, CountingIds, InboxId, answer_id
from trunkline.lines.roster import Roster
from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.event import DurableEvent, MessageReceived, NoticeReceived, Person
from trunkline.model.message import Segments
from trunkline.model.segment import Text
from trunkline.pipeline.trace import decode_trace
from trunkline.pipeline.turn import Reply, Source, Step, Turn, Verdict, VerdictKind
from trunkline.store.contract import InboxState, TurnRow

NOW_MS = FakeClock().now_ms()
QQ = Chat("qq", "private", "u1", "Alice")


def said(words: str, *, key: bytes | None = None, chat: Chat = QQ, **more: Any) -> MessageReceived:
    return MessageReceived(chat, Person("u1"), (Text(words),), key=key, context=b"ctx", **more)


class Origin:
    line = "core"
    seat = None

    def __init__(self, *, can_send: bool = True) -> None:
        self.can_send = self.is_ready = can_send


def counting(
    state: ConversationState, turn: Turn, answers: Mapping[str, Any] | None = None
) -> Verdict:
    """Answer with how many messages this conversation has seen."""
    if turn.text == "boom":
        raise ZeroDivisionError("ours")
    if turn.text == "quiet":
        return Verdict(VerdictKind.STOP, (), (Step("rules", "silence"),), state)
    count = state.counters.get("n", 0) + 1
    state = msgspec.structs.replace(state, counters={"n": count})
    reply = Reply((Text(f"{turn.text} {count}"),), Source.RULE, "r", is_draft=turn.mode == "draft")
    return Verdict(VerdictKind.REPLY, (reply,), (Step("rules", "reply"),), state)


class Stand:
    """A planner with everything around it in reach."""

    def __init__(self, dialect: Any = MAIM, **facts: Any) -> None:
        role = dialect.roles[0]
        name = {"maim": "core", "contact": "blog"}[dialect.name]
        self.facts = LineFacts(name, dialect.name, dialect.traits[role], dialect.seat_of, **facts)
        self.facts.has_brief_seats = self.facts.traits.is_site
        self.conversations = Conversations()
        self.direct = True
        self.reachable = True
        self.errors: list[Any] = []
        self.planner = Planner(
            facts={name: self.facts},
            conversations=self.conversations,
            ids=CountingIds(),
            decide=counting,
            asking=Asking(
                store=cast("Any", None),
                clock=FakeClock(),
                facts={},
                router=Roster(),
                spawn=lambda work: None,
                hand_over=lambda turns: None,
                on_trouble=lambda action, error: None,
            ),
            is_direct=lambda where: self.direct,
            is_gone=lambda line, seat: not self.reachable,
            is_reachable=lambda line, seat: self.reachable,
            is_carried=lambda line: False,
            on_error=lambda key, error: self.errors.append((key, error)),
        )

    def items(self, *events: DurableEvent, origin: Any = None) -> list[Item]:
        origin = origin or Origin()
        return [
            Item(
                origin, event, None, 1,
                (self.facts.name, event.chat.account, event.chat.kind, event.chat.id),
            )
            for event in events
        ]  # fmt: skip

    def plan(self, *events: DurableEvent, skip: frozenset[int] = frozenset(), **how: Any) -> Plan:
        plan = self.planner.plan(self.items(*events, **how), skip, NOW_MS)
        return self.planner.finish(plan)


def words(plan: Plan) -> list[str]:
    found: list[str] = []
    for row in plan.beat.outbox:
        what = decode_what(row.body)
        assert isinstance(what, Say)
        found += [part.text for part in what.segments if isinstance(part, Text)]
    return found


def test_a_second_message_sees_what_the_first_one_changed_and_the_cache_nothing() -> None:
    stand = Stand()
    plan = stand.plan(said("a"), said("b"))
    assert words(plan) == ["a 1", "b 2"]
    assert len(stand.conversations) == 0  # only a commit changes it
    (state,) = plan.beat.conversations
    assert state.counters == {"n": 2}
    assert (state.name, state.context) == ("Alice", b"ctx")
    assert words(stand.plan(said("a"))) == ["a 1"]  # as if the first plan had never been


def test_rows_of_a_beat_name_their_question_and_leave_in_order() -> None:
    plan = Stand().plan(said("a"), said("b", chat=Chat("tg", "private", "u1")))
    questions = [row.id for row in plan.beat.inbox]
    assert [row.id for row in plan.beat.outbox] == [answer_id(InboxId(q), 0) for q in questions]
    assert [out.delivery.id for out in plan.outgoing] == [row.id for row in plan.beat.outbox]
    assert [out.where[1] for out in plan.outgoing] == ["qq", "tg"]
    assert {row.state for row in plan.beat.outbox} == {DeliveryState.SENDING}
    assert {row.attempt for row in plan.beat.outbox} == {1}
    assert plan.outgoing[0].delivery.context == b"ctx"
    assert plan.beat.outbox[0].source == "rule:r"
    assert decode_event(plan.beat.inbox[0].body) == said("a")
    assert plan.verdicts == {"rules:reply": 2}


def test_repeats_inside_a_beat_and_those_the_store_found_create_no_work() -> None:
    stand = Stand()
    events = (said("a", key=b"1"), said("a", key=b"1"), said("b", key=b"2"), said("c"), said("c"))
    plan = stand.plan(*events, skip=frozenset({2}))
    assert plan.repeats == [1]
    assert plan.index == [0, 3, 4]  # no key: never a repeat
    assert words(plan) == ["a 1", "c 2", "c 3"]


def test_a_repeat_under_its_second_key_creates_no_work() -> None:
    events = (
        said("a", key=b"1", alias=b"x"), said("a", key=b"x", alias=b""),
        said("b", key=b"2", alias=b"x"), said("c", key=b"3", alias=b""), said("d", key=b"4"),
    )  # fmt: skip
    plan = Stand().plan(*events)
    assert plan.repeats == [1, 2]
    assert plan.index == [0, 3, 4]
    assert list(plan.beat.aliases.values()) == [b"x", b""]
    assert list(plan.beat.aliases) == [row.id for row in plan.beat.inbox[:2]]


def test_the_same_key_in_another_conversation_is_no_repeat() -> None:
    plan = Stand().plan(said("a", key=b"1"), said("a", key=b"1", chat=Chat("qq", "group", "g")))
    assert plan.repeats == []
    assert len(plan.beat.inbox) == 2


def test_an_exception_concerns_its_message_only() -> None:
    stand = Stand()
    plan = stand.plan(said("a"), said("boom"), said("b"))
    assert [row.state for row in plan.beat.inbox] == [
        InboxState.DONE, InboxState.DEAD, InboxState.DONE,
    ]  # fmt: skip
    assert plan.beat.inbox[1].reason == "decide: ZeroDivisionError: ours"
    assert plan.dead == 1
    assert words(plan) == ["a 1", "b 2"]
    assert [key for key, _ in stand.errors] == [("core", "qq", "private", "u1")]


@pytest.mark.parametrize(
    ("how", "state"),
    [
        ({}, DeliveryState.SENDING),
        ({"paused": True}, DeliveryState.QUEUED),
        ({"direct": False}, DeliveryState.QUEUED),
        ({"can_send": False}, DeliveryState.QUEUED),
        ({"mode": "draft"}, DeliveryState.DRAFT),
    ],
)
def test_only_what_may_leave_at_once_is_sending(how: Any, state: DeliveryState) -> None:
    stand = Stand(is_paused=how.get("paused", False), mode=how.get("mode", "auto"))
    stand.direct = how.get("direct", True)
    plan = stand.plan(said("a"), origin=Origin(can_send=how.get("can_send", True)))
    (row,) = plan.beat.outbox
    assert row.state is state
    assert bool(plan.outgoing) is (state is DeliveryState.SENDING)
    assert plan.seats == ({("core", "qq")} if state is DeliveryState.QUEUED else set())
    assert row.expires_ms == NOW_MS + REPLY_LIFE_MS


def test_nothing_passes_what_its_own_beat_queues() -> None:
    stand = Stand()
    items = stand.items(said("a"), origin=Origin(can_send=False)) + stand.items(said("b"))
    plan = stand.planner.plan(items, frozenset(), NOW_MS)
    assert [row.state for row in plan.beat.outbox] == [DeliveryState.QUEUED] * 2
    assert plan.outgoing == []


@pytest.mark.parametrize("reachable", [True, False])
def test_what_a_visitor_who_left_would_have_got_expires(reachable: bool) -> None:
    stand = Stand(CONTACT)
    stand.reachable = reachable
    event = said("a", chat=Chat("", "visitor", "v1"))
    (row,) = stand.plan(event, origin=Origin(can_send=False)).beat.outbox
    expected = (DeliveryState.QUEUED, "") if reachable else (DeliveryState.EXPIRED, GONE)
    assert (row.state, row.reason) == expected
    assert row.expires_ms == 0  # contact replies do not expire by time


def test_silence_is_done_and_says_why() -> None:
    plan = Stand().plan(said("quiet"))
    (row,) = plan.beat.inbox
    assert row.state is InboxState.DONE
    assert decode_trace(row.why) == (Step("rules", "silence"),)
    assert plan.beat.outbox == []


def test_a_changed_name_is_written_and_an_unchanged_conversation_is_not() -> None:
    stand = Stand()
    (state,) = stand.plan(said("quiet")).beat.conversations
    stand.conversations.put(("core", "qq", "private", "u1"), state)
    assert stand.plan(said("quiet")).beat.conversations == []
    renamed = said("quiet", chat=Chat("qq", "private", "u1", "Bob"))
    (state,) = stand.plan(renamed).beat.conversations
    assert state.name == "Bob"


# -- turns and posts -----------------------------------------------------------------------------


def test_debounce_leaves_the_decision_to_a_turn_but_not_for_own_words_and_notices() -> None:
    stand = Stand(debounce_s=1.0)
    plan = stand.plan(said("a"), said("b"), said("quiet", is_own=True), NoticeReceived(QQ, "ban"))
    assert [row.state for row in plan.beat.inbox] == [
        InboxState.WAITING, InboxState.WAITING, InboxState.DONE, InboxState.DONE,
    ]  # fmt: skip
    assert [(turn.due_ms, turn.cap_ms) for turn in plan.beat.turns] == [(NOW_MS + 1000, 10_000)] * 2


def due(*events: DurableEvent, line: str = "core", rows: int = 2) -> DueTurn:
    state = ConversationState(ConversationId(7), line, "qq", "private", "u1")
    return DueTurn(
        turn=TurnRow(state.id, NOW_MS, NOW_MS),
        key=(line, "qq", "private", "u1"),
        state=state,
        events=events,
        rows=tuple(InboxId(16 * n) for n in range(1, rows + 1)),
        received_ms=NOW_MS - 500,
    )


def take(stand: Stand, one: DueTurn) -> Plan:
    plan = stand.plan()
    stand.planner.waiting.take_turn(plan, one)
    return stand.planner.finish(plan)


def test_a_turn_answers_its_last_row_once_for_all_of_its_words() -> None:
    plan = take(Stand(), due(said("a"), said("b")))
    assert words(plan) == ["a\nb 1"]
    assert [ident for ident, _ in plan.beat.done] == [16, 32]
    assert plan.beat.turns_done == [7]
    (row,) = plan.beat.outbox
    assert row.id == answer_id(InboxId(32), 0)
    assert row.state is DeliveryState.QUEUED


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (due(said("boom")), "ZeroDivisionError: ours"),
        (due(said("a"), line="gone"), "this line is not configured any more"),
    ],
)
def test_a_turn_that_cannot_be_decided_ends_and_says_why(one: DueTurn, why: str) -> None:
    """One of a line that is gone was due for ever, and stood before the others."""
    plan = take(Stand(), one)
    assert [ident for ident, _ in plan.beat.done] == [16, 32]
    assert decode_trace(plan.beat.done[0][1]) == (Step("decide", "error", (why,)),)
    assert plan.beat.turns_done == [7]
    assert plan.beat.outbox == []
    assert plan.dead == 1


async def test_a_post_is_queued_with_its_life_and_key() -> None:
    import asyncio

    stand = Stand()
    segments: Segments = (Text("hello"),)
    future = asyncio.get_running_loop().create_future()
    post = Post(("core", "qq", "private", "u1"), segments, "api", "k1", NOW_MS + 5, future)
    plan = stand.plan()
    stand.planner.answering.take_post(plan, post)
    (row,) = plan.beat.outbox
    assert (row.state, row.dedupe, row.expires_ms) == (DeliveryState.QUEUED, "k1", NOW_MS + 5)
    assert plan.posted == {id(post): row.id}
    assert plan.seats == {("core", "qq")}


# -- small values --------------------------------------------------------------------------------


def test_age_counts_from_receipt_or_from_the_peer() -> None:
    stand = Stand()
    event = said("a", at_ms=NOW_MS - 9000)
    state = ConversationState(ConversationId(1), "core", "qq", "private", "u1")
    assert turn_of(stand.facts, state, (event,), NOW_MS - 100, NOW_MS).age_ms == 100
    stand.facts.traits = msgspec.structs.replace(stand.facts.traits, age_from_peer=True)
    assert turn_of(stand.facts, state, (event,), NOW_MS - 100, NOW_MS).age_ms == 8900
    # A turn that waited here longer than it was on its way is as old as that.
    assert turn_of(stand.facts, state, (event,), NOW_MS - 8950, NOW_MS).age_ms == 8950
    ahead = said("a", at_ms=NOW_MS + 9000)
    assert turn_of(stand.facts, state, (ahead,), NOW_MS, NOW_MS).age_ms == 0


def test_a_dead_row_holds_nothing_of_the_peers() -> None:
    stand = Stand()
    (item,) = stand.items(said("secret", key=b"k"))
    state = ConversationState(ConversationId(1), "core", "", "unstorable", "unstorable")
    row = dead_row(item, state, 16, NOW_MS, "why")
    assert (row.key, row.body, row.reason, row.state) == (None, b"", "why", InboxState.DEAD)
