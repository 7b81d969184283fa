"""The store as the rest of the house sees it: values in, values out, two back-ends.

A beat is one transaction. `commit` either commits all of it, or nothing: then it says which inbox
rows are duplicates and the caller decides again without them. Everything a back-end cannot do now
raises `StoreUnavailable` or `StoreFull`; any other error concerns the rows offered, and the caller
halves the beat until the culprit is alone (`reliability 1`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from trunkline.ids import ConversationId, DeliveryId, InboxId
from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState

MAX_DRAFTS: Final = 16  # no fewer than the answers that one message may get
"""So many drafts of one conversation wait for a person; an older one gives way, visibly."""
MAX_LIFE_MS: Final = 86_400_000
"""An API's send lives 24 h, the longest of all; what a person moves lives as long from then on.
Source: reliability 3"""
CROWDED: Final = f"more than {MAX_DRAFTS} drafts waited in this conversation"


class InboxState(IntEnum):
    """Where an inbox row stands. The numbers are stored; never reuse one."""

    WAITING = 0  # its turn is not decided yet (debounce, asking) → DONE, DEAD
    DONE = 1  # decided: answered, handed over or left alone; `why` tells
    DEAD = 2  # could not be processed or stored. → WAITING by a person (requeue)
    DISCARDED = 3  # a person dropped it


class EventKind(IntEnum):
    """What an inbox row holds."""

    MESSAGE = 0
    NOTICE = 1
    REQUEST = 2


class InboxRow(msgspec.Struct, frozen=True, gc=False):
    """One event.

    Args:
        key: unique with the conversation; None = never a duplicate.
        at_ms: when we received it.
        body: msgpack of the event (see `exchange/bodies.py`); over 32 KiB it goes to a media file.
        why: msgpack of the trace, or b"".
        reason: why the row is dead, else "".
        is_for_person: it was handed over, and no person has dealt with it. Written by
            `Beat.for_person` only.
    """

    id: InboxId
    conversation: ConversationId
    key: bytes | None
    kind: EventKind
    state: InboxState
    at_ms: int
    body: bytes
    why: bytes = b""
    attempts: int = 1
    reason: str = ""
    is_for_person: bool = False


class OutboxRow(msgspec.Struct, frozen=True, gc=False):
    """One delivery.

    Args:
        body: msgpack of `What`; over 32 KiB it goes to a media file.
        source: `Source.value` and name: `rule:price`, `api`.
        due_ms: not before; 0 = now.
        expires_ms: not after; 0 = never.
        peer_id: the platform's id once sent.
        dedupe: the caller's `Idempotency-Key`, unique when not "".
        context: of a delivery that answers nothing: what a session needs to address it, b"" = what
            the conversation last carried.
    """

    id: DeliveryId
    conversation: ConversationId
    state: DeliveryState
    at_ms: int
    body: bytes
    source: str = ""
    attempt: int = 0
    due_ms: int = 0
    expires_ms: int = 0
    reason: str = ""
    peer_id: str = ""
    settled_ms: int = 0
    dedupe: str = ""
    context: bytes = b""


class Edit(msgspec.Struct, frozen=True):
    """A person's own words for a draft: `body` and `source` as in `OutboxRow`."""

    body: bytes
    source: str


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """A new state of an outbox row that is SENDING (or SENT, for a late proof)."""

    id: DeliveryId
    state: DeliveryState
    at_ms: int
    peer_id: str = ""
    reason: str = ""
    due_ms: int = 0


class KeptState(msgspec.Struct, frozen=True):
    """A session's small state, by (line, account)."""

    line: str
    account: str
    state: bytes


class PaceRow(msgspec.Struct, frozen=True):
    """What a line with a pace has used up of it.

    Args:
        day: local days since 1970, in which `sent` counts.
        sent: deliveries that were claimed on that day and not given back.
        last_ms: when the last one was claimed.
    """

    line: str
    day: int = 0
    sent: int = 0
    last_ms: int = 0


class TurnRow(msgspec.Struct, frozen=True):
    """A conversation that must be looked at later.

    Args:
        due_ms: when; never later than `since_ms` plus the cap of its kind.
        since_ms: when the turn began.
        kind: `debounce`, `asking`, `takeover` (a person has it and a message waits for her).
        cap_ms: the longest wait from the beginning of the turn that is open already, which the
            writer of a later message need not know; 0 = `due_ms` as given. Not stored.
    """

    conversation: ConversationId
    due_ms: int
    since_ms: int
    kind: str = "debounce"
    attempts: int = 0
    cap_ms: int = 0


NumberKey: TypeAlias = tuple[str, str, str]  # line, kind, ident


class Number(msgspec.Struct, frozen=True):
    """A number that stands for something of a line, for peers that know no other ids.

    Args:
        id: positive int32, given once.
        kind: `chat`, `message`, or `quote` for a message that was only heard of.
        ident: what it stands for, unique with line and kind.
        row: the inbox or outbox row that it is forgotten with, 0 = never.
    """

    id: int
    line: str
    kind: str
    ident: str
    row: int = 0

    @property
    def key(self) -> NumberKey:
        """What it is looked up by."""
        return (self.line, self.kind, self.ident)


class Beat(msgspec.Struct):
    """What one transaction writes. Built by the exchange, consumed whole.

    Args:
        inbox, outbox: new rows.
        conversations: new or changed states (upsert by id).
        claims: ids QUEUED → SENDING, attempt + 1. Written after `sent_ranges` and `outcomes`: a
            range of an earlier beat must not settle what is claimed only now.
        sent_ranges: (first, last) inclusive ids, SENDING → SENT, one update each.
        outcomes: single results.
        done: inbox ids WAITING → DONE with the *why* blob.
        kept: session states.
        echoed: deliveries that came back as own messages: whatever was thought of them, they are
            CONFIRMED.
        withdrawn: (conversation, why): automatic answers that are QUEUED there → EXPIRED, before
            anything is claimed.
        drafted: conversations that get a new draft: beyond `MAX_DRAFTS` the oldest give way.
        answered: (conversation, why): drafts there → EXPIRED, because a person has answered.
        attended: conversations where a person answered or took over: nothing there waits for a
            person any more. Written before `for_person`.
        for_person: (inbox id, its conversation) of rows that are DONE, of this beat or earlier
            ones, which were handed over to a person.
        paces: upsert by line, with the claims that they count.
        turns: upsert by conversation; `turns_done`: delete.
        numbers: new ones. An ident that an older message has passes to the newer one.
        aliases: second keys of inbox rows, b"" for one that may only be the key of another: a row
            is a duplicate when either is known in its conversation.
    """

    inbox: list[InboxRow] = []
    outbox: list[OutboxRow] = []
    conversations: list[ConversationState] = []
    claims: list[DeliveryId] = []
    sent_ranges: list[tuple[int, int]] = []
    outcomes: list[Outcome] = []
    echoed: list[Outcome] = []
    withdrawn: list[tuple[ConversationId, str]] = []
    drafted: list[ConversationId] = []
    answered: list[tuple[ConversationId, str]] = []
    attended: list[ConversationId] = []
    for_person: list[tuple[InboxId, ConversationId]] = []
    paces: list[PaceRow] = []
    done: list[tuple[InboxId, bytes]] = []
    kept: list[KeptState] = []
    turns: list[TurnRow] = []
    turns_done: list[ConversationId] = []
    numbers: list[Number] = []
    aliases: dict[InboxId, bytes] = {}
    now_ms: int = 0


class Committed(msgspec.Struct, frozen=True):
    """The result: all of it is durable (`is_whole`), or it was rolled back whole.

    Args:
        duplicates: indexes into `beat.inbox` whose (key, conversation) exists already.
        known: the states of chats that the beat has as new ones under another id: the caller
            guessed instead of looking them up.
        unclaimed: ids of `beat.claims` that were not QUEUED any more; they must not be sent.
        withdrawn: deliveries that `beat.withdrawn` ended.
    """

    duplicates: frozenset[int] = frozenset()
    unclaimed: frozenset[int] = frozenset()
    known: tuple[ConversationState, ...] = ()
    withdrawn: tuple[DeliveryId, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the beat was written."""
        return not (self.duplicates or self.known)


class Queued(msgspec.Struct, frozen=True):
    """A queued delivery with what a session needs to send it."""

    row: OutboxRow
    conversation: ConversationState
    context: bytes
    question: InboxRow | None = None


class BadCursor(ValueError):
    """A cursor is none that a list gave out."""


class Queue(msgspec.Struct, frozen=True):
    """The queue of a seat.

    Args:
        rows: those that may leave now, oldest first.
        depth: QUEUED rows that are not too late, `rows` included.
        due_ms: the earliest due time of those that wait for one, 0 = none does.
    """

    rows: list[Queued]
    depth: int
    due_ms: int


class Page(msgspec.Struct, frozen=True):
    """One page of a list; `cursor` is "" at its end."""

    rows: list[Any]
    cursor: str = ""


class Changes(msgspec.Struct, frozen=True):
    """A piece of the change stream.

    Args:
        rows: (seq, row, conversation), ascending seq.
        seq: the position after these rows; ask again with it.
        is_gap: rows between `after` and the first one may be gone (retention): read lists anew.
    """

    rows: list[tuple[int, InboxRow | OutboxRow, ConversationState]]
    seq: int
    is_gap: bool = False


class Store(Protocol):
    """One database. `open` and `close` belong to `app.py`, the rest to its owner named below."""

    async def open(self) -> int:
        """Check, migrate, mark what was SENDING at the last stop; return the highest row id.

        Raises:
            StoreTooNew: the data was written by a newer trunkline.
            StoreUnavailable: the file cannot be read or is damaged.
        """
        ...

    async def close(self) -> None:
        """Checkpoint and close."""
        ...

    # -- the exchange ------------------------------------------------------------------------

    async def commit(self, beat: Beat) -> Committed:
        """Write one beat durably (FULL), or report duplicates and write nothing."""
        ...

    async def find_conversations(
        self, keys: Sequence[tuple[str, str, str, str]]
    ) -> list[ConversationState | None]:
        """Look up (line, account, kind, peer); None where there is none yet."""
        ...

    async def next_conversation_id(self) -> int:
        """Return the first id that no conversation has; the exchange counts on from it."""
        ...

    async def find_numbers(self, keys: Sequence[NumberKey]) -> list[Number | None]:
        """Look up (line, kind, ident); None where there is none yet."""
        ...

    async def numbers(self, idents: Sequence[int]) -> list[Number | None]:
        """Look up numbers; None where none was given, or it is forgotten."""
        ...

    async def next_number(self) -> int:
        """Return the first number that was never given; the exchange counts on from it."""
        ...

    async def put_numbers(self, numbers: Sequence[Number]) -> None:
        """Write numbers beside a beat; one that is there gets this ident."""
        ...

    async def queued(self, line: str, account: str, peer: str, limit: int, now_ms: int) -> Queue:
        """Return a seat's queue: what may leave now, oldest first, and what else waits.

        `peer` "" = all chats of the account. A conversation's rows come in order, and none comes
        while an earlier one of it waits for its due time or is SENDING.
        """
        ...

    async def queued_chats(self, limit: int) -> list[tuple[str, Chat, bool]]:
        """Return at most `limit` conversations that have QUEUED rows.

        As (line, chat, whether its peer's seat never comes back after its link).
        """
        ...

    async def expire(self, now_ms: int, limit: int) -> list[DeliveryId]:
        """QUEUED rows past `expires_ms` → EXPIRED; return at most `limit` of them."""
        ...

    async def expire_drafts(
        self, before_ms: int, reason: str, now_ms: int, limit: int
    ) -> list[DeliveryId]:
        """DRAFT rows made before `before_ms` → EXPIRED; return at most `limit` of them."""
        ...

    async def expire_carried(
        self, line: str, keep: int, reason: str, now_ms: int, limit: int
    ) -> list[DeliveryId]:
        """QUEUED rows carried to a line (source `carry:…`), but the newest `keep` → EXPIRED.

        Return at most `limit` of them.
        """
        ...

    async def expire_seat(
        self, line: str, account: str, peer: str, reason: str
    ) -> list[DeliveryId]:
        """QUEUED rows of a seat that never comes back → EXPIRED; return them."""
        ...

    async def paces(self) -> list[PaceRow]:
        """Return what lines have used up of their paces."""
        ...

    async def due_turns(
        self, now_ms: int, limit: int, *, besides: Sequence[tuple[str, str]] = ()
    ) -> list[TurnRow]:
        """Return turns whose time has come, earliest first.

        Args:
            besides: (line, account) pairs whose turns are left out.
        """
        ...

    async def waiting(
        self, conversation: ConversationId
    ) -> tuple[ConversationState | None, list[InboxRow]]:
        """Return a conversation and its WAITING rows, oldest first."""
        ...

    async def waiting_of(
        self, idents: Sequence[ConversationId]
    ) -> list[tuple[ConversationState | None, list[InboxRow]]]:
        """Return the same for several conversations, in their order, in one look-up."""
        ...

    async def kept(self, line: str, account: str) -> bytes | None:
        """Return the state last kept."""
        ...

    # -- people: web and cli -----------------------------------------------------------------

    async def delivery(self, ident: DeliveryId) -> Queued | None:
        """Return one delivery with its conversation."""
        ...

    async def delivery_by_dedupe(self, dedupe: str) -> DeliveryId | None:
        """Return the delivery of an `Idempotency-Key`."""
        ...

    async def deliveries(
        self, *, states: Sequence[DeliveryState], line: str, cursor: str, limit: int
    ) -> Page:
        """List `Queued`, newest first."""
        ...

    async def move_delivery(
        self,
        ident: DeliveryId,
        sources: Sequence[DeliveryState],
        to: DeliveryState,
        reason: str,
        edit: Edit | None = None,
    ) -> bool:
        """A person moves a row (requeue, discard, approve); False when it is not in `sources`.

        Args:
            edit: what it says from now on, in the same commit.
        """
        ...

    async def move_group(self, reason: str, to: DeliveryState, why: str) -> int:
        """Move every UNCERTAIN row with this reason (what one restart left); return how many."""
        ...

    async def message(self, ident: InboxId) -> tuple[InboxRow, ConversationState] | None:
        """Return one inbox row, with its body."""
        ...

    async def answers(self, ident: InboxId) -> list[OutboxRow]:
        """Return the deliveries that answer an inbox row."""
        ...

    async def messages(
        self, *, line: str, states: Sequence[InboxState], kinds: Sequence[EventKind],
        after: int, cursor: str, limit: int, is_for_person: bool = False,
    ) -> Page:  # fmt: skip
        """List (InboxRow, ConversationState): newest first, or oldest first after `after`.

        Args:
            is_for_person: only those that wait for a person since they were handed over.
        """
        ...

    async def move_message(
        self, ident: InboxId, sources: Sequence[InboxState], to: InboxState
    ) -> bool:
        """A person moves an inbox row; requeue also makes its turn due now."""
        ...

    async def history(
        self, conversation: ConversationId, before: int, limit: int
    ) -> list[InboxRow | OutboxRow]:
        """Return what was said in a conversation, newest first, row ids below `before` (0 = any).

        Messages and requests received, and deliveries in any state but DRAFT and DISCARDED.
        """
        ...

    async def conversations(self, *, line: str, cursor: str, limit: int) -> Page:
        """List (ConversationState, last InboxRow | OutboxRow | None), last active first."""
        ...

    async def changes(self, after: int, limit: int) -> Changes:
        """Return rows that are new or changed since `seq` `after`, in the order of their `seq`.

        A row that changed twice comes once, with its last state. `after` 0 = from the oldest kept.
        """
        ...

    async def last_change(self) -> int:
        """Return the `seq` of the newest change, 0 when there is none: where "from now on" is."""
        ...

    async def index_history(self, limit: int, *, at_least: int = 1) -> int:
        """Index at most `limit` new rows of each table for `history`; return how many rows.

        Does nothing while fewer than `at_least` rows wait.
        """
        ...

    async def erase(self, conversation: ConversationId) -> int:
        """Forget everything that was said in a conversation; return how many rows that were."""
        ...

    async def drafts(self, limit: int) -> dict[str, int]:
        """Return how many drafts wait by line, counting at most `limit` of all."""
        ...

    async def for_person(self, limit: int) -> dict[str, int]:
        """Return how many messages wait for a person by line, counting at most `limit` of all."""
        ...

    async def counts(self) -> dict[str, int]:
        """Return rows by state (`outbox.uncertain`, `inbox.dead`), for metrics and `readyz`."""
        ...

    async def retain(self, now_ms: int, policy: Retention) -> int:
        """Delete at most one batch of what is too old; return how many rows (0 = all done)."""
        ...

    def free_bytes(self) -> int:
        """Return the free space of the data folder's disk."""
        ...


class Retention(msgspec.Struct, frozen=True):
    """How long things are kept, in days (`reliability 3`); per line for bodies.

    Args:
        bodies_days: default for message bodies; `lines_days` overrides by line.
        changes_days: how far back the change stream goes.
        batch: rows per call.
    """

    bodies_days: float = 30
    media_days: float = 7
    why_days: float = 14
    dead_days: float = 30
    keys_days: float = 30
    changes_days: float = 7
    lines_days: dict[str, float] = {}
    batch: int = 500
