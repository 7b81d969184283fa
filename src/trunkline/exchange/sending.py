"""After the commit: acknowledge, hand deliveries to their links, note what became of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Receipt, Settled
from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.exchange.contract import LineFacts, Origin, Router
from trunkline.exchange.dispatch import Dispatch, Where
from trunkline.exchange.extras import Claim, SentRange
from trunkline.exchange.plans import GONE, Item, Outgoing
from trunkline.model.delivery import Delivery, DeliveryState
from trunkline.model.delivery import Outcome as Fate
from trunkline.store.contract import Outcome, Queued

Trouble: TypeAlias = Callable[[str, BaseException], None]

# JOINed links may say different things of one delivery: the best one counts.
_WORTH: Mapping[Fate, int] = {
    Fate.LATER: 0, Fate.REFUSED: 1, Fate.UNCERTAIN: 2, Fate.SENT: 3, Fate.CONFIRMED: 4,
}  # fmt: skip
_CONFIRMED = Fate.CONFIRMED
_LATER = Fate.LATER
_PROVEN = DeliveryState.CONFIRMED
RETRY_CEILING_S = 30.0
_STATES: Mapping[Fate, DeliveryState] = {
    Fate.CONFIRMED: DeliveryState.CONFIRMED,
    Fate.SENT: DeliveryState.SENT,
    Fate.REFUSED: DeliveryState.REFUSED,
    Fate.UNCERTAIN: DeliveryState.UNCERTAIN,
    Fate.LATER: DeliveryState.QUEUED,
}


def acknowledge(items: Sequence[Item], on_trouble: Trouble) -> dict[Origin, None]:
    """Tell every link what of its own is durable now; return the links, in order.

    A fault in one link's session must not keep the others from hearing of theirs.
    """
    touched: dict[Origin, tuple[list[Receipt], int, int]] = {}
    for item in items:
        origin, receipt = item.origin, item.receipt
        receipts, events, size_bytes = touched.get(origin) or ([], 0, 0)
        if receipt is not None:
            receipts.append(receipt)
        touched[origin] = (receipts, events + 1, size_bytes + item.size_bytes)
    for origin, settling in touched.items():
        try:
            origin.committed(*settling)
        except Exception as error:  # noqa: BLE001 - the edge "beat": it is committed, go on
            on_trouble("acknowledge", error)
    return dict.fromkeys(touched)


def flush(origins: Iterable[Origin], on_trouble: Trouble) -> None:
    """Write what was sent to these links, one write each."""
    for origin in origins:
        try:
            origin.flush()
        except Exception as error:  # noqa: BLE001 - the edge "beat": it is committed, go on
            on_trouble("flush", error)


class Sender:
    """Hands claimed deliveries over and turns what sessions say into outcomes.

    While a beat's deliveries are handed over, outcomes are collected: when every one of them was
    simply SENT, one range update settles the whole beat (`measurements.md`: 2 µs a message).

    Args:
        outcome: takes one outcome for the next beat, with the (line, seat) it belongs to.
        range_sent: takes a beat whose deliveries were all written, with the seats where something
            waits behind them.
        give_back: told a line with a pace that counted what did not leave.
        on_trouble: told of a fault of ours in a link.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        facts: Mapping[str, LineFacts],
        router: Router,
        dispatch: Dispatch,
        outcome: Callable[[Outcome, Where], None],
        range_sent: Callable[[SentRange, Collection[Where]], None],
        give_back: Callable[[str], None],
        on_trouble: Trouble,
    ) -> None:
        self._give_back = give_back
        self._clock = clock
        self._facts = facts
        self._router = router
        self._dispatch = dispatch
        self._outcome = outcome
        self._range_sent = range_sent
        self._on_trouble = on_trouble
        self._open: dict[int, Outgoing] = {}
        self._collected: dict[int, Settled] = {}

    def settled(self, origin: Origin, settled: Settled) -> None:
        """Note what a session says of a delivery."""
        seat = origin.seat
        where = (origin.line, seat.key if seat is not None else "")
        if settled.outcome is _CONFIRMED and not self._open:  # nearly always, where a peer answers
            now_ms = self._clock.now_ms()
            ident, detail = settled.delivery_id, settled.detail
            self._outcome(Outcome(ident, _PROVEN, now_ms, settled.peer_id, detail), where)
            return
        if settled.outcome is _LATER and not settled.wait_s and origin.can_send:
            # The link is there and still it does not go: at once would be for ever at once.
            out = self._open.get(settled.delivery_id)
            attempt = out.delivery.attempt if out is not None else 1
            wait_s = retry_s(settled.delivery_id, attempt)
            settled = msgspec.structs.replace(settled, wait_s=wait_s)
        if settled.delivery_id in self._open:
            earlier = self._collected.get(settled.delivery_id)
            if earlier is None or _WORTH[settled.outcome] > _WORTH[earlier.outcome]:
                self._collected[settled.delivery_id] = settled
            return
        self._note(where, settled)

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
        for one in (one for claim in claims for one in claim.rows) if unclaimed else ():
            if one.row.id in unclaimed:
                self._dispatch.release(self._where(one), one.row.id)
        outgoing = [*answers, *claimed] if claimed else answers
        if not outgoing:
            return
        self._open = {out.delivery.id: out for out in outgoing}
        self._collected = {}
        for origin, deliveries in self._by_origin(outgoing).items():
            flushed[origin] = None
            try:
                origin.deliver(deliveries)
            except Exception as error:  # noqa: BLE001 - the edge "beat": concerns this link only
                self._failed(deliveries, error)
        collected = self._collected
        self._open = {}
        rest = outgoing
        if answers and all(_is_plainly_sent(collected.get(out.delivery.id)) for out in answers):
            # The ids of one beat's answers are a closed range: no other row can be in it.
            behind: list[Where] = []
            if self._dispatch.has_waiting:
                seats = dict.fromkeys(out.where for out in answers)
                behind = [where for where in seats if not self._dispatch.is_direct(where)]
            ids = tuple(sorted(out.delivery.id for out in answers))
            self._range_sent(SentRange(ids), behind)
            rest = claimed
        for out in rest if collected else ():
            settled = collected.get(out.delivery.id)
            if settled is not None:
                self._note(out.where, settled)

    def _failed(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        self._on_trouble("deliver", error)
        for delivery in deliveries:
            # Whether any of it was written nobody can say.
            unknown = Settled(delivery.id, Fate.UNCERTAIN, detail="our fault, see the log")
            self._collected.setdefault(delivery.id, unknown)

    def _by_origin(self, outgoing: Sequence[Outgoing]) -> dict[Origin, list[Delivery]]:
        by_origin: dict[Origin, list[Delivery]] = {}
        shared = self._router.shared
        for out in outgoing:
            origin = out.origin
            if origin is not None and origin.is_ready and not (shared and out.where in shared):
                mine = by_origin.get(origin)
                if mine is None:
                    by_origin[origin] = [out.delivery]
                else:
                    mine.append(out.delivery)
                continue
            targets = self._router.find(*out.where)
            for target in targets:
                by_origin.setdefault(target, []).append(out.delivery)
            if not targets:
                # The link went while the commit was under way: nothing was written.
                self._collected[out.delivery.id] = Settled(out.delivery.id, Fate.LATER)
        return by_origin

    def _where(self, queued: Queued) -> Where:
        line = queued.conversation.line
        return line, self._facts[line].seat_of(queued.conversation.chat)

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
        return Outgoing(delivery, (facts.name, seat_key), None)

    def _note(self, where: Where, settled: Settled) -> None:
        line, seat_key = where
        now_ms = self._clock.now_ms()
        facts = self._facts[line]
        state = _STATES[settled.outcome]
        reason, due_ms = settled.detail, 0
        dedupes = settled.is_repeatable or facts.traits.peer_dedupes
        if state is DeliveryState.UNCERTAIN and dedupes:
            state = DeliveryState.QUEUED  # the same id again: the peer drops the second copy
        if settled.outcome is Fate.LATER and facts.pace is not None:
            self._give_back(line)  # nothing was written
        if state is DeliveryState.QUEUED:
            if settled.wait_s:
                due_ms = now_ms + round(settled.wait_s * 1000)
            if self._dispatch.is_gone(line, seat_key) and not self._router.find(line, seat_key):
                state, reason = DeliveryState.EXPIRED, GONE
        outcome = Outcome(settled.delivery_id, state, now_ms, settled.peer_id, reason, due_ms)
        self._outcome(outcome, where)


def _is_plainly_sent(settled: Settled | None) -> bool:
    return settled is not None and settled.outcome is Fate.SENT and not settled.peer_id


def retry_s(ident: int, attempt: int) -> float:
    """Return the wait before the next attempt: full jitter over 1, 2, 4, 8, 16, 30 s.

    The jitter comes from the id, so that nothing random is needed. Source: reliability 3
    """
    longest_s = min(RETRY_CEILING_S, 2.0 ** (max(attempt, 1) - 1))
    share = ((ident >> 4) * 2_654_435_761 + attempt * 40_503) % 65_536 / 65_536
    return max(0.05, longest_s * share)
