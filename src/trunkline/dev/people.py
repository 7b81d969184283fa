"""Simulated people: a dialect's scripted world, driven over real links by the ordinary driver.

Used by `trunkline emulate` and `trunkline serve --demo`. There is no store behind them: what a
person hears is tallied by its world and forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Dial, Dialect, Opening, Receipt, Seat, Session, Settled
from trunkline.dialects.options import LineOptions
from trunkline.errors import StoreUnavailable
from trunkline.exchange.contract import Origin
from trunkline.ids import Ids
from trunkline.lines.contract import LineState, Link, LinkUser
from trunkline.lines.line import Line, LineLog, Surroundings
from trunkline.lines.roster import Roster
from trunkline.lines.supervisor import Pace, Supervisor
from trunkline.model.event import DurableEvent, Fleeting


class World(Protocol):
    """A dialect's scripted world (`dialects/*/emulator.py`)."""

    tally: Any

    def person(self, opening: Opening) -> Session:
        """Make the session of the next person."""
        ...


class Forgetting:
    """An exchange without memory: what it is offered counts as committed at once."""

    is_full = False

    def offer(self, origin: Origin, event: DurableEvent, receipt: Receipt, size_bytes: int) -> None:
        """Acknowledge in the next turn of the loop."""
        del event
        receipts = [receipt] if receipt is not None else []
        asyncio.get_running_loop().call_soon(_commit, origin, receipts, size_bytes)

    def pass_on(self, origin: Origin, event: Fleeting) -> None:
        """Forget it."""

    def keep(self, origin: Origin, account: str, state: bytes) -> None:
        """Forget it."""

    def settled(self, origin: Origin, settled: Settled) -> None:
        """Forget it: the world counts by itself."""

    def seated(self, origin: Origin, seat: Seat) -> None:
        """Nothing waits for anybody."""

    def unseated(self, line: str, seat: Seat) -> None:
        """Nothing waits for anybody."""

    def ask(self, origin: Origin, request: object, answer: Callable[[object], None]) -> None:
        """Say no: nothing was kept, so nothing can be found."""
        del origin, request
        answer(StoreUnavailable("nothing is kept here"))


def _commit(origin: Origin, receipts: Sequence[Receipt], size_bytes: int) -> None:
    origin.committed(receipts, 1, size_bytes)
    origin.flush()


class Uncounted:
    """A meter that counts nothing."""

    def noticed(self, dialect: str, kind: str) -> None:
        """People are not counted."""

    def links(self, line: str, count: int) -> None:
        """People are not counted."""

    def connected(self, dialect: str) -> None:
        """People are not counted."""


DialWith = Callable[[Line, Dial, Callable[[Link], LinkUser]], Any]


class People:
    """A number of simulated people that dial one address.

    Args:
        dialect: what they speak.
        options: of each person's line: `url`, `role`, `link = "dial"`; a link of its own each.
        world: what they say.
        dial: opens a link.
    """

    def __init__(
        self,
        *,
        dialect: Dialect,
        options: Sequence[LineOptions],
        world: World,
        clock: Clock,
        ids: Ids,
        log: LineLog,
        dial: DialWith,
    ) -> None:
        self.world = world
        self.has_met_anybody = False  # whether any of them was let in, ever
        loop = asyncio.get_running_loop()
        around = Surroundings(
            clock=clock,
            ids=ids,
            exchange=Forgetting(),
            roster=Roster(),
            log=log,
            meter=Uncounted(),
            timer=lambda at_s, call: loop.call_at(loop.time() + at_s - clock.monotonic_s(), call),
            auth_failed=lambda _peer: None,
        )

        def open_person(_options: LineOptions, opening: Opening) -> Session:
            return world.person(opening)

        async def open_link(line: Line, target: Dial, enter: Callable[[Link], LinkUser]) -> Link:
            link: Link = await dial(line, target, enter)
            self.has_met_anybody = True
            return link

        scripted = msgspec.structs.replace(dialect, open=open_person)
        pace = Pace(clock)
        self._supervisors = [
            Supervisor(
                Line(f"person-{number}", scripted, own, around),
                dial=open_link,
                kept=_nothing_kept,
                pace=pace,
                has_sisters=True,
            )
            for number, own in enumerate(options, start=1)
        ]

    async def run(self) -> None:
        """Let all of them live until they leave for good or `stop`."""
        async with asyncio.TaskGroup() as group:
            for supervisor in self._supervisors:
                group.create_task(supervisor.run())

    def stop(self) -> None:
        """Have all of them hang up."""
        for supervisor in self._supervisors:
            supervisor.stop()
            supervisor.line.finish()

    @property
    def is_over(self) -> bool:
        """Whether everybody has left for good."""
        return all(one.line.state is LineState.FAILED for one in self._supervisors)

    @property
    def error(self) -> str:
        """Why a link of theirs ended or did not open, "" when none did."""
        return next((one.line.error for one in self._supervisors if one.line.error), "")

    @property
    def tally(self) -> Mapping[str, int]:
        """What they saw, by name."""
        counts: dict[str, int] = msgspec.structs.asdict(self.world.tally)
        return counts


async def _nothing_kept(_line: str, _account: str) -> bytes | None:
    return None
