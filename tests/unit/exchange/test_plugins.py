"""Plugins in a whole house: what they answer, and what becomes of their faults."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Any

import pytest

from askhouse import AskHouse, Gate, said
from house import chat, kinds, maim, texts, visitor
from trunkline.pipeline.rulebook import RuleSpec
from trunkline.pipeline.trace import decode_trace, explain

MAIM = {"core": {"dialect": "maim"}}
PRICE = RuleSpec("price", ("价格",), reply="十元")
ANY = RuleSpec("any", match="any", reply="规则")

# design 3, "Python"
DESIGN = """\
from trunkline import Message, Router

router = Router()

@router.keyword("天气", lines=["core"])
async def weather(msg: Message) -> str:
    return f"{msg.sender.name}，今天晴"

@router.message()
async def echo(msg: Message):
    return msg.segments
"""
HANGING = """\
import asyncio
from trunkline import Router

router = Router()

@router.keyword("等")
async def wait(msg):
    await asyncio.Event().wait()
"""


def plugin(body: str, decorator: str = "@router.message()", head: str = "async def f(msg):") -> str:
    return f"from trunkline import *\n\nrouter = Router()\n\n{decorator}\n{head}\n    {body}\n"


def told(house: Any) -> str:
    rows = house.rows("select why from inbox order by id desc limit 1")
    return "\n".join(explain(decode_trace(rows[0][0]), "en"))


async def test_the_echo_bot_of_the_design_returns_pictures_and_lists_unchanged(
    tmp_path: Path,
) -> None:
    async with AskHouse(tmp_path, files={"echo.py": DESIGN}, lines=MAIM) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
        frame = maim("x")
        frame["message_segment"] = {
            "type": "seglist",
            "data": [
                {"type": "text", "data": "看"},
                {"type": "image", "data": picture},
                {"type": "at", "data": "u9"},
                {"type": "seglist", "data": [{"type": "text", "data": "里面"}]},
            ],
        }
        qq.say(frame)
        await house.rest()
        (answer,) = qq.frames()
        back = answer["message_segment"]["data"]
        assert [part["type"] for part in back[:2]] == ["text", "image"]
        assert back[1]["data"] == picture
        assert "里面" in str(back)
        qq.say(maim("今天天气", "m2"))
        await house.rest()
        assert texts(qq.frames()) == ["N，今天晴"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (plugin("raise KeyError('城市')"), "line 7: KeyError: '城市'"),
        (plugin("raise SystemExit(3)"), "line 7: SystemExit: 3"),
        (plugin("raise __import__('asyncio').CancelledError"), "line 7: CancelledError"),
        (plugin("return 3"), "TypeError: returned int"),
        (plugin("return [3]"), "TypeError: returned a list with int"),
        (plugin("yield 'a'\n    raise ValueError('b')"), "line 8: ValueError: b"),
        (
            plugin("await __import__('asyncio').Event().wait()", "@router.message(within='20ms')"),
            "took more than 0.02 s",
        ),
        (plugin("raise TimeoutError('mine')"), "line 7: TimeoutError: mine"),
        (plugin("return 1 / 0", head="def f(msg):"), "line 7: ZeroDivisionError"),
    ],
)
async def test_a_fault_is_recorded_and_the_next_stage_answers(
    tmp_path: Path, text: str, fault: str
) -> None:
    async with AskHouse(tmp_path, files={"bad.py": text}, rules=[ANY]) as house:
        peer = visitor(house)
        peer.say(chat("hi"))
        await house.rest()
        assert said(peer.frames()) == ["规则"]
        assert f"bad.py:f: {fault}" in told(house)
        assert house.runner.faults == {"bad.py:f": 1}
        assert len(house.faults) == 1
        assert "城市" not in str(house.faults)  # the log does not get what an exception quotes


async def test_the_next_handler_answers_when_one_fails_or_passes(tmp_path: Path) -> None:
    files = {
        "a.py": plugin("raise KeyError('x')"),
        "b.py": plugin("return None"),
        "c.py": plugin("return 'c'"),
        "d.py": plugin("return 'd'"),
    }
    async with AskHouse(tmp_path, files=files, rules=[ANY]) as house:
        peer = visitor(house)
        peer.say(chat("hi"))
        await house.rest()
        assert said(peer.frames()) == ["c"]
        assert house.rows("select source from outbox") == [("plugin:c.py:f",)]
        assert "a.py:f: line 7" in told(house)


async def test_a_hanging_plugin_delays_its_own_conversation_only(tmp_path: Path) -> None:
    async with AskHouse(tmp_path, files={"w.py": HANGING}, rules=[PRICE]) as house:
        waiting, other = visitor(house), visitor(house)
        waiting.say(chat("等"))
        await house.until(lambda: house.core.asking.held)
        for _ in range(3):
            other.say(chat("价格"))
            await house.quiet()
            assert said(other.frames()) == ["十元"]
        assert kinds(waiting.frames()) == ["chat_message_received"]


async def test_returns_of_every_kind(tmp_path: Path) -> None:
    text = """\
from trunkline import Message, Reply, Router, Stop, Text

router = Router()

@router.command("many")
async def many(msg: Message):
    yield "一"
    yield [Text("二")]

@router.command("sync")
def sync(msg):
    return Reply(f"好 {msg.rest}")

@router.command("gen")
def gen(msg):
    yield "1"
    yield None
    yield "2"

@router.command("quiet")
async def quiet(msg):
    return Stop()

@router.command("none")
async def none(msg):
    return None
"""
    async with AskHouse(tmp_path, files={"all.py": text}, rules=[ANY]) as house:
        peer = visitor(house)
        for words, answer in (
            ("/many", ["一", "二"]),
            ("sync x y", ["好 x y"]),
            ("gen", ["1", "2"]),
            ("quiet", []),
            ("none", ["规则"]),
        ):
            peer.say(chat(words))
            await house.rest()
            assert said(peer.frames()) == answer
        assert house.faults == []


async def test_parameters_are_filled_by_their_types(tmp_path: Path) -> None:
    text = """\
from __future__ import annotations
from trunkline import Conversation, Line, Log, Message, Now, Person, Router, Store

router = Router()

@router.message()
async def all_of_them(
    who: Person, at: Now, line: Line, talk: Conversation, log: Log, store: Store, msg: Message,
    extra: int = 7,
) -> str:
    used = await store.add("used")
    log.info("asked", used=used)
    return (
        f"{line.name} {line.dialect} {who.name} {at:%Y-%m-%d %H:%M} {talk.ref} {msg.chat.ref}"
        f" {used} {extra} {msg.line.name} {talk.is_taken}"
    )
"""
    async with AskHouse(tmp_path, files={"all.py": text}, lines=MAIM) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"))
        await house.rest()
        ref = "core/private:u1"
        date = "2026-01-01 08:00"
        assert texts(qq.frames()) == [f"core maim N {date} {ref} {ref} 1 7 core False"]
        qq.say(maim("b", "m2"))
        await house.rest()
        assert " 2 7 " in texts(qq.frames())[0]
        assert next(fields for _, action, fields in house.log.lines if action == "plugin") == {
            "plugin": "all", "text": "asked", "used": 1,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("from trunkline import Router\nrouter = Router(\n", "line 2: SyntaxError"),
        ("import trunkline\n\nx = 1 / 0\n", "line 3: ZeroDivisionError"),
        ("raise SystemExit(1)\n", "line 1: SystemExit"),
        (plugin("return 1", "@router.keyword()"), "line 5: ValueError"),
        (plugin("return 1", "@router.pattern('(')"), "bad.py:f: pattern"),
        (plugin("return 1", head="async def f(msg, other: dict):"), "parameter other of f"),
    ],
)
async def test_a_file_with_an_error_says_so_and_nobody_else_notices(
    tmp_path: Path, text: str, fault: str
) -> None:
    files = {"bad.py": text, "good.py": plugin("return 'good'")}
    async with AskHouse(tmp_path, files=files) as house:
        peer = visitor(house)
        peer.say(chat("hi"))
        await house.rest()
        assert said(peer.frames()) == ["good"]
        (note,) = house.plugins.notes()
        assert note.startswith("plugin bad.py: ")
        assert fault in note
        (line,) = [fields for level, _, fields in house.log.lines if level == "error"]
        assert (line["file"], line["kept"]) == ("bad.py", 0)


async def test_a_saved_file_is_used_and_a_broken_one_keeps_its_previous_version(
    tmp_path: Path,
) -> None:
    async with AskHouse(tmp_path, files={"a.py": plugin("return 'one'")}, rules=[ANY]) as house:
        peer = visitor(house)

        async def answer() -> list[str]:
            peer.say(chat("hi"))
            await house.rest()
            return said(peer.frames())

        assert await answer() == ["one"]
        assert not await house.plugins.look()  # nothing was saved
        house.write("a.py", plugin("return 'second'"))
        assert await house.plugins.look()
        assert await answer() == ["second"]
        house.write("a.py", plugin("return 'third") + "'''")
        assert await house.plugins.look()
        assert await answer() == ["second"]
        assert "SyntaxError" in house.plugins.notes()[0]
        house.write("a.py", plugin("return 'fourth'"))
        assert await house.plugins.look()
        assert await answer() == ["fourth"]
        assert house.plugins.notes() == ()
        house.write("new.py", plugin("return 'new'", "@router.message(priority=9)"))
        assert await house.plugins.look()
        assert await answer() == ["new"]
        (house.files / "new.py").unlink()
        (house.files / "a.py").unlink()
        assert await house.plugins.look()
        assert await answer() == ["规则"]


async def test_a_save_of_the_same_size_is_seen(tmp_path: Path) -> None:
    async with AskHouse(tmp_path, files={"a.py": plugin("return 'one'")}) as house:
        house.write("a.py", plugin("return 'two'"))
        seen = (house.files / "a.py").stat().st_mtime_ns + 1_000_000
        os.utime(house.files / "a.py", ns=(seen, seen))
        assert await house.plugins.look()


async def test_files_are_looked_at_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.plugins.loader.POLL_S", 0.001)
    async with AskHouse(tmp_path) as house:
        looks = asyncio.create_task(house.plugins.run())
        house.write("a.py", plugin("return 'one'"))
        await house.until(lambda: house.plugins.specs)
        looks.cancel()
        await asyncio.gather(looks, return_exceptions=True)
        assert [spec.name for spec in house.plugins.specs] == ["a.py:f"]


async def test_a_file_that_changes_while_it_is_asked_harms_nothing(tmp_path: Path) -> None:
    files = {"a.py": HANGING.replace('"等"', '"等", within=0.05'), "b.py": plugin("return 'b'")}
    async with AskHouse(tmp_path, files=files, rules=[ANY]) as house:
        peer = visitor(house)
        peer.say(chat("等"))
        await house.until(lambda: house.core.asking.held)
        (house.files / "b.py").unlink()
        await house.plugins.look()
        await house.until(lambda: not house.core.asking.held)
        await house.quiet()
        assert said(peer.frames()) == ["规则"]


async def test_plugin_then_model_in_one_turn(tmp_path: Path) -> None:
    gate = Gate("模型").open()
    async with AskHouse(tmp_path, files={"n.py": plugin("return None")}, model=gate) as house:
        peer = visitor(house)
        peer.say(chat("hi"), chat("ho"))
        await house.rest()
        assert said(peer.frames()) == ["模型", "模型"]
        assert house.rows("select count(*) from turn") == [(0,)]
        assert gate.texts == ["hi", "ho"]


async def test_a_plain_handler_that_blocks_delays_its_own_conversation_only(tmp_path: Path) -> None:
    """It stood on the loop: nobody was served, and a stop did not come through."""
    import threading

    import trunkline

    gate = threading.Event()
    trunkline.test_gate = gate  # type: ignore[attr-defined]  # the way into a plugin's file
    body = "import trunkline; trunkline.test_gate.wait(30); return '等到了'"
    files = {"block.py": plugin(body, '@router.keyword("等")', "def f(msg):")}
    try:
        async with AskHouse(tmp_path, files=files, rules=[ANY]) as house:
            slow, other = visitor(house), visitor(house)
            slow.say(chat("等"))
            await house.core.quiet()
            other.say(chat("你好"))
            await house.core.quiet()
            assert said(other.frames()) == ["规则"]
            gate.set()
            await house.rest()
            assert said(slow.frames()) == ["等到了"]
    finally:
        gate.set()
        del trunkline.test_gate
