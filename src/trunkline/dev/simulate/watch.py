"""The rules of a session, checked at every verb of every session, on both sides.

What any driver may rely on (`dialects/contract.py`): a delivery is settled exactly once, at the
latest by `lost`; only a SENT one may be proven later; `stored` comes once a receipt and never
before what carries it is durable; nothing happens after the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trunkline.dialects.contract import (
    Ask,
    Effect,
    Effects,
    LinkInfo,
    Received,
    Session,
    Settled,
    Transmit,
)
from trunkline.errors import TrunklineError
from trunkline.ids import DeliveryId
from trunkline.model.delivery import Delivery, Outcome, Tell
from trunkline.model.event import DurableEvent, Fleeting


class WatchedSession:
    """A session that tells when a rule is broken, its own or its user's.

    Args:
        session: of a dialect.
        broken: told each rule that was broken.
        is_durable: whether an event is committed; asked at `stored`.
        written: told the frames of each `send`, for who repeats them.
    """

    def __init__(
        self,
        session: Session,
        *,
        broken: Callable[[str], None],
        is_durable: Callable[[DurableEvent], bool] | None = None,
        written: Callable[[list[bytes]], None] | None = None,
    ) -> None:
        self.wake_at = session.wake_at
        self._session = session
        self._broken = broken
        self._is_durable = is_durable
        self._written = written
        self._pending: dict[DeliveryId, None] = {}
        self._settled: dict[DeliveryId, Outcome] = {}
        self._receipts: list[tuple[Any, list[DurableEvent]]] = []
        self._open_asks: list[Any] = []
        self._is_lost = False

    # -- the nine verbs ----------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Pass it on."""
        return self._see("begin", self._session.begin(kept))

    def linked(self, info: LinkInfo) -> Effects:
        """Pass it on."""
        return self._see("linked", self._session.linked(info))

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Pass it on; nothing a peer sends may raise."""
        try:
            effects = self._session.receive(data, is_text=is_text)
        except Exception as error:
            self._broken(f"receive raised {type(error).__name__}: {error}")
            raise
        return self._see("receive", effects)

    def answered(self, tag: Any, answer: Any | TrunklineError) -> Effects:
        """Pass on an answer that was asked for."""
        if tag in self._open_asks:
            self._open_asks.remove(tag)
        else:
            self._broken("an answer to no question")
        return self._see("answered", self._session.answered(tag, answer))

    def stored(self, receipt: Any) -> Effects:
        """Pass it on, once a receipt, when all that carries it is durable."""
        found = next((one for one in self._receipts if one[0] is receipt), None)
        if found is None:
            self._broken(f"stored a receipt that nothing waits for: {receipt!r}")
        else:
            self._receipts.remove(found)
            if self._is_durable is not None and not all(map(self._is_durable, found[1])):
                self._broken(f"acknowledged before it is stored: {receipt!r}")
        return self._see("stored", self._session.stored(receipt))

    def send(self, delivery: Delivery) -> Effects:
        """Pass on a delivery that is not under way already."""
        is_told = type(delivery.what) is Tell
        if not is_told:
            if delivery.id in self._pending:
                self._broken(f"delivery {delivery.id} is handed in twice")
            self._pending[delivery.id] = None
        try:
            effects = self._session.send(delivery)
        except Exception as error:
            self._broken(f"send raised {type(error).__name__}: {error}")
            self._pending.pop(delivery.id, None)
            raise
        if self._written is not None:
            self._written([one.data for one in effects if type(one) is Transmit])
        self.wake_at = self._session.wake_at
        if is_told:
            return effects
        return self._see("send", effects)

    def tick(self) -> Effects:
        """Pass it on."""
        if self._is_lost:
            self._broken("a timer of a link that is gone")
        return self._see("tick", self._session.tick())

    def finish(self) -> Effects:
        """Pass it on."""
        return self._see("finish", self._session.finish())

    def lost(self, error: TrunklineError) -> Effects:
        """Pass it on; afterwards nothing is pending."""
        effects = self._see("lost", self._session.lost(error))
        self._is_lost = True
        if self._pending:
            self._broken(f"pending after lost: {list(self._pending)}")
        if self._open_asks:
            self._broken(f"asked and not answered at the end: {self._open_asks!r}")
        return effects

    # -- what it says ------------------------------------------------------------------------

    def _see(self, verb: str, effects: Effects) -> Effects:
        self.wake_at = self._session.wake_at
        receipts: dict[int, tuple[Any, list[DurableEvent]]] = {}
        for effect in effects:
            if self._is_lost and type(effect) in (Transmit, Received, Settled, Ask):
                self._broken(f"{verb} after lost returns {type(effect).__name__}")
            self._see_one(effect, receipts)
        self._receipts += receipts.values()
        return effects

    def _see_one(self, effect: Effect, receipts: dict[int, tuple[Any, list[DurableEvent]]]) -> None:
        if type(effect) is Settled:
            self._settle(effect)
        elif type(effect) is Received:
            event = effect.event
            if type(event) is Fleeting:
                if effect.receipt is not None:
                    self._broken("a fleeting event with a receipt")
            elif effect.receipt is not None:
                receipts.setdefault(id(effect.receipt), (effect.receipt, []))[1].append(event)
        elif type(effect) is Ask:
            if effect.tag in self._open_asks:
                self._broken(f"asked twice under one tag: {effect.tag!r}")
            self._open_asks.append(effect.tag)

    def _settle(self, settled: Settled) -> None:
        ident = settled.delivery_id
        before = self._settled.get(ident)
        if ident in self._pending:
            del self._pending[ident]
        elif before is None:
            self._broken(f"settled what it was never given: {ident}")
        elif before is not Outcome.SENT or settled.outcome is not Outcome.CONFIRMED:
            self._broken(f"settled twice: {before} then {settled.outcome}")
        self._settled[ident] = settled.outcome
