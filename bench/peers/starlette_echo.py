"""Starlette and msgspec: decode a typed frame, build an answer, encode it. Nothing is stored.

What a careful author writes who has no need to keep anything; uvicorn with httptools and uvloop.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


class Segment(msgspec.Struct):
    """A piece of a message."""

    type: str
    data: Any


class Info(msgspec.Struct, omit_defaults=True):
    """Who and where."""

    platform: str
    message_id: str = ""
    time: float = 0.0
    group_info: dict[str, str | None] | None = None
    user_info: dict[str, str | None] | None = None
    format_info: dict[str, list[str]] | None = None


class Message(msgspec.Struct):
    """A chat message."""

    message_info: Info
    message_segment: Segment


_decode = msgspec.json.Decoder(Message).decode
_encode = msgspec.json.Encoder().encode


async def echo(websocket: WebSocket) -> None:
    """Answer every message by itself."""
    await websocket.accept()
    try:
        while True:
            message = _decode(await websocket.receive_text())
            await websocket.send_text(_encode(message).decode())
    except WebSocketDisconnect:
        pass


def main() -> None:
    """Serve until killed."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    app = Starlette(routes=[WebSocketRoute("/ws", echo)])
    config = uvicorn.Config(
        app, log_level="warning", loop="uvloop", http="httptools", ws="websockets-sansio",
        ws_per_message_deflate=False,
    )  # fmt: skip
    ready = {"url": f"http://127.0.0.1:{listener.getsockname()[1]}", "pid": os.getpid()}
    print("ready", json.dumps(ready), flush=True)
    uvicorn.Server(config).run(sockets=[listener])


main()
