"""Work that a callback began: so much at once and no more, in order where the order counts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Work:
    """A bounded set of tasks; whoever begins one more waits, and with it the link.

    Args:
        limit: tasks at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}

    async def begin(self, work: Coroutine[Any, Any, None], key: str = "") -> None:
        """Begin when there is room.

        Args:
            work: raises nothing.
            key: work of one key is done one after another; "" = at once.
        """
        while len(self._tasks) >= self._limit:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(_after(self._last.get(key), work))
        if key:
            self._last[key] = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, key))

    async def stop(self) -> None:
        """Cancel what is not done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None], key: str) -> None:
        self._tasks.discard(task)
        if self._last.get(key) is task:
            del self._last[key]


async def _after(before: asyncio.Task[None] | None, work: Coroutine[Any, Any, None]) -> None:
    try:
        if before is not None:
            await asyncio.wait({before})
        await work
    finally:
        work.close()  # cancelled before its turn, it would complain that nobody awaited it
