"""Links are told what happened elsewhere: on another link of their seat, in a chat they watch.

After a commit, once per beat, at most once per thing, and nothing at all while nobody shares a seat
or watches. Bound: 64 chats watched by one link; a link that is gone is forgotten when it is met.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from trunkline.clock import Clock
from trunkline.dialects.contract import DoWatch
from trunkline.errors import RemoteProtocolError
from trunkline.exchange.contract import LineFacts, Origin, Router
from trunkline.exchange.conversations import Key, chat_of, key_of
from trunkline.exchange.items import from_event, from_said, is_person
from trunkline.exchange.plans import Item, Plan
from trunkline.ids import id_at, question_id
from trunkline.model.address import Chat
from trunkline.model.event import Fleeting
from trunkline.model.history import Told
from trunkline.store.contract import InboxRow, InboxState, OutboxRow

WATCHED_CHATS: Final = 64
LOOKED_CHATS: Final = 10_000


class Telling:
    """Who watches what, and who is told."""

    def __init__(self, *, clock: Clock, facts: Mapping[str, LineFacts], router: Router) -> None:
        self._clock = clock
        self._facts = facts
        self._router = router
        self._watched: dict[Key, dict[Origin, None]] = {}
        self._watching: dict[Origin, set[Key]] = {}
        # Up to which row id people have looked at a chat; the longest untouched is forgotten.
        self._looked: OrderedDict[Key, int] = OrderedDict()

    def watch(self, origin: Origin, request: DoWatch) -> object:
        """Tell a link from now on what happens in a chat, or no longer; return the answer."""
        key = key_of(origin.line, request.chat)
        watching = self._watching.get(origin)
        if not request.is_on:
            self.look(key)
            self._unwatch(origin, key)
            return True
        if watching is None:
            for gone in [one for one in self._watching if one.seat is None]:
                self.leave(gone)
            watching = self._watching[origin] = set()
        if key not in watching and len(watching) >= WATCHED_CHATS:
            return RemoteProtocolError(f"a link watches at most {WATCHED_CHATS} chats")
        watching.add(key)
        self._watched.setdefault(key, {})[origin] = None
        self.look(key)
        return True

    def _unwatch(self, origin: Origin, key: Key) -> None:
        watchers = self._watched.get(key)
        if watchers is not None:
            watchers.pop(origin, None)
            if not watchers:
                del self._watched[key]
        watching = self._watching.get(origin)
        if watching is not None:
            watching.discard(key)
            if not watching:
                del self._watching[origin]

    def leave(self, origin: Origin) -> None:
        """A link is gone: it watches nothing any more."""
        for key in sorted(self._watching.get(origin, ())):
            self.look(key)
            self._unwatch(origin, key)

    def look(self, key: Key) -> None:
        """A person has seen what is there now."""
        self._looked[key] = id_at(self._clock.now_ms() + 1)
        self._looked.move_to_end(key)
        if len(self._looked) > LOOKED_CHATS:
            self._looked.popitem(last=False)

    def pass_on(self, origin: Origin, event: Fleeting) -> None:
        """Show typing and the like to the other links of the chat and to who watches it."""
        key = key_of(origin.line, event.chat)
        told = self._tell(key, event.chat, event, self._others(key, origin))
        for one in told:
            one.flush()

    def committed(self, items: Sequence[Item], plan: Plan) -> None:
        """Tell what a beat held: once per beat, and nothing when nobody shares or watches."""
        if not (self._watched or self._router.shared or plan.told):
            return
        touched: dict[Origin, None] = {}
        contexts: dict[int, bytes] = {}
        for position, row in zip(plan.index, plan.beat.inbox, strict=False):
            item = items[position]
            contexts[row.id] = item.event.context
            told = from_event(row.id, row.at_ms, item.event)
            if told is None or row.state is InboxState.DEAD:
                continue
            others = self._others(item.key, item.origin)
            if others:
                touched.update(self._tell(item.key, item.event.chat, told, others))
        for said, state, segments in plan.said:
            key = (state.line, state.account, state.kind, state.peer)
            watchers = self._watched.get(key)
            if watchers:
                context = contexts.get(question_id(said.id) or 0, b"")
                shown = from_said(said, segments, context)
                touched.update(self._tell(key, state.chat, shown, list(watchers)))
        for key, changed in plan.told:
            touched.update(self._tell(key, changed.chat, changed, self._others(key, None)))
        for one in touched:
            one.flush()

    def _others(self, key: Key, origin: Origin | None) -> list[Origin]:
        """Return the links that are told: those on the chat's seat and those that watch it."""
        where = (key[0], self._facts[key[0]].seat_of(chat_of(key)))
        others: dict[Origin, None] = {}
        seat = origin.seat if origin is not None else None
        # Alone on the chat's own seat, a link has no others; a watcher who types has.
        if seat is None or seat.key != where[1] or where in self._router.shared:
            others.update(dict.fromkeys(self._router.find(*where)))
        others.update(self._watched.get(key, {}))
        if origin is not None:
            others.pop(origin, None)
        return list(others)

    def _tell(
        self, key: Key, chat: Chat, told: Told, others: Sequence[Origin]
    ) -> dict[Origin, None]:
        touched: dict[Origin, None] = {}
        for one in others:
            if one.seat is None:
                self._unwatch(one, key)
                continue
            one.tell(chat, told)
            touched[one] = None
        return touched

    def unread(self, key: Key, rows: Sequence[InboxRow | OutboxRow]) -> int:
        """Count what came since a person of ours spoke or looked; the newest rows only."""
        if key in self._watched:
            return 0
        looked = self._looked.get(key, 0)
        count = 0
        for row in rows:
            if row.id <= looked:
                break
            if isinstance(row, InboxRow):
                count += 1
            elif is_person(row.source):
                break
        return count
