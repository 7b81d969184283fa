"""The scripted world: what it says, what it counts, how it breaks things."""

from __future__ import annotations

import json
from typing import Any

import pytest

from maim_lines import options
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Ask, Changed, Dial, Hangup, Noticed, Opening, Transmit
from trunkline.dialects.maim import MAIM
from trunkline.dialects.maim.emulator import SCRIPT, World
from trunkline.errors import LocalProtocolError
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Say

OUT = {Ask, Changed, Dial, Hangup, Noticed, Transmit}


def echo(event: Any) -> Any:
    return [text(f"收到：{event.segments[-1].text}")]


def world(**keys: Any) -> World:
    line = options(role="adapter", link="dial", url="ws://127.0.0.1/ws", platform="sim")
    return World(line, **{"seed": 1, "pace_s": 2.0, "messages": 5, **keys})


def meet(some: World, *, answer: Any = echo, **keys: Any) -> Pump:
    clock = FakeClock()
    bot = MAIM.open(options(**keys), Opening("core", "core", clock, CountingIds()))
    person = some.person(Opening("adapter", "", clock, CountingIds(1 << 20)))
    pump = Pump(bot, person, clock=clock, answer=answer)
    pump.start()
    pump.run()
    return pump


def live(pump: Pump, seconds: int) -> None:
    for _ in range(seconds):
        if not pump.bot.is_linked:
            return
        pump.advance(1)
        pump.run()


def counts(some: World) -> tuple[int, ...]:
    tally = some.tally
    return tally.sent, tally.answered, tally.doubled, tally.misordered, tally.errors


def test_a_platform_says_its_lines_hears_the_answers_and_leaves() -> None:
    some = world()
    pump = meet(some)
    live(pump, 60)
    assert counts(some) == (5, 5, 0, 0, 0)
    assert pump.platform is not None
    assert pump.platform.hangup is not None
    assert pump.platform.hangup.code == 1000
    assert not pump.bot.is_linked
    said = [event.segments[0].text for event in pump.bot.inbox]
    assert said == [SCRIPT[(1 + nth) % len(SCRIPT)] for nth in range(5)]
    assert {event.chat.account for event in pump.bot.inbox} == {"sim"}
    assert {type(effect) for effect in pump.platform.effects} <= OUT
    assert pump.platform.session.wake_at is None
    assert pump.bot.noticed == []


def test_people_speak_in_private_and_in_the_group() -> None:
    some = world(messages=40, pace_s=1)
    pump = meet(some)
    live(pump, 120)
    assert {event.chat.kind for event in pump.bot.inbox} == {"private", "group"}
    assert len({event.sender for event in pump.bot.inbox}) == 3
    assert counts(some) == (40, 40, 0, 0, 0)


def test_without_a_number_it_goes_on() -> None:
    some = world(messages=0, pace_s=10)
    pump = meet(some)
    live(pump, 600)
    assert some.tally.sent > 40
    assert pump.bot.is_linked


def test_the_same_seed_gives_the_same_people() -> None:
    def days(seed: int) -> list[bytes]:
        pump = meet(world(seed=seed, messages=0))
        live(pump, 30)
        assert pump.platform is not None
        return pump.platform.sent

    assert days(1) == days(1)
    assert days(1) != days(2)


def test_each_connection_has_a_platform_of_its_own_and_gives_it_back() -> None:
    some = world(messages=0)
    pumps = [meet(some) for _ in range(3)]
    seats = [pump.bot.seat.key for pump in pumps if pump.bot.seat is not None]
    assert seats == ["sim", "sim.2", "sim.3"]
    pumps[1].cut()
    again = meet(some)
    assert again.bot.seat is not None
    assert again.bot.seat.key == "sim.2"


def test_a_core_that_answers_twice_is_seen() -> None:
    some = world()
    live(meet(some, answer=lambda event: [*echo(event), *echo(event)]), 60)
    assert some.tally.answered == 5
    assert some.tally.doubled >= 4  # the last line's second answer comes after it left


def test_an_answer_that_comes_again_is_seen() -> None:
    some = world(messages=0)
    pump = meet(some)
    while not some.tally.sent:
        pump.advance(1)
    assert pump.platform is not None
    pump.carry(pump.platform)
    pump.double(pump.bot)
    pump.run()
    assert counts(some) == (1, 1, 1, 0, 0)


def test_a_core_that_answers_nothing_is_seen() -> None:
    some = world()
    pump = meet(some, answer=None)
    live(pump, 60)
    assert counts(some) == (5, 0, 0, 0, 0)
    assert pump.bot.is_linked


def test_answers_out_of_order_are_seen() -> None:
    some = world(messages=0)
    pump = meet(some)
    person = pump.platform
    assert person is not None
    chat = Chat("sim", "private", "10001")
    for nth, words in enumerate(("一", "二"), 1):
        effects = person.session.send(Delivery(DeliveryId(nth), chat, Say(text(words))))
        assert [type(effect) for effect in effects] == [Transmit]
    for words in ("收到：二", "收到：一"):
        pump.say(pump.bot, chat, words)
    pump.run()
    assert counts(some) == (2, 2, 0, 1, 0)


def test_a_doubled_frame_is_one_message_unless_dedupe_is_off() -> None:
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


def test_a_cut_hangs_up_instead_of_speaking() -> None:
    some = world(faults={"cut": 1.0})
    pump = meet(some)
    live(pump, 60)
    assert not pump.bot.is_linked
    assert some.tally.sent == 0


def test_a_stop_leaves() -> None:
    some = world()
    pump = meet(some)
    pump.finish(pump.platform)
    assert not pump.bot.is_linked
    assert pump.platform is not None
    assert pump.platform.session.wake_at is None
    assert pump.platform.session.tick() == ()


def test_a_word_of_the_connection_itself_is_no_answer() -> None:
    some = world(messages=0)
    pump = meet(some)
    act = Act("custom:wave")
    pump.deliver(pump.bot, Delivery(DeliveryId(5), Chat("sim", "platform", "sim"), act))
    pump.run()
    assert counts(some) == (0, 0, 0, 0, 0)
    assert pump.platform is not None
    person = pump.platform.session
    assert person.stored(None) == ()
    with pytest.raises(LocalProtocolError):
        person.answered(1, 1)


def test_an_unreadable_core_is_an_error() -> None:
    some = world(messages=0)
    pump = meet(some)
    pump.inject("{nope", into=pump.platform)
    assert some.tally.errors == 1


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown faults"):
        world(faults={"fire": 1.0})
    with pytest.raises(ValueError, match="pace"):
        world(pace_s=0)
    with pytest.raises(ValueError, match="pace"):
        world(script=())


def test_every_frame_is_one_that_strict_cores_take() -> None:
    from maim_lines import strict_core_drops

    some = world(messages=0, pace_s=1)
    pump = meet(some)
    live(pump, 40)
    assert pump.platform is not None
    frames = [json.loads(frame) for frame in pump.platform.sent]
    assert len(frames) > 20
    assert {strict_core_drops(frame) for frame in frames} == {""}
