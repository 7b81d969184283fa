"""What a link and its driver promise each other, and what a door is.

Two implementations of `Link` exist: the WebSocket on picows and the in-memory twin for tests and
the simulation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

import msgspec

from trunkline.dialects.contract import (
    Admit,
    Head,
    HttpAnswer,
    HttpRequest,
    LinkInfo,
    Refuse,
)
from trunkline.errors import LinkError


class LinkUser(Protocol):
    """What a link calls: the driver (or a test's own ear). Calls come on the loop's thread."""

    def receive(self, data: bytes, *, is_text: bool) -> None:
        """One whole message. UTF-8 of a TEXT message is already checked (else closed 1007)."""
        ...

    def read_done(self) -> None:
        """One read of the socket is finished: what was sent meanwhile leaves now, in one write."""
        ...

    def closed(self, error: LinkError) -> None:
        """The link is gone; called exactly once, whoever closed it. Nothing follows."""
        ...

    def drained(self) -> None:
        """The write buffer fell below its low-water mark after it was above the high one."""
        ...


class Link(Protocol):
    """One open WebSocket.

    All RFC 6455 duties are the link's: fragments (≤ 1,024), RSV, UTF-8 also across fragments,
    control frames, close codes and the closing handshake, sizes counted while reading, pongs that
    pile up, protocol pings and their time-out. After `pause` no further message is delivered;
    what the current read still holds is kept as one bytearray and delivered after `resume`.
    """

    info: LinkInfo

    @property
    def is_open(self) -> bool:
        """Whether `send` still reaches the wire."""
        ...

    @property
    def buffered_bytes(self) -> int:
        """Bytes accepted by `send` and not yet taken by the kernel."""
        ...

    def send(self, data: bytes) -> None:
        """Queue one message in the link's opcode; it leaves at `flush`. No-op when closed."""
        ...

    def flush(self) -> None:
        """Write everything queued, in one write."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Flush, send a close frame, wait for the peer's, then cut. Idempotent.

        It waits `close_wait_s`, and up to four times more while bytes of ours are not yet written.
        """
        ...

    def abort(self) -> None:
        """Cut at once, without a close frame."""
        ...

    def ping(self, heard: Callable[[], None]) -> None:
        """Ask whether the peer is there; `heard` is called once, when anything comes from it.

        At once when it is us who do not read. Never by an end, nor on a link that is closing; a
        later `ping` takes the place of one that is not answered.
        """
        ...

    def pause(self) -> None:
        """Stop delivering and reading (a bound is reached)."""
        ...

    def resume(self) -> None:
        """Deliver what was kept, then read on. May call `receive` before it returns."""
        ...


class LinkLimits(msgspec.Struct, frozen=True):
    """What a link may hold and how long it waits. `Admit` and `Dial` carry the message size.

    Args:
        heartbeat_interval_s: between two protocol pings of ours.
        heartbeat_timeout_s: without a pong the link is closed 1011 (`reliability 8`).
        high_water_bytes: of the write buffer; above it the link stops reading (`reliability 2`).
        low_water_bytes: below it the link reads again and calls `drained`.
        stall_s: a write buffer above high water that does not shrink for so long is dropped, 1013.
        close_wait_s: for the peer's close frame, and for its end of the TCP connection.
        connect_s: to open TCP and TLS when dialling.
        handshake_s: for the answer to our upgrade request.
    """

    heartbeat_interval_s: float = 20.0
    heartbeat_timeout_s: float = 20.0
    high_water_bytes: int = 262_144
    low_water_bytes: int = 65_536
    stall_s: float = 10.0
    close_wait_s: float = 2.0
    connect_s: float = 10.0
    handshake_s: float = 5.0


class Answering(Protocol):
    """A request that is being answered."""

    answer: asyncio.Future[HttpAnswer]

    def abort(self) -> None:
        """Nobody waits for the answer any more."""
        ...


class Door(Protocol):
    """One exact path of one bind, served by a line.

    Attributes:
        line: the line's name.
        is_binary: the opcode of what we send.
        is_public: for visitors' browsers: any `Host`, and `Forwarded` headers are ignored.
        max_per_address: open links of one address (50; contact 1,000).
        origins: browsers' origins that are let in; empty = none, for public doors any.
        limits: of the links that enter here.
        dialect_name: two doors of one dialect never share a path: nothing tells their peers apart.
        claims, recognises: as `dialects.contract.Dialect` has them; None = shares no path.
    """

    line: str
    is_binary: bool
    is_public: bool
    max_per_address: int
    origins: tuple[str, ...]
    limits: LinkLimits
    dialect_name: str
    claims: Callable[[Head], bool | None] | None
    recognises: Callable[[bytes], bool] | None

    def admit(self, head: Head) -> Admit | Refuse:
        """Decide before the upgrade."""
        ...

    def enter(self, admitted: Admit, link: Link) -> LinkUser:
        """Take an accepted link. May send at once; the caller flushes."""
        ...


class RequestDoor(Door, Protocol):
    """A door that takes plain HTTP requests too.

    Attributes:
        request_paths: as `dialects.contract.HttpSide.paths` says.
    """

    @property
    def request_paths(self) -> Sequence[str]:
        """Where requests are taken."""
        ...

    def admit_request(self, method: str, head: Head) -> HttpAnswer | int:
        """Decide before the body is read; return how large it may be."""
        ...

    def take_request(self, request: HttpRequest) -> HttpAnswer | Answering:
        """Take an admitted request; the answer is known now, or comes."""
        ...


class LineState(Enum):
    """The five states of a line (`design 5`)."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    RECONNECTING = "RECONNECTING"
    FAILED = "FAILED"


class SeatStatus(msgspec.Struct, frozen=True):
    """One ready link of a line, for people."""

    key: str
    account: str
    peer: str
    since_ms: int
    last_ms: int


class OddityStatus(msgspec.Struct, frozen=True):
    """Something odd at a line, for people.

    Args:
        kind: as metrics and log name it, `rejected:not_json` for example.
        detail: sizes, hashes and reasons, without secrets; never a body.
        times: how often within the last day or so.
        last_ms: when last.
    """

    kind: str
    detail: str
    times: int
    last_ms: int


class LineStatus(msgspec.Struct, frozen=True):
    """A line as `lines`, `/api/v1/lines` and `/readyz` show it.

    Args:
        overlays: of `paused`, `needs-you`, `deaf`, `open` (no token, loopback only).
        where: the URLs it listens on, or dials.
        links: open links; `seats` lists at most 50 of them.
        received, sent: since the process started.
        last_ms: last traffic, 0 = none.
        error: the last reason it was not connected, or "".
        retry_in_s: until the next dial, 0 when none is planned.
        carries: the line that it presents, "" when none.
    """

    name: str
    dialect: str
    role: str
    link: str
    state: LineState
    mode: str
    overlays: tuple[str, ...]
    where: tuple[str, ...]
    links: int
    seats: tuple[SeatStatus, ...]
    received: int
    sent: int
    last_ms: int
    error: str = ""
    retry_in_s: float = 0.0
    carries: str = ""


class CredentialRefused(Exception):
    """A credential that somebody gave cannot be used; the text says why and holds none of it."""


class Fleet(Protocol):
    """All lines of this node, for web and app."""

    def statuses(self) -> list[LineStatus]:
        """Every line in file order."""
        ...

    def status(self, name: str) -> LineStatus | None:
        """One line, or None."""
        ...

    def oddities(self, name: str) -> Sequence[OddityStatus]:
        """What was odd at one line, newest first; empty when there is no such line."""
        ...

    def pause(self, name: str) -> None:
        """Stay connected, store, send nothing."""
        ...

    def resume(self, name: str) -> None:
        """End `pause`; what waits leaves."""
        ...

    def reconnect(self, name: str) -> None:
        """Dial now, also from FAILED or parked. A listening line closes its links 1012."""
        ...

    def set_mode(self, name: str, mode: str) -> None:
        """`auto`, `draft` or `off`, until the next start."""
        ...

    async def give_credential(self, name: str, text: str) -> None:
        """Use a new credential: checked, written into its file, and the line dials anew.

        Raises:
            CredentialRefused: it cannot be used; nothing is changed.
        """
        ...

    def watch_frames(self, name: str, sink: Callable[[str, str, str], None]) -> Callable[[], None]:
        """Call `sink(direction, seat, described frame)` for each frame; return how to stop."""
        ...
