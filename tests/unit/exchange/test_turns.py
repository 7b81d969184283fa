"""Debounce: several messages, one turn, one answer; a restart in the middle answers once."""

from __future__ import annotations

from pathlib import Path

from house import ECHO, House, maim, texts
from trunkline.store.contract import InboxState

SLOW = {"core": {"dialect": "maim", "debounce_s": 1.0}}


async def test_messages_of_one_turn_are_answered_together(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("在吗", "m1"))
        await house.quiet()
        house.advance(0.6)
        qq.say(maim("多少钱", "m2"))
        await house.quiet()
        house.advance(0.6)
        await house.keeper.step()
        await house.quiet()
        assert qq.frames() == []  # the second message moved the time
        house.advance(0.6)
        await house.keeper.step()
        await house.quiet()
        assert texts(qq.frames()) == ["收到：在吗\n多少钱"]
        assert house.rows("select distinct state from inbox") == [(InboxState.DONE,)]
        await house.keeper.step()
        await house.quiet()
        assert qq.frames() == []


async def test_who_never_stops_typing_is_answered_at_the_cap(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        heard: list[str] = []
        for n in range(30):
            qq.say(maim(f"t{n}", f"m{n}"))
            await house.quiet()
            house.advance(0.5)
            await house.keeper.step()
            await house.quiet()
            heard += texts(qq.frames())
        assert heard
        assert heard[0].startswith("收到：t0\n")


async def test_a_restart_in_the_middle_answers_once(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"))
        await house.quiet()
        clock = house.clock
    async with House(tmp_path, rules=[ECHO], lines=SLOW, clock=clock) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        house.advance(5)
        await house.keeper.step()
        await house.quiet()
        await house.quiet()
        await house.keeper.step()
        await house.quiet()
        assert texts(qq.frames()) == ["收到：a"]
