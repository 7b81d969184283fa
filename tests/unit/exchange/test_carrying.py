"""What is said on a line reaches who is on the lines that carry it: once, by number, in order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from carriers import LINES, Framework, hear, make_house, told
from gated import GatedStore
from house import ECHO
from origins import Endpoint
from trunkline.clock import FakeClock
from trunkline.errors import StoreUnavailable
from trunkline.exchange import carrying as carrying_file
from trunkline.exchange import numbering
from trunkline.model.address import Address, Chat, parse_address
from trunkline.model.delivery import Outcome
from trunkline.model.event import NoticeReceived
from trunkline.model.message import parse_message
from trunkline.model.segment import Mention, Quote, Text
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec
from trunkline.pipeline.trace import decode_trace, explain
from trunkline.store.contract import Beat
from trunkline.store.sqlite import SqliteStore

ANN = Chat("qq", "private", "ann", "Ann")
ROOM = Chat("qq", "group", "r", "The room")
NUMBERS = "select id, line, kind, ident, row is not null from number order by id"


async def test_a_message_is_shown_once_under_a_number(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        event = told("hi", ANN, "ann", key=b"k", peer_id="p1", at_ms=1_700_000_000_123)
        hear(core, event)
        hear(core, event)  # a repeat in the same beat
        await house.quiet()
        hear(core, event)  # and in a later one
        await house.quiet()
        ((chat, say),) = bot.shown
        assert chat == Chat("10001", "private", "1", "Ann")
        assert say.segments == (Text("hi"),)
        assert (say.number, say.at_ms) == (2, 1_700_000_000_123)
        assert say.sender is not None
        assert (say.sender.id, say.sender.name) == ("1", "ann!")
        assert house.rows(NUMBERS) == [
            (1, "core", "chat", '["qq","private","ann"]', 0),
            (2, "core", "message", '["qq","private","ann","p1"]', 1),
        ]
        assert house.rows("select source, state from outbox") == [("carry:core", 3)]


async def test_a_group_shows_its_members_by_the_numbers_of_their_private_chats(
    tmp_path: Path,
) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("in the room", ROOM, "ann"))
        hear(core, told("alone", ANN, "ann"))
        hear(core, told("nobody says it", ROOM))
        await house.quiet()
        (room, first), (private, second), (_, third) = bot.shown
        assert (room.kind, room.name, private.kind) == ("group", "The room", "private")
        assert first.sender is not None
        assert second.sender is not None
        assert first.sender.id == second.sender.id == private.id != room.id
        assert third.sender is None


async def test_mentions_and_quotes_are_numbers(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("first", ROOM, "ann", peer_id="p1"))
        await house.quiet()
        segments = (
            Quote("p1"), Quote("unheard"), Quote(""), Mention("all"), Mention("qq", "us"),
            Mention("ann"), Mention("bo", "Bo"), Text("x"),
        )  # fmt: skip
        hear(core, told("second", ROOM, "bo", peer_id="p2"))
        hear(core, told((*segments, Quote("p2")), ROOM, "ann", peer_id="p3"))
        await house.quiet()
        first, second, third = (say for _, say in bot.shown)
        assert first.sender is not None
        assert second.sender is not None
        *parts, last = third.segments
        unheard = parts.pop(1)
        assert isinstance(unheard, Quote)
        assert parts == [
            Quote(str(first.number)), Mention("all"), Mention("10001", "us"),
            Mention(first.sender.id), Mention(second.sender.id, "Bo"), Text("x"),
        ]  # fmt: skip
        assert last == Quote(str(second.number))
        # The same unheard message has the same number the next time.
        hear(core, told((Quote("unheard"), Text("again")), ROOM, "ann"))
        await house.quiet()
        assert bot.shown[3][1].segments[0] == unheard


async def test_a_reused_id_means_the_newest_message(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        for key in (b"1", b"2"):  # the same short id at another time is another message
            hear(core, told("x", ANN, "ann", key=key, peer_id="7"))
            await house.quiet()
        hear(core, told((Quote("7"),), ANN, "ann"))
        await house.quiet()
        first, second, third = (say for _, say in bot.shown)
        assert first.number != second.number
        assert third.segments == (Quote(str(second.number)),)


async def test_numbers_are_the_same_after_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    seen: list[tuple[str, int]] = []
    for words in ("one", "two", "three"):
        async with make_house(tmp_path, store=SqliteStore(tmp_path, clock=clock)) as house:
            core, bot = Endpoint(house), Framework(house)
            hear(core, told(words, ROOM, "ann"))
            await house.quiet()
            (chat, say) = bot.shown[-1]
            assert say.sender is not None
            seen.append((f"{chat.id}/{say.sender.id}", say.number))
        clock.advance(1)
    assert seen == [("1/2", 3), ("1/2", 4), ("1/2", 5)]


async def test_own_messages_notices_and_other_lines_are_not_shown(tmp_path: Path) -> None:
    async with make_house(tmp_path, rules=[ECHO]) as house:
        core, bot = Endpoint(house), Framework(house)
        blog, blogbot = Endpoint(house, "v1", line="blog"), Framework(house, line="blogbot")
        hear(core, told("ours", ANN, "qq", is_own=True))
        house.core.offer(core, NoticeReceived(ANN, "poke"), None, 1)
        blog.say("hello")
        await house.quiet()
        assert bot.shown == []
        assert blogbot.words() == ["hello"]  # and not what the rule answered
        assert blog.heard == ["收到：hello"]


async def test_several_lines_may_carry_the_same_one(tmp_path: Path) -> None:
    lines = {**LINES, "other": {"dialect": "bot", "carries": "core", "self_id": "10003"}}
    async with make_house(tmp_path, lines=lines) as house:
        core = Endpoint(house)
        bot, other = Framework(house), Framework(house, line="other")
        hear(core, told((Mention("qq"),), ROOM, "ann"))
        await house.quiet()
        (chat, say), (same, too) = *bot.shown, *other.shown
        assert (say.number, chat.id, say.sender) == (too.number, same.id, too.sender)
        assert (say.segments, too.segments) == ((Mention("10001"),), (Mention("10003"),))


async def test_a_process_killed_after_the_commit_shows_it_after_the_restart(
    tmp_path: Path,
) -> None:
    """The row is in the commit of the message: nothing between the two can lose or double it."""
    clock = FakeClock()
    store = GatedStore(tmp_path, clock)
    async with make_house(tmp_path, store=store) as house:
        core, bot = Endpoint(house), Framework(house)

        def only_the_first(beat: Beat) -> None:
            if not beat.inbox:
                raise StoreUnavailable("killed")

        store.fault = only_the_first
        hear(core, told("hi", ANN, "ann", key=b"k"))
        while not store.beats:
            await store.arrived.wait()
            store.arrived.clear()
            await asyncio.sleep(0)
        assert bot.shown == []
    async with make_house(tmp_path, store=SqliteStore(tmp_path, clock=clock)) as house:
        core, bot = Endpoint(house), Framework(house)
        await house.quiet()
        assert bot.words() == ["hi"]
        hear(core, told("hi", ANN, "ann", key=b"k"))  # the peer heard no acknowledgement
        await house.quiet()
        assert bot.words() == ["hi"]


async def test_what_cannot_be_committed_together_is_still_shown_once(tmp_path: Path) -> None:
    """Halving plans again: numbers promised by the failed beat are written with the next one."""
    store = GatedStore(tmp_path)
    async with make_house(tmp_path, store=store) as house:

        def one_by_one(beat: Beat) -> None:
            if len(beat.inbox) > 1:
                raise ValueError("too many")

        store.fault = one_by_one
        core, bot = Endpoint(house), Framework(house)
        for words in ("a", "b", "c"):
            hear(core, told(words, ROOM, "ann", key=words.encode()))
        await house.quiet()
        assert bot.words() == ["a", "b", "c"]
        assert len({chat for chat, _ in bot.shown}) == 1
        assert len({say.number for _, say in bot.shown}) == 3
        assert house.rows("select count(*) from number where kind = 'chat'") == [(2,)]


async def test_a_chat_that_was_written_to_before_it_had_a_number_is_no_second_one(
    tmp_path: Path,
) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        await house.desk.send(Address("bot", "private", "1", "10001"), parse_message("early"))
        house.core.conversations._states.clear()  # as after a restart
        hear(core, told("hi", ANN, "ann"))
        await house.quiet()
        assert bot.words() == ["early", "hi"]
        assert house.rows("select count(*) from inbox where state = 2") == [(0,)]


async def test_what_waits_for_a_framework_is_bounded_and_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying_file, "KEPT", 3)
    async with make_house(tmp_path) as house:
        core = Endpoint(house)
        await house.keeper.step()  # what a start looks at is looked at
        await house.desk.send(Address("bot", "private", "9", "10001"), parse_message("a person's"))
        for nth in range(6):
            hear(core, told(str(nth), ANN, "ann"))
            await house.quiet()
        await house.keeper.step()
        assert (
            house.rows("select reason from outbox where state = 7 order by id")
            == [("more than 3 messages wait for line bot",)] * 3
        )
        bot = Framework(house)
        await house.quiet()
        assert bot.words() == ["a person's", "3", "4", "5"]
        at_ms = house.clock.now_ms()
        assert [say.at_ms for _, say in bot.shown[1:]] == [at_ms] * 3


async def test_what_waited_keeps_its_time_and_its_order(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core = Endpoint(house)
        began_ms = house.clock.now_ms()
        for nth in range(3):
            hear(core, told(str(nth), ANN, "ann"))
            await house.quiet()
            house.advance(86_400)
        await house.keeper.step()
        bot = Framework(house)
        await house.quiet()
        assert [say.at_ms - began_ms for _, say in bot.shown] == [0, 86_400_000, 172_800_000]


@pytest.mark.parametrize(
    ("replay_s", "away_s", "shown"),
    [(None, 1e6, ["x"]), (60, 59, ["x"]), (60, 61, []), (0, 1, [])],
)
async def test_how_long_a_message_waits_is_an_option(
    tmp_path: Path, replay_s: float | None, away_s: float, shown: list[str]
) -> None:
    lines: dict[str, Any] = {
        "core": {"dialect": "maim"},
        "bot": {"dialect": "bot", "carries": "core", "replay_s": replay_s},
    }
    async with make_house(tmp_path, lines=lines) as house:
        core = Endpoint(house)
        hear(core, told("x", ANN, "ann"))
        await house.quiet()
        house.advance(away_s)
        await house.keeper.step()
        bot = Framework(house)
        await house.quiet()
        assert bot.words() == shown
        assert house.rows("select count(*) from outbox where state = 7") == [(len(shown) == 0,)]
        hear(core, told("here", ANN, "ann"))
        await house.quiet()
        assert bot.words() == [*shown, "here"]
        # Even where nothing waits, the way through the queue may take a moment.
        (life_ms,) = house.rows("select expires_ms - at_ms from outbox order by id desc")[0]
        expected = -house.clock.now_ms() if replay_s is None else max(replay_s, 10) * 1000
        assert life_ms == expected


async def test_a_line_that_is_switched_off_gathers_nothing(tmp_path: Path) -> None:
    lines = {**LINES, "bot": {"dialect": "bot", "carries": "core", "enabled": False}}
    async with make_house(tmp_path, lines=lines) as house:
        hear(Endpoint(house), told("x", ANN, "ann"))
        await house.quiet()
        assert house.rows("select count(*) from outbox") == [(0,)]
        assert house.rows("select count(*) from number") == [(0,)]


async def test_a_house_that_carries_nothing_reads_and_writes_no_number(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    store.find_numbers = store.next_number = None  # type: ignore[method-assign,assignment]
    async with make_house(tmp_path, lines={"core": {"dialect": "maim"}}, store=store) as house:
        core = Endpoint(house)
        core.say("x")
        await house.quiet()
        await house.keeper.step()
        assert core.receipts == ["x"]


async def test_when_no_number_is_left_nothing_is_shown_and_the_message_is_kept(
    tmp_path: Path,
) -> None:
    async with make_house(tmp_path) as house:
        house.core.carrying.numbers.start_at(numbering.MAX_NUMBER - 1)
        core, bot = Endpoint(house), Framework(house)
        for words in ("a", "b", "c"):
            hear(core, told(words, ANN, "ann"))
            await house.quiet()
        assert [say.number for _, say in bot.shown] == [numbering.MAX_NUMBER]
        assert core.freed == 3
        assert len(house.troubles) == 1


async def test_erasing_a_conversation_erases_what_other_lines_were_shown(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house)
        hear(core, told("my secret", ANN, "ann", peer_id="p"))
        hear(core, told("in the room", ROOM, "ann"))
        await house.quiet()
        assert await house.desk.erase(parse_address("core/private:ann@qq")) == 2
        assert house.rows("select count(*) from outbox") == [(1,)]
        numbers = house.rows("select count(*) from number where kind = 'message'")
        assert numbers == [(1,)]
        hear(core, told("again", ANN, "ann"))
        await house.quiet()
        assert bot.shown[0][0].id == bot.shown[2][0].id


async def test_an_unclear_event_is_held_like_any_other_delivery(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        core, bot = Endpoint(house), Framework(house, fate=None)
        hear(core, told("x", ANN, "ann"))
        await house.quiet()
        bot.settle("x", Outcome.UNCERTAIN, detail="cut")
        await house.quiet()
        assert house.rows("select state, reason from outbox") == [(5, "cut")]


async def test_no_offline_notice_while_a_framework_hears_the_visitor(tmp_path: Path) -> None:
    async with make_house(tmp_path) as house:
        blog, bot = Endpoint(house, "v1", line="blog"), Framework(house, line="blogbot")
        blog.say("在吗")
        await house.quiet()
        assert blog.heard == []
        assert bot.words() == ["在吗"]
        (why,) = house.rows("select why from inbox")
        assert "left to the framework" in explain(decode_trace(why[0]), "en")[0]
        await bot.say_to(bot.shown[0][0], "在的")
        assert blog.heard == ["在的"]
        bot.leave()  # nobody would answer now
        blog.say("还在吗")
        await house.quiet()
        assert blog.heard[1:] == [RulebookSpec().offline_notice]


async def test_a_default_reply_is_said_whoever_carries_the_line(tmp_path: Path) -> None:
    async with make_house(tmp_path, defaults=[DefaultSpec("稍等")]) as house:
        blog, _ = Endpoint(house, "v1", line="blog"), Framework(house, line="blogbot")
        blog.say("在吗")
        await house.quiet()
        assert blog.heard == ["稍等"]
