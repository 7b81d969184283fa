"""Due rows: turns that wait for more words, or for a person's requeue, are taken up again.

The rows are the truth: after a restart they are read again, so no timer in memory holds a promise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from trunkline.clock import Clock
from trunkline.exchange.bodies import decode_event
from trunkline.exchange.contract import LineFacts
from trunkline.exchange.extras import DueTurn
from trunkline.ids import ConversationId
from trunkline.model.asking import Answer
from trunkline.model.conversation import ConversationState
from trunkline.store.contract import EventKind, InboxRow, InboxState, Store, TurnRow

BATCH: Final = 64
ROUNDS: Final = 16  # of one look: a thousand turns may be due in one second


class Holder(Protocol):
    """Who has turns under way that are not to be taken up here (`asking.Asking`)."""

    @property
    def held(self) -> int:
        """How many."""
        ...

    @property
    def full(self) -> tuple[tuple[str, str], ...]:
        """The (line, account) pairs that can take up no further turn now."""
        ...

    def is_held(self, conversation: ConversationId) -> bool:
        """Whether this one."""
        ...

    def is_full(self, who: tuple[str, str]) -> bool:
        """Whether this account can take up no further turn now."""
        ...


class Turns:
    """Reads due turns and hands them to the beat.

    Args:
        hand_over: takes what is due into the next beat, and holds it.
        asking: knows which turns are under way.
        facts: by line; messages of a line without debounce are taken up one by one.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        hand_over: Callable[[Sequence[DueTurn]], None],
        asking: Holder,
        facts: Mapping[str, LineFacts],
    ) -> None:
        self._store = store
        self._clock = clock
        self._hand_over = hand_over
        self._asking = asking
        self._facts = facts

    async def look(self) -> int:
        """Hand over what is due now; return how many turns that were.

        A turn handed over is held until its beat is committed, and is not read again meanwhile;
        after a failed beat it is simply due again.
        """
        count = 0
        for _ in range(ROUNDS):
            found = await self._take()
            count += found
            if found < BATCH:
                break
        return count

    async def _take(self) -> int:
        """Hand over one batch of what is due; accounts that are full wait for their turn."""
        asking = self._asking
        now_ms = self._clock.now_ms()
        due = await self._store.due_turns(now_ms, BATCH + asking.held, besides=asking.full)
        due = [turn for turn in due if not asking.is_held(turn.conversation)]
        if not due:
            return 0
        # One look-up for all of them: each would wait behind the commit that is under way.
        found = await self._store.waiting_of([turn.conversation for turn in due])
        count = 0
        for turn, (state, waiting) in zip(due, found, strict=True):
            rows = await readable(self._store, waiting)
            # Looked at again: a message may have opened a turn of its own while we read.
            if state is None or asking.is_held(turn.conversation):
                continue
            if asking.is_full((state.line, state.account)):
                continue
            taken = together(self._facts.get(state.line), rows)
            self._hand_over((due_turn(turn, state, taken, {}, has_more=len(taken) < len(rows)),))
            count += 1
        return count


def together(facts: LineFacts | None, rows: Sequence[InboxRow]) -> Sequence[InboxRow]:
    """Return the first of the waiting rows that are decided on as one turn.

    Messages of a line with debounce, as many as came; anything else alone, in order.
    """
    count = 0
    for row in rows:
        if row.kind is not EventKind.MESSAGE:
            break
        count += 1
    if facts is not None and not facts.debounce_s:
        count = min(count, 1)
    return rows[: max(count, 1)]


async def readable(store: Store, rows: Sequence[InboxRow]) -> list[InboxRow]:
    """Return the rows that can be read; the others are DEAD from now on and hold nothing up."""
    sound: list[InboxRow] = []
    for row in rows:
        try:
            decode_event(row.body)
        except msgspec.DecodeError:
            await store.move_message(row.id, (InboxState.WAITING,), InboxState.DEAD)
        else:
            sound.append(row)
    return sound


def due_turn(
    turn: TurnRow,
    state: ConversationState,
    rows: Sequence[InboxRow],
    answers: Mapping[str, Answer],
    *,
    has_more: bool,
) -> DueTurn:
    """Build what the beat takes from a turn's rows."""
    return DueTurn(
        turn=turn,
        key=(state.line, state.account, state.kind, state.peer),
        state=state,
        events=tuple(decode_event(row.body) for row in rows),
        rows=tuple(row.id for row in rows),
        received_ms=rows[-1].at_ms if rows else turn.since_ms,
        answers=answers,
        has_more=has_more,
    )
