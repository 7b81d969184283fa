"""A default reply that was refused, expired or withdrawn was not said: its use is given back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from house import House
from origins import Endpoint
from trunkline.dialects.contract import Settled
from trunkline.model.address import Chat
from trunkline.model.delivery import Outcome
from trunkline.model.event import MessageReceived, Person
from trunkline.model.segment import Text
from trunkline.pipeline.rulebook import DefaultSpec, Per

LINES = {"core": {"dialect": "xianyu", "cookies": "unb=1", "debounce_s": 0, "send_gap_s": 0}}


def shop(folder: Path, per: Per = "conversation", **more: Any) -> House:
    spec = DefaultSpec("稍等", limit=1, per=per)
    return House(folder, defaults=[spec], lines=LINES, **more)


def counters(house: House) -> Any:
    ((key, state),) = house.core.conversations._states.items()
    assert key[0] == "core"
    return state.counters


@pytest.mark.parametrize("per", ["conversation", "day", "user"])
@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.CONFIRMED, Outcome.UNCERTAIN])
async def test_only_what_was_refused_may_be_said_again(
    tmp_path: Path, per: Per, outcome: Outcome
) -> None:
    async with shop(tmp_path, per) as house:
        end = Endpoint(house, fate=None)
        end.say("一", "u1")
        await house.quiet()
        first = end.open["稍等"]
        end.settle("稍等", outcome)
        await house.quiet()
        end.say("二", "u1")
        await house.quiet()
        assert len(end.heard) == (2 if outcome is Outcome.REFUSED else 1)
        # Told of the first one again: it was given back already.
        house.core.settled(end, Settled(first, Outcome.REFUSED))  # type: ignore[arg-type]  # an Origin
        await house.quiet()
        end.say("三", "u1")
        await house.quiet()
        assert len(end.heard) == (2 if outcome is Outcome.REFUSED else 1)


async def test_the_use_is_given_back_in_the_commit_of_the_refusal(tmp_path: Path) -> None:
    async with shop(tmp_path) as house:
        end = Endpoint(house, fate=None)
        end.say("一", "u1")
        await house.quiet()
        assert counters(house) == {"default": 1}
        end.settle("稍等", Outcome.REFUSED)
        await house.quiet()
        assert counters(house) == {}
        assert house.rows("select source, state from outbox") == [("default", 6)]
    async with shop(tmp_path) as again:
        end = Endpoint(again)
        end.say("二", "u1")
        await again.quiet()
        assert end.heard == ["稍等"]


async def test_what_expired_unsent_may_be_said_again(tmp_path: Path) -> None:
    async with shop(tmp_path) as house:
        end = Endpoint(house)
        end.is_able = False
        end.say("一", "u1")
        await house.quiet()
        assert (end.heard, counters(house)) == ([], {"default": 1})
        house.advance(121)
        await house.keeper.step()
        await house.quiet()
        house.advance(0.2)
        await house.quiet()
        assert counters(house) == {}
        assert house.rows("select state from outbox") == [(7,)]


async def test_what_a_takeover_withdrew_may_be_said_again(tmp_path: Path) -> None:
    async with shop(tmp_path) as house:
        end = Endpoint(house)
        end.is_able = False
        end.say("一", "u1")
        await house.quiet()
        assert counters(house) == {"default": 1}
        own = MessageReceived(
            Chat("qq", "private", "u1"), Person("qq"), (Text("我来"),), is_own=True
        )
        house.core.offer(end, own, None, 1)  # type: ignore[arg-type]  # an Origin
        await house.quiet()
        house.advance(0.2)
        await house.quiet()
        assert counters(house) == {}
        assert house.rows("select state from outbox where source = 'default'") == [(7,)]


async def test_each_chat_gets_back_its_own(tmp_path: Path) -> None:
    async with shop(tmp_path) as house:
        end = Endpoint(house, fate=None)
        end.say("一", "u1")
        await house.quiet()
        end.settle("稍等", Outcome.REFUSED)
        end.say("二", "u2")
        await house.quiet()
        states = {key[3]: state.counters for key, state in house.core.conversations._states.items()}
        assert states == {"u1": {}, "u2": {"default": 1}}
