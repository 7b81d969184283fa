"""Core and adapter together: what each promises the other, also when the link misbehaves."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from maim_lines import options, strict_core_drops
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Head, LinkState, Opening
from trunkline.dialects.maim import MAIM
from trunkline.dialects.maim.frames import REJECTIONS
from trunkline.errors import LinkLost
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, NoticeReceived
from trunkline.model.segment import Image, Mention, Quote, Sticker, Text

ZHANG = Chat("qq", "private", "10001", "张三")
GROUP = Chat("qq", "group", "20001", "群")


def echo(event: Any) -> Any:
    """Answer a message with its words; leave everything else alone."""
    if not isinstance(event, MessageReceived):
        return []
    return [text("收到：" + "".join(p.text for p in event.segments if isinstance(p, Text)))]


def bot(clock: FakeClock, **keys: Any) -> Any:
    line = options(**keys)
    return MAIM.open(line, Opening("core", "core", clock, CountingIds()))


def platform(clock: FakeClock, name: str = "qq", **keys: Any) -> Any:
    line = options(role="adapter", link="dial", url="ws://127.0.0.1/ws", platform=name, **keys)
    return MAIM.open(line, Opening("adapter", "", clock, CountingIds(1 << 20)))


def pair(name: str = "qq", **keys: Any) -> Pump:
    """Return a started pair, quiet."""
    clock = FakeClock()
    pump = Pump(bot(clock), platform(clock, name), clock=clock, **keys)
    pump.start()
    pump.run()
    return pump


def other(pump: Pump) -> Any:
    assert pump.platform is not None
    return pump.platform


def words(end: Any) -> list[str]:
    return [event.segments[0].text for event in end.inbox]


def test_a_conversation() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    idents = [pump.say(end, ZHANG, said) for said in ("一", "二", "三")]
    pump.run()
    assert [end.settled[ident].outcome for ident in idents] == [Outcome.SENT] * 3
    assert words(pump.bot) == ["一", "二", "三"]
    assert words(end) == ["收到：一", "收到：二", "收到：三"]
    assert {event.chat for event in end.inbox} == {ZHANG}
    assert {outcome.outcome for outcome in pump.bot.settled.values()} == {Outcome.SENT}


def test_groups_and_people_are_kept_apart() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    pump.say(end, GROUP, "群里")
    pump.say(end, ZHANG, "私下")
    pump.run()
    assert [(event.chat, event.segments[0].text) for event in end.inbox] == [
        (GROUP, "收到：群里"), (ZHANG, "收到：私下"),
    ]  # fmt: skip


def test_a_platform_with_a_chinese_name() -> None:
    pump = pair("平台", answer=echo)
    end = other(pump)
    pump.say(end, Chat("平台", "private", "1"), "hi")
    pump.run()
    assert pump.bot.seat is not None
    assert pump.bot.seat.key == "平台"
    assert words(end) == ["收到：hi"]


def test_every_kind_of_segment_comes_back() -> None:
    segments = (
        Quote("m7"), Mention("10002"), Text("看："), Image(b"\x89PNG" + bytes(200_000)),
        Sticker(text="😀"),
    )  # fmt: skip
    pump = pair(answer=lambda event: [event.segments])
    end = other(pump)
    pump.say(end, GROUP, segments)
    pump.run()
    assert pump.bot.inbox[0].segments == segments
    assert end.inbox[0].segments == segments


def test_two_platforms_are_invisible_to_each_other() -> None:
    pumps = [pair(name, answer=echo) for name in ("a", "b")]
    for nth in range(200):
        for pump in pumps:
            name = pump.bot.seat.key if pump.bot.seat is not None else ""
            pump.say(other(pump), Chat(name, "private", "1"), f"{name}{nth}")
    for pump, name in zip(pumps, "ab", strict=True):
        pump.run()
        assert words(other(pump)) == [f"收到：{name}{nth}" for nth in range(200)]


def test_a_doubled_frame_is_one_message() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    pump.say(end, ZHANG, "hi")
    pump.double(end)
    pump.run()
    assert len(pump.bot.inbox) == len(end.inbox) == 1
    assert pump.bot.duplicates == 1


def test_a_reply_that_is_doubled_on_the_way_is_one_message() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    pump.say(end, ZHANG, "hi")
    pump.carry(end)
    pump.double(pump.bot)
    pump.run()
    assert (len(end.inbox), end.duplicates) == (1, 1)


def test_the_echo_of_an_adapter_confirms() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    pump.say(end, ZHANG, "hi")
    pump.run()
    [ident] = pump.bot.settled
    data = json.dumps({"echo": end.inbox[0].peer_id, "actual_id": "998"}).encode()
    pump.deliver(end, Delivery(DeliveryId(999), ZHANG, Act("message_id_echo", data)))
    pump.run()
    settled = pump.bot.settled[ident]
    assert (settled.outcome, settled.peer_id) == (Outcome.CONFIRMED, "998")


def test_custom_messages_pass_both_ways() -> None:
    pump = pair()
    end = other(pump)
    for nth, (one, peer) in enumerate(((pump.bot, end), (end, pump.bot)), 1):
        pump.deliver(one, Delivery(DeliveryId(nth), ZHANG, Act("custom:wave", b'{"n":1}')))
        pump.run()
        [event] = peer.inbox
        assert isinstance(event, NoticeReceived)
        assert (event.name, event.data) == ("custom:wave", b'{"n":1}')


def test_a_link_that_dies_leaves_nothing_pending_and_the_next_one_works() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    pump.say(end, ZHANG, "一")
    pump.cut(LinkLost(1006))
    assert (pump.bot.state, end.state) == (LinkState.CLOSED, LinkState.CLOSED)
    pump.replace(pump.bot, bot(pump.clock))
    pump.replace(end, platform(pump.clock))
    pump.link()
    pump.say(end, ZHANG, "二")
    pump.run()
    assert words(end) == ["收到：二"]


def test_a_wrong_token_ends_in_the_slow_row_of_the_retry_table() -> None:
    clock = FakeClock()
    line = options(token="T0")
    session = platform(clock, token="bad")
    [dial] = session.begin(None)
    headers = {name.lower(): value for name, value in dial.headers.items()}
    admitted = MAIM.admit(line, Head("/ws", {}, headers))
    denied = MAIM.open(line, Opening("core", getattr(admitted, "kind", ""), clock, CountingIds()))
    pump = Pump(denied, platform(clock, token="bad"), clock=clock)
    pump.start()
    end = other(pump)
    assert pump.bot.kinds() == ["auth-failed"]
    assert not end.is_linked
    assert end.hangup.next.cause == "auth"
    assert pump.bot.inbox == []


def test_the_core_stops_and_the_adapter_comes_back_as_lost() -> None:
    pump = pair(answer=echo)
    end = other(pump)
    pump.say(end, ZHANG, "hi")
    pump.carry(end)
    pump.finish()
    assert words(end) == ["收到：hi"]  # what was written before the close still arrives
    assert (end.hangup.code, end.hangup.next.cause) == (1001, "lost")


class CoreAndAdapter(RuleBasedStateMachine):
    """Any interleaving of saying, carrying, committing, doubling, losing, breaking and cutting."""

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        self.pump = Pump(
            bot(self.clock), platform(self.clock), clock=self.clock, commit="by_hand", answer=echo
        )
        self.end = other(self.pump)
        self.said: dict[str, list[str]] = {}
        self.count = 0
        self.pump.start()

    def is_open(self) -> bool:
        return bool(self.end.is_linked)

    @precondition(is_open)
    @rule(chat=st.sampled_from([ZHANG, GROUP]))
    def say(self, chat: Chat) -> None:
        self.count += 1
        said = f"{self.count}."
        self.pump.say(self.end, chat, said)
        self.said.setdefault(chat.id, []).append(said)

    @precondition(is_open)
    @rule(chat=st.sampled_from([ZHANG, GROUP]))
    def a_person_speaks(self, chat: Chat) -> None:
        self.pump.say(self.pump.bot, chat, "人工")

    @rule(who=st.booleans())
    def carry(self, who: bool) -> None:
        self.pump.carry(self.pump.bot if who else self.end)

    @rule(count=st.integers(1, 3), who=st.booleans())
    def commit(self, count: int, who: bool) -> None:
        self.pump.commit(self.pump.bot if who else self.end, count)

    @rule(who=st.booleans())
    def double(self, who: bool) -> None:
        end = self.pump.bot if who else self.end
        if end.wire:
            self.pump.double(end)

    @rule(who=st.booleans())
    def lose(self, who: bool) -> None:
        end = self.pump.bot if who else self.end
        if end.wire:
            self.pump.drop(end)

    @precondition(is_open)
    @rule(data=st.binary(max_size=12), is_text=st.booleans())
    def noise(self, data: bytes, is_text: bool) -> None:
        for end in (self.pump.bot, self.end):
            before = len(end.noticed)
            self.pump.inject(data, is_text=is_text, into=end)
            [noticed] = end.noticed[before:]
            assert noticed.kind.removeprefix("rejected:") in REJECTIONS

    @precondition(is_open)
    @rule()
    def cut(self) -> None:
        self.pump.cut()

    @precondition(lambda self: not self.end.is_linked)
    @rule()
    def reconnect(self) -> None:
        self.pump.replace(self.pump.bot, bot(self.clock))
        self.pump.replace(self.end, platform(self.clock))
        self.pump.link()

    @rule()
    def time_passes(self) -> None:
        self.pump.advance(7)

    @invariant()
    def nothing_is_pending(self) -> None:
        assert self.pump.bot.pending == {}
        assert self.end.pending == {}

    @invariant()
    def nothing_twice_and_in_order(self) -> None:
        for chat in (ZHANG, GROUP):
            got = [e.segments[0].text for e in self.pump.bot.inbox if e.chat.id == chat.id]
            said = iter(self.said.get(chat.id, []))
            assert all(word in said for word in got)  # a subsequence, each once
            answers = [e.segments[0].text for e in self.end.inbox if e.chat.id == chat.id]
            told = iter(f"收到：{word}" for word in got)
            assert all(word in told for word in answers if word != "人工")

    @invariant()
    def no_answer_before_its_question_is_stored(self) -> None:
        stored = {f"收到：{event.segments[0].text}" for event in self.pump.bot.inbox}
        for frame in self.pump.bot.sent:
            said = json.loads(frame)["message_segment"]["data"][0]["data"]
            assert said == "人工" or said in stored

    @invariant()
    def everything_sent_is_complete(self) -> None:
        for frame in self.end.sent:
            assert strict_core_drops(json.loads(frame)) == ""
        names = [json.loads(frame)["message_info"]["message_id"] for frame in self.pump.bot.sent]
        assert len(names) == len(set(names))


TestCoreAndAdapter = CoreAndAdapter.TestCase
TestCoreAndAdapter.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_the_core_may_speak_first() -> None:
    pump = pair()
    pump.deliver(pump.bot, Delivery(DeliveryId(5), GROUP, Say(text("早"))))
    pump.run()
    [event] = other(pump).inbox
    assert (event.chat, event.sender.id) == (GROUP, "trunkline")
