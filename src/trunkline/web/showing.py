"""What people see of a row: lines, deliveries and messages as the shapes of `schemas.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.exchange.contract import DRAFT_LIFE_MS, PaceNow, Seen
from trunkline.ids import format_id, question_id
from trunkline.lines.contract import LineStatus, OddityStatus
from trunkline.model.address import format_address
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import HELD, Act, DeliveryState, Part, Say, Tell
from trunkline.model.event import DurableEvent, MessageReceived, NoticeReceived
from trunkline.model.message import summary
from trunkline.store.contract import MAX_LIFE_MS, InboxRow, OutboxRow, Queued

from .notation import format_time, format_when
from .schemas import DeliveryOut, LineOut, MessageOut, OddityOut, PaceOut, SeatOut

MAX_TEXT_CHARS: Final = 2000
LATE_AFTER_S: Final = 5.0  # shorter waits are the ordinary way: one chat keeps its order
_LEFT: Final = frozenset({DeliveryState.SENT, DeliveryState.CONFIRMED})
_NO_TEXT: Final = ""
FINAL: Final = frozenset(DeliveryState) - {
    DeliveryState.DRAFT, DeliveryState.QUEUED, DeliveryState.SENDING,
}  # fmt: skip


def to_pace(now: PaceNow) -> PaceOut:
    """Show how a line's pace stands."""
    return PaceOut(
        every_s=now.pace.every_ms / 1000,
        daily=now.pace.daily,
        sent_today=now.sent,
        next=format_when(now.free_ms),
    )


class Waiting(NamedTuple):
    """How many drafts and how many messages of a line wait for a person."""

    drafts: int = 0
    messages: int = 0


NOTHING_WAITS: Final = Waiting()


def to_line(
    status: LineStatus,
    pace: PaceNow | None = None,
    waiting: Waiting = NOTHING_WAITS,
    oddities: Sequence[OddityStatus] = (),
) -> LineOut:
    """Show a line."""
    return LineOut(
        name=status.name,
        dialect=status.dialect,
        role=status.role,
        link=status.link,
        state=status.state.value,
        mode=status.mode,
        overlays=list(status.overlays),
        where=list(status.where),
        links=status.links,
        seats=[
            SeatOut(
                key=seat.key,
                account=seat.account,
                peer=seat.peer,
                since=format_when(seat.since_ms),
                last=format_when(seat.last_ms),
            )
            for seat in status.seats
        ],
        received=status.received,
        sent=status.sent,
        last=format_when(status.last_ms),
        error=status.error,
        retry_in_s=status.retry_in_s,
        carries=status.carries,
        drafts=waiting.drafts,
        for_person=waiting.messages,
        pace=to_pace(pace) if pace is not None else None,
        oddities=[
            OddityOut(
                kind=one.kind, detail=one.detail, times=one.times, last=format_time(one.last_ms)
            )
            for one in oddities
        ],
    )


def to_delivery(
    row: OutboxRow,
    conversation: ConversationState,
    line: LineStatus | None,
    pace: PaceNow | None = None,
    behind: int = 0,
) -> DeliveryOut:
    """Show a delivery; `line` tells whether it is held (`design 5`), `pace` what it waits for.

    Args:
        behind: deliveries of its line that leave before it.
    """
    question = question_id(row.id)
    is_queued = row.state is DeliveryState.QUEUED
    # The clock of its answer begins with a person's word (reliability 1).
    is_draft = row.state is DeliveryState.DRAFT
    expires_ms = row.at_ms + DRAFT_LIFE_MS if is_draft else row.expires_ms
    paced_until = format_when(pace.free_ms) if is_queued and pace is not None else None
    stuck = line is not None and not {"paused", "needs-you"}.isdisjoint(line.overlays)
    return DeliveryOut(
        id=format_id("d", row.id),
        state=row.state.name.lower(),
        is_held=row.state in HELD or (is_queued and stuck),
        is_final=row.state in FINAL,
        at=format_time(row.at_ms),
        line=conversation.line,
        to=format_address(conversation.address),
        text=_say(row.body),
        source=row.source,
        attempt=row.attempt,
        reason=row.reason,
        peer_id=row.peer_id,
        due=format_when(row.due_ms),
        expires=format_when(expires_ms),
        settled=format_when(row.settled_ms),
        question=format_id("m", question) if question is not None else None,
        late_s=_late_s(row),
        paced_until=paced_until,
        paced_behind=behind if paced_until is not None else 0,
    )


def _late_s(row: OutboxRow) -> float:
    """Return how late a delivery left; an outage shows, the ordinary way does not."""
    if row.state not in _LEFT or not row.settled_ms:
        return 0.0
    # A person's word sets the life of a row anew, and its clock (`move_delivery`).
    decided_ms = max(row.at_ms, row.expires_ms - MAX_LIFE_MS)
    waited_s = (row.settled_ms - decided_ms) / 1000
    return round(waited_s, 1) if waited_s >= LATE_AFTER_S else 0.0


def to_queued(
    queued: Queued, line: LineStatus | None, pace: PaceNow | None = None, behind: int = 0
) -> DeliveryOut:
    """Show a delivery as the store lists it."""
    return to_delivery(queued.row, queued.conversation, line, pace, behind)


def to_message(row: InboxRow, conversation: ConversationState) -> MessageOut:
    """Show an event. Its words are gone when its time of keeping is over."""
    event = _read_event(row.body)
    sender = event.sender if event else None
    return MessageOut(
        id=format_id("m", row.id),
        kind=row.kind.name.lower(),
        state=row.state.name.lower(),
        at=format_time(row.at_ms),
        line=conversation.line,
        address=format_address(conversation.address),
        sender=sender.shown if sender else conversation.name or conversation.peer,
        name="" if event is None or isinstance(event, MessageReceived) else event.name,
        text=_tell(event),
        item=event.item if isinstance(event, MessageReceived) else "",
        attempts=row.attempts,
        reason=row.reason,
        for_person=row.is_for_person,
    )


def to_feed(seen: Seen) -> dict[str, Any]:
    """Show one thing of the live feed."""
    return {
        "what": seen.what,
        "id": feed_id(seen),
        "at": format_time(seen.at_ms),
        "line": seen.line,
        "address": seen.address,
        "sender": seen.sender,
        "text": seen.text[:MAX_TEXT_CHARS],
        "detail": seen.detail,
    }


def feed_id(seen: Seen) -> str:
    """Return the id of what was seen; "" for what is not stored."""
    if not seen.id:
        return ""
    return format_id("d" if seen.what in ("answer", "delivery") else "m", seen.id)


def _read_event(body: bytes) -> DurableEvent | None:
    # A row that could not be stored as it was is `dead` and may hold anything (reliability 1).
    try:
        return decode_event(body) if body else None
    except msgspec.DecodeError:
        return None


def _tell(event: DurableEvent | None) -> str:
    if event is None or isinstance(event, NoticeReceived):
        return _NO_TEXT
    if isinstance(event, MessageReceived):
        return summary(event.segments, MAX_TEXT_CHARS)
    return event.text[:MAX_TEXT_CHARS]


def _say(body: bytes) -> str:
    try:
        what = decode_what(body) if body else None
    except msgspec.DecodeError:
        return _NO_TEXT
    if isinstance(what, Say):
        return summary(what.segments, MAX_TEXT_CHARS)
    if isinstance(what, Part):
        return what.text[:MAX_TEXT_CHARS]
    if isinstance(what, Act):
        return f"[{what.name}]"
    return f"[{type(what.told).__name__}]" if isinstance(what, Tell) else _NO_TEXT
