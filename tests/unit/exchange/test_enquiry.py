"""Questions by HTTP are counted in the store, with those of the live path, and atomically.

Source: xianyu 14 "Default reply": two at once with a limit of one give exactly one answer.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gated import GatedStore
from house import ECHO, House
from origins import Endpoint
from trunkline.errors import StoreUnavailable
from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.event import MessageReceived, Person
from trunkline.model.segment import Text
from trunkline.pipeline.asked import Reason, answer, reason_of
from trunkline.pipeline.decide import RuleHealth, compile_rulebook
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec
from trunkline.pipeline.turn import Turn, Verdict
from trunkline.store.contract import Beat

LINES = {"core": {"dialect": "maim"}}
ONCE = DefaultSpec("稍等", limit=1)


class Asker:
    """Asks as the route does."""

    def __init__(self, house: House, *, rules: RulebookSpec | None = None) -> None:
        self.house = house
        self.rulebook = compile_rulebook(rules or RulebookSpec(defaults=(ONCE,)))

    def decide(self, state: ConversationState) -> Verdict:
        event = MessageReceived(Chat("", "chat", state.peer), Person("b"), (Text("你好"),))
        turn = Turn((event,), "你好", "", event.sender, self.house.clock.now_ms(), state.line)
        return answer(state, turn, self.rulebook, RuleHealth())

    async def ask(self, chat: str = "c1", line: str = "core", kind: str = "private") -> Reason:
        return reason_of(await self.house.desk.enquire(line, kind, chat, self.decide))


async def test_two_at_once_give_exactly_one_answer(tmp_path: Path) -> None:
    async with House(tmp_path, lines=LINES) as house:
        asker = Asker(house)
        found = await asyncio.gather(*(asker.ask() for _ in range(5)))
        assert sorted(one.value for one in found) == sorted(
            ["answered", *["default_reply_used_up"] * 4]
        )
        assert await asker.ask("c2") is Reason.ANSWERED
        assert await asker.ask("c1", line="unknown") is Reason.ANSWERED
        assert await asker.ask("c1", line="unknown") is Reason.USED_UP


async def test_it_is_counted_when_it_is_told_and_after_a_restart(tmp_path: Path) -> None:
    async with House(tmp_path, lines=LINES) as house:
        assert await Asker(house).ask() is Reason.ANSWERED
        assert house.rows("select line, kind, peer from conversation") == [
            ("core", "private", "c1")
        ]
    async with House(tmp_path, lines=LINES) as house:
        assert await Asker(house).ask() is Reason.USED_UP


async def test_the_live_path_counts_the_same_limit(tmp_path: Path) -> None:
    async with House(tmp_path, defaults=[ONCE], lines=LINES) as house:
        end = Endpoint(house)
        house.lines["core"].accounts["qq"] = None
        end.say("你好", user="c1")
        await house.quiet()
        assert end.heard == ["稍等"]
        asker = Asker(house)
        assert await asker.ask("c1") is Reason.USED_UP
        assert await asker.ask("c2") is Reason.ANSWERED
        end.say("你好", user="c2")
        await house.quiet()
        assert end.heard == ["稍等"]


async def test_a_question_before_any_message_does_not_hide_how_to_answer(tmp_path: Path) -> None:
    """The row that the count made had no context, and later sends were addressed with it."""
    async with House(tmp_path, lines=LINES) as house:
        house.lines["core"].accounts["qq"] = None
        await Asker(house).ask("c1")
        end = Endpoint(house)
        event = MessageReceived(
            Chat("qq", "private", "c1"), Person("c1"), (Text("hi"),), context=b"ctx"
        )
        house.core.offer(end, event, None, 2)  # type: ignore[arg-type]  # an Origin
        await house.quiet()
        assert house.rows("select account, context from conversation") == [("qq", b"ctx")]


async def test_what_counts_nothing_writes_nothing(tmp_path: Path) -> None:
    async with House(tmp_path, lines=LINES) as house:
        rules = RulebookSpec(rules=(ECHO,), defaults=(ONCE,))
        assert await Asker(house, rules=rules).ask() is Reason.ANSWERED
        assert house.rows("select count(*) from conversation") == [(0,)]
        assert house.counts.beats == []


async def test_nothing_is_said_that_could_not_be_counted(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=LINES) as house:
        asker = Asker(house)

        def fail(_beat: Beat) -> None:
            raise StoreUnavailable

        store.fault = fail
        with pytest.raises(StoreUnavailable):
            await asker.ask()
        store.fault = None
        await house.recovered()
        assert await asker.ask() is Reason.ANSWERED


async def test_a_question_that_fails_fails_alone(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        asker = Asker(house)
        calls: list[int] = []

        def broken(state: ConversationState) -> Verdict:
            calls.append(1)
            if len(calls) > 1:  # in the beat
                raise ZeroDivisionError("ours")
            return asker.decide(state)

        end = Endpoint(house)
        end.say("hi")
        failing = house.desk.enquire("core", "private", "c1", broken)
        with pytest.raises(ZeroDivisionError):
            await failing
        await house.quiet()
        assert end.heard == ["收到：hi"]
