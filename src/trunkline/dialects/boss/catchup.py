"""Asks the site what was said while we were away: a fallback for what the gateway delivers itself.

One call at a time: who the contacts are, what their last messages are, and the past of those
conversations that moved. What it finds is read as if it had been pushed; the unique keys drop what
came by push too. An empty answer proves nothing: one account never got another. Source: boss 6.8
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.boss import frames, http
from trunkline.dialects.boss.account import Account
from trunkline.dialects.boss.contacts import Contacts
from trunkline.dialects.boss.frames import ChatMessage
from trunkline.dialects.boss.http import Fate, Fields
from trunkline.dialects.contract import Ask, Effect, Fetch, Fetched
from trunkline.errors import TrunklineError

TAG: Final = "catch-up"
WAIT_S: Final = 3.0  # between the presence and the first call: pushes come first
GAP_S: Final = 0.5  # between two calls
SKEW_MS: Final = 600_000  # two clocks are never the same
UNCLEAR_MS: Final = 120_000  # … within which the exchange takes an own message for a delivery
MAX_CONTACTS: Final = 40
MAX_CHATS: Final = 20
MAX_PAGES: Final = 5  # of each chat's past


class _Call(msgspec.Struct, frozen=True):
    """A call that is to be made: `ids`, `contacts`, `last`, or `past` of somebody."""

    what: str
    uids: tuple[int, ...] = ()
    source: int = 0
    before: int = 0
    page: int = 1


class Found(msgspec.Struct):
    """What one answer brought.

    Args:
        messages: oldest first.
    """

    messages: Sequence[ChatMessage] = ()


class CatchUp:
    """One look at what was missed.

    Args:
        since_mid: messages up to this server id are stored.
        since_ms: what was said long before we left is none of it, whatever its id.
        doubts: messages of ours with an unknown fate: our id → (uid, source) of the chat.
        has_gap: something may have been missed; else only the doubts are looked into.
    """

    def __init__(
        self,
        account: Account,
        contacts: Contacts,
        clock: Clock,
        *,
        since_mid: int,
        since_ms: int = 0,
        doubts: Mapping[int, tuple[int, int]] = MappingProxyType({}),
        has_gap: bool = True,
    ) -> None:
        self._account = account
        self._contacts = contacts
        self._clock = clock
        self._since_mid = since_mid
        self._since_ms = since_ms - SKEW_MS
        self.doubts = doubts
        self._calls: deque[_Call] = deque()
        self._has_gap = has_gap
        if has_gap:
            self._calls.append(_Call("ids"))
        else:
            self._ask_contacts([])
        self._unclear: dict[tuple[int, int], int] = {}  # chat → since when, see `look_into`
        self._chats = 0
        self._held: list[Fields] = []  # of one chat, newest first
        self.why = ""  # of what is missing, "" = nothing is known to be
        self.wake_at: float | None = clock.monotonic_s() + WAIT_S

    def look_into(self, chats: Mapping[tuple[int, int], int]) -> None:
        """Look for messages of ours, too, in chats of which the store says that one is unclear.

        Args:
            chats: (uid, source) → when the oldest unclear message was decided.
        """
        fresh = {place: at_ms for place, at_ms in chats.items() if place not in self._unclear}
        asked = set(self.doubts.values())
        self._unclear |= fresh
        if not fresh:
            return
        self._calls.append(_Call("contacts", tuple(dict.fromkeys(uid for uid, _ in fresh))))
        self._calls.extend(
            _Call("past", (uid,), source) for uid, source in fresh if (uid, source) not in asked
        )

    def tick(self) -> list[Effect]:
        """Make the next call when its time has come."""
        if self.wake_at is None or self._clock.monotonic_s() < self.wake_at:
            return []
        self.wake_at = None
        while self._calls:
            call = self._build(self._calls[0])
            if call is not None:
                return [Ask((TAG, None), call)]
            self._calls.popleft()  # about somebody whom the site does not know
        return []

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to ask."""
        return not self._calls

    def _build(self, call: _Call) -> Fetch | None:
        caller = self._account.caller
        ids = ",".join(map(str, call.uids))
        match call.what:
            case "ids":
                return caller.get(http.CONTACT_IDS, labelId=0)
            case "contacts":
                return caller.get(http.CONTACTS, friendIds=ids)
            case "last":
                return caller.get(http.LAST_MESSAGES, friendIds=ids)
            case _:
                contact = self._contacts.get(call.uids[0], call.source)
                if contact is None or not contact.key:
                    return None  # a call about nobody
                return http.history_call(caller, contact.key, contact.security_id, call.before)

    def take(self, answer: Fetched | TrunklineError) -> Found:
        """Take an answer."""
        call = self._calls.popleft()
        told = http.parse_answer(answer)
        found = Found()
        if told.fate is not Fate.OK:
            self.why = self.why or f"{call.what}: {told.detail}"
            self._release(found)
        elif call.what == "ids":
            self._take_ids(told)
        elif call.what == "contacts":
            self._contacts.know(http.parse_contacts(told))
        elif call.what == "last":
            self._take_last(told)
        else:
            self._take_past(call, told, found)
        if self._calls:
            self.wake_at = self._clock.monotonic_s() + GAP_S
        return found

    def _take_ids(self, told: http.Answer) -> None:
        uids = http.parse_contact_ids(told)[:MAX_CONTACTS]
        self._ask_contacts(uids)
        for at in range(0, len(uids), http.LAST_AT_ONCE):
            self._calls.append(_Call("last", tuple(uids[at : at + http.LAST_AT_ONCE])))

    def _ask_contacts(self, uids: list[int]) -> None:
        """Ask who these are, and for the chats in which something is in doubt."""
        chats = dict.fromkeys(self.doubts.values())
        everybody = dict.fromkeys([*uids, *(uid for uid, _ in chats)])
        if everybody:
            self._calls.append(_Call("contacts", tuple(everybody)))
        self._calls.extend(_Call("past", (uid,), source) for uid, source in chats)

    def _take_last(self, told: http.Answer) -> None:
        for uid, mid in http.parse_last_messages(told).items():
            # 0 = the answer does not say: then the past must.
            is_moved = mid == 0 or mid > self._since_mid
            if is_moved and self._chats < MAX_CHATS and (uid, 0) not in self.doubts.values():
                self._chats += 1
                self._calls.append(_Call("past", (uid,)))

    def _take_past(self, call: _Call, told: http.Answer, found: Found) -> None:
        page = http.parse_history(told)
        newer = [
            one
            for one in page.messages
            if self._has_gap
            and http.to_int(one.get("mid")) > self._since_mid
            and http.to_int(one.get("time")) >= self._since_ms
        ]
        since_ms = self._unclear.get((call.uids[0], call.source), 0) - UNCLEAR_MS
        ours = [
            one
            for one in page.messages
            if http.to_int(one.get("cmid")) in self.doubts
            or (since_ms > 0 and self._is_own(one) and http.to_int(one.get("time")) >= since_ms)
        ]
        wanted = [*newer, *(one for one in ours if one not in newer)]
        wanted.sort(key=lambda one: http.to_int(one.get("mid")), reverse=True)
        self._held.extend(wanted)
        is_more = bool(newer) and len(newer) == len(page.messages) and page.before > 0
        if is_more and page.before != call.before and call.page < MAX_PAGES:
            self._calls.appendleft(
                _Call(call.what, call.uids, call.source, page.before, call.page + 1)
            )
            return
        if is_more and call.page >= MAX_PAGES:
            self.why = self.why or "more than can be fetched at once"
        self._release(found)

    def _is_own(self, message: Fields) -> bool:
        return http.to_int(http.fields_of(message.get("from")).get("uid")) == self._account.me

    def _release(self, found: Found) -> None:
        """Give out the past of one chat, oldest first, once all its pages are here."""
        found.messages = [frames.read_json(one) for one in reversed(self._held)]
        self._held.clear()
