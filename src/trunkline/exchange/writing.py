"""Writes a beat: plan, ONE commit; what cannot be committed is halved until the culprit is alone.

One bad row never fails a beat: alone it is stored dead, with its reason. When the store itself is
away, everything not written yet is handed back in its order and nothing of it is acknowledged.
What happens after a commit is `intake`'s: a fault there must never have rows written again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.errors import StoreUnavailable
from trunkline.exchange import echoes
from trunkline.exchange.carrying import Carrying, Loaded
from trunkline.exchange.contract import LineFacts
from trunkline.exchange.conversations import Conversations, Key
from trunkline.exchange.dispatch import BEAT, Dispatch
from trunkline.exchange.extras import Extras
from trunkline.exchange.pacing import Pacing
from trunkline.exchange.planning import Planner
from trunkline.exchange.plans import UNSTORABLE, Item, Plan, dead_row
from trunkline.ids import DeliveryId, Ids
from trunkline.model.delivery import DeliveryState
from trunkline.model.event import MessageReceived
from trunkline.store.contract import OutboxRow, Queued, Store

# The message was not said, and it is certain that it was not. Source: xianyu 14
_UNSAID: Final = (DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.DEAD)


def key_of(queued: Queued) -> Key:
    """Return the chat of a delivery."""
    state = queued.conversation
    return (state.line, state.account, state.kind, state.peer)


class Part(msgspec.Struct):
    """Some of a beat, committed by itself.

    Args:
        fault: why it could not be stored as it is: it is one thing, and buried now.
        loaded: what carrying lines need, None while nobody carries anything.
        unsaid: deliveries that turn out not to have been said.
    """

    items: list[Item]
    extras: Extras
    fault: Exception | None = None
    loaded: Loaded | None = None
    unsaid: list[Queued] = []


class Done(msgspec.Struct, frozen=True):
    """A committed plan.

    Args:
        repeated: positions of items that were there before.
        unclaimed: deliveries that somebody else took out of the queue meanwhile.
        seconds: that the commit took.
        withdrawn: deliveries that a person made superfluous.
    """

    plan: Plan
    repeated: frozenset[int]
    unclaimed: frozenset[int]
    seconds: float
    withdrawn: tuple[DeliveryId, ...] = ()


class Writer:
    """Commits parts in order.

    Args:
        put_back: takes what was not written when the store is away, in order.
        written: told each part right after its commit; must not raise.
        dropped: told extras that cannot be stored in any form, with the reason.
        on_trouble: told of what is our fault.
    """

    def __init__(  # noqa: PLR0913 - seven collaborators, and four ways back to who writes
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        planner: Planner,
        carrying: Carrying,
        facts: Mapping[str, LineFacts],
        conversations: Conversations,
        dispatch: Dispatch,
        pacing: Pacing,
        put_back: Callable[[Sequence[Part]], None],
        written: Callable[[Part, Done], None],
        dropped: Callable[[Extras, Exception], None],
        on_trouble: Callable[[str, BaseException | None], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._planner = planner
        self._carrying = carrying
        self._facts = facts
        self._conversations = conversations
        self._dispatch = dispatch
        self._pacing = pacing
        self._put_back = put_back
        self._written = written
        self._dropped = dropped
        self._on_trouble = on_trouble
        self._are_new = False  # chats that are not in the cache: what the last look found

    async def write(self, items: list[Item], extras: Extras) -> None:
        """Commit all of it, in as many parts as it takes.

        Raises:
            StoreUnavailable: the rest was put back.
        """
        work = deque([Part(items, extras)])
        while work:
            part = work[0]
            try:
                done = await self._commit(part)
            except StoreUnavailable:
                self._put_back(work)
                raise
            except Exception as error:  # the edge "beat": rows that cannot be stored
                if part.items and part.fault is not None:
                    self._put_back(work)
                    raise StoreUnavailable(f"not even a dead row is stored: {error}") from error
                work.popleft()
                work.extendleft(reversed(self._split(part, error)))
            else:
                work.popleft()
                self._written(part, done)

    def _split(self, part: Part, error: Exception) -> list[Part]:
        items, extras = part.items, part.extras
        if items and not extras.is_empty():
            # A kept state must not be durable before the events that came with it.
            kept = Extras(kept=extras.kept)
            parts = [Part([], extras.without_kept()), Part(items, Extras()), Part([], kept)]
            return [one for one in parts if one.items or not one.extras.is_empty()]
        if len(items) > 1:
            half = len(items) // 2
            return [Part(items[:half], Extras()), Part(items[half:], Extras())]
        if items:
            self._on_trouble("store event", error)
            return [Part(items, Extras(), error)]
        singles = extras.singles()
        if len(singles) > 1:
            return [Part([], single) for single in singles]
        if part.fault is None:
            self._on_trouble("store outcome", error)
            # A turn that was asked is asked again when it is due, at most three times; any other
            # turn and an outcome are written bare, so that nothing stands still for them.
            is_asked = any(due.answers for due in extras.turns)
            if extras.outcomes or (extras.turns and not is_asked):
                return [Part([], extras, error)]
        self._dropped(extras, error)
        return []

    async def _commit(self, part: Part) -> Done:
        await self._load(part)
        skip: frozenset[int] = frozenset()
        while True:
            plan = self._bury(part, part.fault) if part.fault else self._plan(part, skip)
            started_s = self._clock.monotonic_s()
            # Sorted: what happens must not depend on how texts are hashed (the simulation).
            seats = sorted(plan.seats)
            for where in seats:
                self._dispatch.hold(where, BEAT)
            try:
                committed = await self._store.commit(plan.beat)
            finally:
                for where in seats:
                    self._dispatch.release(where, BEAT)
            if committed.known:
                self._are_new = False
                for state in committed.known:
                    key = (state.line, state.account, state.kind, state.peer)
                    self._conversations.put(key, state)
                await self._load(part)
                continue
            if not committed.duplicates:
                break
            skip |= {plan.index[row] for row in committed.duplicates}
        self._conversations.put_all(plan.overlay)
        if plan.beat.paces:
            self._pacing.saved(plan.beat.paces)
        if plan.beat.numbers:
            self._carrying.committed(plan.beat.numbers)
        seconds = self._clock.monotonic_s() - started_s
        repeated = skip.union(plan.repeats)
        return Done(plan, repeated, committed.unclaimed, seconds, committed.withdrawn)

    async def _load(self, part: Part) -> None:
        """Read the conversations that the cache does not have, in one look-up.

        While all that were looked up last were new, those of now are taken for new without a look:
        the commit finds out. That spares a second way to the store's thread and back in each beat
        with a new visitor (measured: 6 µs of 105 a message at 50 a beat, and 0.2 ms of latency).
        """
        get = self._conversations.get
        keys = [item.key for item in part.items if get(item.key) is None]
        keys += [post.key for post in part.extras.posts if get(post.key) is None]
        keys += [mark.key for mark in part.extras.marks if get(mark.key) is None]
        keys += [one.key for one in part.extras.enquiries if get(one.key) is None]
        if self._carrying and part.items and part.fault is None:
            part.loaded = await self._carrying.load(part.items)
            keys += [key for key in part.loaded.chats if get(key) is None]
        if part.fault is not None:
            keys += [(item.line, *UNSTORABLE) for item in part.items]
        own = [
            item for item in part.items if type(item.event) is MessageReceived and item.event.is_own
        ]
        keys += [key for item in own for key in self._aliases(item) if get(key) is None]
        # What an own message may be the echo of is never guessed: no commit would find that out.
        if keys and (self._carrying or own or not self._are_new):
            keys = list(dict.fromkeys(keys))
            found = await self._store.find_conversations(keys)
            for key, state in zip(keys, found, strict=True):
                if state is not None:
                    self._conversations.put(key, state)
            self._are_new = not any(found)
        await self._load_unsaid(part)
        for item in own:
            await self._load_written(item)

    def _aliases(self, item: Item) -> list[Key]:
        """Return where else what an own message repeats may have been written to."""
        facts, event = self._facts[item.line], item.event
        state = self._conversations.get(item.key)
        context = event.context or (state.context if state is not None else b"")
        chats = facts.aliases(event.chat, context)
        return [(item.line, chat.account, chat.kind, chat.id) for chat in chats]

    async def _load_unsaid(self, part: Part) -> None:
        """Read what is refused with this part, which is rare, beside what has expired."""
        part.unsaid = list(part.extras.unsaid)
        failed = dict.fromkeys(one.id for one in part.extras.outcomes if one.state in _UNSAID)
        for ident in failed:
            found = await self._store.delivery(ident)
            # Any other state: it was settled before, and what it used up given back.
            if found is not None and found.row.state is DeliveryState.SENDING:
                part.unsaid.append(found)
        for one in part.unsaid:
            if self._conversations.get(key_of(one)) is None:
                self._conversations.put(key_of(one), one.conversation)

    async def _load_written(self, item: Item) -> None:
        """Read what an own message may be the echo of; only those that no session explained."""
        event, now_ms = item.event, self._clock.now_ms()
        if not isinstance(event, MessageReceived):
            return
        found: list[OutboxRow] = []
        for key in (item.key, *self._aliases(item)):
            state = self._conversations.get(key)
            if state is not None:
                found += await echoes.find_written(self._store, state.id, event, now_ms)
        item.written = tuple(sorted(found, key=lambda row: row.id, reverse=True))

    def _plan(self, part: Part, skip: frozenset[int]) -> Plan:
        planner, extras = self._planner, part.extras
        plan = planner.plan(part.items, skip, self._clock.now_ms())
        if part.loaded is not None:
            self._carrying.plan(planner, plan, part.items, part.loaded)
        beat = plan.beat
        beat.outcomes = extras.outcomes
        beat.sent_ranges = [(sent.first, sent.last) for sent in extras.ranges]
        beat.claims = [queued.row.id for claim in extras.claims for queued in claim.rows]
        beat.paces = self._pacing.unsaved()
        planner.keep(plan, extras.kept)
        for one in part.unsaid:
            planner.answering.give_back(plan, key_of(one), one.row.source)
        for due in extras.turns:
            planner.waiting.take_turn(plan, due)
        for mark in extras.marks:
            planner.answering.take_mark(plan, mark)
        for post in extras.posts:
            planner.answering.take_post(plan, post)
        for enquiry in extras.enquiries:
            planner.answering.take_enquiry(plan, enquiry)
        return planner.finish(plan)

    def _bury(self, part: Part, fault: Exception) -> Plan:
        """Plan what cannot be stored as it is: nothing of the peer's own words is left in it."""
        planner = self._planner
        why = f"store: {type(fault).__name__}: {fault}"[:500].encode("utf-8", "replace").decode()
        plan = planner.plan([], frozenset(), self._clock.now_ms())
        for item in part.items:
            state = planner.answering.state_of(plan, (item.line, *UNSTORABLE), None)
            row = dead_row(item, state, self._ids.next(), plan.beat.now_ms, why)
            plan.beat.inbox.append(row)
            plan.index.append(0)
            plan.dead = 1
        bare = msgspec.structs.replace
        plan.beat.outcomes = [bare(one, peer_id="", reason=why) for one in part.extras.outcomes]
        for due in part.extras.turns:
            planner.waiting.bury_turn(plan, due, why)
        return planner.finish(plan)
