"""What a beat carries besides events: outcomes, claims, posts, kept states, turns.

Split from the events, so that a row that cannot be stored fails alone and never an event's beat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from trunkline.dialects.contract import Receipt
from trunkline.exchange.contract import Origin
from trunkline.exchange.conversations import Key
from trunkline.ids import DeliveryId, InboxId
from trunkline.model.conversation import ConversationState
from trunkline.model.event import DurableEvent
from trunkline.model.message import Segments
from trunkline.store.contract import Outcome, Queued, TurnRow


class Post(msgspec.Struct):
    """A delivery that answers nothing, asked for by a person or a program.

    Args:
        done: resolved with the delivery's id after the commit, or with the store's error.
    """

    key: Key
    segments: Segments
    source: str
    dedupe: str
    expires_ms: int
    done: asyncio.Future[DeliveryId]


class DueTurn(msgspec.Struct):
    """A conversation whose time has come, with the rows that waited.

    Args:
        events: those that can still be read; empty = none can.
        over: called once it is decided and committed.
    """

    turn: TurnRow
    key: Key
    state: ConversationState
    events: tuple[DurableEvent, ...]
    rows: tuple[InboxId, ...]
    received_ms: int
    over: Callable[[], None]


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
    """Everything but events that the next beat writes."""

    outcomes: list[Outcome] = []
    ranges: list[SentRange] = []
    claims: list[Claim] = []
    posts: list[Post] = []
    kept: dict[tuple[str, str], bytes] = {}
    turns: list[DueTurn] = []

    def is_empty(self) -> bool:
        """Whether nothing at all waits."""
        return not (
            self.outcomes or self.ranges or self.claims or self.posts or self.kept or self.turns
        )

    def is_urgent(self) -> bool:
        """Whether something waits that must not wait for 0.1 s."""
        return bool(self.claims or self.posts or self.turns)

    def without_kept(self) -> Extras:
        """Return all but the kept states."""
        return msgspec.structs.replace(self, kept={})

    def put_back(self, older: Extras) -> None:
        """Take back what an earlier beat could not write; it comes before what is new."""
        self.outcomes[:0] = older.outcomes
        self.ranges[:0] = older.ranges
        self.claims[:0] = older.claims
        self.posts[:0] = older.posts
        self.turns[:0] = older.turns
        for key, state in older.kept.items():
            self.kept.setdefault(key, state)

    def singles(self) -> list[Extras]:
        """Split into parts of one row each, to find the one that cannot be written."""
        return [
            *(Extras(ranges=[one]) for one in self.ranges),
            *(Extras(outcomes=[one]) for one in self.outcomes),
            *(Extras(claims=[one]) for one in self.claims),
            *(Extras(posts=[one]) for one in self.posts),
            *(Extras(kept={key: state}) for key, state in self.kept.items()),
            *(Extras(turns=[one]) for one in self.turns),
        ]


class Settling(msgspec.Struct):
    """Receipts and sizes of one link in one beat, for `Origin.committed`."""

    origin: Origin
    receipts: list[Receipt] = []
    events: int = 0
    size_bytes: int = 0
