"""The pace of an embedded line: `every_s` and `daily`, by the arithmetic of the exchange.

Who sends waits for a turn, first come first served. There is no store: what was used up is known
for as long as the line is open, and a program that starts anew begins the day anew.
Source: boss 6.2, guides 7
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.options import LineOptions
from trunkline.exchange.contract import Pace
from trunkline.exchange.pacing import free_at_ms, take
from trunkline.store.contract import PaceRow

OFFSET_MS: Final = 8 * 3_600_000  # a day begins in China, as `[site] utc_offset_h` has it


class Turns:
    """Who may send when.

    Args:
        options: `every_s` and `daily`; without either every turn is at once.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        options: LineOptions,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pace = Pace(round(options.every_s * 1000), options.daily)
        self._is_paced = self._pace != Pace()
        self._used = PaceRow("")
        self._clock = clock
        self._sleep = sleep
        self._lane = asyncio.Lock()  # gives way in the order in which it was asked for

    async def take(self, timeout_s: float) -> float:
        """Wait for a turn and count it.

        Returns:
            0.0, or the seconds until the next turn when none comes within `timeout_s`: then nothing
            was counted and nothing may be sent.
        """
        if not self._is_paced:
            return 0.0
        end_s = self._clock.monotonic_s() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._lane.acquire()
        except TimeoutError:
            return max(self._left_s(), self._pace.every_ms / 1000)
        try:
            # Again after each sleep: the wall clock may have been set, and the day is its day.
            while (left_s := self._left_s()) > 0:
                if left_s > end_s - self._clock.monotonic_s():
                    return left_s
                await self._sleep(left_s)
            self._used = take(self._used, self._clock.now_ms(), OFFSET_MS)
        finally:
            self._lane.release()
        return 0.0

    def give_back(self) -> None:
        """The peer never got what a turn was taken for; the next one still keeps its distance."""
        if self._used.sent:
            self._used = msgspec.structs.replace(self._used, sent=self._used.sent - 1)

    def _left_s(self) -> float:
        now_ms = self._clock.now_ms()
        return max(0, free_at_ms(self._pace, self._used, now_ms, OFFSET_MS) - now_ms) / 1000
