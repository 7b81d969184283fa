"""A WebSocket client on a bare socket that loses nothing of what had arrived.

It does as much of RFC 6455 as a well-behaved server needs of its peer: upgrade, masked frames,
pings answered. Reading is a callback of the loop that fills a buffer, so that a wait which is given
up cannot take bytes with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

TEXT: Final = 1
BINARY: Final = 2
_CLOSE: Final = 8
_PING: Final = 9
_PONG: Final = 10
_READ_BYTES: Final = 65536
_OPEN_S: Final = 20.0


class Cut(Exception):
    """The link is gone, and everything that had arrived has been read."""


class BareLink:
    """One open link.

    Args:
        sock: connected and non-blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._in = bytearray()
        self._out = bytearray()
        self._arrived = asyncio.Event()
        self._is_writing = False
        self._is_dead = False  # nothing can be written any more
        self.is_over = False  # nothing more will arrive
        self.close_code = 0
        self.resume()

    @classmethod
    async def open(cls, url: str, headers: Mapping[str, str], subprotocol: str = "") -> BareLink:
        """Connect and ask for the upgrade.

        Raises:
            Cut: nobody listens, the upgrade was refused, or the server died on the way.
        """
        parts = urlsplit(url)
        sock = socket.socket()
        sock.settimeout(0)  # non-blocking
        try:
            address = (parts.hostname or "127.0.0.1", parts.port or 80)
            await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as error:
            sock.close()
            raise Cut(str(error)) from error
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
        lines += [f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []
        lines += [f"{name}: {value}" for name, value in headers.items()]
        link = cls(sock)
        link._write(("\r\n".join(lines) + "\r\n\r\n").encode())
        try:
            await link._upgrade()
        except Cut:
            link.close()
            raise
        return link

    async def _upgrade(self) -> None:
        deadline_s = self._loop.time() + _OPEN_S
        while b"\r\n\r\n" not in self._in:
            left_s = deadline_s - self._loop.time()
            if self.is_over or left_s <= 0:
                raise Cut("no answer to the upgrade")
            await self.wait(left_s)
        head, _, rest = bytes(self._in).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Cut(head[:100].decode("latin-1"))
        self._in[:] = rest

    # -- reading -----------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop reading; the kernel's buffers fill."""
        self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        """Read again."""
        if not self.is_over:
            self._loop.add_reader(self._sock, self._readable)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._in += data
        else:
            self.is_over = True
            self._loop.remove_reader(self._sock)
        self._arrived.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when something has arrived since the last wait, or at the time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self._arrived.wait()
        self._arrived.clear()

    def take(self) -> list[tuple[bytes, bool]]:
        """Return the whole messages that have arrived, with whether each is text.

        Raises:
            Cut: there is none, and none will come.
        """
        messages: list[tuple[bytes, bool]] = []
        while (frame := self._frame()) is not None:
            opcode, body = frame
            if opcode in {TEXT, BINARY}:
                messages.append((body, opcode == TEXT))
            elif opcode == _PING:
                self._write(_masked(_PONG, body))
            elif opcode == _CLOSE:
                self.close_code = int.from_bytes(body[:2], "big")
                self.is_over = True
                self._loop.remove_reader(self._sock)
                self._in.clear()
        if not messages and self.is_over:
            raise Cut(f"closed {self.close_code}" if self.close_code else "lost")
        return messages

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._in
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 127, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start or len(buffer) - start < length:
            return None
        body = bytes(buffer[start : start + length])
        opcode = buffer[0] & 15
        del buffer[: start + length]
        return opcode, body

    # -- writing -----------------------------------------------------------------------------

    def send(self, data: bytes, *, is_text: bool = True) -> None:
        """Write one message; that a link is dead is noticed by `take`, after what had arrived."""
        self._write(_masked(TEXT if is_text else BINARY, data))

    def _write(self, data: bytes) -> None:
        self._out += data
        if not self._is_writing:
            self._push()

    def _push(self) -> None:
        try:
            while self._out and not self._is_dead:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            if not self._is_writing:
                self._is_writing = True
                self._loop.add_writer(self._sock, self._push)
            return
        except OSError:
            self._is_dead = True
        if self._is_dead:
            self._out.clear()
        if self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self._sock)

    def leave(self) -> None:
        """Say that nothing more comes from here; what the other side wrote before still arrives."""
        self._is_dead = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket."""
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()


def _masked(opcode: int, body: bytes) -> bytes:
    size = len(body)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    key = os.urandom(4)
    mask = int.from_bytes(key * (size // 4 + 1), "big") >> (8 * (4 - size % 4))
    return head + key + (int.from_bytes(body, "big") ^ mask).to_bytes(size, "big")
