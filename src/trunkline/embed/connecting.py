"""The end that dials: one link at a time, dialled again when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from trunkline.dialects.contract import Dial
from trunkline.errors import (
    ChallengeRequired,
    CredentialsRejected,
    LinkError,
    LinkLost,
    LinkRefused,
    TrunklineError,
)
from trunkline.lines.contract import LineState, Link, LinkUser
from trunkline.lines.dial import Trust, dial
from trunkline.lines.driver import Driver
from trunkline.lines.line import Line
from trunkline.lines.requests import open_calls
from trunkline.lines.supervisor import Pace, Supervisor

from .line import Embedded
from .settings import renewed
from .watched import WatchedLine

_STOP_S: Final = 2.5
_NOT_LET_IN: Final = frozenset({401, 403})
_NEEDS_PERSON: Final = "needs_person"  # how a session says that it is not the credential


class EmbeddedLine(Embedded):
    """A line that dials, and dials again with the guides' delays until it has given up.

    `async with` returns once the link is ready, and raises at once when the peer does not let us in
    the first time: a wrong token does not mend itself. How often it tries is `max_failures`; 0 is
    for ever, whatever the peer says. Where a platform wants a person, nothing is tried at all: the
    error is a `CredentialsRejected` or a `ChallengeRequired`.
    """

    _supervisor: Supervisor | None = None
    _running: asyncio.Task[None] | None = None
    _last: TrunklineError | None = None
    _was_ready = False

    @property
    def state(self) -> LineState:
        """Which of the five states it is in."""
        return self.line.state if self.line is not None else LineState.DISCONNECTED

    def reconnect(self) -> None:
        """End the link and dial at once, also after it has given up.

        Raises:
            RuntimeError: the line is not open.
        """
        if self._supervisor is None:
            raise RuntimeError("the line is not open")
        self.error = self._last = None
        if not self._is_over:
            self._inbox.reopen()
        self._supervisor.reconnect()

    def renew(self, **given: object) -> None:
        """Log in anew with other credentials, and dial at once; also after it has given up.

        Args:
            given: the key that holds the dialect's credential (`cookies`), `headers`, `user_agent`.

        Raises:
            ConfigError: these cannot be used; nothing has changed.
            RuntimeError: the line is not open.
        """
        options = renewed(self.settings, given)
        if self._supervisor is None or self.line is None:
            raise RuntimeError("the line is not open")
        self.settings = msgspec.structs.replace(self.settings, options=options)
        self.line.options = options
        self.error = None
        if not self._is_over:
            self._inbox.reopen()
        self._supervisor.renew()

    async def _start(self, line: WatchedLine) -> None:
        self._supervisor = Supervisor(
            line,
            dial=self._dial,
            kept=self._kept,
            pace=Pace(self.clock),
            has_sisters=False,
            failed=self._failed,
        )
        work = self._supervisor.run()
        self._running = asyncio.get_running_loop().create_task(work, name="embed line")
        await self._wait(lambda: self.is_connected or self.error is not None)
        self._was_ready = True
        if self.error is not None:
            raise self.error

    async def _stop(self, line: WatchedLine) -> None:
        if self._supervisor is not None:
            self._supervisor.stop()

    async def _stopped(self) -> None:
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=_STOP_S)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _ended(self, driver: Driver, error: LinkError) -> None:
        super()._ended(driver, error)
        if is_refusal(error) and not self._is_over:
            self.log.warning("not let in", line=self.settings.name, error=str(error))
            # A line that is to try for ever does: a OneBot framework answers 403 while it still has
            # our last link. Source: onebot11 3.4
            if not self._was_ready and self.settings.options.max_failures:
                self._give_up(error)

    async def _kept(self, line: str, account: str) -> bytes | None:
        return self._inbox.kept.get((line, account))

    async def _dial(self, line: Line, target: Dial, enter: Callable[[Link], LinkUser]) -> Link:
        if target.is_request:
            return open_calls(target, enter)
        options = line.options
        try:
            return await dial(
                target,
                enter,
                self._commons,
                trust=Trust(options.ca_file, options.pin_sha256, options.tls_insecure),
                limits=line.limits,
                is_binary=line.is_binary,
            )
        except TrunklineError as error:
            self._last = error
            raise

    def _failed(self, failures: int, why: str) -> None:
        error: TrunklineError = LinkError(f"gave up after {failures} attempts: {why}")
        if self._last is not None and not isinstance(self._last, LinkError):
            error = self._last  # what no further attempt can mend: a file or an address of ours
        elif self.line is not None and self.line.needs_you:
            is_check = why.startswith(_NEEDS_PERSON)
            error = ChallengeRequired(why) if is_check else CredentialsRejected(why)
        error.__cause__ = self._last if error is not self._last else None
        self._give_up(error)


def is_refusal(error: LinkError) -> bool:
    """Whether a link ended because the peer does not accept who we say we are."""
    if isinstance(error, LinkRefused):
        return error.status in _NOT_LET_IN
    return isinstance(error, LinkLost) and error.code == 1008
