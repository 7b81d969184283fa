"""What people ask at the desk: reach a visitor, broadcast, take over, erase."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from house import ECHO, House, chat, maim, texts, visitor
from trunkline.exchange.contract import Broadcast
from trunkline.model.address import parse_address
from trunkline.model.message import parse_message

CORE = {"core": {"dialect": "maim"}}


async def finish(house: House, work: asyncio.Task[Broadcast]) -> Broadcast:
    """Let the house work until a broadcast is over."""
    async with asyncio.timeout(5):
        while not work.done():
            await house.core.quiet()
            await house.core.dispatch.quiet()
            await asyncio.sleep(0)
    return work.result()


async def test_a_conversation_of_any_dialect_can_be_taken_over(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"))
        await house.quiet()
        where = parse_address("core/private:u1")
        until_ms = await house.desk.take_over(where, name="Bo", for_s=60)
        assert until_ms == house.clock.now_ms() + 60_000
        qq.say(maim("b", "m2"))
        await house.quiet()
        await house.desk.release(where)
        await house.desk.release(where)  # twice does no harm
        qq.say(maim("c", "m3"))
        await house.quiet()
        assert texts(qq.frames()) == ["收到：a", "收到：c"]
        with pytest.raises(LookupError, match="no conversation"):
            await house.desk.take_over(parse_address("core/private:nobody"))
        with pytest.raises(LookupError, match="no line"):
            await house.desk.release(parse_address("nowhere/private:u1"))


async def test_a_takeover_ends_by_its_own_time(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"))
        await house.quiet()
        await house.desk.take_over(parse_address("core/private:u1"), for_s=60)
        house.advance(61)
        qq.say(maim("b", "m2"))
        await house.quiet()
        assert texts(qq.frames()) == ["收到：a", "收到：b"]


async def test_a_broadcast_is_in_every_open_chat(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        peers = [visitor(house) for _ in range(5)]
        gone = visitor(house)
        gone.cut()
        work = asyncio.ensure_future(house.desk.broadcast("blog", parse_message("new post")))
        assert await finish(house, work) == Broadcast(5, 0)
        for peer in peers:
            (frame,) = peer.frames()
            assert (frame["type"], frame["message"]) == ("chat_message", "new post")
        sources = house.rows("select distinct source from outbox")
        assert [source for (source,) in sources] == ["broadcast"]


async def test_only_contact_lines_broadcast(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        with pytest.raises(ValueError, match="no contact line"):
            await house.desk.broadcast("core", parse_message("x"))
        with pytest.raises(LookupError, match="no line"):
            await house.desk.broadcast("nowhere", parse_message("x"))


async def test_a_plain_visitor_who_left_cannot_be_reached_but_taken_over(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        peer = house.connect("blog")
        client = peer.frames()[0]["client_id"]
        peer.say(chat("hi"))
        await house.quiet()
        peer.cut()
        where = parse_address(f"blog/visitor:{client}")
        with pytest.raises(LookupError, match="not connected"):
            await house.desk.send(where, parse_message("x"))
        assert await house.desk.take_over(where) > 0
        # And after a restart nothing has changed about that.
        clock = house.clock
    async with House(tmp_path, clock=clock) as house:
        with pytest.raises(LookupError, match="not connected"):
            await house.desk.send(where, parse_message("x"))


async def test_a_conversation_can_be_erased(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        peer = house.connect("blog")
        client = peer.frames()[0]["client_id"]
        peer.say(chat("my secret"), chat("another"))
        await house.quiet()
        where = parse_address(f"blog/visitor:{client}")
        assert await house.desk.erase(where) == 4
        assert house.rows("select count(*) from inbox") == [(0,)]
        assert house.rows("select count(*) from outbox") == [(0,)]
        assert house.rows("select name, context from conversation") == [("", b"")]
        peer.frames()
        peer.say(chat("hello"))
        await house.quiet()
        assert len(peer.frames()) == 2
        with pytest.raises(LookupError, match="no conversation"):
            await house.desk.erase(parse_address("blog/visitor:nobody"))


async def test_the_keeper_indexes_what_was_said_within_a_minute(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"))
        await house.quiet()
        await house.keeper.step()
        assert house.rows("select count(*) from history") == [(0,)]
        house.advance(61)
        await house.keeper.step()
        assert house.rows("select count(*) from history") == [(2,)]
