"""The tasks that this process owns: started here, found by name, cancelled at its end.

The long ones never end by themselves. When one dies all the same, the process has a part that does
not work and says so by ending in order: whoever supervises it starts a whole one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """See the module.

    Args:
        died: told the name of a task that raised, and what.
    """

    def __init__(self, died: Callable[[str, BaseException], None]) -> None:
        self._died = died
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None], name: str = "") -> asyncio.Task[None]:
        """Start a task; it is kept until it ends."""
        task = asyncio.get_running_loop().create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def ended(self, name: str) -> None:
        """Wait until the tasks of this name have ended, whatever way."""
        for task in list(self._tasks):
            if task.get_name() == name:
                await asyncio.wait({task})

    async def cancel(self) -> None:
        """Cancel all that run and wait for them."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._died(task.get_name(), error)
