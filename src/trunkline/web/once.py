"""`Idempotency-Key` for what leaves no single row: the first call's result answers its repeats.

Messages keep their key in the store and need none of this. A broadcast is many rows, so its keys
are remembered here: the last 1,024, until the process ends.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

MAX_KEYS: Final = 1024
T = TypeVar("T")


class Once(Generic[T]):
    """Results by key. A call that failed is forgotten, so that it can be tried again.

    Args:
        limit: how many keys are remembered; the oldest is forgotten first.
    """

    def __init__(self, limit: int = MAX_KEYS) -> None:
        self._limit = limit
        self._results: OrderedDict[str, asyncio.Future[T]] = OrderedDict()

    async def do(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the first call with this key; "" = no key, always work.

        A repeat that comes while the first call is under way waits for it.
        """
        if not key:
            return await work()
        while (earlier := self._results.get(key)) is not None:
            await asyncio.wait({earlier})
            if not earlier.cancelled():
                return earlier.result()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._results[key] = done
        if len(self._results) > self._limit:
            self._results.popitem(last=False)
        try:
            result = await work()
        except BaseException:
            # Repeats that wait begin anew, one of them as the first.
            self._forget(key, done)
            done.cancel()
            raise
        done.set_result(result)
        return result

    def _forget(self, key: str, done: asyncio.Future[T]) -> None:
        if self._results.get(key) is done:
            del self._results[key]
