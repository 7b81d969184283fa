"""A beat is a value built from its inputs: events in, rows and deliveries out.

Nothing here waits, and nothing is changed that a failed commit would have to undo: decisions are
made on an overlay of the conversation cache, which the caller merges after the commit. A second
message of one conversation sees what the first one changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import msgspec

from trunkline.dialects.contract import Receipt
from trunkline.exchange import echoes, takeovers
from trunkline.exchange.asking import AGAIN_MS, MAX_ATTEMPTS, Asked, Asking, Changes
from trunkline.exchange.bodies import KINDS, encode_event, encode_say, encode_what
from trunkline.exchange.contract import LineFacts, Origin
from trunkline.exchange.conversations import Conversations, Key
from trunkline.exchange.extras import REFUSED, DueTurn, Enquiry, Mark, Post
from trunkline.exchange.items import API, is_person
from trunkline.exchange.numbering import message_number
from trunkline.ids import DeliveryId, Ids, InboxId, answer_id
from trunkline.model.address import Chat
from trunkline.model.asking import Answer, Failed
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import Delivery, DeliveryState, Say
from trunkline.model.event import DurableEvent, MessageReceived, NoticeReceived, Person
from trunkline.model.history import TakeoverChanged
from trunkline.model.message import Segments, plain_text
from trunkline.pipeline import default_reply
from trunkline.pipeline.debounce import cap_ms, due_ms
from trunkline.pipeline.trace import encode_trace
from trunkline.pipeline.turn import Reply, Source, Step, Turn, Verdict, VerdictKind
from trunkline.store.contract import (
    Beat,
    InboxRow,
    InboxState,
    KeptState,
    OutboxRow,
    Outcome,
    TurnRow,
)  # fmt: skip

GONE = "the visitor left"
# Where events are kept that cannot be stored as they are: one conversation of each line.
UNSTORABLE = ("", "unstorable", "unstorable")
REPLY_LIFE_MS = 120_000  # reliability 1: automatic replies carry expires_at (120 s)

# Reading a member off its enum costs 0.09 µs; a name of the module a tenth of it.
_DONE = InboxState.DONE
_QUEUED = DeliveryState.QUEUED
_SENDING = DeliveryState.SENDING
_ASK = VerdictKind.ASK
_PERSON = VerdictKind.PERSON
_STOP = VerdictKind.STOP
_UNASKED: Mapping[str, Answer] = {}


class Decide(Protocol):
    """The pipeline bound to its rulebook."""

    def __call__(
        self, state: ConversationState, turn: Turn, answers: Mapping[str, Answer] = ..., /
    ) -> Verdict:
        """Decide on a turn with what came back from outside."""
        ...


class Item(msgspec.Struct, gc=False):
    """One event on its way into a beat.

    Args:
        written: of an own message: the deliveries that it may be the echo of.
    """

    origin: Origin
    event: DurableEvent
    receipt: Receipt
    size_bytes: int
    key: Key
    written: tuple[OutboxRow, ...] = ()

    @property
    def line(self) -> str:
        """The line's name."""
        return self.key[0]


class Outgoing(msgspec.Struct, gc=False):
    """A delivery that leaves as soon as the beat is committed.

    Args:
        where: its line and seat.
        origin: the link that asked; None = whoever has the seat.
    """

    delivery: Delivery
    where: tuple[str, str]
    origin: Origin | None


class Question(msgspec.Struct, gc=False):
    """What replies answer.

    Args:
        row: the last one of the turn.
        context: of its event.
        origin: the link it came over; None = nobody of its seat is here.
    """

    row: InboxId
    chat: Chat
    context: bytes
    origin: Origin | None


class Plan(msgspec.Struct):
    """A beat with everything that happens after its commit.

    Args:
        overlay: states as this beat leaves them.
        changed: those of them that are written.
        index: for each inbox row of the beat, its position in `items`.
        repeats: positions of items that repeat an earlier one of the same beat.
        seats: (line, seat) that got a QUEUED row.
        verdicts: how often each `stage:verdict` decided.
        posted: the delivery made for each `Post`, by `id(post)`.
        answered: what was decided for each `Enquiry`, by `id(enquiry)`.
        said: every new delivery with its conversation, for live viewers.
        told: what changed about who has a conversation, for its links and who watches it.
        echoed: deliveries that came back as own messages.
        asking: what changes about open turns.
        has_turns: whether any is open, before this beat or by it.
    """

    beat: Beat
    overlay: dict[Key, ConversationState] = {}
    changed: dict[Key, None] = {}
    index: list[int] = []
    repeats: list[int] = []
    outgoing: list[Outgoing] = []
    seats: set[tuple[str, str]] = set()
    verdicts: dict[str, int] = {}
    dead: int = 0
    posted: dict[int, DeliveryId] = {}
    answered: dict[int, Verdict | Exception] = {}
    said: list[tuple[OutboxRow, ConversationState, Segments]] = []
    told: list[tuple[Key, TakeoverChanged]] = []
    echoed: set[int] = set()
    asking: Changes = msgspec.field(default_factory=Changes)
    has_turns: bool = False


class Planner:
    """Builds plans.

    Args:
        facts: by line name; read at each plan, so a changed mode holds from the next beat.
        conversations: the cache, read only.
        ids: row ids; taken here in one go, so a beat's ids are one closed range.
        decide: the pipeline with its rulebook.
        asking: open turns, read only.
        is_direct: whether a reply to (line, seat) may leave with this beat: nothing older waits.
        is_gone: whether (line, seat) was brief and its last link went.
        is_reachable: whether somebody on (line, seat) can be sent to now.
        is_carried: whether somebody on a line that carries this one hears what is said on it.
        on_error: called with (event key, exception) when deciding on a message failed.
    """

    def __init__(  # noqa: PLR0913 - what a decision is made from, each by its name
        self,
        *,
        facts: Mapping[str, LineFacts],
        conversations: Conversations,
        ids: Ids,
        decide: Decide,
        asking: Asking,
        is_direct: Callable[[tuple[str, str]], bool],
        is_gone: Callable[[str, str], bool],
        is_reachable: Callable[[str, str], bool],
        is_carried: Callable[[str], bool],
        on_error: Callable[[Key, Exception], None],
    ) -> None:
        self._facts = facts
        self._conversations = conversations
        self._ids = ids
        self.decide = decide
        self._asking = asking
        self._is_direct = is_direct
        self._is_gone = is_gone
        self._is_reachable = is_reachable
        self._is_carried = is_carried
        self._on_error = on_error

    def plan(self, items: Sequence[Item], skip: frozenset[int], now_ms: int) -> Plan:
        """Decide on every item but those in `skip` (duplicates), in order."""
        plan = Plan(Beat(now_ms=now_ms), has_turns=bool(self._asking))
        seen: set[tuple[bytes, int]] = set()
        idents = cast("Sequence[InboxId]", self._ids.take(len(items)))
        changed, cached = plan.overlay.get, self._conversations.get
        for position, item in enumerate(items):
            if position in skip:
                continue
            event = item.event
            state = changed(item.key) or cached(item.key)
            if state is None or event.chat.name != state.name or event.context:
                state = self.state_of(plan, item.key, event)
            if event.key is not None and _is_repeat(seen, event.key, event.alias, state.id):
                plan.repeats.append(position)
                continue
            if type(event) is MessageReceived and event.is_own:
                if self._is_echo(plan, item):
                    continue  # it is in the history already, as what we said
                takeovers.attended(plan.beat, state.id)
            plan.index.append(position)
            self._take(plan, item, state, idents[position])
        return plan

    def _is_echo(self, plan: Plan, item: Item) -> bool:
        """Whether an own message is what we sent; then that is proven."""
        event, now_ms = item.event, plan.beat.now_ms
        if type(event) is not MessageReceived or not item.written:
            return False
        row = echoes.explain(event, item.written, plan.echoed, now_ms)
        if row is None:
            return False
        if row.id not in plan.echoed and not row.peer_id:
            proof = Outcome(row.id, DeliveryState.CONFIRMED, now_ms, event.peer_id)
            plan.beat.echoed.append(proof)
        plan.echoed.add(row.id)
        return True

    def state_of(self, plan: Plan, key: Key, event: DurableEvent | None) -> ConversationState:
        """Return the state as this beat sees it, making a new conversation when there is none."""
        state = plan.overlay.get(key) or self._conversations.get(key)
        if state is None:
            name, context = (event.chat.name, event.context) if event is not None else ("", b"")
            state = ConversationState(
                self._conversations.new_id(), *key, name=name, context=context
            )
            self.note(plan, key, state)
        elif event is not None and event.chat.name and event.chat.name != state.name:
            state = msgspec.structs.replace(state, name=event.chat.name, context=event.context)
            self.note(plan, key, state)
        elif event is not None and event.context and not state.context:
            # Known from a question by HTTP only, which tells nobody how to address it.
            state = msgspec.structs.replace(state, context=event.context)
            self.note(plan, key, state)
        return state

    def note(self, plan: Plan, key: Key, state: ConversationState) -> None:
        """Put a changed state into the overlay; one row per conversation leaves with the beat."""
        plan.overlay[key] = state
        plan.changed[key] = None

    def finish(self, plan: Plan) -> Plan:
        """Close a plan: what changed in the overlay becomes the beat's conversation rows."""
        overlay = plan.overlay
        plan.beat.conversations = [overlay[key] for key in plan.changed]
        return plan

    def _take(self, plan: Plan, item: Item, state: ConversationState, ident: InboxId) -> None:
        facts = self._facts[item.key[0]]
        event = item.event
        beat = plan.beat
        is_question = type(event) is MessageReceived and not event.is_own
        if facts.has_brief_seats:
            state = self._with_brief(plan, item, state)
        if facts.takeover_for_ms and not is_question:
            state = self._said_elsewhere(plan, item, state, facts)
        if event.alias is not None:
            beat.aliases[ident] = event.alias
        kind = KINDS[type(event)]
        body = encode_event(event)
        later = self._turn_to_wait_for(plan, facts, state) if is_question else None
        if later is not None:
            beat.inbox.append(
                InboxRow(ident, state.id, event.key, kind, InboxState.WAITING, beat.now_ms, body)
            )
            beat.turns.append(later)  # no WAITING row is ever without a turn
            plan.asking.behind.add(state.id)
            return
        answers = _UNASKED
        try:
            is_carried = facts.traits.is_site and self._is_carried(facts.name)
            turn = turn_of(facts, state, (event,), beat.now_ms, beat.now_ms, is_carried=is_carried)
            verdict = self.decide(state, turn)
            if verdict.kind is _ASK:
                verdict, answers = self._decide_asking(plan, state, turn, answers, is_poison=False)
            why = encode_trace(verdict.trace)
        except Exception as error:  # noqa: BLE001 - the edge "beat": concerns this message only
            self._on_error(item.key, error)
            plan.dead += 1
            beat.inbox.append(
                InboxRow(
                    ident, state.id, event.key, kind, InboxState.DEAD, beat.now_ms, body,
                    reason=f"decide: {type(error).__name__}: {error}"[:500],
                )
            )  # fmt: skip
            return
        if verdict.kind is _ASK:
            beat.inbox.append(
                InboxRow(ident, state.id, event.key, kind, InboxState.WAITING, beat.now_ms, body)
            )
            behind = self._open_turn(plan, state)
            if behind is None:
                self._ask_first(plan, item, verdict, ident, answers)
            else:  # a notice; a message would have waited already
                beat.turns.append(behind)
                plan.asking.behind.add(state.id)
            return
        self.settle_verdict(plan, item.key, verdict, state)
        beat.inbox.append(InboxRow(ident, state.id, event.key, kind, _DONE, beat.now_ms, body, why))
        if verdict.replies:
            # A chat that the event names is called so by now.
            chat = event.chat if event.chat.name else verdict.state.chat
            asked = Question(ident, chat, event.context, item.origin)
            self.answer(plan, facts, verdict.state, asked, verdict.replies)
        else:
            since_ms = beat.now_ms if facts.traits.is_site and is_question else None
            _leave(beat, state, verdict, ident, since_ms)

    def _turn_to_wait_for(
        self, plan: Plan, facts: LineFacts, state: ConversationState
    ) -> TurnRow | None:
        """Return the turn that a message becomes part of; None = it is decided on now."""
        if plan.has_turns:
            open_turn = self._open_turn(plan, state)
            if open_turn is not None:  # answers keep the order of the questions
                return open_turn
        if not facts.debounce_s:
            return None
        now_ms = plan.beat.now_ms
        due = due_ms(now_ms, now_ms, facts.debounce_s)
        # The store moves a turn that is open already, and its cap counts from its beginning.
        return TurnRow(state.id, due, now_ms, cap_ms=cap_ms(facts.debounce_s))

    def _ask_first(
        self,
        plan: Plan,
        item: Item,
        verdict: Verdict,
        ident: InboxId,
        answers: Mapping[str, Answer],
    ) -> None:
        """Have a new message asked for, or let it wait until its account has room."""
        who, now_ms = item.key[:2], plan.beat.now_ms
        if self._asking.is_full(who, plan.asking.begun.get(who, 0)):
            conversation = verdict.state.id
            parked = TurnRow(conversation, now_ms, now_ms, "asking")
            plan.beat.turns.append(parked)
            plan.asking.parked[conversation] = parked
            plan.has_turns = True
            return
        self.settle_verdict(plan, item.key, verdict)
        first = TurnRow(verdict.state.id, 0, now_ms, "asking", attempts=1)
        self._ask(plan, item.key, verdict, (first, (ident,)), answers)

    def _said_elsewhere(
        self, plan: Plan, item: Item, state: ConversationState, facts: LineFacts
    ) -> ConversationState:
        """Take the conversation for the owner: no delivery explains what our account said."""
        if type(item.event) is not MessageReceived:
            return state
        said_ms = item.event.at_ms if facts.traits.age_from_peer else None
        changed, told = takeovers.said_elsewhere(plan.beat, state, said_ms, facts.takeover_for_ms)
        if changed is not state:
            self.note(plan, item.key, changed)
        if told is not None:
            plan.told.append((item.key, told))
        return changed

    def _with_brief(self, plan: Plan, item: Item, state: ConversationState) -> ConversationState:
        """Note whether the visitor can come back; it may have opted in meanwhile."""
        seat = item.origin.seat
        if seat is not None:
            is_brief = seat.is_brief
        else:
            seat_key = self._facts[item.key[0]].seat_of(state.chat)
            is_brief = state.is_brief or self._is_gone(item.key[0], seat_key)
        if is_brief is not state.is_brief:
            state = msgspec.structs.replace(state, is_brief=is_brief)
            self.note(plan, item.key, state)
        return state

    def _open_turn(self, plan: Plan, state: ConversationState) -> TurnRow | None:
        asked = plan.asking.asked.get(state.id)
        if asked is not None:
            return asked.turn
        return plan.asking.parked.get(state.id) or self._asking.open_turn(state.id)

    def _decide_asking(
        self,
        plan: Plan,
        state: ConversationState,
        turn: Turn,
        answers: Mapping[str, Answer],
        *,
        is_poison: bool,
    ) -> tuple[Verdict, Mapping[str, Answer]]:
        """Decide; a stage that cannot be asked now has failed, and the turn goes on at once.

        Args:
            is_poison: it was asked three times without an end.

        Returns:
            The verdict, and the answers that it was made with.
        """
        while True:
            verdict = self.decide(state, turn, answers)
            if verdict.kind is not _ASK or verdict.ask is None:
                return verdict, answers
            stage = verdict.ask[0]
            if stage in answers:
                raise RuntimeError(f"stage {stage} asks again although it was answered")
            failed = self._asking.refusal(stage, plan.asking.planned.get(stage, 0))
            if is_poison:
                failed = Failed("attempts")
            if failed is None:
                return verdict, answers
            answers = {**answers, stage: failed}

    def _ask(
        self,
        plan: Plan,
        key: Key,
        verdict: Verdict,
        waiting: tuple[TurnRow, tuple[InboxId, ...]],
        answers: Mapping[str, Answer],
    ) -> None:
        """Write an open turn and have it asked after the commit.

        Args:
            waiting: the turn with this attempt counted, and its rows.
            answers: of the stages that were asked before.
        """
        if verdict.ask is None:
            raise RuntimeError("a verdict ASK without a request")
        turn, rows = waiting
        due_ms = plan.beat.now_ms + AGAIN_MS
        turn = TurnRow(turn.conversation, due_ms, turn.since_ms, "asking", turn.attempts)
        plan.beat.turns.append(turn)
        stage, request = verdict.ask
        plan.asking.planned[stage] = plan.asking.planned.get(stage, 0) + 1
        if not self._asking.is_held(turn.conversation):
            plan.asking.begun[key[:2]] = plan.asking.begun.get(key[:2], 0) + 1
        plan.has_turns = True
        plan.asking.asked[turn.conversation] = Asked(
            turn, key, verdict.state, rows, stage, request, answers
        )

    def settle_verdict(
        self, plan: Plan, key: Key, verdict: Verdict, before: ConversationState | None = None
    ) -> None:
        """Count the verdict and keep what it changed.

        Args:
            before: the state that it was decided on, when the plan has it already.
        """
        trace = verdict.trace
        kind = verdict.kind._value_  # `value` is a descriptor written in Python: 0.2 µs
        label = f"{trace[-1].stage}:{kind}" if trace else kind
        plan.verdicts[label] = plan.verdicts.get(label, 0) + 1
        if before is None:
            before = plan.overlay.get(key) or self._conversations.get(key)
        after = verdict.state
        if after is before:
            return
        plan.overlay[key] = after
        if not verdict.is_counted:
            plan.changed[key] = None

    def answer(
        self,
        plan: Plan,
        facts: LineFacts,
        state: ConversationState,
        asked: Question,
        replies: Sequence[Reply],
    ) -> None:
        """Write the replies: SENDING and outgoing on the fast path, else QUEUED or DRAFT."""
        beat = plan.beat
        chat, origin, now_ms = asked.chat, asked.origin, beat.now_ms
        where = (facts.name, facts.seat_of(chat))
        is_here = origin is not None and origin.is_ready
        is_direct = (
            is_here
            and not facts.is_paused
            and facts.pace is None
            and self._is_direct(where)
            and where not in plan.seats  # nothing may pass what this beat queues
        )
        is_gone = state.is_brief and not is_here and not self._is_reachable(*where)
        expires = now_ms + REPLY_LIFE_MS if facts.traits.has_reply_expiry else 0
        for nth, reply in enumerate(replies):
            ident = answer_id(asked.row, nth)
            row_state, reason, attempt = _QUEUED, "", 0
            if reply.is_draft:
                row_state = DeliveryState.DRAFT
                beat.drafted.append(state.id)
            elif is_direct:
                row_state, attempt = _SENDING, 1
            elif is_gone:
                row_state, reason = DeliveryState.EXPIRED, GONE
            source = reply.source._value_  # as in `settle_verdict`
            if reply.name:
                source = f"{source}:{reply.name}"
            what = Say(reply.segments)
            row = OutboxRow(
                ident, state.id, row_state, now_ms, encode_what(what), source, attempt, 0,
                expires, reason,
            )  # fmt: skip
            beat.outbox.append(row)
            plan.said.append((row, state, reply.segments))
            if row_state is _SENDING:
                delivery = Delivery(ident, chat, what, asked.context, now_ms)
                plan.outgoing.append(Outgoing(delivery, where, origin))
            elif row_state is _QUEUED:
                plan.seats.add(where)
            elif row_state is DeliveryState.EXPIRED:
                self.give_back(plan, (facts.name, chat.account, chat.kind, chat.id), source)

    def give_back(self, plan: Plan, key: Key, source: str) -> None:
        """Give back what a delivery used up that was refused or never left.

        Args:
            source: of the delivery.
        """
        who, _, name = source.partition(":")
        if who != Source.DEFAULT.value:
            return
        state = self.state_of(plan, key, None)
        given = default_reply.give_back(state, name)
        if given is not state:
            self.note(plan, key, given)

    def take_post(self, plan: Plan, post: Post) -> None:
        """Write a delivery that answers nothing (API, person) as QUEUED."""
        facts = self._facts[post.key[0]]
        state = self.state_of(plan, post.key, None)
        now_ms = plan.beat.now_ms
        if post.is_brief is not state.is_brief and post.is_brief:
            state = msgspec.structs.replace(state, is_brief=True)
            self.note(plan, post.key, state)
        if post.number and state.taken_until_ms > now_ms:
            plan.posted[id(post)] = REFUSED
            return
        if is_person(post.source) or post.source == API:
            takeovers.attended(plan.beat, state.id)
        if is_person(post.source):
            spoken = takeovers.spoken(plan.beat, state)
            if spoken is not state:
                state = spoken
                self.note(plan, post.key, state)
        seat_key = facts.seat_of(state.chat)
        row_state = DeliveryState.QUEUED
        is_gone = self._is_gone(facts.name, seat_key)
        if is_gone:
            row_state = DeliveryState.EXPIRED
        elif post.number and facts.mode == "draft":
            row_state = DeliveryState.DRAFT
            plan.beat.drafted.append(state.id)
        row = OutboxRow(
            DeliveryId(self._ids.next()), state.id, row_state, now_ms,
            encode_say(post.segments), post.source,
            expires_ms=post.expires_ms, reason=GONE if is_gone else "", dedupe=post.dedupe,
            context=post.context,
        )  # fmt: skip
        plan.beat.outbox.append(row)
        plan.said.append((row, state, post.segments))
        plan.posted[id(post)] = row.id
        if post.number:
            plan.beat.numbers.append(message_number(post.number, facts.name, row.id))
        if row_state is DeliveryState.QUEUED:
            plan.seats.add((facts.name, seat_key))

    def take_enquiry(self, plan: Plan, enquiry: Enquiry) -> None:
        """Decide for somebody who asks by HTTP; what the answer uses up is counted at once."""
        state = self.state_of(plan, enquiry.key, None)
        try:
            verdict = enquiry.decide(state)
        except Exception as error:  # noqa: BLE001 - the edge "beat": concerns this question only
            self._on_error(enquiry.key, error)
            plan.answered[id(enquiry)] = error
            return
        plan.answered[id(enquiry)] = verdict
        if verdict.state is not state:
            self.note(plan, enquiry.key, verdict.state)

    def take_mark(self, plan: Plan, mark: Mark) -> None:
        """Give a conversation to a person, or back."""
        state = self.state_of(plan, mark.key, None)
        changed, told = takeovers.marked(plan.beat, state, mark)
        if mark.until_ms:
            takeovers.attended(plan.beat, state.id)
        if mark.until_ms and not self._facts[mark.key[0]].traits.is_site:
            # A site's visitor reads what waits for her; elsewhere it would come out of turn.
            plan.beat.withdrawn.append((state.id, takeovers.ANSWERED))
        if changed is not state:
            self.note(plan, mark.key, changed)
        if told is not None:
            plan.told.append((mark.key, told))

    def take_turn(self, plan: Plan, due: DueTurn) -> None:
        """Decide on a turn whose time has come: all its waiting rows become done together."""
        facts = self._facts.get(due.key[0])
        if facts is None:
            self.bury_turn(plan, due, "this line is not configured any more")
            return
        beat = plan.beat
        state = plan.overlay.get(due.key) or self._conversations.get(due.key) or due.state
        if due.turn.kind == takeovers.KIND:
            found = self._look_at_takeover(plan, due, state)
            if found is None:
                return
            state = found
        if not due.rows:
            self._end_turn(plan, due, state)
            return
        is_carried = facts.traits.is_site and self._is_carried(facts.name)
        turn = turn_of(
            facts, state, due.events, due.received_ms, beat.now_ms, is_carried=is_carried
        )
        # An answer belongs to the attempt that is counted already; without one it is a new one.
        attempts = due.turn.attempts + (0 if due.answers else 1)
        is_poison = attempts > MAX_ATTEMPTS
        try:
            verdict, answers = self._decide_asking(
                plan, state, turn, due.answers, is_poison=is_poison
            )
            why = encode_trace(verdict.trace)
        except Exception as error:  # noqa: BLE001 - the edge "beat": concerns this turn only
            self._on_error(due.key, error)
            self.bury_turn(plan, due, f"{type(error).__name__}: {error}")
            return
        self.settle_verdict(plan, due.key, verdict)
        if verdict.kind is _ASK:
            counted = TurnRow(state.id, 0, due.turn.since_ms, "asking", attempts)
            self._ask(plan, due.key, verdict, (counted, due.rows), answers)
            if due.has_more:
                plan.asking.behind.add(state.id)
            return
        beat.done += [(row, why) for row in due.rows]
        self._end_turn(plan, due, state)
        if verdict.replies:
            chat = verdict.state.chat
            origin = self._asking.sitter(facts, chat)
            asked = Question(due.rows[-1], chat, due.events[-1].context, origin)
            self.answer(plan, facts, verdict.state, asked, verdict.replies)
        else:
            is_waiting = facts.traits.is_site and state.id in beat.turns_done
            since_ms = due.turn.since_ms if is_waiting else None
            _leave(beat, state, verdict, due.rows[-1], since_ms)

    def _look_at_takeover(
        self, plan: Plan, due: DueTurn, state: ConversationState
    ) -> ConversationState | None:
        """Give a conversation back whose person did nothing; None = it is looked at again."""
        beat = plan.beat
        changed, told = takeovers.look(beat, state, due.turn)
        if told is not None:
            self.note(plan, due.key, changed)
            plan.told.append((due.key, told))
            return changed
        if beat.turns and beat.turns[-1].conversation == state.id and not due.rows:
            plan.asking.closed.append(state.id)  # the person did something meanwhile
            return None
        return state

    def _end_turn(self, plan: Plan, due: DueTurn, state: ConversationState) -> None:
        """End a turn, or go on with the messages that came behind it."""
        ident = state.id
        has_more = due.has_more or ident in plan.asking.behind or self._asking.is_behind(ident)
        debounce_s = self._facts[due.key[0]].debounce_s
        if not has_more or (debounce_s and not due.has_more and due.turn.kind == "debounce"):
            plan.beat.turns_done.append(ident)
            plan.asking.closed.append(ident)
            return
        now_ms = plan.beat.now_ms
        turn = TurnRow(ident, now_ms, now_ms, "asking")
        plan.beat.turns.append(turn)
        plan.asking.follows.append(turn)

    def bury_turn(self, plan: Plan, due: DueTurn, why: str) -> None:
        """End a turn without an answer, because there can be none."""
        plan.dead += 1
        trace = encode_trace((Step("decide", "error", (why[:500],)),))
        plan.beat.done += [(row, trace) for row in due.rows]
        if due.key[0] in self._facts:
            self._end_turn(plan, due, due.state)
        else:
            plan.beat.turns_done.append(due.turn.conversation)
            plan.asking.closed.append(due.turn.conversation)

    def keep(self, plan: Plan, kept: Mapping[tuple[str, str], bytes]) -> None:
        """Write session states."""
        plan.beat.kept = [KeptState(*where, state) for where, state in kept.items()]


def _leave(
    beat: Beat, state: ConversationState, verdict: Verdict, row: InboxId, since_ms: int | None
) -> None:
    """Note which person is waited for, where nothing is answered.

    Args:
        row: the last one of the turn: it stands for all of it.
        since_ms: since when whoever has a site's conversation is waited for; None = nobody waits.
    """
    if verdict.kind is _PERSON:
        beat.for_person.append((row, state.id))
    elif verdict.kind is _STOP and since_ms is not None:
        takeovers.await_person(beat, state, verdict, since_ms)


def _is_repeat(
    seen: set[tuple[bytes, int]], key: bytes, alias: bytes | None, conversation: int
) -> bool:
    """Whether an event with either key was in the beat already; if not, remember both."""
    mark = (key, conversation)
    if mark in seen:
        return True
    if alias:
        also = (alias, conversation)
        if also in seen:
            return True
        seen.add(also)
    seen.add(mark)
    return False


def turn_of(
    facts: LineFacts,
    state: ConversationState,
    events: tuple[DurableEvent, ...],
    received_ms: int,
    now_ms: int,
    *,
    is_carried: bool = False,
) -> Turn:
    """Build the turn that the pipeline sees.

    Args:
        events: a notice among them is alone (`turns.together`).
        received_ms: when the newest event reached us.
    """
    last = events[-1]
    is_message = type(last) is MessageReceived
    # On its way and here are not added: a debounce must make nothing stale (xianyu 10.4).
    age_ms = now_ms - received_ms
    if facts.traits.age_from_peer and last.at_ms is not None:
        age_ms = max(age_ms, received_ms - last.at_ms)
    if len(events) == 1 or facts.is_last_only:
        text = plain_text(last.segments) if is_message else ""
    else:
        text = "\n".join(
            plain_text(event.segments) for event in events if type(event) is MessageReceived
        )
    traits = facts.traits
    is_notice = type(last) is NoticeReceived
    return Turn(  # by position: half the time of names, once a message
        events,
        text,
        last.item if is_notice or is_message else "",
        _named(last.sender, state) if is_notice else last.sender,
        now_ms,
        facts.name,
        facts.mode,
        age_ms if age_ms > 0 else 0,
        facts.stale_after_ms,
        facts.is_enabled,
        traits.is_site,
        traits.loop_guard,
        facts.dialect,
        last.name if is_notice else "",
        is_carried,
    )


def _named(sender: Person | None, state: ConversationState) -> Person | None:
    """Return whom a notice is about, by the name of the chat where it only gives an id."""
    if sender is None or sender.name or not state.name:
        return sender
    return msgspec.structs.replace(sender, name=state.name)


def dead_row(item: Item, state: ConversationState, ident: int, now_ms: int, why: str) -> InboxRow:
    """Build the row for an event that cannot be stored as it is: no body, no key, the reason."""
    return InboxRow(
        InboxId(ident), state.id, None, KINDS[type(item.event)], InboxState.DEAD, now_ms, b"",
        reason=why,
    )  # fmt: skip


def decider(decide: Callable[..., Verdict], rulebook: Any, health: Any) -> Decide:
    """Bind the pipeline to a rulebook; answers of outside stages start empty on the fast path."""

    def bound(
        state: ConversationState, turn: Turn, answers: Mapping[str, Answer] = _UNASKED, /
    ) -> Verdict:
        return decide(state, turn, rulebook, answers, health)

    return bound
