"""Live viewers: told after each commit what it held. At most once, never on the way."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

from trunkline.exchange.contract import Duplicates, Seen
from trunkline.exchange.extras import SentRange
from trunkline.exchange.plans import Item, Plan
from trunkline.ids import DeliveryId
from trunkline.model.address import Address, format_address
from trunkline.model.event import DurableEvent, Fleeting, MessageReceived, RequestReceived
from trunkline.model.message import summary
from trunkline.store.contract import Outcome

Sink = Callable[[Seen], None]
DUPLICATES = 1000


class Watchers:
    """Who looks on. A sink must not block; what it raises removes it."""

    def __init__(self) -> None:
        self._sinks: dict[int, Sink] = {}
        self._next = 0
        self._waits: dict[int, list[asyncio.Future[None]]] = {}
        # The last conversations with a repeat; the longest untouched is forgotten at 1,000.
        self._duplicates: OrderedDict[int, Duplicates] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def add(self, sink: Sink) -> Callable[[], None]:
        """Add a sink; return how to remove it."""
        self._next += 1
        ident = self._next
        self._sinks[ident] = sink
        return lambda: self._sinks.pop(ident, None) and None

    def wait(self, ident: DeliveryId) -> asyncio.Future[None]:
        """Return a future that is done at the next committed outcome of a delivery."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.setdefault(ident, []).append(future)
        future.add_done_callback(lambda done: self._forget(ident, done))
        return future

    def settled(
        self, outcomes: Sequence[Outcome], ranges: Sequence[SentRange], now_ms: int
    ) -> None:
        """Wake who waits for a delivery that has a new state, and tell the sinks."""
        if self._waits:
            ids = {outcome.id for outcome in outcomes}
            for ident in list(self._waits):
                if ident in ids or any(sent.first <= ident <= sent.last for sent in ranges):
                    for future in self._waits.pop(ident):
                        if not future.done():
                            future.set_result(None)
        for outcome in outcomes if self._sinks else ():
            state = outcome.state.name.lower()
            self._emit(Seen("delivery", outcome.id, outcome.at_ms, "", "", "", "", state))
        for ident in (ident for sent in ranges for ident in sent.ids) if self._sinks else ():
            self._emit(Seen("delivery", ident, now_ms, "", "", "", "", "sent"))

    def repeated(self, conversation: int, event: DurableEvent, now_ms: int) -> None:
        """Remember a dropped repeat for `why`."""
        earlier = self._duplicates.pop(conversation, None)
        count = earlier.count + 1 if earlier is not None else 1
        self._duplicates[conversation] = Duplicates(count, now_ms, _text(event))
        if len(self._duplicates) > DUPLICATES:
            self._duplicates.popitem(last=False)

    def duplicates(self, conversation: int) -> Duplicates | None:
        """Return what was dropped in a conversation."""
        return self._duplicates.get(conversation)

    def committed(
        self, items: Sequence[Item], repeated: frozenset[int], plan: Plan, now_ms: int
    ) -> None:
        """Tell what a beat held: events with their fate, then deliveries."""
        rows = dict(zip(plan.index, plan.beat.inbox, strict=False))
        for position, item in enumerate(items):
            row = rows.get(position)
            if position in repeated:
                self._emit(_seen("duplicate", 0, now_ms, item.key[0], item.event, "duplicate"))
            elif row is not None:
                what = row.kind.name.lower()
                self._emit(
                    _seen(what, row.id, now_ms, item.key[0], item.event, row.state.name.lower())
                )
        for said, state, segments in plan.said:
            self._emit(
                Seen(
                    "answer", said.id, now_ms, state.line, format_address(state.address),
                    said.source, summary(segments), said.state.name.lower(),
                )
            )  # fmt: skip

    def fleeting(self, line: str, event: Fleeting, now_ms: int) -> None:
        """Tell of typing and the like."""
        if self._sinks:
            chat = event.chat
            address = format_address(Address(line, chat.kind, chat.id, chat.account))
            self._emit(Seen("fleeting", 0, now_ms, line, address, "", event.name))

    def _emit(self, seen: Seen) -> None:
        for ident, sink in list(self._sinks.items()):
            try:
                sink(seen)
            except Exception:  # noqa: BLE001 - a viewer's fault must not reach the beat
                self._sinks.pop(ident, None)

    def _forget(self, ident: int, done: asyncio.Future[None]) -> None:
        waits = self._waits.get(ident)
        if waits and done in waits:
            waits.remove(done)
            if not waits:
                del self._waits[ident]


def _seen(what: str, ident: int, now_ms: int, line: str, event: DurableEvent, detail: str) -> Seen:
    chat = event.chat
    return Seen(
        what,
        ident,
        now_ms,
        line,
        format_address(Address(line, chat.kind, chat.id, chat.account)),
        event.sender.shown if event.sender is not None else "",
        _text(event),
        detail,
    )


def _text(event: DurableEvent) -> str:
    if isinstance(event, MessageReceived):
        return summary(event.segments)
    return event.text if isinstance(event, RequestReceived) else event.name
