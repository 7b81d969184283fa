"""A real HTTP server that speaks the chat API of models: good, slow, cut, throttling, nonsense.

async with ModelService() as service:
    service.how = "good"
    … Settings(base_url=service.url, …)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Literal

How = Literal[
    "good", "slow", "cut", "cut-inside", "429", "500", "401", "html", "no-choices", "no-text",
    "other-json", "closed",
]  # fmt: skip


def completion(text: object) -> dict[str, Any]:
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        ],
    }  # fmt: skip


class ModelService:
    """One server on a free port of 127.0.0.1.

    Attributes:
        how: what it does to the next requests.
        says: what a good answer says; `{}` is the last question.
        requests: the decoded bodies, with the key that came with each.
    """

    def __init__(self) -> None:
        self.how: How = "good"
        self.says = "答：{}"
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.go_on = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> ModelService:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._busy):
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    @property
    def questions(self) -> list[str]:
        return [request["messages"][-1]["content"] for request in self.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._busy.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.splitlines()[1:])
        }
        body = json.loads(await reader.readexactly(int(fields["content-length"])))
        assert head.startswith("POST /v1/chat/completions ")
        self.requests.append(body)
        self.keys.append(fields.get("authorization", ""))
        if self.how == "slow":
            await self.go_on.wait()
        if self.how == "cut":
            return False
        status, kind, data = self._answer(body)
        size = len(data) + (100 if self.how == "cut-inside" else 0)
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        return self.how != "cut-inside"

    def _answer(self, body: dict[str, Any]) -> tuple[str, str, bytes]:
        kind = "application/json"
        if self.how in ("429", "500", "401"):
            return self.how, kind, json.dumps({"error": {"message": "no"}}).encode()
        if self.how == "html":
            return "200", "text/html", b"<html>welcome to the hotel wifi</html>"
        if self.how == "other-json":
            return "200", kind, b'{"hello": "world"}'
        done = completion(self.says.replace("{}", body["messages"][-1]["content"]))
        if self.how == "no-choices":
            done["choices"] = []
        if self.how == "no-text":
            done = completion(None)
        return "200", kind, json.dumps(done).encode()
