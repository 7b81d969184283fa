"""The timers of one process, which do not outlive it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """See the module; each timer belongs to something that lives."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handles: dict[asyncio.TimerHandle, None] = {}
        self._is_dead = False

    def at(self, at_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call at a monotonic second, while the process lives."""

        def ring() -> None:
            self._handles.pop(handle, None)
            if not self._is_dead:
                call()

        handle = self._loop.call_at(at_s, ring)
        self._handles[handle] = None
        return handle

    def later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call after some seconds, while the process lives."""
        return self.at(self._loop.time() + delay_s, call)

    def set_now(self) -> int:
        """Return how many are set."""
        self._handles = {one: None for one in self._handles if not one.cancelled()}
        return len(self._handles)

    def die(self) -> None:
        """No timer of this process rings any more."""
        self._is_dead = True
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
