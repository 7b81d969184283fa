"""After the commit: acknowledge, hand deliveries to their links, note what became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from trunkline import failpoints
from trunkline.clock import Clock
from trunkline.dialects.contract import Settled
from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.exchange.contract import LineFacts, Origin, Router
from trunkline.exchange.dispatch import Dispatch
from trunkline.exchange.extras import Claim, SentRange, Settling
from trunkline.exchange.planning import GONE, Item, Outgoing
from trunkline.model.delivery import Delivery, DeliveryState
from trunkline.model.delivery import Outcome as Fate
from trunkline.store.contract import Outcome, Queued

_STATES: Mapping[Fate, DeliveryState] = {
    Fate.CONFIRMED: DeliveryState.CONFIRMED,
    Fate.SENT: DeliveryState.SENT,
    Fate.REFUSED: DeliveryState.REFUSED,
    Fate.UNCERTAIN: DeliveryState.UNCERTAIN,
    Fate.LATER: DeliveryState.QUEUED,
}


def acknowledge(items: Sequence[Item]) -> dict[Origin, None]:
    """Tell every link what of its own is durable now; return the links, in order."""
    touched: dict[Origin, Settling] = {}
    for item in items:
        settling = touched.get(item.origin)
        if settling is None:
            settling = touched[item.origin] = Settling(item.origin)
        settling.events += 1
        settling.size_bytes += item.size_bytes
        if item.receipt is not None:
            settling.receipts.append(item.receipt)
    failpoints.hit("ack.before_write")
    for origin, settling in touched.items():
        origin.committed(settling.receipts, settling.events, settling.size_bytes)
    return dict.fromkeys(touched)


class Sender:
    """Hands claimed deliveries over and turns what sessions say into outcomes.

    While a beat's deliveries are handed over, outcomes are collected: when every one of them was
    simply SENT, one range update settles the whole beat (`measurements.md`: 2 µs a message).

    Args:
        outcome: takes one outcome for the next beat, with the (line, seat) it belongs to.
        range_sent: takes a beat whose deliveries were all written.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        facts: Mapping[str, LineFacts],
        router: Router,
        dispatch: Dispatch,
        outcome: Callable[[Outcome, tuple[str, str]], None],
        range_sent: Callable[[SentRange], None],
    ) -> None:
        self._clock = clock
        self._facts = facts
        self._router = router
        self._dispatch = dispatch
        self._outcome = outcome
        self._range_sent = range_sent
        self._open: dict[int, Outgoing] = {}
        self._collected: dict[int, Settled] = {}

    def settled(self, origin: Origin, settled: Settled) -> None:
        """Note what a session says of a delivery."""
        if settled.delivery_id in self._open:
            earlier = self._collected.get(settled.delivery_id)
            if earlier is None or settled.outcome is Fate.CONFIRMED:
                self._collected[settled.delivery_id] = settled  # JOINed links: best proof counts
            return
        seat = origin.seat
        self._note(origin.line, seat.key if seat is not None else "", settled)

    def send(
        self,
        answers: Sequence[Outgoing],
        claims: Sequence[Claim],
        unclaimed: frozenset[int],
        flushed: dict[Origin, None],
    ) -> None:
        """Hand over what the beat made SENDING; links that got something join `flushed`."""
        claimed = [
            outgoing
            for claim in claims
            for one in claim.rows
            if one.row.id not in unclaimed and (outgoing := self._outgoing(one)) is not None
        ]
        outgoing = [*answers, *claimed]
        if not outgoing:
            return
        self._open = {out.delivery.id: out for out in outgoing}
        self._collected = {}
        for origin, deliveries in self._by_origin(outgoing).items():
            origin.deliver(deliveries)
            flushed[origin] = None
        collected = self._collected
        self._open = {}
        rest = outgoing
        if answers and all(_is_plainly_sent(collected.get(out.delivery.id)) for out in answers):
            # The ids of one beat's answers are a closed range: no other row can be in it.
            self._range_sent(SentRange(tuple(sorted(out.delivery.id for out in answers))))
            rest = claimed
        for out in rest:
            settled = collected.get(out.delivery.id)
            if settled is not None:
                self._note(out.line, out.seat_key, settled)

    def _by_origin(self, outgoing: Sequence[Outgoing]) -> dict[Origin, list[Delivery]]:
        by_origin: dict[Origin, list[Delivery]] = {}
        for out in outgoing:
            origin = out.origin
            if origin is not None and origin.can_send:
                by_origin.setdefault(origin, []).append(out.delivery)
                continue
            targets = self._router.find(out.line, out.seat_key)
            for target in targets:
                by_origin.setdefault(target, []).append(out.delivery)
            if not targets:
                # The link went while the commit was under way: nothing was written.
                self._collected[out.delivery.id] = Settled(out.delivery.id, Fate.LATER)
        return by_origin

    def _outgoing(self, queued: Queued) -> Outgoing | None:
        """Build what leaves; a row that cannot be read is DEAD and holds nothing up."""
        conversation = queued.conversation
        facts = self._facts[conversation.line]
        chat = conversation.chat
        seat_key = facts.seat_of(chat)
        row = queued.row
        context = queued.context
        try:
            what = decode_what(row.body)
            if queued.question is not None and queued.question.body:
                context = decode_event(queued.question.body).context
        except msgspec.DecodeError as error:
            dead = Outcome(
                row.id, DeliveryState.DEAD, self._clock.now_ms(), reason=f"unreadable: {error}"
            )
            self._outcome(dead, (facts.name, seat_key))
            return None
        delivery = Delivery(row.id, chat, what, context, row.at_ms, row.attempt + 1)
        return Outgoing(delivery, facts.name, seat_key, None)

    def _note(self, line: str, seat_key: str, settled: Settled) -> None:
        facts = self._facts[line]
        now_ms = self._clock.now_ms()
        state = _STATES[settled.outcome]
        reason, due_ms = settled.detail, 0
        if state is DeliveryState.UNCERTAIN and facts.traits.peer_dedupes:
            state = DeliveryState.QUEUED  # the same id again: the peer drops the second copy
        if state is DeliveryState.QUEUED:
            if settled.wait_s:
                due_ms = now_ms + round(settled.wait_s * 1000)
            if facts.has_brief_seats and not self._router.find(line, seat_key):
                state, reason = DeliveryState.EXPIRED, GONE
            else:
                self._dispatch.queued(line, seat_key)
        outcome = Outcome(settled.delivery_id, state, now_ms, settled.peer_id, reason, due_ms)
        self._outcome(outcome, (line, seat_key))


def _is_plainly_sent(settled: Settled | None) -> bool:
    return settled is not None and settled.outcome is Fate.SENT and not settled.peer_id
