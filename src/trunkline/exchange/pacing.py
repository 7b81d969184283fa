"""The pace of a line: how far apart its deliveries leave, and how many on one day.

A line with a pace sends nothing on the fast path: every delivery is QUEUED and leaves by a claim,
one at a time, when `free_at_ms` says so. What was used up is written with the claim that uses it,
so a restart neither begins the day anew nor sends two at once. What a session hands back unsent
(LATER) and what was taken out of the queue meanwhile is not counted. Every instant is wall time,
because the day is; a clock that jumps never makes anybody wait longer than `every_s`, or than the
end of the day. Source: boss 6.2, guides 7
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.exchange.contract import LineFacts, Pace, PaceNow
from trunkline.store.contract import PaceRow, Store

DAY_MS: Final = 86_400_000
MAX_ALARM_S: Final = 60.0  # looked at again then: the wall clock may have been set

Where = tuple[str, str]  # line, seat


def day_of(now_ms: int, offset_ms: int) -> int:
    """Return the local day of an instant, counted from 1970."""
    return (now_ms + offset_ms) // DAY_MS


def sent_on(used: PaceRow, day: int) -> int:
    """Return how many left on a day."""
    return used.sent if used.day == day else 0


def free_at_ms(pace: Pace, used: PaceRow, now_ms: int, offset_ms: int) -> int:
    """Return when the next delivery may leave; not after `now_ms` = now.

    Args:
        offset_ms: added to UTC before a day is cut.
    """
    at_ms = now_ms
    if used.last_ms:
        at_ms = max(at_ms, min(used.last_ms, now_ms) + pace.every_ms)
    day = day_of(now_ms, offset_ms)
    if 0 < pace.daily <= sent_on(used, day):
        at_ms = max(at_ms, (day + 1) * DAY_MS - offset_ms)
    return at_ms


def take(used: PaceRow, now_ms: int, offset_ms: int) -> PaceRow:
    """Count one delivery that leaves now."""
    day = day_of(now_ms, offset_ms)
    return PaceRow(used.line, day, sent_on(used, day) + 1, now_ms)


class Pacing:
    """Who of a line with a pace may leave when; one alarm a line.

    Args:
        facts: by line name; a line without `pace` is none of its business.
        offset_ms: where a day begins (`[site] utc_offset_h`).
        later: `(delay_s, call)`, the loop's timer.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        facts: Mapping[str, LineFacts],
        offset_ms: int,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._clock = clock
        self._facts = facts
        self._offset_ms = offset_ms
        self._later = later
        self._used: dict[str, PaceRow] = {}
        self._unsaved: dict[str, None] = {}
        # Seats that wait for their turn, in the order in which they get it.
        self._waiting: dict[str, dict[Where, None]] = {}
        self._alarms: dict[str, float] = {}

    async def learn(self, store: Store) -> None:
        """Read what was used up before the start. Before the first link."""
        self._used = {row.line: row for row in await store.paces()}

    def now_of(self, line: str) -> PaceNow | None:
        """Return how a line's pace stands, None when it has none."""
        facts = self._facts.get(line)
        if facts is None or facts.pace is None:
            return None
        now_ms, used = self._clock.now_ms(), self._used_of(line)
        free_ms = free_at_ms(facts.pace, used, now_ms, self._offset_ms)
        sent = sent_on(used, day_of(now_ms, self._offset_ms))
        return PaceNow(facts.pace, sent, free_ms if free_ms > now_ms else 0)

    def is_free(self, line: str) -> bool:
        """Whether the line's next delivery may leave now."""
        now = self.now_of(line)
        return now is None or not now.free_ms

    def take(self, line: str) -> None:
        """Count one that is about to be claimed: written with the claim, or before it."""
        self._used[line] = take(self._used_of(line), self._clock.now_ms(), self._offset_ms)
        self._unsaved[line] = None

    def give_back(self, line: str) -> None:
        """One that was counted did not leave; the next one still keeps its distance."""
        used = self._used.get(line)
        if used is not None and used.sent:
            self._used[line] = msgspec.structs.replace(used, sent=used.sent - 1)
            self._unsaved[line] = None

    def unsaved(self) -> list[PaceRow]:
        """Return what the next commit must hold."""
        return [self._used[line] for line in self._unsaved]

    def saved(self, rows: Sequence[PaceRow]) -> None:
        """These are committed; what changed meanwhile is not."""
        for row in rows:
            if self._used[row.line] == row:
                self._unsaved.pop(row.line, None)

    def wait(self, where: Where, look: Callable[[Where], None]) -> None:
        """Have a seat looked at when its line may send again, after those that came before it."""
        line = where[0]
        self._waiting.setdefault(line, {})[where] = None
        now = self.now_of(line)
        left_s = (now.free_ms - self._clock.now_ms()) / 1000 if now and now.free_ms else 0.0
        delay_s = min(max(0.05, left_s), MAX_ALARM_S)
        at_s = self._clock.monotonic_s() + delay_s
        if self._alarms.get(line, math.inf) <= at_s:
            return
        self._alarms[line] = at_s

        def ring() -> None:
            if self._alarms.get(line) == at_s:
                del self._alarms[line]
                for seat in self._waiting.pop(line, {}):
                    look(seat)

        self._later(delay_s, ring)

    def _used_of(self, line: str) -> PaceRow:
        return self._used.get(line) or PaceRow(line)


def count_back(pacing: Pacing, lines: Collection[str]) -> None:
    """Give one back for each line named, as often as it is named."""
    for line in lines:
        pacing.give_back(line)
