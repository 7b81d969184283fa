"""The production listener with nothing behind it: every message comes back.

For measuring what a link costs by itself, and for WebSocket conformance tests. `measure_echo` is
the other end, so that a number can be had without further tools.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import msgspec

from trunkline.clock import SystemClock
from trunkline.dialects.contract import Admit, Dial, Head, Refuse
from trunkline.errors import LinkError, LocalProtocolError
from trunkline.lines.contract import Link, LinkLimits, LinkUser
from trunkline.lines.dial import Trust, dial
from trunkline.lines.link import WebSocketLink
from trunkline.lines.listen import Gate
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.web.server import Server, Socket, not_found

MAX_MESSAGE_BYTES = 16_777_216
PATHS = ("/", "/ws")


class Echo:
    """Sends every message back in the opcode that it came in."""

    def __init__(self, link: WebSocketLink) -> None:
        self._link = link
        self._is_text = True

    def receive(self, data: bytes, *, is_text: bool) -> None:
        """Send it back; it leaves at the end of the read."""
        if is_text is not self._is_text:
            self._is_text = is_text
            self._link.use_opcode(is_binary=not is_text)
        self._link.send(data)

    def read_done(self) -> None:
        """Do nothing."""

    def closed(self, error: LinkError) -> None:
        """Do nothing."""

    def drained(self) -> None:
        """Do nothing."""


class EchoDoor:
    """Lets everybody in."""

    line = "echo"
    is_binary = False
    is_public = True
    max_per_address = 10_000
    origins: tuple[str, ...] = ()
    limits = LinkLimits()
    dialect_name = "echo"
    claims: Callable[[Head], bool | None] | None = None
    recognises: Callable[[bytes], bool] | None = None

    def admit(self, head: Head) -> Admit | Refuse:  # noqa: ARG002, RUF100
        """Let everybody in."""
        return Admit("", MAX_MESSAGE_BYTES)

    def enter(self, admitted: Admit, link: Link) -> LinkUser:  # noqa: ARG002, RUF100
        """Echo."""
        if not isinstance(link, WebSocketLink):
            raise LocalProtocolError("only the production link can change its opcode")
        return Echo(link)


def make_commons(on_trouble: Callable[[str, BaseException], None]) -> Commons:
    """Return what the links of a small process share."""
    return Commons(PingSweep(SystemClock()), Budget(), on_trouble)


async def serve_echo(
    port: int,
    on_ready: Callable[[Mapping[str, object]], None],
    on_trouble: Callable[[str, BaseException], None],
    *,
    host: str = "127.0.0.1",
) -> None:
    """Serve until cancelled.

    Args:
        port: 0 picks a free one.
        on_ready: told `url` and `pid` once it listens.
        on_trouble: told of exceptions, which would be bugs.
        host: address to listen on.

    Raises:
        ConfigError: the port is taken.
    """
    gate = Gate(make_commons(on_trouble), SystemClock())
    for path in PATHS:
        gate.add("", path, EchoDoor())
    server = Server(not_found, gate, [Socket("", host, port)])
    bound = await server.start()
    on_ready({"url": bound[""], "pid": os.getpid()})
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop(0.0)


class EchoRate(msgspec.Struct, frozen=True):
    """What `measure_echo` saw."""

    messages: int
    seconds: float

    @property
    def per_s(self) -> float:
        """Messages a second, all links together."""
        return self.messages / self.seconds


class _Pitcher:
    """Keeps so many messages in flight on one link, until told to stop."""

    def __init__(self, link: Link, data: bytes, in_flight: int) -> None:
        self._link = link
        self.count = 0
        for _ in range(in_flight):
            link.send(data)
        link.flush()

    def receive(self, data: bytes, *, is_text: bool) -> None:  # noqa: ARG002, RUF100
        """Throw it again."""
        self.count += 1
        self._link.send(data)

    def read_done(self) -> None:
        """Do nothing."""

    def closed(self, error: LinkError) -> None:
        """Do nothing."""

    def drained(self) -> None:
        """Do nothing."""


async def measure_echo(
    url: str, on_trouble: Callable[[str, BaseException], None], *, links: int = 50,
    in_flight: int = 1, message_bytes: int = 355, seconds: float = 3.0,
) -> EchoRate:  # fmt: skip
    """Send messages round for `seconds` and count them.

    Raises:
        LinkError: the server cannot be reached.
    """
    commons = make_commons(on_trouble)
    pitchers: list[_Pitcher] = []
    data = b"x" * message_bytes

    def enter(link: Link) -> LinkUser:
        pitchers.append(_Pitcher(link, data, in_flight))
        return pitchers[-1]

    opened = [
        await dial(Dial(url), enter, commons, trust=Trust(), limits=LinkLimits())
        for _ in range(links)
    ]
    loop = asyncio.get_running_loop()
    start_s, before = loop.time(), sum(pitcher.count for pitcher in pitchers)
    await asyncio.sleep(seconds)
    count = sum(pitcher.count for pitcher in pitchers) - before
    elapsed_s = loop.time() - start_s
    for link in opened:
        link.abort()
    return EchoRate(count, elapsed_s)
