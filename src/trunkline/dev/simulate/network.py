"""The network: hosts that may die, doors and servers on them, links that are cut and stall.

How a link carries what is said is in `ends.py`; here it is made, and chance has its way with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec

from trunkline.dialects.contract import Dial, Fetch, Fetched, Head, LinkInfo, Refuse
from trunkline.errors import LinkError, LinkRefused, LinkTimeout
from trunkline.lines.contract import Door, LinkLimits, LinkUser

from .ends import End, Ether, Host
from .trace import Trace
from .weather import Chance, Weather

HOUSE: Final = "house"  # the host of the process under test
ENDLESS_BYTES: Final = 1 << 40
HALF_OPEN_S: Final = 40.0  # a ping and its time-out (reliability 8)

Enter: TypeAlias = "Callable[[End], LinkUser]"


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
        self._ether = Ether(loop, trace, chance, weather.latency_s)
        self._trace = trace
        self._chance = chance
        self.links: dict[int, tuple[End, End]] = {}
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
        is_lost, is_mute = self._chance.happens(fate), self._chance.happens(fate)
        self._trace.note("call", url.path)

        def arrive() -> None:
            if found is None or not found[0].is_up or is_lost:
                told: object = LinkError(f"no connection to {url.netloc}")
            else:
                told = found[1](request)
            if is_mute:
                told = LinkTimeout("no answer")
            later(self._ether.latency_s(), lambda: answer(told))

        self._ether.after(self._ether.latency_s(), arrive)

    async def dial(self, host: Host, target: Dial, limits: LinkLimits, enter: Enter) -> End:
        """Open a link.

        Raises:
            LinkError: nobody is there, or it is cut on the way.
            LinkRefused: the door lets nobody in.
        """
        url = urlsplit(target.url)
        name = f"{url.scheme}://{url.netloc}{url.path}"
        await asyncio.sleep(self._ether.latency_s())
        found = self._doors.get(name)
        is_refused = not self.is_calm and self._chance.happens(self._weather.refuse)
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
        await asyncio.sleep(self._ether.latency_s())
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
        near = End(self._ether, there, f"{number}{there.name}", LinkInfo(head), near_limits)
        far = End(
            self._ether, here, f"{number}{here.name}", LinkInfo(head, is_dialled=True), far_limits
        )
        near.peer, far.peer = far, near
        self.links[number] = (near, far)
        self._trace.note("link", f"{far.name} → {near.name} {head.path}")
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

    @property
    def is_calm(self) -> bool:
        """Whether nothing goes wrong any more."""
        return self._ether.is_calm

    def calm(self) -> None:
        """Let nothing go wrong any more."""
        self._ether.is_calm = True

    def cut_some(self) -> None:
        """Cut one link, perhaps half open."""
        living = self.living()
        if not living:
            return
        near_s, far_s = self._ether.latency_s(), self._ether.latency_s()
        if self._chance.happens(self._weather.half_open):
            late_s = self._chance.between(1.0, HALF_OPEN_S)
            near_s, far_s = self._chance.pick(((late_s, far_s), (near_s, late_s)))
        self._chance.pick(living).cut(near_s, far_s)

    def stall_some(self) -> None:
        """Let one end read nothing for a while."""
        living = self.living()
        if living:
            far = self._chance.pick(living)
            end = self._chance.pick((far, far.peer))
            self._trace.note("stall", end.name)
            end.stall(self._ether.now_s() + self._chance.between(0.5, 15.0))
