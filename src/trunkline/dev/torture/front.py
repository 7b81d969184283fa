"""The front door of a platform that the product dials: one port, HTTP calls and WebSockets.

On bare sockets, as `bare.py` says: what had arrived when the product dies is read to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from trunkline.dialects.contract import Fetch, Fetched, Head, Refuse

from .bare import BareLink
from .ways import Place

_READ_BYTES: Final = 65536
_MOST_BYTES: Final = 1 << 20  # of a request


class Front:
    """Listens for one place. Needs a running loop.

    Args:
        arrive: takes the link of an account, by its number.
    """

    def __init__(self, place: Place, arrive: Callable[[int, BareLink, Head], None]) -> None:
        self._place = place
        self._arrive = arrive
        self._loop = asyncio.get_running_loop()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listening.setblocking(False)  # noqa: FBT003 - the name of that switch is its call
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base(self) -> str:
        """Its address, as `http://`."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    async def run(self) -> None:
        """Let everybody in, until it is cancelled."""
        try:
            while True:
                sock, _ = await self._loop.sock_accept(self._listening)
                task = self._loop.create_task(self._serve(sock))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            self._listening.close()
            for task in list(self._tasks):
                task.cancel()

    async def _serve(self, sock: socket.socket) -> None:
        """Answer one request; an upgrade becomes a link, everything else ends with its answer."""
        is_link = False
        try:
            sock.setblocking(False)  # noqa: FBT003 - see above
            request, read = await self._read(sock, b"", b"\r\n\r\n")
            method, target, headers = _parse_head(request)
            if "upgrade" in headers:
                is_link = self._upgrade(sock, target, headers, read)
                return
            body = await self._fill(sock, read, int(headers.get("content-length", "0")))
            fetch = Fetch(method, f"http://{headers.get('host', '')}{target}", headers, body)
            await self._loop.sock_sendall(sock, _format(self._place.http(fetch)))
        except (OSError, ValueError):
            pass  # who asked died on the way
        finally:
            if not is_link:
                sock.close()

    def _upgrade(
        self, sock: socket.socket, target: str, headers: dict[str, str], read: bytes
    ) -> bool:
        url = urlsplit(target)
        head = Head(url.path, dict(parse_qsl(url.query)), headers, "127.0.0.1", is_loopback=True)
        admitted = self._place.admit(head)
        if isinstance(admitted, Refuse):
            with contextlib.suppress(OSError):
                sock.send(_format(Fetched(admitted.status, (), admitted.text.encode())))
            return False
        number, subprotocol = admitted
        key = headers.get("sec-websocket-key", "")
        self._arrive(number, BareLink.accept(sock, key, subprotocol, read), head)
        return True

    async def _read(self, sock: socket.socket, read: bytes, end: bytes) -> tuple[bytes, bytes]:
        while end not in read:
            data = await self._loop.sock_recv(sock, _READ_BYTES)
            if not data or len(read) > _MOST_BYTES:
                raise ValueError("no whole request")
            read += data
        head, _, rest = read.partition(end)
        return head, rest

    async def _fill(self, sock: socket.socket, read: bytes, size: int) -> bytes:
        while len(read) < min(size, _MOST_BYTES):
            data = await self._loop.sock_recv(sock, _READ_BYTES)
            if not data:
                raise ValueError("no whole body")
            read += data
        return read[:size]


def _parse_head(data: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = data.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return method, target, {name.strip().lower(): value.strip() for name, _, value in pairs}


def _format(answer: Fetched) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} answer", f"content-length: {len(answer.body)}"]
    lines += ["connection: close", *(f"{name}: {value}" for name, value in answer.headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + answer.body
