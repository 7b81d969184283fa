"""A line of the product as an embedded one sees it: who is on it, and when a link ends."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from trunkline.dialects.contract import Head, Refuse
from trunkline.errors import LinkError
from trunkline.lines.contract import Link
from trunkline.lines.driver import Driver
from trunkline.lines.line import Line


class Peer(msgspec.Struct, frozen=True):
    """Who is on a link: the seat's key, the account when it has one, the address."""

    key: str
    account: str = ""
    address: str = ""


class Meter:
    """Counts nothing: an embedded line has no metrics (`lines.line.LineMeter`)."""

    def noticed(self, dialect: str, kind: str) -> None:
        """Ignore an oddity; it is in the log."""

    def links(self, line: str, count: int) -> None:
        """Ignore."""

    def connected(self, dialect: str) -> None:
        """Ignore."""


class WatchedLine(Line):
    """A line that tells of the end of each link, and may let strangers in."""

    is_open = False
    ended: Callable[[Driver, LinkError], None]
    has_room: Callable[[], None]

    @property
    def open_links(self) -> list[Link]:
        """The links of now."""
        return [driver.link for driver in self.drivers if driver.link is not None]

    def drained(self, driver: Driver) -> None:
        """A slow peer has read enough for us to write on."""
        del driver
        self.has_room()

    def gone(self, driver: Driver, error: LinkError) -> None:
        """A link is closed, or could not be opened."""
        super().gone(driver, error)
        self.ended(driver, error)

    def _not_here(self, head: Head) -> Refuse | None:
        """With `allow_open` nobody is refused for being elsewhere."""
        if self.is_open and not self.is_halted:
            return None
        return super()._not_here(head)


def peer_of(driver: Driver) -> Peer:
    """Return who is on a link."""
    seat = driver.seat
    address = driver.link.info.head.peer if driver.link is not None else ""
    return Peer(seat.key, seat.account, address) if seat is not None else Peer("", "", address)
