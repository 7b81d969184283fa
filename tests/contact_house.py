"""A pump with a memory: what a contact site's store and exchange do, for one bot that comes back.

Events and answers get row ids in the order of their commit, a delivery without a link waits for the
next one on its seat, and `FindChat`/`FindHistory` are answered from what was said.
"""

from __future__ import annotations

from typing import Any

from pump import End, Pump
from trunkline.dialects.contract import FindChat, FindHistory, LinkState, Settled
from trunkline.errors import StoreUnavailable
from trunkline.ids import DeliveryId, InboxId, answer_id
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.history import ChatFacts, History, HistoryItem

STATES = {
    Outcome.CONFIRMED: "confirmed",
    Outcome.SENT: "sent",
    Outcome.REFUSED: "refused",
    Outcome.LATER: "queued",
    Outcome.UNCERTAIN: "queued",  # the trait `peer_dedupes`: the same id again
}


class ContactHouse(Pump):
    """See the module.

    Attributes:
        said: (chat id, item) in the order of the commits; `state` is filled in when asked for.
        queue: deliveries that wait for a link, oldest first.
    """

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self.find = self._find
        self.said: list[tuple[str, HistoryItem]] = []
        self.queue: list[Delivery] = []
        self.given: dict[DeliveryId, Delivery] = {}
        self.states: dict[DeliveryId, str] = {}
        self.is_store_away = False

    def commit(self, end: End | None = None, count: int | None = None) -> int:
        end = end or self.bot
        if end is not self.bot:
            return super().commit(end, count)
        size = len(end.waiting) if count is None else min(count, len(end.waiting))
        for _ in range(size):
            received = end.waiting.popleft()
            is_orphan = end.orphans > 0
            end.orphans -= is_orphan
            self._remember(end, received.event)
            if not is_orphan and end.is_linked and received.receipt is not None:
                end.acknowledged.append(received.receipt)
                self._do(end, end.session.stored(received.receipt))
        self.flush()
        return size

    def flush(self) -> None:
        """Hand over what waits, if the bot sits on its seat."""
        bot = self.bot
        for delivery in list(self.queue):
            if delivery not in self.queue:
                continue  # handing over the one before made the session take this one too
            is_here = bot.is_linked and bot.state is LinkState.READY and bot.seat is not None
            if is_here and bot.seat is not None and bot.seat.key == delivery.chat.id:
                self.queue.remove(delivery)
                self.states[delivery.id] = "sending"
                self.deliver(bot, delivery)

    def queued(self, chat: Chat, words: Any, context: bytes = b"") -> DeliveryId:
        """A person's message is queued."""
        delivery = Delivery(
            DeliveryId(self.ids.next()), chat, Say(words), context, self.clock.now_ms()
        )
        self._queue(delivery, "operator")
        self.flush()
        return delivery.id

    def _remember(self, end: End, event: Any) -> None:
        if not self._is_new(end, event):
            return
        inbox = InboxId(self.ids.next())
        now_ms = self.clock.now_ms()
        self.said.append((event.chat.id, HistoryItem(inbox, now_ms, "user", event)))
        answers = self.answer(event) if self.answer is not None else ()
        for nth, segments in enumerate(answers):
            ident = answer_id(inbox, nth)
            self._queue(
                Delivery(ident, event.chat, Say(segments), event.context, now_ms), "assistant"
            )

    def _queue(self, delivery: Delivery, speaker: Any) -> None:
        assert isinstance(delivery.what, Say)
        item = HistoryItem(
            delivery.id,
            delivery.at_ms,
            speaker,
            segments=delivery.what.segments,
            context=delivery.context,
        )
        self.said.append((delivery.chat.id, item))
        self.queue.append(delivery)
        self.given[delivery.id] = delivery
        self.states[delivery.id] = "queued"

    def _settle(self, end: End, settled: Settled) -> None:
        super()._settle(end, settled)
        if end is self.bot and settled.delivery_id in self.given:
            state = STATES[settled.outcome]
            self.states[settled.delivery_id] = state
            if state == "queued":
                self.queue.append(self.given[settled.delivery_id])
                self.queue.sort(key=lambda one: one.id)

    def _do(self, end: End, effects: Any) -> None:
        super()._do(end, effects)
        if end is self.bot and not self._busy:
            self._busy = True
            self.flush()
            self._busy = False

    def _find(self, request: Any) -> Any:
        if self.is_store_away:
            return StoreUnavailable("away")
        items = [item for chat, item in self.said if chat == request.chat.id]
        if isinstance(request, FindChat):
            last = items[-1] if items else None
            return ChatFacts(request.chat, last is not None, last.at_ms if last else 0, last)
        assert isinstance(request, FindHistory)
        assert 1 <= request.limit <= 200
        found = sorted(
            (item for item in items if not request.before or item.id < request.before),
            key=lambda item: item.id,
        )
        page = [self._with_state(item) for item in found[-request.limit :]]
        return History(tuple(page), len(found) > request.limit)

    def _with_state(self, item: HistoryItem) -> HistoryItem:
        state = self.states.get(DeliveryId(item.id), "")
        return HistoryItem(
            item.id, item.at_ms, item.speaker, item.event, item.segments, item.context, state=state
        )
