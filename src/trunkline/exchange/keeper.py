"""Housekeeping: due turns, expiry, the disk, retention. Small steps, none on the hot path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trunkline.clock import Clock
from trunkline.errors import StoreUnavailable
from trunkline.exchange.contract import DRAFT_LIFE_MS
from trunkline.exchange.intake import Core
from trunkline.exchange.turns import Turns
from trunkline.store.contract import Retention, Store

MIN_FREE_BYTES = 200_000_000
MIN_FREE_SHARE = 0.02
STEP_S = 0.25
EXPIRE_EVERY_S = 5.0
EXPIRE_BATCH = 500
UNAPPROVED = "nobody approved it within 24 h"
RETAIN_EVERY_S = 3600.0
INDEX_ROWS = 4096  # as many in one go, and no fewer while more may come
INDEX_EVERY_S = 60.0  # however few


class Keeper:
    """Runs what is due, in one loop.

    Args:
        total_bytes: size of the data folder's disk.
        on_trouble: told when a step failed for another reason than an absent store.
        scale: how much faster wall time runs than timers (`[dev] clock_scale`).
    """

    def __init__(
        self,
        *,
        core: Core,
        store: Store,
        clock: Clock,
        turns: Turns,
        retention: Retention,
        total_bytes: int,
        on_trouble: Callable[[str, BaseException | None], None],
        scale: float = 1.0,
    ) -> None:
        self._core = core
        self._store = store
        self._clock = clock
        self._turns = turns
        self._retention = retention
        self._min_free = min(
            max(MIN_FREE_BYTES, int(total_bytes * MIN_FREE_SHARE)), total_bytes // 2
        )
        self._on_trouble = on_trouble
        self._expire_at_s = 0.0
        self._retain_every_s = RETAIN_EVERY_S / scale
        self._retain_at_s = clock.monotonic_s() + 60.0 / scale
        self._index_at_s = clock.monotonic_s() + INDEX_EVERY_S
        self._is_stopping = False

    def stop(self) -> None:
        """End `run` after the step under way."""
        self._is_stopping = True

    async def run(self) -> None:
        """Step four times a second."""
        while not self._is_stopping:
            await self.step()
            await asyncio.sleep(STEP_S)

    async def step(self) -> None:
        """Do what is due now."""
        steps = (
            self.look_at_disk, self._turns.look, self._expire, self._core.trim, self._retain,
            self._index,
        )  # fmt: skip
        for keep in steps:
            try:
                done = keep()
                if done is not None:
                    await done
            except StoreUnavailable:
                continue  # the beat tells of it and retries; here it is simply not our time
            except Exception as error:  # noqa: BLE001 - the edge "beat": housekeeping goes on
                self._on_trouble("keep house", error)

    def look_at_disk(self) -> None:
        """Stop acknowledging below the reserve, go on by itself above it (`reliability 2`)."""
        is_low = self._store.free_bytes() < self._min_free
        if is_low != self._core.is_disk_low:
            self._core.is_disk_low = is_low
            self._on_trouble("disk low" if is_low else "disk recovered", None)
            self._core.nudge()

    async def _expire(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._expire_at_s:
            return
        self._expire_at_s = now_s + EXPIRE_EVERY_S
        now_ms = self._clock.now_ms()
        old = await self._store.expire_drafts(
            now_ms - DRAFT_LIFE_MS, UNAPPROVED, now_ms, EXPIRE_BATCH
        )
        if old:
            self._core.expired(old)
        expired = await self._store.expire(now_ms, EXPIRE_BATCH)
        if expired:
            self._core.expired(expired)
        if EXPIRE_BATCH in (len(expired), len(old)):
            self._expire_at_s = now_s  # there is more of it
        if expired or self._core.dispatch.is_overfull:
            self._core.dispatch.review()

    async def _retain(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._retain_at_s:
            return
        removed = await self._store.retain(self._clock.now_ms(), self._retention)
        self._retain_at_s = now_s + (0.0 if removed else self._retain_every_s)

    async def _index(self) -> None:
        """Index what was said, in large batches: the smaller, the dearer each row."""
        now_s = self._clock.monotonic_s()
        at_least = INDEX_ROWS
        if now_s >= self._index_at_s:
            self._index_at_s = now_s + INDEX_EVERY_S
            at_least = 1
        while await self._store.index_history(INDEX_ROWS, at_least=at_least):
            at_least = INDEX_ROWS
