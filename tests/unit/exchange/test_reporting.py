"""What is said in a carried chat is shown to the frameworks there: when it has left, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from carriers import Framework, hear, make_house, told
from house import ECHO, House, Peer, chat, visitor
from origins import Endpoint
from trunkline.dialects.contract import FindCarriedMessage, Settled
from trunkline.errors import StoreUnavailable
from trunkline.exchange import reporting
from trunkline.ids import DeliveryId
from trunkline.model.address import Address, Chat
from trunkline.model.delivery import DeliveryState, Outcome
from trunkline.model.message import parse_message, plain_text
from trunkline.model.segment import Mention, Quote, Text

SELF = 12345
ANN = Chat("qq", "private", "ann", "Ann")


def lines(*, is_wanted: bool = True, **blog: Any) -> dict[str, Any]:
    bot = {
        "dialect": "onebot11", "role": "implementation", "link": "listen", "self_id": str(SELF),
        "carries": "blog", "nickname": "Shop", "report_self_message": is_wanted,
    }  # fmt: skip
    return {"blog": {"dialect": "contact"} | blog, "bot": bot}


def framework(house: House) -> Peer:
    peer = house.connect("bot")
    peer.frames()
    return peer


def events(peer: Peer) -> list[dict[str, Any]]:
    return [frame for frame in peer.frames() if "post_type" in frame]


def own(peer: Peer) -> list[str]:
    return [one["raw_message"] for one in events(peer) if one["post_type"] == "message_sent"]


async def meet(house: House, words: str = "hi") -> tuple[Peer, Peer]:
    """Return a framework and a visitor who has said something."""
    bot, guest = framework(house), visitor(house)
    guest.say(chat(words))
    await house.quiet()
    return bot, guest


def address(house: House) -> Address:
    ((account, kind, peer),) = house.rows(
        "select account, kind, peer from conversation where line = 'blog'"
    )
    return Address("blog", kind, peer, account)


async def approve(house: House) -> None:
    """Let every draft leave."""
    for (ident,) in house.rows("select id from outbox where state = 0 order by id"):
        moved = (DeliveryState.DRAFT,), DeliveryState.QUEUED, "person"
        assert await house.store.move_delivery(DeliveryId(ident), *moved)
    house.desk.wake()
    for _ in range(3):
        await house.quiet()


async def test_an_answer_of_a_rule_is_shown_behind_its_question(tmp_path: Path) -> None:
    async with House(tmp_path, lines=lines(), rules=[ECHO]) as house:
        bot, _ = await meet(house)
        await house.quiet()
        question, answer = events(bot)
        assert (question["post_type"], answer["post_type"]) == ("message", "message_sent")
        assert (answer["user_id"], answer["target_id"]) == (SELF, question["user_id"])
        assert answer["sender"]["nickname"] == "Shop"
        assert answer["message_id"] != question["message_id"]
        bot.say({"action": "get_msg", "params": {"message_id": answer["message_id"]}, "echo": 1})
        await house.quiet()
        (found,) = bot.frames()
        assert found["data"]["message"] == answer["message"]
        assert found["data"]["sender"]["user_id"] == SELF


async def test_every_framework_is_shown_what_one_of_them_says_under_its_number(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, lines=lines()) as house:
        bot, guest = await meet(house)
        other = framework(house)
        (question,) = events(bot)
        params = {"user_id": question["user_id"], "message": "welcome"}
        bot.say({"action": "send_msg", "params": params, "echo": 1})
        for _ in range(3):
            await house.quiet()
        frames = bot.frames()
        (response,) = [frame for frame in frames if "retcode" in frame]
        (mine,) = [frame for frame in frames if "post_type" in frame]
        (theirs,) = [one for one in events(other) if one["post_type"] == "message_sent"]
        assert mine == theirs
        assert mine["message_id"] == response["data"]["message_id"]
        assert any("welcome" in str(frame) for frame in guest.frames())


async def test_what_a_person_says_is_shown_in_order(tmp_path: Path) -> None:
    async with House(tmp_path, lines=lines()) as house:
        bot, _ = await meet(house)
        events(bot)
        where = address(house)
        for words in ("one", "two", "three"):
            await house.desk.send(where, parse_message(words))
        await house.quiet()
        await house.quiet()
        assert own(bot) == ["one", "two", "three"]


async def test_nothing_is_shown_where_nobody_wants_it(tmp_path: Path) -> None:
    async with House(tmp_path, lines=lines(is_wanted=False), rules=[ECHO]) as house:
        bot, _ = await meet(house)
        await house.quiet()
        assert own(bot) == []
        assert not house.core.reporting._waiting


async def test_a_draft_is_shown_when_it_has_left(tmp_path: Path) -> None:
    async with House(tmp_path, lines=lines(mode="draft"), rules=[ECHO]) as house:
        bot, _ = await meet(house)
        await house.quiet()
        assert own(bot) == []
        await approve(house)
        assert own(bot) == ["收到：hi"]


async def test_beyond_the_bound_the_oldest_is_not_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "WAITING", 2)
    async with House(tmp_path, lines=lines(mode="draft"), rules=[ECHO]) as house:
        bot, guest = await meet(house, "1")
        for words in ("2", "3"):
            guest.say(chat(words))
            await house.quiet()
        assert len(house.core.reporting._waiting) == 2
        await approve(house)
        assert own(bot) == ["收到：2", "收到：3"]


async def test_people_are_named_by_number_and_quotes_left_out(tmp_path: Path) -> None:
    async with House(tmp_path, lines=lines()) as house:
        bot, _ = await meet(house)
        events(bot)
        said = (Quote("p"), Mention("all"), Mention("nobody", "Bo"), Text(" hello"))
        await house.desk.send(address(house), said)
        await house.quiet()
        await house.quiet()
        assert own(bot) == ["[CQ:at,qq=all]@Bo hello"]


async def test_who_is_not_there_is_not_told_later(tmp_path: Path) -> None:
    async with House(tmp_path, lines=lines(), rules=[ECHO]) as house:
        guest = visitor(house)
        guest.say(chat("hi"))
        await house.quiet()
        await house.quiet()
        bot = framework(house)
        await house.quiet()
        assert own(bot) == []
        guest.say(chat("again"))
        await house.quiet()
        await house.quiet()
        assert own(bot) == ["收到：again"]


# -- a carried line that proves or refuses ---------------------------------------------------------

CARRIED = {
    "core": {"dialect": "maim"},
    "bot": {"dialect": "bot", "carries": "core"},
    "deaf": {"dialect": "bot", "carries": "core", "self_id": "10003"},
}


@asynccontextmanager
async def carried(folder: Path, **more: Any) -> AsyncIterator[House]:
    async with make_house(folder, lines=CARRIED, **more) as house:
        house.lines["bot"].facts.reports_own = True
        await house.core.carrying.learn()
        yield house


def told_own(bot: Framework) -> list[str]:
    return [plain_text(say.segments) for _, say in bot.shown if say.is_own]


@pytest.mark.parametrize(
    ("outcome", "is_shown"),
    [
        (Outcome.SENT, True), (Outcome.CONFIRMED, True), (Outcome.REFUSED, False),
        (Outcome.UNCERTAIN, False),
    ],
)  # fmt: skip
async def test_only_what_has_left_is_shown(
    tmp_path: Path, outcome: Outcome, *, is_shown: bool
) -> None:
    async with carried(tmp_path, rules=[ECHO]) as house:
        core = Endpoint(house, fate=lambda one: Settled(one.id, outcome))
        bot, deaf = Framework(house), Framework(house, line="deaf")
        hear(core, told("hi", ANN, "ann"))
        for _ in range(3):
            await house.quiet()
        assert told_own(bot) == ["收到：hi"] * is_shown
        assert told_own(deaf) == []
        assert len(house.core.reporting._waiting) == (outcome is Outcome.UNCERTAIN)


async def test_a_late_proof_is_no_second_report(tmp_path: Path) -> None:
    async with carried(tmp_path, rules=[ECHO]) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("hi", ANN, "ann"))
        for _ in range(3):
            await house.quiet()
        ((ident,),) = house.rows("select id from outbox where source like 'rule%'")
        house.core.settled(core, Settled(DeliveryId(ident), Outcome.CONFIRMED))  # type: ignore[arg-type]  # an Origin
        for _ in range(3):
            await house.quiet()
        assert told_own(bot) == ["收到：hi"]
        ((_, own),) = [one for one in bot.shown if one[1].is_own]
        assert own.sender is not None
        assert (own.sender.id, own.number > 0) == ("10001", True)


async def test_who_quotes_our_answer_quotes_what_was_reported(tmp_path: Path) -> None:
    async with carried(tmp_path, rules=[ECHO]) as house:
        core = Endpoint(house, fate=lambda one: Settled(one.id, Outcome.CONFIRMED, "p9"))
        bot = Framework(house)
        hear(core, told("hi", ANN, "ann"))
        for _ in range(3):
            await house.quiet()
        (own,) = [say for _, say in bot.shown if say.is_own]
        hear(core, told((Quote("p9"), Text("really?")), ANN, "ann"))
        await house.quiet()
        (asked,) = [say for _, say in bot.shown if "really" in plain_text(say.segments)][:1]
        assert asked.segments[0] == Quote(str(own.number))
        found = await bot.ask(FindCarriedMessage(own.number))
        assert plain_text(found.segments) == "收到：hi"


async def test_while_the_store_fails_nothing_is_shown_and_all_goes_on(tmp_path: Path) -> None:
    async with carried(tmp_path, rules=[ECHO]) as house:
        core, bot = Endpoint(house), Framework(house)
        put_numbers = house.store.put_numbers

        async def fail(_: Any) -> None:
            raise StoreUnavailable("away")

        house.store.put_numbers = fail  # type: ignore[method-assign]  # one call that fails
        hear(core, told("one", ANN, "ann"))
        for _ in range(3):
            await house.quiet()
        assert told_own(bot) == []
        assert "report what was said" in [action for action, _ in house.troubles]
        house.store.put_numbers = put_numbers  # type: ignore[method-assign]  # it is back
        hear(core, told("two", ANN, "ann"))
        for _ in range(3):
            await house.quiet()
        assert told_own(bot) == ["收到：two"]
