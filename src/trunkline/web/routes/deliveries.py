"""Deliveries: how far each got, and what a person decides about those that wait for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from trunkline.exchange.bodies import edit_say
from trunkline.ids import DeliveryId, format_id
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import Edit, EventKind, InboxRow, Queued
from trunkline.web.notation import read_delivery_id
from trunkline.web.paging import read_page
from trunkline.web.problem import Problem, Said
from trunkline.web.schemas import (
    STATES,
    ApproveIn,
    DecidedOut,
    DeliveriesOut,
    DeliveryOut,
    GroupOut,
)
from trunkline.web.services import Services, Using
from trunkline.web.showing import to_queued

from .table import GET, POST, Route

MAX_WAIT_S: Final = 60.0
REQUEUED_FROM: Final = (
    DeliveryState.UNCERTAIN, DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.DEAD,
)  # fmt: skip
DISCARDED_FROM: Final = (DeliveryState.DRAFT, DeliveryState.QUEUED, *REQUEUED_FROM)
# A draft that was approved is one of these, unless it has failed since.
APPROVED: Final = (
    DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.CONFIRMED,
)  # fmt: skip
DISCARDED: Final = DeliveryState.DISCARDED.name.lower()
NEWER_ROWS: Final = 20
# With a pace that lets one leave in 6 s, more than an hour and a half is no news to the second.
PLACES_PAGES: Final = 5
PLACES_AT_ONCE: Final = 200
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
    paces = {name: services.desk.pace(name) for name in lines}
    places = {
        name: await _places(services, name)
        for name in {queued.conversation.line for queued in page.rows if _is_queued(queued)}
        if (pace := paces.get(name)) is not None and pace.free_ms
    }
    shown = [
        to_queued(queued, lines.get(name), paces.get(name), place)
        for queued in page.rows
        for name in (queued.conversation.line,)
        for place in (places.get(name, {}).get(queued.row.id, 0),)
    ]
    return DeliveriesOut(deliveries=shown, cursor=page.cursor)


async def show_delivery(
    services: Using, ident: str, wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0
) -> DeliveryOut:
    """Show one delivery; with `wait`, after its state is final or so many seconds are over."""
    delivery = read_delivery_id(ident)
    queued = await _find(services, delivery, ident)
    if wait:
        await services.desk.wait_settled(delivery, wait)
        queued = await _find(services, delivery, ident)
    line = queued.conversation.line
    pace, place = services.desk.pace(line), 0
    if pace is not None and pace.free_ms and _is_queued(queued):
        place = (await _places(services, line)).get(queued.row.id, 0)
    return to_queued(queued, services.fleet.status(line), pace, place)


async def requeue_delivery(services: Using, ident: str) -> DecidedOut:
    """Send it again, with the id it had."""
    delivery = read_delivery_id(ident)
    if not await _is_moved(services, delivery, REQUEUED_FROM, DeliveryState.QUEUED):
        raise _wrong_state((await _find(services, delivery, ident)).row.state)
    return DecidedOut(id=format_id("d", delivery), state=DeliveryState.QUEUED.name.lower())


async def discard_delivery(services: Using, ident: str) -> DecidedOut:
    """Drop it; dropping it again changes nothing."""
    delivery = read_delivery_id(ident)
    if await _is_moved(services, delivery, DISCARDED_FROM, DeliveryState.DISCARDED):
        return DecidedOut(id=format_id("d", delivery), state=DISCARDED)
    queued = await _find(services, delivery, ident)
    if queued.row.state is not DeliveryState.DISCARDED:
        raise _wrong_state(queued.row.state)
    return DecidedOut(id=format_id("d", delivery), state=DISCARDED, is_repeat=True)


async def approve_delivery(
    services: Using, ident: str, given: ApproveIn | None = None
) -> DecidedOut:
    """Let a draft leave, with its own words or with `text` instead.

    Asked again with the same words, it changes nothing and says how far the delivery is.
    """
    delivery = read_delivery_id(ident)
    shown = format_id("d", delivery)
    queued = await _find(services, delivery, ident)
    edit = None
    if given is not None and given.text is not None:
        edit = Edit(_edit(queued.row.body, given.text), BY_PERSON)
    if await _is_moved(services, delivery, (DeliveryState.DRAFT,), DeliveryState.QUEUED, edit):
        newer = await _count_newer(services, queued)
        return DecidedOut(id=shown, state=DeliveryState.QUEUED.name.lower(), newer=newer)
    row = (await _find(services, delivery, ident)).row
    if row.state not in APPROVED or (edit is not None and edit.body != row.body):
        raise _wrong_state(row.state)
    return DecidedOut(id=shown, state=row.state.name.lower(), is_repeat=True)


async def requeue_group(services: Using, reason: str) -> GroupOut:
    """Send again everything that one restart left uncertain."""
    return await _move_group(services, reason, DeliveryState.QUEUED)


async def discard_group(services: Using, reason: str) -> GroupOut:
    """Drop everything that one restart left uncertain."""
    return await _move_group(services, reason, DeliveryState.DISCARDED)


async def _find(services: Services, ident: DeliveryId, typed: str) -> Queued:
    queued = await services.store.delivery(ident)
    if queued is None:
        shown = typed.strip()  # as it was asked for: look-alikes would be shown as others
        raise Problem("not-found", Said(f"没有投递 {shown}", f"There is no delivery {shown}"))
    return queued


def _is_queued(queued: Queued) -> bool:
    return queued.row.state is DeliveryState.QUEUED


async def _places(services: Services, line: str) -> dict[DeliveryId, int]:
    """Return how many deliveries of a line leave before each that waits for its pace."""
    newest_first: list[DeliveryId] = []
    cursor = ""
    for _ in range(PLACES_PAGES):
        page = await services.store.deliveries(
            states=[DeliveryState.QUEUED], line=line, cursor=cursor, limit=PLACES_AT_ONCE
        )
        newest_first += [queued.row.id for queued in page.rows]
        cursor = page.cursor
        if not cursor:
            break
    return {ident: nth for nth, ident in enumerate(reversed(newest_first))}


async def _is_moved(
    services: Services,
    ident: DeliveryId,
    sources: Sequence[DeliveryState],
    to: DeliveryState,
    edit: Edit | None = None,
) -> bool:
    is_moved = await services.store.move_delivery(ident, sources, to, BY_PERSON, edit)
    if is_moved:
        services.desk.wake()
    return is_moved


def _wrong_state(state: DeliveryState) -> Problem:
    name = state.name.lower()
    if state is DeliveryState.DRAFT:
        return Problem(
            "wrong-state",
            Said(
                "这是草稿，用 approve 批准或 discard 丢弃",
                "It is a draft: approve it or discard it",
            ),
        )
    if state in REQUEUED_FROM:
        return Problem(
            "wrong-state",
            Said(
                f"现在的状态是 {name}；仍要发送请用 requeue",
                f"It is {name} now; requeue sends it all the same",
            ),
        )
    return Problem("wrong-state", Said(f"现在的状态是 {name}", f"It is {name} now"))


def _edit(body: bytes, text: str) -> bytes:
    try:
        return edit_say(body, text)
    except ValueError as error:  # also of a body that is gone or cannot be read
        said = Said("这条投递没有可改的文字", "This delivery has no words that can be edited")
        raise Problem("invalid", said) from error


async def _count_newer(services: Services, queued: Queued) -> int:
    """Return how many messages came in after the one that a draft answers."""
    rows = await services.store.history(queued.conversation.id, 0, NEWER_ROWS)
    return sum(
        isinstance(row, InboxRow) and row.kind is EventKind.MESSAGE and row.id > queued.row.id
        for row in rows
    )


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
