"""How this process is: loop, disk, store and lines, as `/readyz` and `/metrics` show them."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Sequence

import msgspec

from trunkline.assistants.contract import Assistant
from trunkline.config import Config
from trunkline.exchange.intake import Core
from trunkline.lines.contract import Fleet
from trunkline.store.contract import Store
from trunkline.telemetry.health import Health, Vitals, assess
from trunkline.telemetry.logs import Logger
from trunkline.telemetry.metrics import Metrics
from trunkline.telemetry.watchdog import Stall, Watchdog


class Condition:
    """See the module. The loop is watched from `watchdog.start` on.

    Args:
        notes: what else is weaker than it should be, asked at each probe.
        log: told of a loop that was blocked.
    """

    def __init__(
        self,
        *,
        config: Config,
        core: Core,
        fleet: Fleet,
        store: Store,
        metrics: Metrics,
        log: Logger,
        notes: Sequence[Callable[[], Sequence[str]]],
        assistant: Assistant | None,
    ) -> None:
        self.is_stopping = False
        self.disk_bytes = shutil.disk_usage(config.folder).total
        self.watchdog = Watchdog(self.stalled, metrics.lagged)
        self._config = config
        self._core = core
        self._fleet = fleet
        self._store = store
        self._metrics = metrics
        self._log = log
        self._notes = notes
        self._assistant = assistant

    def health(self) -> Health:
        """Say how this process is."""
        config = self._config
        health = assess(
            Vitals(
                is_stopping=self.is_stopping,
                store_error=self._core.trouble,
                is_disk_low=self._core.is_disk_low,
                is_stalled=self._core.is_stalled,
                failed_lines=[
                    status.name
                    for status in self._fleet.statuses()
                    if status.state.value == "FAILED" or "needs-you" in status.overlays
                ],
                open_lines=config.open_lines,
                synchronous=config.store.synchronous,
                tls=config.server.tls,
                insecure_lines=[
                    name for name, options in config.lines.items() if options.tls_insecure
                ],
            )
        )
        notes = list(health.notes)
        for told in self._notes:
            notes += told()
        if config.dev.clock_scale != 1:
            notes.append(f"dev: the clock runs {config.dev.clock_scale:g} times too fast")
        if self._assistant is not None and self._assistant.trouble:
            notes.append(self._assistant.trouble)
        return msgspec.structs.replace(health, notes=tuple(notes))

    async def metrics_text(self) -> bytes:
        """Return the metrics, with what is counted only when somebody asks."""
        self._metrics.rows(await self._store.counts())
        self._metrics.running(len(asyncio.all_tasks()), threading.active_count())
        self._metrics.disk(self._store.free_bytes(), is_low=self._core.is_disk_low)
        return self._metrics.render()

    def stalled(self, stall: Stall) -> None:
        """Count and tell a time in which the loop did not come round."""
        self._metrics.stalled(stall.seconds, is_ours=stall.is_ours)
        if stall.is_ours:
            self._log.warning(
                "event loop blocked", ms=round(stall.seconds * 1000), stack=stall.stack
            )
