"""Plugins and assistant in the real process: found, asked, reloaded, failing, asked again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import product
from modelservice import ModelService
from peers import chat, visiting

PLUGIN = """\
from trunkline import Message, Router

router = Router()

@router.keyword("天气")
async def weather(msg: Message) -> str:
    return "今天晴"

@router.keyword("错")
async def broken(msg: Message) -> str:
    return msg.nothing
"""


def config(url: str) -> str:
    return f"""\
[lines.blog]
dialect = "contact"

[assistant]
base_url = "{url}"
model = "m"
api_key = "sk-test-0123456789abcdef"
fallback = "抱歉"
timeout_s = 5
"""


async def test_plugin_model_and_excuse_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "weather.py").write_text(PLUGIN, encoding="utf-8")
    async with ModelService() as service:
        # The service lives on this loop: the product is started and stopped beside it.
        running = await asyncio.to_thread(product.start, tmp_path, config(service.url))
        try:
            async with visiting(running.socket("/contact")) as visitor:

                async def answer(words: str) -> str:
                    await visitor.send(chat(words))
                    return str((await visitor.until("chat_message"))[-1]["message"])

                assert await answer("今天天气") == "今天晴"
                assert service.requests == []
                assert await answer("你好") == "答：你好"
                assert await answer("错了") == "答：错了"  # the next stage answers
                past = service.requests[1]["messages"]
                assert [one["role"] for one in past] == ["user", "assistant"] * 2 + ["user"]
                service.how = "429"
                assert await answer("还在吗") == "抱歉"
                service.how = "good"
                (tmp_path / "plugins" / "weather.py").write_text("router = (", encoding="utf-8")
                await _noted(running, "plugin weather.py: line 1: SyntaxError")
                assert await answer("今天天气") == "今天晴"  # the previous version goes on
            await asyncio.to_thread(running.stop)
        finally:
            await asyncio.to_thread(running.kill)
        assert "sk-test" not in running.log()


async def _noted(running: product.Product, note: str) -> None:
    """Wait until `/readyz` tells of a reload: files are looked at once a second."""
    async with asyncio.timeout(20):
        while note not in str(await asyncio.to_thread(running.get, "/readyz")):
            await asyncio.sleep(0)
