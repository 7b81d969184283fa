"""Live streams: server-sent events with a bounded queue for each viewer.

A `Viewer` is at most once: who reads too slowly loses the oldest events and is told by `gap`, with
the id after which the rest can be fetched. What must not be lost is followed by position instead
(`tail.py`). All streams end when the server stops; nothing here keeps it from stopping.

Source: reliability 2 (256 events a viewer), 6 (streams end first).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from .problem import Problem

MAX_WAITING: Final = 256
MAX_VIEWERS: Final = 64
HEARTBEAT_S: Final = 15.0
_encoder = msgspec.json.Encoder()


class Shown(msgspec.Struct, frozen=True):
    """One event of a stream. `value` becomes JSON when it is sent, not when it waits.

    Args:
        id: what a viewer can ask for more after; "" when it stands for no row.
    """

    name: str
    value: Any
    id: str = ""


class Viewer:
    """One open stream.

    Args:
        limit: how many events may wait.
    """

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._waiting: deque[Shown] = deque()
        self._limit = limit
        self._dropped = 0
        self._cursor = ""
        self._wake = asyncio.Event()
        self._is_closed = False

    def push(self, shown: Shown) -> None:
        """Have this sent; the oldest one goes when too many wait."""
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(shown)
        self._wake.set()

    def close(self) -> None:
        """End the stream after what is being sent; what waits is not sent any more."""
        self._is_closed = True
        self._wake.set()

    async def chunks(self, heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[bytes]:
        """Yield the stream's bytes until it is closed; a comment when nothing happens."""
        yield b": open\n\n"
        while True:
            self._wake.clear()
            while self._waiting and not self._is_closed:
                if self._dropped:
                    gap = {"dropped": self._dropped, "cursor": self._cursor}
                    self._dropped = 0
                    yield format_event("gap", gap)
                shown = self._waiting.popleft()
                self._cursor = shown.id or self._cursor
                yield format_event(shown.name, shown.value, shown.id)
            if self._is_closed:
                yield format_event("end", {"reason": "stopping"})
                return
            try:
                async with asyncio.timeout(heartbeat_s):
                    await self._wake.wait()
            except TimeoutError:
                yield b": still here\n\n"


Watch: TypeAlias = Callable[[Viewer], Callable[[], None]]


class Showing(Protocol):
    """What an open stream shows."""

    def close(self) -> None:
        """End the stream after what is being sent."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the stream's bytes until it is closed."""
        ...


class Live:
    """All open streams of this process; at most 64."""

    def __init__(self) -> None:
        self._viewers: set[Showing] = set()
        self._is_closed = False

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._viewers)

    def close_all(self) -> None:
        """End every stream, and every one that is still asked for: the server stops."""
        self._is_closed = True
        for viewer in self._viewers:
            viewer.close()

    def open(self, watch: Watch) -> EventStream:
        """Answer with a stream; `watch` starts pushing events and returns how to stop that.

        Raises:
            Problem: too many streams are open.
        """
        viewer = Viewer()
        return self.show(viewer, lambda: watch(viewer))

    def show(self, showing: Showing, start: Callable[[], Callable[[], None]]) -> EventStream:
        """Answer with a stream; `start` is called when it begins and returns how to stop.

        Raises:
            Problem: too many streams are open.
        """
        if len(self._viewers) >= MAX_VIEWERS:
            raise Problem("too-many-viewers", headers={"Retry-After": "10"})
        if self._is_closed:
            showing.close()
        self._viewers.add(showing)
        return EventStream(showing, start, lambda: self._viewers.discard(showing))


class EventStream(StreamingResponse):
    """The answer that carries one viewer's events.

    What it holds is released when the call ends, not by the generator: one that was never started
    or is cancelled while it is being sent would keep its viewer.
    """

    def __init__(
        self,
        showing: Showing,
        start: Callable[[], Callable[[], None]],
        release: Callable[[], object],
    ) -> None:
        # nginx would keep the events back without the header.
        super().__init__(
            showing.chunks(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )
        self._start = start
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch, send until the viewer goes or the stream is closed, and let go."""
        try:
            stop = self._start()
            try:
                await super().__call__(scope, receive, send)
            finally:
                stop()
        finally:
            self._release()


def format_event(name: str, value: Any, ident: str = "") -> bytes:
    """Format one server-sent event. JSON has no line ends, so one `data` line is enough."""
    head = f"id: {ident}\n" if ident else ""
    return f"{head}event: {name}\ndata: ".encode() + _encoder.encode(value) + b"\n\n"
