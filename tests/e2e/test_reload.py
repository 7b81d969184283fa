"""Rules are taken up while the program runs; a broken edit changes nothing and says so.

Source: design 3
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import product
from peers import Visitor, chat, visiting
from sse import Listener

SITE = """\
[lines.blog]
dialect = "contact"

[[rules]]
name = "price"
keywords = ["多少钱"]
reply = "十元"
"""


async def _price(visitor: Visitor) -> str:
    await visitor.send(chat("多少钱"))
    return (await visitor.until("chat_message"))[0]["message"]


async def _edited(listener: Listener, path: Path, text: str) -> dict:
    path.write_text(text)
    return (await asyncio.to_thread(listener.until, "rules")).data


async def test_good_and_broken_edits_while_a_visitor_stays_connected(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.toml"
    with (
        product.serving(tmp_path, SITE) as running,
        Listener(running.port, running.token, "?topics=rules") as listener,
    ):
        async with visiting(running.socket("/contact")) as visitor:
            assert await _price(visitor) == "十元"

            told = await _edited(listener, path, SITE.replace("十元", "九元"))
            assert (told["problems"], told["rules"]) == ([], 1)
            assert await _price(visitor) == "九元"

            told = await _edited(listener, path, SITE.replace("keywords", "keyword"))
            assert any("keyword" in problem for problem in told["problems"])
            assert await _price(visitor) == "九元"
            rules = running.get("/api/v1/rules")
            assert rules["rules"][0]["reply"] == "九元"
            assert rules["problems"] == told["problems"]
            ready = running.get("/readyz")
            assert any("not in use" in note for note in ready["notes"])
            assert ready["status"] == "ok"  # what ran before runs on
            assert "configuration edit refused" in running.log()

            more = SITE.replace("十元", "八元") + '\n[lines.core]\ndialect = "maim"\n'
            told = await _edited(listener, path, more)
            assert told["problems"] == []
            assert told["restart_needed"] == ["[lines.core]"]
            assert await _price(visitor) == "八元"
            names = [line["name"] for line in running.get("/api/v1/lines")["lines"]]
            assert names == ["blog"]
            notes = running.get("/readyz")["notes"]
            assert any("restart needed for [lines.core]" in note for note in notes)


async def test_ten_thousand_keywords_are_taken_up_beside_the_talk(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.toml"
    many = "".join(
        f'[[rules]]\nname = "r{n}"\nkeywords = ["keyword-{n}x"]\nreply = "answer {n}"\n'
        for n in range(10_000)
    )
    with (
        product.serving(tmp_path, SITE) as running,
        Listener(running.port, running.token, "?topics=rules") as listener,
    ):
        async with visiting(running.socket("/contact")) as visitor:
            taken = asyncio.create_task(_edited(listener, path, SITE + many))
            answers = 0
            while not taken.done() and answers < 15:  # a visitor may say 20 at once
                assert await _price(visitor) == "十元"
                answers += 1
                await asyncio.wait({taken}, timeout=0.1)
            assert answers >= 2
            assert (await taken)["rules"] == 10_001
            await visitor.send(chat("keyword-9999x"))
            assert (await visitor.until("chat_message"))[0]["message"] == "answer 9999"


PLUGIN = """\
from trunkline import Message, Router

router = Router()


@router.keyword("天气")
async def weather(msg: Message) -> str:
    return "今天晴"
"""


async def test_a_plugin_is_taken_up_when_it_is_saved_and_a_broken_one_is_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "plugins" / "weather.py"
    path.parent.mkdir()
    with (
        product.serving(tmp_path, SITE) as running,
        Listener(running.port, running.token, "?topics=rules") as listener,
    ):
        async with visiting(running.socket("/contact")) as visitor:

            async def ask() -> str:
                await visitor.send(chat("天气"))
                return (await visitor.until("chat_message"))[0]["message"]

            for text, answer in ((PLUGIN, "今天晴"), (PLUGIN.replace("晴", "雨"), "今天雨")):
                path.write_text(text)
                told = (await asyncio.to_thread(listener.until, "plugins")).data
                assert told == {"handlers": 1, "problems": []}
                assert await ask() == answer
            path.write_text(PLUGIN + "\nthis is no python")
            told = (await asyncio.to_thread(listener.until, "plugins")).data
            assert told["handlers"] == 1
            assert "weather.py" in told["problems"][0]
            assert await ask() == "今天雨"
            assert any("weather.py" in note for note in running.get("/readyz")["notes"])
            assert await _price(visitor) == "十元"  # rules are beside it
