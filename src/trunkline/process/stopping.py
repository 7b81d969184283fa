"""When to stop, and in which order. All of it has 15 s.

No new links and reads → commit and acknowledge what was read → finish sends → close 1001 → slow
peers take what was written → what became of their sends is committed → store closed. What cannot
finish in its time is left as rows.

Source: reliability 6
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Final

import msgspec

from trunkline import failpoints
from trunkline.assistants.contract import Assistant
from trunkline.clock import Clock
from trunkline.exchange.intake import Core
from trunkline.exchange.keeper import Keeper
from trunkline.lines.contract import Link
from trunkline.lines.http import Fetcher
from trunkline.lines.line import Line
from trunkline.lines.supervisor import Supervisor
from trunkline.store.contract import Store
from trunkline.telemetry.logs import Logger
from trunkline.telemetry.watchdog import Watchdog
from trunkline.web.live import Live
from trunkline.web.server import Server

from .tasks import Tasks

BEAT: Final = "beat"  # the task of the exchange, as `tasks` knows it
STOP_S: Final = 10.0
CLOSE_S: Final = 2.5  # a link waits 2 s for the peer's close frame
SLOW_PEERS_S: Final = 10.0  # since the stop began, for who has not read yet what was written
LAST_S: Final = 1.0
SAME_SIGNAL_S: Final = 0.5


class StopRequest:
    """Whether somebody wants this process to end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked = asyncio.Event()
        self._asked_s = 0.0

    def heed_signals(self) -> None:
        """Take SIGTERM and SIGINT as the wish to end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)

    def ask(self) -> None:
        """Begin to stop; asked again, end at once.

        A supervisor may signal the process and its group together: what comes within half a
        second is the same request.
        """
        now_s = self._clock.monotonic_s()
        if not self._asked.is_set():
            self._asked_s = now_s
            self._asked.set()
        elif now_s - self._asked_s > SAME_SIGNAL_S:
            os._exit(1)

    def give_up(self) -> None:
        """Begin to stop because a part of the process is gone; the first signal ends it at once."""
        self._asked.set()

    async def wait(self) -> None:
        """Return when somebody has asked."""
        await self._asked.wait()


class Running(msgspec.Struct, frozen=True):
    """What runs, in the order in which a stop comes to it first."""

    live: Live
    server: Server
    supervisors: Mapping[str, Supervisor]
    lines: Mapping[str, Line]
    core: Core
    keeper: Keeper
    fetcher: Fetcher
    tasks: Tasks
    watchdog: Watchdog
    assistant: Assistant | None
    store: Store


async def stop_in_order(running: Running, clock: Clock, log: Logger) -> None:
    """Stop everything that runs. `/readyz` says so already."""
    # What is left of it for slow peers; the rest of the 15 s is for the store.
    slow_until_s = clock.monotonic_s() + SLOW_PEERS_S
    lines = running.lines.values()
    running.live.close_all()
    await running.server.stop_accepting()
    for supervisor in running.supervisors.values():
        supervisor.stop()
    for line in lines:
        line.halt()
    failpoints.hit("drain.mid")
    running.core.stop()
    running.keeper.stop()
    try:
        async with asyncio.timeout(STOP_S):
            await running.tasks.ended(BEAT)
    except TimeoutError:
        log.warning("stop took too long", left="rows stay queued or uncertain")
    running.core.dispatch.stop()
    for line in lines:
        line.finish()
        line.close_links(1001, "server stops")
    await _links_closed(running.lines, slow_until_s, clock, log)
    await _write_last_words(running.core, log)
    await running.fetcher.stop()
    await running.server.stop(1.0)
    await running.tasks.cancel()
    running.watchdog.stop()
    if running.assistant is not None:
        await running.assistant.close()
    await running.store.close()


async def _write_last_words(core: Core, log: Logger) -> None:
    """Commit what sessions said of their deliveries when their links ended.

    Else the next start would find as under way, and hold as uncertain, what was never written.
    """
    try:
        async with asyncio.timeout(LAST_S):
            await core.run()  # it has been told to stop: it ends once nothing is left
    except TimeoutError:
        log.warning("stop took too long", left="rows stay uncertain")


async def _links_closed(
    lines: Mapping[str, Line], slow_until_s: float, clock: Clock, log: Logger
) -> None:
    """Wait for the closing handshakes, and for slow peers to take what was written."""
    for is_slow in (False, True):
        left_s = slow_until_s - clock.monotonic_s()
        try:
            async with asyncio.timeout(max(0.0, left_s) if is_slow else CLOSE_S):
                for line in lines.values():
                    await line.wait_empty()
        except TimeoutError:
            if not any(link.buffered_bytes for link in _open_links(lines)):
                break
        else:
            return
    for link in _open_links(lines):
        if link.buffered_bytes:
            peer = link.info.head.peer
            log.warning("a peer did not read", peer=peer, unread_bytes=link.buffered_bytes)
        link.abort()


def _open_links(lines: Mapping[str, Line]) -> list[Link]:
    return [
        driver.link for line in lines.values() for driver in line.drivers if driver.link is not None
    ]
