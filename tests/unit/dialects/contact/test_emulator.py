from __future__ import annotations

from typing import Any

import pytest

from contact_parts import echo, options, site
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contact.emulator import SCRIPT, World
from trunkline.dialects.contact.translate import SITE
from trunkline.dialects.contract import (
    Ask,
    Changed,
    Dial,
    Hangup,
    Noticed,
    Opening,
    Park,
    Transmit,
)
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Say
from trunkline.model.event import MessageReceived

OUT = {Ask, Changed, Dial, Hangup, Noticed, Transmit}


def opening(clock: FakeClock) -> Opening:
    return Opening("visitor", "", clock, CountingIds(1 << 20))


def meet(world: World, *, answer: Any = echo, **keys: Any) -> Pump:
    """Return a person of the world and a site, connected."""
    clock = FakeClock()
    pump = Pump(site(clock, **keys), world.person(opening(clock)), clock=clock, answer=answer)
    pump.start()
    pump.run()
    return pump


def live(pump: Pump, seconds: int) -> None:
    for _ in range(seconds):
        if not pump.bot.is_linked:
            return
        pump.advance(1)
        pump.run()


def world(**keys: Any) -> World:
    return World(options(), **{"seed": 1, "pace_s": 2.0, "messages": 5, **keys})


def test_a_person_says_its_lines_hears_the_answers_and_leaves() -> None:
    some = world()
    pump = meet(some)
    live(pump, 60)
    tally = some.tally
    assert (tally.sent, tally.acknowledged, tally.answered) == (5, 5, 5)
    assert (tally.doubled, tally.misordered, tally.errors, tally.uncertain) == (0, 0, 0, 0)
    assert pump.platform is not None
    assert pump.platform.hangup == Hangup(1000, "the script is over", Park("the script is over"))
    said = [e.segments[0].text for e in pump.bot.inbox if type(e) is MessageReceived]
    assert said == [SCRIPT[(1 + nth) % len(SCRIPT)] for nth in range(5)]
    assert {type(effect) for effect in pump.platform.effects} <= OUT
    assert pump.platform.session.wake_at is None


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


def test_some_ask_for_contact_first() -> None:
    some = world()
    for _ in range(40):
        meet(some)
    assert 3 <= some.tally.requests <= 20


def test_a_site_that_answers_twice_is_seen() -> None:
    some = world()
    live(meet(some, answer=lambda event: [*echo(event), *echo(event)]), 60)
    assert some.tally.answered == 5
    assert some.tally.doubled >= 4  # the last line's second answer comes after the person left


def test_a_site_that_answers_nothing_is_seen() -> None:
    some = world()
    pump = meet(some, answer=None)
    live(pump, 60)
    assert (some.tally.acknowledged, some.tally.answered) == (5, 0)
    assert pump.bot.is_linked


@pytest.mark.parametrize(("swapped", "answered"), [((0, 2), 1), ((2, 3), 2)], ids=["ack", "answer"])
def test_answers_out_of_order_are_seen(swapped: tuple[int, int], answered: int) -> None:
    some = world(messages=2, pace_s=1)
    pump = meet(some)
    assert pump.platform is not None
    pump.commit_mode = "by_hand"
    while some.tally.sent < 2:  # both lines leave before the site hears the first
        pump.advance(0.1)
    for _ in range(2):
        pump.carry(pump.platform)
    pump.commit()
    wire = pump.bot.wire
    assert len(wire) == 4  # two acknowledgements, two answers
    one, two = swapped
    wire[one], wire[two] = wire[two], wire[one]
    pump.run()
    assert (some.tally.misordered, some.tally.answered) == (1, answered)


def test_a_cut_link_leaves_messages_uncertain() -> None:
    some = world()
    pump = meet(some, answer=None)
    while not some.tally.sent:
        pump.advance(0.1)
    pump.cut()
    assert some.tally.uncertain == 1


def test_doubled_frames_are_acknowledged_and_answered_once() -> None:
    some = world(faults={"double": 1.0})
    live(meet(some), 60)
    assert (some.tally.sent, some.tally.acknowledged, some.tally.answered) == (5, 5, 5)
    assert some.tally.doubled == some.tally.errors == 0


def test_malformed_frames_get_errors_and_harm_nothing() -> None:
    some = world(faults={"malformed": 1.0})
    live(meet(some), 60)
    assert some.tally.errors == 5
    assert some.tally.answered == 5


def test_a_cut_by_the_person_is_a_reconnect() -> None:
    some = world(faults={"cut": 1.0})
    pump = meet(some)
    live(pump, 60)
    assert pump.platform is not None
    assert pump.platform.hangup is not None
    assert not isinstance(pump.platform.hangup.next, Park)
    assert some.tally.sent == 0


def test_words_that_answer_nothing_are_not_counted() -> None:
    some = world()
    pump = meet(some, answer=None)
    assert pump.bot.seat is not None
    pump.say(pump.bot, Chat("", "visitor", pump.bot.seat.key), "news")
    pump.run()
    assert (some.tally.answered, some.tally.misordered) == (0, 0)


def test_somebody_else_may_put_words_into_a_persons_mouth() -> None:
    some = world(messages=0, pace_s=1000)
    pump = meet(some)
    assert pump.platform is not None
    words = Delivery(DeliveryId(1), SITE, Say(text("hi")))
    effects = pump.platform.session.send(words)
    assert [type(effect) for effect in effects] == [Transmit]
    assert some.tally.sent == 1


def test_finish() -> None:
    pump = meet(world())
    assert pump.platform is not None
    pump.finish(pump.platform)
    assert pump.platform.hangup == Hangup(1001, "leaving")


@pytest.mark.parametrize("keys", [{"faults": {"late": 1}}, {"pace_s": 0}, {"script": ()}])
def test_a_world_that_cannot_be(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"fault|world"):
        world(**keys)
