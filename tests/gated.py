"""The real store with a gate before each commit and a fault inside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trunkline.clock import FakeClock
from trunkline.ids import DeliveryId
from trunkline.store.contract import Beat, Committed
from trunkline.store.sqlite import SqliteStore


class GatedStore(SqliteStore):
    """See the module.

    Attributes:
        fault: called with each beat before it is committed; what it raises is the commit's error.
        beats: those that were committed, in order.
        gate: commits wait while it is clear.
        away: every other call of the exchange raises this.
    """

    def __init__(self, folder: Path, clock: FakeClock | None = None) -> None:
        super().__init__(folder, clock=clock or FakeClock())
        self.fault: Callable[[Beat], None] | None = None
        self.beats: list[Beat] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()
        self.away: Exception | None = None

    async def commit(self, beat: Beat) -> Committed:
        self.arrived.set()
        await self.gate.wait()
        if self.fault is not None:
            self.fault(beat)
        committed = await super().commit(beat)
        if committed.is_whole:
            self.beats.append(beat)
        return committed

    async def queued(self, *args: Any) -> Any:
        self._leave()
        return await super().queued(*args)

    async def queued_chats(self, limit: int) -> Any:
        self._leave()
        return await super().queued_chats(limit)

    async def waiting(self, conversation: Any) -> Any:
        self._leave()
        return await super().waiting(conversation)

    async def waiting_of(self, conversations: Any) -> Any:
        self._leave()
        return await super().waiting_of(conversations)

    async def expire_seat(self, *args: Any) -> list[DeliveryId]:
        self._leave()
        return await super().expire_seat(*args)

    def _leave(self) -> None:
        if self.away is not None:
            raise self.away
