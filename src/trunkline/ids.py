"""Identifiers as an argument: ordered 63-bit row ids, random UUIDs and secrets.

A row id is `milliseconds since 2025 << 22 | node << 14 | count << 4`. The low four bits are zero:
the deliveries that answer inbox row `n` are `n | 1 … n | 15`, so an answer's id is derived from
its question's and the primary key alone forbids a second one (`reply:{inbox id}:{n}`).
"""

from __future__ import annotations

import random
import secrets
import uuid
from collections.abc import Sequence
from typing import NewType, Protocol

from trunkline.clock import Clock

RowId = NewType("RowId", int)
InboxId = NewType("InboxId", int)
DeliveryId = NewType("DeliveryId", int)
ConversationId = NewType("ConversationId", int)

EPOCH_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
MAX_ANSWERS = 15
_ANSWER_MASK = 15
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)} | {"i": 1, "l": 1, "o": 0}


def answer_id(inbox: InboxId, nth: int) -> DeliveryId:
    """Return the id of the `nth` (0-based, < 15) delivery that answers `inbox`."""
    if not 0 <= nth < MAX_ANSWERS:
        raise ValueError(f"a message has at most {MAX_ANSWERS} answers")
    return DeliveryId(inbox | (nth + 1))


def question_id(delivery: DeliveryId) -> InboxId | None:
    """Return the inbox row that `delivery` answers, or None for a delivery of its own."""
    return InboxId(delivery & ~_ANSWER_MASK) if delivery & _ANSWER_MASK else None


def format_id(kind: str, ident: int) -> str:
    """Format a row id for people and the API: `m-…` a message, `d-…` a delivery."""
    digits = ""
    while ident:
        digits = _DIGITS[ident & 31] + digits
        ident >>= 5
    return f"{kind}-{digits or '0'}"


def parse_id(kind: str, text: str) -> int:
    """Parse what `format_id` wrote, in any case; look-alikes (i, l, o) are read as meant.

    Raises:
        ValueError: it is not an id of this kind.
    """
    head, _, digits = text.strip().lower().partition("-")
    ident = 0
    for digit in digits[:14]:
        value = _VALUES.get(digit)
        if value is None:
            break
        ident = ident << 5 | value
    else:
        if head == kind and digits and len(digits) <= 13 and ident < 1 << 63:
            return ident
    raise ValueError(f"{text[:40]!r} is not an id like {kind}-1h9v6zk0000")


def id_at(wall_ms: int) -> int:
    """Return the lowest row id of a wall time: rows since then have ids at or above it."""
    return max(0, wall_ms - EPOCH_MS) << 22


class Ids(Protocol):
    """Source of everything that must be unique or unguessable."""

    def next(self) -> int:
        """Return the next ordered row id; its low four bits are zero."""
        ...

    def take(self, count: int) -> Sequence[int]:
        """Return the next `count` row ids, ascending: what as many calls of `next` would give."""
        ...

    def uuid(self) -> str:
        """Return a random UUID version 4, lower case, 36 characters."""
        ...

    def token(self) -> str:
        """Return a 128-bit secret as 32 hexadecimal digits."""
        ...


class SystemIds:
    """Ids from the clock and the operating system's randomness.

    Args:
        clock: wall time for the ordered part.
        node: 0 … 255, this instance's number in a cluster.
        last: the highest id already stored; ids never go back behind it, whatever the clock says.
    """

    def __init__(self, clock: Clock, node: int = 0, last: int = 0) -> None:
        self._clock = clock
        self._node = (node & 255) << 14
        self._last_ms = 0
        self._count = 0
        if last:
            self._last_ms = (last >> 22) + 1
        # UUIDs need to be unique, not secret: a private generator seeded from the system is
        # several times cheaper than a system call for each.
        self._random = random.Random(secrets.randbits(256))  # noqa: S311

    def next(self) -> int:
        """Return the next ordered row id. 1,024 a millisecond, then it borrows from the next."""
        now = self._clock.now_ms() - EPOCH_MS
        if now > self._last_ms:
            self._last_ms = now
            self._count = 0
        else:
            self._count += 1
            if self._count > 1023:
                self._last_ms += 1
                self._count = 0
        return self._last_ms << 22 | self._node | self._count << 4

    def take(self, count: int) -> Sequence[int]:
        """Return the next `count` row ids, ascending, with one look at the clock."""
        if not count:
            return ()
        first = self.next()
        room = 1024 - self._count
        if count > room:  # the millisecond is used up
            return [first, *(self.next() for _ in range(count - 1))]
        self._count += count - 1
        return range(first, first + (count << 4), 1 << 4)

    def uuid(self) -> str:
        """Return a random UUID version 4."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def token(self) -> str:
        """Return a 128-bit secret from the system's generator."""
        return secrets.token_hex(16)


class CountingIds:
    """Ids that a test can predict: 16, 32, 48 …; UUIDs and tokens count too."""

    def __init__(self, start: int = 0) -> None:
        self._next = start
        self._uuid = 0

    def next(self) -> int:
        """Return the next multiple of 16."""
        self._next += 16
        return self._next

    def take(self, count: int) -> Sequence[int]:
        """Return the next `count` multiples of 16."""
        return [self.next() for _ in range(count)]

    def uuid(self) -> str:
        """Return a well-formed version 4 UUID that counts up."""
        self._uuid += 1
        return str(uuid.UUID(int=self._uuid, version=4))

    def token(self) -> str:
        """Return 32 hexadecimal digits that count up."""
        self._uuid += 1
        return f"{self._uuid:032x}"
