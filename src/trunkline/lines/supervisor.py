"""Keeps a dialled line connected: waits, dials, runs until the link ends, decides what is next.

It decides nothing by itself: the session's `Hangup` says whether to come back, the retry table how
long that takes, the errors' `retry` what a failed dial means. All waiting is on the timer that the
lines share, and ends when the line stops.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Again, Dial, Hangup, Now, Park
from trunkline.errors import LinkError, LinkLost, LinkRefused, Retry, TrunklineError
from trunkline.lines.backoff import Flaps, next_count, next_delay_s
from trunkline.lines.contract import LineState, Link, LinkUser
from trunkline.lines.driver import Driver
from trunkline.lines.line import Line

Dialler: TypeAlias = Callable[[Line, Dial, Callable[[Link], LinkUser]], Awaitable[Link]]
LoadKept: TypeAlias = Callable[[str, str], Awaitable[bytes | None]]

DIALS_PER_S = 20  # reliability 3: all lines together
MAX_DIALS = 5  # in progress at once. Source: xianyu 9
# How a wrong token is told behind the upgrade: a close code, a row of the table. Source: maim 2.3
POLICY = 1008
REFUSALS = frozenset({"auth", "refused"})
# Rows of the retry tables that blame the way to the peer, not the peer. Source: xianyu 9
NETWORK_CAUSES = frozenset({"abrupt", "network", "unreachable"})


class Pace:
    """At most 20 connection attempts a second, and few at once, for the whole process.

    Args:
        max_dials: attempts in progress at the same moment.
    """

    def __init__(self, clock: Clock, max_dials: int = MAX_DIALS) -> None:
        self._clock = clock
        self._max_dials = max_dials
        self._free_at_s = 0.0
        self._running = 0
        self._waiting: dict[asyncio.Event, None] = {}

    def take_turn(self) -> float:
        """Take the next turn; return the monotonic second at which it is."""
        at_s = max(self._clock.monotonic_s(), self._free_at_s)
        self._free_at_s = at_s + 1.0 / DIALS_PER_S
        return at_s

    def enter(self, wake: asyncio.Event) -> bool:
        """Begin an attempt, or return false: then `wake` is set when one may have ended."""
        if self._running < self._max_dials:
            self._running += 1
            self._waiting.pop(wake, None)
            return True
        self._waiting[wake] = None
        return False

    def leave(self) -> None:
        """End an attempt. All who wait are woken, in order: one of them may have given up."""
        self._running -= 1
        for wake in self._waiting:
            wake.set()

    def forget(self, wake: asyncio.Event) -> None:
        """Wait no more."""
        self._waiting.pop(wake, None)


class _End(msgspec.Struct, frozen=True):
    """How an attempt ended.

    Args:
        cause: row of the retry table; None = at once.
        parked: why a person must act first, "" = nobody must.
        lived_s: how long the link was open.
        was_ready: whether its session was READY.
        was_let_in: and its end was no refusal: some peers accept whom they do not know, then close.
    """

    cause: str | None
    parked: str = ""
    lived_s: float = 0.0
    was_ready: bool = False
    was_let_in: bool = False


class Supervisor:
    """The restart policy of one dialled line.

    Args:
        dial: opens a link (`lines.dial` with the line's trust and limits).
        kept: reads the state last kept.
        pace: shared by all lines.
        has_sisters: whether more than one line dials, so that jitter applies by itself.
        draw: returns 0 … 1 for the jitter; it spreads reconnects and keeps no secret.
        failed: told the number of attempts and the reason when a person must act.
    """

    def __init__(
        self,
        line: Line,
        *,
        dial: Dialler,
        kept: LoadKept,
        pace: Pace,
        has_sisters: bool,
        draw: Callable[[], float] = random.random,
        failed: Callable[[int, str], None] | None = None,
    ) -> None:
        self.line = line
        self._dial = dial
        self._kept = kept
        self._pace = pace
        self._failed = failed
        options = line.options
        self._jitter = options.jitter if options.jitter is not None else 0.2 * has_sisters
        self._draw = draw
        self._wake = asyncio.Event()
        self._is_asked = False  # a person wants a new link, and none has opened since
        self._is_renewed = False  # what is being prepared has the old credentials
        self._is_stopping = False
        self._driver: Driver | None = None
        self._dialling: asyncio.Future[Link] | None = None
        self._flaps = Flaps()
        self._failures = 0  # in a row, as `max_failures` counts them
        self._is_network_only = False  # nothing but the way to the peer failed lately
        self._is_probing = False

    def reconnect(self) -> None:
        """Dial now, also from FAILED or parked."""
        self.line.needs_you = ""
        self._is_asked = True
        self._wake.set()
        if self.line.state is LineState.FAILED:
            self.line.state = LineState.CONNECTING
        driver = self._driver
        if driver is not None and driver.link is not None and not driver.is_closed:
            self.line.state = LineState.RECONNECTING
            driver.link.close(1000, "reconnect")

    def renew(self) -> None:
        """Dial now with new credentials: what is under way with the old ones is given up."""
        self._is_renewed = True
        self.reconnect()
        if self._dialling is not None:
            self._dialling.cancel()

    def stop(self) -> None:
        """Dial no more. A link that is open stays until its line closes it: then `run` ends.

        What was read over it can so be committed and acknowledged before it is closed.
        """
        self._is_stopping = True
        self._wake.set()
        if self._dialling is not None:
            self._dialling.cancel()

    async def run(self) -> None:
        """Dial until `stop`."""
        line = self.line
        nth = 0
        while not self._is_stopping:
            line.state = LineState.CONNECTING
            line.retry_at_s = 0.0
            end = await self._once()
            if self._is_stopping:
                break
            nth = self._count(nth, end)
            line.state = LineState.RECONNECTING
            is_enough = 0 < line.options.max_failures <= self._failures
            if not self._is_asked and (end.parked or is_enough):
                self._give_up(end, self._failures or nth)
                nth = await self._wait_failed(end, nth)
            else:
                line.retry_at_s = line.now_s() + self._delay_s(end.cause, nth)
                await self._wait(line.retry_at_s)
            if self._is_asked:
                self._is_asked = self._is_probing = False
                nth = self._failures = 0
        line.state = LineState.DISCONNECTED

    def _count(self, nth: int, end: _End) -> int:
        """Return the number of the next attempt; note how many failed in a row with this end.

        A link that was READY and not refused was no failure, however short: its delay may grow,
        but nothing is given up for it. Where failures count from READY anyway, flapping counts too.
        Source: guides 5 (`reconnect_attempts = 0` once it is open), xianyu 9
        """
        counted = self._counted(nth, end)
        if self.line.dialect.resets_at_ready:
            self._failures = counted
        else:
            self._failures = 0 if end.was_let_in else self._failures + 1
        is_network = end.cause in NETWORK_CAUSES
        self._is_network_only = is_network and (counted <= 1 or self._is_network_only)
        self._is_probing = self._is_probing and not end.was_ready
        return counted

    def _counted(self, nth: int, end: _End) -> int:
        if not self.line.dialect.resets_at_ready:
            return next_count(nth, end.lived_s, self.line.dialect.stable_s)
        if end.cause is None and not end.parked:
            return nth  # a renewed credential is no failure. Source: xianyu 9
        return self._flaps.next_count(nth, end.lived_s, self.line.now_s(), was_ready=end.was_ready)

    def _give_up(self, end: _End, nth: int) -> None:
        line = self.line
        line.state = LineState.FAILED
        line.needs_you = end.parked
        if self._is_probing and not end.parked:
            return  # said when it failed
        line.around.log.error(
            "line failed", line=line.name, failures=nth, error=end.parked or line.error
        )
        if self._failed is not None:
            self._failed(nth, end.parked or line.error)

    async def _wait_failed(self, end: _End, nth: int) -> int:
        """Wait for a person, or for the next probe; return the count to go on with."""
        line = self.line
        probe_s = line.options.probe_s
        self._is_probing = bool(probe_s) and self._is_network_only and not end.parked
        if not self._is_probing:
            await self._wait(None)
            return nth
        line.retry_at_s = line.now_s() + probe_s
        await self._wait(line.retry_at_s)
        self._failures = max(0, line.options.max_failures - 1)  # one attempt, then FAILED again
        return self._failures

    def _delay_s(self, cause: str | None, nth: int) -> float:
        if cause is None:
            return 0.0
        jitter = self._draw() * self._jitter
        return next_delay_s(self.line.options, self.line.dialect.delay_s, cause, nth, jitter)

    async def _wait(self, at_s: float | None, *, is_paced: bool = False) -> None:
        """Wait for a monotonic second (None = none), for `stop`, or for a person.

        Args:
            is_paced: not for a person: the pace holds for everybody.
        """
        line = self.line
        is_rung = at_s is not None and at_s <= line.now_s()

        def ring() -> None:
            nonlocal is_rung
            is_rung = True
            self._wake.set()

        timer = line.wake_at(at_s, ring) if at_s is not None and not is_rung else None
        try:
            while not (is_rung or self._is_stopping or (self._is_asked and not is_paced)):
                self._wake.clear()
                await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _once(self) -> _End:
        """Run one link to its end."""
        line = self.line
        self._is_renewed = False
        self._driver = driver = line.new_driver("")
        try:
            driver.is_dialling = True
            driver.prepared = self._wake.set
            driver.begin(await self._kept(line.name, ""))
            await self._prepare(driver)
            if driver.dial is None or driver.hangup is not None:
                error = LinkError(_why(driver.hangup))
                driver.closed(error)
                return self._next(driver, error, 0.0)
            ear = _Ear(driver, self._opened)
            await self._open(driver.dial, ear)
        except TrunklineError as error:
            return self._not_opened(driver, error)
        except Exception as error:  # noqa: BLE001 - the edge "driver": a fault of ours on the way
            line.failed(driver, "dial", error)
            return self._not_opened(driver, LinkError(f"our fault, see the log: {error}"))
        error = await ear.ended
        return self._next(driver, error, line.now_s() - ear.opened_s, why=ear.why)

    async def _prepare(self, driver: Driver) -> None:
        """Wait for a session that asks something before it dials; `stop` ends that."""
        while driver.is_preparing and not (self._is_stopping or self._is_renewed):
            self._wake.clear()
            await self._wake.wait()

    async def _open(self, target: Dial, ear: _Ear) -> None:
        """Dial when it is our turn.

        Raises:
            LinkError: the line stops.
        """
        await self._take_slot()
        try:
            await self._wait(self._pace.take_turn(), is_paced=True)
            if self._is_stopping or self._is_renewed:
                raise LinkError("the line stops")
            dialling = asyncio.ensure_future(self._dial(self.line, target, ear.enter))
            self._dialling = dialling
            try:
                await asyncio.wait({dialling})
            finally:
                dialling.cancel()
                self._dialling = None
            if dialling.cancelled():
                raise LinkError("the line stops")
            dialling.result()
        finally:
            self._pace.leave()

    async def _take_slot(self) -> None:
        """Wait until few enough others dial.

        Raises:
            LinkError: the line stops.
        """
        try:
            while not self._is_stopping:
                self._wake.clear()
                if self._pace.enter(self._wake):
                    return
                await self._wake.wait()
        finally:
            self._pace.forget(self._wake)
        raise LinkError("the line stops")

    def _opened(self) -> None:
        self._is_asked = False  # what was asked for is there

    def _not_opened(self, driver: Driver, error: TrunklineError) -> _End:
        line = self.line
        line.error = str(error)
        driver.closed(error if isinstance(error, LinkError) else LinkError(str(error)))
        if self._is_stopping:
            return _End(None)
        line.around.log.warning("dial failed", line=line.name, error=str(error))
        if error.retry is Retry.NEVER:
            return _End(None, str(error))
        if error.retry is Retry.NOW:
            return _End(None)
        return _End("refused" if isinstance(error, LinkRefused) else "unreachable")

    def _next(self, driver: Driver, error: LinkError, lived_s: float, why: str = "") -> _End:
        self.line.error = f"{error}: {why}" if why else str(error)
        hangup = driver.hangup
        following = hangup.next if hangup is not None else Again()
        is_refusal = (isinstance(error, LinkLost) and error.code == POLICY) or (
            isinstance(following, Again) and following.cause in REFUSALS
        )
        was_ready = driver.was_ready
        was_let_in = was_ready and not is_refusal
        match following:
            case Park(why):
                return _End(None, why or str(error), lived_s, was_ready, was_let_in)
            case Now():
                return _End(None, "", lived_s, was_ready, was_let_in)
            case Again(cause):
                return _End(cause, "", lived_s, was_ready, was_let_in)


def _why(hangup: Hangup | None) -> str:
    """Return why a session said good-bye before it was linked."""
    if hangup is None:
        return "there is nothing to dial"
    return getattr(hangup.next, "why", "") or hangup.reason or "there is nothing to dial"


class _Ear:
    """Passes a dialled link's calls to its driver and notes its beginning and end.

    Args:
        opened: told once the link is open.

    Attributes:
        why: what the session makes of a link that the other side ended, "" = nothing.
    """

    def __init__(self, driver: Driver, opened: Callable[[], None]) -> None:
        self._driver = driver
        self.why = ""
        self._opened = opened
        self.opened_s = driver.home.now_s()
        self.ended: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        self.receive = driver.receive
        self.read_done = driver.read_done
        self.drained = driver.drained

    def enter(self, link: Link) -> LinkUser:
        """Take the open link."""
        self._opened()
        self.opened_s = self._driver.home.now_s()
        self._driver.attach(link)
        self._driver.linked(link.info)
        return self

    def closed(self, error: LinkError) -> None:
        """The link is gone."""
        was_said = self._driver.hangup is not None
        self._driver.closed(error)
        if not was_said and self._driver.hangup is not None:
            self.why = self._driver.hangup.reason
        if not self.ended.done():
            self.ended.set_result(error)
