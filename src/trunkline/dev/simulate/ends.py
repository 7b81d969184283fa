"""Both ends of a link in memory: what is on its way, who reads it, who has heard that it is over.

A connection is a TCP connection: within one direction nothing is lost, doubled or overtaken as long
as it lives. What a cut loses is a tail of what was on its way, in each direction another; the ends
learn of it at different times, and until then they write into nothing. What overtakes is another
connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeAlias

from trunkline.dialects.contract import LinkInfo
from trunkline.errors import LinkLost
from trunkline.lines.contract import LinkLimits, LinkUser

from .trace import Trace
from .weather import Chance

WINDOW_BYTES: Final = 16_384  # on its way without being in the writer's buffer
CLOSE_WAIT_S: Final = 2.0
CALM_S: Final = 0.005  # the longest flight when nothing goes wrong any more


class Sign(Enum):
    """A control frame: what the network carries besides messages and good-byes."""

    PING = "ping"
    PONG = "pong"


Flown: TypeAlias = "bytes | Sign | LinkLost"
Flight: TypeAlias = "tuple[float, Flown]"


class Ether:
    """What all flights have in common: time, chance, and who writes down what happens.

    Args:
        trace: told every message and every end.
        chance: the network's own.
        longest_s: of a flight, until it is calm.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, trace: Trace, chance: Chance, longest_s: float
    ) -> None:
        self.trace = trace
        self.chance = chance
        self.is_calm = False
        self._loop = loop
        self._longest_s = longest_s

    def latency_s(self) -> float:
        """Draw how long a flight takes now."""
        longest_s = CALM_S if self.is_calm else self._longest_s
        return self.chance.between(0.0, longest_s)

    def now_s(self) -> float:
        """Return virtual seconds."""
        return self._loop.time()

    def at(self, at_s: float, call: Callable[[], None]) -> None:
        """Call at a second."""
        self._loop.call_at(at_s, call)

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call after some seconds."""
        self._loop.call_later(delay_s, call)

    def soon(self, call: Callable[[], None]) -> None:
        """Call in the next turn of the loop."""
        self._loop.call_soon(call)


class Host:
    """A machine with one process on it.

    Args:
        is_dying: asked before and after each write of the process: whether it ends right there.
    """

    def __init__(self, name: str, is_dying: Callable[[], bool] = lambda: False) -> None:
        self.name = name
        self.is_dying = is_dying
        self.is_up = True
        self.ends: dict[End, None] = {}

    def die(self) -> None:
        """The process is gone: none of its ends does anything any more."""
        self.is_up = False
        ends, self.ends = list(self.ends), {}
        for end in ends:
            end.orphan()


class End:
    """One end of a link (`lines.contract.Link`). `Network.dial` makes two and joins them."""

    info: LinkInfo

    def __init__(
        self, ether: Ether, host: Host, name: str, info: LinkInfo, limits: LinkLimits
    ) -> None:
        self.info = info
        self.name = name
        self.host = host
        self.peer: End = self
        self.is_cut = False
        self.is_text = True  # what its messages are
        self._ether = ether
        self._limits = limits
        self._user: LinkUser | None = None
        self._queued: list[bytes] = []
        self._coming: deque[Flight] = deque()
        self._coming_bytes = 0
        self._last_arrival_s = 0.0
        self._deaf_until_s = 0.0
        self._is_open = True
        self._is_closing = False
        self._is_told = False
        self._is_held = False
        self._is_orphan = False
        self._is_reading = False
        self._is_choked = False
        self._choked_bytes = 0
        self._end: LinkLost | None = None
        self._heard: Callable[[], None] | None = None
        host.ends[self] = None

    def attach(self, user: LinkUser) -> None:
        """Give the end its user; what came before is delivered now."""
        self._user = user
        self._ether.soon(self._arrive)

    # -- the contract of a link --------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether `send` still reaches the wire, as far as this end knows."""
        return self._is_open and not self._is_orphan

    @property
    def buffered_bytes(self) -> int:
        """Bytes that neither the network nor the peer has taken."""
        queued = sum(map(len, self._queued))
        return queued + max(0, self.peer.unread_bytes - WINDOW_BYTES)

    @property
    def unread_bytes(self) -> int:
        """Bytes on their way to this end."""
        return self._coming_bytes

    def send(self, data: bytes) -> None:
        """Queue one message; it leaves at `flush`."""
        if self.is_open:
            self._queued.append(data)

    def flush(self) -> None:
        """Put everything queued on its way, as one flight."""
        if not self._queued or not self.is_open or self.host.is_dying():
            return
        queued, self._queued = self._queued, []
        for data in queued:
            self._ether.trace.note(f"{self.name}>", f"{len(data)}", data)
        self._fly(*queued)
        if self.buffered_bytes > self._limits.high_water_bytes and not self._is_choked:
            self._is_choked = True
            self._watch_choked()
        self.host.is_dying()

    def close(self, code: int, reason: str = "") -> None:
        """Flush, say good-bye, wait for the peer's, at most 2 s."""
        if not self.is_open:
            return
        self.flush()
        if self._is_orphan:
            return
        self._ether.trace.note(f"{self.name}>", f"close {code} {reason}")
        self._is_open, self._is_closing = False, True
        self._fly(LinkLost(code, reason))
        self._ether.after(CLOSE_WAIT_S, lambda: self._tell(LinkLost(code, reason)))

    def abort(self) -> None:
        """Cut at once."""
        if not self._is_orphan and not self._is_told:
            self.cut(self._ether.latency_s(), 0.0)

    def ping(self, heard: Callable[[], None]) -> None:
        """Ask whether the peer is there."""
        if not self.is_open:
            return
        if self._is_held:
            heard()
            return
        self._heard = heard
        self._ether.trace.note(f"{self.name}>", "ping")
        self._fly(Sign.PING)

    def pause(self) -> None:
        """Deliver nothing until `resume`."""
        self._is_held = True

    def resume(self) -> None:
        """Deliver what waits; may call `receive` before it returns."""
        self._is_held = False
        self._arrive()

    # -- what the network does ---------------------------------------------------------------

    def stall(self, until_s: float) -> None:
        """Read nothing until then."""
        self._deaf_until_s = until_s

    def cut(self, near_s: float, far_s: float) -> None:
        """Cut the connection.

        Args:
            near_s, far_s: after which the peer and this end know.
        """
        if self.is_cut:
            return
        self.is_cut = self.peer.is_cut = True
        self._ether.trace.note("cut", self.name)
        self.peer.lose(self._ether.chance.share(), near_s)
        self.lose(self._ether.chance.share(), far_s)

    def orphan(self) -> None:
        """The process of this end is gone: its kernel says so to the peer."""
        if self._is_told or self._is_orphan:
            return
        self._is_orphan = True
        self._queued.clear()
        if not self.is_cut:
            self.is_cut = self.peer.is_cut = True
            self.peer.lose(1.0, self._ether.latency_s())

    def lose(self, kept: float, delay_s: float) -> None:
        """The connection is gone: a tail of what is coming is lost, and this end told so.

        Args:
            kept: share of the flights that still arrive.
            delay_s: after which this end knows.
        """
        count = round(len(self._coming) * kept)
        while len(self._coming) > count:
            _, flown = self._coming.pop()
            self._coming_bytes -= _size(flown)
        now_s = self._ether.now_s()
        last_s = self._coming[-1][0] if self._coming else now_s
        at_s = max(now_s + delay_s, last_s)
        self._coming.append((at_s, LinkLost(1006)))
        self._ether.at(at_s, self._arrive)

    def arrive_at(self, at_s: float, flown: tuple[Flown, ...]) -> None:
        """Something comes, behind what comes already."""
        at_s = self._last_arrival_s = max(at_s, self._last_arrival_s)
        for one in flown:
            self._coming.append((at_s, one))
            self._coming_bytes += _size(one)
        self._ether.at(at_s, self._arrive)

    def _fly(self, *flown: Flown) -> None:
        if not self.is_cut:
            self.peer.arrive_at(self._ether.now_s() + self._ether.latency_s(), flown)

    def _arrive(self) -> None:
        """Read once: everything that has come, then what it led to leaves."""
        user = self._user
        if user is None or self._is_reading:
            return
        self._is_reading = True
        has_read = has_come = False
        try:
            while (flown := self._next()) is not None:
                has_come = True
                if not isinstance(flown, bytes):
                    self._hear_control(flown)
                elif self._is_open:
                    has_read = True
                    user.receive(flown, is_text=self.is_text)
            if has_read:
                user.read_done()
                self.flush()
        finally:
            self._is_reading = False
        if has_come:
            self._tell_heard()
        if has_read:
            self.peer.drain()
        if self._end is not None:
            self._tell(self._end)

    def _tell_heard(self) -> None:
        if self._heard is not None and self.is_open:
            heard, self._heard = self._heard, None
            heard()

    def _next(self) -> Flown | None:
        """Take what has come, unless this end does not read now."""
        now_s = self._ether.now_s()
        if self._is_orphan or not self._coming or self._coming[0][0] > now_s:
            return None
        if self._deaf_until_s > now_s:
            self._ether.at(self._deaf_until_s, self._arrive)
            return None
        if self._is_open and (self._is_held or self._is_choked):
            return None
        _, flown = self._coming.popleft()
        self._coming_bytes -= _size(flown)
        return flown

    def _hear_control(self, flown: Sign | LinkLost) -> None:
        if isinstance(flown, LinkLost):
            self._hear_end(flown)
        elif flown is Sign.PING and self.is_open:
            self._fly(Sign.PONG)

    def _hear_end(self, end: LinkLost) -> None:
        """The peer said good-bye, or the connection is gone."""
        if self._is_open and end.code != 1006:
            self._queued.clear()
            self._fly(LinkLost(end.code, end.reason))
        self._is_open = False
        self._end = self._end or end

    def _tell(self, error: LinkLost) -> None:
        if self._is_told or self._is_orphan:
            return
        self._is_told = True
        self._is_open = False
        self.host.ends.pop(self, None)
        self._ether.trace.note(f"{self.name}!", f"closed {error.code} {error.reason}")
        if not self.is_cut:  # the TCP connection ends with its first end that goes
            self.is_cut = self.peer.is_cut = True
            self.peer.lose(1.0, self._ether.latency_s())
        if self._user is not None:
            self._user.closed(error)

    # -- a peer that does not read -----------------------------------------------------------

    def drain(self) -> None:
        """The peer has read: a choked end goes on below its low water."""
        if not self._is_choked or self._is_orphan or self._is_told:
            return
        if self.buffered_bytes <= self._limits.low_water_bytes:
            self._is_choked = False
            if self._user is not None:
                self._user.drained()
            self.flush()
            self._arrive()

    def _watch_choked(self) -> None:
        """Give up a peer whose buffer does not shrink within `stall_s`: 1013 (reliability 2)."""
        self._choked_bytes = self.buffered_bytes
        self._ether.after(self._limits.stall_s, self._check_choked)

    def _check_choked(self) -> None:
        if not self._is_choked or self._is_told or self._is_orphan:
            return
        if self.buffered_bytes < self._choked_bytes:
            self._watch_choked()
            return
        self._ether.trace.note(f"{self.name}!", "stalled")
        self._is_open = False
        self.is_cut = self.peer.is_cut = True
        self.peer.lose(self._ether.chance.share(), self._ether.latency_s())
        self._tell(LinkLost(1013, "the peer does not read"))


def _size(flown: Flown) -> int:
    return len(flown) if isinstance(flown, bytes) else 0
