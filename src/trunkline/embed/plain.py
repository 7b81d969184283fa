"""One WebSocket without a dialect: text in, text out.

For who speaks a protocol by hand over a link of ours: the checks of RFC 6455, the bounds and the
TLS of every other line, and no session. Nothing is answered, sent or dialled again by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final

from trunkline.clock import SystemClock
from trunkline.dialects.contract import Dial
from trunkline.errors import LinkError, LinkLost, LinkTimeout
from trunkline.lines.contract import LinkLimits
from trunkline.lines.dial import Trust, dial
from trunkline.lines.link import WebSocketLink
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.telemetry.logs import get_logger

MAX_MESSAGE_BYTES: Final = 8 << 20  # Source: xianyu 1
UNREAD_MESSAGES: Final = 64  # Source: reliability 2
UNREAD_BYTES: Final = 1 << 20
NEVER_S: Final = 1e9  # protocol pings are the program's own affair. Source: xianyu 17
CLOSE_S: Final = 5.0  # a link waits 2 s for the peer's close frame, and 2 s for its end of TCP
SEND_S: Final = 10.0  # for a peer that does not read
_log = get_logger("embed")


class PlainSocket:
    """An open link. `open_plain` makes it; one task reads, any may send."""

    def __init__(self, limits: LinkLimits) -> None:
        self._limits = limits
        self._link: WebSocketLink | None = None
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._is_paused = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._gone = asyncio.Event()
        self.error: LinkError | None = None

    @property
    def is_open(self) -> bool:
        """Whether what is sent still reaches the wire."""
        return self.error is None and self._link is not None and self._link.is_open

    async def send(self, text: str) -> None:
        """Send one text message; wait while the peer does not read.

        Raises:
            LinkError: the link has ended, or the peer does not read any more.
        """
        link = self._link
        if link is None or not self.is_open:
            raise self.error or LinkLost()
        try:
            async with asyncio.timeout(SEND_S):
                while link.buffered_bytes >= self._limits.high_water_bytes and self.is_open:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError as error:
            raise LinkTimeout("the peer does not read") from error
        if not self.is_open:
            raise self.error or LinkLost()
        link.send(text.encode("utf-8", "replace"))
        link.flush()

    async def receive(self) -> str:
        """Return the next message; a binary one as the text that it holds.

        Raises:
            LinkError: the link has ended and everything is read.
        """
        while not self._unread:
            if self.error is not None:
                raise self.error
            self._news.clear()
            await self._news.wait()
        data = self._unread.popleft()
        self._unread_bytes -= len(data)
        if self._is_paused and not self._is_full and self._link is not None:
            self._is_paused = False
            self._link.resume()
        return data.decode("utf-8", "replace")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say good-bye and wait for the end; cut when the peer does not answer."""
        link = self._link
        if link is None:
            return
        link.close(code, reason)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._gone.wait()
        except TimeoutError:
            link.abort()

    # -- what the link calls -----------------------------------------------------------------

    def enter(self, link: WebSocketLink) -> PlainSocket:
        """Take the open link."""
        self._link = link
        return self

    def receive_one(self, data: bytes) -> None:
        """Keep a message until it is read; beyond the bounds the link is not read."""
        self._unread.append(data)
        self._unread_bytes += len(data)
        self._news.set()
        if self._is_full and not self._is_paused and self._link is not None:
            self._is_paused = True
            self._link.pause()

    def ended(self, error: LinkError) -> None:
        """Tell whoever waits."""
        self.error = error
        self._news.set()
        self._room.set()

    def gone(self) -> None:
        """The connection below the link has ended too."""
        self._gone.set()

    def has_room(self) -> None:
        """Let senders go on."""
        self._room.set()

    @property
    def _is_full(self) -> bool:
        return len(self._unread) >= UNREAD_MESSAGES or self._unread_bytes >= UNREAD_BYTES


class _Ear:
    """What the link calls: passes it to the socket, whose own verbs have these names."""

    def __init__(self, socket: PlainSocket) -> None:
        self._socket = socket
        self.closed = socket.ended
        self.drained = socket.has_room

    def receive(self, data: bytes, *, is_text: bool) -> None:
        """One message."""
        del is_text
        self._socket.receive_one(data)

    def read_done(self) -> None:
        """Nothing waits for the end of a read."""

    def enter(self, link: WebSocketLink) -> _Ear:
        """Take the open link."""
        self._socket.enter(link)
        return self


async def open_plain(url: str, headers: Mapping[str, str], *, ca_file: str = "") -> PlainSocket:
    """Open a WebSocket with these headers.

    Args:
        url: `ws://` or `wss://`.
        headers: of the upgrade request, besides those of RFC 6455.
        ca_file: PEM file with the only roots that count; "" = the system's.

    Raises:
        LinkError: it could not be opened.
        ConfigError: the address or a header cannot work.
    """
    limits = LinkLimits(heartbeat_interval_s=NEVER_S, heartbeat_timeout_s=NEVER_S)
    socket = PlainSocket(limits)
    target = Dial(url, dict(headers), None, MAX_MESSAGE_BYTES)
    commons = Commons(PingSweep(SystemClock()), Budget(), _failed)
    ear = _Ear(socket)
    trust = Trust(ca_file)
    await dial(target, ear.enter, commons, trust=trust, limits=limits, on_gone=socket.gone)
    return socket


def _failed(where: str, error: BaseException) -> None:
    _log.error("link user failed", where=where, error=error)
