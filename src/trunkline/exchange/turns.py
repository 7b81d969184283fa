"""Due rows: turns that wait for more words, or for a person's requeue, are taken up again.

The rows are the truth: after a restart they are read again, so no timer in memory holds a promise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from trunkline.clock import Clock
from trunkline.exchange.bodies import decode_event
from trunkline.exchange.extras import DueTurn
from trunkline.model.event import DurableEvent
from trunkline.store.contract import Store, TurnRow

BATCH = 64


class Turns:
    """Reads due turns and hands them to the beat.

    Args:
        hand_over: takes what is due into the next beat.
    """

    def __init__(
        self, *, store: Store, clock: Clock, hand_over: Callable[[Sequence[DueTurn]], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._hand_over = hand_over
        self._busy: set[int] = set()

    async def look(self) -> int:
        """Hand over what is due now; return how many turns that were.

        A turn handed over stays in the store until its beat is committed; it is not read again
        meanwhile, and after a failed beat it is simply due again.
        """
        due = await self._store.due_turns(self._clock.now_ms(), BATCH)
        ready = [
            found
            for turn in due
            if turn.conversation not in self._busy and (found := await self._read(turn)) is not None
        ]
        if ready:
            self._busy.update(one.turn.conversation for one in ready)
            self._hand_over(ready)
        return len(ready)

    async def _read(self, turn: TurnRow) -> DueTurn | None:
        state, rows = await self._store.waiting(turn.conversation)
        if state is None or not rows:
            return None
        return DueTurn(
            turn=turn,
            key=(state.line, state.account, state.kind, state.peer),
            state=state,
            events=tuple(event for row in rows if (event := _decode(row.body)) is not None),
            rows=tuple(row.id for row in rows),
            received_ms=rows[0].at_ms,
            over=lambda: self._busy.discard(turn.conversation),
        )


def _decode(body: bytes) -> DurableEvent | None:
    """Read an event; one that cannot be read must not keep the others from their turn."""
    try:
        return decode_event(body)
    except msgspec.DecodeError:
        return None
