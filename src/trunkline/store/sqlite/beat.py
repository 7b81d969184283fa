"""One beat, one transaction: all of it or nothing.

The order inside is what later sentences rely on: conversations before the rows that name them,
results before claims (a range of an earlier beat must not settle what is claimed only now), inbox
rows before the ends of turns (a turn that got a new message does not end).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from trunkline import failpoints
from trunkline.ids import DeliveryId
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import CROWDED, MAX_DRAFTS, Beat, Committed, InboxRow, Outcome
from trunkline.store.media import Media

from . import conversations, inbox, numbers, outbox, turns
from .connection import Connection, IntegrityError, roll_back
from .flight import Flight
from .history import Indexer
from .statements import SQL, Shapes, repeated
from .stream import INBOX, OUTBOX, Marks, Stream

_Values: TypeAlias = tuple[list[object], list[object]]

_INSERT_DECIDED: Final = repeated(SQL["insert_decided"])
_INSERT_INBOX: Final = repeated(SQL["insert_inbox"])
_INSERT_LEAVING: Final = repeated(SQL["insert_leaving"])
_INSERT_OUTBOX: Final = repeated(SQL["insert_outbox"])
_SETTLE_RANGE: Final = SQL["settle_range"]
_PROVEN: Final = SQL["settle_proven"]
_CONFIRM: Final = SQL["settle_confirmed"]
_SENDING: Final = DeliveryState.SENDING
_CONFIRMED: Final = DeliveryState.CONFIRMED
_OTHER: Final = SQL["settle_other"]


class _Repeated(Exception):
    """The beat holds rows that are stored already."""


def commit(
    connection: Connection,
    media: Media,
    followers: tuple[Flight, Stream, Indexer],
    beat: Beat,
) -> Committed:
    """Write a beat durably, or report its duplicates or known chats and write nothing.

    Args:
        followers: what follows the commits in memory.
    """
    flight, stream, indexer = followers
    if len(set(beat.claims)) != len(beat.claims):
        raise ValueError("a delivery is claimed twice in one beat")
    now_ms = beat.now_ms
    marks = stream.marks()
    late = marks.insert(INBOX, [row.id for row in beat.inbox]) if beat.inbox else {}
    received = inbox.split(beat.inbox, media, now_ms, late)
    late = marks.insert(OUTBOX, [row.id for row in beat.outbox]) if beat.outbox else {}
    sent = outbox.split(beat.outbox, media, now_ms, late)
    media.flush()
    execute = connection.execute
    execute("BEGIN IMMEDIATE")
    try:
        claimed, withdrawn = _write(connection, beat, (received, sent), marks)
        indexer.put_late(connection, beat.inbox)
        indexer.put_late(connection, beat.outbox)
        marks.write(connection)
        _before(beat)
        execute("COMMIT")
    except _Repeated:
        roll_back(connection)
        duplicates = _find_duplicates(connection, beat)
        if not duplicates:  # an empty answer would mean "committed"
            raise RuntimeError("inbox rows were left out, but none is a duplicate") from None
        return Committed(duplicates=duplicates)
    except IntegrityError:
        roll_back(connection)
        known = conversations.known(connection, beat.conversations)
        if not known:
            raise
        return Committed(known=known)
    except BaseException:
        roll_back(connection)
        raise
    stream.keep(marks)
    indexer.tail += len(beat.inbox) + len(beat.outbox)
    _fly(flight, beat, claimed)
    _after(beat)
    return Committed(
        unclaimed=frozenset(beat.claims).difference(claimed),
        withdrawn=tuple(map(DeliveryId, withdrawn)),
    )


def _write(
    connection: Connection,
    beat: Beat,
    rows: tuple[_Values, _Values],
    marks: Marks,
) -> tuple[dict[int, int], list[int]]:
    """Do the sentences of a beat; return what was claimed with its conversation, and withdrawn.

    Args:
        rows: values of new inbox and outbox rows, the ordinary ones and the others.

    Raises:
        _Repeated: fewer inbox rows were inserted than offered.
    """
    execute = connection.execute
    (decided, received), (leaving, sent) = rows
    if beat.conversations:
        conversations.put(connection, beat.conversations)
    if beat.aliases and _has_repeat(connection, beat):
        raise _Repeated
    if beat.inbox:
        before = connection.total_changes
        _insert(execute, _INSERT_DECIDED, decided)
        _insert(execute, _INSERT_INBOX, received)
        if connection.total_changes - before != len(beat.inbox):
            raise _Repeated
    if beat.aliases:
        _put_aliases(connection, beat)
    _insert(execute, _INSERT_LEAVING, leaving)
    _insert(execute, _INSERT_OUTBOX, sent)
    for first, last in beat.sent_ranges:
        shift = marks.span(OUTBOX, first, last)
        execute(_SETTLE_RANGE, (first, last, beat.now_ms, shift))
    if beat.outcomes:
        _settle(connection, beat.outcomes, marks)
    withdrawn: list[int] = []
    if beat.echoed or beat.withdrawn or beat.answered:
        withdrawn = _take_back(connection, beat, marks)
    claimed = _claim(connection, beat.claims, marks) if beat.claims else {}
    _write_rare(connection, beat, marks)
    return claimed, withdrawn


def _claim(connection: Connection, ids: Sequence[int], marks: Marks) -> dict[int, int]:
    claimed: dict[int, int] = {}
    for ident, seq in zip(ids, marks.change(OUTBOX, ids), strict=True):
        row = connection.execute(SQL["claim"], (ident, seq)).fetchone()
        if row is not None:
            claimed[ident] = row[0]
    return claimed


def _write_rare(connection: Connection, beat: Beat, marks: Marks) -> None:
    """Do what a beat on the fast path has none of."""
    if beat.drafted:
        for conversation in dict.fromkeys(beat.drafted):
            found = (conversation, MAX_DRAFTS)
            _expire(connection, marks, "drafts_of_conversation", found, (beat.now_ms, CROWDED))
    if beat.paces:
        connection.executemany(
            SQL["put_pace"], [msgspec.structs.astuple(one) for one in beat.paces]
        )
    if beat.numbers:
        numbers.put(connection, beat.numbers)
    if beat.done:
        places = marks.change(INBOX, [ident for ident, _ in beat.done])
        values = [(*done, seq) for done, seq in zip(beat.done, places, strict=True)]
        connection.executemany(SQL["finish_inbox"], values)
    if beat.attended or beat.for_person:
        _hand_over(connection, beat, marks)
    if beat.kept:
        connection.executemany(
            SQL["keep"], [(one.line, one.account, one.state) for one in beat.kept]
        )
    if beat.turns_done:
        turns.end(connection, beat.turns_done)
    if beat.turns:
        turns.put(connection, beat.turns)


def _hand_over(connection: Connection, beat: Beat, marks: Marks) -> None:
    """Write what waits for a person, after what does not any more. Source: ux 4.4"""
    for conversation in dict.fromkeys(beat.attended):
        found = connection.execute(SQL["for_person_of"], (conversation,)).fetchall()
        ids: list[int] = [row[0] for row in found]
        places = marks.change(INBOX, ids)
        connection.executemany(SQL["attend"], zip(ids, places, strict=True))
    ids = [ident for ident, _ in beat.for_person]
    places = marks.change(INBOX, ids)
    connection.executemany(SQL["hand_over"], zip(ids, places, strict=True))


def _insert(
    execute: Callable[[str, Sequence[object]], Any], shapes: Shapes, values: Sequence[object]
) -> None:
    """Insert with as many rows in one sentence as there is a prepared text for.

    Args:
        values: of all rows, one after the other.
    """
    done = 0
    left = len(values)
    for size, sentence in shapes:
        while left >= size:
            execute(sentence, values[done : done + size])
            done += size
            left -= size


def _settle(connection: Connection, outcomes: Sequence[Outcome], marks: Marks) -> None:
    """Write single results, in order."""
    places = marks.change(OUTBOX, [one.id for one in outcomes])
    proven = [
        (one.id, one.at_ms, one.peer_id, seq)
        for one, seq in zip(outcomes, places, strict=True)
        if one.state is _CONFIRMED and not one.reason
    ]
    if len(proven) == len(outcomes):  # what nearly all are where a peer answers
        connection.executemany(_CONFIRM, proven)
        return
    for one, seq in zip(outcomes, places, strict=True):
        state, reason, peer_id = one.state, one.reason, one.peer_id
        if state in outbox.UNMARKED:
            value = (one.id, state._value_, one.at_ms, peer_id, reason, seq)
            connection.execute(_PROVEN, value)
        else:
            settled_ms = 0 if state is DeliveryState.QUEUED else one.at_ms
            value = (one.id, state._value_, settled_ms, peer_id, reason, seq, one.due_ms)
            connection.execute(_OTHER, value)


def _take_back(connection: Connection, beat: Beat, marks: Marks) -> list[int]:
    """Write what own messages prove and end: echoes, and answers that a person has given herself.

    Before the claims: what is withdrawn is not sent.

    Returns:
        What was withdrawn.
    """
    withdrawn: list[int] = []
    if beat.echoed:
        places = marks.change(OUTBOX, [one.id for one in beat.echoed])
        values = [
            (one.id, one.at_ms, one.peer_id, seq)
            for one, seq in zip(beat.echoed, places, strict=True)
        ]
        connection.executemany(SQL["settle_echoed"], values)
    for conversation, why in beat.withdrawn:
        of = (conversation,)
        withdrawn += _expire(connection, marks, "automatic_of_conversation", of, (beat.now_ms, why))
    for conversation, why in beat.answered:
        of = (conversation, 0)
        withdrawn += _expire(connection, marks, "drafts_of_conversation", of, (beat.now_ms, why))
    return withdrawn


def _expire(
    connection: Connection,
    marks: Marks,
    which: str,
    values: tuple[int, ...],
    why: tuple[int, str],
) -> list[int]:
    """Expire what a sentence finds: of no use any more.

    Args:
        which: the sentence; with its values.
        why: when, and the reason.

    Returns:
        The ids of what expired.
    """
    ids = sorted(row[0] for row in connection.execute(SQL[which], values))
    sentence = SQL["expire_draft" if which == "drafts_of_conversation" else "expire"]
    places = marks.change(OUTBOX, ids)
    expired = [(ident, *why, seq) for ident, seq in zip(ids, places, strict=True)]
    connection.executemany(sentence, expired)
    return ids


def _has_repeat(connection: Connection, beat: Beat) -> bool:
    """Whether a row that has a second key, or may be another's, is stored or comes twice."""
    seen: set[tuple[bytes, int]] = set()
    for row in beat.inbox:
        alias = beat.aliases.get(row.id)
        if row.key is None or alias is None:
            continue
        keys = {row.key, alias or row.key}
        if any((key, row.conversation) in seen for key in keys):
            return True
        seen.update((key, row.conversation) for key in keys)
        if _is_known(connection, row, alias):
            return True
    return False


def _is_known(connection: Connection, row: InboxRow, alias: bytes) -> bool:
    values = (row.key, row.conversation, alias or row.key)
    return connection.execute(SQL["find_alias"], values).fetchone() is not None


def _put_aliases(connection: Connection, beat: Beat) -> None:
    values = [
        (alias, row.conversation, row.id)
        for row in beat.inbox
        if row.key is not None and (alias := beat.aliases.get(row.id))
    ]
    if values:
        connection.executemany(SQL["insert_alias"], values)


def _find_duplicates(connection: Connection, beat: Beat) -> frozenset[int]:
    """Return the places of rows that are stored, or that repeat an earlier one of the beat."""
    seen: set[tuple[bytes, int]] = set()
    found: set[int] = set()
    for place, row in enumerate(beat.inbox):
        if row.key is None:
            continue
        alias = beat.aliases.get(row.id)
        where = (row.key, row.conversation)
        also = (alias or row.key, row.conversation)
        if (
            where in seen
            or also in seen
            or connection.execute(SQL["find_key"], where).fetchone() is not None
            or (alias is not None and _is_known(connection, row, alias))
        ):
            found.add(place)
        seen.update((where, also))
    return frozenset(found)


def _fly(flight: Flight, beat: Beat, claimed: dict[int, int]) -> None:
    """Follow in memory what the commit changed."""
    for first, last in beat.sent_ranges:
        flight.remove_range(first, last)
    flight.remove([one.id for one in beat.outcomes])
    flight.remove([one.id for one in beat.echoed])
    flight.add({row.id: row.conversation for row in beat.outbox if row.state is _SENDING})
    flight.add(claimed)


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
