"""Framework and implementation together, in both directions, also when the link misbehaves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from onebot11_lines import ACCOUNT, options
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contract import LinkState, Opening
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.dialects.onebot11.shapes import REJECTIONS
from trunkline.errors import LinkLost
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome
from trunkline.model.event import MessageReceived, NoticeReceived
from trunkline.model.segment import Face, Image, Mention, Quote, Text, Voice

ANN = Chat(ACCOUNT, "private", "10001", "Ann")
CLUB = Chat(ACCOUNT, "group", "20001")


def echo(event: Any) -> Any:
    """Answer a message with its words; leave everything else alone."""
    if not isinstance(event, MessageReceived):
        return []
    return [text("re:" + "".join(p.text for p in event.segments if isinstance(p, Text)))]


def bot(clock: FakeClock, link: str = "listen", **keys: Any) -> Any:
    target = {"link": "dial", "url": "ws://127.0.0.1/"} if link == "dial" else {}
    line = options(role="framework", **target, **keys)
    kind = "" if link == "dial" else "universal"
    return ONEBOT11.open(line, Opening("framework", kind, clock, CountingIds()))


def platform(clock: FakeClock, link: str = "dial", **keys: Any) -> Any:
    target = {"link": "dial", "url": "ws://127.0.0.1/ws/"} if link == "dial" else {}
    line = options(role="implementation", self_id=ACCOUNT, **target, **keys)
    kind = "" if link == "dial" else "universal"
    return ONEBOT11.open(line, Opening("implementation", kind, clock, CountingIds(1 << 20)))


def pair(who_dials: str = "implementation", form: str = "array", **keys: Any) -> Pump:
    """Return a started pair, quiet."""
    clock = FakeClock()
    links = ("listen", "dial") if who_dials == "implementation" else ("dial", "listen")
    pump = Pump(
        bot(clock, links[0], message_format=form),
        platform(clock, links[1], message_format=form),
        clock=clock,
        **keys,
    )
    pump.start()
    pump.run()
    return pump


def other(pump: Pump) -> Any:
    assert pump.platform is not None
    return pump.platform


def words(end: Any) -> list[str]:
    return [event.segments[0].text for event in end.inbox if isinstance(event, MessageReceived)]


BOTH = pytest.mark.parametrize("who_dials", ["implementation", "framework"])
FORMS = pytest.mark.parametrize("form", ["array", "string"])


@BOTH
@FORMS
def test_what_an_account_said_comes_back_as_its_own_and_is_not_answered(
    who_dials: str, form: str
) -> None:
    def answer(event: Any) -> Any:
        return [] if event.is_own else echo(event)

    clock = FakeClock()
    links = ("listen", "dial") if who_dials == "implementation" else ("dial", "listen")
    end = platform(clock, links[1], message_format=form, report_self_message=True)
    pump = Pump(bot(clock, links[0], message_format=form), end, clock=clock, answer=answer)
    pump.start()
    pump.run()
    pump.say(other(pump), ANN, "hi")
    pump.say(other(pump), CLUB, "all")
    pump.run()
    heard = [(event.is_own, event.chat.id) for event in pump.bot.inbox if hasattr(event, "is_own")]
    assert sorted(heard) == [(False, "10001"), (False, "20001"), (True, "10001"), (True, "20001")]
    assert sorted(words(other(pump))) == ["re:all", "re:hi"]
    assert {one.outcome for one in pump.bot.settled.values()} == {Outcome.CONFIRMED}


@BOTH
@FORMS
def test_a_conversation(who_dials: str, form: str) -> None:
    pump = pair(who_dials, form, answer=echo)
    end = other(pump)
    assert (pump.bot.state, end.state) == (LinkState.READY, LinkState.READY)
    idents = [pump.say(end, ANN, said) for said in ("一", "[CQ:face,id=1]", "a,b&c")]
    pump.run()
    assert [end.settled[ident].outcome for ident in idents] == [Outcome.SENT] * 3
    assert words(pump.bot) == ["一", "[CQ:face,id=1]", "a,b&c"]
    assert words(end) == ["re:一", "re:[CQ:face,id=1]", "re:a,b&c"]
    confirmed = list(pump.bot.settled.values())
    assert {one.outcome for one in confirmed} == {Outcome.CONFIRMED}
    assert [one.peer_id for one in confirmed] == [event.peer_id for event in end.inbox]
    assert pump.bot.noticed == end.noticed == []


@BOTH
@FORMS
def test_every_kind_of_segment_comes_back(who_dials: str, form: str) -> None:
    said = (
        Quote("7"), Mention("10002"), Text("看："), Image(b"\x89PNG" + bytes(20_000)),
        Face("178"), Voice(url="http://h/a"),
    )  # fmt: skip
    pump = pair(who_dials, form, answer=lambda event: [event.segments])
    end = other(pump)
    pump.say(end, CLUB, said)
    pump.run()
    assert pump.bot.inbox[0].segments == said
    assert end.inbox[0].segments == said
    assert (pump.bot.inbox[0].chat, end.inbox[0].chat) == (CLUB, CLUB)


def test_groups_and_people_are_kept_apart() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    pump.say(end, CLUB, "g")
    pump.say(end, ANN, "p")
    pump.run()
    assert [(event.chat.kind, event.chat.id) for event in end.inbox] == [
        ("group", "20001"), ("private", "10001"),
    ]  # fmt: skip


def test_a_doubled_event_is_one_message() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    pump.say(end, ANN, "hi")
    pump.double(end)
    pump.run()
    assert (len(pump.bot.inbox), pump.bot.duplicates, len(end.inbox)) == (1, 1, 1)


def test_a_doubled_response_settles_once() -> None:
    pump = pair()
    end = other(pump)
    pump.say(pump.bot, ANN, "hi")
    pump.carry(pump.bot)
    pump.double(end)
    pump.run()
    assert len(pump.bot.history) == 1
    assert pump.bot.kinds() == ["unexpected-response"]


def test_a_response_that_is_lost_makes_the_send_uncertain_and_the_next_one_leaves() -> None:
    pump = pair()
    end = other(pump)
    first = pump.say(pump.bot, ANN, "1")
    second = pump.say(pump.bot, ANN, "2")
    pump.carry(pump.bot)
    pump.drop(end)
    assert words(end) == ["1"]
    pump.advance(2)
    pump.run()
    assert words(end) == ["1", "2"]
    assert pump.bot.settled[second].outcome is Outcome.CONFIRMED
    pump.advance(28)
    assert pump.bot.settled[first].outcome is Outcome.UNCERTAIN


def test_responses_may_come_in_any_order() -> None:
    pump = pair()
    end = other(pump)
    one, two = pump.say(pump.bot, ANN, "1"), pump.say(pump.bot, CLUB, "2")
    pump.carry(pump.bot)
    pump.carry(pump.bot)
    pump.reorder(end)
    pump.run()
    assert {pump.bot.settled[ident].outcome for ident in (one, two)} == {Outcome.CONFIRMED}
    assert pump.bot.settled[one].peer_id != pump.bot.settled[two].peer_id


def test_nothing_is_answered_before_it_is_stored() -> None:
    pump = pair(commit="by_hand")
    end = other(pump)
    ident = pump.say(pump.bot, ANN, "hi")
    pump.run()
    assert ident not in pump.bot.settled
    pump.commit(end)
    pump.run()
    assert pump.bot.settled[ident].outcome is Outcome.CONFIRMED


def test_heartbeats_keep_a_quiet_link_and_their_absence_ends_it() -> None:
    pump = pair()
    end = other(pump)
    for _ in range(20):
        pump.advance(15)
        pump.run()
    assert pump.bot.state is LinkState.READY
    assert end.is_linked
    end.session.wake_at = None  # it hangs: nothing comes from it any more
    pump.advance(61)
    assert pump.bot.state is LinkState.DEGRADED
    pump.advance(30)
    assert pump.bot.hangup is not None
    assert (pump.bot.hangup.code, pump.bot.hangup.reason) == (1008, "no heartbeat")


def test_notices_and_requests_and_the_answer_to_one() -> None:
    pump = pair()
    end = other(pump)
    event = {
        "post_type": "request",
        "request_type": "friend",
        "user_id": 5,
        "comment": "hi",
        "flag": "f-1",
    }
    notice = {"post_type": "notice", "notice_type": "friend_add", "user_id": 5}
    for nth, one in enumerate((event, notice), 1):
        data = json.dumps(one).encode()
        pump.deliver(end, Delivery(DeliveryId(nth), ANN, Act("event", data)))
    pump.run()
    request, added = pump.bot.inbox
    assert isinstance(added, NoticeReceived)
    context = getattr(request, "context", b"")
    pump.deliver(pump.bot, Delivery(DeliveryId(9), ANN, Act("approve"), context))
    pump.run()
    settled = pump.bot.settled[DeliveryId(9)]
    assert settled.outcome is Outcome.REFUSED  # honest: this platform has no friends to add
    assert "1501" in settled.detail


def test_a_link_that_dies_leaves_nothing_pending_and_the_next_one_works() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    one, two = pump.say(pump.bot, ANN, "1"), pump.say(pump.bot, ANN, "2")
    pump.cut(LinkLost(1006))
    assert pump.bot.settled[one].outcome is Outcome.UNCERTAIN
    assert pump.bot.settled[two].outcome is Outcome.LATER  # it was never written
    pump.replace(pump.bot, bot(pump.clock))
    pump.replace(end, platform(pump.clock))
    pump.link()
    pump.say(end, ANN, "3")
    pump.run()
    assert words(end) == ["re:3"]


def test_another_account_is_not_let_in() -> None:
    clock = FakeClock()
    pump = Pump(bot(clock), platform(clock), clock=clock)
    pump.start()
    frame = pump.take(other(pump))[0].replace(b"12345", b"777")
    pump.inject(frame)
    assert pump.bot.hangup is not None
    assert pump.bot.hangup.reason == "self_id mismatch"
    assert pump.bot.inbox == []


class FrameworkAndImplementation(RuleBasedStateMachine):
    """Any interleaving of saying, carrying, committing, doubling, losing, breaking and cutting."""

    dialler = "implementation"

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        self.links = ("listen", "dial") if self.dialler == "implementation" else ("dial", "listen")
        self.pump = Pump(
            bot(self.clock, self.links[0]),
            platform(self.clock, self.links[1]),
            clock=self.clock, commit="by_hand", answer=echo,
        )  # fmt: skip
        self.end = other(self.pump)
        self.said: dict[str, list[str]] = {}
        self.sent: dict[str, list[str]] = {}
        self.count = 0
        self.pump.start()
        self.pump.run()

    def is_ready(self) -> bool:
        return bool(
            self.end.is_linked
            and self.pump.bot.state is LinkState.READY
            and self.end.state is LinkState.READY
        )

    @precondition(is_ready)
    @rule(chat=st.sampled_from([ANN, CLUB]))
    def say(self, chat: Chat) -> None:
        self.count += 1
        self.pump.say(self.end, chat, f"{self.count}.")
        self.said.setdefault(chat.id, []).append(f"{self.count}.")

    @precondition(is_ready)
    @rule(chat=st.sampled_from([ANN, CLUB]))
    def a_person_speaks(self, chat: Chat) -> None:
        self.count += 1
        self.pump.say(self.pump.bot, chat, f"p{self.count}")
        self.sent.setdefault(chat.id, []).append(f"p{self.count}")

    @rule(who=st.booleans())
    def carry(self, who: bool) -> None:
        self.pump.carry(self.pump.bot if who else self.end)

    @precondition(lambda self: self.pump.bot.state is LinkState.READY)
    @rule(count=st.integers(1, 3), who=st.booleans())
    def commit(self, count: int, who: bool) -> None:
        self.pump.commit(self.pump.bot if who else self.end, count)

    @rule(who=st.booleans())
    def double(self, who: bool) -> None:
        end = self.pump.bot if who else self.end
        if end.wire and b"send_" not in end.wire[0][0]:  # a doubled call is two calls
            self.pump.double(end)

    @rule(who=st.booleans())
    def lose(self, who: bool) -> None:
        end = self.pump.bot if who else self.end
        if end.wire:
            self.pump.drop(end)

    @precondition(is_ready)
    @rule(data=st.binary(max_size=12), is_text=st.booleans())
    def noise(self, data: bytes, is_text: bool) -> None:
        for end in (self.pump.bot, self.end):
            before = len(end.noticed)
            self.pump.inject(data, is_text=is_text, into=end)
            for noticed in end.noticed[before:]:
                assert noticed.kind.removeprefix("rejected:") in REJECTIONS

    @precondition(lambda self: self.end.is_linked)
    @rule()
    def cut(self) -> None:
        self.pump.cut()

    @precondition(lambda self: not self.end.is_linked)
    @rule()
    def reconnect(self) -> None:
        self.pump.replace(self.pump.bot, bot(self.clock, self.links[0]))
        self.pump.replace(self.end, platform(self.clock, self.links[1]))
        self.pump.link()
        self.pump.run()

    @rule(seconds=st.sampled_from([0.5, 2.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.pump.advance(seconds)

    @invariant()
    def nothing_twice_and_in_order(self) -> None:
        for chat in (ANN, CLUB):
            got = [e.segments[0].text for e in self.pump.bot.inbox if e.chat.id == chat.id]
            said = iter(self.said.get(chat.id, []))
            assert all(word in said for word in got)
            heard = [e.segments[0].text for e in self.end.inbox if e.chat.id == chat.id]
            told = iter(f"re:{word}" for word in got)
            assert all(word in told for word in heard if word.startswith("re:"))
            person = iter(self.sent.get(chat.id, []))
            assert all(word in person for word in heard if not word.startswith("re:"))

    @invariant()
    def a_response_for_each_call_at_most(self) -> None:
        echoes = [json.loads(frame).get("echo") for frame in self.end.sent]
        named = [one for one in echoes if one is not None]
        assert len(named) == len(set(named))

    @invariant()
    def what_is_confirmed_was_stored(self) -> None:
        stored = {event.peer_id for event in self.end.inbox}
        for settled in self.pump.bot.history:
            if settled.outcome is Outcome.CONFIRMED:
                assert settled.peer_id in stored


class DiallingFramework(FrameworkAndImplementation):
    """The same with the framework dialling."""

    dialler = "framework"


TestReverse = FrameworkAndImplementation.TestCase
TestReverse.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestForward = DiallingFramework.TestCase
TestForward.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
