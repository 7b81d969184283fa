"""Two ends of a link in memory, for tests and the simulation: no event loop, no time.

Nothing moves by itself: `pump` delivers what is under way. What the production link does at the end
of a read happens here at the end of each end's turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from trunkline.dialects.contract import LinkInfo
from trunkline.errors import LinkError, LinkLost

from .contract import LinkUser


class MemoryLink:
    """One end. `make_pair` makes two and joins them.

    Args:
        info: what the session is told.
        is_binary: the opcode of what this end sends.
    """

    def __init__(self, info: LinkInfo, *, is_binary: bool = False) -> None:
        self.info = info
        self.written: list[bytes] = []
        self.flushes = 0
        self.close_code: int | None = None
        self.is_stalled = False
        self.is_mute = False  # answers no ping
        self._is_binary = is_binary
        self._peer: MemoryLink | None = None
        self._user: LinkUser | None = None
        self._queued: list[bytes] = []
        self._inbox: deque[tuple[bytes, bool]] = deque()
        self._heard: Callable[[], None] | None = None
        self._end: LinkError | None = None
        self._is_open = True
        self._is_told = False
        self._is_held = False
        self._is_pumping = False

    def attach(self, user: LinkUser) -> None:
        """Give the end its user; what the user sends from now on can arrive."""
        self._user = user

    def join(self, peer: MemoryLink) -> None:
        """Make `peer` the other end of this one; `make_pair` does it for both."""
        self._peer = peer

    # -- the contract of a link -------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether `send` still reaches the other end."""
        return self._is_open

    @property
    def buffered_bytes(self) -> int:
        """Bytes that were sent and have not left, because of `flush` or `is_stalled`."""
        queued = sum(map(len, self._queued))
        if not self.is_stalled or self._peer is None:
            return queued
        return queued + sum(len(data) for data, _ in self._peer.waiting())

    def send(self, data: bytes) -> None:
        """Queue one message; it leaves at `flush`. No-op when closed."""
        if self._is_open:
            self._queued.append(data)

    def flush(self) -> None:
        """Put everything queued on its way, counted as one write."""
        if not self._queued:
            return
        self.flushes += 1
        self.written += self._queued
        if self._peer is not None:
            self._peer.arrive([(data, not self._is_binary) for data in self._queued])
        self._queued.clear()

    def close(self, code: int, reason: str = "") -> None:
        """Flush and close; both ends are told by `pump`. Nothing is delivered here after it."""
        if not self._is_open:
            return
        self.flush()
        self.close_code = code
        self._shut(LinkLost(code, reason))
        self._inbox.clear()
        if self._peer is not None:
            self._peer.end(LinkLost(code, reason))

    def abort(self) -> None:
        """Cut at once; both ends are told 1006 by `pump`."""
        self._inbox.clear()
        self.cut()

    def ping(self, heard: Callable[[], None]) -> None:
        """Ask whether the other end is there; `pump` brings the answer."""
        if self._is_open and self._is_held:
            heard()
        elif self._is_open:
            self._heard = heard

    def pause(self) -> None:
        """Deliver nothing until `resume`."""
        self._is_held = True

    def resume(self) -> None:
        """Deliver what waits; may call `receive` before it returns."""
        self._is_held = False
        if not self._is_pumping:
            self.pump_one()

    # -- what a test does -------------------------------------------------------------------

    def cut(self) -> None:
        """Lose the connection: what was flushed still arrives, then both ends are told 1006."""
        self._queued.clear()
        self._shut(LinkLost(1006))
        if self._peer is not None:
            self._peer.end(LinkLost(1006))

    def drain(self) -> None:
        """The other end reads again after `is_stalled`: tell the user."""
        self.is_stalled = False
        if self._user is not None and self._is_open:
            self._user.drained()
            self.flush()

    def arrive(self, messages: list[tuple[bytes, bool]]) -> None:
        """Put messages in front of this end; `pump` delivers them."""
        if self._is_open:
            self._inbox.extend(messages)

    def end(self, error: LinkError) -> None:
        """The other end is gone; the user is told once everything before it is delivered."""
        self._shut(error)

    def pump_one(self) -> bool:
        """Deliver what waits for this end as one read, then its end. Returns whether anything."""
        user = self._user
        if user is None or self._is_told or self._is_pumping:
            return False
        self._is_pumping = True
        has_moved = False
        try:
            while self._can_deliver():
                has_moved = True
                data, is_text = self._inbox.popleft()
                user.receive(data, is_text=is_text)
            if has_moved:
                user.read_done()
                self.flush()
        finally:
            self._is_pumping = False
        if self._heard is not None and self._is_open and (has_moved or self._has_pong()):
            has_moved = True
            heard, self._heard = self._heard, None
            heard()
        if self._end is not None and not self._inbox and not self._is_told:
            self._is_told = has_moved = True
            user.closed(self._end)
        return has_moved

    def _can_deliver(self) -> bool:
        is_blocked = self._is_held or (self._peer is not None and self._peer.is_stalled)
        return bool(self._inbox) and not is_blocked

    def _has_pong(self) -> bool:
        peer = self._peer
        return peer is not None and peer.is_open and not (peer.is_mute or self.is_stalled)

    def waiting(self) -> deque[tuple[bytes, bool]]:
        """Return what has arrived and is not delivered, with whether it is text."""
        return self._inbox

    def _shut(self, error: LinkError) -> None:
        self._is_open = False
        if self._end is None:
            self._end = error


def make_pair(
    near: LinkInfo, far: LinkInfo, *, is_binary: bool = False
) -> tuple[MemoryLink, MemoryLink]:
    """Return two joined ends."""
    one = MemoryLink(near, is_binary=is_binary)
    two = MemoryLink(far, is_binary=is_binary)
    one.join(two)
    two.join(one)
    return one, two


def pump(*links: MemoryLink, most: int = 10_000) -> int:
    """Deliver until nothing moves. Returns how many turns it took.

    Raises:
        RuntimeError: it does not come to rest within `most` turns (an endless exchange).
    """
    turns = 0
    while sum(link.pump_one() for link in links):
        turns += 1
        if turns >= most:
            raise RuntimeError("the links do not come to rest")
    return turns
