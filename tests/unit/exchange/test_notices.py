"""Notices in a whole house: answered only where a rule or a plugin names them, in order, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from askhouse import AskHouse, Gate
from house import House
from origins import Endpoint
from trunkline.exchange.turns import together
from trunkline.ids import ConversationId, InboxId
from trunkline.model.address import Chat
from trunkline.model.event import NoticeReceived, Person
from trunkline.pipeline.rulebook import DefaultSpec, RuleSpec
from trunkline.pipeline.trace import decode_trace, explain
from trunkline.store.contract import EventKind, InboxRow, InboxState

QQ = Chat("qq", "private", "u1", "买家甲")
LINES = {"core": {"dialect": "maim"}}
PAID = RuleSpec("paid", reply="谢谢 {send_user_name}", notices=("order:paid",))
DEFAULT = DefaultSpec("默认")
PLUGIN = """\
from trunkline import Notice, Router

router = Router()

@router.notice("order")
async def paid(notice: Notice) -> str:
    return f"{notice.name} {notice.data['status']} {notice.item} {notice.sender.name}"
"""


def order(name: str = "order:paid", ident: str = "1", *, is_trusted: bool = True) -> NoticeReceived:
    return NoticeReceived(
        QQ, name, Person("u1"), b'{"status": "pending_ship"}', ident.encode(), ident,
        item="9", is_trusted=is_trusted,
    )  # fmt: skip


def tell(house: House, end: Endpoint, event: NoticeReceived) -> None:
    house.core.offer(end, event, event.peer_id, 1)  # type: ignore[arg-type]  # an Origin


def why(house: Any) -> list[str]:
    rows = house.rows("select why from inbox order by id")
    return [explain(decode_trace(row[0]), "en")[0] for row in rows]


async def test_a_rule_answers_a_notice_by_the_name_of_the_chat_and_once(tmp_path: Path) -> None:
    async with House(tmp_path, lines=LINES, rules=[PAID], defaults=[DEFAULT]) as house:
        end = Endpoint(house)
        tell(house, end, order())
        tell(house, end, order())
        tell(house, end, order("order:shipped", "2"))
        tell(house, end, order(ident="3", is_trusted=False))
        await house.quiet()
        assert end.heard == ["谢谢 买家甲"]
        assert sorted(end.receipts) == ["1", "1", "2", "3"]
        assert [line.partition(": ")[2] for line in why(house)] == [
            "rule paid matched “order:paid”",
            "notices and requests are not answered",
            "the platform may not have said this itself, so nothing acts on it",
        ]


async def test_no_rule_for_notices_leaves_them_alone(tmp_path: Path) -> None:
    everything = RuleSpec("any", match="any", reply="规则")
    async with House(tmp_path, lines=LINES, rules=[everything], defaults=[DEFAULT]) as house:
        end = Endpoint(house)
        tell(house, end, order())
        await house.quiet()
        assert end.heard == []


async def test_a_plugin_hears_a_notice_with_what_the_dialect_told(tmp_path: Path) -> None:
    async with AskHouse(tmp_path, files={"o.py": PLUGIN}, lines=LINES, rules=[PAID]) as house:
        end = Endpoint(house)
        tell(house, end, order())
        await house.rest()
        assert end.heard == ["order:paid pending_ship 9 买家甲"]
        end.say("你好", "u1")
        tell(house, end, order("ban", "4"))
        await house.rest()
        assert len(end.heard) == 1


async def test_a_notice_waits_behind_the_question_that_is_being_asked(tmp_path: Path) -> None:
    gate = Gate("模型：{}")
    async with AskHouse(tmp_path, files={"o.py": PLUGIN}, model=gate, lines=LINES) as house:
        end = Endpoint(house)
        end.say("一", "u1")
        await house.until(lambda: gate.asked)
        tell(house, end, order())
        end.say("二", "u1")
        await house.quiet()
        assert end.heard == []
        gate.open()
        await house.rest()
        assert end.heard == ["模型：一", "order:paid pending_ship 9 买家甲", "模型：二"]
        assert house.rows("select count(*) from inbox where state = 0") == [(0,)]
        assert house.rows("select count(*) from turn") == [(0,)]


async def test_words_that_wait_for_more_and_a_notice_are_two_turns(tmp_path: Path) -> None:
    lines = {"core": {"dialect": "maim", "debounce_s": 1.0}}
    everything = RuleSpec("any", match="any", reply="{send_message}")
    async with AskHouse(tmp_path, files={"o.py": PLUGIN}, lines=lines, rules=[everything]) as house:
        end = Endpoint(house)
        end.say("一", "u1")
        await house.quiet()
        tell(house, end, order())
        await house.rest()
        house.advance(3)
        await house.turns.look()
        await house.rest()
        assert end.heard == ["order:paid pending_ship 9 买家甲", "一"]
        assert house.rows("select count(*) from inbox where state = 0") == [(0,)]
        assert house.rows("select count(*) from turn") == [(0,)]


async def test_what_waits_is_decided_on_in_its_order_and_a_notice_alone(tmp_path: Path) -> None:
    lines = {
        "core": {"dialect": "maim", "debounce_s": 1.0},
        "plain": {"dialect": "maim", "path": "/p"},
    }
    async with House(tmp_path, lines=lines) as house:
        debounced, plain = house.lines["core"].facts, house.lines["plain"].facts

        def first(kinds: str, facts: Any = debounced) -> int:
            rows = [
                InboxRow(
                    InboxId(nth), ConversationId(1), None,
                    EventKind.MESSAGE if kind == "m" else EventKind.NOTICE, InboxState.WAITING,
                    0, b"",
                )
                for nth, kind in enumerate(kinds)
            ]  # fmt: skip
            return len(together(facts, rows))

        assert [first(kinds) for kinds in ("mm", "mmnm", "nm", "nn", "m", "")] == [2, 2, 1, 1, 1, 0]
        assert [first(kinds, plain) for kinds in ("mm", "nm", "")] == [1, 1, 0]
        assert first("mmn", None) == 2
