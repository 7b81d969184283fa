"""Deliveries: how far each got, and what a person decides about those that wait for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from trunkline.ids import DeliveryId, format_id
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import Queued
from trunkline.web.paging import read_page
from trunkline.web.problem import Problem, Said
from trunkline.web.schemas import (
    STATES,
    DeliveriesOut,
    DeliveryOut,
    GroupOut,
    MovedOut,
    read_delivery_id,
    to_queued,
)
from trunkline.web.services import Services, Using

from .table import GET, POST, Route

MAX_WAIT_S: Final = 60.0
REQUEUED_FROM: Final = (
    DeliveryState.UNCERTAIN, DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.DEAD,
)  # fmt: skip
DISCARDED_FROM: Final = (DeliveryState.DRAFT, DeliveryState.QUEUED, *REQUEUED_FROM)
BY_PERSON: Final = "person"
StateName = Literal[
    "draft", "queued", "sending", "sent", "confirmed", "uncertain", "refused", "expired", "dead",
    "discarded",
]  # fmt: skip


class DeliveriesQuery(BaseModel):
    """Which deliveries; all of them when nothing is named."""

    model_config = ConfigDict(extra="forbid")

    state: list[StateName] = []
    line: str = ""
    cursor: str = ""
    limit: int = Field(50, ge=1, le=200)


async def list_deliveries(
    services: Using, wanted: Annotated[DeliveriesQuery, Query()]
) -> DeliveriesOut:
    """List deliveries, newest first."""
    asked = services.store.deliveries(
        states=[STATES[name] for name in wanted.state],
        line=wanted.line,
        cursor=wanted.cursor,
        limit=wanted.limit,
    )
    page = await read_page(asked)
    lines = {status.name: status for status in services.fleet.statuses()}
    shown = [to_queued(queued, lines.get(queued.conversation.line)) for queued in page.rows]
    return DeliveriesOut(deliveries=shown, cursor=page.cursor)


async def show_delivery(
    services: Using, ident: str, wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0
) -> DeliveryOut:
    """Show one delivery; with `wait`, after its state is final or so many seconds are over."""
    delivery = read_delivery_id(ident)
    queued = await _find(services, delivery)
    if wait:
        await services.desk.wait_settled(delivery, wait)
        queued = await _find(services, delivery)
    return to_queued(queued, services.fleet.status(queued.conversation.line))


async def requeue_delivery(services: Using, ident: str) -> MovedOut:
    """Send it again, with the id it had."""
    return await _move(services, ident, REQUEUED_FROM, DeliveryState.QUEUED)


async def discard_delivery(services: Using, ident: str) -> MovedOut:
    """Drop it."""
    return await _move(services, ident, DISCARDED_FROM, DeliveryState.DISCARDED)


async def approve_delivery(services: Using, ident: str) -> MovedOut:
    """Let a draft leave."""
    return await _move(services, ident, (DeliveryState.DRAFT,), DeliveryState.QUEUED)


async def requeue_group(services: Using, reason: str) -> GroupOut:
    """Send again everything that one restart left uncertain."""
    return await _move_group(services, reason, DeliveryState.QUEUED)


async def discard_group(services: Using, reason: str) -> GroupOut:
    """Drop everything that one restart left uncertain."""
    return await _move_group(services, reason, DeliveryState.DISCARDED)


async def _find(services: Services, ident: DeliveryId) -> Queued:
    queued = await services.store.delivery(ident)
    if queued is None:
        shown = format_id("d", ident)
        raise Problem("not-found", Said(f"没有投递 {shown}", f"There is no delivery {shown}"))
    return queued


async def _move(
    services: Services, text: str, sources: Sequence[DeliveryState], to: DeliveryState
) -> MovedOut:
    ident = read_delivery_id(text)
    if not await services.store.move_delivery(ident, sources, to, BY_PERSON):
        queued = await _find(services, ident)
        name = queued.row.state.name.lower()
        raise Problem("wrong-state", Said(f"现在的状态是 {name}", f"It is {name} now"))
    services.desk.wake()
    return MovedOut(id=format_id("d", ident), state=to.name.lower())


async def _move_group(services: Services, reason: str, to: DeliveryState) -> GroupOut:
    moved = await services.store.move_group(reason, to, BY_PERSON)
    if moved:
        services.desk.wake()
    return GroupOut(reason=reason, moved=moved)


ROUTES: Final = (
    Route(GET, "/api/v1/deliveries", list_deliveries),
    Route(GET, "/api/v1/deliveries/{ident}", show_delivery),
    Route(POST, "/api/v1/deliveries/{ident}/requeue", requeue_delivery),
    Route(POST, "/api/v1/deliveries/{ident}/discard", discard_delivery),
    Route(POST, "/api/v1/deliveries/{ident}/approve", approve_delivery),
    Route(POST, "/api/v1/deliveries/group/{reason}/requeue", requeue_group),
    Route(POST, "/api/v1/deliveries/group/{reason}/discard", discard_group),
)
