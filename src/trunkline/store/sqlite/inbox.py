"""Inbox rows: to values and back, and what people do with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from trunkline.ids import ConversationId, InboxId
from trunkline.model.conversation import ConversationState
from trunkline.store.contract import EventKind, InboxRow, InboxState, Page
from trunkline.store.media import MAX_ROW_BYTES, Media

from . import conversations
from .connection import Connection
from .paging import FIRST, LAST, WINDOW, WINDOWS, mask, page_of, read_cursor
from .statements import SQL
from .stream import INBOX, Stream

MARK_REQUEST: Final = 4  # a request that is DONE: people look for those
MARK_PERSON: Final = 5  # handed over, and no person has dealt with it
_MARKED: Final = frozenset(InboxState) - {InboxState.DONE}
_DONE: Final = InboxState.DONE
_MESSAGE: Final = EventKind.MESSAGE


def mark_of(state: InboxState, kind: EventKind) -> int | None:
    """Return what the row is found by, or None when it needs no attention."""
    if state in _MARKED:
        return int(state)
    return MARK_REQUEST if kind == EventKind.REQUEST else None


def to_row(row: InboxRow, media: Media, now_ms: int, seq: int | None) -> tuple[object, ...]:
    """Return the values of `insert_inbox`; a large body is written to its file."""
    body, digest = row.body or None, None
    if len(row.body) > MAX_ROW_BYTES:
        body, digest = None, media.put(row.body, now_ms)
    return (
        row.id, row.conversation, row.key, int(row.kind), int(row.state), row.at_ms, row.attempts,
        row.reason, mark_of(row.state, row.kind), digest, row.why or None, body, seq,
    )  # fmt: skip


def split(
    rows: Iterable[InboxRow], media: Media, now_ms: int, late: Mapping[int, int]
) -> tuple[list[object], list[object]]:
    """Return the values of `insert_decided` and those of `insert_inbox`, row after row.

    Bodies go as `bytearray`: the driver asks every other type, `bytes` too, whether it wants to be
    adapted (0.5 µs against 0.2 µs with the copy).

    Args:
        late: places in the stream of rows that must store theirs, by id.
    """
    decided: list[object] = []
    others: list[object] = []
    for row in rows:
        key, body = row.key, row.body
        if (
            row.state is _DONE and row.kind is _MESSAGE and key is not None and row.why
            and row.attempts == 1 and not row.reason and 0 < len(body) <= MAX_ROW_BYTES
            and not late
        ):  # fmt: skip
            decided += (
                row.id, row.conversation, bytearray(key), row.at_ms, bytearray(row.why),
                bytearray(body),
            )  # fmt: skip
        else:
            others += to_row(row, media, now_ms, late.get(row.id))
    return decided, others


def from_row(row: Sequence[Any], media: Media) -> InboxRow:
    """Return the value of a row as `message` selects it; a body that is gone is b""."""
    body = row[10] if row[8] is None else media.get(row[8])
    return InboxRow(
        id=InboxId(row[0]), conversation=ConversationId(row[1]), key=row[2],
        kind=EventKind(row[3]), state=InboxState(row[4]), at_ms=row[5], body=body or b"",
        why=row[9] or b"", attempts=row[6], reason=row[7], is_for_person=row[11] == MARK_PERSON,
    )  # fmt: skip


def get(connection: Connection, media: Media, ident: int) -> InboxRow | None:
    """Return one row."""
    row = connection.execute(SQL["message"], (ident,)).fetchone()
    return None if row is None else from_row(row, media)


def get_with_conversation(
    connection: Connection, media: Media, ident: int
) -> tuple[InboxRow, ConversationState] | None:
    """Return one row with its conversation."""
    row = get(connection, media, ident)
    if row is None:
        return None
    state = conversations.get(connection, row.conversation)
    return None if state is None else (row, state)


def waiting(connection: Connection, media: Media, conversation: int) -> list[InboxRow]:
    """Return the WAITING rows of a conversation, oldest first."""
    rows = connection.execute(SQL["waiting"], (conversation,)).fetchall()
    return [from_row(row, media) for row in rows]


def list_page(  # noqa: PLR0913 - what a list is narrowed by, each by its name
    connection: Connection,
    media: Media,
    *,
    line: str,
    states: Sequence[InboxState],
    kinds: Sequence[EventKind],
    after: int,
    cursor: str,
    limit: int,
    is_for_person: bool = False,
) -> Page:
    """List (row, conversation): newest first, or oldest first after `after`."""
    wanted = (mask(states or InboxState), mask(kinds or EventKind), line)
    is_rising = after > 0
    low, high = FIRST, LAST
    if is_rising:
        low = max(after, read_cursor(cursor, after))
    else:
        high = read_cursor(cursor, LAST)
    marks = [MARK_PERSON] if is_for_person else _marks(states, kinds)
    if marks:
        ids = _ids_by_marks(connection, marks, (low, high), wanted, is_rising=is_rising)
        page, cursor = page_of(ids, limit)
    else:
        page, cursor = _ids_by_windows(connection, (low, high), wanted, limit, is_rising=is_rising)
    found = (get_with_conversation(connection, media, ident) for ident in page)
    return Page([row for row in found if row is not None], cursor)


def for_person(connection: Connection, limit: int) -> dict[str, int]:
    """Return how many messages wait for a person by line, counting at most `limit` of all."""
    return dict(connection.execute(SQL["for_person_by_line"], (limit,)).fetchall())


def _marks(states: Sequence[InboxState], kinds: Sequence[EventKind]) -> list[int]:
    """Return the marks that all wanted rows have, or none when unmarked rows are wanted too."""
    if states and _MARKED.issuperset(states):
        return [int(state) for state in states]
    if kinds and all(kind == EventKind.REQUEST for kind in kinds):
        return [*map(int, _MARKED), MARK_REQUEST]
    return []


def _ids_by_marks(
    connection: Connection,
    marks: Sequence[int],
    bounds: tuple[int, int],
    wanted: tuple[int, int, str],
    *,
    is_rising: bool,
) -> list[int]:
    ids: list[int] = []
    for one in marks:
        rows = connection.execute(SQL["inbox_ids_by_mark"], (one, *bounds, *wanted))
        ids += [row[0] for row in rows]
    ids.sort(reverse=not is_rising)
    return ids


def _ids_by_windows(
    connection: Connection,
    bounds: tuple[int, int],
    wanted: tuple[int, int, str],
    limit: int,
    *,
    is_rising: bool,
) -> tuple[list[int], str]:
    """Look through the newest (or oldest) rows, window by window.

    Returns:
        Ids, and the cursor: a page may be short when rows of the wanted kind are rare, but it goes
        on as long as the cursor is not "".
    """
    low, high = bounds
    ids: list[int] = []
    edge = low if is_rising else high
    for _ in range(WINDOWS):
        sentence = SQL["inbox_ceiling" if is_rising else "inbox_floor"]
        end: int | None = connection.execute(sentence, (edge, WINDOW)).fetchone()[0]
        if end is None:
            return page_of(ids, limit)
        window = (edge, end + 1) if is_rising else (end - 1, edge)
        found = connection.execute(SQL["inbox_ids_between"], (*window, *wanted)).fetchall()
        ids += [row[0] for row in (found if is_rising else reversed(found))]
        if len(ids) > limit:
            return page_of(ids, limit)
        edge = end
    return ids, str(edge)


def move(
    connection: Connection,
    stream: Stream,
    ident: int,
    sources: Sequence[InboxState],
    to: InboxState,
    now_ms: int,
) -> bool:
    """Move a row for a person; requeue makes its turn due now.

    A row without a body cannot be processed: it stays where it is.
    """
    with stream.transaction(connection) as marks:
        row = connection.execute(SQL["inbox_state"], (ident,)).fetchone()
        if row is None or row[0] not in sources or (to is InboxState.WAITING and not row[3]):
            return False
        kind, conversation = EventKind(row[1]), row[2]
        (seq,) = marks.change(INBOX, [ident])
        connection.execute(SQL["move_message"], (ident, int(to), mark_of(to, kind), seq))
        if to is InboxState.WAITING:
            connection.execute(SQL["put_turn"], (conversation, now_ms, now_ms, "debounce", 0, 0))
        else:
            connection.execute(SQL["end_turn"], (conversation,))
    return True
