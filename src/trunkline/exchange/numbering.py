"""Numbers for what peers with int32 ids are shown of other lines.

A number stands for a chat, or for a message. A person is the private chat with them: so the number
that a group shows of somebody is the one that a private message goes to. What a number stands for
is kept as text (JSON), so that it can be read back.

Bound: 50,000 numbers of chats are in memory, the least recently used is read again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from trunkline.exchange.conversations import Key
from trunkline.model.message import Segments
from trunkline.model.segment import Mention, Quote, Segment
from trunkline.store.contract import Number, NumberKey

CAPACITY: Final = 50_000
MAX_NUMBER: Final = (1 << 31) - 1  # Source: onebot11 5.1, message_id within int32
CHAT: Final = "chat"
MESSAGE: Final = "message"
QUOTE: Final = "quote"  # a message that was only heard of: somebody quotes it
PRIVATE: Final = "private"
GROUP: Final = "group"
EVERYBODY: Final = "all"  # a mention of all; Source: onebot11 6.2

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(tuple[str, ...]).decode


def chat_key(key: Key) -> NumberKey:
    """Return what the number of a chat is looked up by."""
    return (key[0], CHAT, _encode(key[1:]).decode())


def person_key(line: str, account: str, ident: str) -> NumberKey:
    """Return what the number of a person is looked up by."""
    return chat_key((line, account, PRIVATE, ident))


def message_key(key: Key, peer_id: str, kind: str = MESSAGE) -> NumberKey:
    """Return what the number of a message is looked up by."""
    return (key[0], kind, _encode((*key[1:], peer_id)).decode())


def message_number(number: int, line: str, row: int) -> Number:
    """Return the number of a message that its platform gives no id, or none yet."""
    return Number(number, line, MESSAGE, f"#{row}", row)


def chat_behind(number: Number | None, line: str) -> Key | None:
    """Return the chat of a line that a number stands for, None when it is none."""
    if number is None or number.line != line or number.kind != CHAT:
        return None
    account, kind, peer = _decode(number.ident)
    return (line, account, kind, peer)


def peer_id_behind(number: Number | None, line: str) -> str:
    """Return the platform's id of a message, "" when there is none, or the row must tell."""
    is_message = number is not None and number.line == line and number.kind != CHAT
    if number is None or not is_message or number.ident.startswith("#"):
        return ""
    return _decode(number.ident)[-1]


def parse_number(text: str) -> int:
    """Return a number that a peer wrote, 0 when it is none."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if is_number and int(text) <= MAX_NUMBER else 0


def kind_shown(kind: str) -> str:
    """Return the kind of a chat as a number shows it."""
    return GROUP if kind == GROUP else PRIVATE


def has_ids(segments: Segments) -> bool:
    """Whether a message names people or other messages."""
    return any(type(part) is Mention or type(part) is Quote for part in segments)


def with_ids(
    segments: Segments,
    person: Callable[[Mention], Segment | None],
    message: Callable[[Quote], Segment | None],
) -> Segments:
    """Return a message with other ids for people and messages; None leaves the piece out."""
    if not has_ids(segments):
        return segments
    found: list[Segment] = []
    for part in segments:
        other: Segment | None = part
        if type(part) is Mention:
            other = person(part)
        elif type(part) is Quote:
            other = message(part)
        if other is not None:
            found.append(other)
    return tuple(found)


class Numbers:
    """Numbers of chats by what they stand for, and where the next one comes from.

    A number is promised before it is written: whoever needs it meanwhile gets the same one. What a
    failed beat promised is written with the next one that needs it.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._known: OrderedDict[NumberKey, int] = OrderedDict()
        self._unwritten: set[NumberKey] = set()
        self._next = 1

    def start_at(self, number: int) -> None:
        """Set the first number that was never given."""
        self._next = number

    @property
    def is_used_up(self) -> bool:
        """Whether no number is left."""
        return self._next > MAX_NUMBER

    def new(self) -> int:
        """Return a new number, 0 when none is left. Those of failed beats are left unused."""
        if self.is_used_up:
            return 0
        number = self._next
        self._next = number + 1
        return number

    def get(self, key: NumberKey) -> int:
        """Return a chat's number as far as it is known here, else 0."""
        number = self._known.get(key, 0)
        if number:
            self._known.move_to_end(key)
        return number

    def is_written(self, key: NumberKey) -> bool:
        """Whether the store has it."""
        return key not in self._unwritten

    def promise(self, key: NumberKey) -> int:
        """Return the number of a chat that the store does not have: a new one, or the promised."""
        number = self.get(key) or self.new()
        if number and key not in self._known:
            self._unwritten.add(key)
            self._put(key, number)
        return number

    def written(self, numbers: Sequence[Number]) -> None:
        """Remember what the store has; of messages nothing."""
        for one in numbers:
            if one.kind == CHAT:
                self._unwritten.discard(one.key)
                self._put(one.key, one.id)

    def _put(self, key: NumberKey, number: int) -> None:
        self._known[key] = number
        self._known.move_to_end(key)
        if len(self._known) > self._capacity:
            oldest, _ = self._known.popitem(last=False)
            self._unwritten.discard(oldest)
