"""Site and visitor together: what each promises the other, also when the link misbehaves."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contact_parts import STRANGER, echo, site, visitor
from pump import Pump
from trunkline.clock import FakeClock
from trunkline.dialects.contact.translate import SITE
from trunkline.dialects.contract import LinkState
from trunkline.ids import CountingIds
from trunkline.model.address import Chat
from trunkline.model.delivery import Outcome
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Quote


def pair(**keys: Any) -> Pump:
    """Return a started pair, quiet."""
    clock = FakeClock()
    pump = Pump(site(clock), visitor(clock), clock=clock, head=STRANGER, **keys)
    pump.start()
    pump.run()
    return pump


def platform(pump: Pump) -> Any:
    assert pump.platform is not None
    return pump.platform


def test_a_conversation() -> None:
    pump = pair(answer=echo)
    end = platform(pump)
    idents = [pump.say(end, SITE, words) for words in ("一", "二", "三")]
    pump.run()
    assert [end.settled[ident].outcome for ident in idents] == [Outcome.CONFIRMED] * 3
    asked = [event.peer_id for event in pump.bot.inbox]
    assert [end.settled[ident].peer_id for ident in idents] == asked
    assert [event.segments[0] for event in end.inbox] == [Quote(ident) for ident in asked]
    assert [event.segments[1].text for event in end.inbox] == ["收到：一", "收到：二", "收到：三"]


def test_a_message_is_not_confirmed_before_it_is_stored() -> None:
    pump = pair(commit="by_hand")
    end = platform(pump)
    ident = pump.say(end, SITE, "hi")
    pump.run()
    assert end.settled == {}
    pump.commit()
    pump.run()
    assert end.settled[ident].outcome is Outcome.CONFIRMED


def test_a_cut_before_the_commit_and_a_cut_after_it_look_the_same_to_the_visitor() -> None:
    for is_stored in (False, True):
        pump = pair(commit="by_hand")
        end = platform(pump)
        ident = pump.say(end, SITE, "hi")
        pump.run()
        if is_stored:
            pump.commit()
        pump.cut()
        assert end.settled[ident].outcome is Outcome.UNCERTAIN
        assert len(pump.bot.inbox) == is_stored
        assert pump.commit() == 1 - is_stored  # what was received is stored all the same


def test_an_acknowledgement_that_is_lost_leaves_the_message_pending_until_the_link_dies() -> None:
    pump = pair()
    end = platform(pump)
    ident = pump.say(end, SITE, "hi")
    pump.carry(end)
    pump.drop(pump.bot)
    pump.run()
    assert list(end.pending) == [ident]
    pump.cut()
    assert end.settled[ident].outcome is Outcome.UNCERTAIN


def test_a_doubled_frame_is_one_message() -> None:
    pump = pair(answer=echo)
    end = platform(pump)
    pump.say(end, SITE, "hi")
    pump.double(end)
    pump.run()
    assert len(pump.bot.inbox) == len(end.inbox) == 1
    assert pump.bot.duplicates == 1
    assert end.kinds() == ["unexpected-ack"]


def test_a_rate_limited_message_is_sent_again_when_the_site_says() -> None:
    pump = pair()
    end = platform(pump)
    idents = [pump.say(end, SITE, f"{nth}") for nth in range(21)]
    pump.run()
    last = end.settled[idents[-1]]
    assert last.outcome is Outcome.LATER
    pump.advance(last.wait_s)
    again = pump.say(end, SITE, "20")
    pump.run()
    assert end.settled[again].outcome is Outcome.CONFIRMED


def test_the_site_stops_and_the_visitor_sees_1001() -> None:
    pump = pair(answer=echo)
    end = platform(pump)
    pump.say(end, SITE, "hi")
    pump.carry(end)
    pump.finish()
    assert len(end.inbox) == 1  # what was written before the close still arrives
    assert end.pending == {}
    assert (end.state, pump.bot.state) == (LinkState.CLOSED, LinkState.CLOSED)


class SiteAndVisitor(RuleBasedStateMachine):
    """Any interleaving of saying, carrying, committing, doubling, losing and cutting."""

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        self.ids = CountingIds()
        self.pump = Pump(
            self.site(), visitor(self.clock), clock=self.clock, head=STRANGER,
            commit="by_hand", answer=echo,
        )  # fmt: skip
        self.end = platform(self.pump)
        self.is_lossy = False
        self.pump.start()

    def site(self) -> Any:
        return site(self.clock, ids=self.ids, chat_burst=8, rejected_frames=0)

    def is_ready(self) -> bool:
        return self.end.is_linked and self.end.state is LinkState.READY

    @precondition(is_ready)
    @rule(words=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5))
    def say(self, words: str) -> None:
        self.pump.say(self.end, SITE, words)

    @precondition(lambda self: self.pump.bot.is_linked)
    @rule()
    def a_person_answers(self) -> None:
        bot = self.pump.bot
        self.pump.say(bot, Chat("", "visitor", bot.seat.key), "from the owner")

    @rule(count=st.integers(1, 4))
    def carry_to_site(self, count: int) -> None:
        for _ in range(count):
            self.pump.carry(self.end)

    @rule(count=st.integers(1, 4))
    def carry_to_visitor(self, count: int) -> None:
        for _ in range(count):
            self.pump.carry(self.pump.bot)

    @rule(count=st.none() | st.integers(1, 3))
    def commit(self, count: int | None) -> None:
        self.pump.commit(count=count)

    @precondition(lambda self: self.end.wire)
    @rule(data=st.data())
    def double(self, data: st.DataObject) -> None:
        self.pump.double(self.end, data.draw(st.integers(0, len(self.end.wire) - 1)))

    @precondition(lambda self: len(self.end.wire) > 1)
    @rule()
    def reorder(self) -> None:
        self.pump.reorder(self.end)

    @precondition(lambda self: self.is_ready() and self.pump.bot.wire)
    @rule()
    def lose_to_visitor(self) -> None:
        self.is_lossy = True
        self.pump.drop(self.pump.bot)

    @precondition(lambda self: self.pump.bot.is_linked)
    @rule(raw=st.binary(max_size=20))
    def garbage(self, raw: bytes) -> None:
        self.pump.inject(raw, is_text=False)

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.pump.advance(seconds)

    @rule()
    def cut_and_reconnect(self) -> None:
        self.pump.cut()
        assert not self.end.pending
        assert not self.pump.bot.pending
        self.pump.replace(self.pump.bot, self.site())
        self.pump.replace(self.end, visitor(self.clock))
        self.pump.link()

    @invariant()
    def nothing_is_acknowledged_before_it_is_stored(self) -> None:
        stored = {event.peer_id for event in self.pump.bot.inbox}
        acks = [frame for frame in self.frames() if frame["type"] == "chat_message_received"]
        assert {ack["message_id"] for ack in acks} <= stored
        assert len(acks) == len(self.pump.bot.acknowledged)

    @invariant()
    def answers_follow_their_acknowledgement_once_and_in_order(self) -> None:
        acked: list[str] = []
        answered: list[str] = []
        for frame in self.frames():
            if frame["type"] == "chat_message_received":
                acked.append(frame["message_id"])
            elif frame["type"] == "chat_message" and "in_reply_to" in frame:
                assert frame["in_reply_to"] in acked
                answered.append(frame["in_reply_to"])
        assert len(set(answered)) == len(answered)
        order = [event.peer_id for event in self.pump.bot.inbox]
        assert answered == [ident for ident in order if ident in set(answered)]

    @invariant()
    def what_the_visitor_calls_confirmed_is_stored(self) -> None:
        stored = {event.peer_id for event in self.pump.bot.inbox}
        for settled in self.end.settled.values():
            if settled.outcome is Outcome.CONFIRMED:
                assert settled.peer_id in stored

    def teardown(self) -> None:
        """When all is carried and committed, every message has its fate and its answer."""
        if not hasattr(self, "pump"):
            return
        while self.pump.step() or self.pump.commit():
            pass
        messages = [event for event in self.pump.bot.inbox if type(event) is MessageReceived]
        assert len({event.peer_id for event in messages}) == len(messages)
        if not self.is_lossy:
            assert not self.end.pending

    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.pump.bot.sent]


SiteAndVisitor.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSiteAndVisitor = SiteAndVisitor.TestCase
