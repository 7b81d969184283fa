"""The API-Server line, core and adapter together, and in a whole house.

What is promised: a frame is acknowledged after its commit, and what was not acknowledged when a
link died is sent again under the same id, so that both sides have every message once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from house import ECHO, House
from maim_lines import envelope, options
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Head, Opening
from trunkline.dialects.maim import MAIM
from trunkline.errors import LinkLost
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat, parse_address
from trunkline.model.delivery import Delivery, DeliveryState, Outcome, Say
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Text

ZHANG = Chat("qq", "private", "10001", "张三")
GROUP = Chat("qq", "group", "20001", "群")


def echo(event: Any) -> Any:
    assert isinstance(event, MessageReceived)
    return [text("收到：" + "".join(p.text for p in event.segments if isinstance(p, Text)))]


def bot(clock: FakeClock, **keys: Any) -> Any:
    return MAIM.open(options(**keys), Opening("core", "api", clock, CountingIds()))


def platform(clock: FakeClock, ids: CountingIds | None = None, **keys: Any) -> Any:
    line = options(
        role="adapter", link="dial", url="ws://127.0.0.1/ws", platform="qq", api=True,
        api_key="K1", **keys,
    )  # fmt: skip
    return MAIM.open(line, Opening("adapter", "", clock, ids or CountingIds(1 << 20)))


def pair(**keys: Any) -> Pump:
    clock = FakeClock()
    pump = Pump(bot(clock), platform(clock), clock=clock, **keys)
    pump.start()
    pump.run()
    return pump


def other(pump: Pump) -> Any:
    assert pump.platform is not None
    return pump.platform


def words(end: Any) -> list[str]:
    return [event.segments[0].text for event in end.inbox]


def reconnect(pump: Pump) -> None:
    pump.replace(pump.bot, bot(pump.clock))
    pump.replace(other(pump), platform(pump.clock))
    pump.link()


def test_a_conversation_is_confirmed_both_ways() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    idents = [pump.say(end, chat, said) for chat, said in ((ZHANG, "一"), (GROUP, "二"))]
    pump.run()
    assert {end.settled[ident].outcome for ident in idents} == {Outcome.CONFIRMED}
    assert {one.outcome for one in pump.bot.settled.values()} == {Outcome.CONFIRMED}
    assert words(pump.bot) == ["一", "二"]
    assert [(event.chat.id, event.segments[0].text) for event in end.inbox] == [
        ("10001", "收到：一"), ("20001", "收到：二"),
    ]  # fmt: skip


def test_nothing_is_acknowledged_before_it_is_stored() -> None:
    pump = pair(commit="by_hand")
    end = other(pump)
    ident = pump.say(end, ZHANG, "hi")
    pump.run()
    assert pump.bot.sent == []
    assert ident in end.pending
    pump.commit()
    pump.run()
    assert end.settled[ident].outcome is Outcome.CONFIRMED


def test_a_message_whose_acknowledgement_is_lost_is_repeated_and_stored_once() -> None:
    pump = pair()
    end = other(pump)
    ident = pump.say(end, ZHANG, "hi")
    sent = end.pending[ident]
    pump.carry(end)
    assert words(pump.bot) == ["hi"]
    pump.cut(LinkLost())  # the acknowledgement was on its way
    assert end.settled[ident].is_repeatable
    pump.advance(3)
    reconnect(pump)
    pump.deliver(end, sent)
    pump.run()
    assert (words(pump.bot), pump.bot.duplicates) == (["hi"], 1)
    assert end.settled[ident].outcome is Outcome.CONFIRMED
    assert end.sent[0] != end.sent[-1]  # the time of writing is another, its ids are not
    assert pump.bot.acknowledged == [pump.bot.acknowledged[0]] * 2


class ApiPair(RuleBasedStateMachine):
    """Saying, carrying, committing, doubling and cutting; what was unclear is handed in again."""

    @initialize()
    def begin(self) -> None:
        clock = FakeClock()
        self.pump = Pump(bot(clock), platform(clock), clock=clock, commit="by_hand")
        self.end = other(self.pump)
        self.outbox: dict[DeliveryId, Delivery] = {}
        self.pump.start()

    @precondition(lambda self: self.end.is_linked)
    @rule(chat=st.sampled_from([ZHANG, GROUP]))
    def say(self, chat: Chat) -> None:
        number = len(self.outbox) + 1
        said = Delivery(DeliveryId(number), chat, Say(text(f"{number}.")))
        self.outbox[said.id] = said
        self.pump.deliver(self.end, said)

    @rule(who=st.booleans())
    def carry(self, who: bool) -> None:
        self.pump.carry(self.pump.bot if who else self.end)

    @rule(count=st.integers(1, 3))
    def commit(self, count: int) -> None:
        self.pump.commit(self.pump.bot, count)

    @rule(who=st.booleans())
    def double(self, who: bool) -> None:
        end = self.pump.bot if who else self.end
        if end.wire:
            self.pump.double(end)

    @rule()
    def time_passes(self) -> None:
        self.pump.advance(20)

    @precondition(lambda self: self.end.is_linked)
    @rule()
    def cut(self) -> None:
        self.pump.cut()

    @precondition(lambda self: not self.end.is_linked)
    @rule()
    def come_back(self) -> None:
        reconnect(self.pump)
        self._again()

    def _again(self) -> None:
        for ident, settled in list(self.end.settled.items()):
            if settled.outcome is Outcome.UNCERTAIN and ident not in self.end.pending:
                self.pump.deliver(self.end, self.outbox[ident])

    @invariant()
    def confirmed_is_stored_and_nothing_is_twice(self) -> None:
        stored = words(self.pump.bot)
        assert len(stored) == len(set(stored))
        for ident, settled in self.end.settled.items():
            if settled.outcome is Outcome.CONFIRMED:
                assert f"{ident}." in stored

    def teardown(self) -> None:
        """In the end everything arrives."""
        if not self.end.is_linked:
            reconnect(self.pump)
        self._again()
        for _ in range(3):
            self.pump.run()
            self.pump.commit()
        self._again()
        assert set(words(self.pump.bot)) == {f"{ident}." for ident in self.outbox}
        assert {one.outcome for one in self.end.settled.values()} <= {Outcome.CONFIRMED}


TestApiPair = ApiPair.TestCase
TestApiPair.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


# -- in a whole house --------------------------------------------------------------------------


KEY = {"x-apikey": "K1", "x-platform": "qq"}


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


def acknowledge(peer: Any, *frames: dict[str, Any]) -> None:
    for frame in frames:
        meta = {"acked_msg_id": frame["msg_id"]}
        peer.say({"ver": 1, "msg_id": "a", "type": "sys_ack", "meta": meta})


def states(house: House) -> list[DeliveryState]:
    return [DeliveryState(row[0]) for row in house.rows("SELECT state FROM outbox ORDER BY id")]


async def test_an_unacknowledged_answer_is_sent_again_over_the_next_link(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines={"core": {"dialect": "maim"}}) as house:
        peer = house.connect("core", headers=KEY)
        peer.say(envelope("hi"))
        await house.quiet()
        ack, answer = peer.frames()
        assert (ack["type"], ack["meta"]["acked_msg_id"]) == ("sys_ack", "m1")
        assert answer["type"] == "sys_std"
        peer.cut()
        house.advance(0.2)
        await house.quiet()
        assert states(house) == [DeliveryState.QUEUED]
        peer = house.connect("core", headers=KEY)
        await house.quiet()
        [again] = peer.frames()
        assert again["msg_id"] == answer["msg_id"]
        assert again["payload"]["message_segment"] == answer["payload"]["message_segment"]
        acknowledge(peer, again)
        house.advance(0.2)
        await house.quiet()
        assert states(house) == [DeliveryState.CONFIRMED]
        peer.say(envelope("hi"))  # a repeat of the question
        await house.quiet()
        assert kinds(peer.frames()) == ["sys_ack"]


async def test_every_connection_of_a_platform_hears_a_person_and_one_proof_is_enough(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, rules=[ECHO], lines={"core": {"dialect": "maim"}}) as house:
        one = house.connect("core", headers=KEY)
        two = house.connect("core", headers=KEY)
        stranger = house.connect("core", headers=KEY | {"x-platform": "wx"})
        await house.desk.send(parse_address("core/group:42@qq"), text("hello"))
        await house.quiet()
        [said], [same] = one.frames(), two.frames()
        assert said["msg_id"] == same["msg_id"]
        assert stranger.frames() == []
        acknowledge(two, same)
        one.cut()
        house.advance(0.2)
        await house.quiet()
        assert states(house) == [DeliveryState.CONFIRMED]
        assert two.frames() == []


async def test_the_same_connection_id_replaces_the_older_and_no_other(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines={"core": {"dialect": "maim"}}) as house:
        old, other_id, bare = (
            house.connect("core", headers=KEY | extra)
            for extra in ({"x-uuid": "u1"}, {"x-uuid": "u2"}, {})
        )
        new = house.connect("core", headers=KEY | {"x-uuid": "u1"})
        for peer in (old, other_id, bare, new):
            peer.pump()
        assert isinstance(old.closed_with, LinkLost)
        assert old.closed_with.code == 1000
        assert [peer.closed_with for peer in (other_id, bare, new)] == [None] * 3
        new.say(envelope("hi"))
        await house.quiet()
        assert kinds(new.frames()) == ["sys_ack", "sys_std"]


async def test_both_lines_on_one_path_and_a_wrong_key(tmp_path: Path) -> None:
    lines = {"core": {"dialect": "maim", "token": "K1"}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        classic = house.connect("core", headers={"platform": "c", "authorization": "K1"})
        api = house.connect("core", headers=KEY)
        denied = house.connect("core", headers=KEY | {"x-apikey": "K2"})
        denied.pump()
        assert isinstance(denied.closed_with, LinkLost)
        assert denied.closed_with.code == 1008
        api.say(envelope("hi"))
        classic.say(envelope("hi")["payload"])
        await house.quiet()
        assert kinds(api.frames()) == ["sys_ack", "sys_std"]
        [answer] = classic.frames()
        assert "message_info" in answer
        denied.say(envelope("hi", "m9"))
        await house.quiet()
        assert denied.frames() == []


async def test_a_core_that_dials_our_adapter_is_heard_and_answered(tmp_path: Path) -> None:
    lines = {"out": {"dialect": "maim", "role": "adapter", "platform": "qq", "path": "/adapter"}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        older = house.connect("out")
        classic = house.connect("out")
        older.pump()
        assert isinstance(older.closed_with, LinkLost)
        user = {"platform": "qq", "user_id": "1", "user_nickname": "N"}
        info = {"platform": "qq", "message_id": "x", "time": 1_767_225_600.0, "user_info": user}
        segment = {"type": "text", "data": "hi"}
        classic.say({"message_info": info, "message_segment": segment})
        await house.quiet()
        [answer] = classic.frames()
        assert answer["message_info"]["user_info"] == user
        api = house.connect("out", headers=KEY)
        api.say(envelope("hi", side="receiver"))
        await house.quiet()
        assert kinds(api.frames()) == ["sys_ack", "sys_std"]


def test_an_adapter_that_listens_dials_nobody() -> None:
    line = options(role="adapter", path="/a")
    session = MAIM.open(line, Opening("adapter", "core", FakeClock(), CountingIds()))
    assert session.begin(None) == ()
    from trunkline.dialects.contract import Changed, LinkInfo, LinkState

    session.linked(LinkInfo(Head("/a")))
    assert session.lost(LinkLost()) == (Changed(LinkState.CLOSED),)  # and comes back to nobody
