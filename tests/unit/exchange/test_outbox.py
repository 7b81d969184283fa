"""What waits, for whom, and in which order it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from house import ECHO, House, chat, kinds, maim, texts, visitor
from trunkline.model.address import parse_address
from trunkline.model.delivery import DeliveryState
from trunkline.model.message import parse_message
from trunkline.pipeline.rulebook import RuleSpec

CORE = {"core": {"dialect": "maim"}}


def states(house: House) -> list[int]:
    return [state for (state,) in house.rows("select state from outbox order by id")]


async def test_an_answer_waits_for_its_platform_and_no_other(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        tg = house.connect("core", headers={"platform": "tg"})
        qq.say(maim("first", "m1"), maim("second", "m2"))
        qq.cut()
        await house.quiet()
        assert states(house) == [DeliveryState.QUEUED] * 2
        assert tg.frames() == []
        again = house.connect("core", headers={"platform": "qq"})
        await house.quiet()
        assert texts(again.frames()) == ["收到：first", "收到：second"]
        assert states(house) == [DeliveryState.SENT] * 2
        assert tg.frames() == []


async def test_what_waits_leaves_before_what_is_new(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("old", "m1"))
        qq.cut()
        await house.quiet()
        again = house.connect("core", headers={"platform": "qq"})
        again.say(maim("new", "m2"))
        await house.quiet()
        assert texts(again.frames()) == ["收到：old", "收到：new"]
        again.say(maim("newer", "m3"))
        await house.quiet()
        assert texts(again.frames()) == ["收到：newer"]


async def test_a_plain_visitor_who_left_gets_nothing_later(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        peer = visitor(house)
        peer.say(chat("hi"))
        peer.cut()
        await house.quiet()
        assert house.rows("select state, reason from outbox") == [
            (DeliveryState.EXPIRED, "the visitor left")
        ]
        assert house.rows("select count(*) from inbox") == [(1,)]


async def test_a_paused_line_stores_and_sends_nothing(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        await house.quiet()
        house.fleet.pause("core")
        qq.say(maim("a", "m1"), maim("b", "m2"))
        await house.quiet()
        assert qq.frames() == []
        assert states(house) == [DeliveryState.QUEUED] * 2
        house.fleet.resume("core")
        await house.quiet()
        assert texts(qq.frames()) == ["收到：a", "收到：b"]


async def test_a_draft_waits_for_a_person(tmp_path: Path) -> None:
    now = RuleSpec("urgent", keywords=("urgent",), reply="at once", then="send", priority=1)
    async with House(
        tmp_path, rules=[ECHO, now], lines={"core": {"dialect": "maim", "mode": "draft"}}
    ) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"))
        await house.quiet()
        assert qq.frames() == []
        assert states(house) == [DeliveryState.DRAFT]
        qq.say(maim("urgent", "m2"))
        await house.quiet()
        assert texts(qq.frames()) == ["at once"]
        ((ident,),) = house.rows("select id from outbox where state = ?", int(DeliveryState.DRAFT))
        assert await house.store.move_delivery(
            ident, (DeliveryState.DRAFT,), DeliveryState.QUEUED, "approved"
        )
        house.desk.wake()
        await house.quiet()
        await house.quiet()
        assert texts(qq.frames()) == ["收到：a"]


async def test_replies_expire_visibly(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"))
        qq.cut()
        await house.quiet()
        house.advance(121)
        await house.keeper.step()
        assert states(house) == [DeliveryState.EXPIRED]
        again = house.connect("core", headers={"platform": "qq"})
        await house.quiet()
        assert again.frames() == []


async def test_a_send_leaves_at_once_and_only_once_per_key(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        await house.quiet()
        target = parse_address("core/group:88")
        first = await house.desk.send(target, parse_message("deployed"), dedupe="k1")
        await house.quiet()
        again = await house.desk.send(target, parse_message("deployed"), dedupe="k1")
        await house.quiet()
        assert again.is_repeat
        assert again.id == first.id
        frames = qq.frames()
        assert texts(frames) == ["deployed"]
        assert frames[0]["message_info"]["group_info"]["group_id"] == "88"


async def test_a_send_waits_for_its_account(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        sent = await house.desk.send(parse_address("core/private:7@qq"), parse_message("hello"))
        await house.quiet()
        assert states(house) == [DeliveryState.QUEUED]
        qq = house.connect("core", headers={"platform": "qq"})
        await house.quiet()
        assert texts(qq.frames()) == ["hello"]
        found = await house.store.delivery(sent.id)
        assert found is not None
        assert found.row.state is DeliveryState.SENT


async def test_a_send_without_account_names_what_is_missing(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        for text, word in (
            ("nowhere/private:1", "no line"),
            ("core/private:1", "no account"),
            ("blog/visitor:gone", "not connected"),
        ):
            with pytest.raises(LookupError, match=word):
                await house.desk.send(parse_address(text), parse_message("x"))


async def test_a_visitor_on_the_page_can_be_reached(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        peer = house.connect("blog")
        client = peer.frames()[0]["client_id"]
        await house.desk.send(parse_address(f"blog/visitor:{client}"), parse_message("here I am"))
        await house.quiet()
        (frame,) = peer.frames()
        assert (frame["type"], frame["message"]) == ("chat_message", "here I am")


async def test_what_was_being_written_at_a_crash_is_uncertain(tmp_path: Path) -> None:
    house = House(tmp_path, rules=[ECHO], lines=CORE)
    async with house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"))
        await house.core.quiet()
        # The process dies before the outcome is written: put the row back to where it was.
        await house.store.close()
        import sqlite3

        with sqlite3.connect(tmp_path / "trunkline.db") as database:
            database.execute("update outbox set state = ?", (int(DeliveryState.SENDING),))
        database.close()
        await house.store.open()
        rows = house.rows("select state, reason from outbox")
        assert rows[0][0] == DeliveryState.UNCERTAIN
        assert rows[0][1].startswith("restart")


async def test_order_holds_when_the_link_goes_between_commit_and_write(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        await house.quiet()
        for n in range(20):
            qq.say(maim(f"t{n}", f"m{n}"))
            if n == 9:
                qq.cut()
                qq = house.connect("core", headers={"platform": "qq"})
        await house.quiet()
        await house.quiet()
        heard = texts(qq.frames())
        assert heard == [f"收到：t{n}" for n in range(20)]


async def test_kinds_of_frames(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        peer = visitor(house)
        peer.say({"type": "ping"})
        assert kinds(peer.frames()) == ["pong"]  # without any beat


async def test_a_key_stands_for_one_message_only(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        target = parse_address("core/group:88@qq")
        await house.desk.send(target, parse_message("one"), dedupe="k1")
        for address, words in ((target, "two"), (parse_address("core/group:89@qq"), "one")):
            with pytest.raises(ValueError, match="Idempotency-Key"):
                await house.desk.send(address, parse_message(words), dedupe="k1")
        assert len(states(house)) == 1


async def test_only_chats_that_the_dialect_has_can_be_named(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        with pytest.raises(ValueError, match="private, group"):
            await house.desk.send(parse_address("core/nokind:1@qq"), parse_message("x"))
        assert states(house) == []


async def test_an_approved_draft_leaves_however_much_else_waits(tmp_path: Path) -> None:
    async with House(
        tmp_path, rules=[ECHO], lines={"core": {"dialect": "maim", "mode": "draft"}}
    ) as house:
        here = house.connect("core", headers={"platform": "here"})
        here.say(maim("a", "m1", platform="here"))
        await house.quiet()
        away = parse_address("core/private:7@away")
        for n in range(510):
            await house.desk.send(away, parse_message(f"w{n}"))
        ((ident,),) = house.rows("select id from outbox where state = ?", int(DeliveryState.DRAFT))
        assert await house.store.move_delivery(
            ident, (DeliveryState.DRAFT,), DeliveryState.QUEUED, "approved"
        )
        house.desk.wake()
        await house.quiet()
        await house.quiet()
        assert texts(here.frames()) == ["收到：a"]
