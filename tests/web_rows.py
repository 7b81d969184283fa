"""Rows of a small shop window of states, written through the real store."""

from __future__ import annotations

from trunkline.clock import FakeClock
from trunkline.exchange.bodies import encode_event, encode_say
from trunkline.ids import ConversationId, DeliveryId, InboxId, answer_id, id_at
from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState
from trunkline.model.event import DurableEvent, MessageReceived, Person, RequestReceived
from trunkline.model.segment import Image, Text
from trunkline.pipeline.trace import encode_trace
from trunkline.pipeline.turn import Step
from trunkline.store.contract import Beat, EventKind, InboxRow, InboxState, OutboxRow, Store

NOW_MS = FakeClock().now_ms()
START = id_at(NOW_MS)
CHAT = Chat("", "visitor", "v-1")
BLOG = ConversationState(ConversationId(1), "blog", "", "visitor", "v-1")
CORE = ConversationState(ConversationId(2), "core", "my_platform", "group", "88", "群")
ASKED = InboxId(START + 16)
REQUESTED = InboxId(START + 32)
BROKEN = InboxId(START + 48)
ANSWERED = answer_id(ASKED, 0)
DRAFT = DeliveryId(START + 64)
LOST = DeliveryId(START + 80)
LOST_TOO = DeliveryId(START + 96)
QUEUED = DeliveryId(START + 112)
REFUSED = DeliveryId(START + 128)
EXPIRED = DeliveryId(START + 144)
ANA = Person("ana", "Ana")
TRACE = encode_trace((Step("rules", "reply", ("rule", "price", "matched", "价格")),))


def _inbox(
    ident: InboxId, event: DurableEvent, kind: EventKind, state: InboxState, reason: str = ""
) -> InboxRow:
    body = encode_event(event)
    why = TRACE if ident == ASKED else b""
    return InboxRow(ident, BLOG.id, None, kind, state, NOW_MS, body, why, 1, reason)


def _outbox(
    ident: DeliveryId,
    state: DeliveryState,
    where: ConversationState = BLOG,
    *,
    reason: str = "",
    peer_id: str = "",
) -> OutboxRow:
    body = encode_say((Text(f"words of {state.name.lower()}"),))
    return OutboxRow(
        ident, where.id, state, NOW_MS, body, "rule:price", 1, reason=reason, peer_id=peer_id
    )


async def fill(store: Store) -> None:
    """Write the rows."""
    price = (Text("价格\x1b[31m?"), Image(data=b"\x89PNG"))
    asked = MessageReceived(CHAT, ANA, price, item="7788")
    requested = RequestReceived(CHAT, "contact", "call me")
    broken = MessageReceived(CHAT, None, (Text("x"),))
    await store.commit(
        Beat(
            conversations=[BLOG, CORE],
            inbox=[
                _inbox(ASKED, asked, EventKind.MESSAGE, InboxState.DONE),
                _inbox(REQUESTED, requested, EventKind.REQUEST, InboxState.DONE),
                _inbox(BROKEN, broken, EventKind.MESSAGE, InboxState.DEAD, "poison"),
            ],
            outbox=[
                _outbox(ANSWERED, DeliveryState.CONFIRMED, peer_id="p-9"),
                _outbox(DRAFT, DeliveryState.DRAFT),
                _outbox(LOST, DeliveryState.UNCERTAIN, reason="restart 1"),
                _outbox(LOST_TOO, DeliveryState.UNCERTAIN, reason="restart 1"),
                _outbox(QUEUED, DeliveryState.QUEUED, CORE),
                _outbox(REFUSED, DeliveryState.REFUSED, CORE, reason="no such user"),
                _outbox(EXPIRED, DeliveryState.EXPIRED, CORE),
            ],
            now_ms=NOW_MS,
        )
    )  # fmt: skip
