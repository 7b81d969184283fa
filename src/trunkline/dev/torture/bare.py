"""A WebSocket on a bare socket that loses nothing of what had arrived, as client or as server.

It does as much of RFC 6455 as a well-behaved peer needs: upgrade, frames masked by clients, pings
answered. Reading is a callback of the loop that fills a buffer, so that a wait which is given
up cannot take bytes with it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
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
_MAGIC: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3


class Cut(Exception):
    """The link is gone, and everything that had arrived has been read."""


class BareLink:
    """One open link.

    Args:
        sock: connected and non-blocking.
        is_server: it was accepted: frames leave unmasked.
    """

    def __init__(self, sock: socket.socket, *, is_server: bool = False) -> None:
        self._sock = sock
        self._is_server = is_server
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

    @classmethod
    def accept(cls, sock: socket.socket, key: str, subprotocol: str, read: bytes) -> BareLink:
        """Answer an upgrade that was read.

        Args:
            key: its `Sec-WebSocket-Key`.
            subprotocol: to select, "" = none.
            read: what came behind its head.
        """
        proof = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest())  # noqa: S324 - RFC 6455 1.3
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {proof.decode()}"]
        lines += [f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []
        link = cls(sock, is_server=True)
        link._in += read
        link._write(("\r\n".join(lines) + "\r\n\r\n").encode())
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
                self._write(self._framed(_PONG, body))
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
        mask = b""
        if buffer[1] & 0x80:
            mask = bytes(buffer[start : start + 4])
            start += 4
        if len(buffer) < start or len(buffer) - start < length:
            return None
        body = _xor(bytes(buffer[start : start + length]), mask)
        opcode = buffer[0] & 15
        del buffer[: start + length]
        return opcode, body

    # -- writing -----------------------------------------------------------------------------

    def send(self, data: bytes, *, is_text: bool = True) -> None:
        """Write one message; that a link is dead is noticed by `take`, after what had arrived."""
        self._write(self._framed(TEXT if is_text else BINARY, data))

    def _framed(self, opcode: int, body: bytes) -> bytes:
        size, is_masked = len(body), 0 if self._is_server else 0x80
        if size < 126:
            head = bytes((0x80 | opcode, is_masked | size))
        elif size < 65536:
            head = bytes((0x80 | opcode, is_masked | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | opcode, is_masked | 127)) + size.to_bytes(8, "big")
        if not is_masked:
            return head + body
        key = os.urandom(4)
        return head + key + _xor(body, key)

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

    def hang_up(self, code: int, reason: str) -> None:
        """Write a close frame."""
        self._write(self._framed(_CLOSE, code.to_bytes(2, "big") + reason.encode()[:123]))

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


def _xor(body: bytes, key: bytes) -> bytes:
    size = len(body)
    if not key or not size:
        return body
    mask = int.from_bytes(key * (size // 4 + 1), "big") >> (8 * (4 - size % 4))
    return (int.from_bytes(body, "big") ^ mask).to_bytes(size, "big")
