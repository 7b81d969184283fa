"""What the peers of a run share: where the product is, and how much they say.

Also what one of them remembers of a question, and the time that a repeated question carries.
"""

from __future__ import annotations

import asyncio

from trunkline.clock import SystemClock
from trunkline.ids import Ids
from trunkline.model.delivery import Delivery

from .ledger import Ledger


class Stage:
    """Where the product is, as the peers know it.

    Attributes:
        url: of the present product; peers add the path.
        life: counts the products, from 1.
        closing: no new questions; peers finish what they have and leave.
        is_proving: … but stay: the product may still find out what became of something.
    """

    def __init__(self) -> None:
        self.url = ""
        self.life = 0
        self.closing = False
        self.is_proving = False
        self._changed = asyncio.Condition()

    async def set(self, url: str, *, closing: bool = False) -> None:
        """Tell the peers of a new product."""
        async with self._changed:
            self.url, self.closing = url, closing
            self.life += 1
            self._changed.notify_all()

    async def wait(self, after: int) -> int:
        """Return the number of a product that is younger than the one that was lost."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.life > after)
            return self.life


class StampedClock(SystemClock):
    """The machine's clocks; a question that is sent again carries the time of its first copy."""

    def __init__(self) -> None:
        self.at_ms = 0

    def now_ms(self) -> int:
        """Return wall time in milliseconds, or the time of what is being sent."""
        return self.at_ms or super().now_ms()


class Question:
    """One thing that a peer said."""

    __slots__ = (
        "chat", "delivery", "has_no_receipt", "is_acknowledged", "is_answered", "links", "words",
    )  # fmt: skip

    def __init__(self, chat: int, words: str, delivery: Delivery) -> None:
        self.chat = chat
        self.words = words
        self.delivery = delivery
        self.links = 0
        self.is_acknowledged = False
        self.is_answered = False
        self.has_no_receipt = False


class Plan:
    """What all peers of a run share.

    Args:
        rate: questions a second of one peer, at most.
        most: questions of one peer in one life; 0 = no limit.
        is_binary: messages of the dialect are no text.
    """

    def __init__(
        self,
        stage: Stage,
        ledger: Ledger,
        ids: Ids,
        rate: float,
        most: int = 0,
        *,
        is_binary: bool = False,
    ) -> None:
        self.stage = stage
        self.ledger = ledger
        self.ids = ids
        self.rate = rate
        self.most = most
        self.is_binary = is_binary
