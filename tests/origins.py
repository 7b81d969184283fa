"""Links of a test's own in a real house: what they are sent is noted, its fate is said by the test.

An `Endpoint` is an `Origin` with a seat in the roster. Without a `fate` deliveries stay open until
the test says what became of them, as with a peer that acknowledges late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from house import House
from trunkline.dialects.contract import Seat, Settled, Sharing
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, Person
from trunkline.model.history import Told
from trunkline.model.message import plain_text
from trunkline.model.segment import Text

Fate = Callable[[Delivery], Settled | None]


def is_sent(delivery: Delivery) -> Settled:
    return Settled(delivery.id, Outcome.SENT)


class Endpoint:
    """One link.

    Args:
        fate: what it says of each delivery at once.
    """

    def __init__(
        self,
        house: House,
        account: str = "qq",
        *,
        line: str = "core",
        fate: Fate | None = is_sent,
        sharing: Sharing = Sharing.REPLACE,
        is_brief: bool = False,
    ) -> None:
        self.house = house
        self.line = line
        self.fate = fate
        self.is_able = True
        self.fault: dict[str, Exception] = {}
        self.heard: list[str] = []
        self.open: dict[str, DeliveryId] = {}
        self.receipts: list[Any] = []
        self.told: list[tuple[str, Told]] = []
        self.freed = 0
        self.flushes = 0
        facts = house.lines[line].facts
        self.account = "" if facts.has_brief_seats else account
        self._seat: Seat | None = Seat(account, self.account, sharing=sharing, is_brief=is_brief)
        house.roster.take(self, self._seat)  # type: ignore[arg-type]  # an Origin with `replaced`
        house.core.seated(self, self._seat)

    # -- `exchange.contract.Origin` ----------------------------------------------------------

    @property
    def seat(self) -> Seat | None:
        return self._seat

    @property
    def can_send(self) -> bool:
        return self.is_able and self._seat is not None

    @property
    def is_ready(self) -> bool:
        return self.can_send

    def committed(self, receipts: Sequence[Any], events: int, size_bytes: int) -> None:
        self._fail("committed")
        self.receipts += receipts
        self.freed += events

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            self._fail("deliver")
            if not self.can_send:
                self.house.core.settled(self, Settled(one.id, Outcome.LATER))
                continue
            assert isinstance(one.what, Say)
            words = plain_text(one.what.segments)
            self.heard.append(words)
            self.open[words] = one.id
            settled = self.fate(one) if self.fate is not None else None
            if settled is not None:
                if settled.outcome is Outcome.LATER:
                    self.heard.remove(words)
                self.house.core.settled(self, settled)

    def tell(self, chat: Chat, told: Told) -> None:
        self.told.append((chat.id, told))

    def flush(self) -> None:
        self._fail("flush")
        self.flushes += 1

    def replaced(self) -> None:
        self.is_able = False

    def _fail(self, verb: str) -> None:
        if verb in self.fault:
            raise self.fault.pop(verb)

    # -- what a test does --------------------------------------------------------------------

    def say(self, words: str, user: str = "alice", *, key: bytes | None = None) -> None:
        """Offer a message of a private chat; its words are its receipt."""
        kind = "private" if self.account else "visitor"
        chat = Chat(self.account, kind, user if self.account else self._key())
        event = MessageReceived(chat, Person(user), (Text(words),), key=key)
        self.house.core.offer(self, event, words, len(words))

    def settle(self, words: str, outcome: Outcome, **more: Any) -> None:
        """Say what became of a delivery."""
        self.house.core.settled(self, Settled(self.open[words], outcome, **more))

    def leave(self) -> None:
        """The link is gone."""
        seat, self._seat = self._seat, None
        assert seat is not None
        if self.house.roster.leave(self, seat):  # type: ignore[arg-type]  # see `__init__`
            self.house.core.unseated(self.line, seat)

    def _key(self) -> str:
        assert self._seat is not None
        return self._seat.key
