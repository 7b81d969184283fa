"""Writes a beat: plan, ONE commit; what cannot be committed is halved until the culprit is alone.

One bad row never fails a beat: alone it is stored dead, with its reason. When the store itself is
away, everything not written yet is handed back in its order and nothing of it is acknowledged.
What happens after a commit is `intake`'s: a fault there must never have rows written again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from trunkline.clock import Clock
from trunkline.errors import StoreUnavailable
from trunkline.exchange import echoes
from trunkline.exchange.carrying import Carrying, Loaded
from trunkline.exchange.conversations import Conversations
from trunkline.exchange.dispatch import BEAT, Dispatch
from trunkline.exchange.extras import Extras
from trunkline.exchange.planning import UNSTORABLE, Item, Plan, Planner, dead_row
from trunkline.ids import Ids
from trunkline.model.event import MessageReceived
from trunkline.store.contract import Store


class Part(msgspec.Struct):
    """Some of a beat, committed by itself.

    Args:
        fault: why it could not be stored as it is: it is one thing, and buried now.
        loaded: what carrying lines need, None while nobody carries anything.
    """

    items: list[Item]
    extras: Extras
    fault: Exception | None = None
    loaded: Loaded | None = None


class Done(msgspec.Struct, frozen=True):
    """A committed plan.

    Args:
        repeated: positions of items that were there before.
        unclaimed: deliveries that somebody else took out of the queue meanwhile.
        seconds: that the commit took.
    """

    plan: Plan
    repeated: frozenset[int]
    unclaimed: frozenset[int]
    seconds: float


class Writer:
    """Commits parts in order.

    Args:
        put_back: takes what was not written when the store is away, in order.
        written: told each part right after its commit; must not raise.
        dropped: told extras that cannot be stored in any form, with the reason.
        on_trouble: told of what is our fault.
    """

    def __init__(  # noqa: PLR0913 - six collaborators, and four ways back to who writes
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        planner: Planner,
        carrying: Carrying,
        conversations: Conversations,
        dispatch: Dispatch,
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
        self._conversations = conversations
        self._dispatch = dispatch
        self._put_back = put_back
        self._written = written
        self._dropped = dropped
        self._on_trouble = on_trouble

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
            if not committed.duplicates:
                break
            skip |= {plan.index[row] for row in committed.duplicates}
        for key, state in plan.overlay.items():
            self._conversations.put(key, state)
        if plan.beat.numbers:
            self._carrying.committed(plan.beat.numbers)
        seconds = self._clock.monotonic_s() - started_s
        return Done(plan, skip.union(plan.repeats), committed.unclaimed, seconds)

    async def _load(self, part: Part) -> None:
        """Read the conversations that the cache does not have, in one look-up."""
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
        keys = list(dict.fromkeys(keys))
        if keys:
            for key, state in zip(keys, await self._store.find_conversations(keys), strict=True):
                if state is not None:
                    self._conversations.put(key, state)
        for item in part.items:
            if echoes.is_own(item.event):
                await self._load_written(item)

    async def _load_written(self, item: Item) -> None:
        """Read what an own message may be the echo of; only those that no session explained."""
        state, event = self._conversations.get(item.key), item.event
        if state is not None and isinstance(event, MessageReceived):
            now_ms = self._clock.now_ms()
            item.written = await echoes.find_written(self._store, state.id, event, now_ms)

    def _plan(self, part: Part, skip: frozenset[int]) -> Plan:
        planner, extras = self._planner, part.extras
        plan = planner.plan(part.items, skip, self._clock.now_ms())
        if part.loaded is not None:
            self._carrying.plan(planner, plan, part.items, part.loaded)
        beat = plan.beat
        beat.outcomes = extras.outcomes
        beat.sent_ranges = [(sent.first, sent.last) for sent in extras.ranges]
        beat.claims = [queued.row.id for claim in extras.claims for queued in claim.rows]
        planner.keep(plan, extras.kept)
        for due in extras.turns:
            planner.take_turn(plan, due)
        for mark in extras.marks:
            planner.take_mark(plan, mark)
        for post in extras.posts:
            planner.take_post(plan, post)
        for enquiry in extras.enquiries:
            planner.take_enquiry(plan, enquiry)
        return planner.finish(plan)

    def _bury(self, part: Part, fault: Exception) -> Plan:
        """Plan what cannot be stored as it is: nothing of the peer's own words is left in it."""
        planner = self._planner
        why = f"store: {type(fault).__name__}: {fault}"[:500].encode("utf-8", "replace").decode()
        plan = planner.plan([], frozenset(), self._clock.now_ms())
        for item in part.items:
            state = planner.state_of(plan, (item.line, *UNSTORABLE), None)
            row = dead_row(item, state, self._ids.next(), plan.beat.now_ms, why)
            plan.beat.inbox.append(row)
            plan.index.append(0)
            plan.dead = 1
        bare = msgspec.structs.replace
        plan.beat.outcomes = [bare(one, peer_id="", reason=why) for one in part.extras.outcomes]
        for due in part.extras.turns:
            planner.bury_turn(plan, due, why)
        return planner.finish(plan)
