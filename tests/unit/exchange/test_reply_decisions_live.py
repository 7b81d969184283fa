"""All reply decisions of the 闲鱼 specification through a whole house: message in, answer out.

The cases of the reply service must come out the same over a line; those of the engine have models,
own messages and pauses too. Source: xianyu 14 (vectors `reply_decisions`)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from askhouse import AskHouse, Gate
from decisions import CASES, bargained, spec_of, why, words_of
from origins import Endpoint
from trunkline.exchange.extras import Enquiry
from trunkline.model.address import Chat
from trunkline.model.asking import Failed, ModelAnswer
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import Delivery, Say
from trunkline.model.event import MessageReceived, Person
from trunkline.model.segment import Text
from trunkline.pipeline.decide import lint_rulebook
from trunkline.pipeline.trace import decode_trace
from trunkline.pipeline.turn import Verdict, VerdictKind

ME = "2200000000001"


class Buyer(Endpoint):
    """A link that keeps what is said to the buyer, pictures included."""

    def __init__(self, house: AskHouse, line: str) -> None:
        self.answers: list[str] = []
        super().__init__(house, ME, line=line)

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            assert isinstance(one.what, Say)
            self.answers.append(words_of(one.what.segments))
        super().deliver(deliveries)


def house_of(folder: Path, case: dict[str, Any]) -> AskHouse:
    given, line = case["state"], case["request"]["cookie_id"]
    is_enabled = given.get("accounts", {}).get(line, {}).get("enabled", True)
    options = {"dialect": "xianyu", "cookies": f"unb={ME}", "enabled": is_enabled}
    words = given.get("ai", {}).get("model_answer")
    gate = Gate(lambda _: Failed("server") if words is None else ModelAnswer(words)).open()
    spec = spec_of(given)
    house = AskHouse(folder, lines={line: options}, model=gate if spec.model else None)
    house._spec = spec
    return house


async def remember(house: AskHouse, key: tuple[str, str, str, str], **fields: Any) -> None:
    """Have a chat that already has a past."""

    def decide(state: ConversationState) -> Verdict:
        return Verdict(VerdictKind.PASS, (), (), msgspec.structs.replace(state, **fields))

    done: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    house.core.enquire(Enquiry(key, decide, done))
    await done


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_case(tmp_path: Path, case: dict[str, Any]) -> None:
    given, request, expect = case["state"], case["request"], case["expect"]
    spec = spec_of(given)
    if lint_rulebook(spec):
        assert case["name"] == "empty_keyword_never_matches"  # refused when it is read
        return
    line, chat = request["cookie_id"], Chat(ME, "chat", request["chat_id"])
    used = given.get("default_reply_counts", {}).get(line, {}).get(request["chat_id"], 0)
    counters = ({"default": used} if used else {}) | (
        {"bargain": rounds} if (rounds := bargained(given)) else {}
    )
    async with house_of(tmp_path, case) as house:
        key = (line, ME, chat.kind, chat.id)
        is_paused = request["chat_id"] in given.get("paused", ())
        until_ms = house.clock.now_ms() + 600_000 if is_paused else 0
        await remember(house, key, counters=counters, taken_until_ms=until_ms)
        buyer = Buyer(house, line)
        event = MessageReceived(
            chat,
            Person(request["send_user_id"], request["send_user_name"]),
            (Text(request["send_message"]),),
            b"1.PNM",
            "1.PNM",
            item=request["item_id"],
            is_own=request["send_user_id"] == given.get("my_user_id"),
        )
        house.core.offer(buyer, event, None, 1)  # type: ignore[arg-type]  # an Origin
        await house.rest()
        house.advance(1.1)  # the debounce of a shop
        await house.turns.look()
        await house.rest()
        assert buyer.answers == ([expect["send_msg"]] if expect["code"] == 200 else [])
        ((trace,),) = house.rows("select why from inbox")
        has_said = bool(buyer.answers)
        assert why(decode_trace(trace), spec, has_said=has_said) == expect["reason"]
        counts = expect.get("effects", {}).get("default_reply_counts")
        if counts is not None:
            state = house.core.conversations.get(key)
            assert state is not None
            assert state.counters == {"default": counts[line][request["chat_id"]]}
        assert house.troubles == []


def test_all_cases_are_there() -> None:
    assert len(CASES) == 66
