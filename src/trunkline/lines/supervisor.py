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
from trunkline.dialects.contract import Again, Dial, Now, Park
from trunkline.errors import LinkError, LinkRefused, Retry, TrunklineError
from trunkline.lines.backoff import next_count, next_delay_s
from trunkline.lines.contract import LineState, Link, LinkUser
from trunkline.lines.driver import Driver
from trunkline.lines.line import Line

Dialler: TypeAlias = Callable[[Line, Dial, Callable[[Link], LinkUser]], Awaitable[Link]]
LoadKept: TypeAlias = Callable[[str, str], Awaitable[bytes | None]]

DIALS_PER_S = 20  # reliability 3: all lines together


class Pace:
    """At most 20 connection attempts a second for the whole process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free_at_s = 0.0

    def take_turn(self) -> float:
        """Take the next turn; return the monotonic second at which it is."""
        at_s = max(self._clock.monotonic_s(), self._free_at_s)
        self._free_at_s = at_s + 1.0 / DIALS_PER_S
        return at_s


class _End(msgspec.Struct, frozen=True):
    """How an attempt ended.

    Args:
        cause: row of the retry table; None = at once.
        parked: why a person must act first, "" = nobody must.
        lived_s: how long the link was open.
    """

    cause: str | None
    parked: str = ""
    lived_s: float = 0.0


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
        self._is_stopping = False
        self._driver: Driver | None = None
        self._dialling: asyncio.Future[Link] | None = None

    def reconnect(self) -> None:
        """Dial now, also from FAILED or parked."""
        self.line.needs_you = ""
        self._is_asked = True
        self._wake.set()
        driver = self._driver
        if driver is not None and driver.link is not None:
            driver.link.close(1000, "reconnect")

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
            line.state = LineState.RECONNECTING if nth else LineState.CONNECTING
            line.retry_at_s = 0.0
            end = await self._once()
            if self._is_stopping:
                break
            nth = next_count(nth, end.lived_s)
            if not self._is_asked and (end.parked or 0 < line.options.max_failures <= nth):
                self._give_up(end, nth)
                await self._wait(None)
            else:
                line.state = LineState.RECONNECTING
                line.retry_at_s = line.now_s() + self._delay_s(end.cause, nth)
                await self._wait(line.retry_at_s)
            if self._is_asked:
                self._is_asked = False
                nth = 0
        line.state = LineState.DISCONNECTED

    def _give_up(self, end: _End, nth: int) -> None:
        line = self.line
        line.state = LineState.FAILED
        line.needs_you = end.parked
        line.around.log.error(
            "line failed", line=line.name, failures=nth, error=end.parked or line.error
        )
        if self._failed is not None:
            self._failed(nth, end.parked or line.error)

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
        self._driver = driver = line.new_driver("")
        try:
            driver.begin(await self._kept(line.name, ""))
            if driver.dial is None or driver.hangup is not None:
                error = LinkError("there is nothing to dial")
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
        return self._next(driver, error, line.now_s() - ear.opened_s)

    async def _open(self, target: Dial, ear: _Ear) -> None:
        """Dial when it is our turn.

        Raises:
            LinkError: the line stops.
        """
        await self._wait(self._pace.take_turn(), is_paced=True)
        if not self._is_stopping:
            dialling = asyncio.ensure_future(self._dial(self.line, target, ear.enter))
            self._dialling = dialling
            try:
                await asyncio.wait({dialling})
            finally:
                dialling.cancel()
                self._dialling = None
            if not dialling.cancelled():
                dialling.result()
                return
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

    def _next(self, driver: Driver, error: LinkError, lived_s: float) -> _End:
        self.line.error = str(error)
        hangup = driver.hangup
        match hangup.next if hangup is not None else Again():
            case Park(why):
                return _End(None, why or str(error), lived_s)
            case Now():
                return _End(None, "", lived_s)
            case Again(cause):
                return _End(cause, "", lived_s)


class _Ear:
    """Passes a dialled link's calls to its driver and notes its beginning and end.

    Args:
        opened: told once the link is open.
    """

    def __init__(self, driver: Driver, opened: Callable[[], None]) -> None:
        self._driver = driver
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
        self._driver.closed(error)
        if not self.ended.done():
            self.ended.set_result(error)
