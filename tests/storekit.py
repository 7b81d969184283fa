"""Rows for the store's tests, and the back-ends they run against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from trunkline.clock import FakeClock
from trunkline.ids import ConversationId, DeliveryId, InboxId, answer_id, id_at
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import (
    Beat,
    Committed,
    EventKind,
    InboxRow,
    InboxState,
    OutboxRow,
)  # fmt: skip
from trunkline.store.sqlite import SqliteStore

NOW_MS = FakeClock().now_ms()
DAY_MS = 86_400_000
BACK_ENDS: dict[str, Callable[[Path, FakeClock], SqliteStore]] = {
    "sqlite": lambda folder, clock: SqliteStore(folder, clock=clock),
}
MakeStore: TypeAlias = Callable[[], SqliteStore]

SENDING = DeliveryState.SENDING
QUEUED = DeliveryState.QUEUED
SENT = DeliveryState.SENT
CONFIRMED = DeliveryState.CONFIRMED
UNCERTAIN = DeliveryState.UNCERTAIN
DONE = InboxState.DONE
WAITING = InboxState.WAITING
DEAD = InboxState.DEAD


def chat(
    ident: int, line: str = "mai", account: str = "bot", kind: str = "private", peer: str = ""
) -> ConversationState:
    """Return a conversation; its peer is `u<ident>` unless it is named."""
    return ConversationState(ConversationId(ident), line, account, kind, peer or f"u{ident}")


def message_id(nth: int, at_ms: int = NOW_MS) -> InboxId:
    """Return the id of the nth (0 …) row of a moment."""
    return InboxId(id_at(at_ms) + 16 * nth)


def message(
    nth: int,
    conversation: int = 1,
    *,
    key: bytes | None = b"",
    state: InboxState = DONE,
    at_ms: int = NOW_MS,
    **more: Any,
) -> InboxRow:
    """Return an inbox row; its key is its number unless one is given (None = no key)."""
    return InboxRow(
        id=message_id(nth, at_ms),
        conversation=ConversationId(conversation),
        key=b"%d:%d" % (at_ms, nth) if key == b"" else key,
        kind=more.pop("kind", EventKind.MESSAGE),
        state=state,
        at_ms=at_ms,
        body=more.pop("body", b"question %d" % nth),
        **more,
    )


def answer(
    nth: int,
    conversation: int = 1,
    *,
    state: DeliveryState = SENDING,
    at_ms: int = NOW_MS,
    **more: Any,
) -> OutboxRow:
    """Return the first answer to `message(nth)`."""
    return OutboxRow(
        id=answer_id(message_id(nth, at_ms), 0),
        conversation=ConversationId(conversation),
        state=state,
        at_ms=at_ms,
        body=more.pop("body", b"answer %d" % nth),
        source=more.pop("source", "rule:price"),
        attempt=more.pop("attempt", 1 if state is SENDING else 0),
        **more,
    )


def delivery_id(nth: int, at_ms: int = NOW_MS) -> DeliveryId:
    """Return the id of `answer(nth)`."""
    return answer_id(message_id(nth, at_ms), 0)


async def put(store: SqliteStore, **parts: Any) -> Committed:
    """Commit a beat of these parts."""
    return await store.commit(Beat(now_ms=parts.pop("now_ms", NOW_MS), **parts))


async def states_of(store: SqliteStore, ids: Sequence[int]) -> list[DeliveryState | None]:
    """Return the states of deliveries."""
    found = [await store.delivery(DeliveryId(ident)) for ident in ids]
    return [None if one is None else one.row.state for one in found]


async def all_messages(store: SqliteStore) -> list[InboxRow]:
    """Return every inbox row, newest first."""
    page = await store.messages(line="", states=(), kinds=(), after=0, cursor="", limit=10_000)
    assert page.cursor == ""
    return [row for row, _ in page.rows]


async def all_deliveries(store: SqliteStore) -> list[OutboxRow]:
    """Return every outbox row, newest first."""
    page = await store.deliveries(states=(), line="", cursor="", limit=10_000)
    assert page.cursor == ""
    return [one.row for one in page.rows]
