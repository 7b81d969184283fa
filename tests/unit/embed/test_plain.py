"""A WebSocket without a dialect: its ends, its bounds, and peers that do not behave."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import serve

from trunkline.embed import plain
from trunkline.embed.plain import PlainSocket, open_plain
from trunkline.errors import ConfigError, LinkError, LinkLost, LinkRefused, LinkTimeout


def story(work):
    async def bounded():
        async with asyncio.timeout(20):
            await work()

    asyncio.run(bounded(), debug=True)


def address(stand: Any) -> str:
    return f"ws://127.0.0.1:{stand.sockets[0].getsockname()[1]}/"


async def send_for_ever(socket: PlainSocket) -> None:
    while True:
        await socket.send("x" * 200_000)


def test_what_came_before_the_end_is_read_then_the_end_is_told():
    async def talk(socket: Any) -> None:
        await socket.send("one")
        await socket.send("two")
        await socket.close(4001, "enough")

    async def work():
        async with serve(talk, "127.0.0.1", 0) as stand:
            socket = await open_plain(address(stand), {})
            assert [await socket.receive(), await socket.receive()] == ["one", "two"]
            with pytest.raises(LinkLost, match="closed 4001: enough"):
                await socket.receive()
            assert not socket.is_open
            with pytest.raises(LinkLost, match="4001"):
                await socket.send("late")
            await socket.close()
            await socket.close()

    story(work)


def test_a_refusal_and_a_wrong_address_are_told_apart():
    def refuse(connection: Any, _request: Any) -> Any:
        return connection.respond(403, "no\n")

    async def work():
        async with serve(lambda _: None, "127.0.0.1", 0, process_request=refuse) as stand:
            with pytest.raises(LinkRefused) as refused:
                await open_plain(address(stand), {})
            assert refused.value.status == 403
        with pytest.raises(LinkError):
            await open_plain("ws://127.0.0.1:1/", {})
        with pytest.raises(ConfigError):
            await open_plain("ftp://127.0.0.1/", {})
        with pytest.raises(ConfigError, match="line break"):
            await open_plain("ws://127.0.0.1:1/", {"X": "a\r\nb"})

    story(work)


def test_a_peer_that_does_not_read_is_an_error_in_time(monkeypatch):
    monkeypatch.setattr(plain, "SEND_S", 0.05)

    async def work():
        over = asyncio.Event()

        async def deaf(socket: Any) -> None:
            socket.transport.pause_reading()
            await over.wait()
            socket.transport.abort()

        async with serve(deaf, "127.0.0.1", 0, ping_interval=None) as stand:
            socket = await open_plain(address(stand), {})
            with pytest.raises(LinkTimeout, match="does not read"):
                await send_for_ever(socket)
            over.set()
            with pytest.raises(LinkError):
                await socket.receive()
            await socket.close()

    story(work)
