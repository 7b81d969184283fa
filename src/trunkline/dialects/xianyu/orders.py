"""What the platform's order texts mean, and which status may follow which.

The lists are data: the texts are the platform's own and change. Source: xianyu 7.4, 16
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec


class OrderText(msgspec.Struct, frozen=True):
    """What a notice of the platform says about an order.

    Args:
        event: our word for it.
        status: of the order, once it is so.
        is_trigger: goods could be handed over now.
    """

    event: str
    status: str
    is_trigger: bool = False


_WAITING: Final = OrderText("waiting_payment", "processing")
_CHANGED: Final = OrderText("price_changed", "processing")
_PAID: Final = OrderText("paid", "pending_ship")
_TO_SHIP: Final = OrderText("paid", "pending_ship", is_trigger=True)
_SHIPPED: Final = OrderText("shipped", "shipped")
_COMPLETED: Final = OrderText("completed", "completed")
_CLOSED: Final = OrderText("closed", "cancelled")

TEXTS: Final[Mapping[str, OrderText]] = {
    "我已拍下，待付款": _WAITING,
    "我已修改价格，等待你付款": _CHANGED,
    "我已付款，等待你发货": _TO_SHIP,
    "已付款，待发货": _TO_SHIP,
    "买家已付款": _PAID,
    "付款完成": _PAID,
    "记得及时发货": _TO_SHIP,
    "你已发货": _SHIPPED,
    "你已发货，请等待买家确认收货": _SHIPPED,
    "买家确认收货，交易成功": _COMPLETED,
    "你已确认收货，交易成功": _COMPLETED,
    "退款成功，钱款已原路退返": _CLOSED,
    "你关闭了订单，钱款已原路退返": _CLOSED,
}
RED_REMINDERS: Final[Mapping[str, OrderText]] = {
    "等待买家付款": _WAITING,
    "等待卖家发货": _PAID,
    "交易关闭": _CLOSED,
}
BARGAIN_TITLE: Final = "我已小刀，待刀成"
BARGAIN: Final = OrderText("bargain_pending", "pending_ship", is_trigger=True)
REFUND_TITLE: Final = "我发起了退款申请"
REFUNDS: Final[Mapping[str, OrderText]] = {
    "已同意": OrderText("refund_requested", "refunding"),
    "已撤销": OrderText("refund_withdrawn", "refund_cancelled"),
}

TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    "processing": frozenset({"pending_ship", "shipped", "completed", "cancelled"}),
    "pending_ship": frozenset({"shipped", "completed", "cancelled", "refunding"}),
    "shipped": frozenset({"completed", "cancelled", "refunding"}),
    "completed": frozenset({"cancelled", "refunding"}),
    "refunding": frozenset({"completed", "cancelled", "refund_cancelled"}),
    "cancelled": frozenset(),
}
WITHDRAWN: Final = "refund_cancelled"  # never stays: the order is again what it was

EVENTS: Final = tuple(
    dict.fromkeys(
        told.event
        for told in (*TEXTS.values(), *RED_REMINDERS.values(), BARGAIN, *REFUNDS.values())
    )
)


def find_text(text: str) -> OrderText | None:
    """Return what a text means, one pair of square brackets and the blanks around it aside."""
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1].strip()
    return TEXTS.get(bare)


def follow(statuses: Sequence[str]) -> str:
    """Return the status of an order that was told these, in this order; "" before the first.

    A lower status that comes late is ignored, the same again changes nothing, and a withdrawn
    refund gives back what was before it. Source: xianyu 16 (order_transitions)
    """
    status = before = ""
    for told in statuses:
        if not status:
            if told in ("processing", "pending_ship") or told in TRANSITIONS:
                status = told
        elif told == WITHDRAWN:
            status = before if status == "refunding" and before else status
        elif told in TRANSITIONS.get(status, frozenset()):
            before, status = status, told
    return status
