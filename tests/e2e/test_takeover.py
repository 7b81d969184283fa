"""A person takes a conversation by the API: no automatic answer until it is given back.

Source: design 3, contact 9.3
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import product
from peers import chat, visiting

SITE = """\
[lines.blog]
dialect = "contact"

[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""


async def test_nothing_is_answered_while_a_person_has_it(tmp_path: Path) -> None:
    with product.serving(tmp_path, SITE) as running:

        async def api(path: str, body: Any = None, method: str = "") -> Any:
            return await asyncio.to_thread(running.get, path, body, method)

        async with visiting(running.socket("/contact")) as visitor:
            await visitor.send(chat("one"))
            await visitor.until("chat_message")
            address = f"blog/visitor:{visitor.client_id}"
            path = f"/api/v1/conversations/{quote(address, safe='')}"

            taken = await api(f"{path}/takeover", {"name": "Mei", "for_s": 600}, "PUT")
            assert (taken["address"], taken["by"]) == (address, "Mei")
            (shown,) = (await api("/api/v1/conversations"))["conversations"]
            assert (shown["taken_by"], shown["taken_until"]) == ("Mei", taken["until"])
            await visitor.send(chat("two"))
            await visitor.until("chat_message_received")
            await api("/api/v1/messages", {"to": address, "message": "it is me"})
            assert (await visitor.until("chat_message"))[0]["message"] == "it is me"

            given = await api(f"{path}/takeover", None, "DELETE")
            assert given["until"] is None
            await visitor.send(chat("three"))
            assert (await visitor.until("chat_message"))[0]["message"] == "收到：three"

            by_id = await api(f"/api/v1/conversations/{shown['id']}/messages")
            assert [one["text"] for one in by_id["messages"]] == [
                "收到：three", "three", "it is me", "two", "收到：one", "one",
            ]  # fmt: skip
            first = await api(f"{path}/messages?limit=4")
            rest = await api(f"{path}/messages?limit=4&cursor={first['cursor']}")
            assert first["messages"] + rest["messages"] == by_id["messages"]
            assert rest["cursor"] == ""
