"""Keeps a dialled line connected: waits, dials, runs until the link ends, decides what is next.

It decides nothing by itself: the session's `Hangup` says whether to come back, the retry table how
long that takes, the errors' `retry` what a failed dial means.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from trunkline.clock import Clock
from trunkline.dialects.contract import Again, Dial, Now, Park
from trunkline.errors import CredentialError, LinkError, LinkRefused, Retry, TrunklineError
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

    async def turn(self) -> None:
        """Wait for our turn."""
        now_s = self._clock.monotonic_s()
        at_s = max(now_s, self._free_at_s)
        self._free_at_s = at_s + 1.0 / DIALS_PER_S
        if at_s > now_s:
            await asyncio.sleep(at_s - now_s)


class Supervisor:
    """The restart policy of one dialled line.

    Args:
        dial: opens a link (`lines.dial` with the line's trust and limits).
        kept: reads the state last kept.
        pace: shared by all lines.
        has_sisters: whether more than one line dials, so that jitter applies by itself.
    """

    def __init__(
        self, line: Line, *, dial: Dialler, kept: LoadKept, pace: Pace, has_sisters: bool
    ) -> None:
        self.line = line
        self._dial = dial
        self._kept = kept
        self._pace = pace
        options = line.options
        self._jitter = options.jitter if options.jitter is not None else 0.2 * has_sisters
        self._random = random.Random()  # noqa: S311 - spreads reconnects, keeps no secret
        self._again = asyncio.Event()
        self._is_stopping = False
        self._driver: Driver | None = None

    def reconnect(self) -> None:
        """Dial now, also from FAILED or parked."""
        self.line.needs_you = ""
        self._again.set()
        driver = self._driver
        if driver is not None and driver.link is not None:
            driver.link.close(1000, "reconnect")

    def stop(self) -> None:
        """End `run`."""
        self._is_stopping = True
        self._again.set()
        if self._driver is not None:
            self._driver.finish()

    async def run(self) -> None:
        """Dial until `stop`."""
        line = self.line
        nth = 0
        while not self._is_stopping:
            line.state = LineState.RECONNECTING if nth else LineState.CONNECTING
            line.retry_at_s = 0.0
            started_s = line.now_s()
            cause, is_parked = await self._once()
            if self._is_stopping:
                break
            lived_s = line.now_s() - started_s
            nth = next_count(nth, lived_s)
            limit = line.options.max_failures
            if is_parked or (limit and nth > limit):
                line.state = LineState.FAILED
                nth = 0
                self._again.clear()
                await self._again.wait()
                continue
            delay_s = 0.0
            if cause is not None:
                jitter = self._random.random() * self._jitter
                delay_s = next_delay_s(line.options, line.dialect.delay_s, cause, nth, jitter)
            line.state = LineState.RECONNECTING
            line.retry_at_s = line.now_s() + delay_s
            self._again.clear()
            try:
                async with asyncio.timeout(delay_s):
                    await self._again.wait()
                nth = 0
            except TimeoutError:
                pass
        line.state = LineState.DISCONNECTED

    async def _once(self) -> tuple[str | None, bool]:
        """Run one link; return (cause of the next delay or None for at once, parked)."""
        line = self.line
        driver = self._driver = line.new_driver("")
        ended: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        try:
            driver.begin(await self._kept(line.name, ""))
            target = driver.dial
            if target is None:
                return self._next(driver)
            await self._pace.turn()
            ear = _Ear(driver, ended)
            await self._dial(line, target, ear.enter)
        except TrunklineError as error:
            line.error = str(error)
            line.around.log.warning("dial failed", line=line.name, error=str(error))
            driver.closed(error if isinstance(error, LinkError) else LinkError(str(error)))
            if isinstance(error, CredentialError) and error.retry is Retry.NEVER:
                line.needs_you = str(error)
                return None, True
            cause = "refused" if isinstance(error, LinkRefused) else "unreachable"
            return cause, False
        error = await ended
        line.error = str(error)
        return self._next(driver)

    def _next(self, driver: Driver) -> tuple[str | None, bool]:
        hangup = driver.hangup
        match hangup.next if hangup is not None else Again():
            case Park(why):
                self.line.needs_you = why
                return None, True
            case Now():
                return None, False
            case Again(cause):
                return cause, False


class _Ear:
    """Passes a dialled link's calls to its driver and notes its end."""

    def __init__(self, driver: Driver, ended: asyncio.Future[LinkError]) -> None:
        self._driver = driver
        self._ended = ended
        self.receive = driver.receive
        self.read_done = driver.read_done
        self.drained = driver.drained

    def enter(self, link: Link) -> LinkUser:
        """Take the open link."""
        self._driver.attach(link)
        self._driver.linked(link.info)
        line = self._driver.home
        if isinstance(line, Line):
            line.state = LineState.CONNECTED
            line.retry_at_s = 0.0
        return self

    def closed(self, error: LinkError) -> None:
        """The link is gone."""
        self._driver.closed(error)
        if not self._ended.done():
            self._ended.set_result(error)
