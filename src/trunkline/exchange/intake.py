"""The beat: gather, decide, ONE commit, acknowledge, send.

All links push into one queue. A beat takes what is there (no timer), decides on it, commits once,
and only then tells the links: receipts first, then deliveries, one write per link. While a commit
is in flight the next group grows. What cannot be committed because the store is away is put back
and nothing is acknowledged; links stop reading when their own bounds are reached.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from trunkline import failpoints
from trunkline.clock import Clock
from trunkline.dialects.contract import Receipt, Seat, Settled
from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.exchange.contract import LineFacts, Meter, Origin, Router
from trunkline.exchange.conversations import Conversations
from trunkline.exchange.dispatch import Dispatch
from trunkline.exchange.extras import Claim, DueTurn, Extras, Post, SentRange
from trunkline.exchange.planning import GONE, Decide, Item, Plan, Planner, dead_row
from trunkline.exchange.sending import Sender, acknowledge
from trunkline.exchange.watching import Watchers
from trunkline.ids import Ids
from trunkline.model.event import DurableEvent, Fleeting
from trunkline.store.contract import Outcome, Queued, Store

BEAT_EVENTS = 256
BEAT_BYTES = 4 << 20
QUEUE_EVENTS = 1024
OUTCOME_DELAY_S = 0.1
_GROWTH_POLLS = 2
_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)


class Outside(msgspec.Struct, frozen=True):
    """What the exchange takes as arguments: the simulation needs that seam.

    Args:
        facts: by line name, owned by the lines.
        meter: counts once per beat.
        on_trouble: told `action` and the error when something failed that is our fault.
        later: `(delay_s, call)`; the loop's timer.
        spawn: starts an owned background task.
    """

    clock: Clock
    ids: Ids
    store: Store
    router: Router
    facts: Mapping[str, LineFacts]
    meter: Meter
    on_trouble: Callable[[str, BaseException | None], None]
    later: Callable[[float, Callable[[], None]], object]
    spawn: Callable[[Coroutine[Any, Any, None]], object]


class Done(msgspec.Struct, frozen=True):
    """A committed plan.

    Args:
        repeated: positions of items that were there before.
        unclaimed: deliveries that somebody else took out of the queue meanwhile.
    """

    plan: Plan
    repeated: frozenset[int]
    unclaimed: frozenset[int]


class Core:
    """The exchange of one node (`contract.Exchange`).

    Args:
        outside: clock, ids, store, router and the rest.
        decide: the pipeline bound to its rulebook; replaced by `use`.
    """

    def __init__(self, outside: Outside, decide: Decide) -> None:
        self.spawn = outside.spawn
        self._clock = clock = outside.clock
        self._ids = outside.ids
        self._store = outside.store
        self._meter = outside.meter
        self._on_trouble = on_trouble = outside.on_trouble
        self._later = outside.later
        self.conversations = Conversations()
        self.watchers = Watchers()
        self.dispatch = Dispatch(
            store=outside.store,
            clock=clock,
            facts=outside.facts,
            router=outside.router,
            later=outside.later,
        )
        self.sender = Sender(
            clock=clock,
            facts=outside.facts,
            router=outside.router,
            dispatch=self.dispatch,
            outcome=self._outcome,
            range_sent=self._range_sent,
        )
        self.planner = Planner(
            facts=outside.facts,
            conversations=self.conversations,
            ids=outside.ids,
            decide=decide,
            is_direct=self.dispatch.is_direct,
            on_error=lambda key, error: on_trouble(f"decide {key[0]}", error),
        )
        self._queue: deque[Item] = deque()
        self._extras = Extras()
        self._claimed: list[asyncio.Future[None]] = []
        self._look_after: set[tuple[str, str]] = set()
        self._expire: list[tuple[str, Seat]] = []
        self._error: Exception = StoreUnavailable()
        self._wake = asyncio.Event()
        self._rested = asyncio.Event()
        self._is_timer_set = False
        self._is_due = False
        self._is_stopping = False
        self.trouble = ""  # "" | "store" | "disk": nothing is acknowledged meanwhile
        self.is_disk_low = False

    # -- what lines call (contract.Exchange) -------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether 1,024 events wait."""
        return len(self._queue) >= QUEUE_EVENTS

    def offer(self, origin: Origin, event: DurableEvent, receipt: Receipt, size_bytes: int) -> None:
        """Take an event for the next beat."""
        chat = event.chat
        self._queue.append(
            Item(
                origin, event, receipt, size_bytes, (origin.line, chat.account, chat.kind, chat.id)
            )
        )
        self._wake.set()

    def pass_on(self, origin: Origin, event: Fleeting) -> None:
        """Show a fleeting event to who watches."""
        self.watchers.fleeting(origin.line, event, self._clock.now_ms())

    def keep(self, origin: Origin, account: str, state: bytes) -> None:
        """Store a session's state with the next beat."""
        self._extras.kept[origin.line, account] = state
        self._soon()

    def settled(self, origin: Origin, settled: Settled) -> None:
        """Note what became of a delivery."""
        self.sender.settled(origin, settled)

    def seated(self, origin: Origin, seat: Seat) -> None:
        """A link became ready: send what waits for it."""
        if seat.can_send:
            self.dispatch.seated(origin, seat)

    def unseated(self, line: str, seat: Seat) -> None:
        """The last link of a seat is gone."""
        if self.dispatch.unseated(line, seat.key) and seat.is_brief:
            self._expire.append((line, seat))
            self._wake.set()

    # -- what app, desk and keeper call ------------------------------------------------------

    def use(self, decide: Decide) -> None:
        """Decide by another rulebook from the next beat on."""
        self.planner.decide = decide

    def claim(self, rows: Sequence[Queued], committed: Callable[[], None]) -> asyncio.Future[None]:
        """Put queued rows into the next beat (`dispatch.Claimer`)."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._extras.claims.append(Claim(tuple(rows), committed))
        self._claimed.append(done)
        self._wake.set()
        return done

    def post(self, post: Post) -> None:
        """Put a delivery that answers nothing into the next beat."""
        self._extras.posts.append(post)
        self._wake.set()

    def turn_due(self, turns: Sequence[DueTurn]) -> None:
        """Put turns whose time has come into the next beat."""
        self._extras.turns += turns
        self._wake.set()

    def nudge(self) -> None:
        """Look again whether there is something to do (the disk has room again)."""
        self._wake.set()

    async def run(self) -> None:
        """Beat until `stop`, then until nothing is left to write."""
        failures = 0
        while True:
            if not self._has_work():
                if self._is_stopping and self._is_idle():
                    return
                self._rested.set()
                self._wake.clear()
                await self._wake.wait()
                continue
            self._rested.clear()
            try:
                await self._beat()
            except StoreUnavailable as error:
                self._refuse_posts(error)
                self._mark("disk" if isinstance(error, StoreFull) else "store", error)
                if self._is_stopping and failures >= len(_RETRY_S):
                    return
                await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
            else:
                failures = 0
                self._mark("", None)

    async def quiet(self) -> None:
        """Return when everything offered and settled until now is written and told."""
        while not self._is_idle() or not self._rested.is_set():
            self._is_due = True
            self._rested.clear()
            self._wake.set()
            await self._rested.wait()

    def stop(self) -> None:
        """End `run` once everything read is committed and told."""
        self._is_stopping = True
        self._is_due = True
        self._wake.set()

    # -- the beat ----------------------------------------------------------------------------

    def _has_work(self) -> bool:
        if self._extras.is_urgent() or self._expire:
            return True
        if self.trouble and not self._is_stopping:
            return True  # an empty beat asks the store whether it is there again
        if self._queue and not self.is_disk_low:
            return True
        return (self._is_due or self._is_stopping) and not self._extras.is_empty()

    def _is_idle(self) -> bool:
        return self._extras.is_empty() and (not self._queue or self.is_disk_low)

    async def _beat(self) -> None:
        await self._expire_seats()
        items = await self._gather()
        extras, self._extras = self._extras, Extras()
        claimed, self._claimed = self._claimed, []
        look_after, self._look_after = self._look_after, set()
        self._is_due = False
        try:
            await self._write(items, extras)
        finally:
            for done in claimed:
                if not done.done():
                    done.set_result(None)
            for where in look_after:
                self.dispatch.look(where)

    async def _expire_seats(self) -> None:
        """What waits for a visitor who never comes back is EXPIRED, visibly."""
        while self._expire:
            line, seat = self._expire[0]
            account = seat.key if seat.account == seat.key else ""
            peer = "" if account else seat.key
            await self._store.expire_seat(line, account, peer, GONE)
            self.dispatch.forget(line, seat.key)
            self._expire.pop(0)

    async def _gather(self) -> list[Item]:
        """Take at most 256 events or 4 MiB, one larger event alone."""
        queue = self._queue
        if self.is_disk_low:
            return []
        for _ in range(_GROWTH_POLLS):  # measured: −5 % at no latency while the group grows
            before = len(queue)
            await asyncio.sleep(0)
            if len(queue) == before:
                break
        items: list[Item] = []
        size = 0
        while queue and len(items) < BEAT_EVENTS:
            size += queue[0].size_bytes
            if items and size > BEAT_BYTES:
                break
            items.append(queue.popleft())
        self._meter.queued(len(queue))
        return items

    async def _write(self, items: list[Item], extras: Extras) -> None:
        """Commit; halve what fails until the culprit is alone (`reliability 1`)."""
        work: deque[tuple[list[Item], Extras, bool]] = deque([(items, extras, False)])
        while work:
            part, more, is_dead = work[0]
            try:
                done = await self._commit(part, more, is_dead=is_dead)
            except StoreUnavailable:
                self._put_back(work)
                raise
            except Exception as error:  # noqa: BLE001 - the edge "beat": rows that cannot be stored
                work.popleft()
                work.extendleft(reversed(self._split(part, more, error, is_dead=is_dead)))
            else:
                work.popleft()
                self._after(part, more, done)

    def _after(self, items: list[Item], extras: Extras, done: Done) -> None:
        """Tell what is durable. A fault in here must never have the rows written again."""
        try:
            self._tell(items, extras, done.plan, done.unclaimed)
            self._show(items, done)
        except Exception as error:  # noqa: BLE001 - the edge "beat": it is committed, go on
            self._on_trouble("tell", error)
            for post in extras.posts:
                if not post.done.done():
                    post.done.set_exception(error)

    def _split(
        self, items: list[Item], extras: Extras, error: Exception, *, is_dead: bool
    ) -> list[tuple[list[Item], Extras, bool]]:
        if items and not extras.is_empty():
            return [([], extras, False), (items, Extras(), False)]
        if len(items) > 1:
            half = len(items) // 2
            return [(items[:half], Extras(), False), (items[half:], Extras(), False)]
        if items:
            if is_dead:
                raise StoreUnavailable(f"not even a dead row can be stored: {error}") from error
            self._on_trouble("store event", error)
            self._error = error
            return [(items, Extras(), True)]
        singles = extras.singles()
        if len(singles) > 1:
            return [([], single, False) for single in singles]
        self._on_trouble("store outcome", error)
        for post in extras.posts:
            if not post.done.done():
                post.done.set_exception(error)
        return []

    def _put_back(self, work: deque[tuple[list[Item], Extras, bool]]) -> None:
        for items, extras, _ in reversed(work):
            extras.claims.clear()  # still QUEUED: dispatch looks at their seats again
            self._queue.extendleft(reversed(items))
            self._extras.put_back(extras)
        self._is_due = True

    async def _commit(self, items: list[Item], extras: Extras, *, is_dead: bool) -> Done:
        await self._load(items, extras)
        skip: frozenset[int] = frozenset()
        while True:
            plan = self._plan(items, extras, skip, is_dead=is_dead)
            started = self._clock.monotonic_s()
            committed = await self._store.commit(plan.beat)
            if not committed.duplicates:
                break
            skip |= {plan.index[row] for row in committed.duplicates}
        for key, state in plan.overlay.items():
            self.conversations.put(key, state)
        self._meter.beat(
            events=len(items),
            seconds=self._clock.monotonic_s() - started,
            verdicts=plan.verdicts,
            duplicates=len(skip) + len(plan.repeats),
            dead=plan.dead,
        )
        if extras.ranges or extras.outcomes:
            self._meter.outcomes(_count(extras))
        return Done(plan, skip.union(plan.repeats), committed.unclaimed)

    def _show(self, items: list[Item], done: Done) -> None:
        """Tell who looks on, and remember the repeats for `why`."""
        now_ms = done.plan.beat.now_ms
        for position in done.repeated:
            item = items[position]
            state = self.conversations.get(item.key)
            if state is not None:
                self.watchers.repeated(state.id, item.event, now_ms)
        if self.watchers:
            self.watchers.committed(items, done.repeated, done.plan, now_ms)

    async def _load(self, items: list[Item], extras: Extras) -> None:
        """Read the conversations that the cache does not have, in one look-up."""
        get = self.conversations.get
        missing = {item.key for item in items if get(item.key) is None}
        missing.update(post.key for post in extras.posts if get(post.key) is None)
        if not missing:
            return
        keys = list(missing)
        for key, state in zip(keys, await self._store.find_conversations(keys), strict=True):
            if state is not None:
                self.conversations.put(key, state)

    def _plan(
        self, items: list[Item], extras: Extras, skip: frozenset[int], *, is_dead: bool
    ) -> Plan:
        now_ms = self._clock.now_ms()
        planner = self.planner
        if is_dead:
            plan = Plan(planner.plan([], skip, now_ms).beat)
            item = items[0]
            state = planner.state_of(plan, (item.key[0], "", "unstorable", "unstorable"), None)
            plan.beat.inbox.append(dead_row(item, state, self._ids.next(), now_ms, self._error))
            plan.index.append(0)
            plan.dead = 1
            return planner.finish(plan)
        plan = planner.plan(items, skip, now_ms)
        beat = plan.beat
        beat.outcomes = extras.outcomes
        beat.sent_ranges = [(sent.first, sent.last) for sent in extras.ranges]
        beat.claims = [queued.row.id for claim in extras.claims for queued in claim.rows]
        planner.keep(plan, extras.kept)
        for due in extras.turns:
            planner.take_turn(plan, due)
        for post in extras.posts:
            planner.take_post(plan, post)
        for line, seat_key in plan.seats:
            self.dispatch.queued(line, seat_key)
        return planner.finish(plan)

    # -- after the commit --------------------------------------------------------------------

    def _tell(
        self, items: list[Item], extras: Extras, plan: Plan, unclaimed: frozenset[int]
    ) -> None:
        """Acknowledge, then send, then one write per link."""
        for claim in extras.claims:
            claim.committed()
        flushed = acknowledge(items)
        self.sender.send(plan.outgoing, extras.claims, unclaimed, flushed)
        failpoints.hit("send.before_write")
        for origin in flushed:
            origin.flush()
        failpoints.hit("ack.after_write")
        failpoints.hit("send.after_write")
        for post in extras.posts:
            if not post.done.done():
                post.done.set_result(plan.posted[id(post)])
        self.watchers.settled(extras.outcomes, extras.ranges, plan.beat.now_ms)

    def _outcome(self, outcome: Outcome, where: tuple[str, str]) -> None:
        """Take an outcome for the next beat; at once when something waits behind it."""
        self._extras.outcomes.append(outcome)
        if self.dispatch.is_direct(*where):
            self._soon()
        else:
            self._look_after.add(where)
            self._is_due = True
            self._wake.set()

    def _range_sent(self, sent: SentRange) -> None:
        """Take a beat whose deliveries were all written."""
        self._extras.ranges.append(sent)
        self._soon()

    def _soon(self) -> None:
        """Have outcomes written with the next beat, at the latest in 0.1 s."""
        if not self._is_timer_set:
            self._is_timer_set = True
            self._later(OUTCOME_DELAY_S, self._due)

    def _due(self) -> None:
        self._is_timer_set = False
        if not self._extras.is_empty():
            self._is_due = True
            self._wake.set()

    def _refuse_posts(self, error: StoreUnavailable) -> None:
        """A person's or program's send is told at once; it can be tried again."""
        posts, self._extras.posts = self._extras.posts, []
        for post in posts:
            if not post.done.done():
                post.done.set_exception(error)

    def _mark(self, trouble: str, error: BaseException | None) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._on_trouble(f"store {trouble}" if trouble else "store recovered", error)


def _count(extras: Extras) -> dict[str, int]:
    counts = {"sent": sum(len(sent.ids) for sent in extras.ranges)}
    for outcome in extras.outcomes:
        name = outcome.state.name.lower()
        counts[name] = counts.get(name, 0) + 1
    return counts
