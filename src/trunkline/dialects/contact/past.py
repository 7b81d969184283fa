"""The history of one chat as a link asks for it: what to look up, and the frame made of it.

Ids of messages are the same live and in the history: a visitor's message carries its id as
`peer_id`, an answer's is its delivery id as a UUID. So an answer's place in the store is read from
its id; a visitor's is remembered from what was shown, or found by looking back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.dialects.contact.extension import MAX_PAGE, HistoryOut, ItemOut
from trunkline.dialects.contact.session import format_instant
from trunkline.dialects.contact.translate import (
    derive_delivery_uuid,
    parse_delivery_uuid,
    read_context,
    to_plain,
)
from trunkline.dialects.contract import FindHistory
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.event import RequestReceived
from trunkline.model.history import History, HistoryItem

RESUMED_ITEMS: Final = 50  # Source: contact 9.1, "or the last 50"
CHUNK: Final = 200  # the most that one FindHistory gives
SEARCHED_ITEMS: Final = 500  # how far back an id is looked for that was never shown here
REMEMBERED: Final = 128  # places of a visitor's own messages, per link
FRAME_CHARS: Final = 1 << 18  # of one history frame, at most four bytes each: 1 MiB
_WAITING: Final = frozenset({"queued", "sending"})


class Piece(msgspec.Struct, frozen=True):
    """A piece of history, ready to be sent.

    Args:
        frame: the `timestamp` is the caller's.
        waiting: deliveries in it that are still on their way: shown here, they are done.
    """

    frame: HistoryOut
    waiting: frozenset[DeliveryId]


class _Wanted(msgspec.Struct):
    """What the open `FindHistory` is for.

    Args:
        is_resume: everything after `anchor`; else the `limit` items before it.
        anchor: a message id, "" = the end.
        is_searching: where `anchor` stands is not known yet.
    """

    anchor: str
    limit: int
    is_resume: bool = False
    is_searching: bool = False
    searched: int = 0


class Past:
    """The history of one chat, for one link. One question at a time.

    Args:
        chat: whose.
        language: of the labels that stand for pictures.
    """

    def __init__(self, chat: Chat, language: str) -> None:
        self._chat = chat
        self._language = language
        self._wanted: _Wanted | None = None
        self._rows: OrderedDict[str, int] = OrderedDict()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._wanted is not None

    def resume(self, last_message_id: str) -> FindHistory:
        """Ask for everything after this message, or for the last 50 (`contact 9.1`)."""
        self._wanted = _Wanted(last_message_id, RESUMED_ITEMS, is_resume=True)
        return FindHistory(self._chat, limit=CHUNK if last_message_id else RESUMED_ITEMS)

    def page(self, before: str, limit: int) -> FindHistory:
        """Ask for the `limit` items before a message; "" = the newest."""
        limit = min(max(limit, 1), MAX_PAGE)
        row = self._row_of(before) if before else 0
        self._wanted = _Wanted(before, limit, is_searching=row is None)
        return FindHistory(self._chat, row or 0, CHUNK if row is None else limit)

    def drop(self) -> None:
        """Forget the open question: it failed."""
        self._wanted = None

    def take(self, history: History, timestamp: str) -> FindHistory | Piece | None:
        """Take the answer: a piece to send, one more question, or None: there is no such message.

        An answer that nobody waits for any more is none either.
        """
        wanted = self._wanted
        self._wanted = None
        if wanted is None:
            return None
        if wanted.is_resume:
            items, is_cut = self._after(wanted.anchor, history)
            return self._piece(items, "", timestamp, has_more=is_cut)
        if not wanted.is_searching:
            return self._piece(history.items, wanted.anchor, timestamp, has_more=history.has_more)
        return self._search(wanted, history, timestamp)

    def _search(
        self, wanted: _Wanted, history: History, timestamp: str
    ) -> FindHistory | Piece | None:
        items = history.items
        for nth, item in enumerate(items):
            if message_id_of(item) != wanted.anchor:
                continue
            if nth >= wanted.limit or not history.has_more:
                found = items[max(0, nth - wanted.limit) : nth]
                has_more = history.has_more or nth > wanted.limit
                return self._piece(found, wanted.anchor, timestamp, has_more=has_more)
            self._wanted = _Wanted(wanted.anchor, wanted.limit)
            return FindHistory(self._chat, item.id, wanted.limit)
        wanted.searched += len(items)
        if not items or not history.has_more or wanted.searched >= SEARCHED_ITEMS:
            return None
        self._wanted = wanted
        left = SEARCHED_ITEMS - wanted.searched
        return FindHistory(self._chat, items[0].id, min(CHUNK, left))

    def _after(self, anchor: str, history: History) -> tuple[Sequence[HistoryItem], bool]:
        """Return what came after a message, and whether something between is left out."""
        items = history.items
        if not anchor:
            return items, history.has_more
        row = self._row_of(anchor)
        if row is not None:
            later = [item for item in items if item.id > row]
            return later, history.has_more and len(later) == len(items)
        for nth, item in enumerate(items):
            if message_id_of(item) == anchor:
                return items[nth + 1 :], False
        return items[-RESUMED_ITEMS:], history.has_more or len(items) > RESUMED_ITEMS

    def _piece(
        self, items: Sequence[HistoryItem], before: str, timestamp: str, *, has_more: bool
    ) -> Piece:
        """Make the frame: the newest items that fit into one."""
        shown: list[ItemOut] = []
        waiting: set[DeliveryId] = set()
        chars = 0
        for item in reversed(items):
            out = to_item(item, self._language)
            if not out.message or out.message.isspace():
                continue
            chars += len(out.message)
            if chars > FRAME_CHARS and shown:
                has_more = True
                break
            shown.append(out)
            if item.event is not None:
                self._rows[out.message_id] = item.id
            elif item.state in _WAITING:
                waiting.add(DeliveryId(item.id))
        while len(self._rows) > REMEMBERED:
            self._rows.popitem(last=False)
        frame = HistoryOut(tuple(reversed(shown)), has_more, timestamp, before)
        return Piece(frame, frozenset(waiting))

    def _row_of(self, message_id: str) -> int | None:
        row = self._rows.get(message_id)
        return row if row is not None else parse_delivery_uuid(message_id)


def message_id_of(item: HistoryItem) -> str:
    """Return the id that the live frame of this item had."""
    if item.event is not None and item.event.peer_id:
        return item.event.peer_id
    return derive_delivery_uuid(DeliveryId(item.id))


def sequence_of(row: int) -> int:
    """Return a number that orders items and stays exact in JavaScript (below 2^53 until 2042).

    It is the row id without the node: milliseconds, count, and the low bits of an answer.
    """
    return row >> 22 << 14 | row & 0x3FFF


def to_item(item: HistoryItem, language: str) -> ItemOut:
    """Translate an item; `message` is "" when nothing of it can be shown."""
    ident = message_id_of(item)
    stamp, seq = format_instant(item.at_ms), sequence_of(item.id)
    event = item.event
    if event is None:
        return ItemOut(
            ident,
            item.speaker,
            to_plain(item.segments, language),
            stamp,
            seq,
            item.name,
            read_context(item.context).message_id if item.context else "",
        )
    if isinstance(event, RequestReceived):
        return ItemOut(ident, item.speaker, event.text, stamp, seq, kind="contact_request")
    words = to_plain(event.segments, language)
    return ItemOut(ident, item.speaker, words, stamp, seq, client_message_id=_own_id(item))


def _own_id(item: HistoryItem) -> str:
    """Return the id that the visitor's page gave its message, "" when it gave none."""
    key = item.event.key if item.event is not None else None
    return key[2:].decode("utf-8", "replace") if key is not None and key[:2] == b"c:" else ""
