"""picows as a reader of frames, and as nothing else.

It believes that `Outlet` is its transport and its logger, so what it would write, log and close by
itself is decided by the link. Its handshake is satisfied with a made-up one: the real one is in
`listen.py` and `dial.py`. Its constructor is not documented: the version is pinned, and
`tests/interop/test_rfc6455_picows.py` fails when what we rely on changes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from picows import WSAutoPingStrategy, WSListener, WSTransport

# The stubs of picows do not name it; the test named above pins what we use of it.
from picows.picows import (
    WSProtocol,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
)

_BUFFER_BYTES: Final = 2048  # picows' least; it doubles when a frame needs more
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # Source: RFC 6455 1.3
_SCRATCH: Final = memoryview(bytearray(65_536))  # what is read there, nobody looks at
_REQUEST: Final = (
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_RESPONSE: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


def accept_key(key: bytes) -> bytes:
    """Return `Sec-WebSocket-Accept` for a request's key. Source: RFC 6455 4.2.2."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)


class Blamed(Protocol):
    """The link, as the outlet sees it."""

    def collect(self, data: bytes) -> None:
        """Take a masked frame."""
        ...

    def blame(self, code: int, reason: str) -> None:
        """Take a broken rule."""
        ...


class Reader(Protocol):
    """What we use of picows' `WSProtocol`."""

    transport: WSTransport

    def connection_made(self, transport: Any) -> None:
        """Begin the handshake."""
        ...

    def get_buffer(self, size_hint: int, /) -> memoryview:
        """Return the free part of the read buffer, valid until `buffer_updated`."""
        ...

    def buffer_updated(self, nbytes: int, /) -> None:
        """Parse; calls the listener's `on_ws_frame` for each whole frame."""
        ...


class Outlet:
    """What picows takes for its transport and its logger.

    Its handshake and its error closes are swallowed; masked frames are collected for `flush`; its
    report of a broken rule becomes the link's fault (it has no other way of telling).
    """

    __slots__ = ("_link", "_transport")

    def __init__(self, link: Blamed, transport: asyncio.Transport) -> None:
        self._link = link
        self._transport = transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Answer as the real transport does."""
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Return 1: with something in the buffer picows does not write to the socket itself."""
        return 1

    def write(self, data: bytes) -> None:
        """Collect a masked frame that the link asked for."""
        self._link.collect(data)

    def close(self) -> None:
        """Do nothing: when to cut is decided by the link."""

    abort = close

    def isEnabledFor(self, level: int) -> bool:  # noqa: ARG002, N802, RUF100 - the name and signature of logging.Logger
        """Return False, whatever the level."""
        return False

    def error(self, text: str, *values: Any) -> None:
        """Take a broken rule: picows logs it with the code and reason it would close with."""
        try:
            code, reason = values[0]
        except (IndexError, TypeError, ValueError):
            code, reason = 1002, text
        self._link.blame(int(code), str(reason))

    exception = error

    def info(self, *values: Any) -> None:
        """Do nothing."""

    warning = debug = log = info


class Drain(asyncio.BufferedProtocol):
    """Reads and forgets what a peer still sends after the end of its link.

    Closing a socket with unread bytes makes the kernel send a reset, which may overtake our close
    frame; so we wait for the peer's end, and cut when it does not come.
    """

    __slots__ = ("_on_gone", "_timer")

    def __init__(self, timer: asyncio.TimerHandle, on_gone: Callable[[], None]) -> None:
        self._timer = timer
        self._on_gone = on_gone

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002, RUF100
        """Return the shared scratch buffer."""
        return _SCRATCH

    def buffer_updated(self, nbytes: int) -> None:
        """Forget it."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, RUF100
        """The TCP connection is gone."""
        self._timer.cancel()
        self._on_gone()


def forget(nbytes: int) -> None:  # noqa: ARG001, RUF100 - the signature of `buffer_updated`
    """Take the place of a reader that is no longer wanted."""


def no_buffer(size_hint: int) -> memoryview:  # noqa: ARG001, RUF100 - the signature of `get_buffer`
    """Take the place of a reader's buffer when there is none."""
    return _SCRATCH


def bounded_buffer(
    get_buffer: Callable[[int], memoryview], max_bytes: int, size_hint: int
) -> memoryview:
    """Return the beginning of what a reader's `get_buffer` returns."""
    return get_buffer(size_hint)[:max_bytes]


def make_reader(
    link: WSListener, outlet: Outlet, *, is_client: bool, max_frame_bytes: int
) -> Reader:
    """Return a reader that is past its handshake: the next bytes are frames.

    Args:
        link: its `on_ws_frame` is called.
        outlet: the link's.
        is_client: frames from the peer are unmasked then, and `transport.send` masks.
        max_frame_bytes: a longer frame is blamed with 1009 once its header is read.
    """

    def listener(*_: Any) -> WSListener:
        return link

    # A cast, because the constructor has no type.
    make = cast("Callable[..., Reader]", WSProtocol)
    reader = make(
        "",  # host_port, of the request that is never sent
        "/",  # ws_path
        is_client,
        listener,
        outlet,  # the logger
        False,  # disconnect_on_exception: our users' exceptions do not reach picows  # noqa: FBT003
        None,  # websocket_handshake_timeout
        False,  # enable_auto_ping: one task a link; the sweep does it  # noqa: FBT003
        0,  # auto_ping_idle_timeout
        0,  # auto_ping_reply_timeout
        WSAutoPingStrategy.PING_WHEN_IDLE,  # auto_ping_strategy
        False,  # enable_auto_pong: it would bound nothing  # noqa: FBT003
        max_frame_bytes,
        None,  # extra_headers
        _BUFFER_BYTES,
    )
    reader.connection_made(outlet)
    if is_client:
        headers = reader.transport.request.headers
        head = _RESPONSE % accept_key(headers["Sec-WebSocket-Key"].encode())
    else:
        head = _REQUEST
    room = reader.get_buffer(0)
    room[: len(head)] = head
    room.release()
    reader.buffer_updated(len(head))
    return reader
