"""Outbox rows: to values and back, queues of seats, and what people do with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from trunkline.ids import ConversationId, DeliveryId, id_at, question_id
from trunkline.model.address import Chat
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import (
    MAX_LIFE_MS,
    Edit,
    OutboxRow,
    PaceRow,
    Page,
    Queue,
    Queued,
)
from trunkline.store.media import MAX_ROW_BYTES, Media

from . import conversations, inbox
from .connection import Connection
from .flight import Flight
from .paging import LAST, WINDOW, WINDOWS, mask, page_of, read_cursor
from .statements import SQL
from .stream import OUTBOX, Marks, Stream

# A tuple: the hash of an enum's member is written in Python.
UNMARKED: Final = (DeliveryState.CONFIRMED, DeliveryState.SENT, DeliveryState.SENDING)
_SENDING: Final = DeliveryState.SENDING
_TOO_LATE: Final = "too late"
_NO_BODY: Final = "its media file is gone"


def mark_of(state: DeliveryState) -> int | None:
    """Return what the row is found by, or None when it needs no attention."""
    return None if state in UNMARKED else int(state)


def to_row(row: OutboxRow, media: Media, now_ms: int, seq: int | None) -> tuple[object, ...]:
    """Return the values of `insert_outbox`; a large body is written to its file."""
    body, digest = row.body, None
    if len(body) > MAX_ROW_BYTES:
        body, digest = None, media.put(body, now_ms)
    return (
        row.id, row.conversation, int(row.state), row.at_ms, row.source, row.attempt, row.due_ms,
        row.expires_ms, row.settled_ms, row.reason, row.peer_id, row.dedupe or None,
        mark_of(row.state), digest, body, seq, row.context or None,
    )  # fmt: skip


def split(
    rows: Iterable[OutboxRow], media: Media, now_ms: int, late: Mapping[int, int]
) -> tuple[list[object], list[object]]:
    """Return the values of `insert_leaving` and those of `insert_outbox`, as `inbox.split`."""
    leaving: list[object] = []
    others: list[object] = []
    for row in rows:
        body = row.body
        if (
            row.state is _SENDING and row.attempt == 1 and len(body) <= MAX_ROW_BYTES and not late
            and not (
                row.due_ms or row.settled_ms or row.reason or row.peer_id or row.dedupe
                or row.context
            )
        ):  # fmt: skip
            leaving += (
                row.id, row.conversation, row.at_ms, row.source, row.expires_ms, bytearray(body)
            )  # fmt: skip
        else:
            others += to_row(row, media, now_ms, late.get(row.id))
    return leaving, others


def from_row(row: Sequence[Any], media: Media) -> OutboxRow:
    """Return the value of a row as `delivery` selects it; a body that is gone is b""."""
    body = row[13] if row[12] is None else media.get(row[12])
    return OutboxRow(
        id=DeliveryId(row[0]), conversation=ConversationId(row[1]), state=DeliveryState(row[2]),
        at_ms=row[3], body=body or b"", source=row[4], attempt=row[5], due_ms=row[6],
        expires_ms=row[7], settled_ms=row[8], reason=row[9], peer_id=row[10], dedupe=row[11] or "",
        context=row[14] or b"",
    )  # fmt: skip


# -- queues --------------------------------------------------------------------------------------


def _seat_rows(connection: Connection, line: str, account: str, peer: str) -> Iterable[Any]:
    """Yield (id, conversation, due_ms, expires_ms) of a seat's QUEUED rows, oldest first."""
    if peer:
        return connection.execute(SQL["queued_of_peer"], (line, account, peer))
    return connection.execute(SQL["queued_of_account"], (line, account))


def queued(
    connection: Connection,
    media: Media,
    followers: tuple[Flight, Stream],
    *,
    seat: tuple[str, str, str],
    limit: int,
    now_ms: int,
) -> Queue:
    """Return what may leave now, oldest first, and how much waits in all.

    One pass in the order of ids: a conversation is closed for the rest of the pass as soon as a
    row of it must wait. A row whose body was lost with its file can never leave: it is DEAD.
    """
    flight, stream = followers
    sending = flight.earliest()
    ids: list[int] = []
    closed: set[int] = set()
    depth = earliest = 0
    for ident, conversation, due_ms, expires_ms in _seat_rows(connection, *seat):
        if 0 < expires_ms <= now_ms:
            continue
        depth += 1
        if due_ms > now_ms:
            earliest = min(earliest, due_ms) if earliest else due_ms
        if conversation in closed or len(ids) == limit:
            continue
        if due_ms > now_ms or sending.get(conversation, LAST) < ident:
            closed.add(conversation)
            continue
        ids.append(ident)
    found: list[Queued] = []
    for ident in ids:
        one = get(connection, media, ident, is_answering=True)
        if one is not None and one.row.body:
            found.append(one)
        else:
            with stream.transaction(connection) as marks:
                (seq,) = marks.change(OUTBOX, [ident])
                connection.execute(SQL["bury"], (ident, now_ms, _NO_BODY, seq))
            depth -= 1
    return Queue(found, depth, earliest)


def queued_chats(connection: Connection, limit: int) -> list[tuple[str, Chat, bool]]:
    """Return (line, chat, whether its peer's seat is brief) of conversations with QUEUED rows."""
    rows = connection.execute(SQL["queued_chats"], (limit,)).fetchall()
    return [
        (line, Chat(account, kind, peer), conversations.is_brief(state))
        for line, account, kind, peer, state in rows
    ]


def expire(connection: Connection, stream: Stream, now_ms: int, limit: int) -> list[DeliveryId]:
    """Expire at most `limit` QUEUED rows that are too late; return them."""
    rows = connection.execute(SQL["expired"], (now_ms, limit)).fetchall()
    if rows:
        _expire(connection, stream, [row[0] for row in rows], (now_ms, _TOO_LATE))
    return [DeliveryId(row[0]) for row in rows]


def expire_drafts(
    connection: Connection, stream: Stream, which: tuple[int, int], why: tuple[int, str]
) -> list[DeliveryId]:
    """Expire drafts that nobody has approved in time.

    Args:
        which: the wall time that they were made before, and how many at most.
        why: when, and the reason.
    """
    before_ms, limit = which
    ids: list[int] = [
        row[0] for row in connection.execute(SQL["expired_drafts"], (id_at(before_ms), limit))
    ]
    if ids:
        _expire(connection, stream, ids, why, "expire_draft")
    return [DeliveryId(ident) for ident in ids]


def drafts(connection: Connection, limit: int) -> dict[str, int]:
    """Return how many drafts wait by line, counting at most `limit` of all."""
    return dict(connection.execute(SQL["drafts_by_line"], (limit,)).fetchall())


def paces(connection: Connection) -> list[PaceRow]:
    """Return what lines have used up of their paces."""
    return [PaceRow(*row) for row in connection.execute(SQL["paces"])]


def expire_carried(
    connection: Connection, stream: Stream, which: tuple[str, int, int], why: tuple[int, str]
) -> list[DeliveryId]:
    """Expire what was carried to a line and waits beyond a number of newer ones.

    Args:
        which: the line, how many stay, and how many are expired at most.
        why: when, and the reason.
    """
    ids: list[int] = [row[0] for row in connection.execute(SQL["carried_beyond"], which)]
    ids.reverse()
    if ids:
        _expire(connection, stream, ids, why)
    return [DeliveryId(ident) for ident in ids]


def expire_seat(
    connection: Connection, stream: Stream, seat: tuple[str, str, str], reason: str, now_ms: int
) -> list[DeliveryId]:
    """Expire the QUEUED rows of a seat that never comes back; return them."""
    ids = [row[0] for row in _seat_rows(connection, *seat)]
    if ids:
        _expire(connection, stream, ids, (now_ms, reason))
    return [DeliveryId(ident) for ident in ids]


def _expire(
    connection: Connection,
    stream: Stream,
    ids: Sequence[int],
    why: tuple[int, str],
    sentence: str = "expire",
) -> None:
    with stream.transaction(connection) as marks:
        places = marks.change(OUTBOX, ids)
        values = [(ident, *why, seq) for ident, seq in zip(ids, places, strict=True)]
        connection.executemany(SQL[sentence], values)


# -- people --------------------------------------------------------------------------------------


def get(
    connection: Connection, media: Media, ident: int, *, is_answering: bool = False
) -> Queued | None:
    """Return one delivery with its conversation.

    Args:
        is_answering: also read the question, whose context addresses the answer.
    """
    row = connection.execute(SQL["delivery"], (ident,)).fetchone()
    if row is None:
        return None
    conversation = conversations.from_row(row[15:])
    question = None
    if is_answering:
        asked = question_id(DeliveryId(ident))
        question = None if asked is None else inbox.get(connection, media, asked)
    found = from_row(row, media)
    return Queued(found, conversation, found.context or conversation.context, question)


def get_row(connection: Connection, media: Media, ident: int) -> OutboxRow | None:
    """Return one row alone."""
    row = connection.execute(SQL["answers"], (ident, ident)).fetchone()
    return None if row is None else from_row(row, media)


def answers(connection: Connection, media: Media, ident: int) -> list[OutboxRow]:
    """Return the deliveries that answer an inbox row: their ids are made from its id."""
    rows = connection.execute(SQL["answers"], (ident | 1, ident | 15)).fetchall()
    return [from_row(row, media) for row in rows]


def by_dedupe(connection: Connection, dedupe: str) -> DeliveryId | None:
    """Return the delivery of an `Idempotency-Key`."""
    row = connection.execute(SQL["delivery_by_dedupe"], (dedupe,)).fetchone()
    return None if row is None else DeliveryId(row[0])


def list_page(
    connection: Connection,
    media: Media,
    *,
    line: str,
    states: Sequence[DeliveryState],
    cursor: str,
    limit: int,
) -> Page:
    """List `Queued`, newest first; see `paging` for short pages."""
    edge = read_cursor(cursor, LAST)
    ids: list[int] = []
    end: int | None = None
    if states and not any(state in UNMARKED for state in states):
        for state in states:
            values = (int(state), edge, line, limit + 1)
            ids += [row[0] for row in connection.execute(SQL["outbox_ids_by_mark"], values)]
        ids.sort(reverse=True)
    else:
        bits = mask(states or DeliveryState)
        for _ in range(WINDOWS):
            end = connection.execute(SQL["outbox_floor"], (edge, WINDOW)).fetchone()[0]
            if end is None:
                break
            values = (end, edge, bits, line, limit + 1)
            ids += [row[0] for row in connection.execute(SQL["outbox_ids_between"], values)]
            edge = end
            if len(ids) > limit:
                break
    page, cursor = page_of(ids, limit)
    if end is not None and not cursor:
        cursor = str(end)
    found = (get(connection, media, ident) for ident in page)
    return Page([one for one in found if one is not None], cursor)


def move(
    connection: Connection,
    stream: Stream,
    ident: int,
    sources: Sequence[DeliveryState],
    to: DeliveryState,
    reason: str,
    now_ms: int,
    edit: tuple[bytes | None, bytes | None, str] | None = None,
) -> bool:
    """Move a row for a person. One whose body is gone cannot be queued again.

    Args:
        edit: body, media and source that it has from now on.
    """
    with stream.transaction(connection) as marks:
        is_moved = _move(connection, marks, ident, sources, to, reason, now_ms)
        if is_moved and edit is not None:
            connection.execute(SQL["edit_delivery"], (ident, *edit))
        return is_moved


def to_edit(edit: Edit, media: Media, now_ms: int) -> tuple[bytes | None, bytes | None, str]:
    """Return the values of an edit; a large body is written to its file, durably."""
    if len(edit.body) <= MAX_ROW_BYTES:
        return edit.body, None, edit.source
    digest = media.put(edit.body, now_ms)
    media.flush()
    return None, digest, edit.source


def move_group(
    connection: Connection, stream: Stream, group: str, to: DeliveryState, reason: str, now_ms: int
) -> list[int]:
    """Move every UNCERTAIN row whose reason is `group`; return their ids."""
    with stream.transaction(connection) as marks:
        rows = connection.execute(SQL["uncertain_of_reason"], (group,)).fetchall()
        sources = (DeliveryState.UNCERTAIN,)
        return [
            ident
            for (ident,) in rows
            if _move(connection, marks, ident, sources, to, reason, now_ms)
        ]


def _move(
    connection: Connection,
    marks: Marks,
    ident: int,
    sources: Sequence[DeliveryState],
    to: DeliveryState,
    reason: str,
    now_ms: int,
) -> bool:
    row = connection.execute(SQL["delivery_state"], (ident,)).fetchone()
    if row is None or row[0] not in sources:
        return False
    _, expires_ms, has_body = row
    settled_ms = now_ms
    if to is DeliveryState.QUEUED:
        if not has_body:
            return False
        settled_ms = 0
        if expires_ms:
            # Its clock starts at the person's word (reliability 1: a draft's at its approval), and
            # it lives as long as what a person sends: many approved at once wait for their pace.
            expires_ms = now_ms + MAX_LIFE_MS
    (seq,) = marks.change(OUTBOX, [ident])
    connection.execute(
        SQL["move_delivery"], (ident, int(to), mark_of(to), reason, settled_ms, expires_ms, seq)
    )
    return True
