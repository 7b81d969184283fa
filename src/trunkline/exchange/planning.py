"""A beat is a value built from its inputs: events in, rows and deliveries out.

Nothing here waits, and nothing is changed that a failed commit would have to undo: decisions are
made on an overlay of the conversation cache, which the caller merges after the commit. A second
message of one conversation sees what the first one changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from trunkline.exchange import echoes, takeovers
from trunkline.exchange.answering import Answering, leave
from trunkline.exchange.asking import Asking
from trunkline.exchange.bodies import KINDS, encode_event
from trunkline.exchange.contract import LineFacts
from trunkline.exchange.conversations import Conversations, Key
from trunkline.exchange.plans import UNASKED, Decide, Item, Plan, Question, turn_of
from trunkline.exchange.waiting import Waiting
from trunkline.ids import Ids, InboxId
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState
from trunkline.model.event import MessageReceived
from trunkline.pipeline.trace import encode_trace
from trunkline.pipeline.turn import VerdictKind
from trunkline.store.contract import Beat, InboxRow, InboxState, KeptState, Outcome

# Reading a member off its enum costs 0.09 µs; a name of the module a tenth of it.
_DONE = InboxState.DONE
_ASK = VerdictKind.ASK


class Planner:
    """Builds plans.

    What becomes of a message at once is here; `answering` writes what was decided, `waiting` has
    the turns that are not over with their message.

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
        self._decide = decide
        self._asking = asking
        self._is_gone = is_gone
        self._is_carried = is_carried
        self._on_error = on_error
        self.answering = Answering(
            facts=facts,
            conversations=conversations,
            ids=ids,
            is_direct=is_direct,
            is_gone=is_gone,
            is_reachable=is_reachable,
            on_error=on_error,
        )
        self.waiting = Waiting(
            self.answering,
            facts=facts,
            conversations=conversations,
            asking=asking,
            decide=decide,
            is_carried=is_carried,
            on_error=on_error,
        )

    def use(self, decide: Decide) -> None:
        """Decide by another rulebook from now on."""
        self._decide = self.waiting.decide = decide

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
            if (
                state is None
                or event.chat.name != state.name
                or (event.context and not state.context)
            ):
                state = self.answering.state_of(plan, item.key, event)
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
        later = self.waiting.turn_to_wait_for(plan, facts, state) if is_question else None
        if later is not None:
            beat.inbox.append(
                InboxRow(ident, state.id, event.key, kind, InboxState.WAITING, beat.now_ms, body)
            )
            beat.turns.append(later)  # no WAITING row is ever without a turn
            plan.asking.behind.add(state.id)
            return
        answers = UNASKED
        try:
            is_carried = facts.traits.is_site and self._is_carried(facts.name)
            turn = turn_of(facts, state, (event,), beat.now_ms, beat.now_ms, is_carried=is_carried)
            verdict = self._decide(state, turn)
            if verdict.kind is _ASK:
                verdict, answers = self.waiting.decide_asking(
                    plan, state, turn, answers, is_poison=False
                )
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
            behind = self.waiting.open_turn(plan, state)
            if behind is None:
                self.waiting.ask_first(plan, item, verdict, ident, answers)
            else:  # a notice; a message would have waited already
                beat.turns.append(behind)
                plan.asking.behind.add(state.id)
            return
        self.answering.settle_verdict(plan, item.key, verdict, state)
        beat.inbox.append(InboxRow(ident, state.id, event.key, kind, _DONE, beat.now_ms, body, why))
        if verdict.replies:
            # A chat that the event names is called so by now.
            chat = event.chat if event.chat.name else verdict.state.chat
            asked = Question(ident, chat, event.context, item.origin)
            self.answering.answer(plan, facts, verdict.state, asked, verdict.replies)
        else:
            since_ms = beat.now_ms if facts.traits.is_site and is_question else None
            leave(beat, state, verdict, ident, since_ms)

    def _said_elsewhere(
        self, plan: Plan, item: Item, state: ConversationState, facts: LineFacts
    ) -> ConversationState:
        """Take the conversation for the owner: no delivery explains what our account said."""
        if type(item.event) is not MessageReceived:
            return state
        said_ms = item.event.at_ms if facts.traits.age_from_peer else None
        changed, told = takeovers.said_elsewhere(plan.beat, state, said_ms, facts.takeover_for_ms)
        if changed is not state:
            self.answering.note(plan, item.key, changed)
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
            self.answering.note(plan, item.key, state)
        return state

    def keep(self, plan: Plan, kept: Mapping[tuple[str, str], bytes]) -> None:
        """Write session states."""
        plan.beat.kept = [KeptState(*where, state) for where, state in kept.items()]


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
