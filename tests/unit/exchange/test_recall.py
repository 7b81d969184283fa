"""A model is told what was said before in its conversation, and nothing else."""

from __future__ import annotations

from pathlib import Path

from askhouse import AskHouse, Gate, failing
from house import chat, visitor
from trunkline.exchange.recall import MAX_PAST, MAX_PAST_CHARS
from trunkline.model.asking import Said
from trunkline.pipeline.rulebook import RuleSpec

PRICE = RuleSpec("price", ("价格",), reply="十元")


async def test_the_past_is_both_sides_oldest_first_without_the_question(tmp_path: Path) -> None:
    gate = Gate("答：{}").open()
    async with AskHouse(tmp_path, model=gate, wants_past=True, rules=[PRICE]) as house:
        other = visitor(house)
        other.say(chat("秘密"))
        peer = visitor(house)
        for words in ("价格", "一", "二"):
            peer.say(chat(words))
            await house.rest()
        assert gate.asked[-1].past == (
            Said("user", "价格"), Said("assistant", "十元"),
            Said("user", "一"), Said("assistant", "答：一"),
        )  # fmt: skip
        assert gate.asked[0].past == ()


async def test_questions_that_wait_are_no_past_yet(tmp_path: Path) -> None:
    gate = Gate("答：{}").open()
    async with AskHouse(tmp_path, model=gate, wants_past=True) as house:
        peer = visitor(house)
        peer.say(chat("一"), chat("二"))
        await house.rest()
        assert gate.asked[0].past == ()
        assert gate.asked[1].past == (Said("user", "一"), Said("assistant", "答：一"))


async def test_the_past_has_bounds(tmp_path: Path) -> None:
    gate = Gate("好").open()
    async with AskHouse(tmp_path, model=gate, wants_past=True) as house:
        peer = visitor(house)
        for nth in range(8):
            peer.say(chat(f"{nth}"))
            await house.rest()
        assert len(gate.asked[-1].past) == MAX_PAST == 10
        assert gate.asked[-1].past[-2:] == (Said("user", "6"), Said("assistant", "好"))
        peer.say(chat("长" * MAX_PAST_CHARS))
        await house.rest()
        house.advance(60)
        peer.say(chat("后"))
        await house.rest()
        assert [said.text for said in gate.asked[-1].past] == ["好"]  # the long one does not fit


async def test_an_excuse_is_part_of_what_was_said(tmp_path: Path) -> None:
    model = failing()
    async with AskHouse(tmp_path, model=model, wants_past=True, fallback="抱歉") as house:
        peer = visitor(house)
        for words in ("一", "二"):
            peer.say(chat(words))
            await house.rest()
        assert model.asked[-1].past == (Said("user", "一"), Said("assistant", "抱歉"))
