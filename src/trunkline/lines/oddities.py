"""The last oddities of a line, for people: what it was, how often, when, and how large.

A body is never among them: sessions notice sizes, hashes and reasons. Bounded by number and by age;
the same oddity again is counted and takes no second place, so a peer that floods one kind pushes
nothing else out. They are forgotten when the process ends. Source: xianyu 12
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from trunkline.clock import Clock
from trunkline.dialects.contract import Noticed
from trunkline.lines.contract import OddityStatus

MAX_ODDITIES: Final = 200
KEPT_MS: Final = 86_400_000
MAX_DETAIL_CHARS: Final = 200


class Oddities:
    """What was odd at one line.

    Args:
        mask: takes secrets out of a text.
    """

    def __init__(self, clock: Clock, mask: Callable[[str], str]) -> None:
        self._clock = clock
        self._mask = mask
        # (kind, detail) → (how often, when last); the oldest first.
        self._seen: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    def note(self, notice: Noticed) -> None:
        """Keep an oddity."""
        self._forget_old()
        key = (notice.kind, notice.detail[:MAX_DETAIL_CHARS])
        times, _ = self._seen.pop(key, (0, 0))
        self._seen[key] = (times + 1, self._clock.now_ms())
        if len(self._seen) > MAX_ODDITIES:
            self._seen.popitem(last=False)

    def shown(self) -> tuple[OddityStatus, ...]:
        """Return them as people see them, newest first."""
        self._forget_old()
        return tuple(
            OddityStatus(kind, self._mask(detail), times, last_ms)
            for (kind, detail), (times, last_ms) in reversed(self._seen.items())
        )

    def _forget_old(self) -> None:
        limit_ms = self._clock.now_ms() - KEPT_MS
        while self._seen:
            key, (_, last_ms) = next(iter(self._seen.items()))
            if last_ms > limit_ms:
                return
            del self._seen[key]
