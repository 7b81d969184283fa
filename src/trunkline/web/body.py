"""The bound on request bodies: counted while reading, and only so long (`reliability 8`).

The whole body is taken in before the application runs. It is at most 1 MiB (10 MiB for messages,
which may hold pictures), and the caller is already known, so this costs little and no route can
forget it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import Problem, Said, build_response

MAX_BODY_BYTES: Final = 1 << 20
# A message may hold pictures. Source: reliability 8, upload.
UPLOADS: Final = {"/api/v1/messages": 10 << 20, "/api/v1/broadcast": 10 << 20}
SMALL: Final = {"/xianyu/reply": 64 << 10}  # Source: xianyu 13
BODY_TIMEOUT_S: Final = 10.0


class BodyLimit:
    """Pure ASGI middleware.

    Args:
        limit_bytes: the largest body that is let through.
        timeout_s: how long a body may take to arrive.
    """

    def __init__(
        self, app: ASGIApp, limit_bytes: int = MAX_BODY_BYTES, timeout_s: float = BODY_TIMEOUT_S
    ) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then pass the call on; or answer 413 or 408."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            path = scope["path"]
            limit_bytes = max(self._limit_bytes, UPLOADS.get(path, 0))
            limit_bytes = min(limit_bytes, SMALL.get(path, limit_bytes))
            body = await self._read(headers, receive, limit_bytes)
        except Problem as problem:
            language = headers.get("accept-language", "")
            response = build_response(problem, language, scope["path"])
            await response(scope, receive, send)
            return
        if body is None:
            return

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message: Message = {"type": "http.request", "body": body, "more_body": False}
            body = None
            return message

        await self._app(scope, replay, send)

    async def _read(self, headers: Headers, receive: Receive, limit_bytes: int) -> bytes | None:
        """Return the body, or None when the caller went away."""
        declared = headers.get("content-length", "0")
        if len(declared) > 18 or not declared.isdecimal() or int(declared) > limit_bytes:
            raise _too_large(limit_bytes)
        chunks: list[bytes] = []
        size_bytes = 0
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunk = message.get("body", b"")
                    size_bytes += len(chunk)
                    if size_bytes > limit_bytes:
                        raise _too_large(limit_bytes)
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            raise Problem("too-slow", headers={"Connection": "close"}) from None


def _too_large(limit_bytes: int) -> Problem:
    kib = limit_bytes // 1024
    said = Said(f"上限 {kib} KiB。", f"The limit is {kib} KiB.")
    # The rest is not read: the connection cannot be used again.
    return Problem("too-large", said, headers={"Connection": "close"})
