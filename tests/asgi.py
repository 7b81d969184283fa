"""A raw ASGI caller: sees what the application really sends, also while it is still sending."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

HOST = "127.0.0.1:8080"


class Answer(NamedTuple):
    """One complete answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def _scope(method: str, path: str, headers: Iterable[tuple[str, str]], peer: str) -> dict[str, Any]:
    target, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(target),  # as servers do
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": (peer, 50000),
        "server": ("127.0.0.1", 8080),
    }


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]], token: str) -> list[Any]:
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.append(("host", HOST))
    if token:
        pairs.append(("authorization", f"Bearer {token}"))
    return pairs


async def call(
    app: Any,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    token: str = "",
    json: Any = None,
    chunks: Iterable[bytes] = (),
    peer: str = "127.0.0.1",
) -> Answer:
    """Call the application once. `chunks` is the body piece by piece, without a length."""
    pairs = _pairs(headers, token)
    waiting = list(chunks)
    if json is not None:
        waiting = [msgspec.json.encode(json)]
        pairs += [("content-type", "application/json"), ("content-length", str(len(waiting[0])))]
    waiting = waiting or [b""]
    started: dict[str, Any] = {}
    body = bytearray()
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        if taken < len(waiting):
            taken += 1
            more = taken < len(waiting)
            return {"type": "http.request", "body": waiting[taken - 1], "more_body": more}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert not started
            started.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(_scope(method, path, pairs, peer), receive, send)
    names = {key.decode(): value.decode() for key, value in started["headers"]}
    return Answer(started["status"], names, bytes(body))


class Stream:
    """A call that is still being answered. Use as an async context manager.

    Leaving it plays a viewer who goes away.
    """

    def __init__(self, app: Any, path: str, *, token: str) -> None:
        self._app = app
        self._scope = _scope("GET", path, _pairs((), token), "127.0.0.1")
        self._gone = asyncio.Event()
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._is_asked = False
        self.status = 0
        self.body = b""
        self.is_done = False

    async def __aenter__(self) -> Stream:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._gone.set()
        async with asyncio.timeout(5):
            await self._task

    async def until(self, part: bytes) -> bytes:
        """Return everything sent so far, once it holds `part`."""
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: part in self.body or self.is_done)
        assert part in self.body, self.body
        return self.body

    async def end(self) -> bytes:
        """Return everything, once the application has finished by itself."""
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: self.is_done)
        return self.body

    async def _run(self) -> None:
        await self._app(self._scope, self._receive, self._send)
        async with self._news:
            self.is_done = True
            self._news.notify_all()

    async def _receive(self) -> dict[str, Any]:
        if not self._is_asked:
            self._is_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._news:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            self.body += message.get("body", b"")
            self._news.notify_all()
