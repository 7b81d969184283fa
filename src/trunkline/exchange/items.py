"""Rows as things that were said: what histories, watchers and other tabs are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.ids import question_id
from trunkline.model.delivery import Say
from trunkline.model.event import DurableEvent, NoticeReceived
from trunkline.model.history import HistoryItem, Speaker
from trunkline.model.message import Segments
from trunkline.store.contract import InboxRow, OutboxRow, Store

API: Final = "api"
PERSON: Final = "person"
BROADCAST: Final = "broadcast"
_SPEAKERS: Final[Mapping[str, Speaker]] = {PERSON: "operator", BROADCAST: "system"}


def person_source(name: str) -> str:
    """Return the `source` of what a person says."""
    return f"{PERSON}:{name}" if name else PERSON


def is_person(source: str) -> bool:
    """Whether a person of ours says it."""
    return source.partition(":")[0] == PERSON


def from_event(ident: int, at_ms: int, event: DurableEvent) -> HistoryItem | None:
    """Return what was received; None for a notice, which nobody said."""
    if isinstance(event, NoticeReceived):
        return None
    return HistoryItem(ident, at_ms, "user", event, context=event.context)


def from_said(row: OutboxRow, segments: Segments, question: bytes) -> HistoryItem:
    """Return what we said.

    Args:
        question: the context of the event that it answers, b"" when it answers none.
    """
    who, _, name = row.source.partition(":")
    speaker: Speaker = _SPEAKERS.get(who, "assistant")
    return HistoryItem(
        row.id, row.at_ms, speaker, None, segments, question,
        name if speaker == "operator" else "", row.state.name.lower(),
    )  # fmt: skip


async def read_items(store: Store, rows: Sequence[InboxRow | OutboxRow]) -> list[HistoryItem]:
    """Return the items of rows, in their order; what cannot be shown any more is left out."""
    contexts: dict[int, bytes] = {}
    items: dict[int, HistoryItem] = {}
    for row in rows:
        if isinstance(row, InboxRow):
            event = _event(row)
            item = from_event(row.id, row.at_ms, event) if event is not None else None
            if item is not None:
                contexts[row.id] = item.context
                items[row.id] = item
    for row in rows:
        if isinstance(row, InboxRow):
            continue
        segments = _segments(row)
        if segments is None:
            continue
        asked = question_id(row.id)
        if asked is not None and asked not in contexts:
            found = await store.message(asked)
            event = _event(found[0]) if found is not None else None
            contexts[asked] = event.context if event is not None else b""
        items[row.id] = from_said(row, segments, contexts.get(asked or 0, b""))
    return [items[row.id] for row in rows if row.id in items]


def _event(row: InboxRow) -> DurableEvent | None:
    if not row.body:  # forgotten by retention
        return None
    try:
        return decode_event(row.body)
    except msgspec.DecodeError:
        return None


def _segments(row: OutboxRow) -> Segments | None:
    if not row.body:
        return None
    try:
        what = decode_what(row.body)
    except msgspec.DecodeError:
        return None
    return what.segments if isinstance(what, Say) else None
