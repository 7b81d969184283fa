"""Attacks on a listening process: each breaks one rule, or leans on one bound, and then lets go.

An attack is a coroutine that is given the port. It checks what it gets to see (a status, a close
code); what the process looks like afterwards is the caller's to check. Source: reliability 2 and 8
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from rawsocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    RawSocket,
    close_payload,
    encode_frame,
    upgrade_request,
)

VISITOR = "/contact"
CORE = "/ws"
TOKEN = "a-hostile secret+with/odd=signs&26 bits"
KNOWN = [("Authorization", f"Bearer {TOKEN}"), ("platform", "qq")]
FLOOD_BYTES = 64_000_000  # the kernel's own buffers of loopback hold less than a quarter
Attack = Callable[[int], Awaitable[None]]

HEADS: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "a large head": (
        b"GET /contact HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        (431,),
    ),
    "an endless header": (b"GET /contact HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1_000_000, (431,)),
    "an endless target": (b"GET /" + b"x" * 1_000_000, (431, 400)),
    "65 headers": (
        upgrade_request(VISITOR, [(f"X-{number}", "1") for number in range(60)]),
        (431,),
    ),
    "two keys": (upgrade_request(VISITOR, [("Sec-WebSocket-Key", "AAAA")]), (400,)),
    "two versions": (upgrade_request(VISITOR, [("Sec-WebSocket-Version", "13")]), (400,)),
    "two hosts": (upgrade_request(VISITOR, [("Host", "evil.example")]), (400,)),
    "version 8": (upgrade_request(VISITOR, {"Sec-WebSocket-Version": "8"}), (426,)),
    "no key": (upgrade_request(VISITOR, {"Sec-WebSocket-Key": None}), (400,)),
    "POST": (upgrade_request(first_line="POST /contact HTTP/1.1"), (400, 426)),
    "HTTP/1.0": (upgrade_request(first_line="GET /contact HTTP/1.0"), (400, 426)),
    "bad bytes in the path": (b"GET /\xff\xfe\x00 HTTP/1.1\r\nHost: a\r\n\r\n", (400,)),
    "a traversal": (upgrade_request("/contact/../%2e%2e/etc/passwd"), (404, 403)),
    "a body of two lengths": (
        b"POST /api/v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        (400, 401),
    ),
    "an unknown proxy": (upgrade_request(CORE, [*KNOWN, ("X-Forwarded-For", "10.0.0.1")]), (403,)),
    "a wrong token": (upgrade_request(CORE, [("Authorization", TOKEN[:-1])]), (101, 401, 403)),
    "a TLS greeting": (bytes.fromhex("16030100c8010000c40303") + bytes(range(190)), (400,)),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", (400,)),
}

FRAMES: dict[str, tuple[bytes, int]] = {
    "no mask": (encode_frame(TEXT, b"x", is_masked=False), 1002),
    "reserved bit 1, as if compressed": (encode_frame(TEXT, b"\xf2\x48\x04\x00", rsv=4), 1002),
    "reserved bit 3": (encode_frame(TEXT, b"x", rsv=1), 1002),
    "opcode 3": (encode_frame(3, b"x"), 1002),
    "opcode 15": (encode_frame(15, b"x"), 1002),
    "a ping of 126 bytes": (encode_frame(PING, b"x" * 126), 1002),
    "a ping in fragments": (encode_frame(PING, b"x", fin=False), 1002),
    "a continuation of nothing": (encode_frame(CONTINUATION, b"x"), 1002),
    "1,025 fragments": (
        encode_frame(TEXT, b"a", fin=False) + encode_frame(CONTINUATION, b"", fin=False) * 1024,
        1009,
    ),
    "a frame of 2^62 bytes": (b"\x81\xff" + (1 << 62).to_bytes(8, "big") + bytes(4), 1009),
    "a frame of 2^63 bytes": (b"\x81\xff" + (1 << 63).to_bytes(8, "big") + bytes(4), 1002),
    "a frame a byte too long": (
        b"\x81\xff" + ((1 << 20) + 1).to_bytes(8, "big") + bytes(4), 1009),
    "fragments too long together": (
        encode_frame(TEXT, b"a" * 60_000, key=bytes(4), fin=False)
        + encode_frame(CONTINUATION, b"a" * 60_000, key=bytes(4), fin=False) * 20, 1009),
    "text that is not UTF-8": (encode_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a close of one byte": (encode_frame(CLOSE, b"\x03"), 1002),
    "a close with 1005": (encode_frame(CLOSE, close_payload(1005)), 1002),
    "a close with 65535": (encode_frame(CLOSE, close_payload(65_535)), 1002),
    "a close of 126 bytes": (encode_frame(CLOSE, close_payload(1000, b"x" * 124)), 1002),
    "a close that is not UTF-8": (encode_frame(CLOSE, close_payload(1000, b"\xff")), 1007),
    "two closes and more": (
        encode_frame(CLOSE, close_payload(1000)) * 2 + encode_frame(TEXT, b"x") * 100, 1000),
    "a close inside a message": (
        encode_frame(TEXT, b"a", fin=False) + encode_frame(CLOSE, close_payload(3000)), 3000),
}  # fmt: skip


def chat(words: str) -> bytes:
    """Return a visitor's message as a frame."""
    said = {"type": "chat_message", "message": words, "timestamp": "2025-01-01T12:00:00"}
    return encode_frame(TEXT, json.dumps(said).encode(), key=bytes(4))


@contextlib.asynccontextmanager
async def opened(port: int, path: str = VISITOR, count: int = 1) -> AsyncIterator[list[RawSocket]]:
    """Open links and cut them at the end, whatever they are like by then."""
    headers = KNOWN if path == CORE else []
    peers = [await RawSocket.open(port, path, headers) for _ in range(count)]
    try:
        assert [peer.response.status for peer in peers] == [101] * count
        yield peers
    finally:
        for peer in peers:
            await peer.close()


def head(data: bytes, statuses: Sequence[int]) -> Attack:
    """Send a request head; one of these statuses is the answer, or the end when it is 101."""

    async def attack(port: int) -> None:
        peer = await RawSocket.connect(port)
        peer.write(data)
        try:
            response = await peer.read_response()
            assert response.status in statuses, response
        finally:
            await peer.close()

    return attack


def frames(data: bytes, code: int) -> Attack:
    """Send frames; this close code is the answer, and an orderly end."""

    async def attack(port: int) -> None:
        async with opened(port) as (peer,):
            peer.write(data)
            close = await peer.read_close()
            assert close.code == code, close
            assert await peer.read_eof()

    return attack


async def slowloris(port: int) -> None:
    """A hundred heads that never end, a byte now and then: cut after 5 s (`reliability 8`)."""
    peers = [await RawSocket.connect(port) for _ in range(100)]
    try:
        for peer in peers:
            peer.write(b"GET /contact HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")

        async def drip(peer: RawSocket) -> None:
            with contextlib.suppress(ConnectionError):
                while not peer.writer.is_closing():
                    peer.write(b"x")
                    await asyncio.sleep(0.5)

        drips = [asyncio.ensure_future(drip(peer)) for peer in peers]
        await served(port)
        for peer in peers:
            assert (await peer.read_response()).status == 408
        for each in drips:
            each.cancel()
        await asyncio.gather(*drips, return_exceptions=True)
    finally:
        for peer in peers:
            await peer.close()


async def half_open(port: int) -> None:
    """Two hundred links that say nothing more, and two hundred connections that never begin."""
    silent = [await RawSocket.connect(port) for _ in range(200)]
    try:
        async with opened(port, count=200), opened(port, CORE, count=20):
            await served(port)
    finally:
        for peer in silent:
            await peer.close()


async def come_and_go(port: int) -> None:
    """Two thousand connects and disconnects, at every step of a link's life."""

    async def once(number: int) -> None:
        if number % 4 == 0:
            peer = await RawSocket.connect(port)
        elif number % 4 == 1:
            peer = await RawSocket.connect(port)
            peer.write(upgrade_request(VISITOR)[:60])
        else:
            peer = await RawSocket.open(port, VISITOR)
            assert peer.response.status == 101
            if number % 4 == 2:
                await peer.send(CLOSE, close_payload(1000))
                await peer.read_close()
        await peer.close()

    for first in range(0, 2000, 20):
        await asyncio.gather(*(once(number) for number in range(first, first + 20)))


async def write_until_stuck(peer: RawSocket, data: bytes) -> None:
    """Write and never read, until nothing is taken for a second: back-pressure has arrived.

    Should it not arrive, the process takes `FLOOD_BYTES` and the attack fails.
    """
    peer.writer.transport.pause_reading()
    written = 0
    with contextlib.suppress(TimeoutError):
        while written < FLOOD_BYTES:
            peer.write(data)
            written += len(data)
            async with asyncio.timeout(1.0):
                await peer.writer.drain()
        raise AssertionError(f"all {FLOOD_BYTES} bytes were taken from a peer that does not read")


async def ping_flood(port: int) -> None:
    """Pings of a peer that does not read: their pongs must not pile up."""
    async with opened(port, count=4) as peers:
        flood = encode_frame(PING, b"x" * 125) * 2000
        await asyncio.gather(*(write_until_stuck(peer, flood) for peer in peers))
        await served(port)


async def small_ping_flood(port: int) -> None:
    """The same with the smallest pings, read at leisure afterwards."""
    async with opened(port) as (peer,):
        flood = encode_frame(PING) * 20_000
        await write_until_stuck(peer, flood)
        await served(port)


async def slow_reader(port: int) -> None:
    """Messages that are all answered by a peer that does not read."""
    async with opened(port, count=3) as peers:
        flood = chat("ask " * 100) * 50
        await asyncio.gather(*(write_until_stuck(peer, flood) for peer in peers))
        await served(port)


async def large_messages(port: int) -> None:
    """Whole megabytes in fragments that never end, from many links at once."""
    part = encode_frame(TEXT, b"a" * 60_000, key=bytes(4), fin=False)
    more = encode_frame(CONTINUATION, b"a" * 60_000, key=bytes(4), fin=False)
    async with opened(port, count=8) as peers:
        for peer in peers:
            peer.write(part + more * 14)
            await peer.writer.drain()
        await served(port)


async def many_fragments(port: int) -> None:
    """Fragments without content: the thousand-and-twenty-fifth ends the link."""
    one = encode_frame(TEXT, b"", fin=False) + encode_frame(CONTINUATION, b"", fin=False) * 1024
    async with opened(port, count=20) as peers:
        for peer in peers:
            peer.write(one)
        for peer in peers:
            assert (await peer.read_close()).code == 1009


async def binary_for_text(port: int) -> None:
    """Binary frames on lines that speak text: refused or answered, never fatal."""
    async with opened(port) as (visitor,), opened(port, CORE) as (adapter,):
        for peer in (visitor, adapter):
            await peer.send(BINARY, b"\x00\xff" * 500)
            await peer.send(BINARY, b'{"type":"ping"}')
        await served(port)


async def compression(port: int) -> None:
    """Offers of compression, also absurd ones: not taken up."""
    for offer in (
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits=99; x=" + "y" * 4000,
        "x-webkit-deflate-frame, permessage-bzip2; \x01",
    ):
        peer = await RawSocket.open(port, VISITOR, [("Sec-WebSocket-Extensions", offer)])
        if peer.response.status == 101:
            assert "sec-websocket-extensions" not in peer.response.headers
            await peer.send(TEXT, b"\xf2\x48\x04\x00", rsv=4)
            assert (await peer.read_close()).code == 1002
        else:
            assert peer.response.status == 400
        await peer.close()


async def credentials_everywhere(port: int) -> None:
    """The token where it does not belong, so that whatever complains could print it."""
    async with opened(port, CORE) as (adapter,):
        for data in (TOKEN.encode(), json.dumps({"message_info": TOKEN}).encode()):
            await adapter.send(TEXT, data)
            await adapter.send(BINARY, data)
        await adapter.send(TEXT, TOKEN.encode() + b"\xff")
    for request in (
        upgrade_request(f"{CORE}?token=wrong{TOKEN.split(maxsplit=1)[0]}"),
        upgrade_request(
            CORE, [("Authorization", f"Bearer {TOKEN}x"), ("Origin", "https://evil.x")]
        ),
        upgrade_request(CORE, [*KNOWN, ("Authorization", TOKEN)]),
    ):
        peer = await RawSocket.connect(port)
        peer.write(request)
        await peer.read_response()
        await peer.close()


async def served(port: int) -> float:
    """Be a well-behaved visitor: connect, ask, be acknowledged; return the seconds it took."""
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    async with opened(port) as (peer,):
        greeting = json.loads(await peer.read_message())
        assert greeting["type"] == "connection_established", greeting
        await peer.send(TEXT, b'{"type":"ping"}')
        assert json.loads(await peer.read_message())["type"] == "pong"
        peer.write(chat("still there?"))
        kinds = {json.loads(await peer.read_message())["type"] for _ in range(2)}
        assert "chat_message_received" in kinds, kinds
    return loop.time() - begin_s


ATTACKS: dict[str, Attack] = {
    **{f"head: {name}": head(*wanted) for name, wanted in HEADS.items()},
    **{f"frames: {name}": frames(*wanted) for name, wanted in FRAMES.items()},
    "slow heads": slowloris,
    "half-open connections": half_open,
    "2,000 connects and disconnects": come_and_go,
    "ping flood": ping_flood,
    "flood of empty pings": small_ping_flood,
    "slow reader": slow_reader,
    "large unfinished messages": large_messages,
    "fragment flood": many_fragments,
    "binary where text is due": binary_for_text,
    "offers of compression": compression,
    "credentials everywhere": credentials_everywhere,
}
