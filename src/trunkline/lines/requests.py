"""One HTTP request as a link: one message in, one message out, and over.

So a session answers a request exactly as it answers a connection, and its driver is the same. What
reads requests and writes answers is `web/requests.py`. The other way, a session that makes calls
has a link that is only its life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from trunkline.dialects.contract import Dial, Head, HttpAnswer, LinkInfo
from trunkline.errors import LinkLost
from trunkline.wire import jsonwire

from .contract import Link, LinkUser

# Close codes that mean a bad request; any other is our own trouble, and may pass.
_BAD: Final = frozenset({1002, 1003, 1007, 1008})


class RequestLink:
    """A link (`lines.contract.Link`) that ends with its answer.

    Args:
        info: of the request.
    """

    def __init__(self, info: LinkInfo) -> None:
        self.info = info
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[HttpAnswer] = loop.create_future()
        self._user: LinkUser | None = None
        self._is_open = True
        self._end = LinkLost(1000, "answered")

    def attach(self, make_user: Callable[[RequestLink], LinkUser], data: bytes) -> None:
        """Give the link its user, and the user its message."""
        user = self._user = make_user(self)
        if self._is_open:
            user.receive(data, is_text=True)
            user.read_done()
        elif self.answer.done():
            self._end_soon()

    @property
    def is_open(self) -> bool:
        """Whether there is no answer yet."""
        return self._is_open

    @property
    def buffered_bytes(self) -> int:
        """Nothing: the answer is taken at once."""
        return 0

    def send(self, data: bytes) -> None:
        """Answer with a message; an empty one says nothing."""
        if not self._is_open:
            return
        self._finish(HttpAnswer(200, data) if data else HttpAnswer(204))

    def flush(self) -> None:
        """Do nothing: there is one message."""

    def close(self, code: int, reason: str = "") -> None:
        """Answer that it failed, unless it is answered."""
        if not self._is_open:
            return
        self._end = LinkLost(code, reason)
        status = 400 if code in _BAD else 503
        self._finish(HttpAnswer(status, jsonwire.encode({"detail": reason or "the link ended"})))

    def abort(self) -> None:
        """End without an answer: nobody waits for it."""
        if self._is_open:
            self._end = LinkLost(1006)
            self._finish(HttpAnswer(503))

    def ping(self, heard: Callable[[], None]) -> None:
        """Say so at once: whoever asked waits for the answer."""
        if self._is_open:
            heard()

    def pause(self) -> None:
        """Do nothing: nothing more comes."""

    def resume(self) -> None:
        """Do nothing."""

    def _finish(self, answer: HttpAnswer) -> None:
        self._is_open = False
        self.answer.set_result(answer)
        if self._user is not None:
            self._end_soon()

    def _end_soon(self) -> None:
        # Not at once: the session is in the middle of saying so.
        asyncio.get_running_loop().call_soon(self._tell_end)

    def _tell_end(self) -> None:
        user, self._user = self._user, None
        if user is not None:
            user.closed(self._end)


class CallsLink:
    """The link of a session that only makes calls: nothing comes in, and nothing is written.

    Args:
        info: where it calls.
    """

    def __init__(self, info: LinkInfo) -> None:
        self.info = info
        self._user: LinkUser | None = None
        self._is_open = True

    def attach(self, user: LinkUser) -> None:
        """Give the link its user; one that hung up already is told soon."""
        self._user = user

    @property
    def is_open(self) -> bool:
        """Whether nobody has ended it."""
        return self._is_open

    @property
    def buffered_bytes(self) -> int:
        """Nothing is ever buffered."""
        return 0

    def send(self, data: bytes) -> None:
        """Write nothing: there is nobody to read it."""

    def flush(self) -> None:
        """Do nothing."""

    def close(self, code: int, reason: str = "") -> None:
        """End it; nobody has to agree."""
        if self._is_open:
            self._is_open = False
            # Not at once: the session is in the middle of saying so.
            asyncio.get_running_loop().call_soon(self._tell_end, LinkLost(code, reason))

    def abort(self) -> None:
        """End it."""
        self.close(1006)

    def ping(self, heard: Callable[[], None]) -> None:
        """Say so at once: nobody is on the other side who could be away."""
        if self._is_open:
            heard()

    def pause(self) -> None:
        """Do nothing: nothing comes in."""

    def resume(self) -> None:
        """Do nothing."""

    def _tell_end(self, error: LinkLost) -> None:
        user, self._user = self._user, None
        if user is not None:
            user.closed(error)


def open_calls(target: Dial, make_user: Callable[[Link], LinkUser]) -> CallsLink:
    """Return the link of a session that makes calls instead of dialling (`Dial.is_request`)."""
    head = Head(urlsplit(target.url).path or "/")
    link = CallsLink(LinkInfo(head, is_dialled=True, is_request=True))
    link.attach(make_user(link))
    return link
