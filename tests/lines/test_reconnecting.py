"""The product's own sessions reconnect to the product: causes, waits, backlog, identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from house import ECHO, House
from scripted import Ledger
from town import Town, town_of
from trunkline.dialects.contract import Receipt
from trunkline.ids import DeliveryId
from trunkline.lines.contract import LineState
from trunkline.lines.driver import PENDING_EVENTS
from trunkline.model.address import Chat, parse_address
from trunkline.model.delivery import Delivery, DeliveryState, Say
from trunkline.model.event import DurableEvent, MessageReceived
from trunkline.model.message import parse_message, plain_text
from trunkline.model.segment import Text

CORE = {"core": {"dialect": "maim"}}
TOKEN = "0123456789abcdef0123456789abcdef"


class Hearing(Ledger):
    """Commits at once what a dialled line hears, and remembers the words."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def offer(self, origin: Any, event: DurableEvent, receipt: Receipt, size_bytes: int) -> None:
        if isinstance(event, MessageReceived):
            self.words.append(plain_text(event.segments))
        origin.committed([receipt] if receipt is not None else [], 1, size_bytes)


def say(line: Any, *words: str, chat: Chat | None = None, first: int = 1) -> None:
    """Have the one link of a dialled line say something."""
    (driver,) = line.drivers
    to = chat or Chat("qq", "private", "7")
    driver.deliver([
        Delivery(DeliveryId(n), to, Say((Text(text),))) for n, text in enumerate(words, first)
    ])  # fmt: skip
    driver.flush()


def adapter(town: Town, **options: Any) -> tuple[Any, Hearing]:
    ear = Hearing()
    line = town.settle_in("maim", "adapter", "core", exchange=ear, platform="qq", **options)
    return line, ear


async def test_an_adapter_is_answered_and_comes_back_by_the_table(tmp_path: Path) -> None:
    async with town_of(House(tmp_path, rules=[ECHO], lines=CORE)) as town:
        line, ear = adapter(town)
        await town.quiet()
        assert line.state is LineState.CONNECTED
        say(line, "a", "b")
        await town.quiet()
        assert ear.words == ["收到：a", "收到：b"]
        town.is_reachable = False
        town.cut()
        await town.quiet()
        await town.live(40)
        assert line.state is LineState.RECONNECTING
        assert town.dials_s == [0, 1, 3, 7, 15, 31]
        town.is_reachable = True
        await town.live(30)
        assert line.state is LineState.CONNECTED
        say(line, "c", first=10)
        await town.quiet()
        assert ear.words[-1] == "收到：c"


async def test_what_waited_for_an_account_comes_first_and_in_order(tmp_path: Path) -> None:
    async with town_of(House(tmp_path, rules=[ECHO], lines=CORE)) as town:
        line, ear = adapter(town)
        await town.quiet()
        town.is_reachable = False
        town.cut()
        await town.quiet()
        for n in range(150):
            await town.house.desk.send(
                parse_address("core/private:7@qq"), parse_message(f"p{n}")
            )  # fmt: skip
        town.is_reachable = True
        await town.live(3)
        assert ear.words == [f"p{n}" for n in range(150)]
        say(line, "new", first=10)
        await town.quiet()
        assert ear.words[-1] == "收到：new"


async def test_a_paused_line_with_a_full_link_resumes_in_order(tmp_path: Path) -> None:
    async with town_of(House(tmp_path, rules=[ECHO], lines=CORE)) as town:
        line, ear = adapter(town)
        await town.quiet()
        town.house.fleet.pause("core")
        count = PENDING_EVENTS * 3
        say(line, *(f"m{n}" for n in range(count)))
        await town.quiet()
        assert ear.words == []
        assert town.house.rows("select count(*) from inbox") == [(count,)]
        town.house.fleet.resume("core")
        await town.quiet()
        assert ear.words == [f"收到：m{n}" for n in range(count)]
        assert max(town.house.counts.beats) <= PENDING_EVENTS


async def test_reconnect_of_a_listening_line_sends_its_peers_back_to_the_door(
    tmp_path: Path,
) -> None:
    async with town_of(House(tmp_path, rules=[ECHO], lines=CORE)) as town:
        line, ear = adapter(town)
        await town.quiet()
        town.house.fleet.reconnect("core")
        await town.quiet()
        assert line.state is LineState.RECONNECTING
        await town.live(1)
        assert line.state is LineState.CONNECTED
        say(line, "a")
        await town.quiet()
        assert ear.words == ["收到：a"]


async def test_the_newest_of_a_platform_has_it_and_the_older_waits_30_s(tmp_path: Path) -> None:
    async with town_of(House(tmp_path, rules=[ECHO], lines=CORE)) as town:
        older, deaf = adapter(town)
        await town.quiet()
        newer, ear = adapter(town)
        await town.live(5)
        assert older.state is LineState.RECONNECTING
        assert newer.state is LineState.CONNECTED
        await town.house.desk.send(parse_address("core/private:7@qq"), parse_message("x"))
        await town.quiet()
        assert (deaf.words, ear.words) == ([], ["x"])
        await town.live(26)
        assert older.state is LineState.CONNECTED  # its turn: the names are the same


async def test_a_wrong_token_waits_longer_each_time_and_ends(tmp_path: Path) -> None:
    lines = {"core": {"dialect": "maim", "token": TOKEN}}
    async with town_of(House(tmp_path, lines=lines)) as town:
        line, _ = adapter(town, token="f" * 32, max_failures=4)
        await town.quiet()
        await town.live(60)
        assert town.dials_s == [0, 5, 15, 35]
        assert line.state is LineState.FAILED
        assert "Invalid or missing token" in line.status().error
        assert town.house.counts.oddities.count("auth-failed") == 4


async def test_the_right_token_is_let_in(tmp_path: Path) -> None:
    lines = {"core": {"dialect": "maim", "token": TOKEN}}
    async with town_of(House(tmp_path, lines=lines, rules=[ECHO])) as town:
        line, ear = adapter(town, token=TOKEN)
        await town.quiet()
        say(line, "a")
        await town.quiet()
        assert ear.words == ["收到：a"]


async def test_a_line_that_is_switched_off_refuses_and_is_asked_again(tmp_path: Path) -> None:
    lines = {"core": {"dialect": "maim", "enabled": False}}
    async with town_of(House(tmp_path, lines=lines)) as town:
        line, _ = adapter(town)
        await town.quiet()
        await town.live(4)
        assert town.dials_s == [0, 1, 3]
        assert "404" in line.status().error


@pytest.mark.parametrize("is_cut_before", [True, False])
async def test_a_visitor_whose_message_was_not_acknowledged_is_told_so(
    tmp_path: Path, is_cut_before: bool
) -> None:
    async with town_of(House(tmp_path, rules=[ECHO])) as town:
        ear = Hearing()
        line = town.settle_in("contact", "visitor", "blog", exchange=ear)
        await town.quiet()
        say(line, "a", chat=Chat("", "site", "site"))
        if is_cut_before:
            town.cut()
        await town.quiet()
        expected = "uncertain" if is_cut_before else "confirmed"
        assert ear.outcomes() == [(1, expected)]
        assert town.house.rows("select count(*) from inbox") == [(1,)]
        fate = DeliveryState.EXPIRED if is_cut_before else DeliveryState.SENT
        town.house.advance(0.2)
        await town.quiet()
        assert town.house.rows("select state from outbox") == [(fate,)]
