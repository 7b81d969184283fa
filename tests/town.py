"""A house and people who dial it: both ends are the product, links are in memory, time is fake.

The people's lines are ordinary dialled lines with the dialect's emulator (or a session of its own)
and an ordinary supervisor; only `dial` is the town's. What moves is moved by `live`: links are
pumped, beats written, timers rung, in small steps of the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from house import House
from scripted import settle
from trunkline.dev.people import Forgetting, Uncounted
from trunkline.dialects.contract import Dial, Head, LinkInfo, Refuse
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import LinkError, LinkRefused
from trunkline.ids import SystemIds
from trunkline.lines.line import Line, Surroundings
from trunkline.lines.memory import MemoryLink, make_pair
from trunkline.lines.roster import Roster
from trunkline.lines.supervisor import Pace, Supervisor

STEP_S = 0.25


class Town:
    """See the module.

    Args:
        house: open already.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        self.pairs: list[tuple[MemoryLink, MemoryLink]] = []
        self.supervisors: list[Supervisor] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.dials_s: list[float] = []
        self.is_reachable = True
        self._pace = Pace(house.clock)

    def settle_in(
        self,
        dialect: str,
        role: str,
        at: str,
        *,
        open_session: Callable[[Any], Any] | None = None,
        exchange: Any = None,
        kept: Any = None,
        **options: Any,
    ) -> Line:
        """Let one dialled line live.

        Args:
            at: the house's line that it dials.
            open_session: makes its sessions from an `Opening`; None = the dialect's own.
        """
        house = self.house
        base = DIALECTS[dialect]
        if open_session is not None:
            base = msgspec.structs.replace(base, open=lambda _, opening: open_session(opening))
        url = f"ws://house/{at}"
        line = Line(
            f"{role}-{len(self.supervisors)}",
            base,
            base.options(dialect=dialect, role=role, link="dial", url=url, **options),
            Surroundings(
                clock=house.clock,
                ids=SystemIds(house.clock, node=7),
                exchange=exchange or Forgetting(),
                roster=Roster(),
                log=house.log,
                meter=Uncounted(),
                timer=house._timer,
                auth_failed=lambda peer: None,
            ),
        )

        async def read_kept(name: str, account: str) -> bytes | None:
            return kept

        supervisor = Supervisor(
            line, dial=self._dial, kept=read_kept, pace=self._pace, has_sisters=False
        )
        self.supervisors.append(supervisor)
        self.tasks.append(asyncio.get_running_loop().create_task(supervisor.run()))
        return line

    async def _dial(self, line: Line, target: Dial, enter: Any) -> Any:
        self.dials_s.append(round(self.house.clock.monotonic_s() - 1000, 2))
        if not self.is_reachable:
            raise LinkError("no route")
        door = self.house.lines[urlsplit(target.url).path.strip("/")]
        headers = {name.lower(): value for name, value in target.headers.items()}
        head = Head(
            door.dialect.paths(door.options)[0], headers=headers, peer="192.0.2.1",
            is_loopback=not door.is_public,
        )  # fmt: skip
        admitted = door.admit(head)
        if isinstance(admitted, Refuse):
            raise LinkRefused(admitted.status, admitted.text)
        near, far = make_pair(LinkInfo(head), LinkInfo(head, is_dialled=True))
        self.pairs.append((near, far))
        near.attach(door.enter(admitted, near))
        far.attach(enter(far))
        near.flush()
        far.flush()
        return far

    def pump(self) -> int:
        """Move what can move over all links; return in how many turns."""
        turns = 0
        while moved := sum(near.pump_one() + far.pump_one() for near, far in self.pairs):
            turns += moved
        return turns

    async def quiet(self) -> None:
        """Let everything come to rest without time passing."""
        for _ in range(100):
            await settle(6)
            moved = self.pump()
            await self.house.quiet()
            if not moved + self.pump():
                break
        else:
            raise AssertionError("the town does not come to rest")
        self.pairs = [pair for pair in self.pairs if pair[0].is_open or pair[1].is_open]

    async def live(self, seconds: float, step_s: float = STEP_S) -> None:
        """Let time pass."""
        for _ in range(round(seconds / step_s)):
            self.house.advance(step_s)
            await self.quiet()

    async def until(self, is_done: Callable[[], bool], within_s: float = 600.0) -> None:
        """Let time pass until something is so."""
        for _ in range(round(within_s / STEP_S)):
            if is_done():
                return
            await self.live(STEP_S)
        raise AssertionError("it did not come to that")

    def cut(self) -> None:
        """Lose every connection."""
        for near, _ in self.pairs:
            near.cut()

    async def close(self) -> None:
        """Let everybody leave."""
        for supervisor in self.supervisors:
            supervisor.stop()
            supervisor.line.finish()
            supervisor.line.close_links(1001, "leaving")
        await self.quiet()
        async with asyncio.timeout(5):
            await asyncio.gather(*self.tasks)


@contextlib.asynccontextmanager
async def town_of(house: House) -> AsyncIterator[Town]:
    """Open the house and a town around it; afterwards nothing may be left under way."""
    async with house:
        town = Town(house)
        try:
            yield town
        finally:
            await town.close()
