"""One beat, one transaction: all of it or nothing.

The order inside is what later sentences rely on: conversations before the rows that name them,
results before claims (a range of an earlier beat must not settle what is claimed only now), inbox
rows before the ends of turns (a turn that got a new message does not end).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

from trunkline import failpoints
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import Beat, Committed, InboxRow, Outcome
from trunkline.store.media import Media

from . import conversations, inbox, numbers, outbox, turns
from .connection import Connection, roll_back
from .flight import Flight
from .history import Indexer
from .statements import SQL, repeated
from .stream import INBOX, OUTBOX, Marks, Stream

_INSERT_INBOX: Final = repeated(SQL["insert_inbox"])
_INSERT_OUTBOX: Final = repeated(SQL["insert_outbox"])
_SETTLE_RANGE: Final = SQL["settle_range"]
_SETTLE: Final = {
    state: SQL["settle_proven" if state in outbox.UNMARKED else "settle_other"]
    for state in DeliveryState
}
_PROVEN: Final = SQL["settle_proven"]


class _Repeated(Exception):
    """The beat holds rows that are stored already."""


def commit(
    connection: Connection,
    media: Media,
    followers: tuple[Flight, Stream, Indexer],
    beat: Beat,
) -> Committed:
    """Write a beat durably, or report its duplicates and write nothing.

    Args:
        followers: what follows the commits in memory.
    """
    flight, stream, indexer = followers
    if len(set(beat.claims)) != len(beat.claims):
        raise ValueError("a delivery is claimed twice in one beat")
    now_ms = beat.now_ms
    marks = stream.marks()
    late = marks.insert(INBOX, [row.id for row in beat.inbox]) if beat.inbox else {}
    received = [inbox.to_row(row, media, now_ms, late.get(row.id)) for row in beat.inbox]
    late = marks.insert(OUTBOX, [row.id for row in beat.outbox]) if beat.outbox else {}
    sent = [outbox.to_row(row, media, now_ms, late.get(row.id)) for row in beat.outbox]
    media.flush()
    execute = connection.execute
    execute("BEGIN IMMEDIATE")
    try:
        claimed = _write(connection, beat, (received, sent), marks)
        indexer.put_late(connection, beat.inbox)
        indexer.put_late(connection, beat.outbox)
        marks.write(connection)
        _before(beat)
        execute("COMMIT")
    except _Repeated:
        roll_back(connection)
        duplicates = _find_duplicates(connection, beat.inbox)
        if not duplicates:  # an empty answer would mean "committed"
            raise RuntimeError("inbox rows were left out, but none is a duplicate") from None
        return Committed(duplicates=duplicates)
    except BaseException:
        roll_back(connection)
        raise
    stream.keep(marks)
    indexer.tail += len(received) + len(sent)
    _fly(flight, beat, claimed)
    _after(beat)
    return Committed(unclaimed=frozenset(beat.claims).difference(claimed))


def _write(
    connection: Connection,
    beat: Beat,
    rows: tuple[Sequence[tuple[object, ...]], Sequence[tuple[object, ...]]],
    marks: Marks,
) -> dict[int, int]:
    """Do the sentences of a beat; return what was claimed, with its conversation.

    Args:
        rows: values of new inbox and outbox rows.

    Raises:
        _Repeated: fewer inbox rows were inserted than offered.
    """
    execute = connection.execute
    received, sent = rows
    if beat.conversations:
        conversations.put(connection, beat.conversations)
    if received:
        before = connection.total_changes
        _insert(execute, _INSERT_INBOX, received)
        if connection.total_changes - before != len(received):
            raise _Repeated
    if sent:
        _insert(execute, _INSERT_OUTBOX, sent)
    for first, last in beat.sent_ranges:
        shift = marks.span(OUTBOX, first, last)
        execute(_SETTLE_RANGE, (first, last, beat.now_ms, shift))
    if beat.outcomes:
        _settle(connection, beat.outcomes, marks)
    if beat.echoed or beat.withdrawn:
        _take_back(connection, beat, marks)
    claimed = _claim(connection, beat.claims, marks) if beat.claims else {}
    _write_rare(connection, beat, marks)
    return claimed


def _claim(connection: Connection, ids: Sequence[int], marks: Marks) -> dict[int, int]:
    claimed: dict[int, int] = {}
    for ident, seq in zip(ids, marks.change(OUTBOX, ids), strict=True):
        row = connection.execute(SQL["claim"], (ident, seq)).fetchone()
        if row is not None:
            claimed[ident] = row[0]
    return claimed


def _write_rare(connection: Connection, beat: Beat, marks: Marks) -> None:
    """Do what a beat on the fast path has none of."""
    if beat.numbers:
        numbers.put(connection, beat.numbers)
    if beat.done:
        places = marks.change(INBOX, [ident for ident, _ in beat.done])
        values = [(*done, seq) for done, seq in zip(beat.done, places, strict=True)]
        connection.executemany(SQL["finish_inbox"], values)
    if beat.kept:
        connection.executemany(
            SQL["keep"], [(one.line, one.account, one.state) for one in beat.kept]
        )
    if beat.turns_done:
        turns.end(connection, beat.turns_done)
    if beat.turns:
        turns.put(connection, beat.turns)


def _insert(
    execute: Callable[[str, Sequence[object]], Any],
    shapes: Sequence[tuple[int, str]],
    rows: Sequence[tuple[object, ...]],
) -> None:
    """Insert with as many rows in one sentence as there is a prepared text for."""
    done = 0
    left = len(rows)
    for size, sentence in shapes:
        while left >= size:
            execute(sentence, list(chain.from_iterable(rows[done : done + size])))
            done += size
            left -= size


def _settle(connection: Connection, outcomes: Sequence[Outcome], marks: Marks) -> None:
    """Write single results, in order, those of one kind in a row together."""
    values: list[tuple[object, ...]] = []
    last = ""
    places = marks.change(OUTBOX, [one.id for one in outcomes])
    for one, seq in zip(outcomes, places, strict=True):
        sentence = _SETTLE[one.state]
        if sentence is not last:
            if values:
                connection.executemany(last, values)
            last, values = sentence, []
        settled_ms = 0 if one.state is DeliveryState.QUEUED else one.at_ms
        value = (one.id, int(one.state), settled_ms, one.peer_id, one.reason, seq)
        values.append(value if sentence is _PROVEN else (*value, one.due_ms))
    if values:
        connection.executemany(last, values)


def _take_back(connection: Connection, beat: Beat, marks: Marks) -> None:
    """Write what own messages prove and end: echoes, and answers that a person has given herself.

    Before the claims: what is withdrawn is not sent.
    """
    if beat.echoed:
        places = marks.change(OUTBOX, [one.id for one in beat.echoed])
        values = [
            (one.id, one.at_ms, one.peer_id, seq)
            for one, seq in zip(beat.echoed, places, strict=True)
        ]
        connection.executemany(SQL["settle_echoed"], values)
    for conversation, why in beat.withdrawn:
        rows = connection.execute(SQL["automatic_of_conversation"], (conversation,)).fetchall()
        ids = [row[0] for row in rows]
        places = marks.change(OUTBOX, ids)
        expired = [(ident, beat.now_ms, why, seq) for ident, seq in zip(ids, places, strict=True)]
        connection.executemany(SQL["expire"], expired)


def _find_duplicates(connection: Connection, rows: Sequence[InboxRow]) -> frozenset[int]:
    """Return the places of rows that are stored, or that repeat an earlier one of the beat."""
    seen: set[tuple[bytes, int]] = set()
    found: set[int] = set()
    for place, row in enumerate(rows):
        if row.key is None:
            continue
        where = (row.key, row.conversation)
        if where in seen or connection.execute(SQL["find_key"], where).fetchone() is not None:
            found.add(place)
        seen.add(where)
    return frozenset(found)


def _fly(flight: Flight, beat: Beat, claimed: dict[int, int]) -> None:
    """Follow in memory what the commit changed."""
    for first, last in beat.sent_ranges:
        flight.remove_range(first, last)
    flight.remove(one.id for one in chain(beat.outcomes, beat.echoed))
    sending = DeliveryState.SENDING
    flight.add([(row.id, row.conversation) for row in beat.outbox if row.state is sending])
    flight.add(list(claimed.items()))


def _before(beat: Beat) -> None:
    """Pass the crash points that lie before the commit (reliability 7)."""
    if beat.outcomes or beat.sent_ranges:
        failpoints.hit("send.before_ack_commit")
    if beat.inbox:
        failpoints.hit("ingest.before_commit")
    if beat.outbox:
        failpoints.hit("decide.before_commit")


def _after(beat: Beat) -> None:
    """Pass the crash points that lie after it."""
    if beat.inbox:
        failpoints.hit("ingest.after_commit")
    if beat.outbox:
        failpoints.hit("decide.after_commit")
    if beat.claims:
        failpoints.hit("claim.after_commit")
