"""A production listener with doors that tests can look into, and a fake transport for one link."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from trunkline.clock import Clock, FakeClock, SystemClock
from trunkline.dialects.contract import Admit, Head, LinkInfo, Refuse
from trunkline.errors import LinkError
from trunkline.lines.contract import Link, LinkLimits
from trunkline.lines.link import WebSocketLink
from trunkline.lines.listen import Gate, GateRules
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.web.server import HeadLimits, Server, Socket, not_found


class Ear:
    """A link user that writes down what it is told; `on_receive` makes it do something."""

    def __init__(self, on_receive: Callable[[Ear, bytes], None] | None = None) -> None:
        self.link: Link | None = None
        self.messages: list[bytes] = []
        self.kinds: list[bool] = []
        self.calls: list[str] = []
        self.errors: list[LinkError] = []
        self.ended = asyncio.Event()
        self.heard = asyncio.Event()
        self.on_receive = on_receive

    def receive(self, data: bytes, *, is_text: bool) -> None:
        assert not self.errors, "nothing may follow closed"
        self.messages.append(data)
        self.kinds.append(is_text)
        self.calls.append("receive")
        self.heard.set()
        if self.on_receive is not None:
            self.on_receive(self, data)

    def read_done(self) -> None:
        assert not self.errors, "nothing may follow closed"
        self.calls.append("read_done")

    def closed(self, error: LinkError) -> None:
        assert not self.errors, "closed is called once"
        self.errors.append(error)
        self.calls.append("closed")
        self.ended.set()

    def drained(self) -> None:
        assert not self.errors, "nothing may follow closed"
        self.calls.append("drained")

    @property
    def end(self) -> tuple[int, str]:
        error: Any = self.errors[0]
        return error.code, error.reason


def echo(ear: Ear, data: bytes) -> None:
    assert ear.link is not None
    ear.link.send(data)


class StandDoor:
    """A door whose answers a test sets."""

    line = "stand"

    def __init__(self, **changes: Any) -> None:
        self.is_binary = False
        self.is_public = False
        self.max_per_address = 50
        self.origins: tuple[str, ...] = ()
        self.limits = LinkLimits()
        self.dialect_name = "stand"
        self.claims: Callable[[Head], bool | None] | None = None
        self.recognises: Callable[[bytes], bool] | None = None
        self.answer: Admit | Refuse = Admit("", 1 << 20)
        self.on_receive: Callable[[Ear, bytes], None] | None = echo
        self.greet: Sequence[bytes] = ()
        self.heads: list[Head] = []
        self.ears: list[Ear] = []
        for name, value in changes.items():
            assert hasattr(self, name)
            setattr(self, name, value)

    def admit(self, head: Head) -> Admit | Refuse:
        self.heads.append(head)
        return self.answer

    def enter(self, admitted: Admit, link: Link) -> Ear:
        ear = Ear(self.on_receive)
        ear.link = link
        self.ears.append(ear)
        for data in self.greet:
            link.send(data)
        return ear

    @property
    def ear(self) -> Ear:
        return self.ears[-1]


class Stand:
    """Server, gate and door, listening on a free port."""

    def __init__(self, door: StandDoor, clock: Clock, rules: GateRules) -> None:
        self.door = door
        self.troubles: list[tuple[str, BaseException]] = []
        self.sweep = PingSweep(clock, is_driven=False)
        self.commons = Commons(self.sweep, Budget(), lambda *trouble: self.troubles.append(trouble))
        self.gate = Gate(self.commons, clock, rules)
        self.gate.add("", "/", door)
        self.port = 0
        self.url = ""


@asynccontextmanager
async def standing(
    door: StandDoor | None = None,
    *,
    clock: Clock | None = None,
    rules: GateRules | None = None,
    app: Any = not_found,
    limits: HeadLimits | None = None,
    tls: tuple[str, str] = ("", ""),
):
    stand = Stand(door or StandDoor(), clock or SystemClock(), rules or GateRules())
    server = Server(app, stand.gate, [Socket("", "127.0.0.1", 0, *tls)], limits)
    stand.url = (await server.start())[""]
    stand.port = int(stand.url.rpartition(":")[2])
    try:
        yield stand
    finally:
        await server.stop(0.0)
        for ear in stand.door.ears:
            if ear.link is not None:
                await cut(ear.link)
    assert not stand.troubles or stand.door.on_receive is not echo, stand.troubles


class NoSocket:
    """Enough of a socket for picows, which must never write to it."""

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *_: object) -> None:
        pass

    def getsockopt(self, *_: object) -> int:
        return 0


class FakeTransport:
    """Takes what a link writes; `buffered` pretends that the peer does not read."""

    def __init__(self) -> None:
        self._socket = NoSocket()
        self.protocol: Any = None
        self.writes: list[bytes] = []
        self.buffered = 0
        self.is_reading = True
        self.has_eof = False
        self.state = "open"
        self.limits: tuple[int | None, int | None] = (None, None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self.limits = (high, low)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def write(self, data: bytes) -> None:
        assert self.state == "open"
        self.writes.append(data)

    def write_eof(self) -> None:
        self.has_eof = True

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_reading
        self.is_reading = True

    def is_closing(self) -> bool:
        return self.state != "open"

    def close(self) -> None:
        self.state = "closing"

    def abort(self) -> None:
        self.state = "aborted"

    # -- the peer's side

    def feed(self, data: bytes) -> None:
        """One read of the socket: as many buffers as it takes."""
        at = 0
        while at < len(data):
            room = self.protocol.get_buffer(-1)
            part = data[at : at + len(room)]
            room[: len(part)] = part
            at += len(part)
            self.protocol.buffer_updated(len(part))

    def lose(self, error: Exception | None = None) -> None:
        self.state = "lost"
        self.protocol.connection_lost(error)

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)


class Bench:
    """One link on a fake transport, with a fake clock."""

    def __init__(
        self,
        on_receive: Callable[[Ear, bytes], None] | None = None,
        *,
        is_dialled: bool = False,
        is_binary: bool = False,
        max_message_bytes: int = 1 << 20,
        limits: LinkLimits | None = None,
        budget_bytes: int = 1 << 28,
        commons: Commons | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.troubles: list[tuple[str, BaseException]] = []
        self.gone = 0
        self.commons = commons or Commons(
            PingSweep(self.clock, is_driven=False),
            Budget(budget_bytes),
            lambda *trouble: self.troubles.append(trouble),
        )
        self.transport = FakeTransport()
        self.ear = Ear(on_receive)
        self.link = WebSocketLink(
            LinkInfo(Head("/"), is_dialled=is_dialled),
            self.commons,
            limits or LinkLimits(),
            max_message_bytes=max_message_bytes,
            is_binary=is_binary,
            on_gone=self._count,
        )
        self.ear.link = self.link

    def _count(self) -> None:
        self.gone += 1

    def open(self, **how: Any) -> Bench:
        self.link.open_on(self.transport, lambda _: self.ear, **how)  # type: ignore[arg-type]
        return self

    def feed(self, data: bytes) -> None:
        self.transport.feed(data)

    def seconds(self, count: float) -> None:
        """Let time pass, one visit of the sweep each second."""
        for _ in range(int(count)):
            self.clock.advance(1)
            self.commons.sweep.visit()


async def cut(link: Any) -> None:
    """Cut a real link and see its transport gone, so that no test leaves one behind."""
    link.abort()
    transport = link._transport
    if transport is not None:
        transport.abort()
    await until(lambda: link._transport is None)


async def until(condition: Callable[[], bool], patience_s: float = 10.0) -> None:
    """Turn the loop until something is so; a failure, not a wait, when it does not become so."""
    end_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen"
        await asyncio.sleep(0)
