"""What a beat carries besides events: outcomes, claims, posts, enquiries, kept states, turns.

Split from the events, so that a row that cannot be stored fails alone and never an event's beat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from trunkline.exchange.conversations import Key
from trunkline.ids import DeliveryId, InboxId
from trunkline.model.asking import Answer
from trunkline.model.conversation import ConversationState
from trunkline.model.event import DurableEvent
from trunkline.model.message import Segments
from trunkline.pipeline.turn import Verdict
from trunkline.store.contract import Outcome, Queued, TurnRow

# Instead of the id of a delivery: there is none, because a person has the conversation.
REFUSED: Final = DeliveryId(0)


class Post(msgspec.Struct):
    """A delivery that answers nothing, asked for by a person or a program.

    Args:
        done: resolved with the delivery's id after the commit, or with the store's error.
        context: what a session needs to address it; b"" = what the conversation last carried.
        is_brief: the seat that it goes to never comes back.
        number: of the message, when a framework says it through a line that carries this one: then
            it is refused while a person has the conversation (`done` gives `REFUSED`), and a draft
            where the line's mode is.
        body: what is written, when it is more than the segments.
    """

    key: Key
    segments: Segments
    source: str
    dedupe: str
    expires_ms: int
    done: asyncio.Future[DeliveryId]
    context: bytes = b""
    is_brief: bool = False
    number: int = 0
    body: bytes = b""


class Mark(msgspec.Struct):
    """A conversation is given to a person, or back.

    Args:
        until_ms: until when the person has it; 0 = given back.
        done: resolved with `until_ms` after the commit, or with the store's error.
    """

    key: Key
    until_ms: int
    name: str
    reason: str
    done: asyncio.Future[int]


class Enquiry(msgspec.Struct):
    """Somebody asks by HTTP what would be said in a chat, and the answer is counted.

    Args:
        decide: the pipeline without what only a received message has; pure.
        done: resolved with the verdict after the commit, or with the error.
    """

    key: Key
    decide: Callable[[ConversationState], Verdict]
    done: asyncio.Future[Verdict]


class DueTurn(msgspec.Struct):
    """A conversation whose time has come, with the rows that waited.

    Args:
        rows: empty when nothing waits any more: then the turn only ends.
        answers: what came back from outside, by stage; empty at the first time.
        has_more: further rows of the conversation wait behind these.
    """

    turn: TurnRow
    key: Key
    state: ConversationState
    events: tuple[DurableEvent, ...]
    rows: tuple[InboxId, ...]
    received_ms: int
    answers: Mapping[str, Answer] = {}
    has_more: bool = False


class Claim(msgspec.Struct, frozen=True):
    """Queued deliveries that shall leave with the next beat.

    Args:
        committed: called right after the commit.
    """

    rows: tuple[Queued, ...]
    committed: Callable[[], None]


class SentRange(msgspec.Struct, frozen=True, gc=False):
    """A beat whose deliveries, and no other row with an id between them, were simply written.

    Args:
        ids: of the deliveries, ascending.
    """

    ids: tuple[int, ...]

    @property
    def first(self) -> int:
        """The lowest id."""
        return self.ids[0]

    @property
    def last(self) -> int:
        """The highest id."""
        return self.ids[-1]


class Extras(msgspec.Struct):
    """Everything but events that the next beat writes.

    Args:
        unsaid: answers that the store let expire: what they used up is given back.
    """

    outcomes: list[Outcome] = []
    ranges: list[SentRange] = []
    claims: list[Claim] = []
    posts: list[Post] = []
    marks: list[Mark] = []
    enquiries: list[Enquiry] = []
    kept: dict[tuple[str, str], bytes] = {}
    turns: list[DueTurn] = []
    unsaid: list[Queued] = []

    def is_empty(self) -> bool:
        """Whether nothing at all waits."""
        return not (
            self.outcomes
            or self.ranges
            or self.claims
            or self.posts
            or self.marks
            or self.enquiries
            or self.kept
            or self.turns
            or self.unsaid
        )

    def is_urgent(self) -> bool:
        """Whether something waits that must not wait for 0.1 s."""
        return bool(self.claims or self.posts or self.marks or self.enquiries or self.turns)

    def without_kept(self) -> Extras:
        """Return all but the kept states."""
        return msgspec.structs.replace(self, kept={})

    def put_back(self, older: Extras) -> None:
        """Take back what an earlier beat could not write; it comes before what is new."""
        self.outcomes[:0] = older.outcomes
        self.ranges[:0] = older.ranges
        self.claims[:0] = older.claims
        self.posts[:0] = older.posts
        self.marks[:0] = older.marks
        self.enquiries[:0] = older.enquiries
        self.turns[:0] = older.turns
        self.unsaid[:0] = older.unsaid
        for key, state in older.kept.items():
            self.kept.setdefault(key, state)

    def fail(self, error: Exception) -> None:
        """Tell who waits for a post, a mark or an answer that it was not written."""
        for waiting in (*self.posts, *self.marks, *self.enquiries):
            if not waiting.done.done():
                waiting.done.set_exception(error)

    def singles(self) -> list[Extras]:
        """Split into parts of one row each, to find the one that cannot be written."""
        return [
            *(Extras(ranges=[one]) for one in self.ranges),
            *(Extras(outcomes=[one]) for one in self.outcomes),
            *(Extras(claims=[one]) for one in self.claims),
            *(Extras(posts=[one]) for one in self.posts),
            *(Extras(marks=[one]) for one in self.marks),
            *(Extras(enquiries=[one]) for one in self.enquiries),
            *(Extras(kept={key: state}) for key, state in self.kept.items()),
            *(Extras(turns=[one]) for one in self.turns),
            *(Extras(unsaid=[one]) for one in self.unsaid),
        ]
