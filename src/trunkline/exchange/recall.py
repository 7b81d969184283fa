"""What was said lately in a conversation, in the words that a model is told."""

from __future__ import annotations

import msgspec

from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.ids import ConversationId
from trunkline.model.asking import Said
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.event import MessageReceived
from trunkline.model.message import summary
from trunkline.store.contract import InboxRow, OutboxRow, Store

MAX_PAST = 10
MAX_PAST_CHARS = 4_000  # reliability 8, "Model replies"
_SAID = frozenset({
    DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.CONFIRMED,
    DeliveryState.UNCERTAIN,
})  # fmt: skip


async def recall(store: Store, conversation: ConversationId, before: int) -> tuple[Said, ...]:
    """Return the last ≤ 10 things said before a row, ≤ 4,000 characters, oldest first."""
    past: list[Said] = []
    room = MAX_PAST_CHARS
    # Twice as many rows: some hold nothing that can be told.
    for row in await store.history(conversation, before, 2 * MAX_PAST):
        said = _said(row)
        if said is None:
            continue
        room -= len(said.text)
        if room < 0 or len(past) == MAX_PAST:
            break
        past.append(said)
    return tuple(reversed(past))


def _said(row: InboxRow | OutboxRow) -> Said | None:
    """Read one row; None for what cannot be told: pictures' bytes, notices, purged bodies."""
    if not row.body:
        return None
    try:
        if isinstance(row, OutboxRow):
            what = decode_what(row.body)
            if row.state in _SAID and isinstance(what, Say):
                return Said("assistant", summary(what.segments, MAX_PAST_CHARS))
            return None
        event = decode_event(row.body)
    except msgspec.DecodeError:
        return None
    if isinstance(event, MessageReceived):
        role = "assistant" if event.is_own else "user"
        return Said(role, summary(event.segments, MAX_PAST_CHARS))
    return None
