"""The production link as the client that a WebSocket conformance server examines.

The examiner's protocol is the one of the Autobahn test suite: `/getCaseCount` says how many cases
there are, `/runCase` plays one against whoever dials it, `/updateReports` writes them down. What is
examined is `lines/dial.py` and `lines/link.py`; the only thing of our own here is the echo.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import msgspec

from trunkline.dialects.contract import Dial
from trunkline.errors import LinkError, LinkTimeout, RemoteProtocolError
from trunkline.lines.contract import LinkLimits
from trunkline.lines.dial import Trust, dial
from trunkline.lines.link import WebSocketLink

from .echo import MAX_MESSAGE_BYTES, Echo, make_commons

CASE_S: Final = 60.0


class Examined(msgspec.Struct, frozen=True):
    """What a run was.

    Args:
        cases: that the server has.
        unopened: cases whose link did not come about, with the reason.
    """

    cases: int
    unopened: tuple[str, ...]


class _Listener(Echo):
    """Echoes, keeps the last message, and knows when its link has ended."""

    def __init__(self, link: WebSocketLink, *, is_echoing: bool) -> None:
        super().__init__(link)
        self._is_echoing = is_echoing
        self.last = b""
        self.ended = asyncio.Event()

    def receive(self, data: bytes, *, is_text: bool) -> None:
        """Take a message."""
        self.last = data
        if self._is_echoing:
            super().receive(data, is_text=is_text)

    def closed(self, error: LinkError) -> None:
        """Take the end."""
        del error
        self.ended.set()


class Examinee:
    """Dials the examiner, one link at a time.

    Args:
        url: of the examiner, without a path.
        agent: the name in its report.
        on_trouble: told of exceptions, which would be bugs.
        case_s: longer than this no case may take.
    """

    def __init__(
        self,
        url: str,
        agent: str,
        on_trouble: Callable[[str, BaseException], None],
        *,
        case_s: float = CASE_S,
    ) -> None:
        self._url = url.rstrip("/")
        self._agent = quote(agent, safe="")
        self._commons = make_commons(on_trouble)
        self._case_s = case_s

    async def run(self, on_case: Callable[[int, int], None]) -> Examined:
        """Be examined in every case and have the report written.

        Args:
            on_case: told the number of each case, from 1, and how many there are.

        Raises:
            LinkError: the examiner cannot be reached.
            RemoteProtocolError: it does not say how many cases it has.
        """
        said = await self._meet("/getCaseCount", is_echoing=False)
        if not said.isdigit() or len(said) > 6:
            raise RemoteProtocolError("the server did not answer /getCaseCount by a number")
        count = int(said)
        unopened: list[str] = []
        for number in range(1, count + 1):
            on_case(number, count)
            try:
                await self._meet(f"/runCase?case={number}&agent={self._agent}", is_echoing=True)
            except LinkError as error:
                unopened.append(f"{number}: {error}")
        await self._meet(f"/updateReports?agent={self._agent}", is_echoing=False)
        return Examined(count, tuple(unopened))

    async def _meet(self, path: str, *, is_echoing: bool) -> bytes:
        """Open a link, let it live to its end, return the last message that came."""
        pupils: list[_Listener] = []

        def enter(link: WebSocketLink) -> _Listener:
            pupils.append(_Listener(link, is_echoing=is_echoing))
            return pupils[-1]

        target = Dial(self._url + path, max_message_bytes=MAX_MESSAGE_BYTES)
        link = await dial(target, enter, self._commons, trust=Trust(), limits=LinkLimits())
        try:
            async with asyncio.timeout(self._case_s):
                await pupils[0].ended.wait()
        except TimeoutError as error:
            link.abort()
            raise LinkTimeout(f"{path} had no end within {self._case_s:g} s") from error
        return pupils[0].last
