"""Emulated people against the house: every fault, and still each message is answered once in order.

Source: style 9, reliability 1
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from house import ECHO, House
from town import Town, town_of
from trunkline.dialects.contact.emulator import World as Visitors
from trunkline.dialects.contact.options import ContactOptions
from trunkline.dialects.maim.emulator import World as Platforms
from trunkline.dialects.maim.options import MaimOptions
from trunkline.lines.contract import LineState
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import InboxState

MESSAGES = 12
PEOPLE = 4
FAULTS: list[dict[str, float]] = [
    {},
    {"double": 0.5},
    {"malformed": 0.5},
    {"cut": 0.15},
    {"double": 0.3, "malformed": 0.2, "cut": 0.1},
]
OPEN = (DeliveryState.QUEUED, DeliveryState.SENDING)


def visitors(faults: dict[str, float], seed: int = 1) -> Visitors:
    options = ContactOptions(dialect="contact", role="visitor", link="dial", url="ws://x/blog")
    return Visitors(options, seed=seed, pace_s=1.5, messages=MESSAGES, faults=faults)


def platforms(faults: dict[str, float], seed: int = 1) -> Platforms:
    options = MaimOptions(dialect="maim", role="adapter", link="dial", url="ws://x/core")
    return Platforms(options, seed=seed, pace_s=1.5, messages=MESSAGES, faults=faults)


def gather(town: Town, world: Any, dialect: str, role: str, at: str) -> list[Any]:
    return [
        town.settle_in(dialect, role, at, open_session=world.person, reconnect_interval_s=2.0)
        for _ in range(PEOPLE)
    ]


def check_rows(house: House) -> None:
    """Nothing is left under way, and what was said is there once."""
    states = {state for (state,) in house.rows("select distinct state from outbox")}
    assert states.isdisjoint(OPEN)
    assert house.rows("select count(*) from inbox where state != ?", InboxState.DONE) == [(0,)]
    assert [trouble for trouble in house.troubles if trouble[1] is not None] == []
    assert all(line[1] != "session failed" for line in house.log.lines)


@pytest.mark.parametrize("faults", FAULTS, ids=lambda faults: "+".join(faults) or "none")
async def test_visitors(tmp_path: Path, faults: dict[str, float]) -> None:
    async with town_of(House(tmp_path, rules=[ECHO])) as town:
        world = visitors(faults)
        lines = gather(town, world, "contact", "visitor", "blog")
        await town.until(lambda: all(line.state is LineState.FAILED for line in lines))
        tally = world.tally
        assert tally.doubled == tally.misordered == 0
        assert tally.sent == tally.acknowledged + tally.uncertain
        assert tally.acknowledged >= PEOPLE * MESSAGES  # each says all of it on its last link
        if "cut" not in faults:
            assert tally.answered == tally.acknowledged == PEOPLE * MESSAGES
        rows = town.house.rows("select count(*) from inbox where kind = 0")
        assert rows[0][0] >= tally.acknowledged  # nothing is acknowledged that is not stored
        check_rows(town.house)


@pytest.mark.parametrize("faults", FAULTS, ids=lambda faults: "+".join(faults) or "none")
async def test_platforms(tmp_path: Path, faults: dict[str, float]) -> None:
    lines = {"core": {"dialect": "maim"}}
    async with town_of(House(tmp_path, rules=[ECHO], lines=lines)) as town:
        world = platforms(faults)
        people = gather(town, world, "maim", "adapter", "core")
        await town.until(lambda: all(line.state is LineState.FAILED for line in people))
        tally = world.tally
        assert tally.doubled == tally.misordered == 0
        if "cut" not in faults:
            assert tally.answered == tally.sent == PEOPLE * MESSAGES
        assert town.house.rows("select count(*) from inbox") == [(tally.sent,)]
        answers = town.house.rows("select count(*) from outbox")
        assert answers == [(tally.sent,)]  # a repeat is answered once
        check_rows(town.house)


async def test_links_that_are_cut_at_any_moment_lose_and_double_nothing(tmp_path: Path) -> None:
    """What an adapter had written when the wire broke is read, and answered over the next link."""
    lines = {"core": {"dialect": "maim"}}
    async with town_of(House(tmp_path, rules=[ECHO], lines=lines)) as town:
        world = platforms({})
        people = gather(town, world, "maim", "adapter", "core")
        for nth in range(60):
            await town.live(0.5)
            if nth % 3 == 0 and town.pairs:
                near, far = town.pairs[nth % len(town.pairs)]
                (near if nth % 2 else far).cut()
        await town.until(
            lambda: (
                all(line.state is LineState.FAILED for line in people)
                or town.house.clock.monotonic_s() > 1200
            )
        )
        said = {
            ident
            for (ident,) in town.house.rows("select id from inbox")
        }  # fmt: skip
        answered = [ident & ~15 for (ident,) in town.house.rows("select id from outbox")]
        assert len(answered) == len(set(answered))
        assert set(answered) == said
        assert world.tally.doubled == world.tally.misordered == 0


async def test_a_stalled_reader_holds_only_itself(tmp_path: Path) -> None:
    async with town_of(House(tmp_path, rules=[ECHO])) as town:
        world = visitors({})
        lines = gather(town, world, "contact", "visitor", "blog")
        await town.live(0.5)
        stalled, _ = town.pairs[0]
        stalled.is_stalled = True
        await town.until(lambda: sum(one.state is LineState.FAILED for one in lines) == PEOPLE - 1)
        stalled.drain()
        await town.until(lambda: all(one.state is LineState.FAILED for one in lines))
        tally = world.tally
        assert tally.answered == tally.sent == PEOPLE * MESSAGES
        assert tally.doubled == tally.misordered == 0
