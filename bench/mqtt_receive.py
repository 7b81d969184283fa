"""A client of Boss on our production link or plain TCP: reader, flow, protobuf, acknowledgement.

Prints the CPU µs that its process needs for a message.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from trunkline.clock import SystemClock
from trunkline.dialects.boss.schema import Schema
from trunkline.dialects.contract import Dial
from trunkline.lines.contract import Link, LinkLimits
from trunkline.lines.dial import Trust, dial
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.wire.mqtt_client import ClientFlow
from trunkline.wire.mqtt_packets import Connect, Publish, Quirks


def _nowhere(_data: bytes) -> None:
    raise RuntimeError("not connected")


class Receiver:
    """Decodes and acknowledges what comes."""

    def __init__(self, warm: int, messages: int, schema: Schema, done: asyncio.Future) -> None:
        quirks = Quirks(long_puback=True, nonzero_flags=True, reserved_types=True)
        self.flow = ClientFlow(Connect("ws-0123456789ABCDEF", 600), quirks=quirks)
        self.send: Callable[[bytes], None] = _nowhere
        self.clock = SystemClock()
        self._left = warm + messages
        self._start_at = messages
        self._start_s = 0.0
        self._schema = schema
        self._done = done

    def receive(self, data: bytes, *, is_text: bool) -> None:
        """Take one WebSocket message."""
        assert not is_text
        self.take(data)

    def take(self, data: bytes) -> None:
        """Take bytes of MQTT."""
        now_ms = self.clock.now_ms()
        for it in self.flow.receive(data, now_ms):
            if type(it) is Publish:
                # Whether fields are missing is asked of no text that is there, as in the product.
                if not self._schema.decode(it.payload).message.messages[0].body.text:
                    raise ValueError("not the message that was sent")
                self.send(self.flow.acknowledge(it.packet_id, now_ms))
                self._count()

    def hello(self) -> bytes:
        """Return CONNECT."""
        return self.flow.connect(self.clock.now_ms())

    def _count(self) -> None:
        self._left -= 1
        if self._left == self._start_at:
            self._start_s = time.process_time()
        if self._left == 0:
            self._done.set_result(time.process_time() - self._start_s)

    def read_done(self) -> None:
        """Do nothing."""

    def closed(self, error: Exception) -> None:
        """It ended too early."""
        if not self._done.done():
            self._done.set_exception(error)

    def drained(self) -> None:
        """Do nothing."""


class Plain(asyncio.Protocol):
    """Plain TCP: what a read has asked for leaves in one write, as on a link."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._out: list[bytes] = []
        receiver.send = self._out.append

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Say CONNECT."""
        self._transport = transport
        transport.write(self._receiver.hello())

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended, too early perhaps."""
        self._receiver.closed(exc or ConnectionError("the feeder hung up"))

    def data_received(self, data: bytes) -> None:
        """Take one read."""
        self._receiver.take(data)
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()


async def over_websocket(port: int, receiver: Receiver, done: asyncio.Future[float]) -> float:
    """Receive on a production link."""

    def enter(link: Link) -> Receiver:
        receiver.send = link.send
        return receiver

    def trouble(_what: str, error: BaseException) -> None:
        done.set_exception(error)

    commons = Commons(PingSweep(SystemClock()), Budget(), trouble)
    link = await dial(
        Dial(f"ws://127.0.0.1:{port}/", subprotocol="mqtt"), enter, commons, trust=Trust(),
        limits=LinkLimits(), is_binary=True,
    )  # fmt: skip
    link.send(receiver.hello())
    link.flush()
    used_s = await done
    link.abort()
    return used_s


async def over_tcp(port: int, receiver: Receiver, done: asyncio.Future[float]) -> float:
    """Receive on a socket."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: Plain(receiver), "127.0.0.1", port)
    used_s = await done
    transport.abort()
    return used_s


async def main() -> None:
    """Receive until all have come."""
    port, warm, messages = map(int, sys.argv[1:4])
    schema = Schema(Path(sys.argv[4]).read_bytes())
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    receiver = Receiver(warm, messages, schema, done)
    receive = {"websocket": over_websocket, "tcp": over_tcp}[sys.argv[5]]
    print(json.dumps({"us": await receive(port, receiver, done) / messages * 1e6}))


if __name__ == "__main__":
    uvloop.run(main())
