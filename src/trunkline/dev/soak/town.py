"""Who talks to the product: visitors and adapters with faults, viewers, readers, broadcasts.

Visitors and adapters are the dialects' own emulators. The others speak HTTP in as few lines as
that needs; some of them stop reading or hang up, which is what they are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from trunkline.clock import SystemClock
from trunkline.dev.demo import Script, make_people
from trunkline.dev.dialling import open_dialler

VISITORS: Final = 30
ADAPTERS: Final = 15
VIEWERS: Final = 6
READERS: Final = 2
VISITOR_S: Final = 1.3  # between two lines; more than one a second is refused
ADAPTER_S: Final = 0.25
FAULTS: Final[Mapping[str, float]] = {"double": 0.03, "malformed": 0.02, "cut": 0.01}
LINES: Final = (
    "你好", "多少钱？", "boom", "model: how are you?", "hello there", "晚安 🌙", "x" * 600, "hang",
)  # fmt: skip
READ: Final = (
    "/livez", "/readyz", "/api/v1/lines", "/api/v1/conversations?limit=20",
    "/api/v1/deliveries?limit=20", "/metrics", "/api/v1/rules", "/nothing-here",
)  # fmt: skip
_MOST_BYTES: Final = 4 << 20
_ANSWER_S: Final = 20.0


class Answer(msgspec.Struct, frozen=True):
    """What the HTTP side said."""

    status: int
    body: bytes


class Api:
    """Asks the product, one connection a question.

    Args:
        url: of the main port.
        token: of the API.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._token = token

    async def open(
        self, path: str, body: bytes = b"", method: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request and return the connection before any answer."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=_MOST_BYTES)
        verb = method or ("POST" if body else "GET")
        head = (
            f"{verb} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        return reader, writer

    async def ask(self, path: str, body: bytes = b"") -> Answer:
        """Return the whole answer.

        Raises:
            OSError: there was none, or it took too long.
        """
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await self.open(path, body)
            try:
                text = await reader.read(-1)  # to its end; the server is ours
            finally:
                writer.close()
        head, _, rest = text.partition(b"\r\n\r\n")
        fields = head.split(None, 2)
        if len(fields) < 2:
            raise ConnectionError("no answer")
        return Answer(int(fields[1]), rest)


class Town:
    """Everybody, from `start` to `stop`.

    Args:
        url: of the main port.
        token: of the API.
        chance: decides who does what when.
    """

    def __init__(self, url: str, token: str, chance: random.Random) -> None:
        self.api = Api(url, token)
        self.counts: Counter[str] = Counter()
        self._chance = chance
        clock, dial, base = SystemClock(), open_dialler(SystemClock()), "ws" + url[4:]
        slow, quick = (
            Script(pace_s=pace_s, lines=LINES, faults=FAULTS) for pace_s in (VISITOR_S, ADAPTER_S)
        )
        self._groups = {
            "visitors": make_people("contact", f"{base}/contact", VISITORS, dial, clock, slow),
            "adapters": make_people("maim", f"{base}/ws", ADAPTERS, dial, clock, quick),
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let everybody begin."""
        loop = asyncio.get_running_loop()
        works = [group.run() for group in self._groups.values()]
        works += [self._again(self._view) for _ in range(VIEWERS)]
        works += [self._again(self._read) for _ in range(READERS)]
        works += [self._again(self._broadcast), self._again(self._say), self._again(self._stall)]
        self._tasks = [loop.create_task(work) for work in works]

    async def stop(self) -> None:
        """Have everybody leave."""
        for group in self._groups.values():
            group.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def tally(self) -> dict[str, int]:
        """What everybody did and saw, by name."""
        found = {
            f"{name}.{what}": count
            for name, group in self._groups.items()
            for what, count in group.tally.items()
        }
        return found | dict(self.counts)

    async def _again(self, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except (OSError, EOFError, ValueError):  # of loopback sockets; the product may say no
                self.counts["failed requests"] += 1
                await asyncio.sleep(0.5)

    async def _view(self) -> None:
        """Follow the events for some time; half of the viewers stop reading, then hang up."""
        reader, writer = await self.api.open("/api/v1/events")
        self.counts["streams"] += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(2, 20)):
                    while await reader.read(65_536):
                        pass
            if self._chance.random() < 0.5:
                await asyncio.sleep(self._chance.uniform(1, 10))
        finally:
            writer.transport.abort() if self._chance.random() < 0.5 else writer.close()

    async def _read(self) -> None:
        answer = await self.api.ask(self._chance.choice(READ))
        self.counts[f"read {answer.status}"] += 1
        await asyncio.sleep(self._chance.uniform(0.05, 0.5))

    async def _broadcast(self) -> None:
        await asyncio.sleep(self._chance.uniform(1, 5))
        body = msgspec.json.encode({"line": "blog", "message": "to everybody"})
        answer = await self.api.ask("/api/v1/broadcast", body)
        self.counts[f"broadcast {answer.status}"] += 1

    async def _say(self) -> None:
        """Send to somebody who is not there: it waits, then expires."""
        await asyncio.sleep(self._chance.uniform(0.5, 2))
        to = f"core/private:{self._chance.randrange(50)}@nobody"
        body = msgspec.json.encode({"to": to, "message": "are you there?"})
        answer = await self.api.ask("/api/v1/messages", body)
        self.counts[f"send {answer.status}"] += 1

    async def _stall(self) -> None:
        """Ask for much and read nothing for a while, then cut."""
        _, writer = await self.api.open("/api/v1/conversations?limit=100")
        try:
            writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue] - streams have both directions
            await asyncio.sleep(self._chance.uniform(1, 5))
        finally:
            writer.transport.abort()
        self.counts["stalled"] += 1
