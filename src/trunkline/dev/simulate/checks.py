"""The promises that can be checked only at the end, when everything has come to rest.

Source: reliability 1
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.exchange.plans import GONE
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text
from trunkline.store.contract import InboxState

from .book import WORD, Book
from .storage import SimulatedStore
from .weather import Weather

UNFINISHED: Final = frozenset(
    {DeliveryState.DRAFT, DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DEAD}
)
WRITTEN: Final = frozenset({DeliveryState.SENT, DeliveryState.CONFIRMED})
MAY_BE_HEARD: Final = WRITTEN | {DeliveryState.UNCERTAIN}


class Received(msgspec.Struct, frozen=True):
    """An inbox row, as far as the promises are about it."""

    id: int
    state: InboxState
    conversation: int
    words: tuple[str, ...]


class Sent(msgspec.Struct, frozen=True):
    """An outbox row, as far as the promises are about it."""

    id: int
    state: DeliveryState
    conversation: int
    words: tuple[str, ...]
    why: str
    attempt: int


def read_received(store: SimulatedStore) -> list[Received]:
    """Return the inbox, oldest first."""
    found: list[Received] = []
    for ident, state, conversation, body in store.received():
        event = decode_event(body) if body else None
        text = plain_text(event.segments) if isinstance(event, MessageReceived) else ""
        words = tuple(WORD.findall(text))
        found.append(Received(ident, InboxState(state), conversation, words))
    return found


def read_sent(store: SimulatedStore) -> list[Sent]:
    """Return the outbox, oldest first."""
    found: list[Sent] = []
    for ident, state, conversation, body, why, attempt in store.sent():
        what = decode_what(body) if body else None
        text = plain_text(what.segments) if isinstance(what, Say) else ""
        words = tuple(WORD.findall(text))
        found.append(Sent(ident, DeliveryState(state), conversation, words, why, attempt))
    return found


def unfinished(store: SimulatedStore) -> str:
    """Return what has not come to rest, "" when all has."""
    inbox = store.rows("select count(*) from inbox where state = ?", int(InboxState.WAITING))
    outbox = store.rows(
        "select count(*) from outbox where state in (?, ?)",
        int(DeliveryState.QUEUED),
        int(DeliveryState.SENDING),
    )
    turns = store.rows("select count(*) from turn")
    if not (inbox[0][0] or outbox[0][0] or turns[0][0]):
        return ""
    return f"{inbox[0][0]} messages wait, {outbox[0][0]} deliveries, {turns[0][0]} turns"


def check_all(store: SimulatedStore, book: Book, weather: Weather) -> Iterator[str]:
    """Return each promise that was broken."""
    received, sent = read_received(store), read_sent(store)
    yield from check_received(received, book)
    yield from check_kept(received, book)
    yield from check_decided(received, sent, weather)
    yield from check_fates(sent, book, weather)
    yield from check_heard(sent, book)
    yield from check_order(received, book)


def check_received(received: list[Received], book: Book) -> Iterator[str]:
    """What was confirmed is there, once, and decided."""
    places: dict[str, int] = {}
    for row in received:
        if row.state is not InboxState.DONE and (row.words or row.state is not InboxState.DEAD):
            yield f"{' '.join(row.words)} ends {row.state.name}"
        for word in row.words:
            if word in places:
                yield f"{word} is in the inbox twice"
            places[word] = row.id
    dead = sum(row.state is InboxState.DEAD for row in received)
    if dead > book.refused:
        yield f"{dead} messages are dead, {book.refused} cannot be stored"
    for word, said in book.said.items():
        if said.is_acked and word not in places and word not in book.poisoned:
            yield f"{word} was confirmed and is not in the inbox"
    for word in book.committed:
        if word not in places and word not in book.poisoned and word.startswith("w"):
            yield f"{word} was committed and is gone"


def check_kept(received: list[Received], book: Book) -> Iterator[str]:
    """What a platform keeps until it is acknowledged has come."""
    came = {word for row in received for word in row.words} | book.poisoned
    for word, said in book.said.items():
        if said.is_kept and word not in came:
            yield f"{word} was said, and its platform keeps it: it never came"


def check_decided(received: list[Received], sent: list[Sent], weather: Weather) -> Iterator[str]:
    """Each message is answered once."""
    answers: dict[str, int] = {}
    for row in sent:
        for word in row.words:
            answers[word] = answers.get(word, 0) + 1
    for row in received:
        for word in row.words:
            count = answers.get(word, 0)
            # A model may be silent, or its error has another answer without the word.
            if count > 1 or (count == 0 and not weather.asks):
                yield f"{word} is answered {count} times"


def check_fates(sent: list[Sent], book: Book, weather: Weather) -> Iterator[str]:
    """Nothing is left under way, and what is unclear has a reason."""
    heard = {word for words in book.heard.values() for word in words}
    for row in sent:
        shown = f"{' '.join(row.words) or row.id} ({row.why})"
        if row.state in UNFINISHED or row.state is DeliveryState.REFUSED:
            yield f"{shown} ends {row.state.name}"
        if row.state is DeliveryState.UNCERTAIN and not weather.loses_links:
            yield f"{shown} is uncertain, and nothing was ever cut"
        is_missing = any(word not in heard for word in row.words)
        if row.state in WRITTEN and is_missing and not weather.loses_links:
            yield f"{shown} is {row.state.name} and was never heard"
        if row.state is DeliveryState.CONFIRMED and is_missing:
            yield f"{shown} is confirmed and was never heard"
        # Trouble is shorter than the life of any reply: whoever is still there gets it in time.
        is_late = row.state is DeliveryState.EXPIRED and not weather.is_long
        if is_late and not row.why.endswith(GONE):
            yield f"{shown} expired, and nobody left"
    words = {word for row in sent for word in row.words}
    for word in book.posted:
        if word not in words:
            yield f"{word} was taken from a program and is gone"


def check_heard(sent: list[Sent], book: Book) -> Iterator[str]:
    """What was heard was sent, and within a chat and link in the order of the decisions."""
    rows = {word: row for row in sent for word in row.words}
    for person, words in book.heard.items():
        last: dict[tuple[int, int], tuple[int, int]] = {}
        newest: dict[tuple[int, int], int] = {}
        for word, link in words.items():
            row = rows.get(word)
            if row is None:
                yield f"{person} hears {word}, which nobody sent"
                continue
            if row.state not in MAY_BE_HEARD:
                yield f"{person} hears {word}, which is {row.state.name}"
            if row.attempt > 1 and person in book.sharing:
                continue  # see `cast.Guest.shares`
            # A link that was given up may be read long after the next one: two connections.
            where = (row.conversation, link)
            # An answer's id comes from its question: one decided late (debounce, model) may pass
            # what a program sent meanwhile, when both wait in the queue.
            # So it also lies before the last message that a visitor names when it comes back: then
            # it is no part of the history since, and comes after that.
            place = (book.decided[row.id], row.id)
            before = last.get(where, (0, 0))
            is_late = place[0] < before[0] and place[1] < before[1]
            if is_late and not _is_passed(newest, row, link):
                yield f"{person} hears {word} too late"
            last[where] = max(place, before)
            newest[where] = max(row.id, newest.get(where, 0))


def _is_passed(newest: dict[tuple[int, int], int], row: Sent, link: int) -> bool:
    """Whether a row with a higher id was heard over an earlier link already."""
    return any(
        chat == row.conversation and other < link and ident > row.id
        for (chat, other), ident in newest.items()
    )


def check_order(received: list[Received], book: Book) -> Iterator[str]:
    """What was said over one link, once, is received in its order."""
    last: dict[tuple[str, str, int], tuple[int, str]] = {}
    rows = sorted((word, row.id) for row in received for word in row.words)
    for word, ident in rows:  # words are counted up as they are said
        said = book.said.get(word)
        if said is None or not said.is_straight:
            continue
        where = (said.person, said.chat, said.link)
        before, earlier = last.get(where, (0, ""))
        if ident < before:
            yield f"{word} is received before {earlier}, which was said before it"
        last[where] = (ident, word)
