"""Looking back: what was missed while we were away, and whether the link has gone deaf.

After a gap the lists are read (`catchup`) once the link is ready, and what helps neither is told as
a gap. On a link over which nothing is pushed for long the same look tells a quiet shop from a deaf
link. Source: xianyu 3, 4, 8
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Effect, Keep, Noticed, Received
from trunkline.dialects.xianyu.catchup import CatchUp, Found
from trunkline.dialects.xianyu.entries import ChatEntry
from trunkline.dialects.xianyu.frames import Frame
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.outgoing import Outgoing
from trunkline.dialects.xianyu.receiving import Receiving
from trunkline.dialects.xianyu.session import Requests, encode_kept
from trunkline.dialects.xianyu.tokens import Account
from trunkline.model.address import Chat
from trunkline.model.event import NoticeReceived

GAP_MS: Final = 5_000  # shorter ones need no look back. Source: xianyu 4 (5)
LIST_WAIT_S: Final = 3.0  # between `/reg` and the first list. Source: xianyu 8


class LookBack:
    """What one link looks through.

    Args:
        receiving: takes what is found.

    Attributes:
        is_deaf: a look has found what had not been delivered: the link must end.
    """

    def __init__(
        self,
        *,
        options: XianyuOptions,
        account: Account,
        requests: Requests,
        outgoing: Outgoing,
        receiving: Receiving,
        clock: Clock,
    ) -> None:
        self.is_deaf = False
        self._options = options
        self._account = account
        self._requests = requests
        self._outgoing = outgoing
        self._receiving = receiving
        self._clock = clock
        self._catch_up: CatchUp | None = None
        self._is_quiet_check = False
        self._is_resumed = False
        self._gap_ms: tuple[int, int] | None = None

    @property
    def is_looking(self) -> bool:
        """Whether a look is not over."""
        return self._catch_up is not None

    @property
    def wake_at(self) -> float | None:
        """When something is to be done."""
        return self._catch_up.wake_at if self._catch_up is not None else None

    def note_gap(self, before_ms: int, now_ms: int) -> None:
        """Note when we were last there; 0 = never."""
        if before_ms and now_ms - before_ms > GAP_MS:
            self._gap_ms = (before_ms, now_ms)

    def note_resumed(self) -> None:
        """Note that the platform was asked to go on from where we were."""
        self._is_resumed = True

    def begin(self, now_s: float) -> None:
        """Look through the gap, if there was one: the link is ready."""
        if self._gap_ms is not None:
            since_ms = self._account.kept.last_ms or self._gap_ms[0]
            self._look(since_ms, now_s + LIST_WAIT_S, is_quiet_check=False)

    def check(self, now_s: float) -> None:
        """Look whether something was not delivered."""
        self._look(self._account.kept.last_ms, now_s, is_quiet_check=True)

    def _look(self, since_ms: int, start_s: float, *, is_quiet_check: bool) -> None:
        self._is_quiet_check = is_quiet_check
        self._catch_up = CatchUp(
            self._requests, self._clock, self._account.me, since_ms=since_ms, start_s=start_s
        )

    def tick(self) -> list[Effect]:
        """Ask for the next list when its time has come."""
        catch_up = self._catch_up
        if catch_up is None:
            return []
        return list(catch_up.tick(self._options.request_timeout_s))

    def take(self, frame: Frame | None) -> list[Effect]:
        """Take the answer to a list."""
        catch_up = self._catch_up
        if catch_up is None:
            return []
        found = catch_up.take(frame)
        effects, missed = self._take_found(found)
        if not found.is_over:
            return [*effects, *self.tick()]
        self._catch_up = None
        if not self._is_quiet_check:
            return effects + self._mark_gap(found.why)
        if missed:
            # Heartbeats are answered and nothing is delivered: the link is deaf. Source: xianyu 3
            effects.append(Noticed("deaf-link", f"{missed} messages had not been delivered"))
            self.is_deaf = True
        return effects

    def _take_found(self, found: Found) -> tuple[list[Effect], int]:
        """Return what is to be done, and how many messages of others had not been delivered."""
        for chat, partner in found.partners.items():
            self._outgoing.know(chat, partner)
        effects: list[Effect] = list(found.effects)
        missed = 0
        for entry in found.entries:
            is_seen = isinstance(entry, ChatEntry) and self._receiving.has_seen(entry.pnm)
            missed += isinstance(entry, ChatEntry) and not is_seen and not entry.is_own
            if not is_seen:
                effects += self._receiving.entry(entry, "history")
        if found.entries:
            effects.append(Keep(encode_kept(self._account.kept)))
        return effects, missed

    def _mark_gap(self, why: str) -> list[Effect]:
        """Say that something may be missing: neither resuming nor looking back helped."""
        if not why or self._gap_ms is None:
            return []
        first, last = self._gap_ms
        me = self._account.me
        data = {"from_ms": first, "to_ms": last, "why": why, "is_resumed": self._is_resumed}
        gap = NoticeReceived(
            Chat(me, "account", me),
            "gap",
            data=msgspec.json.encode(data),
            key=b"gap:%d" % first,
            at_ms=last,
        )
        return [Noticed("gap", why), Received(gap)]
