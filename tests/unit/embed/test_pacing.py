"""The pace of an embedded line: turns one after another, and what does not get one in time."""

from __future__ import annotations

import asyncio

import pytest

from trunkline.clock import FakeClock
from trunkline.embed.pacing import OFFSET_MS, Turns
from trunkline.embed.settings import read_settings

DAY_S = 86_400.0


class Stand:
    """Turns on a clock that sleeping moves."""

    def __init__(self, **keys: float) -> None:
        self.clock = FakeClock()
        self.slept: list[float] = []
        options = read_settings("maim", "listen", keys).options
        self.turns = Turns(options, self.clock, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.clock.advance(seconds)


async def test_a_line_without_a_pace_waits_for_nothing():
    stand = Stand()
    assert [await stand.turns.take(0.0) for _ in range(9)] == [0.0] * 9
    assert stand.slept == []


async def test_turns_come_one_after_another_in_the_order_of_asking():
    stand = Stand(every_s=6.0)
    order: list[tuple[int, float]] = []
    start_s = stand.clock.monotonic_s()

    async def one(number: int) -> None:
        assert await stand.turns.take(60.0) == 0.0
        order.append((number, stand.clock.monotonic_s() - start_s))

    await asyncio.gather(*(one(number) for number in range(4)))
    assert order == [(number, pytest.approx(6.0 * number)) for number in range(4)]


async def test_a_turn_that_comes_too_late_is_not_waited_for_and_uses_up_nothing():
    stand = Stand(every_s=6.0)
    assert await stand.turns.take(1.0) == 0.0
    assert await stand.turns.take(5.0) == pytest.approx(6.0)
    assert stand.slept == []
    stand.clock.advance(6.0)
    assert await stand.turns.take(0.0) == 0.0


async def test_who_waits_behind_somebody_that_waits_gives_up_too():
    stand = Stand(every_s=6.0)
    await stand.turns.take(0.0)
    gate = asyncio.Event()

    async def never(seconds: float) -> None:
        stand.clock.advance(seconds)
        await gate.wait()

    stand.turns._sleep = never
    before = asyncio.create_task(stand.turns.take(60.0))
    await asyncio.sleep(0)
    assert await stand.turns.take(0.0) == pytest.approx(6.0)
    gate.set()
    assert await before == 0.0


async def test_the_day_has_its_number_and_what_was_never_sent_is_given_back():
    stand = Stand(daily=2)
    assert [await stand.turns.take(0.0) for _ in range(2)] == [0.0, 0.0]
    left_s = await stand.turns.take(0.0)
    midnight_s = DAY_S - (stand.clock.now_ms() + OFFSET_MS) / 1000 % DAY_S
    assert left_s == pytest.approx(midnight_s)
    stand.turns.give_back()
    assert await stand.turns.take(0.0) == 0.0
    stand.clock.advance(left_s)
    assert await stand.turns.take(0.0) == 0.0
