"""Calls that wait for their response, and sends that wait for the call before them.

Implementations run calls side by side, so two messages for one chat would overtake each other: the
second is written when the first is answered, and after 2 s in any case, because some peers never
answer (`guides 4`). A call without a response is given up after its time-out. A response is matched
by its echo, on the same connection only. Source: onebot11 7.1

Bound: 1,000 calls written or waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from trunkline.ids import DeliveryId

MAX_CALLS: Final = 1000
PATIENCE_S: Final = 2.0  # guides 4

Lane = tuple[str, str]  # kind and id of a chat


class Pending(msgspec.Struct, gc=False):
    """One call of ours.

    Args:
        written_s: when it was written; it is given up `timeout_s` later.
    """

    delivery_id: DeliveryId
    lane: Lane
    echo: str
    frame: bytes
    written_s: float = 0.0


class Calls:
    """All calls of one connection.

    Args:
        timeout_s: how long one may go unanswered.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._written: dict[str, Pending] = {}  # by echo, in the order of writing
        # The call that a chat waits for; what waits behind it.
        self._heads: dict[Lane, Pending] = {}
        self._behind: dict[Lane, deque[Pending]] = {}
        self._waiting = 0

    def is_full(self) -> bool:
        """Whether no further call is taken."""
        return len(self._written) + self._waiting >= MAX_CALLS

    def knows(self, echo: str) -> bool:
        """Whether a call with this echo is written and open."""
        return echo in self._written

    def offer(self, call: Pending, now_s: float) -> bool:
        """Take a call; return whether it is to be written now."""
        if call.lane in self._heads:
            self._behind.setdefault(call.lane, deque()).append(call)
            self._waiting += 1
            return False
        call.written_s = now_s  # as `_write`, which nearly every call would make
        self._written[call.echo] = self._heads[call.lane] = call
        return True

    def _write(self, call: Pending, now_s: float) -> None:
        call.written_s = now_s
        self._written[call.echo] = self._heads[call.lane] = call

    def take(self, echo: object) -> Pending | None:
        """Take the call that a response answers; None when there is none."""
        return self._written.pop(echo, None) if type(echo) is str else None

    def next(self, done: Pending, now_s: float) -> Pending | None:
        """Return what is to be written now that a call is over, if anything."""
        if self._heads.get(done.lane) is not done:
            return None  # its chat went on without it
        if not self._waiting:
            del self._heads[done.lane]
            return None
        return self._advance(done.lane, now_s)

    def _advance(self, lane: Lane, now_s: float) -> Pending | None:
        behind = self._behind.get(lane)
        if behind is None:
            del self._heads[lane]
            return None
        call = behind.popleft()
        self._waiting -= 1
        if not behind:
            del self._behind[lane]
        self._write(call, now_s)
        return call

    def unwritten(self) -> list[Pending]:
        """Take what waits behind other calls and was never written."""
        waiting = [call for behind in self._behind.values() for call in behind]
        self._behind, self._waiting = {}, 0
        return waiting

    def impatient(self, now_s: float) -> Iterator[Pending]:
        """Yield what is to be written because nobody answers the call before it."""
        late = [one for one in self._behind if self._heads[one].written_s + PATIENCE_S <= now_s]
        for lane in late:
            call = self._advance(lane, now_s)
            if call is not None:
                yield call

    def overdue(self, now_s: float) -> list[Pending]:
        """Take the calls whose time is over."""
        late: list[Pending] = []
        for call in self._written.values():
            if call.written_s + self._timeout_s > now_s:
                break
            late.append(call)
        for call in late:
            del self._written[call.echo]
        return late

    def wake_at(self) -> float | None:
        """Return when something is due, None = nothing waits."""
        first = next(iter(self._written.values()), None)
        due = [] if first is None else [first.written_s + self._timeout_s]
        due += [self._heads[lane].written_s + PATIENCE_S for lane in self._behind]
        return min(due, default=None)

    def drain(self) -> tuple[list[Pending], list[Pending]]:
        """Take everything: what was written, and what never was."""
        written = list(self._written.values())
        unwritten = self.unwritten()
        self._written, self._heads = {}, {}
        return written, unwritten
