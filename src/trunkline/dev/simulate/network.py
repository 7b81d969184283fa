"""The network: links in memory that delay, cut and stall, between hosts that may die.

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
from urllib.parse import parse_qsl, urlsplit

import msgspec

from trunkline.dialects.contract import Dial, Fetch, Fetched, Head, LinkInfo, Refuse
from trunkline.errors import LinkError, LinkLost, LinkRefused, LinkTimeout
from trunkline.lines.contract import Door, LinkLimits, LinkUser

from .trace import Trace
from .weather import Chance, Weather

WINDOW_BYTES: Final = 16_384  # on its way without being in the writer's buffer
HOUSE: Final = "house"  # the host of the process under test
ENDLESS_BYTES: Final = 1 << 40
CLOSE_WAIT_S: Final = 2.0
HALF_OPEN_S: Final = 40.0  # a ping and its time-out (reliability 8)


class Sign(Enum):
    """A control frame: what the network carries besides messages and good-byes."""

    PING = "ping"
    PONG = "pong"


Flown: TypeAlias = "bytes | Sign | LinkLost"
Flight: TypeAlias = "tuple[float, Flown]"
Enter: TypeAlias = "Callable[[End], LinkUser]"


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
        self, network: Network, host: Host, name: str, info: LinkInfo, limits: LinkLimits
    ) -> None:
        self.info = info
        self.name = name
        self.host = host
        self.peer: End = self
        self.is_cut = False
        self.is_text = True  # what its messages are
        self._network = network
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
        self._network.soon(self._arrive)

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
            self._network.trace.note(f"{self.name}>", f"{len(data)}", data)
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
        self._network.trace.note(f"{self.name}>", f"close {code} {reason}")
        self._is_open, self._is_closing = False, True
        self._fly(LinkLost(code, reason))
        self._network.after(CLOSE_WAIT_S, lambda: self._tell(LinkLost(code, reason)))

    def abort(self) -> None:
        """Cut at once."""
        if not self._is_orphan and not self._is_told:
            self._network.cut(self, self._network.latency_s(), 0.0)

    def ping(self, heard: Callable[[], None]) -> None:
        """Ask whether the peer is there."""
        if not self.is_open:
            return
        if self._is_held:
            heard()
            return
        self._heard = heard
        self._network.trace.note(f"{self.name}>", "ping")
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

    def orphan(self) -> None:
        """The process of this end is gone: its kernel says so to the peer."""
        if self._is_told or self._is_orphan:
            return
        self._is_orphan = True
        self._queued.clear()
        if not self.is_cut:
            self.is_cut = self.peer.is_cut = True
            self.peer.lose(1.0, self._network.latency_s())

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
        now_s = self._network.now_s()
        last_s = self._coming[-1][0] if self._coming else now_s
        at_s = max(now_s + delay_s, last_s)
        self._coming.append((at_s, LinkLost(1006)))
        self._network.at(at_s, self._arrive)

    def arrive_at(self, at_s: float, flown: tuple[Flown, ...]) -> None:
        """Something comes, behind what comes already."""
        at_s = self._last_arrival_s = max(at_s, self._last_arrival_s)
        for one in flown:
            self._coming.append((at_s, one))
            self._coming_bytes += _size(one)
        self._network.at(at_s, self._arrive)

    def _fly(self, *flown: Flown) -> None:
        if not self.is_cut:
            self.peer.arrive_at(self._network.now_s() + self._network.latency_s(), flown)

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
        now_s = self._network.now_s()
        if self._is_orphan or not self._coming or self._coming[0][0] > now_s:
            return None
        if self._deaf_until_s > now_s:
            self._network.at(self._deaf_until_s, self._arrive)
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
        self._network.trace.note(f"{self.name}!", f"closed {error.code} {error.reason}")
        if not self.is_cut:  # the TCP connection ends with its first end that goes
            self.is_cut = self.peer.is_cut = True
            self.peer.lose(1.0, self._network.latency_s())
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
        self._network.after(self._limits.stall_s, self._check_choked)

    def _check_choked(self) -> None:
        if not self._is_choked or self._is_told or self._is_orphan:
            return
        if self.buffered_bytes < self._choked_bytes:
            self._watch_choked()
            return
        self._network.trace.note(f"{self.name}!", "stalled")
        self._is_open = False
        self.is_cut = self.peer.is_cut = True
        self.peer.lose(self._network.chance.share(), self._network.latency_s())
        self._tell(LinkLost(1013, "the peer does not read"))


class Network:
    """All hosts and links.

    Args:
        trace: told every message and every end.
        chance: its own.
        weather: of the seed; `calm` ends it.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, trace: Trace, chance: Chance, weather: Weather
    ) -> None:
        self.trace = trace
        self.chance = chance
        self.links: dict[int, tuple[End, End]] = {}
        self.is_calm = False
        self._loop = loop
        self._weather = weather
        self._doors: dict[str, tuple[Host, Door]] = {}
        self._servers: dict[str, tuple[Host, Callable[[Fetch], Fetched]]] = {}
        self.made = 0

    def listen(self, host: Host, url: str, door: Door) -> None:
        """Let `url` be answered by this door while its host is up."""
        self._doors[url] = (host, door)

    def serve(self, host: Host, url: str, http: Callable[[Fetch], Fetched]) -> None:
        """Let HTTP calls to `url` be answered while its host is up."""
        self._servers[url] = (host, http)

    def call(
        self, request: Fetch, answer: Callable[[object], None], later: Callable[..., object]
    ) -> None:
        """Make an HTTP call; it or its answer may be lost on the way.

        Args:
            later: `(delay_s, call)` of who calls: nobody is answered who is gone.
        """
        url = urlsplit(request.url)
        found = self._servers.get(f"{url.scheme}://{url.netloc}")
        fate = 0.0 if self.is_calm else self._weather.refuse / 2
        is_lost, is_mute = self.chance.happens(fate), self.chance.happens(fate)
        self.trace.note("call", url.path)

        def arrive() -> None:
            if found is None or not found[0].is_up or is_lost:
                told: object = LinkError(f"no connection to {url.netloc}")
            else:
                told = found[1](request)
            if is_mute:
                told = LinkTimeout("no answer")
            later(self.latency_s(), lambda: answer(told))

        self.after(self.latency_s(), arrive)

    async def dial(self, host: Host, target: Dial, limits: LinkLimits, enter: Enter) -> End:
        """Open a link.

        Raises:
            LinkError: nobody is there, or it is cut on the way.
            LinkRefused: the door lets nobody in.
        """
        url = urlsplit(target.url)
        name = f"{url.scheme}://{url.netloc}{url.path}"
        await asyncio.sleep(self.latency_s())
        found = self._doors.get(name)
        is_refused = not self.is_calm and self.chance.happens(self._weather.refuse)
        if found is None or not found[0].is_up or is_refused:
            raise LinkError(f"no connection to {name}")
        there, door = found
        headers = {key.lower(): value for key, value in target.headers.items()}
        if target.subprotocol:
            headers["sec-websocket-protocol"] = target.subprotocol
        head = Head(
            url.path,
            dict(parse_qsl(url.query)),
            headers,
            "192.0.2.1" if door.is_public else "127.0.0.1",
            is_loopback=not door.is_public,
        )
        admitted = door.admit(head)
        if isinstance(admitted, Refuse):
            raise LinkRefused(admitted.status, admitted.text)
        near, far = self._make_pair(there, host, head, (door.limits, limits))
        near.is_text = far.is_text = not door.is_binary
        near.attach(door.enter(admitted, near))
        near.flush()
        await asyncio.sleep(self.latency_s())
        if far.is_cut:
            far.orphan()
            raise LinkError("the connection was cut during the handshake")
        far.attach(enter(far))
        far.flush()
        return far

    def _make_pair(
        self, there: Host, here: Host, head: Head, limits: tuple[LinkLimits, LinkLimits]
    ) -> tuple[End, End]:
        self.made += 1
        number = self.made
        high = self._weather.high_water_bytes
        # Small for the house only: two ends that both stop reading while their own buffer is
        # full wait for each other until one gives up (1013), and begin again with the same.
        near_limits, far_limits = (
            msgspec.structs.replace(one, high_water_bytes=high, low_water_bytes=high // 4)
            if host.name == HOUSE
            else msgspec.structs.replace(one, high_water_bytes=ENDLESS_BYTES)
            for host, one in zip((there, here), limits, strict=True)
        )
        near = End(self, there, f"{number}{there.name}", LinkInfo(head), near_limits)
        far = End(self, here, f"{number}{here.name}", LinkInfo(head, is_dialled=True), far_limits)
        near.peer, far.peer = far, near
        self.links[number] = (near, far)
        self.trace.note("link", f"{far.name} → {near.name} {head.path}")
        return near, far

    # -- what goes wrong ---------------------------------------------------------------------

    def living(self) -> list[End]:
        """Return the far ends of all links that are not cut, oldest first."""
        self.links = {number: pair for number, pair in self.links.items() if not pair[0].is_cut}
        return [far for _, far in self.links.values()]

    @property
    def flying_bytes(self) -> int:
        """Bytes on their way over links that live, also in front of an end that is stalled."""
        return sum(far.unread_bytes + far.peer.unread_bytes for far in self.living())

    def cut(self, end: End, near_s: float, far_s: float) -> None:
        """Cut a link.

        Args:
            near_s, far_s: after which the peer and this end know.
        """
        if end.is_cut:
            return
        end.is_cut = end.peer.is_cut = True
        self.trace.note("cut", end.name)
        end.peer.lose(self.chance.share(), near_s)
        end.lose(self.chance.share(), far_s)

    def cut_some(self) -> None:
        """Cut one link, perhaps half open."""
        living = self.living()
        if not living:
            return
        near_s, far_s = self.latency_s(), self.latency_s()
        if self.chance.happens(self._weather.half_open):
            late_s = self.chance.between(1.0, HALF_OPEN_S)
            near_s, far_s = self.chance.pick(((late_s, far_s), (near_s, late_s)))
        self.cut(self.chance.pick(living), near_s, far_s)

    def stall_some(self) -> None:
        """Let one end read nothing for a while."""
        living = self.living()
        if living:
            far = self.chance.pick(living)
            end = self.chance.pick((far, far.peer))
            self.trace.note("stall", end.name)
            end.stall(self.now_s() + self.chance.between(0.5, 15.0))

    # -- time --------------------------------------------------------------------------------

    def latency_s(self) -> float:
        """Draw how long a flight takes now."""
        longest_s = 0.005 if self.is_calm else self._weather.latency_s
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


def _size(flown: Flown) -> int:
    return len(flown) if isinstance(flown, bytes) else 0
