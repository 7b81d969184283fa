"""A real service behind the stage `model`: whatever it does, a visitor gets one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from askhouse import SORRY, AskHouse, said
from house import chat, kinds, visitor
from modelservice import ModelService
from trunkline.assistants.openai_compatible import OpenAiCompatible, Settings
from trunkline.clock import FakeClock
from trunkline.exchange.asking import MAX_RUNNING
from trunkline.pipeline.rulebook import RuleSpec

PRICE = RuleSpec("price", ("价格",), reply="十元")


def assistant_of(service: ModelService, clock: FakeClock, timeout_s: float) -> OpenAiCompatible:
    return OpenAiCompatible(Settings(service.url, "m", "none", "", timeout_s), clock)


@pytest.mark.parametrize(
    "how", ["slow", "cut", "cut-inside", "429", "500", "401", "html", "no-choices", "other-json"]
)
async def test_one_apology_whatever_is_wrong(tmp_path: Path, how: Any) -> None:
    clock = FakeClock()
    async with ModelService() as service:
        assistant = assistant_of(service, clock, 0.5 if how == "slow" else 10.0)
        async with AskHouse(tmp_path, model=assistant.ask, clock=clock, rules=[PRICE]) as house:
            service.how = how
            peer = visitor(house)
            peer.say(chat("在吗"), chat("价格"))
            await house.rest()
            assert said(peer.frames()) == [SORRY, "十元"]
            assert len(service.requests) == 1
        service.go_on.set()
        await assistant.close()


async def test_sixteen_hanging_calls_delay_no_rule_and_are_all_answered(tmp_path: Path) -> None:
    clock = FakeClock()
    async with ModelService() as service:
        assistant = assistant_of(service, clock, 30.0)
        async with AskHouse(tmp_path, model=assistant.ask, clock=clock, rules=[PRICE]) as house:
            service.how = "slow"
            peers = [visitor(house) for _ in range(MAX_RUNNING + 1)]
            for nth, peer in enumerate(peers):
                peer.say(chat(f"问{nth}"))
            await house.until(lambda: len(service.requests) == MAX_RUNNING)
            other = visitor(house)
            other.say(chat("价格"))
            await house.quiet()
            assert kinds(other.frames()) == ["chat_message_received", "chat_message"]
            assert len(service.requests) == MAX_RUNNING
            service.go_on.set()
            await house.rest()
            for nth, peer in enumerate(peers):
                assert said(peer.frames()) == [f"答：问{nth}"]
        await assistant.close()
