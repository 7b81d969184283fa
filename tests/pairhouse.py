"""An account that dials and its platform on one link in memory, with side calls answered at once.

`boss_house` and `xianyu_house` are such pairs: they say which sessions, and what stands behind the
platform's.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

from pump import Commit, End, Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Fetch, Session
from trunkline.ids import CountingIds
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text


class PairHouse(ABC):
    """A line and its platform. A subclass sets itself up, then calls `_connect`.

    Args:
        now_ms: what the clock shows at first; None = what it likes.
    """

    pump: Pump

    def __init__(self, now_ms: int | None = None) -> None:
        self.clock = FakeClock(now_ms) if now_ms is not None else FakeClock()
        self.ids = CountingIds()
        self.fetches: list[Fetch] = []

    def _connect(
        self, answer: Callable[[str], str | None], commit: Commit, *, is_text: bool
    ) -> None:
        """Put both sessions on a link.

        Args:
            answer: the words with which a message is answered; None = none.
            commit, is_text: as of `Pump`.
        """
        self.pump = Pump(
            self.new_bot(),
            self.new_platform(),
            clock=self.clock,
            commit=commit,
            answer=lambda event: _answers(event, answer),
            find=self._find,
            is_text=is_text,
        )

    @abstractmethod
    def new_bot(self) -> Session:
        """Make the account's session."""

    @abstractmethod
    def new_platform(self) -> Session:
        """Make the platform's session."""

    @abstractmethod
    def http(self, request: Fetch) -> Any:
        """Answer a side call as the platform does."""

    @property
    def bot(self) -> End:
        return self.pump.bot

    @property
    def platform(self) -> End:
        assert self.pump.platform is not None
        return self.pump.platform

    @property
    def kept(self) -> dict[str, Any]:
        assert self.bot.kept is not None
        found: dict[str, Any] = json.loads(self.bot.kept)
        return found

    def begin(self) -> None:
        """Begin both; the bot may make side calls before it dials."""
        for end in self.pump.ends:
            self.pump._do(end, end.session.begin(end.kept))  # as `start` does

    def start(self) -> Self:
        """Connect, and be there."""
        self.begin()
        self.pump.link()
        self.pump.run()
        return self

    def again(self, *, is_run: bool = True) -> None:
        """Connect anew, with fresh sessions and what was kept."""
        self.bot.orphans = 0
        self.pump.replace(self.platform, self.new_platform())
        self.pump.replace(self.bot, self.new_bot())
        self.pump.link()
        if is_run:
            self.pump.run()

    def live(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time pass, with frames carried in between."""
        for _ in range(round(seconds / step_s)):
            self.pump.advance(step_s)
            self.pump.run()

    @property
    def words(self) -> list[str]:
        """What was received and is a message."""
        return [plain_text(e.segments) for e in self.bot.inbox if isinstance(e, MessageReceived)]

    def _find(self, request: Any) -> Any:
        assert isinstance(request, Fetch)
        self.fetches.append(request)
        return self.http(request)


def _answers(event: Any, answer: Callable[[str], str | None]) -> list[Any]:
    if not isinstance(event, MessageReceived) or event.is_own:
        return []
    words = answer(plain_text(event.segments))
    return [text(words)] if words is not None else []
