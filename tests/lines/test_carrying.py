"""A framework on a OneBot line reaches other lines: real sessions, drivers, exchange and store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from house import House, Peer, chat, maim, texts, visitor
from trunkline.clock import FakeClock
from trunkline.model.address import parse_address
from trunkline.store.sqlite import SqliteStore

BOT: dict[str, Any] = {
    "dialect": "onebot11", "role": "implementation", "self_id": "10001", "heartbeat_interval_s": 0,
}  # fmt: skip
LINES: Mapping[str, Mapping[str, Any]] = {
    "blog": {"dialect": "contact", "mode": "off"},
    "core": {"dialect": "maim"},
    "bot": {**BOT, "carries": "blog"},
    "corebot": {**BOT, "self_id": "10002", "carries": "core"},
}


def framework(house: House, line: str = "bot") -> Peer:
    bot = house.connect(line)
    (connect,) = bot.frames()
    assert connect["meta_event_type"] == "lifecycle"
    return bot


async def call(house: House, bot: Peer, action: str, **params: Any) -> dict[str, Any]:
    """Call an action; return its response."""
    bot.say({"action": action, "params": params, "echo": action})
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not found:
            await house.quiet()
            found = bot.frames()
    (response,) = found
    assert response["echo"] == action
    return response


async def test_a_framework_answers_a_visitor(tmp_path: Path) -> None:
    async with House(tmp_path, lines=LINES) as house:
        peer, bot = visitor(house), framework(house)
        peer.say(chat("hello"))
        await house.quiet()
        assert [frame["type"] for frame in peer.frames()] == ["chat_message_received"]
        (event,) = bot.frames()
        assert (event["post_type"], event["message_type"]) == ("message", "private")
        assert event["message"] == [{"type": "text", "data": {"text": "hello"}}]
        assert event["self_id"] == 10001
        assert event["sender"]["user_id"] == event["user_id"]
        sent = await call(
            house, bot, "send_private_msg", user_id=event["user_id"], message="hi [CQ:face,id=1]"
        )
        assert (sent["status"], sent["retcode"]) == ("ok", 0)
        (answer,) = peer.frames()
        assert answer["message"].startswith("hi")
        found = await call(house, bot, "get_msg", message_id=event["message_id"])
        assert found["data"]["message"] == event["message"]
        friends = await call(house, bot, "get_friend_list")
        assert [friend["user_id"] for friend in friends["data"]] == [event["user_id"]]


async def test_a_person_who_took_over_is_told_to_the_framework(tmp_path: Path) -> None:
    async with House(tmp_path, lines=LINES) as house:
        core, bot = house.connect("core", headers={"platform": "qq"}), framework(house, "corebot")
        core.say(maim("help", user="u1"))
        await house.quiet()
        (event,) = bot.frames()
        await house.desk.take_over(parse_address("core/private:u1@qq"), name="Bo")
        refused = await call(house, bot, "send_msg", user_id=event["user_id"], message="x")
        assert (refused["status"], refused["data"]) == ("failed", None)
        assert "a person has this conversation" in refused["wording"]
        assert core.frames() == []
        unknown = await call(house, bot, "send_msg", user_id=4711, message="x")
        assert unknown["status"] == "failed"


async def test_a_framework_that_was_away_is_told_in_order_with_the_times_of_then(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    async with House(
        tmp_path, lines=LINES, clock=clock, store=SqliteStore(tmp_path, clock=clock)
    ) as house:
        core = house.connect("core", headers={"platform": "qq"})
        for nth in range(3):
            core.say(maim(f"m{nth}", ident=f"m{nth}"))
            await house.quiet()
    clock.advance(3600)
    async with House(
        tmp_path, lines=LINES, clock=clock, store=SqliteStore(tmp_path, clock=clock)
    ) as house:
        core, bot = house.connect("core", headers={"platform": "qq"}), framework(house, "corebot")
        await house.quiet()
        events = bot.frames()
        assert [event["raw_message"] for event in events] == ["m0", "m1", "m2"]
        assert {event["time"] for event in events} == {1_767_225_600}
        assert len({event["message_id"] for event in events}) == 3
        core.say(maim("m2", ident="m2"))  # a repeat
        await house.quiet()
        assert bot.frames() == []
        sent = await call(house, bot, "send_msg", user_id=events[0]["user_id"], message="here")
        assert sent["status"] == "ok"
        assert texts(core.frames()) == ["here"]


async def test_two_frameworks_see_the_same_event_once_each(tmp_path: Path) -> None:
    async with House(tmp_path, lines=LINES) as house:
        peer, one, two = visitor(house), framework(house), framework(house)
        peer.say(chat("hello"))
        await house.quiet()
        (first,), (second,) = one.frames(), two.frames()
        assert first["message_id"] == second["message_id"]
