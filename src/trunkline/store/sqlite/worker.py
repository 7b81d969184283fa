"""A thread that owns a connection and does one call after the other for the event loop.

One future per call and no pool: a call costs a put, a wake-up and a `call_soon_threadsafe`.
Bound: `MAX_CALLS` calls wait; a further one is refused with `StoreUnavailable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, TypeVar

from trunkline.errors import StoreUnavailable

from .connection import guarded

T = TypeVar("T")

MAX_CALLS: Final = 1024

_Job: TypeAlias = "tuple[Callable[[], object], asyncio.Future[object], asyncio.AbstractEventLoop]"


class Caller(Protocol):
    """Who does the store's calls: a thread, or the simulation in place of one."""

    def call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have `work` done after what was asked before."""
        ...

    async def stop(self, last: Callable[[], None]) -> None:
        """Do what was asked before, then `last`, and take no more."""
        ...


class Worker:
    """One thread.

    Args:
        name: of the thread, for `top` and tracebacks.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._is_open = True
        # A daemon: a process that was not stopped properly must not hang at its end.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have the thread do `work`; the future brings its result or its error of the house.

        Work that was begun is done to its end, also when nobody awaits the future any more.

        Raises:
            StoreUnavailable: the store is closed, or too many calls wait.
        """
        if not self._is_open:
            raise StoreUnavailable("the store is closed")
        if self._waiting >= MAX_CALLS:
            raise StoreUnavailable("too many calls wait for the store")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting += 1
        self._jobs.put((work, future, loop))  # type: ignore[arg-type]  # T is erased in the queue
        return future

    async def stop(self, last: Callable[[], None]) -> None:
        """Do what was asked before, then `last`, and end the thread."""
        if not self._is_open:
            return
        done = self.call(last)
        self._is_open = False
        self._jobs.put(None)
        try:
            await done
        finally:
            self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future, loop = job
            result: object = None
            failure: BaseException | None = None
            try:
                result = guarded(work)
            except BaseException as error:  # noqa: BLE001 - carried to who awaits the future
                failure = error
            # A loop that is closed already has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._settle, future, result, failure)
            del job, work, future, result, failure  # hold nothing while waiting

    def _settle(
        self, future: asyncio.Future[object], result: object, failure: BaseException | None
    ) -> None:
        self._waiting -= 1
        if future.done():  # cancelled meanwhile
            return
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)
