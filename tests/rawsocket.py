"""A WebSocket client made of bytes: it can break every rule of RFC 6455, and checks none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PATIENCE_S = 10.0  # nobody waits so long unless the code is wrong
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # Source: RFC 6455 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Frame:
    opcode: int
    payload: bytes
    is_final: bool = True
    is_masked: bool = False

    @property
    def code(self) -> int:
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005

    @property
    def reason(self) -> str:
        return self.payload[2:].decode()


def mask(payload: bytes, key: bytes) -> bytes:
    return (
        bytes(byte ^ key[at & 3] for at, byte in enumerate(payload)) if key != bytes(4) else payload
    )


def encode_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    is_masked: bool = True,
    key: bytes = b"\1\2\3\4",
    length: bytes | None = None,
) -> bytes:
    """A frame as told; `length` overrides the length bytes (the first may be 126 or 127)."""
    if len(payload) > 10_000:
        key = bytes(4)
    if length is None:
        size = len(payload)
        if size < 126:
            length = bytes((size,))
        elif size < 65_536:
            length = b"\x7e" + size.to_bytes(2, "big")
        else:
            length = b"\x7f" + size.to_bytes(8, "big")
    head = bytes((0x80 * fin | rsv << 4 | opcode, length[0] | 0x80 * is_masked)) + length[1:]
    return head + (key + mask(payload, key) if is_masked else payload)


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + reason


def upgrade_request(
    path: str = "/",
    headers: Mapping[str, str | None] | Sequence[tuple[str, str]] = (),
    *,
    first_line: str | None = None,
) -> bytes:
    """An upgrade request; headers replace ours by name (None removes), pairs are added as given."""
    own: dict[str, str] = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }
    added: list[tuple[str, str]] = []
    if isinstance(headers, Mapping):
        for name, value in headers.items():
            own.pop(name, None)
            if value is not None:
                added.append((name, value))
    else:
        added = list(headers)
    lines = [first_line or f"GET {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in [*own.items(), *added]]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass
class RawSocket:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    response: Response = field(default_factory=lambda: Response(0, {}))

    @classmethod
    async def connect(
        cls, port: int, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> RawSocket:
        reader, writer = await asyncio.open_connection(
            host, port, ssl=tls, server_hostname="localhost" if tls else None, limit=1 << 25
        )
        return cls(reader, writer)

    @classmethod
    async def open(
        cls,
        port: int,
        path: str = "/",
        headers: Mapping[str, str | None] | Sequence[tuple[str, str]] = (),
        *,
        rest: bytes = b"",
        tls: ssl.SSLContext | None = None,
    ) -> RawSocket:
        """Connect and send the upgrade; `response` has the answer, whatever it is."""
        self = await cls.connect(port, tls=tls)
        self.write(upgrade_request(path, headers) + rest)
        self.response = await self.read_response()
        return self

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def send(self, opcode: int, payload: bytes = b"", **how: object) -> None:
        self.write(encode_frame(opcode, payload, **how))  # type: ignore[arg-type]
        await self.writer.drain()

    async def read_response(self) -> Response:
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Response(int(first.split()[1]), headers, body)

    async def read_frame(self) -> Frame:
        """The next frame; IncompleteReadError or ConnectionResetError at the end."""
        async with asyncio.timeout(PATIENCE_S):
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            key = await self.reader.readexactly(4) if second & 0x80 else bytes(4)
            payload = mask(await self.reader.readexactly(size), key)
        return Frame(first & 15, payload, bool(first & 0x80), bool(second & 0x80))

    async def read_message(self) -> bytes:
        frame = await self.read_frame()
        assert frame.opcode in (TEXT, BINARY), frame
        assert frame.is_final
        return frame.payload

    async def read_close(self) -> Frame:
        """Skip to the close frame."""
        while (frame := await self.read_frame()).opcode != CLOSE:
            pass
        return frame

    async def read_eof(self) -> bool:
        """True when the peer ended TCP orderly, False when it reset."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while await self.reader.read(65_536):
                    pass
            except ConnectionError:
                return False
        return True

    async def close(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def raw_server(handler: Callable[..., Awaitable[None]], **how: Any) -> AsyncIterator[int]:
    """Serve `handler(reader, writer)` on a free port; everything is closed at the end."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **how)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def random_key() -> bytes:
    return os.urandom(4)
