"""REST shapes: what the API takes and gives, and how rows become it. OpenAPI is made from these.

Ids cross the API as strings (`m-…`, `d-…`), instants as RFC 3339 in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.exchange.contract import DRAFT_LIFE_MS, PaceNow, Seen
from trunkline.ids import DeliveryId, InboxId, format_id, parse_id, question_id
from trunkline.lines.contract import LineStatus, OddityStatus
from trunkline.model.address import format_address
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import HELD, Act, DeliveryState, Part, Say, Tell
from trunkline.model.event import DurableEvent, MessageReceived, NoticeReceived
from trunkline.model.message import summary
from trunkline.store.contract import (
    MAX_LIFE_MS,
    EventKind,
    InboxRow,
    InboxState,
    OutboxRow,
    Queued,
)

from .problem import Problem, Said

Mode = Literal["auto", "draft", "off"]
MAX_TEXT_CHARS: Final = 2000
LATE_AFTER_S: Final = 5.0  # shorter waits are the ordinary way: one chat keeps its order
_LEFT: Final = frozenset({DeliveryState.SENT, DeliveryState.CONFIRMED})
_NO_TEXT: Final = ""
FINAL: Final = frozenset(DeliveryState) - {
    DeliveryState.DRAFT, DeliveryState.QUEUED, DeliveryState.SENDING,
}  # fmt: skip


class Shape(BaseModel):
    """A REST value: no key is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SeatOut(Shape):
    """One ready link."""

    key: str
    account: str
    peer: str
    since: str | None
    last: str | None


class PaceOut(Shape):
    """How fast a line sends at most, and how far it has used that up.

    `daily` 0 = any number. `next`: when the next delivery may leave, null = now.
    """

    every_s: float
    daily: int
    sent_today: int
    next: str | None


class OddityOut(Shape):
    """Something odd at a line: sizes, hashes and reasons, never what was in it."""

    kind: str
    detail: str
    times: int
    last: str


class LineOut(Shape):
    """One line as it is now. `received` and `sent` count from the start of the process.

    `drafts`: deliveries that wait for a person; `for_person`: messages that do. `pace`:
    null when it sends as fast as it can. `oddities`: of the last day, newest first, the same
    ones counted; only where one line is shown.
    """

    name: str
    dialect: str
    role: str
    link: str
    state: str
    mode: str
    overlays: list[str]
    where: list[str]
    links: int
    seats: list[SeatOut]
    received: int
    sent: int
    last: str | None
    error: str
    retry_in_s: float
    carries: str = ""
    drafts: int = 0
    for_person: int = 0
    pace: PaceOut | None = None
    oddities: list[OddityOut] = []


class LinesOut(Shape):
    """All lines, in file order."""

    lines: list[LineOut]


class ModeIn(Shape):
    """A line's mode until the next start."""

    mode: Mode


class CredentialIn(Shape):
    """What a line logs in with from now on (闲鱼: the cookie string). It is never given back."""

    credential: Annotated[SecretStr, Field(min_length=1, max_length=65_536)]


class ApproveIn(Shape):
    """Other words for a draft; without any it keeps its own. Its pictures stay."""

    text: Annotated[str, Field(min_length=1, max_length=20_000, pattern=r"\S")] | None = None


class MessageIn(Shape):
    """A message to be sent: to `line/kind:id[@account]`, a string or a list of segments."""

    to: Annotated[str, Field(max_length=2048)]
    message: str | list[dict[str, Any]]


class SentOut(Shape):
    """It is stored and will be sent. `is_repeat`: by an earlier call with the same key."""

    delivery_id: str
    is_repeat: bool = False


class DeliveryOut(Shape):
    """One delivery and how far it got.

    `is_held`: it waits for a person. `question`: the message it answers. `late_s`: it left so many
    seconds after it had been decided on, by a person where one did; 0 = in time. `paced_until`: it
    is queued and its line's pace lets nothing leave before then; `paced_behind` so many others of
    the line leave before it.
    """

    id: str
    state: str
    is_held: bool
    is_final: bool
    at: str
    line: str
    to: str
    text: str
    source: str
    attempt: int
    reason: str
    peer_id: str
    due: str | None
    expires: str | None
    settled: str | None
    question: str | None
    late_s: float
    paced_until: str | None = None
    paced_behind: int = 0


class DeliveriesOut(Shape):
    """A page, newest first; `cursor` is "" on the last one."""

    deliveries: list[DeliveryOut]
    cursor: str


class MessageOut(Shape):
    """One event that came in. `name` is a notice's or request's own word.

    `for_person`: it was handed over, and nobody has answered, taken over or put it away since.
    """

    id: str
    kind: str
    state: str
    at: str
    line: str
    address: str
    sender: str
    name: str
    text: str
    item: str
    attempts: int
    reason: str
    for_person: bool = False


class MessagesOut(Shape):
    """A page: newest first, or oldest first with `after`; `cursor` is "" on the last one."""

    messages: list[MessageOut]
    cursor: str


class MessageDetailOut(Shape):
    """One event with what was answered."""

    message: MessageOut
    answers: list[DeliveryOut]


class StepOut(Shape):
    """What one stage of the pipeline said."""

    stage: str
    verdict: str
    detail: list[str]


class WhyOut(Shape):
    """Why a message was answered as it was. `steps` is for programs, `lines` for people."""

    id: str
    message: MessageOut
    answers: list[DeliveryOut]
    steps: list[StepOut]
    lines: list[str]


class MovedOut(Shape):
    """What a person's decision changed."""

    id: str
    state: str


class DecidedOut(MovedOut):
    """What a person's decision on a delivery changed.

    `is_repeat`: it was so already. `newer`: messages that came in after the one that a draft
    answers, at most 20 are counted.
    """

    is_repeat: bool = False
    newer: int = 0


class GroupOut(Shape):
    """How many deliveries a decision on a whole group changed."""

    reason: str
    moved: int


def format_time(wall_ms: int) -> str:
    """Format an instant as RFC 3339, UTC, with milliseconds."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_when(wall_ms: int) -> str | None:
    """Format an instant, or None for 0 = never."""
    return format_time(wall_ms) if wall_ms else None


def read_delivery_id(text: str) -> DeliveryId:
    """Parse `d-…` out of a path.

    Raises:
        Problem: `invalid`.
    """
    return DeliveryId(_read_id("d", text))


def read_message_id(text: str) -> InboxId:
    """Parse `m-…` out of a path.

    Raises:
        Problem: `invalid`.
    """
    return InboxId(_read_id("m", text))


def _read_id(kind: str, text: str) -> int:
    try:
        return parse_id(kind, text)
    except ValueError:
        said = Said(f"编号的形式是 {kind}-…", f"An id here looks like {kind}-…")
        raise Problem("invalid", said) from None


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


STATES: Final = {state.name.lower(): state for state in DeliveryState}
INBOX_STATES: Final = {state.name.lower(): state for state in InboxState}
KINDS: Final = {kind.name.lower(): kind for kind in EventKind}
