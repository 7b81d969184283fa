"""The scripted accounts: what they say, what they count, how they break things."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from onebot11_lines import options
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.configuration.templates import TEMPLATES
from trunkline.dialects.contract import (
    Ask,
    Changed,
    Dial,
    Hangup,
    Head,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Transmit,
)
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.dialects.onebot11.cq import parse_cq
from trunkline.dialects.onebot11.emulator import GROUP, PEOPLE, SCRIPT, World
from trunkline.dialects.onebot11.mishaps import KICKED_S, ODD_CHATS, SILENT_S
from trunkline.dialects.onebot11.shapes import HEARTBEAT
from trunkline.dialects.onebot11.translate import to_segments
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, NoticeReceived
from trunkline.model.message import plain_text
from trunkline.model.segment import Face

OUT = {Ask, Changed, Dial, Hangup, Noticed, Transmit}
ACCOUNT = "12345"
ANN = Chat(ACCOUNT, "private", "10001")


def echo(event: Any) -> Any:
    if not isinstance(event, MessageReceived):
        return []
    return [text(f"收到：{plain_text(event.segments)}")]


def world(**keys: Any) -> World:
    line = options(role="implementation", link="dial", url="ws://127.0.0.1/ws/", self_id=ACCOUNT)
    return World(line, **{"seed": 1, "pace_s": 2.0, "messages": 5, **keys})


def meet(some: World, *, answer: Any = echo, is_started: bool = True, **keys: Any) -> Pump:
    clock = FakeClock()
    line = options(role="framework", **keys)
    bot = ONEBOT11.open(line, Opening("framework", "universal", clock, CountingIds()))
    account = some.person(Opening("implementation", "", clock, CountingIds(1 << 20)))
    pump = Pump(bot, account, clock=clock, answer=answer)
    if is_started:
        pump.start()
        pump.run()
    return pump


def live(pump: Pump, seconds: int) -> None:
    for _ in range(seconds):
        if not pump.bot.is_linked:
            return
        pump.advance(1)
        pump.run()


def end(pump: Pump) -> Any:
    assert pump.platform is not None
    return pump.platform


def counts(some: World) -> tuple[int, ...]:
    tally = some.tally
    return tally.sent, tally.answered, tally.doubled, tally.misordered, tally.errors


def said(pump: Pump) -> list[MessageReceived]:
    return [event for event in pump.bot.inbox if isinstance(event, MessageReceived)]


# -- the script --------------------------------------------------------------------------------


def test_an_account_says_its_lines_hears_the_answers_and_leaves() -> None:
    some = world()
    pump = meet(some)
    live(pump, 60)
    assert counts(some) == (5, 5, 0, 0, 0)
    account = end(pump)
    assert account.hangup is not None
    assert account.hangup.code == 1000
    assert not pump.bot.is_linked
    first = json.loads(account.sent[0])
    assert (first["meta_event_type"], first["sub_type"]) == ("lifecycle", "connect")
    words = [plain_text(event.segments) for event in said(pump)]
    plain = [
            "在吗？今天天气怎么样？", "你好，多少钱？", "hello, what can you do, A&B?", "帮助",
            "在吗？晚安 🌙",
        ]  # fmt: skip
    assert words == plain
    assert Face("178") in said(pump)[1].segments
    assert {event.chat.account for event in pump.bot.inbox} == {ACCOUNT}
    assert {type(effect) for effect in account.effects} <= OUT
    assert account.session.wake_at is None
    assert pump.bot.noticed == []
    assert {one.outcome for one in pump.bot.settled.values()} == {Outcome.CONFIRMED}


def test_people_speak_in_private_and_in_the_group() -> None:
    some = world(messages=40, pace_s=1)
    pump = meet(some)
    live(pump, 120)
    found = said(pump)
    assert {event.chat.kind for event in found} == {"private", "group"}
    assert {(event.sender.id, event.sender.name) for event in found if event.sender} == set(PEOPLE)
    assert {event.chat.id for event in found if event.chat.kind == "group"} == {GROUP[0]}
    assert counts(some) == (40, 40, 0, 0, 0)


def test_without_a_number_it_goes_on_and_heartbeats_come() -> None:
    some = world(messages=0, pace_s=10)
    pump = meet(some)
    live(pump, 600)
    assert some.tally.sent > 40
    assert pump.bot.is_linked
    beats = [one for one in pump.bot.fleeting if one.name == HEARTBEAT]
    assert len(beats) == 121  # the first one at once


def test_the_same_seed_gives_the_same_people() -> None:
    def days(seed: int) -> list[bytes]:
        pump = meet(world(seed=seed, messages=0))
        live(pump, 30)
        return end(pump).sent

    assert days(1) == days(1)
    assert days(1) != days(2)


def test_each_connection_is_an_account_of_its_own_and_gives_its_number_back() -> None:
    some = world(messages=0)
    pumps = [meet(some) for _ in range(3)]
    seats = [pump.bot.seat.key for pump in pumps if pump.bot.seat is not None]
    assert seats == ["12345", "12346", "12347"]
    assert [pump.platform.dial.headers["X-Self-ID"] for pump in pumps] == seats  # type: ignore[union-attr] - it dialled
    pumps[1].cut()
    again = meet(some)
    assert again.bot.seat is not None
    assert again.bot.seat.key == "12346"


def test_a_line_may_be_an_event() -> None:
    notice = {"post_type": "notice", "notice_type": "group_increase", "sub_type": "approve"}
    line = json.dumps(notice | {"group_id": 20001, "user_id": 10001, "operator_id": 1})
    some = world(messages=2, script=(line,))
    pump = meet(some)
    live(pump, 30)
    assert [type(event) for event in pump.bot.inbox] == [NoticeReceived] * 2
    assert counts(some) == (0, 0, 0, 0, 0)
    assert not pump.bot.is_linked


def test_a_listening_account_is_the_same_for_all_who_connect() -> None:
    line = options(role="implementation", self_id=ACCOUNT, bind="127.0.0.1:0")
    some = World(line, seed=1, pace_s=1.0, messages=3)
    clock = FakeClock()
    kinds = ("universal", "event", "api")
    opened = [some.person(Opening("implementation", kind, clock, CountingIds())) for kind in kinds]
    for account in opened:
        assert list(account.begin(None)) == []
        effects = account.linked(LinkInfo(Head("/")))
        assert [one.seat.key for one in effects if type(one) is Changed and one.seat] == [ACCOUNT]
    _, event, api = opened
    assert api.wake_at is None  # nobody speaks there
    frames: list[Any] = []
    until_s = clock.monotonic_s() + 100
    while event.wake_at is not None and clock.monotonic_s() < until_s:
        clock.advance(event.wake_at - clock.monotonic_s())
        for effect in event.tick():
            if type(effect) is Transmit:
                frames.append(json.loads(effect.data))
        for frame in [one for one in frames if one["post_type"] == "message"]:
            frames.remove(frame)
            target = {key: frame[key] for key in ("group_id",) if key in frame}
            call = {"params": {"user_id": frame["user_id"], "message": frame["message"]} | target}
            api.receive(json.dumps(call | {"action": "send_msg"}).encode(), is_text=True)
    assert counts(some) == (3, 3, 0, 0, 0)
    assert event.wake_at is None  # what one half said the other half was told: the script is over


def test_what_a_framework_asks_is_answered_from_the_script() -> None:
    pump = meet(world(messages=0))
    account = end(pump)

    def ask(action: str, **params: Any) -> Any:
        call = {"action": action, "params": params, "echo": 1}
        effects = account.session.receive(json.dumps(call).encode(), is_text=True)
        (answer,) = [json.loads(one.data) for one in effects if type(one) is Transmit]
        return answer["data"] if answer["status"] == "ok" else answer["retcode"]

    assert ask("get_login_info")["user_id"] == 12345
    assert [one["nickname"] for one in ask("get_friend_list")] == [name for _, name in PEOPLE]
    assert [one["group_name"] for one in ask("get_group_list")] == [GROUP[1]]
    assert ask("get_stranger_info", user_id=10001)["nickname"] == "小明"
    assert ask("get_stranger_info", user_id=9) == 100
    assert ask("get_group_member_list", group_id=20001) == 1501


# -- what is seen of the framework -------------------------------------------------------------


def test_a_framework_that_answers_twice_is_seen() -> None:
    some = world()
    live(meet(some, answer=lambda event: [*echo(event), *echo(event)]), 60)
    assert some.tally.answered == 5
    assert some.tally.doubled >= 4  # the last line's second answer comes after it left


def test_a_framework_that_answers_nothing_is_seen() -> None:
    some = world()
    pump = meet(some, answer=None)
    live(pump, 60)
    assert counts(some) == (5, 0, 0, 0, 0)
    assert pump.bot.is_linked


def test_answers_out_of_order_are_seen() -> None:
    some = world(messages=0)
    pump = meet(some, answer=None)
    for nth, words in enumerate(("一", "二"), 1):
        effects = end(pump).session.send(Delivery(DeliveryId(nth), ANN, Say(text(words))))
        assert [type(effect) for effect in effects] == [Transmit]
    for words in ("收到：二", "收到：一"):
        pump.say(pump.bot, ANN, words)
    pump.run()
    assert counts(some) == (2, 2, 0, 1, 0)


def test_a_call_that_cannot_be_read_is_an_error() -> None:
    some = world(messages=0)
    pump = meet(some)
    pump.inject("{nope", into=end(pump))
    assert some.tally.errors == 1


# -- faults ------------------------------------------------------------------------------------


def test_a_doubled_event_is_one_message_unless_dedupe_is_off() -> None:
    some = world(faults={"double": 1.0})
    pump = meet(some)
    live(pump, 60)
    assert counts(some) == (5, 5, 0, 0, 0)
    assert pump.bot.duplicates >= 4  # it may have left before the last repeat arrives
    other = world(faults={"double": 1.0}, messages=0)
    live(meet(other, dedupe=False), 60)
    assert other.tally.doubled > 10


def test_malformed_frames_are_dropped_and_the_rest_is_answered() -> None:
    some = world(faults={"malformed": 1.0})
    pump = meet(some)
    live(pump, 60)
    assert counts(some) == (5, 5, 0, 0, 0)
    assert pump.bot.kinds() == ["rejected:not_json"] * 5


def test_odd_events_are_answered_like_all_others() -> None:
    some = world(faults={"odd": 1.0}, messages=30, pace_s=1)
    pump = meet(some)
    live(pump, 90)
    assert counts(some) == (30, 30, 0, 0, 0)
    found = {(event.chat.kind, event.chat.id) for event in said(pump)}
    assert found == {(kind, ident) for kind, ident, _ in ODD_CHATS}
    flags = {"string_ids", "string_time", "ms_time", "no_sender", "default_sub_type"}
    assert {f"warned:{flag}" for flag in flags} <= set(pump.bot.kinds())
    assert all(kind.startswith("warned:") for kind in pump.bot.kinds())


def test_a_cut_hangs_up_instead_of_speaking() -> None:
    some = world(faults={"cut": 1.0})
    pump = meet(some)
    live(pump, 60)
    assert not pump.bot.is_linked
    assert some.tally.sent == 0


def test_late_responses_hold_nobody_up_and_every_one_comes() -> None:
    some = world(faults={"late": 1.0}, messages=12, pace_s=1)
    pump = meet(some)
    live(pump, 60)
    assert counts(some) == (12, 12, 0, 0, 0)
    settled = list(pump.bot.settled.values())
    assert [one.outcome for one in settled] == [Outcome.CONFIRMED] * 12


def test_a_response_may_overtake_another() -> None:
    some = world(faults={"reorder": 0.6}, messages=0)
    pump = meet(some, answer=None)
    club = Chat(ACCOUNT, "group", "20001")
    order: list[DeliveryId] = []
    for _ in range(20):
        order += [pump.say(pump.bot, ANN, "a"), pump.say(pump.bot, club, "b")]
        pump.run()
        pump.advance(2)
        pump.run()
    assert len(pump.bot.settled) == len(order) == 40
    assert {one.outcome for one in pump.bot.settled.values()} == {Outcome.CONFIRMED}
    assert [one.delivery_id for one in pump.bot.history] != order


def test_a_silent_socket_says_and_answers_nothing_until_the_framework_gives_up() -> None:
    some = world(faults={"silent": 1.0}, messages=0)
    pump = meet(some, answer=None)
    live(pump, 4)
    ident = pump.say(pump.bot, ANN, "hello?")
    live(pump, 5)
    assert pump.bot.state is LinkState.READY
    live(pump, 20)
    assert pump.bot.hangup is not None
    assert pump.bot.hangup.reason == "no heartbeat"
    assert pump.bot.settled[ident].outcome is Outcome.UNCERTAIN
    assert some.tally.sent == 0


def test_a_silent_socket_that_nobody_closes_ends_by_itself() -> None:
    some = world(faults={"silent": 1.0}, messages=0)
    clock = FakeClock()
    account = some.person(Opening("implementation", "", clock, CountingIds()))
    account.begin(None)
    account.linked(LinkInfo(Head("/"), is_dialled=True))
    clock.advance(4)
    assert list(account.tick()) == []
    assert account.receive(b'{"action":"get_status"}', is_text=True) == ()
    assert list(account.send(Delivery(DeliveryId(1), ANN, Say(text("hello?"))))) == []
    clock.advance(SILENT_S)
    assert [type(one) for one in account.tick()] == [Changed, Hangup]
    assert account.wake_at is None


def test_a_kicked_account_is_offline_refuses_and_comes_back() -> None:
    some = world(faults={"kick": 1.0}, messages=0, pace_s=2)
    pump = meet(some, answer=None)
    before = end(pump).session
    while pump.bot.state is LinkState.READY:
        pump.advance(1)
        pump.run()
    assert pump.bot.state is LinkState.DEGRADED
    assert "account-offline" in pump.bot.kinds()
    call = b'{"action":"send_private_msg","params":{"user_id":1,"message":"x"},"echo":"e"}'
    (answer,) = before.receive(call, is_text=True)
    assert (json.loads(answer.data)["status"], json.loads(answer.data)["echo"]) == ("failed", "e")
    assert some.tally.refused == 1
    pump.advance(5)  # its heartbeat comes and says so too
    pump.run()
    assert pump.bot.state is LinkState.DEGRADED
    pump.advance(KICKED_S - 5)
    pump.run()
    assert pump.bot.state is LinkState.READY
    ident = pump.say(pump.bot, ANN, "back?")
    pump.run()
    assert pump.bot.settled[ident].outcome is Outcome.CONFIRMED


# -- the end -----------------------------------------------------------------------------------


def test_a_stop_leaves() -> None:
    some = world()
    pump = meet(some)
    pump.finish(end(pump))
    assert not pump.bot.is_linked
    account = end(pump).session
    assert account.wake_at is None
    assert account.tick() == ()
    assert account.stored(None) == ()
    assert account.answered(1, 1) == ()


def test_an_answer_over_a_later_link_counts() -> None:
    some = world(messages=0)
    pump = meet(some, answer=None)
    end(pump).session.send(Delivery(DeliveryId(1), ANN, Say(text("who?"))))
    pump.cut()
    again = meet(some, answer=None)
    again.say(again.bot, ANN, "re:who?")
    again.run()
    assert counts(some) == (1, 1, 0, 0, 0)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown faults"):
        world(faults={"fire": 1.0})
    with pytest.raises(ValueError, match="pace"):
        world(pace_s=0)
    with pytest.raises(ValueError, match="pace"):
        world(script=())


def test_the_default_script_has_six_lines() -> None:
    assert len(SCRIPT) == len(set(SCRIPT)) == 6


def test_the_template_for_a_bot_answers_every_line_of_the_script() -> None:
    rules = tomllib.loads(TEMPLATES["qq"]["trunkline.toml"]())["rules"]
    spoken = [plain_text(to_segments(parse_cq(line))) for line in SCRIPT]
    assert [line for line in spoken if not any(_fits(rule, line) for rule in rules)] == []


def _fits(rule: dict[str, Any], line: str) -> bool:
    if "reply" not in rule:
        return False
    if rule.get("match") == "exact":
        return line in rule["keywords"]
    return any(word in line for word in rule["keywords"])
