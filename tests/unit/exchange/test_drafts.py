"""Drafts: what waits for a person's word, how long, how many, and what ends the waiting.

Source: guides 6 "Draft holds automatic answers and nothing else", reliability 1, issue 9 Build 6.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from house import ECHO, House, chat, visitor
from origins import Endpoint
from trunkline.clock import FakeClock
from trunkline.exchange.contract import DRAFT_LIFE_MS
from trunkline.ids import DeliveryId
from trunkline.model.address import Address, Chat
from trunkline.model.delivery import DeliveryState
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import parse_message
from trunkline.model.segment import Text
from trunkline.pipeline.rulebook import DefaultSpec, RuleSpec
from trunkline.store.contract import CROWDED, MAX_DRAFTS

DRAFT, QUEUED, SENT, EXPIRED = (
    DeliveryState.DRAFT, DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.EXPIRED,
)  # fmt: skip
LINES = {"core": {"dialect": "maim", "mode": "draft"}}
ALICE = Address("core", "private", "alice", "qq")


def fates(house: House) -> list[tuple[int, str]]:
    return house.rows("select state, reason from outbox order by id")


async def approve(house: House, nth: int = 0) -> bool:
    """Approve the nth draft, oldest first, as the route does."""
    rows = house.rows("select id from outbox where state = 0 order by id")
    is_moved = await house.store.move_delivery(DeliveryId(rows[nth][0]), (DRAFT,), QUEUED, "person")
    house.desk.wake()
    await house.quiet()
    return is_moved


@pytest.mark.parametrize("mode", ["auto", "draft"])
async def test_a_rule_that_says_draft_asks_first_whatever_the_mode(
    tmp_path: Path, mode: str
) -> None:
    rule = RuleSpec("bargain", keywords=("刀",), reply="已是底价", then="draft")
    lines = {"core": {"dialect": "maim", "mode": mode}}
    async with House(tmp_path, rules=[rule], lines=lines) as house:
        end = Endpoint(house)
        end.say("能刀吗")
        await house.quiet()
        assert (end.heard, fates(house)) == ([], [(DRAFT, "")])
        assert await approve(house)
        assert (end.heard, fates(house)) == (["已是底价"], [(SENT, "")])


async def test_a_default_reply_is_a_draft_and_a_send_is_none(tmp_path: Path) -> None:
    spec = DefaultSpec(reply="稍等")
    async with House(tmp_path, defaults=[spec], lines=LINES) as house:
        end = Endpoint(house)
        end.say("在吗")
        await house.quiet()
        assert (end.heard, fates(house)) == ([], [(DRAFT, "")])
        await house.desk.send(ALICE, parse_message("explicit"))
        await house.quiet()
        assert end.heard == ["explicit"]


async def test_the_mode_changes_what_comes_and_never_what_waits(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("one")
        await house.quiet()
        house.fleet.set_mode("core", "auto")
        end.say("two")
        await house.quiet()
        assert end.heard == ["收到：two"]
        house.fleet.set_mode("core", "off")
        end.say("three")
        await house.quiet()
        assert [state for state, _ in fates(house)] == [DRAFT, SENT]
        assert await approve(house)  # also on a line that answers nothing by itself
        assert end.heard == ["收到：two", "收到：one"]


async def test_a_draft_waits_a_day_and_ends_visibly(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("one")
        await house.quiet()
        house.advance(DRAFT_LIFE_MS / 1000 - 60)
        await house.keeper.step()
        assert fates(house) == [(DRAFT, "")]
        house.advance(61)
        await house.keeper.step()
        assert fates(house) == [(EXPIRED, "nobody approved it within 24 h")]
        assert end.heard == []


async def test_an_approved_draft_has_the_life_of_a_send_from_then_on(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("one")
        end.say("two", user="bob")
        await house.quiet()
        house.advance(7200)
        house.fleet.pause("core")
        assert await approve(house)
        assert [state for state, _ in fates(house)] == [QUEUED, DRAFT]
        house.advance(DRAFT_LIFE_MS / 1000 - 7200 - 60)
        assert await approve(house)
        house.advance(7200 + 59)
        await house.keeper.step()
        assert fates(house) == [(QUEUED, "person"), (QUEUED, "person")]
        house.advance(6)
        await house.keeper.step()
        assert fates(house)[0] == (EXPIRED, "too late")
        house.fleet.resume("core")
        await house.quiet()
        assert end.heard == ["收到：two"]


async def test_many_that_are_approved_at_once_all_leave_at_the_pace_of_the_line(
    tmp_path: Path,
) -> None:
    """Thirty at six seconds take three minutes, longer than an answer may wait by itself."""
    lines = {"core": {"dialect": "maim", "mode": "draft", "every_s": 6.0}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        end = Endpoint(house)
        for nth in range(30):
            end.say(f"{nth}", user=f"u{nth}")
        await house.quiet()
        for _ in range(30):
            assert await approve(house)
        for _ in range(30):
            house.advance(6)
            await house.keeper.step()
            await house.quiet()
        assert {state for state, _ in fates(house)} == {SENT}
        assert end.heard == [f"收到：{nth}" for nth in range(30)]


async def test_of_one_conversation_the_newest_sixteen_wait(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("from another", user="bob")
        for nth in range(MAX_DRAFTS):
            end.say(f"m{nth}")
        await house.quiet()
        assert {state for state, _ in fates(house)} == {DRAFT}
        end.say("a")
        end.say("b")
        await house.quiet()
        assert fates(house)[:4] == [
            (DRAFT, ""),
            (EXPIRED, CROWDED),
            (EXPIRED, CROWDED),
            (DRAFT, ""),
        ]
        assert [state for state, _ in fates(house)].count(DRAFT) == MAX_DRAFTS + 1
        assert end.heard == []


async def test_each_of_several_drafts_leaves_by_itself_and_in_any_order(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("one")
        end.say("two")
        await house.quiet()
        assert await approve(house, 1)
        assert end.heard == ["收到：two"]
        assert await approve(house)
        assert end.heard == ["收到：two", "收到：one"]


async def test_a_takeover_leaves_drafts_to_the_person(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("one")
        await house.quiet()
        await house.desk.take_over(ALICE, name="Ana")
        await house.quiet()
        assert fates(house) == [(DRAFT, "")]
        assert await approve(house)
        assert end.heard == ["收到：one"]


async def test_what_the_owner_said_in_the_app_ends_the_drafts_of_that_chat(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("one")
        end.say("two", user="bob")
        await house.quiet()
        event = MessageReceived(
            Chat("qq", "private", "alice"), Person("me"), (Text("我来"),), None, "o1", is_own=True
        )
        house.core.offer(end, event, "我来", 1)  # type: ignore[arg-type]  # an Origin
        await house.quiet()
        assert fates(house) == [(EXPIRED, "the owner answered in the app"), (DRAFT, "")]


async def test_the_echo_of_an_approved_draft_is_nobody_in_the_app(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("one")
        end.say("two")
        await house.quiet()
        assert await approve(house)
        event = MessageReceived(
            Chat("qq", "private", "alice"),
            Person("me"),
            (Text("收到：one"),),
            None,
            "o1",
            is_own=True,
        )
        house.core.offer(end, event, "echo", 1)  # type: ignore[arg-type]  # an Origin
        await house.quiet()
        assert [state for state, _ in fates(house)] == [DeliveryState.CONFIRMED, DRAFT]


async def test_a_draft_for_a_visitor_who_left_cannot_leave_any_more(tmp_path: Path) -> None:
    lines = {"blog": {"dialect": "contact", "mode": "draft"}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        peer = visitor(house)
        peer.say(chat("hi"))
        await house.quiet()
        peer.cut()
        await house.quiet()
        assert fates(house) == [(DRAFT, "")]
        assert await approve(house)
        assert fates(house) == [(EXPIRED, "the visitor left")]


async def test_an_approved_draft_waits_for_its_link_and_leaves_once(tmp_path: Path) -> None:
    """The row is the promise: approve, end of the process, and the peer comes back."""
    clock = FakeClock()
    async with House(tmp_path, rules=[ECHO], lines=LINES, clock=clock) as house:
        end = Endpoint(house)
        end.say("one")
        await house.quiet()
        ((ident,),) = house.rows("select id from outbox")
        assert await house.store.move_delivery(DeliveryId(ident), (DRAFT,), QUEUED, "person")
    # Nobody looked at it before the end. A second word of the person changes nothing.
    async with House(tmp_path, rules=[ECHO], lines=LINES, clock=clock) as house:
        assert not await house.store.move_delivery(DeliveryId(ident), (DRAFT,), QUEUED, "person")
        end = Endpoint(house)
        await house.quiet()
        assert end.heard == ["收到：one"]
    async with House(tmp_path, rules=[ECHO], lines=LINES, clock=clock) as house:
        end = Endpoint(house)
        await house.quiet()
        assert (end.heard, fates(house)) == ([], [(SENT, "")])


async def test_drafts_survive_a_restart(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        Endpoint(house).say("one")
        await house.quiet()
        clock = house.clock
    async with House(tmp_path, rules=[ECHO], lines=LINES, clock=clock) as house:
        end = Endpoint(house)
        await house.quiet()
        assert end.heard == []
        assert await house.store.drafts(9) == {"core": 1}
        assert await approve(house)
        assert end.heard == ["收到：one"]


async def test_a_draft_and_its_end_are_changes_that_viewers_see(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        seen: list[Any] = []
        house.desk.watch(lambda one: seen.append((one.what, one.detail)))
        Endpoint(house).say("one")
        await house.quiet()
        assert ("answer", "draft") in seen
        position = await house.store.last_change()
        house.advance(DRAFT_LIFE_MS / 1000 + 1)
        await house.keeper.step()
        changes = await house.store.changes(position, 9)
        assert [row.state for _, row, _ in changes.rows] == [EXPIRED]
        assert ("delivery", "expired") in seen
