"""At most `max_in_work` turns of one account at once: more wait as rows, others never notice.

Source: xianyu 10.1, issue 8 "at most 100 messages in work per account"
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from askhouse import AskHouse, Gate
from house import ECHO, House
from origins import Endpoint
from trunkline.model.asking import Answer, Question


def lines(**more: object) -> dict[str, dict[str, object]]:
    return {"core": {"dialect": "maim", **more}}


async def looked(house: AskHouse, rounds: int = 40) -> None:
    """Let turns that wait be taken up, as the keeper does."""
    for _ in range(rounds):
        await house.quiet()
        await house.turns.look()
    await house.quiet()


async def until(house: AskHouse, is_so: Callable[[], object]) -> None:
    """Let turns be taken up until something holds, and everything rest then."""
    for _ in range(2_000):
        await house.turns.look()
        await house.quiet()
        if is_so():
            break
    else:
        raise AssertionError("it did not come to pass")
    await house.rest()


async def test_what_is_too_much_waits_and_is_answered_in_its_turn(tmp_path: Path) -> None:
    gate = Gate("答{}")
    async with AskHouse(tmp_path, model=gate, lines=lines(max_in_work=3)) as house:
        shop = Endpoint(house, "qq")
        for nth in range(8):
            shop.say(str(nth), user=f"u{nth}")
        await looked(house)
        assert gate.texts == ["0", "1", "2"]
        assert house.rows("select count(*) from turn") == [(8,)]
        gate.open()
        await until(house, lambda: len(shop.heard) == 8)
        assert sorted(shop.heard) == [f"答{nth}" for nth in range(8)]
        assert gate.most == 3
        assert house.rows("select count(*) from turn") == [(0,)]


async def test_one_accounts_hanging_model_keeps_no_other_waiting(tmp_path: Path) -> None:
    """Nor its acknowledgements: those of the first come with their commit, asked or not."""
    gate = Gate("答{}").open()
    hanging = Gate("nie")

    async def model(question: Question) -> Answer:
        held = hanging if question.conversation.account == "qq" else gate
        return await held(question)

    async with AskHouse(tmp_path, model=model, lines=lines(max_in_work=5)) as house:
        first, second = Endpoint(house, "qq"), Endpoint(house, "wx")
        for nth in range(100):
            first.say(f"a{nth}", user=f"u{nth}")
        await looked(house, 3)
        assert len(first.receipts) == 100
        assert hanging.running == 5
        for nth in range(20):
            second.say(f"b{nth}", user=f"v{nth}")
        for _ in range(2_000):
            await looked(house, 1)
            if len(second.heard) == 20:
                break
        assert len(second.heard) == 20
        assert first.heard == []
        assert hanging.running == 5


def _answered(text: str):
    from trunkline.model.asking import ModelAnswer

    return ModelAnswer(f"答{text}")


async def test_a_burst_of_debounced_turns_is_taken_up_bit_by_bit(tmp_path: Path) -> None:
    gate = Gate("答{}")
    shape = lines(max_in_work=4, debounce_s=1.0, debounce_mode="last")
    async with AskHouse(tmp_path, model=gate, lines=shape) as house:
        shop = Endpoint(house, "qq")
        for nth in range(12):
            shop.say("draft", user=f"u{nth}")
            shop.say(str(nth), user=f"u{nth}")
        await house.quiet()
        house.advance(1.1)
        await looked(house, 3)
        assert gate.running == 4
        gate.open()
        await until(house, lambda: len(shop.heard) == 12)
        assert sorted(shop.heard) == sorted(f"答{nth}" for nth in range(12))
        assert gate.most == 4
        assert house.rows("select distinct state from inbox") == [(1,)]


async def test_messages_of_a_chat_that_waits_keep_their_order(tmp_path: Path) -> None:
    gate = Gate("答{}")
    async with AskHouse(tmp_path, model=gate, lines=lines(max_in_work=1)) as house:
        shop = Endpoint(house, "qq")
        shop.say("first", user="a")
        shop.say("1", user="b")
        shop.say("2", user="b")
        await looked(house, 2)
        shop.say("3", user="b")
        await looked(house, 2)
        assert gate.texts == ["first"]
        gate.open()
        await until(house, lambda: len(shop.heard) == 4)
        assert shop.heard == ["答first", "答1", "答2", "答3"]


async def test_a_restart_takes_up_what_waited(tmp_path: Path) -> None:
    gate = Gate("答{}")
    async with AskHouse(tmp_path, model=gate, lines=lines(max_in_work=1)) as house:
        shop = Endpoint(house, "qq")
        for nth in range(3):
            shop.say(str(nth), user=f"u{nth}")
        await looked(house, 2)
        clock = house.clock
    clock.advance(10)
    more = Gate("答{}").open()
    async with AskHouse(tmp_path, model=more, lines=lines(max_in_work=1), clock=clock) as house:
        shop = Endpoint(house, "qq")
        await until(house, lambda: len(shop.heard) == 3)
        assert sorted(shop.heard) == ["答0", "答1", "答2"]


async def test_no_limit_and_visitors_are_bounded_by_the_lanes_alone(tmp_path: Path) -> None:
    gate = Gate("答{}")
    async with AskHouse(tmp_path, model=gate, lines=lines(max_in_work=0)) as house:
        shop = Endpoint(house, "qq")
        for nth in range(30):
            shop.say(str(nth), user=f"u{nth}")
        await looked(house, 2)
        assert gate.running == 16
        assert len(house.core.asking.full) == 0
        assert house.core.asking.held == 30


async def test_a_thousand_turns_that_are_due_at_once_are_taken_up_in_one_look(
    tmp_path: Path,
) -> None:
    shape = lines(debounce_s=1.0)
    async with House(tmp_path, rules=[ECHO], lines=shape) as house:
        shop = Endpoint(house, "qq")
        house.lines["core"].facts.max_in_work = 0
        for nth in range(500):
            shop.say(str(nth), user=f"u{nth}")
            if nth % 200 == 199:
                await house.quiet()
        await house.quiet()
        house.advance(1.1)
        assert await house.turns.look() == 500
        await house.quiet()
        assert len(shop.heard) == 500


async def test_the_words_before_the_last_are_the_models_past(tmp_path: Path) -> None:
    gate = Gate("答{}").open()
    shape = lines(debounce_s=1.0, debounce_mode="last")
    async with AskHouse(tmp_path, model=gate, wants_past=True, lines=shape) as house:
        shop = Endpoint(house, "qq")
        for words in ("在吗", "这个", "还有吗"):
            shop.say(words)
        await house.quiet()
        house.advance(1.1)
        await until(house, lambda: shop.heard)
        (question,) = gate.asked
        assert question.request.text == "还有吗"
        assert [said.text for said in question.past] == ["在吗", "这个"]
        assert shop.heard == ["答还有吗"]
