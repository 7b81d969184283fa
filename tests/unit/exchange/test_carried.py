"""What a framework may look up of the line that its own line carries."""

from __future__ import annotations

from pathlib import Path

import pytest

from carriers import LINES, Framework, hear, make_house, told
from gated import GatedStore
from origins import Endpoint
from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    FindCarried,
    FindCarriedChats,
    FindCarriedMembers,
    FindCarriedMessage,
)
from trunkline.errors import LocalProtocolError, RemoteProtocolError
from trunkline.exchange import carried
from trunkline.model.address import Chat
from trunkline.model.carrying import CarriedChat, CarriedMember, CarriedMessage
from trunkline.model.event import Person
from trunkline.model.segment import Mention, Quote, Text
from trunkline.store.contract import Beat
from trunkline.store.sqlite import SqliteStore

ANN = Chat("qq", "private", "ann", "Ann")
BO = Chat("qq", "private", "bo")
ROOM = Chat("qq", "group", "r", "The room")


async def test_a_message_is_found_by_its_number(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("first", ROOM, "ann", peer_id="p1", at_ms=5_000))
        parts = (
            Quote("p1"),
            Quote("gone"),
            Mention("all"),
            Mention("qq"),
            Mention("bo"),
            Text("x"),
        )
        hear(core, told(parts, ROOM, "bo", at_ms=6_000))
        await house.quiet()
        for chat, say in bot.shown:
            found = await bot.ask(FindCarriedMessage(say.number))
            # What is found is what was shown.
            assert found == CarriedMessage(say.number, chat, say.sender, say.segments, say.at_ms)


async def test_what_the_framework_said_itself_is_found_too(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("hi", ANN, "ann"))
        await house.quiet()
        (chat, say), at_ms = bot.shown[0], house.clock.now_ms()
        sent = await bot.say_to(chat, "hello", quote=say.number)
        found = await bot.ask(FindCarriedMessage(sent.number))
        assert found == CarriedMessage(sent.number, chat, None, (Text("hello"),), at_ms)


@pytest.mark.parametrize("number", [0, -3, 1, 99, 1 << 40, 1 << 70])
async def test_a_number_of_no_message_is_an_error(tmp_path: Path, number: int) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        other = Framework(house, line="blogbot")
        hear(core, told("hi", ANN, "ann"))
        await house.quiet()
        assert isinstance(await bot.ask(FindCarriedMessage(number)), RemoteProtocolError)
        assert house.troubles == []
        # Nor is the message of another line found, 2.
        assert isinstance(await other.ask(FindCarriedMessage(2)), RemoteProtocolError)


async def test_a_forgotten_message_is_an_error(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("hi", ANN, "ann"))
        await house.quiet()
        hear(core, told("later", ANN, "ann"))
        await house.quiet()
        house.clock.advance(40 * 86_400)
        while await house.store.retain(house.clock.now_ms(), house.keeper._retention):
            pass
        number = bot.shown[0][1].number
        assert isinstance(await bot.ask(FindCarriedMessage(number)), RemoteProtocolError)
        # The last number stays, so that none is given twice; its chat stays for good.
        assert house.rows("select id, kind from number order by id") == [
            (1, "chat"), (3, "message"),
        ]  # fmt: skip


async def test_chats_are_listed_with_those_from_before_anybody_carried_them(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    plain = {"core": LINES["core"]}
    async with make_house(tmp_path, lines=plain, store=SqliteStore(tmp_path, clock=clock)) as house:
        core = Endpoint(house)
        hear(core, told("old", BO, "bo"))
        await house.quiet()
    clock.advance(10)
    async with make_house(tmp_path, store=SqliteStore(tmp_path, clock=clock)) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("hi", ANN, "ann"))
        hear(core, told("hi all", ROOM, "ann"))
        await house.quiet()
        now_ms = clock.now_ms()
        (ann, _), (room, _) = bot.shown
        assert await bot.ask(FindCarriedChats("group")) == (CarriedChat(room, now_ms),)
        friends = await bot.ask(FindCarriedChats("private"))
        assert friends[0] == CarriedChat(ann, now_ms)
        assert friends[1].last_ms == now_ms - 10_000
        # Its number is the one that a message from there has, and it can be written to.
        sent = await bot.say_to(friends[1].chat, "hello")
        assert sent.number
        assert core.heard == ["hello"]
        hear(core, told("again", BO, "bo"))
        await house.quiet()
        assert bot.shown[-1][0].id == friends[1].chat.id
        assert house.rows("select count(*) from number where kind = 'chat'") == [(3,)]


async def test_where_the_house_keeps_what_it_cannot_store_is_no_friend(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with make_house(tmp_path, store=store) as house:

        def unstorable(beat: Beat) -> None:
            if any(row.body for row in beat.inbox):
                raise ValueError("no")

        store.fault = unstorable
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("hi", ANN, "ann"))
        await house.quiet()
        assert house.rows("select state from inbox") == [(2,)]
        assert await bot.ask(FindCarriedChats("private")) == ()
        assert bot.shown == []


async def test_a_list_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "ROWS", 3)
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        for nth in range(5):
            hear(core, told("hi", Chat("qq", "private", f"u{nth}"), f"u{nth}"))
            hear(core, told("hi", ROOM, f"u{nth}"))
        await house.quiet()
        assert len(await bot.ask(FindCarriedChats("private"))) == 3
        room = next(chat for chat, _ in bot.shown if chat.kind == "group")
        assert len(await bot.ask(FindCarriedMembers(room))) == 3


async def test_one_chat_and_one_person_are_described(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("hi", ROOM, "ann"))
        hear(core, told("hi", BO, "bo"))
        await house.quiet()
        (room, say), (bo, _) = bot.shown
        assert say.sender is not None
        now_ms = house.clock.now_ms()
        assert await bot.ask(FindCarried(room)) == CarriedChat(room, now_ms)
        # A chat without a name is called by who spoke in it.
        assert await bot.ask(FindCarried(bo)) == CarriedChat(
            Chat("10001", "private", bo.id, "bo!"), now_ms
        )
        member = Chat("10001", "private", say.sender.id)
        assert await bot.ask(FindCarried(member)) == CarriedChat(member)
        nobody = Chat("10001", "private", room.id)
        assert isinstance(await bot.ask(FindCarried(nobody)), RemoteProtocolError)


async def test_members_are_those_who_spoke_lately(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        for sender in ("ann", "bo", "ann", ""):
            hear(core, told("hi", ROOM, sender))
            await house.quiet()
        hear(core, told("ours", ROOM, "qq", is_own=True))
        await house.quiet()
        await bot.say_to(bot.shown[0][0], "a bot is no member")
        first, second = bot.shown[0][1].sender, bot.shown[1][1].sender
        now_ms = house.clock.now_ms()
        assert await bot.ask(FindCarriedMembers(bot.shown[0][0])) == (
            CarriedMember(first, now_ms), CarriedMember(second, now_ms),
        )  # fmt: skip
        assert first == Person("2", "ann!")


async def test_a_visitors_chat_has_the_visitor_for_a_member(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        blog, bot = Endpoint(house, "v1", line="blog"), Framework(house, line="blogbot")
        blog.say("hi")
        await house.quiet()
        (chat, say), now_ms = bot.shown[0], house.clock.now_ms()
        assert say.sender is not None
        assert chat == Chat("10002", "private", say.sender.id)
        (member,) = await bot.ask(FindCarriedMembers(chat))
        assert (member.person.id, member.last_ms) == (chat.id, now_ms)


async def test_a_line_that_carries_nothing_has_nothing_to_look_up(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core = Framework(house)
        core.line = "core"
        for request in (
            FindCarriedChats("private"), FindCarried(ANN), FindCarriedMembers(ROOM),
            FindCarriedMessage(1),
        ):  # fmt: skip
            assert isinstance(await core.ask(request), LocalProtocolError)


async def test_what_cannot_be_read_any_more_is_left_out(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("hi", ROOM, "ann"))
        await house.quiet()
        chat, say = bot.shown[0]
        sent = await bot.say_to(chat, "hello")
        connection = house.store._writing  # type: ignore[attr-defined]  # as a damaged disk would
        connection.execute("update inbox set body = x'c1'")
        connection.execute("update outbox set body = x'c1'")
        assert await bot.ask(FindCarriedMembers(chat)) == ()
        for number in (say.number, sent.number):
            assert isinstance(await bot.ask(FindCarriedMessage(number)), RemoteProtocolError)
