"""A broadcast reaches each visitor once, while others come and vanish.

Source: guides 6, contact 9.3
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import quote

import pytest

import product
from peers import Visitor, chat, visiting

SITE = """\
[lines.blog]
dialect = "contact"

[lines.core]
dialect = "maim"
path = "/ws"

[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""
STAYING = 30
LEAVING = 30


async def _hear(visitor: Visitor) -> list[str]:
    """Return what was said by the system until our own question is answered."""
    await visitor.send(chat("after"))
    heard: list[str] = []
    while True:
        frame = await visitor.next()
        if frame["type"] == "chat_message":
            if frame["message"] == "收到：after":
                return heard
            heard.append(frame["message"])


async def test_each_visitor_hears_it_once_while_others_vanish(tmp_path: Path) -> None:
    with product.serving(tmp_path, SITE) as running:
        url = running.socket("/contact")
        async with contextlib.AsyncExitStack() as stack:
            staying = [await stack.enter_async_context(visiting(url)) for _ in range(STAYING)]
            leaving = [await stack.enter_async_context(visiting(url)) for _ in range(LEAVING)]

            async def vanish() -> None:
                for visitor in leaving:
                    visitor.socket.transport.abort()
                    await asyncio.sleep(0)

            body = {"line": "blog", "message": "今晚维护"}
            call = asyncio.to_thread(running.get, "/api/v1/broadcast", body)
            done, _ = await asyncio.gather(call, vanish())
            assert done["delivered"] >= STAYING
            assert done["delivered"] + done["failed"] <= STAYING + LEAVING
            for visitor in staying:
                assert await _hear(visitor) == ["今晚维护"]
            address = quote(f"blog/visitor:{staying[0].client_id}", safe="")
            said = running.get(f"/api/v1/conversations/{address}/messages")["messages"]
            assert [one["text"] for one in said if one["speaker"] == "system"] == ["今晚维护"]


async def test_the_command_says_it_once_to_those_who_are_there(tmp_path: Path) -> None:
    with product.serving(tmp_path, SITE) as running:
        async with visiting(running.socket("/contact")) as visitor:
            done = await asyncio.to_thread(
                product.run, tmp_path, "broadcast", "blog", "hello", "-c", "trunkline.toml"
            )
            assert (done.code, done.out) == (0, "blog: 1 got it, 0 did not\n"), done.text
            assert await _hear(visitor) == ["hello"]


@pytest.mark.parametrize(("line", "status"), [("core", 409), ("none", 404)])
def test_a_line_that_is_no_contact_line_is_refused(tmp_path: Path, line: str, status: int) -> None:
    with product.serving(tmp_path, SITE) as running:
        body = {"line": line, "message": "x"}
        answer = running.ask("/api/v1/broadcast", body, Authorization=f"Bearer {running.token}")
        assert answer.status == status
        assert answer.body["fix"]
