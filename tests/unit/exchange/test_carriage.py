"""What a framework says goes to the carried line, and it is told what became of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from carriers import LINES, Framework, hear, make_house, told, until
from gated import GatedStore
from house import ECHO, House, chat, visitor
from origins import Endpoint
from trunkline.dialects.contract import DoCarry
from trunkline.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    StoreFull,
    StoreUnavailable,
)
from trunkline.exchange import carriage
from trunkline.model.address import Chat, parse_address
from trunkline.model.carrying import Carried
from trunkline.model.delivery import Delivery, DeliveryState, Outcome
from trunkline.model.message import parse_message
from trunkline.model.segment import Mention, Quote, Text

ANN = Chat("qq", "private", "ann", "Ann")
ROOM = Chat("qq", "group", "r")


class Person(Endpoint):
    """A link of the carried line that notes whole deliveries."""

    def __init__(self, house: House, **more: Any) -> None:
        self.deliveries: list[Delivery] = []
        super().__init__(house, **more)

    def deliver(self, deliveries: Any) -> None:
        self.deliveries += deliveries
        super().deliver(deliveries)


async def met(house: House, link: Endpoint, bot: Framework, chat: Chat = ANN) -> Chat:
    """Have somebody say something; return the chat as the framework knows it."""
    hear(link, told("hi", chat, "ann", peer_id="p1"))
    await house.quiet()
    return bot.shown[-1][0]


async def test_an_answer_reaches_who_asked(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)
        carried = await bot.say_to(chat, "hello")
        assert carried == Carried(Outcome.SENT, 3)
        assert core.heard == ["hello"]
        assert core.deliveries[0].chat == ANN
        assert house.rows("select source, state from outbox order by id")[1] == ("carry:bot", 3)


@pytest.mark.parametrize(
    ("outcome", "told_as"),
    [
        (Outcome.CONFIRMED, Outcome.CONFIRMED),
        (Outcome.UNCERTAIN, Outcome.UNCERTAIN),
        (Outcome.REFUSED, Outcome.REFUSED),
    ],
)
async def test_the_answer_tells_the_truth(
    tmp_path: Path, outcome: Outcome, told_as: Outcome
) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house, fate=None), Framework(house)
        answers = bot.begin(DoCarry(await met(house, core, bot), (Text("x"),)))
        await house.quiet()
        assert answers == []
        core.settle("x", outcome, detail="why")
        await until(house, answers)
        assert answers == [Carried(told_as, 3, "why")]
        house.advance(carriage.CARRY_S)
        await house.quiet()
        assert len(answers) == 1


async def test_after_ten_seconds_it_is_accepted_and_leaves_later(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)
        core.leave()
        answers = bot.begin(DoCarry(chat, (Text("late"),)))
        await house.quiet()
        house.advance(9.9)
        assert answers == []
        house.advance(0.1)
        assert answers == [Carried(Outcome.LATER, 3, carriage.ACCEPTED)]
        again = Person(house)
        await house.quiet()
        assert again.heard == ["late"]
        assert len(answers) == 1


async def test_what_expires_unsent_was_refused(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)
        core.leave()
        answers = bot.begin(DoCarry(chat, (Text("late"),)))
        await house.quiet()
        (ident,) = house.rows("select id from outbox where source = 'carry:bot'")[0]
        await house.store.move_delivery(
            ident, (DeliveryState.QUEUED,), DeliveryState.EXPIRED, "too late"
        )
        house.core.expired([ident])
        await until(house, answers)
        assert answers == [Carried(Outcome.REFUSED, 3, "too late")]


async def test_what_waits_for_a_visitor_who_leaves_is_told_as_refused_at_once(
    tmp_path: Path,
) -> None:
    async with make_house(tmp_path) as house:
        peer, bot = visitor(house), Framework(house, line="blogbot")
        peer.say(chat("hi"))
        await house.quiet()
        at = bot.shown[-1][0]
        house.fleet.pause("blog")
        answers = bot.begin(DoCarry(at, (Text("late"),)))
        await house.quiet()
        assert answers == []
        peer.cut()
        await until(house, answers)
        assert answers[0].outcome is Outcome.REFUSED
        assert answers[0].detail == "the visitor left"


async def test_what_a_review_finds_for_nobody_is_told_as_refused(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        peer, bot = visitor(house), Framework(house, line="blogbot")
        peer.say(chat("hi"))
        await house.quiet()
        at = bot.shown[-1][0]
        house.fleet.pause("blog")
        answers = bot.begin(DoCarry(at, (Text("late"),)))
        await house.quiet()
        # As if the link had gone without a word to the exchange: only the review can tell.
        house.roster.find = lambda line, key: ()  # type: ignore[method-assign]
        house.core.dispatch.review()
        await until(house, answers)
        assert answers[0].detail == "the visitor left"


async def test_a_person_who_has_the_chat_silences_bots(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)
        await house.desk.take_over(parse_address("core/private:ann@qq"), name="Bo", for_s=60)
        assert await bot.say_to(chat, "x") == Carried(Outcome.REFUSED, 0, carriage.TAKEN)
        assert core.heard == []
        assert house.rows("select count(*) from outbox where source = 'carry:bot'") == [(0,)]
        until_ms = house.core.conversations.get(("core", "qq", "private", "ann"))
        assert until_ms is not None
        assert until_ms.taken_until_ms == house.clock.now_ms() + 60_000  # the bot is no person
        await house.desk.release(parse_address("core/private:ann@qq"))
        assert (await bot.say_to(chat, "y")).outcome is Outcome.SENT


async def test_a_takeover_in_the_same_beat_wins(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with make_house(tmp_path, store=store) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)
        store.gate.clear()
        core.say("hold the beat")
        taking = asyncio.ensure_future(
            house.desk.take_over(parse_address("core/private:ann@qq"), for_s=60)
        )
        answers = bot.begin(DoCarry(chat, (Text("x"),)))
        await store.numbers([1])  # as long as it takes to find out what is meant
        for _ in range(10):
            await asyncio.sleep(0)
        store.gate.set()
        await taking
        await until(house, answers)
        assert answers == [Carried(Outcome.REFUSED, 0, carriage.TAKEN)]


async def test_a_line_in_draft_mode_asks_a_person_first(tmp_path: Path) -> None:
    lines = {**LINES, "core": {"dialect": "maim", "mode": "draft"}}
    async with make_house(tmp_path, lines=lines) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)
        assert await bot.say_to(chat, "x") == Carried(Outcome.LATER, 3, carriage.DRAFTED)
        assert core.heard == []
        (ident,) = house.rows("select id from outbox where state = 0")[0]
        await house.store.move_delivery(ident, (DeliveryState.DRAFT,), DeliveryState.QUEUED, "")
        house.desk.wake()
        await house.quiet()
        assert core.heard == ["x"]


async def test_a_line_that_answers_nothing_itself_lets_bots_answer(tmp_path: Path) -> None:
    lines = {**LINES, "core": {"dialect": "maim", "mode": "off"}}
    async with make_house(tmp_path, lines=lines, rules=[ECHO]) as house:
        core, bot = Person(house), Framework(house)
        assert (await bot.say_to(await met(house, core, bot), "x")).outcome is Outcome.SENT
        assert core.heard == ["x"]


async def test_sends_to_one_chat_keep_their_order(tmp_path: Path) -> None:
    """One that must look up a quoted message first is not overtaken by a plain one."""
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)
        sent = await bot.say_to(chat, "to be quoted")
        answers: list[Any] = []
        for nth in range(20):
            quote = sent.number if nth % 2 == 0 else 0
            request = DoCarry(chat, (Text(str(nth)),), quote)
            house.core.ask(bot, request, answers.append)
        await until(house, answers, 20)
        assert core.heard[1:] == [str(nth) for nth in range(20)]


async def test_numbers_become_the_platforms_ids_again(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        room = await met(house, core, bot, ROOM)
        say = bot.shown[0][1]
        assert say.sender is not None
        segments = (
            Mention("all"), Mention("10001"), Mention(say.sender.id, "A"), Mention("999", "who"),
            Mention("x"), Quote("999"), Quote(room.id), Text("!"),
        )  # fmt: skip
        await bot.ask(DoCarry(room, segments, quote=say.number))
        assert core.deliveries[0].chat.id == "r"
        what = core.deliveries[0].what
        assert what.segments == (  # type: ignore[union-attr]  # a Say, as Endpoint asserts
            Quote("p1"), Mention("all"), Mention("qq"), Mention("ann", "A"), Text("@who "),
            Text("@x "), Text("!"),
        )  # fmt: skip


async def test_a_private_message_reaches_a_member_of_a_group(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        await met(house, core, bot, ROOM)
        sender = bot.shown[0][1].sender
        assert sender is not None
        await bot.say_to(Chat("10001", "private", sender.id), "psst")
        assert core.deliveries[0].chat == Chat("qq", "private", "ann")


async def test_what_a_visitor_quotes_of_the_bot_has_the_number_the_bot_was_told(
    tmp_path: Path,
) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house, fate=None), Framework(house)
        chat = await met(house, core, bot)
        answers = bot.begin(DoCarry(chat, (Text("x"),)))
        await house.quiet()
        core.settle("x", Outcome.CONFIRMED, peer_id="their-id")
        await until(house, answers)
        hear(core, told((Quote("their-id"), Text("yes")), ANN, "ann"))
        await house.quiet()
        assert bot.shown[-1][1].segments[0] == Quote(str(answers[0].number))
        # And a bot that quotes itself means that message.
        bot.begin(DoCarry(chat, (Text("z"),), answers[0].number))
        await house.quiet()
        what = core.deliveries[-1].what
        assert what.segments[0] == Quote("their-id")  # type: ignore[union-attr]  # a Say


@pytest.mark.parametrize("ident", ["999", "0", "-1", "x", "", "99999999999", "2", "١"])
async def test_an_unknown_number_is_no_chat(tmp_path: Path, ident: str) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        await met(house, core, bot)  # 1 is the chat, 2 the message
        answer = await bot.say_to(Chat("10001", "private", ident), "x")
        assert isinstance(answer, RemoteProtocolError)
        assert isinstance(await bot.say_to(Chat("10001", "group", "1"), "x"), RemoteProtocolError)


async def test_a_framework_reaches_its_own_carried_line_only(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        other = Framework(house, line="blogbot")
        chat = await met(house, core, bot)
        assert isinstance(await other.say_to(chat, "x"), RemoteProtocolError)
        plain = Endpoint(house, "zz")  # a link of a line that carries nothing
        answers: list[Any] = []
        house.core.ask(plain, DoCarry(chat, (Text("x"),)), answers.append)
        await until(house, answers)
        assert isinstance(answers[0], LocalProtocolError)


async def test_a_visitor_who_left_for_good_cannot_be_reached(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        blog = Endpoint(house, "v1", line="blog", is_brief=True)
        bot = Framework(house, line="blogbot")
        blog.say("hi")
        await house.quiet()
        chat = bot.shown[0][0]
        assert (await bot.say_to(chat, "hello")).outcome is Outcome.SENT
        assert blog.heard[-1] == "hello"
        blog.leave()
        await house.quiet()
        refused = Carried(Outcome.REFUSED, 0, carriage.UNREACHABLE)
        assert await bot.say_to(chat, "again") == refused


async def test_too_many_sends_are_refused_and_the_bound_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carriage, "CARRIES", 2)
    async with make_house(tmp_path) as house:
        core, bot = Person(house, fate=None), Framework(house)
        chat = await met(house, core, bot)
        first = bot.begin(DoCarry(chat, (Text("a"),)))
        bot.begin(DoCarry(chat, (Text("b"),)))
        (refused,) = bot.begin(DoCarry(chat, (Text("c"),)))
        assert isinstance(refused, StoreUnavailable)
        await house.quiet()
        core.settle("a", Outcome.SENT)
        await until(house, first)
        assert bot.begin(DoCarry(chat, (Text("d"),))) == []


async def test_a_store_that_is_away_or_full_is_said(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with make_house(tmp_path, store=store) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)
        house.core.is_disk_low = True
        assert isinstance(await bot.say_to(chat, "x"), StoreFull)
        house.core.is_disk_low = False

        def away(beat: Any) -> None:
            raise StoreUnavailable("away")

        store.fault = away
        answers = bot.begin(DoCarry(chat, (Text("y"),)))
        async with asyncio.timeout(10):
            while not answers:
                await asyncio.sleep(0)
        assert isinstance(answers[0], StoreUnavailable)
        store.fault = None
        await house.recovered()


async def test_a_fault_of_ours_is_told_as_one(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)

        async def broken(idents: Any) -> Any:
            raise RuntimeError("bug")

        house.store.numbers = broken  # type: ignore[method-assign]
        assert isinstance(await bot.say_to(chat, "x"), LocalProtocolError)
        assert [action for action, _ in house.troubles] == ["carry a message"]


async def test_when_no_number_is_left_the_send_is_refused(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        chat = await met(house, core, bot)
        house.core.carrying.numbers.start_at(1 << 31)
        assert (await bot.say_to(chat, "x")).outcome is Outcome.REFUSED
        assert core.heard == []


async def test_a_person_may_write_too_and_is_not_shown(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Person(house), Framework(house)
        await met(house, core, bot)
        await house.desk.send(parse_address("core/private:ann@qq"), parse_message("me"))
        await house.quiet()
        assert core.heard == ["me"]
        assert bot.words() == ["hi"]
