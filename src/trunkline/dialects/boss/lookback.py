"""Looking back: what was missed while we were away, and what became of messages left unclear.

After a gap, and when something of ours has no known fate, the history is read (`catchup`) once the
link is ready. Each doubt is looked into once; what the site cannot be asked for is told as a gap.
Source: boss 6.8, 7
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.boss.account import Account
from trunkline.dialects.boss.catchup import CatchUp
from trunkline.dialects.boss.contacts import Contacts
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.receiving import Receiving
from trunkline.dialects.boss.session import encode_kept
from trunkline.dialects.boss.translate import USER, parse_chat_id
from trunkline.dialects.contract import (
    Ask,
    Effect,
    Fetched,
    FindUnclear,
    Keep,
    Noticed,
    Received,
    UnclearChat,
)
from trunkline.errors import TrunklineError
from trunkline.model.event import NoticeReceived

GAP_MS: Final = 5_000  # shorter ones need no look back
UNCLEAR: Final = "unclear"


class LookBack:
    """What one link looks through.

    Args:
        receiving: takes what is found.
    """

    def __init__(
        self,
        options: BossOptions,
        account: Account,
        contacts: Contacts,
        receiving: Receiving,
        clock: Clock,
    ) -> None:
        self._account = account
        self._contacts = contacts
        self._receiving = receiving
        self._clock = clock
        # No source has the calls of the recruiter's side. Source: boss 7
        self._is_possible = options.history and options.side == "geek"
        self._catch_up: CatchUp | None = None
        self._gap_ms: tuple[int, int] | None = None
        self._looked_ms = 0  # when was asked what is unclear, while that is looked into

    @property
    def wake_at(self) -> float | None:
        """When something is to be done."""
        return self._catch_up.wake_at if self._catch_up is not None else None

    def begin(self, now_ms: int) -> list[Effect]:
        """Look through a gap and into doubts, and ask the store for more: the link is ready."""
        if not self._is_possible:
            return []
        kept = self._account.kept
        if kept.alive_ms and now_ms - kept.alive_ms > GAP_MS:
            self._gap_ms = (kept.alive_ms, now_ms)
            self._catch_up = self._new_catch_up(has_gap=True)
        elif kept.doubts:
            self._catch_up = self._new_catch_up(has_gap=False)
        return [Ask((UNCLEAR, now_ms), FindUnclear(kept.looked_ms))]

    def _new_catch_up(self, *, has_gap: bool) -> CatchUp:
        kept = self._account.kept
        doubts = {int(cmid): parse_chat_id(chat) for cmid, chat in kept.doubts.items()}
        return CatchUp(
            self._account, self._contacts, self._clock,
            since_mid=kept.mid, since_ms=self._gap_ms[0] if self._gap_ms is not None else 0,
            doubts=doubts, has_gap=has_gap,
        )  # fmt: skip

    def take_unclear(self, now_ms: int, answer: Any | TrunklineError) -> list[Effect]:
        """Look into chats in which an earlier run of this process left something unclear."""
        if isinstance(answer, TrunklineError):
            return []  # asked again over the next link
        told: Sequence[UnclearChat] = answer
        chats = {parse_chat_id(one.chat.id): one.at_ms for one in told if one.chat.kind == USER}
        self._looked_ms = now_ms
        if not chats:
            self._account.note(looked_ms=now_ms)
            return []
        if self._catch_up is None:
            self._catch_up = self._new_catch_up(has_gap=False)
        self._catch_up.look_into(chats)
        return []

    def work(self) -> list[Effect]:
        """Do what is due; doubts that have come up since are looked into too."""
        if self._catch_up is None and self._account.kept.doubts and self._is_possible:
            self._catch_up = self._new_catch_up(has_gap=False)
        catch_up = self._catch_up
        if catch_up is None:
            return []
        effects = catch_up.tick()
        return effects + (self._looked_back(catch_up) if catch_up.is_over else [])

    def take(self, answer: Fetched | TrunklineError) -> list[Effect]:
        """Take the answer to a question of the history."""
        catch_up = self._catch_up
        if catch_up is None:
            return []
        effects = self._receiving.past(catch_up.take(answer).messages)
        return effects + (self._looked_back(catch_up) if catch_up.is_over else [])

    def _looked_back(self, catch_up: CatchUp) -> list[Effect]:
        """Say that something may be missing when the site could not be asked."""
        account = self._account
        self._catch_up = None
        # Once is enough: an empty history would be asked for ever. Source: boss 6.8
        asked = {str(cmid) for cmid in catch_up.doubts}
        rest = {cmid: chat for cmid, chat in account.kept.doubts.items() if cmid not in asked}
        account.note(doubts=rest)
        if self._looked_ms and not catch_up.why:
            account.note(looked_ms=self._looked_ms)
        kept: list[Effect] = [Keep(encode_kept(account.kept))] if asked or self._looked_ms else []
        self._looked_ms = 0
        gap_ms, self._gap_ms = self._gap_ms, None
        if not catch_up.why or gap_ms is None:
            return kept
        first, last = gap_ms
        data = msgspec.json.encode({"from_ms": first, "to_ms": last, "why": catch_up.why})
        key = b"gap:%d" % first
        event = NoticeReceived(account.own_chat, "gap", data=data, key=key, at_ms=last)
        return [*kept, Noticed("gap", catch_up.why[:200]), Received(event)]
