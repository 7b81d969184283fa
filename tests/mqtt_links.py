"""Our MQTT flows on production links: what a session does with them, without a dialect.

A `FlowEar` is the user of one link. It writes what its flow wants written, wakes it when something
is due, and keeps everything that happened, to be waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from linkstand import StandDoor, standing
from trunkline.clock import SystemClock
from trunkline.dialects.contract import Admit, Dial
from trunkline.errors import LinkError
from trunkline.lines.contract import Link, LinkLimits
from trunkline.lines.dial import Trust, dial
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.wire.mqtt_broker import BrokerFlow
from trunkline.wire.mqtt_client import ClientFlow
from trunkline.wire.mqtt_flow import Accepted, Flow, Happening, Write
from trunkline.wire.mqtt_packets import STRICT, Connect, Publish, Quirks, Subscribe, Unsubscribe

WAIT_S = 15.0
T = TypeVar("T")


def now_ms() -> int:
    """The loop's time."""
    return round(asyncio.get_running_loop().time() * 1000)


class FlowEar:
    """One link and the flow on it.

    Args:
        flow: new, of either side.
        piece_bytes: how large the WebSocket messages are that it writes; 0 = as they come.
        is_ticking: off = it sends no pings and ends nothing that is idle.
    """

    def __init__(
        self, flow: Flow, link: Link, *, piece_bytes: int = 0, is_ticking: bool = True
    ) -> None:
        self.flow = flow
        self.link = link
        self.happened: list[Happening] = []
        self.pings = 0
        self.ended: LinkError | None = None
        self._piece_bytes = piece_bytes
        self._is_ticking = is_ticking
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        """Write bytes, cut as wanted."""
        size = self._piece_bytes or max(1, len(data))
        for at in range(0, len(data), size):
            self.link.send(data[at : at + size])
        self.link.flush()
        self._plan()

    def take(self, happenings: list[Happening]) -> None:
        """Do what the flow says."""
        for it in happenings:
            self.happened.append(it)
            if isinstance(it, Write):
                self.write(it.data)
            else:
                self.happens(it)
        self._news.set()
        self._plan()

    def happens(self, it: Happening) -> None:
        """React; nothing by default."""

    def receive(self, data: bytes, *, is_text: bool) -> None:
        """Hand it to the flow."""
        assert not is_text
        self.take(self.flow.receive(data, now_ms()))

    def read_done(self) -> None:
        """Do nothing."""

    def drained(self) -> None:
        """Do nothing."""

    def closed(self, error: LinkError) -> None:
        """Remember how it ended."""
        self.ended = error
        self._news.set()
        if self._timer is not None:
            self._timer.cancel()

    async def until(self, ready: Callable[[], T]) -> T:
        """Wait until `ready` returns something true; return that."""
        async with asyncio.timeout(WAIT_S):
            while not (found := ready()):
                self._news.clear()
                await self._news.wait()
        return found

    async def next(self, kind: type[T], at: int = 0) -> T:
        """Wait for the `at`-th happening of a kind."""
        await self.until(lambda: len(self.all(kind)) > at)
        return self.all(kind)[at]

    def all(self, kind: type[T]) -> list[T]:
        """What has happened of a kind."""
        return [it for it in self.happened if isinstance(it, kind)]

    async def end(self) -> LinkError:
        """Wait for the end of the link."""
        await self.until(lambda: self.ended is not None)
        assert self.ended is not None
        return self.ended

    async def cut(self) -> None:
        """Cut the link, without DISCONNECT and without a close frame."""
        self.link.abort()
        await self.end()

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wake_at = self.flow.wake_at_ms if isinstance(self.flow, ClientFlow | BrokerFlow) else None
        if self._is_ticking and wake_at is not None and self.ended is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(wake_at / 1000, self._tick)

    def _tick(self) -> None:
        assert isinstance(self.flow, ClientFlow | BrokerFlow)
        done = self.flow.tick(now_ms())
        self.pings += sum(isinstance(it, Write) for it in done)
        self.take(done)


class ClientEar(FlowEar):
    """A client of a broker."""

    flow: ClientFlow

    def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> int:
        """Publish; return the packet id."""
        packet_id, data = self.flow.publish(topic, payload, now_ms(), qos=qos)
        self.write(data)
        return packet_id

    def subscribe(self, topic: str, qos: int) -> int:
        """Subscribe; return the packet id."""
        packet_id, data = self.flow.subscribe(((topic, qos),), now_ms())
        self.write(data)
        return packet_id

    def acknowledge(self, packet_id: int) -> None:
        """Acknowledge what is safe now."""
        self.write(self.flow.acknowledge(packet_id, now_ms()))


class Clients:
    """Clients of one broker; leaving the context cuts those that are left.

    Args:
        url: of the broker.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._ears: list[ClientEar] = []

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(self, *_: object) -> None:
        for ear in self._ears:
            if ear.ended is None:
                await ear.cut()

    async def connected(
        self,
        connect: Connect,
        *,
        quirks: Quirks = STRICT,
        in_flight: Mapping[int, Publish] = MappingProxyType({}),
        **more: Any,
    ) -> ClientEar:
        """Dial, and send CONNECT; the answer is still to come."""
        flow = ClientFlow(connect, quirks=quirks, in_flight=in_flight)
        commons = Commons(PingSweep(SystemClock()), Budget(), _no_trouble)
        await dial(
            Dial(self._url, subprotocol="mqtt"),
            lambda link: self._enter(flow, link, more),
            commons,
            trust=Trust(),
            limits=LinkLimits(),
            is_binary=True,
        )
        self._ears[-1].write(flow.connect(now_ms()))
        return self._ears[-1]

    async def accepted(self, connect: Connect, **more: Any) -> ClientEar:
        """Dial, and wait for CONNACK 0."""
        ear = await self.connected(connect, **more)
        await ear.next(Accepted)
        return ear

    def _enter(self, flow: ClientFlow, link: Link, more: dict[str, Any]) -> ClientEar:
        self._ears.append(ClientEar(flow, link, **more))
        return self._ears[-1]


def _no_trouble(what: str, error: BaseException) -> None:
    raise AssertionError(what) from error


class BrokerEar(FlowEar):
    """The broker's end of one link; the door decides what it does."""

    flow: BrokerFlow

    def __init__(self, flow: BrokerFlow, link: Link, door: BrokerDoor) -> None:
        super().__init__(flow, link)
        self.door = door

    def happens(self, it: Happening) -> None:
        """Let everybody in, grant what is asked, and send to all subscribers what comes."""
        if isinstance(it, Connect):
            self.write(self.flow.accept(now_ms()))
        elif isinstance(it, Subscribe):
            self.door.subscribers[self] = min(1, it.filters[0][1])
            codes = tuple(min(1, qos) for _, qos in it.filters)
            self.write(self.flow.grant(it.packet_id, codes, now_ms()))
        elif isinstance(it, Unsubscribe):
            self.door.subscribers.pop(self, None)
            self.write(self.flow.drop(it.packet_id, now_ms()))
        elif isinstance(it, Publish):
            self.door.messages.append(it)
            self.door.on_message(self, it)

    def acknowledge(self, packet_id: int, extra: bytes = b"") -> None:
        """Acknowledge."""
        self.write(self.flow.acknowledge(packet_id, now_ms(), extra=extra))


class BrokerDoor(StandDoor):
    """Where clients come in.

    Args:
        on_message: what is done with a message; by default it is acknowledged and passed on.
    """

    def __init__(self, on_message: Callable[[BrokerEar, Publish], None] | None = None) -> None:
        super().__init__(is_binary=True, answer=Admit("", 1 << 20, subprotocol="mqtt"))
        self.on_message = on_message or pass_on
        self.flows: list[BrokerEar] = []
        self.subscribers: dict[BrokerEar, int] = {}
        self.messages: list[Publish] = []

    def enter(self, admitted: Admit, link: Link) -> Any:
        """Begin a flow."""
        self.flows.append(BrokerEar(BrokerFlow(now_ms()), link, self))
        return self.flows[-1]


def pass_on(ear: BrokerEar, message: Publish) -> None:
    """Acknowledge a message and send it to all who subscribed."""
    ear.acknowledge(message.packet_id)
    for other, qos in list(ear.door.subscribers.items()):
        if other.ended is None:
            _, data = other.flow.publish(
                message.topic, message.payload, now_ms(), qos=min(qos, message.qos)
            )
            other.write(data)


@contextlib.asynccontextmanager
async def brokering(door: BrokerDoor) -> AsyncIterator[str]:
    """Our broker role on a production listener; yields its URL."""
    async with standing(door) as stand:
        try:
            yield stand.url
        finally:
            for ear in door.flows:
                if ear.ended is None:
                    await ear.cut()
