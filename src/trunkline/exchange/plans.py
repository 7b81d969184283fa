"""A beat on its way to be committed, as values: what came, what leaves, what was decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from trunkline.dialects.contract import Receipt
from trunkline.exchange.asking import Changes
from trunkline.exchange.bodies import KINDS
from trunkline.exchange.contract import LineFacts, Origin
from trunkline.exchange.conversations import Key
from trunkline.ids import DeliveryId, InboxId
from trunkline.model.address import Chat
from trunkline.model.asking import Answer
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import Delivery
from trunkline.model.event import DurableEvent, MessageReceived, NoticeReceived, Person
from trunkline.model.history import TakeoverChanged
from trunkline.model.message import Segments, plain_text
from trunkline.pipeline.turn import Turn, Verdict
from trunkline.store.contract import Beat, InboxRow, InboxState, OutboxRow

GONE = "the visitor left"
# Where events are kept that cannot be stored as they are: one conversation of each line.
UNSTORABLE = ("", "unstorable", "unstorable")
UNASKED: Mapping[str, Answer] = {}


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
        state: ConversationState, turn: Turn, answers: Mapping[str, Answer] = UNASKED, /
    ) -> Verdict:
        return decide(state, turn, rulebook, answers, health)

    return bound
