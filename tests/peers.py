"""Peers over real sockets: a visitor of a contact line, an adapter of a maim core.

They stand on the `websockets` package, which shares no code with ours. No compression, no proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

WAIT_S = 15.0
STAMP = "2025-01-01T12:00:00"


def dial(url: str, headers: dict[str, str] | None = None) -> connect:
    """Return a connection to be entered: no compression, no proxy, any size."""
    return connect(
        url, additional_headers=headers or {}, compression=None, proxy=None, max_size=None,
        open_timeout=WAIT_S,
    )  # fmt: skip


async def receive(socket: ClientConnection) -> dict[str, Any]:
    """Return the next frame, decoded."""
    async with asyncio.timeout(WAIT_S):
        return json.loads(await socket.recv())


async def closing(socket: ClientConnection) -> tuple[int | None, str]:
    """Read until the peer closes; return the code and reason it gave."""
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code, socket.close_reason or ""


def chat(message: str, **more: Any) -> dict[str, Any]:
    """Return a `chat_message` as a page sends it."""
    return {"type": "chat_message", "message": message, "timestamp": STAMP} | more


class Visitor:
    """One visitor: its socket, its `client_id`, and everything it was sent."""

    def __init__(self, socket: ClientConnection, greeting: dict[str, Any]) -> None:
        self.socket = socket
        self.greeting = greeting
        self.client_id = str(greeting["client_id"])
        self.frames: list[dict[str, Any]] = []

    async def send(self, frame: dict[str, Any] | str | bytes) -> None:
        """Send a frame: an object as JSON text, text or bytes as they are."""
        await self.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def next(self) -> dict[str, Any]:
        """Return the next frame."""
        frame = await receive(self.socket)
        self.frames.append(frame)
        return frame

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Read until so many frames of a type have come; return those."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            frame = await self.next()
            if frame["type"] == kind:
                found.append(frame)
        return found

    async def is_usable(self) -> bool:
        """A ping is answered by a pong, and nothing else came before it."""
        await self.send({"type": "ping"})
        return (await self.next())["type"] == "pong"


@contextlib.asynccontextmanager
async def visiting(url: str) -> AsyncIterator[Visitor]:
    """Open a visitor's connection and read its greeting."""
    async with dial(url) as socket:
        greeting = await receive(socket)
        assert greeting["type"] == "connection_established", greeting
        assert uuid.UUID(greeting["client_id"]).version == 4
        yield Visitor(socket, greeting)


def maim_message(
    text: str,
    *,
    platform: str | None = "qq",
    ident: str | None = None,
    user: str = "10001",
    group: str = "",
    time: float = 1764000000.5,
    segments: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return a classic chat message as an adapter sends it. Source: maim 4."""
    info: dict[str, Any] = {
        "message_id": ident or uuid.uuid4().hex,
        "time": time,
        "user_info": {"user_id": user, "user_nickname": f"name of {user}"},
        "format_info": {
            "content_format": ["text"],
            "accept_format": ["text", "image", "at", "reply", "emoji", "seglist"],
        },
    }
    if platform is not None:
        info["platform"] = info["user_info"]["platform"] = platform
    if group:
        info["group_info"] = {"platform": platform, "group_id": group, "group_name": f"g{group}"}
    data = segments or [{"type": "text", "data": text}]
    return {"message_info": info, "message_segment": {"type": "seglist", "data": data}}


def maim_text(frame: dict[str, Any]) -> str:
    """Return the text of a classic chat message, depth first."""

    def walk(segment: dict[str, Any]) -> str:
        if segment["type"] == "seglist":
            return "".join(walk(part) for part in segment["data"])
        return segment["data"] if segment["type"] == "text" else ""

    return walk(frame["message_segment"])
