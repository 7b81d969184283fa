"""Turns that wait: what becomes part of one, is asked for outside, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trunkline.exchange import takeovers
from trunkline.exchange.answering import Answering, leave
from trunkline.exchange.asking import AGAIN_MS, MAX_ATTEMPTS, Asked, Asking
from trunkline.exchange.contract import LineFacts
from trunkline.exchange.conversations import Conversations, Key
from trunkline.exchange.extras import DueTurn
from trunkline.exchange.plans import Decide, Item, Plan, Question, turn_of
from trunkline.ids import InboxId
from trunkline.model.asking import Answer, Failed
from trunkline.model.conversation import ConversationState
from trunkline.pipeline.debounce import cap_ms, due_ms
from trunkline.pipeline.trace import encode_trace
from trunkline.pipeline.turn import Step, Turn, Verdict, VerdictKind
from trunkline.store.contract import TurnRow

_ASK = VerdictKind.ASK


class Waiting:
    """Plans turns that are not over with their message.

    Args:
        answering: writes what is decided in the end.
        facts, conversations, asking, decide, is_carried, on_error: as of `Planner`.
    """

    def __init__(
        self,
        answering: Answering,
        *,
        facts: Mapping[str, LineFacts],
        conversations: Conversations,
        asking: Asking,
        decide: Decide,
        is_carried: Callable[[str], bool],
        on_error: Callable[[Key, Exception], None],
    ) -> None:
        self._answering = answering
        self._facts = facts
        self._conversations = conversations
        self._asking = asking
        self.decide = decide
        self._is_carried = is_carried
        self._on_error = on_error

    def turn_to_wait_for(
        self, plan: Plan, facts: LineFacts, state: ConversationState
    ) -> TurnRow | None:
        """Return the turn that a message becomes part of; None = it is decided on now."""
        if plan.has_turns:
            open_turn = self.open_turn(plan, state)
            if open_turn is not None:  # answers keep the order of the questions
                return open_turn
        if not facts.debounce_s:
            return None
        now_ms = plan.beat.now_ms
        due = due_ms(now_ms, now_ms, facts.debounce_s)
        # The store moves a turn that is open already, and its cap counts from its beginning.
        return TurnRow(state.id, due, now_ms, cap_ms=cap_ms(facts.debounce_s))

    def open_turn(self, plan: Plan, state: ConversationState) -> TurnRow | None:
        """Return the turn that is open in a conversation, by this beat or before it."""
        asked = plan.asking.asked.get(state.id)
        if asked is not None:
            return asked.turn
        return plan.asking.parked.get(state.id) or self._asking.open_turn(state.id)

    def ask_first(
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
        self._answering.settle_verdict(plan, item.key, verdict)
        first = TurnRow(verdict.state.id, 0, now_ms, "asking", attempts=1)
        self._ask(plan, item.key, verdict, (first, (ident,)), answers)

    def decide_asking(
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
            verdict, answers = self.decide_asking(
                plan, state, turn, due.answers, is_poison=is_poison
            )
            why = encode_trace(verdict.trace)
        except Exception as error:  # noqa: BLE001 - the edge "beat": concerns this turn only
            self._on_error(due.key, error)
            self.bury_turn(plan, due, f"{type(error).__name__}: {error}")
            return
        self._answering.settle_verdict(plan, due.key, verdict)
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
            self._answering.answer(plan, facts, verdict.state, asked, verdict.replies)
        else:
            is_waiting = facts.traits.is_site and state.id in beat.turns_done
            since_ms = due.turn.since_ms if is_waiting else None
            leave(beat, state, verdict, due.rows[-1], since_ms)

    def _look_at_takeover(
        self, plan: Plan, due: DueTurn, state: ConversationState
    ) -> ConversationState | None:
        """Give a conversation back whose person did nothing; None = it is looked at again."""
        beat = plan.beat
        changed, told = takeovers.look(beat, state, due.turn)
        if told is not None:
            self._answering.note(plan, due.key, changed)
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
