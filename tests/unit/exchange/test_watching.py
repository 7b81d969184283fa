"""Live viewers: told after the commit, at most once, never in the way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from house import ECHO, House, chat, maim, visitor
from origins import Endpoint
from trunkline.exchange import watching
from trunkline.exchange.contract import Seen
from trunkline.exchange.extras import SentRange
from trunkline.exchange.watching import Watchers
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import DeliveryState
from trunkline.model.event import Fleeting, MessageReceived, NoticeReceived, RequestReceived
from trunkline.model.segment import Text
from trunkline.store.contract import Outcome

CHAT = Chat("qq", "private", "u1")
CORE = {"core": {"dialect": "maim"}}


def what(seen: list[Seen]) -> list[tuple[str, str, str]]:
    return [(one.what, one.text, one.detail) for one in seen]


async def test_a_beat_is_told_in_order_after_its_commit(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        seen: list[Seen] = []
        stop = house.desk.watch(seen.append)
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"), maim("a", "m1"))
        assert seen == []
        await house.quiet()
        house.advance(0.2)
        await house.quiet()
        assert what(seen) == [
            ("message", "a", "done"),
            ("duplicate", "a", "duplicate"),
            ("answer", "收到：a", "sending"),
            ("delivery", "", "sent"),
        ]
        assert seen[0].address == "core/private:u1@qq"
        assert seen[0].sender == "N"
        assert seen[2].id == seen[3].id
        stop()
        stop()
        qq.say(maim("b", "m2"))
        await house.quiet()
        assert len(seen) == 4


async def test_what_has_words_shows_them(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        seen: list[Seen] = []
        house.desk.watch(seen.append)
        end: Any = Endpoint(house)
        for event in (
            RequestReceived(CHAT, "contact", "call me"),
            NoticeReceived(CHAT, "ban"),
            MessageReceived(CHAT, None, (Text("hi"),)),
        ):
            house.core.offer(end, event, None, 1)
        house.core.pass_on(end, Fleeting(CHAT, "typing"))
        await house.quiet()
        assert what(seen) == [
            ("fleeting", "typing", ""),
            ("request", "call me", "done"),
            ("notice", "ban", "done"),
            ("message", "hi", "done"),
        ]


async def test_a_viewer_that_raises_is_removed_and_the_beat_goes_on(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        seen: list[Seen] = []

        def broken(one: Seen) -> None:
            raise ZeroDivisionError

        house.desk.watch(broken)
        house.desk.watch(seen.append)
        peer = visitor(house)
        peer.say(chat("a"))
        await house.quiet()
        assert len(peer.frames()) == 2
        assert len(seen) >= 2
        assert house.troubles == []


async def test_who_waits_is_woken_by_the_next_state_single_or_in_a_range() -> None:
    watchers = Watchers()
    single, ranged, other = (watchers.wait(DeliveryId(ident)) for ident in (1, 17, 99))
    watchers.settled([Outcome(DeliveryId(1), DeliveryState.SENT, 0)], [SentRange((16, 18))], 0)
    await asyncio.sleep(0)
    assert single.done()
    assert ranged.done()
    assert not other.done()
    other.cancel()
    await asyncio.sleep(0)
    assert watchers._waits == {}


async def test_who_stops_waiting_is_forgotten() -> None:
    watchers = Watchers()
    one, two = watchers.wait(DeliveryId(1)), watchers.wait(DeliveryId(1))
    one.cancel()
    await asyncio.sleep(0)
    assert watchers._waits == {1: [two]}
    two.cancel()
    await asyncio.sleep(0)
    assert watchers._waits == {}


def test_repeats_are_counted_and_bounded_by_the_longest_untouched() -> None:
    watchers = Watchers()
    event = MessageReceived(CHAT, None, (Text("again"),))
    for conversation in range(watching.DUPLICATES):
        watchers.repeated(conversation, event, 1)
    watchers.repeated(0, event, 5)
    watchers.repeated(-1, event, 6)
    first = watchers.duplicates(0)
    assert first is not None
    assert (first.count, first.last_ms, first.text) == (2, 5, "again")
    assert watchers.duplicates(1) is None
    assert len(watchers._duplicates) == watching.DUPLICATES
