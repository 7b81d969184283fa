"""The harness's own WebSocket: what had arrived is read, whatever happens to the server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from trunkline.dev.torture.bare import BareLink, Cut

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


@asynccontextmanager
async def server(talk):
    """Serve one connection after its head is read; `talk(reader, writer)`."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/x"


async def _messages(link: BareLink, count: int) -> list[tuple[bytes, bool]]:
    found: list[tuple[bytes, bool]] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            found += link.take()
            if len(found) < count:
                await link.wait(5)
    return found


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    size = second & 127
    assert second & 128, "a client masks"
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    key = await reader.readexactly(4)
    body = await reader.readexactly(size)
    return first & 15, bytes(byte ^ key[nth % 4] for nth, byte in enumerate(body))


async def test_to_hang_up_says_why():
    got = asyncio.get_running_loop().create_future()

    async def talk(reader, writer):
        writer.write(SWITCH)
        got.set_result(await _frame(reader))

    async with server(talk) as url:
        link = await BareLink.open(url, {})
        link.hang_up(1000, "Bye")
        async with asyncio.timeout(5):
            assert await got == (8, b"\x03\xe8Bye")
        link.close()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 125, 126, 65535, 65536])
async def test_what_is_sent_arrives_masked(size):
    got = asyncio.get_running_loop().create_future()

    async def talk(reader, writer):
        writer.write(SWITCH)
        got.set_result(await _frame(reader))

    async with server(talk) as url:
        link = await BareLink.open(url, {})
        body = bytes(nth % 251 for nth in range(size))
        link.send(body)
        assert await asyncio.wait_for(got, 5) == (1, body)
        link.close()


async def test_a_dead_server_loses_nothing_that_it_had_written():
    async def talk(reader, writer):
        writer.write(SWITCH + b"\x81\x01a" + b"\x82\x01b")
        await writer.drain()
        writer.transport.abort()

    async with server(talk) as url:
        link = await BareLink.open(url, {})
        link.send(b"into the void")
        link.send(b"and again")
        assert await _messages(link, 2) == [(b"a", True), (b"b", False)]
        with pytest.raises(Cut):
            await _messages(link, 1)
        link.close()


async def test_who_leaves_still_gets_what_was_written_before():
    async def talk(reader, writer):
        writer.write(SWITCH)
        assert await reader.read() == b""
        writer.write(b"\x81\x01a")
        await writer.drain()

    async with server(talk) as url:
        link = await BareLink.open(url, {})
        link.leave()
        assert await _messages(link, 1) == [(b"a", True)]
        link.close()


async def test_a_ping_is_answered_and_a_close_ends_it():
    got = asyncio.get_running_loop().create_future()

    async def talk(reader, writer):
        writer.write(SWITCH + b"\x89\x02hi")
        got.set_result(await _frame(reader))
        writer.write(b"\x88\x02\x03\xe9")

    async with server(talk) as url:
        link = await BareLink.open(url, {})
        with pytest.raises(Cut, match="closed 1001"):
            await _messages(link, 1)
        assert await got == (10, b"hi")
        link.close()


async def test_a_refused_upgrade_is_a_cut():
    async def talk(reader, writer):
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    async with server(talk) as url:
        with pytest.raises(Cut, match="403"):
            await BareLink.open(url, {})
