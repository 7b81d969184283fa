"""Plain HTTP requests that belong to a line: read, bounded, handed over, answered.

Stands before the application of a socket and lets everything else pass. Who may ask is the gate's
and the line's business (`lines.listen`, `lines.line`); the house's own token does not count here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from trunkline.dialects.contract import Head, HttpAnswer, HttpRequest
from trunkline.lines.contract import RequestDoor
from trunkline.lines.listen import Answer, Call, Gate

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
App: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]

BODY_S: Final = 10.0  # a body must have arrived by then
ANSWER_S: Final = 40.0  # a call may take 30 s. Source: onebot11 12
MAX_OPEN: Final = 64  # requests at once, each with its body: the others are told to come again


class LineRequests:
    """Pure ASGI.

    Args:
        app: answers what is no line's.
        gate: knows whose a request is.
        bind: of the socket.
    """

    def __init__(self, app: App, gate: Gate, bind: str) -> None:
        self._app = app
        self._gate = gate
        self._bind = bind
        self._open = 0

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer a line's request, or pass the call on."""
        if scope["type"] == "http":
            query: bytes = scope["query_string"]
            target: bytes = scope["raw_path"] + (b"?" + query if query else b"")
            method: str = scope["method"]
            if self._gate.find_request(self._bind, target, method) is not None:
                peer = scope["client"][0] if scope["client"] else ""
                version: str = scope["http_version"]
                call = Call(self._bind, method, target, version, scope["headers"], peer)
                await self._take(call, receive, send)
                return
        await self._app(scope, receive, send)

    async def _take(self, call: Call, receive: _Receive, send: _Send) -> None:
        if self._open >= MAX_OPEN:
            await _write(send, Answer(503, "too many requests", (("Retry-After", "1"),)))
            return
        self._open += 1
        try:
            answer = await self._serve(call, receive)
        finally:
            self._open -= 1
        if answer is not None:
            await _write(send, answer)

    async def _serve(self, call: Call, receive: _Receive) -> Answer | HttpAnswer | None:
        """Return the answer, None when nobody waits for it."""
        admitted = self._gate.admit_request(call)
        if not isinstance(admitted, tuple):
            return admitted
        door, head, limit_bytes = admitted
        declared = head.headers.get("content-length", "0")
        if not declared.isdecimal() or len(declared) > 18 or int(declared) > limit_bytes:
            return _too_large(limit_bytes)
        try:
            async with asyncio.timeout(BODY_S):
                body = await _read(receive, limit_bytes)
        except TimeoutError:
            return Answer(408, "the body did not arrive in time", (("Connection", "close"),))
        if not isinstance(body, bytes):
            return body
        return await self._answer(door, HttpRequest(call.method, head, body), head)

    async def _answer(self, door: RequestDoor, request: HttpRequest, head: Head) -> HttpAnswer:
        taken = door.take_request(request)
        if isinstance(taken, HttpAnswer):
            self._gate.request_refused(head, taken)
            return taken
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.shield(taken.answer)
        except TimeoutError:
            return HttpAnswer(504)
        finally:
            taken.abort()


async def _read(receive: _Receive, limit_bytes: int) -> bytes | Answer | None:
    """Return the body, None when the caller went away."""
    chunks: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            return _too_large(limit_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(limit_bytes: int) -> Answer:
    # The rest is not read: the connection cannot be used again.
    return Answer(413, f"the limit is {limit_bytes} bytes", (("Connection", "close"),))


async def _write(send: _Send, answer: Answer | HttpAnswer) -> None:
    if isinstance(answer, HttpAnswer):
        body, kind = answer.body, b"application/json"
    else:
        body, kind = answer.text.encode() + b"\n", b"text/plain; charset=utf-8"
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
    if answer.status != 204:
        headers.append((b"content-length", b"%d" % len(body)))
        headers.append((b"content-type", kind))
    start = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
