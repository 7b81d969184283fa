"""Asks what was said while we were away: the newest conversations, then the past of some.

One request at a time. What it finds is read as if it had been pushed; the unique keys drop what
came by push too. It ends complete, or it says why not. Source: xianyu 4 (5), 8
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Effects, Transmit
from trunkline.dialects.xianyu.entries import Entry, read_history
from trunkline.dialects.xianyu.frames import (
    FIRST_CURSOR,
    LIST_CHATS,
    LIST_HISTORY,
    Fields,
    Frame,
    ListedChat,
    build_request,
    history_body,
    is_throttled,
    parse_chats,
    parse_history,
    refusal,
    to_int,
)
from trunkline.dialects.xianyu.session import Requests

PURPOSE: Final = "catch-up"
PAGE: Final = 20
MAX_PAGES: Final = 10  # of chats, and of each chat's past
THROTTLED_S: Final = (2.0, 4.0, 6.0)  # Source: xianyu 8


class _Step(msgspec.Struct, frozen=True):
    """A request that is to be made: a page of chats (`chat` is None), or of one chat's past."""

    chat: ListedChat | None
    cursor: int
    page: int = 1


class Found(msgspec.Struct):
    """What one answer brought.

    Args:
        entries: oldest first.
        partners: who is on the other side of a chat.
        is_over: nothing more will come.
        why: of what is missing, "" = nothing is.
    """

    effects: Effects = ()
    entries: list[Entry] = []
    partners: dict[str, str] = {}
    is_over: bool = False
    why: str = ""


class CatchUp:
    """One look at what was missed.

    Args:
        since_ms: messages at or before this time are stored.
        start_s: the first request is not made earlier. Source: xianyu 8 (list chats)
    """

    def __init__(
        self, requests: Requests, clock: Clock, me: str, *, since_ms: int, start_s: float
    ) -> None:
        self.wake_at: float | None = start_s
        self.since_ms = since_ms
        self._requests = requests
        self._clock = clock
        self._me = me
        self._steps = deque([_Step(None, FIRST_CURSOR)])
        self._throttled = 0
        self._why = ""
        self._held: list[Fields] = []  # of one chat, newest first

    def tick(self, timeout_s: float) -> Effects:
        """Make the next request when its time has come."""
        if self.wake_at is None or self._clock.monotonic_s() < self.wake_at:
            return ()
        self.wake_at = None
        step = self._steps[0]
        mid = self._requests.begin(PURPOSE, timeout_s)
        if step.chat is None:
            return (Transmit(build_request(LIST_CHATS, [step.cursor, PAGE], mid)),)
        body = history_body(step.chat.chat, step.cursor, PAGE)
        return (Transmit(build_request(LIST_HISTORY, body, mid)),)

    def take(self, frame: Frame | None) -> Found:
        """Take an answer, or None when there was none."""
        found = Found(entries=[], partners={})
        if frame is not None and is_throttled(frame) and self._throttled < len(THROTTLED_S):
            self.wake_at = self._clock.monotonic_s() + THROTTLED_S[self._throttled]
            self._throttled += 1
            return found
        step = self._steps.popleft()
        if frame is None or refusal(frame) or frame.code not in (0, 200):
            why = "no answer" if frame is None else refusal(frame) or f"code {frame.code}"
            self._why = self._why or f"{'chats' if step.chat is None else 'history'}: {why}"
            self._release(found)
        elif step.chat is None:
            self._take_chats(step, frame, found)
        else:
            self._take_history(step, step.chat, frame, found)
        if self._steps:
            self.wake_at = self._clock.monotonic_s()
        else:
            found.is_over, found.why = True, self._why
        return found

    def _take_chats(self, step: _Step, frame: Frame, found: Found) -> None:
        page = parse_chats(frame.body, self._me)
        chats: list[ListedChat] = list(page.items)
        moved = [chat for chat in chats if chat.last_ms > self.since_ms]
        found.partners = {chat.chat: chat.partner for chat in chats if chat.partner}
        self._steps.extend(_Step(chat, FIRST_CURSOR) for chat in moved)
        if page.next_cursor is not None and len(moved) == len(chats) and chats:
            self._turn(step, page.next_cursor)

    def _take_history(self, step: _Step, chat: ListedChat, frame: Frame, found: Found) -> None:
        page = parse_history(frame.body)
        newer = [
            message
            for message in page.items
            if (to_int(message.get("createAt")) or 0) > self.since_ms
        ]
        self._held.extend(newer)
        is_more = page.next_cursor is not None and len(newer) == len(page.items) and bool(newer)
        if not is_more or not self._turn(step, page.next_cursor or 0):
            self._release(found)

    def _release(self, found: Found) -> None:
        """Give out the past of one chat, oldest first, once all its pages are here."""
        found.entries = [read_history(message, self._me) for message in reversed(self._held)]
        self._held.clear()

    def _turn(self, step: _Step, cursor: int) -> bool:
        """Turn the page; a cursor that repeats is the end. Source: xianyu 8 (history)"""
        if cursor == step.cursor:
            return False
        if step.page >= MAX_PAGES:
            self._why = self._why or "more than can be fetched at once"
            return False
        self._steps.appendleft(_Step(step.chat, cursor, step.page + 1))
        return True
