"""The front door of a platform that the product dials: HTTP, upgrades, and who is sent away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from trunkline.dev.torture.bare import BareLink, Cut
from trunkline.dev.torture.front import Front
from trunkline.dev.torture.ways import Place
from trunkline.dialects.contract import Actor, Fetch, Fetched, Head, Opening, Refuse, Session


class Platform(Place):
    """Says what it was asked; account 3 is known."""

    def __init__(self) -> None:
        self.violations = {}

    def lines(self, base: str) -> str:
        return base

    def actor(self, number: int) -> Actor:
        return Actor("market", {}, [])

    def http(self, request: Fetch) -> Fetched:
        told = f"{request.method} {request.url} {request.headers['x-a']} ".encode()
        return Fetched(418, (("set-cookie", "a=1"), ("set-cookie", "b=2")), told + request.body)

    def admit(self, head: Head) -> tuple[int, str] | Refuse:
        if head.headers.get("cookie") != "unb=3":
            return Refuse(403, "no account")
        return 3, "mqtt"

    def session(self, number: int, opening: Opening, manners: frozenset[str]) -> Session:
        raise NotImplementedError


@contextlib.asynccontextmanager
async def front() -> AsyncIterator[tuple[str, asyncio.Queue[Any]]]:
    came: asyncio.Queue[Any] = asyncio.Queue()
    door = Front(Platform(), lambda *arrived: came.put_nowait(arrived))
    serving = asyncio.create_task(door.run())
    try:
        yield door.base, came
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_call_is_answered_whole() -> None:
    async with front() as (base, _), asyncio.timeout(5):
        host = base.removeprefix("http://")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        head = f"POST /p?q=1 HTTP/1.1\r\nHost: {host}\r\nX-A: z\r\nContent-Length: 4\r\n\r\nbo"
        writer.write(head.encode())
        await writer.drain()
        writer.write(b"dy")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 418 ")
    assert answer.endswith(f"POST {base}/p?q=1 z body".encode())
    assert answer.count(b"set-cookie: ") == 2


@pytest.mark.parametrize("size", [0, 3, 126, 70_000])
async def test_an_account_gets_its_link_and_both_sides_talk(size: int) -> None:
    async with front() as (base, came), asyncio.timeout(5):
        url = f"ws{base.removeprefix('http')}/x?y=1"
        near = await BareLink.open(url, {"Cookie": "unb=3"}, "mqtt")
        number, far, head = await came.get()
        assert (number, head.path, head.query) == (3, "/x", {"y": "1"})
        body = bytes(nth % 251 for nth in range(size))
        for sender, receiver in ((near, far), (far, near)):
            sender.send(body, is_text=False)
            assert await message(receiver) == (body, False)
        far.leave()
        with pytest.raises(Cut):
            await message(near)
        near.close()
        far.close()


async def test_a_stranger_is_refused() -> None:
    async with front() as (base, came), asyncio.timeout(5):
        with pytest.raises(Cut, match="403"):
            await BareLink.open("ws" + base.removeprefix("http"), {})
        assert came.empty()


async def message(link: BareLink) -> tuple[bytes, bool]:
    while not (found := link.take()):
        await link.wait(5)
    return found[0]
