"""A line whose sessions follow a script, and an exchange that only takes notes.

For tests of `lines`: driver, line, roster and supervisor are the real ones, links are the in-memory
twins, time is a fake clock. A script says what a verb returns: effects, a callable that gets the
verb's arguments, or an exception to raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from house import Counts, Notes
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Changed, Dial, Head, LinkInfo, LinkState, Seat, Settled
from trunkline.dialects.maim import MAIM
from trunkline.errors import LinkError, LocalProtocolError
from trunkline.ids import CountingIds, DeliveryId
from trunkline.lines.line import Line, Surroundings
from trunkline.lines.memory import MemoryLink, make_pair
from trunkline.lines.roster import Roster
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Say
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Text

ALICE = Chat("qq", "private", "alice")
BOB = Chat("qq", "private", "bob")
SEAT = Seat("qq", "qq")
READY = Changed(LinkState.READY, SEAT)
DIAL = Dial("ws://127.0.0.1:1/ws")


def message(words: str = "hi", chat: Chat = ALICE) -> MessageReceived:
    return MessageReceived(chat, None, (Text(words),))


def delivery(ident: int, chat: Chat = ALICE) -> Delivery:
    return Delivery(DeliveryId(ident), chat, Say((Text(f"d{ident}"),)))


class ScriptedSession:
    """Returns what the script says, nothing where it says nothing, and remembers the calls."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.wake_at: float | None = None
        self.script = script
        self.calls: list[tuple[str, Any]] = []

    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.calls]

    def _do(self, verb: str, *args: Any) -> Any:
        self.calls.append((verb, args[0] if args else None))
        effects = self.script.get(verb, ())
        if isinstance(effects, BaseException):
            raise effects
        return effects(*args) if callable(effects) else effects

    def begin(self, kept: bytes | None) -> Any:
        return self._do("begin", kept)

    def linked(self, info: LinkInfo) -> Any:
        return self._do("linked", info)

    def receive(self, data: bytes, *, is_text: bool) -> Any:
        return self._do("receive", data)

    def answered(self, tag: Any, answer: Any) -> Any:
        return self._do("answered", (tag, answer))

    def stored(self, receipt: Any) -> Any:
        return self._do("stored", receipt)

    def send(self, delivery: Delivery) -> Any:
        return self._do("send", delivery)

    def tick(self) -> Any:
        return self._do("tick")

    def finish(self) -> Any:
        return self._do("finish")

    def lost(self, error: Any) -> Any:
        return self._do("lost", error)


class Ledger:
    """An exchange that takes notes (`exchange.contract.Exchange`)."""

    def __init__(self) -> None:
        self.is_full = False
        self.offered: list[tuple[Any, Any, int]] = []
        self.fates: list[Settled] = []
        self.seats: list[str] = []
        self.kept: list[tuple[str, bytes]] = []
        self.passed: list[Any] = []

    def ask(self, origin: Any, request: Any, answer: Any) -> None:
        answer(LocalProtocolError(f"{type(request).__name__} is not served here"))

    def offer(self, origin: Any, event: Any, receipt: Any, size_bytes: int) -> None:
        self.offered.append((event, receipt, size_bytes))

    def pass_on(self, origin: Any, event: Any) -> None:
        self.passed.append(event)

    def keep(self, origin: Any, account: str, state: bytes) -> None:
        self.kept.append((account, state))

    def settled(self, origin: Any, settled: Settled) -> None:
        where = origin.seat.key if origin.seat is not None else "nowhere"
        self.fates.append(settled)
        self.seats.append(f"settled at {where}")

    def seated(self, origin: Any, seat: Seat) -> None:
        self.seats.append(f"seated {seat.key} sends={origin.can_send}")

    def unseated(self, line: str, seat: Seat) -> None:
        self.seats.append(f"unseated {seat.key}")

    def outcomes(self) -> list[tuple[int, str]]:
        return [(one.delivery_id, one.outcome.value) for one in self.fates]


class Stand:
    """One line, its clock and timers, and what it told.

    Args:
        script: of every session; `linked` takes the seat `qq` unless it says otherwise.
        options: of the line besides the dialect.
    """

    def __init__(self, script: dict[str, Any] | None = None, **options: Any) -> None:
        self.clock = FakeClock()
        self.exchange = Ledger()
        self.roster = Roster()
        self.log = Notes()
        self.counts = Counts()
        self.timers: list[tuple[float, Any, asyncio.Handle]] = []
        self.sessions: list[ScriptedSession] = []
        self.openings: list[Any] = []
        self.failed_addresses: list[str] = []
        self.script = {"linked": (READY,), **(script or {})}
        self.dialect = msgspec.structs.replace(MAIM, open=self._open)
        self.line = Line(
            "core",
            self.dialect,
            MAIM.options(dialect="maim", **options),
            Surroundings(
                clock=self.clock,
                ids=CountingIds(),
                exchange=self.exchange,
                roster=self.roster,
                log=self.log,
                meter=self.counts,
                timer=self._timer,
                auth_failed=self.failed_addresses.append,
            ),
        )

    def _open(self, options: Any, opening: Any) -> ScriptedSession:
        session = ScriptedSession(self.script)
        self.openings.append(opening)
        self.sessions.append(session)
        return session

    def _timer(self, at_s: float, call: Any) -> asyncio.Handle:
        # No more than uvloop gives for what is due at once: a handle without a time.
        handle = asyncio.Handle(call, (), asyncio.get_running_loop())
        self.timers.append((at_s, call, handle))
        return handle

    def armed(self) -> list[float]:
        """When the timers that are not cancelled ring."""
        return [at_s for at_s, _, handle in self.timers if not handle.cancelled()]

    def advance(self, seconds: float) -> None:
        """Move the clock; ring what is due, what that sets included, up to a bound."""
        self.clock.advance(seconds)
        for _ in range(50):
            now_s = self.clock.monotonic_s()
            due = [one for one in self.timers if one[0] <= now_s and not one[2].cancelled()]
            self.timers = [one for one in self.timers if one[0] > now_s]
            if not due:
                return
            for _, call, _ in due:
                call()
        raise AssertionError("a timer rings again and again")

    def enter(self, **head: Any) -> Sitting:
        """Accept a link."""
        info = LinkInfo(Head("/ws", **head))
        near, far = make_pair(info, info)
        driver: Any = self.line.enter(self.dialect.admit(self.line.options, info.head), near)
        near.attach(driver)
        near.flush()
        return Sitting(driver, near, far, self.sessions[-1])

    def actions(self) -> list[str]:
        return [action for _, action, _ in self.log.lines]


class Sitting:
    """A driver on a link, its session, and the peer's end."""

    def __init__(
        self, driver: Any, near: MemoryLink, far: MemoryLink, session: ScriptedSession
    ) -> None:
        self.driver = driver
        self.near = near
        self.far = far
        self.session = session
        self.heard: list[bytes] = []
        self.end: LinkError | None = None
        far.attach(self)

    def receive(self, data: bytes, *, is_text: bool) -> None:
        self.heard.append(data)

    def read_done(self) -> None: ...

    def drained(self) -> None: ...

    def closed(self, error: LinkError) -> None:
        self.end = error

    def say(self, *frames: bytes) -> None:
        """Send frames in one read."""
        for frame in frames:
            self.far.send(frame)
        self.far.flush()
        self.pump()

    def pump(self) -> None:
        while self.near.pump_one() + self.far.pump_one():
            pass

    def cut(self) -> None:
        self.near.cut()
        self.pump()


async def settle(turns: int = 20) -> None:
    """Let what is ready run."""
    for _ in range(turns):
        await asyncio.sleep(0)


def deliver(sitting: Sitting, deliveries: Sequence[Delivery]) -> None:
    sitting.driver.deliver(deliveries)
    sitting.driver.flush()
