"""The load: one process, raw sockets, as little work per message as possible.

It is the same for every server under test and runs in closed loops: each connection has a fixed
number of messages in flight and sends the next one when an answer arrives. Everything is bounded:
the number of messages, and the time without any answer.

It talks to `run.py` by lines: it writes `warm`, waits for `go` on stdin (the moment when the
server's CPU time is read), runs, writes one JSON line. With `--idle` it opens its connections,
writes `open`, and holds them until stdin ends.

Two dialects: maim adapters, and with `--onebot` accounts of OneBot implementations. An answer is
there a call of the framework; it gets its response, with the same echo, and the next message goes
with it. One person talks to each account, in a private chat; with `--lines N` a stranger comes
after every N messages, for a server that stops answering who says more than five a minute.

Frames are masked with a zero key: the server unmasks all the same, and the load is spared the
exclusive or. Only loopback addresses are accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from urllib.parse import urlsplit

import uvloop

_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "{more}\r\n\r\n"
)
_MAIM = "platform: b{index}"
_ONEBOT = "X-Self-ID: {account}\r\nX-Client-Role: Universal"
_FIRST_ACCOUNT = 10_001
_STALL_S = 20.0
_PAYLOAD_BYTES = 355


def make_maim(platform: str) -> tuple[bytes, ...]:
    """Return what stands before and after the ten digits of a message's id.

    The frame is what maim_message 0.6.8 writes for a short group message, about 355 bytes.
    Source: maim 4.
    """
    info = {
        "platform": platform,
        "message_id": "0000000000",
        "time": 1764000000.123,
        "group_info": {"platform": platform, "group_id": "20001", "group_name": "bench"},
        "user_info": {"platform": platform, "user_id": "10001", "user_nickname": "Alice"},
        "format_info": {"content_format": ["text"], "accept_format": ["text"]},
    }
    text = "hello, how much is it?"
    while True:
        segment = {"type": "seglist", "data": [{"type": "text", "data": text}]}
        body = json.dumps({"message_info": info, "message_segment": segment}).encode()
        if len(body) >= _PAYLOAD_BYTES:
            break
        text += "." * (_PAYLOAD_BYTES - len(body))
    return tuple(body.split(b"0000000000"))


def make_onebot(account: int) -> tuple[bytes, ...]:
    """Return what stands around the ten digits of a message's id, of its person, and of them again.

    The event is what NapCat writes for a short private message, about 355 bytes.
    Source: onebot11 5.1
    """
    text = "hello, how much is it?"
    event = {
        "self_id": account, "user_id": 1000000000, "time": 1764000000, "message_id": 2000000000,
        "message_type": "private", "sub_type": "friend", "font": 14, "post_type": "message",
        "message_format": "array", "raw_message": text,
        "sender": {"user_id": 1000000000, "nickname": "Alice", "card": ""},
        "message": [{"type": "text", "data": {"text": text}}],
    }  # fmt: skip
    body = json.dumps(event, separators=(",", ":")).encode()
    first, rest = body.split(b"1000000000", 1)
    second, rest = rest.split(b"2000000000")
    third, last = rest.split(b"1000000000")
    return first, second, third, last


def frame_of(payload: bytes) -> bytes:
    """Return a masked text frame of 126 bytes to 64 KiB, the mask being zero."""
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


def short_frame_of(payload: bytes) -> bytes:
    """Return a masked text frame of less than 126 bytes."""
    return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload


class Load:
    """What all connections share: how much is left to send, and who is told when it is done."""

    def __init__(self, connections: int, in_flight: int, lines: int) -> None:
        self.connections = connections
        self.in_flight = in_flight
        self.lines = lines
        self.left = 0
        self.due = 0
        self.number = 0
        self.latencies: list[float] = []
        self.failure = ""
        self.done = asyncio.Event()

    def begin(self, messages: int) -> None:
        """Arm the counters for a run of so many messages."""
        self.left = self.due = messages
        self.latencies = []
        self.done.clear()

    def fail(self, why: str) -> None:
        """End the run: one bad connection makes the numbers worthless."""
        self.failure = self.failure or why
        self.done.set()


class Connection(asyncio.Protocol):
    """One WebSocket client, no more of RFC 6455 than the load needs."""

    def __init__(self, load: Load, index: int, head: str, *, raw: bool) -> None:
        self.load = load
        self.head = head.encode()
        self.mark = b"" if raw else f'"b{index}"'.encode()
        before, after = make_maim(f"b{index}")
        length = len(before) + 10 + len(after)
        self.before = b"\x81\xfe" + length.to_bytes(2, "big") + b"\0\0\0\0" + before
        self.after = after
        self.buffer = b""
        self.sent: deque[float] = deque()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.upgraded = False
        self.checked = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Ask for the upgrade."""
        self.transport = transport
        transport.write(self.head)

    def connection_lost(self, exc: Exception | None) -> None:
        """A lost connection ends the run."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("lost before the upgrade"))
        self.load.fail(f"a connection was lost: {exc!r}")

    def send_next(self, before: bytes = b"") -> None:
        """Send one message, if any is left, and something before it in the same write."""
        load = self.load
        if load.left:
            load.left -= 1
            load.number += 1
            self.sent.append(time.perf_counter())
            self.transport.write(before + self.before + b"%010d" % load.number + self.after)

    def data_received(self, data: bytes) -> None:
        """Take whole frames out of what arrived; each text frame is an answer."""
        data = self.buffer + data if self.buffer else data
        at = 0
        if not self.upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(data[:100].decode("latin-1")))
                return
            self.upgraded = True
            self.greet()
            self.opened.set_result(None)
            at = end + 4
        size = len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                if size - at < 4:
                    break
                length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                if size - at < 10:
                    break
                length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if size - start < length:
                break
            self.frame(data[at] & 15, data[start : start + length])
            at = start + length
        self.buffer = data[at:]

    def greet(self) -> None:
        """Say what must be said first: nothing."""

    def is_mine(self, payload: bytes) -> bool:
        """Whether an answer is for this connection."""
        return self.mark in payload

    def confirm(self, payload: bytes) -> bytes:
        """Return what tells that an answer has arrived: nobody asks."""
        del payload
        return b""

    def frame(self, opcode: int, payload: bytes) -> None:
        """Count an answer, answer a ping, end on a close."""
        load = self.load
        if opcode == 1:
            if not self.checked:
                self.checked = True
                if not self.is_mine(payload):
                    load.fail(f"an answer for somebody else: {payload[:200]!r}")
                    return
            if not self.sent:
                load.fail(f"an answer to no question: {payload[:200]!r}")
                return
            load.latencies.append(time.perf_counter() - self.sent.popleft())
            load.due -= 1
            confirmation = self.confirm(payload)
            if load.left:
                self.send_next(confirmation)
            elif confirmation:
                self.transport.write(confirmation)
            if load.due == 0:
                load.done.set()
        elif opcode == 9:
            self.transport.write(bytes((0x8A, 0x80 | len(payload))) + b"\0\0\0\0" + payload)
        elif opcode == 8:
            load.fail(f"closed by the server: {payload!r}")


class Account(Connection):
    """One account of a OneBot implementation, dialling."""

    def __init__(self, load: Load, index: int, head: str, *, raw: bool) -> None:
        super().__init__(load, index, head, raw=raw)
        self.account = _FIRST_ACCOUNT + index
        self.parts = make_onebot(self.account)
        self.first_person = 1_000_000_000 + index * 10_000_000
        self.said = 0
        self.person = b""

    def greet(self) -> None:
        """Send the connect event. Source: onebot11 3.1"""
        event = {
            "time": int(time.time()), "self_id": self.account, "post_type": "meta_event",
            "meta_event_type": "lifecycle", "sub_type": "connect",
        }  # fmt: skip
        body = json.dumps(event, separators=(",", ":")).encode()
        self.transport.write(short_frame_of(body) if len(body) < 126 else frame_of(body))

    def is_mine(self, payload: bytes) -> bool:
        """Whether a call names the person who asked."""
        return self.person in payload and b"send_" in payload

    def confirm(self, payload: bytes) -> bytes:
        """Return the response; its echo is what stands at the end of the call."""
        echo = payload[payload.rindex(b'"echo":') + 7 : -1].strip()
        body = b'{"status":"ok","retcode":0,"data":{"message_id":1},"echo":' + echo + b"}"
        return short_frame_of(body)

    def send_next(self, before: bytes = b"") -> None:
        """Send one message, if any is left, and something before it in the same write."""
        load = self.load
        if load.left:
            load.left -= 1
            load.number += 1
            nth = self.said // load.lines if load.lines else 0
            person = b"%010d" % (self.first_person + nth)
            self.person = person
            self.said += 1
            first, second, third, last = self.parts
            ident = b"%010d" % (1_000_000_000 + load.number)
            self.sent.append(time.perf_counter())
            body = first + person + second + ident + third + person + last
            self.transport.write(before + frame_of(body))


async def run_once(load: Load, connections: list[Connection], messages: int) -> float:
    """Send so many messages over all connections; return how long it took."""
    load.begin(messages)
    started = time.perf_counter()
    for connection in connections:
        for _ in range(load.in_flight):
            connection.send_next()
    while not load.done.is_set():
        before = load.due
        try:
            await asyncio.wait_for(load.done.wait(), _STALL_S)
        except TimeoutError:
            if load.due == before:
                load.fail(f"no answer for {_STALL_S:.0f} s, {load.due} still due")
    if load.failure:
        raise SystemExit(f"load: {load.failure}")
    return time.perf_counter() - started


async def open_all(load: Load, url: str, *, raw: bool, onebot: bool) -> list[Connection]:
    """Open the connections, fifty at a time."""
    make = Account if onebot else Connection
    more = _ONEBOT if onebot else _MAIM
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1") or parts.port is None:
        raise SystemExit("load: only loopback addresses with a port")
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    for first in range(0, load.connections, 50):
        batch: list[Connection] = []
        for index in range(first, min(first + 50, load.connections)):
            head = _HANDSHAKE.format(
                path=parts.path, host=parts.hostname, port=parts.port,
                more=more.format(index=index, account=_FIRST_ACCOUNT + index),
            )  # fmt: skip
            connection = make(load, index, head, raw=raw)
            await loop.create_connection(lambda c=connection: c, parts.hostname, parts.port)
            batch.append(connection)
        await asyncio.wait_for(asyncio.gather(*(c.opened for c in batch)), 20)
        connections += batch
    return connections


async def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--warm", type=int, default=1_000)
    parser.add_argument("--raw", action="store_true", help="any echo will do: no platform in it")
    parser.add_argument("--onebot", action="store_true", help="accounts instead of adapters")
    parser.add_argument("--lines", type=int, default=0, help="messages of one person, 0 = all")
    parser.add_argument("--idle", action="store_true")
    args = parser.parse_args()
    load = Load(args.connections, args.in_flight, args.lines)
    connections = await open_all(load, args.url, raw=args.raw, onebot=args.onebot)
    loop = asyncio.get_running_loop()
    if args.idle:
        print("open", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        sys.exit(f"load: {load.failure}" if load.failure else 0)
    load.number = int(time.time() * 1000) % 1_000_000 * 1_000
    await run_once(load, connections, max(args.warm, args.connections * args.in_flight))
    print("warm", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    seconds = await run_once(load, connections, args.messages)
    load.latencies.sort()
    count = len(load.latencies)
    result = {
        "messages": count,
        "seconds": round(seconds, 4),
        "p50_ms": round(load.latencies[count // 2] * 1000, 3),
        "p99_ms": round(load.latencies[int(count * 0.99)] * 1000, 3),
    }
    print(json.dumps(result), flush=True)
    for connection in connections:
        connection.transport.abort()


if __name__ == "__main__":
    uvloop.run(main())
