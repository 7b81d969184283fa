"""Writes what was decided into a plan: states, replies, and what people and programs say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from trunkline.exchange import takeovers
from trunkline.exchange.bodies import encode_say, encode_what
from trunkline.exchange.contract import LineFacts
from trunkline.exchange.conversations import Conversations, Key
from trunkline.exchange.extras import REFUSED, Enquiry, Mark, Post
from trunkline.exchange.items import API, is_person
from trunkline.exchange.numbering import message_number
from trunkline.exchange.plans import GONE, Outgoing, Plan, Question
from trunkline.ids import DeliveryId, Ids, InboxId, answer_id
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import Delivery, DeliveryState, Say
from trunkline.model.event import DurableEvent
from trunkline.pipeline import default_reply
from trunkline.pipeline.turn import Reply, Source, Verdict, VerdictKind
from trunkline.store.contract import Beat, OutboxRow

REPLY_LIFE_MS = 120_000  # reliability 1: automatic replies carry expires_at (120 s)

# Reading a member off its enum costs 0.09 µs; a name of the module a tenth of it.
_QUEUED = DeliveryState.QUEUED
_SENDING = DeliveryState.SENDING


class Answering:
    """Writes into plans; nothing else is changed.

    Args:
        facts, conversations, ids, is_direct, is_gone, is_reachable, on_error: as of `Planner`.
    """

    def __init__(
        self,
        *,
        facts: Mapping[str, LineFacts],
        conversations: Conversations,
        ids: Ids,
        is_direct: Callable[[tuple[str, str]], bool],
        is_gone: Callable[[str, str], bool],
        is_reachable: Callable[[str, str], bool],
        on_error: Callable[[Key, Exception], None],
    ) -> None:
        self._facts = facts
        self._conversations = conversations
        self._ids = ids
        self._is_direct = is_direct
        self._is_gone = is_gone
        self._is_reachable = is_reachable
        self._on_error = on_error

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
            post.body or encode_say(post.segments), post.source,
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


def leave(
    beat: Beat, state: ConversationState, verdict: Verdict, row: InboxId, since_ms: int | None
) -> None:
    """Note which person is waited for, where nothing is answered.

    Args:
        row: the last one of the turn: it stands for all of it.
        since_ms: since when whoever has a site's conversation is waited for; None = nobody waits.
    """
    if verdict.kind is VerdictKind.PERSON:
        beat.for_person.append((row, state.id))
    elif verdict.kind is VerdictKind.STOP and since_ms is not None:
        takeovers.await_person(beat, state, verdict, since_ms)
