"""Own messages: is it the echo of something we sent, or did the owner write in the app?

A session explains what it sent over its own link. What it cannot explain comes here: the echo of
another link or another run of this process, or a person. The outbox knows: a delivery with the same
platform id, else one of the same chat with the same words, written at about that time and not yet
proven by another echo. Everything else is a person (Source: reliability 1 "Echo rule", xianyu 11).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from trunkline.exchange.bodies import decode_what
from trunkline.ids import ConversationId
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.event import MessageReceived
from trunkline.model.message import Segments, summary
from trunkline.store.contract import OutboxRow, Store

WINDOW_MS: Final = 120_000  # Source: xianyu 11
PAGE: Final = 200
PAGES: Final = 5
_LONG_CHARS: Final = 1_000  # a longer text may arrive in pieces
_WRITTEN: Final = frozenset({
    DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.CONFIRMED, DeliveryState.UNCERTAIN,
})  # fmt: skip


async def find_written(
    store: Store, conversation: ConversationId, event: MessageReceived, now_ms: int
) -> tuple[OutboxRow, ...]:
    """Return the deliveries of a chat that an own message may be the echo of, newest first.

    At most 1,000 rows of the chat are looked at, and none that is much older than the message.
    """
    since_ms = _when(event, now_ms) - WINDOW_MS
    found: list[OutboxRow] = []
    before = 0
    for _ in range(PAGES):
        rows = await store.history(conversation, before, PAGE)
        written = [one for one in rows if isinstance(one, OutboxRow) and one.state in _WRITTEN]
        found += written
        is_proven = event.peer_id and any(one.peer_id == event.peer_id for one in written)
        if len(rows) < PAGE or is_proven or rows[-1].at_ms < since_ms:
            break
        before = rows[-1].id
    return tuple(found)


def explain(
    event: MessageReceived, rows: Sequence[OutboxRow], taken: Collection[int], now_ms: int
) -> OutboxRow | None:
    """Return the delivery that an own message is the echo of; None = a person wrote it.

    Args:
        rows: what `find_written` found.
        taken: deliveries that other echoes of the same beat have explained.
    """
    if event.peer_id:
        for row in rows:
            if row.peer_id == event.peer_id:
                return row
    when_ms = _when(event, now_ms)
    words = _words(event.segments)
    # The oldest first: echoes come in the order of what they repeat.
    for row in reversed(rows):
        if not _is_near(row, when_ms):
            continue
        said = _said(row)
        is_whole = said == words and not row.peer_id and row.id not in taken
        if is_whole or (_is_in_pieces(row, said) and words in said):
            return row
    return None


def _when(event: MessageReceived, now_ms: int) -> int:
    return now_ms if event.at_ms is None else min(event.at_ms, now_ms)


def _is_near(row: OutboxRow, when_ms: int) -> bool:
    # What a restart made uncertain was settled long after it was written, what waited for a link
    # long after it was decided: either time may be the one.
    times = (row.at_ms, row.settled_ms) if row.settled_ms else (row.at_ms,)
    return any(abs(when_ms - at_ms) < WINDOW_MS for at_ms in times)


def _said(row: OutboxRow) -> str:
    try:
        what = decode_what(row.body) if row.body else None
    except msgspec.DecodeError:
        return ""
    return _words(what.segments) if isinstance(what, Say) else ""


def _is_in_pieces(row: OutboxRow, said: str) -> bool:
    """Whether it may have left as several messages, of which only the last one's id is known."""
    return len(said) > _LONG_CHARS or (said.endswith("]") and not said.startswith("["))


def _words(segments: Segments) -> str:
    return summary(segments, 1 << 20)
