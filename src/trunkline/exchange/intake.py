"""The beat: gather, decide, ONE commit, acknowledge, send.

All links push into one queue. A beat takes what is there (no timer), decides on it, commits once,
and only then tells the links: receipts first, then deliveries, one write per link. While a commit
is in flight the next group grows. What cannot be committed because the store is away is put back
and nothing is acknowledged; links stop reading when their own bounds are reached.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from trunkline import failpoints
from trunkline.clock import Clock
from trunkline.dialects.contract import Receipt, Seat
from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.exchange.asking import Asking
from trunkline.exchange.carrying import Carrying
from trunkline.exchange.contract import LineFacts, Meter, Origin, Router
from trunkline.exchange.conversations import Conversations
from trunkline.exchange.dispatch import Dispatch, Where
from trunkline.exchange.doing import Doing
from trunkline.exchange.extras import Claim, DueTurn, Enquiry, Extras, Mark, Post, SentRange
from trunkline.exchange.pacing import Pacing, count_back
from trunkline.exchange.planning import Planner
from trunkline.exchange.plans import GONE, Decide, Item, Plan
from trunkline.exchange.reporting import Reporting
from trunkline.exchange.sending import Sender, acknowledge, flush
from trunkline.exchange.watching import Watchers
from trunkline.exchange.writing import Done, Part, Writer
from trunkline.ids import DeliveryId, Ids
from trunkline.model.delivery import DeliveryState
from trunkline.model.event import DurableEvent, Fleeting
from trunkline.pipeline.turn import Verdict
from trunkline.store.contract import Outcome, Queued, Store

BEAT_EVENTS = 256
BEAT_BYTES = 4 << 20
QUEUE_EVENTS = 1024
OUTCOME_DELAY_S = 0.1
STALLED_S = 60.0
_GROWTH_POLLS = 2
# When many peers are busy and only a few of them have spoken yet, the rest is waited for, once: a
# beat of a few costs nearly as much as one of all. Measured, 50 busy peers: 46 messages a beat
# instead of 38, −3 % CPU, the same median latency. Below `_MANY` nobody waits, and who speaks alone
# after a busy time waits at most five times.
_MANY = 16
_REST_S = 0.001
_QUEUED = DeliveryState.QUEUED
_SENT = DeliveryState.SENT.value
_STATE_OF = attrgetter("state._value_")  # its number: the hash of a member is written in Python
_NAMES = {state.value: state.name.lower() for state in DeliveryState}
_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)


class Outside(msgspec.Struct, frozen=True):
    """What the exchange takes as arguments: the simulation needs that seam.

    Args:
        facts: by line name, owned by the lines.
        meter: counts once per beat.
        on_trouble: told `action` and the error when something failed that is our fault.
        later: `(delay_s, call)`; the loop's timer.
        spawn: starts an owned background task.
        offset_ms: added to UTC before a day is cut, for paces (`[site] utc_offset_h`).
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
    offset_ms: int = 0


class Core:
    """The exchange of one node (`contract.Exchange`).

    Args:
        outside: clock, ids, store, router and the rest.
        decide: the pipeline bound to its rulebook; replaced by `use`.
    """

    def __init__(self, outside: Outside, decide: Decide) -> None:
        self.spawn = outside.spawn
        self._clock = clock = outside.clock
        self._store = outside.store
        self._meter = outside.meter
        self._on_trouble = on_trouble = outside.on_trouble
        self._later = outside.later
        router = outside.router
        self.conversations = Conversations()
        self.watchers = Watchers()
        self.pacing = Pacing(
            clock=clock, facts=outside.facts, offset_ms=outside.offset_ms, later=outside.later
        )
        self.dispatch = Dispatch(
            store=outside.store,
            clock=clock,
            facts=outside.facts,
            router=router,
            pacing=self.pacing,
            later=outside.later,
            expired=self._tell_expired,
            on_trouble=on_trouble,
        )
        self.sender = Sender(
            clock=clock,
            facts=outside.facts,
            router=router,
            dispatch=self.dispatch,
            outcome=self._outcome,
            range_sent=self._range_sent,
            give_back=self.pacing.give_back,
            on_trouble=on_trouble,
        )
        self.asking = Asking(
            store=outside.store,
            clock=clock,
            facts=outside.facts,
            router=outside.router,
            spawn=outside.spawn,
            hand_over=self.turn_due,
            on_trouble=on_trouble,
        )
        self.carrying = Carrying(
            store=outside.store,
            clock=clock,
            ids=outside.ids,
            facts=outside.facts,
            router=outside.router,
            on_trouble=on_trouble,
        )
        self.planner = Planner(
            facts=outside.facts,
            conversations=self.conversations,
            ids=outside.ids,
            decide=decide,
            asking=self.asking,
            is_direct=self.dispatch.is_direct,
            is_gone=self.dispatch.is_gone,
            is_reachable=lambda line, seat_key: bool(router.find(line, seat_key)),
            is_carried=self.carrying.is_heard,
            on_error=lambda key, error: on_trouble(f"decide {key[0]}", error),
        )
        self.doing = Doing(
            core=self,
            store=outside.store,
            clock=clock,
            facts=outside.facts,
            router=outside.router,
            later=outside.later,
            on_trouble=on_trouble,
        )
        self.reporting = Reporting(
            doing=self.doing,
            carrying=self.carrying,
            store=outside.store,
            router=outside.router,
            now_ms=clock.now_ms,
            spawn=outside.spawn,
            on_trouble=on_trouble,
        )
        self._writer = Writer(
            store=outside.store,
            clock=clock,
            ids=outside.ids,
            planner=self.planner,
            carrying=self.carrying,
            facts=outside.facts,
            conversations=self.conversations,
            dispatch=self.dispatch,
            pacing=self.pacing,
            put_back=self._put_back,
            written=self._written,
            dropped=self._dropped,
            on_trouble=on_trouble,
        )
        # Notes what became of a delivery. No method of ours around it: it is called for every one.
        self.settled = self.sender.settled
        self._queue: deque[Item] = deque()
        self.is_full = False  # whether 1,024 events wait
        self._expected = 0  # events of a beat, as the last ones were
        self._taken = 0  # events taken out of the queue so far
        self._extras = Extras()
        # Kept states, each with how many events must be out of the queue before it: it may not be
        # durable before the `Received` that was returned beside it.
        self._kept: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._last_kept: dict[tuple[str, str], bytes] = {}  # by line and account: bounded by them
        self._claimed: list[asyncio.Future[None]] = []
        # Outcomes on their way (a range by its first id), and the seats where something waits for
        # them to be committed.
        self._behind: dict[int, dict[Where, None]] = {}
        self._expire: list[tuple[str, Seat]] = []
        self._wake = asyncio.Event()
        self._rested = asyncio.Event()
        self._begun_s = 0.0  # the beat under way
        self._is_timer_set = False
        self._is_due = False
        self._is_stopping = False
        self._is_running = False
        self.trouble = ""  # "" | "store" | "disk": nothing is acknowledged meanwhile
        self.is_disk_low = False

    # -- what lines call (contract.Exchange) -------------------------------------------------

    def offer(self, origin: Origin, event: DurableEvent, receipt: Receipt, size_bytes: int) -> None:
        """Take an event for the next beat."""
        chat = event.chat
        queue = self._queue
        if not queue:  # else it is awake, or stands still for the disk's sake
            self._wake.set()
        queue.append(
            Item(
                origin, event, receipt, size_bytes, (origin.line, chat.account, chat.kind, chat.id)
            )
        )
        if len(queue) >= QUEUE_EVENTS:
            self.is_full = True

    def pass_on(self, origin: Origin, event: Fleeting) -> None:
        """Show a fleeting event to who watches."""
        self.watchers.fleeting(origin.line, event, self._clock.now_ms())
        self.doing.telling.pass_on(origin, event)

    def keep(self, origin: Origin, account: str, state: bytes) -> None:
        """Store a session's state with the next beat."""
        self._last_kept[origin.line, account] = state
        self._kept[origin.line, account] = (self._taken + len(self._queue), state)
        self._soon()

    def last_kept(self, line: str, account: str) -> bytes | None:
        """Return the state last kept by this process, also while its commit is under way.

        A link that comes back at once would read an older one in the store.
        """
        return self._last_kept.get((line, account))

    def seated(self, origin: Origin, seat: Seat) -> None:
        """A link became ready: send what waits for it."""
        if seat.can_send:
            self.dispatch.seated(origin, seat)

    def unseated(self, line: str, seat: Seat) -> None:
        """The last link of a seat is gone."""
        if self.dispatch.unseated(line, seat) and seat.is_brief:
            self._expire.append((line, seat))
            self._wake.set()

    def ask(self, origin: Origin, request: object, answer: Callable[[object], None]) -> None:
        """Answer a session's Find or Do."""
        self.doing.ask(origin, request, answer)

    # -- what app, desk and keeper call ------------------------------------------------------

    def use(self, decide: Decide) -> None:
        """Decide by another rulebook from the next beat on."""
        self.planner.use(decide)

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

    def enquire(self, enquiry: Enquiry) -> None:
        """Have a question answered, and what the answer uses up counted, with the next beat."""
        self._extras.enquiries.append(enquiry)
        self._wake.set()

    def mark(self, mark: Mark) -> None:
        """Put a takeover or a release into the next beat."""
        self._extras.marks.append(mark)
        self._wake.set()

    def turn_due(self, turns: Sequence[DueTurn]) -> None:
        """Put turns whose time has come into the next beat."""
        for due in turns:
            self.asking.hold(due.turn.conversation, due.key[:2])
        self._extras.turns += turns
        self._wake.set()

    def expired(self, idents: Sequence[DeliveryId]) -> None:
        """Tell who waits for these deliveries that they are too late now."""
        self._tell_expired(idents)
        # Ids that are no multiple of 16 answer a message (`ids.answer_id`): only those are counted.
        answers = [ident for ident in idents if ident & 15]
        if answers:
            self.spawn(self._give_back(answers))

    def _tell_expired(self, idents: Sequence[DeliveryId]) -> None:
        now_ms = self._clock.now_ms()
        gone = [Outcome(ident, DeliveryState.EXPIRED, now_ms) for ident in idents]
        self.watchers.settled(gone, (), now_ms)

    async def _give_back(self, idents: Sequence[DeliveryId]) -> None:
        """Have given back what these used up, since they were not said."""
        try:
            for ident in idents:
                found = await self._store.delivery(ident)
                if found is not None and found.row.state is DeliveryState.EXPIRED:
                    self._extras.unsaid.append(found)
        except StoreUnavailable:
            return  # a default reply less is said: the store has graver troubles
        self._soon()

    async def trim(self) -> None:
        """Let the oldest go where more waits for a carrying line than may."""
        gone = await self.carrying.trim()
        if gone:
            self.expired(gone)
            self.dispatch.review()

    def nudge(self) -> None:
        """Look again whether there is something to do (the disk has room again)."""
        self._wake.set()

    async def run(self) -> None:
        """Beat until `stop`, then until nothing is left to write.

        Called again after that, it writes what came in between. Two never beat side by side: while
        one does, another call returns at once.
        """
        if self._is_running:
            return
        self._is_running = True
        try:
            await self._run()
        finally:
            self._is_running = False

    async def _run(self) -> None:
        failures = 0
        while True:
            if not self._has_work():
                if self._is_stopping and self._is_idle() and not self.doing.is_beginning:
                    return
                self._rested.set()
                self._wake.clear()
                await self._wake.wait()
                continue
            self._rested.clear()
            self._begun_s = self._clock.monotonic_s()
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

    @property
    def depth(self) -> int:
        """How many events wait for a beat."""
        return len(self._queue)

    @property
    def is_stalled(self) -> bool:
        """Whether a beat has been under way for a minute: the store's thread hangs."""
        is_resting = self._rested.is_set() or not self._begun_s
        return not is_resting and self._clock.monotonic_s() - self._begun_s > STALLED_S

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
        return (self._is_due or self._is_stopping) and self._has_extras()

    def _has_extras(self) -> bool:
        # With the disk low the queue stands still, and what is kept waits behind it.
        is_held = self.is_disk_low and bool(self._queue)
        return not self._extras.is_empty() or (bool(self._kept) and not is_held)

    def _is_idle(self) -> bool:
        return not self._has_extras() and (not self._queue or self.is_disk_low)

    async def _beat(self) -> None:
        items = await self._gather()
        extras, self._extras = self._extras, Extras()
        claimed, self._claimed = self._claimed, []
        expire, self._expire = self._expire, []
        self._is_due = False
        for where, (mark, state) in list(self._kept.items()):
            if mark <= self._taken:
                extras.kept[where] = state
                del self._kept[where]
        try:
            await self._writer.write(items, extras)
            # Only now: what becomes QUEUED with this very beat expires too.
            while expire:
                await self._expire_seat(*expire[0])
                del expire[0]
        finally:
            self._expire[:0] = expire
            for done in claimed:
                if not done.done():
                    done.set_result(None)

    async def _expire_seat(self, line: str, seat: Seat) -> None:
        account = seat.key if seat.account == seat.key else ""
        gone = await self._store.expire_seat(line, account, "" if account else seat.key, GONE)
        self._tell_expired(gone)
        self.dispatch.forget(line, seat.key)

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
        if queue:
            if self._expected >= _MANY and len(queue) * 4 < self._expected * 3:
                await asyncio.sleep(_REST_S)
            self._expected = max(min(len(queue), BEAT_EVENTS), self._expected // 2)
        items: list[Item] = []
        size = 0
        while queue and len(items) < BEAT_EVENTS:
            size += queue[0].size_bytes
            if items and size > BEAT_BYTES:
                break
            items.append(queue.popleft())
        self._taken += len(items)
        self.is_full = len(queue) >= QUEUE_EVENTS
        self._meter.queued(len(queue))
        return items

    def _put_back(self, work: Sequence[Part]) -> None:
        """The store is away: all of it is offered again, in its order."""
        for part in reversed(work):
            part.extras.claims.clear()  # still QUEUED: dispatch looks at their seats again
            self._queue.extendleft(reversed(part.items))
            self._taken -= len(part.items)
            self._extras.put_back(part.extras)
        self.is_full = len(self._queue) >= QUEUE_EVENTS
        mark = self._taken + len(self._queue)
        for where, state in self._extras.kept.items():
            self._kept.setdefault(where, (mark, state))
        self._extras.kept.clear()
        self._is_due = True

    def _dropped(self, extras: Extras, error: Exception) -> None:
        """Something beside the events cannot be stored in any form; who waits is told."""
        for due in extras.turns:
            self.asking.forget(due.turn.conversation)  # its row is there and due again
        extras.fail(error)
        self._free_behind(extras)

    # -- after the commit --------------------------------------------------------------------

    def _written(self, part: Part, done: Done) -> None:
        """Acknowledge, then send, then one write per link, then everything else.

        Each step is guarded: a fault in one must not keep the next from being done, and must
        never have the rows written again.
        """
        items, extras, plan = part.items, part.extras, done.plan
        guard = self._guard
        guard(self.asking.committed, plan.asking)
        for claim in extras.claims:
            claim.committed()
        if done.unclaimed:
            guard(self._count_back, extras.claims, done.unclaimed)
        guard(failpoints.hit, "ack.before_write")
        flushed = acknowledge(items, self._on_trouble)
        # Before the answers: another tab sees the question first.
        guard(self.doing.telling.committed, items, plan)
        if self.carrying.reporters:
            guard(self.reporting.committed, plan)
        guard(self.sender.send, plan.outgoing, extras.claims, done.unclaimed, flushed)
        guard(failpoints.hit, "send.before_write")
        flush(flushed, self._on_trouble)
        guard(failpoints.hit, "ack.after_write")
        guard(failpoints.hit, "send.after_write")
        guard(_tell_waiting, extras, plan)
        if self._behind:
            self._free_behind(extras)
        if plan.beat.withdrawn:
            self.dispatch.review()
            guard(self.expired, done.withdrawn)
        guard(self.watchers.settled, extras.outcomes, extras.ranges, plan.beat.now_ms)
        if self.carrying.reporters:
            guard(self.reporting.settled, extras.outcomes, extras.ranges)
        guard(self._show, items, done)
        guard(self._count, part, done)

    def _guard(self, step: Callable[..., object], *args: object) -> None:
        try:
            step(*args)
        except Exception as error:  # noqa: BLE001 - the edge "beat": it is committed, go on
            self._on_trouble("tell", error)

    def _count_back(self, claims: Sequence[Claim], unclaimed: frozenset[int]) -> None:
        """What somebody took out of the queue meanwhile is nothing of its line's pace."""
        rows = [row for claim in claims for row in claim.rows if row.row.id in unclaimed]
        count_back(self.pacing, [row.conversation.line for row in rows])

    def _free_behind(self, extras: Extras) -> None:
        """Let go what waited for these outcomes to be committed."""
        for ident in (*(one.id for one in extras.outcomes), *(one.first for one in extras.ranges)):
            for where in self._behind.pop(ident, ()):
                self.dispatch.release(where, ident)

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

    def _count(self, part: Part, done: Done) -> None:
        plan, extras = done.plan, part.extras
        self._meter.beat(
            events=len(part.items) - len(done.repeated),
            seconds=done.seconds,
            verdicts=plan.verdicts,
            duplicates=len(done.repeated),
            dead=plan.dead,
        )
        if extras.ranges or extras.outcomes:
            self._meter.outcomes(_count(extras))

    def _outcome(self, outcome: Outcome, where: Where) -> None:
        """Take an outcome for the next beat; at once when something waits behind it."""
        self._extras.outcomes.append(outcome)
        if outcome.state is _QUEUED:
            self.dispatch.hold(where, outcome.id)
        if self.dispatch.is_direct(where):
            if not self._is_timer_set:
                self._soon()
        else:
            self._behind.setdefault(outcome.id, {})[where] = None
            self._is_due = True
            self._wake.set()

    def _range_sent(self, sent: SentRange, behind: Collection[Where]) -> None:
        """Take a beat whose deliveries were all written; at once when something waits behind it."""
        self._extras.ranges.append(sent)
        if behind:
            self._behind.setdefault(sent.first, {}).update(dict.fromkeys(behind))
            self._is_due = True
            self._wake.set()
        else:
            self._soon()

    def _soon(self) -> None:
        """Have outcomes written with the next beat, at the latest in 0.1 s."""
        if not self._is_timer_set:
            self._is_timer_set = True
            self._later(OUTCOME_DELAY_S, self._due)

    def _due(self) -> None:
        self._is_timer_set = False
        if not self._is_idle():
            self._is_due = True
            self._wake.set()

    def _refuse_posts(self, error: StoreUnavailable) -> None:
        """A person's or program's send is told at once; it can be tried again."""
        extras = self._extras
        refused = Extras(posts=extras.posts, marks=extras.marks, enquiries=extras.enquiries)
        extras.posts, extras.marks, extras.enquiries = [], [], []
        refused.fail(error)

    def _mark(self, trouble: str, error: BaseException | None) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._on_trouble(f"store {trouble}" if trouble else "store recovered", error)


def _tell_waiting(extras: Extras, plan: Plan) -> None:
    """Tell who waits for a post, a mark or an answer that it is committed."""
    for post in extras.posts:
        if not post.done.done():
            post.done.set_result(plan.posted[id(post)])
    for mark in extras.marks:
        if not mark.done.done():
            mark.done.set_result(mark.until_ms)
    for enquiry in extras.enquiries:
        answer = plan.answered[id(enquiry)]
        if enquiry.done.done():
            continue
        if isinstance(answer, Verdict):
            enquiry.done.set_result(answer)
        else:
            enquiry.done.set_exception(answer)


def _count(extras: Extras) -> dict[str, int]:
    counts: dict[int, int] = {}
    for state in map(_STATE_OF, extras.outcomes):
        counts[state] = counts.get(state, 0) + 1
    for sent in extras.ranges:
        counts[_SENT] = counts.get(_SENT, 0) + len(sent.ids)
    return {_NAMES[state]: count for state, count in counts.items()}
