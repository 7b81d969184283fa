"""Broadcast: say something to every open link of a contact line."""

from __future__ import annotations

from typing import Final

from trunkline.exchange.contract import Broadcast
from trunkline.model.message import parse_message
from trunkline.web.chats import BroadcastIn, BroadcastOut
from trunkline.web.problem import Problem, Said
from trunkline.web.services import Using

from .lines import find_line
from .messages import IdempotencyKey
from .table import POST, Route


async def broadcast(
    services: Using, wanted: BroadcastIn, idempotency_key: IdempotencyKey = ""
) -> BroadcastOut:
    """Say something to every open link of a contact line.

    The same `Idempotency-Key` says it once, as long as this process runs.
    """
    find_line(services, wanted.line)
    try:
        segments = parse_message(wanted.message)
    except ValueError as error:
        raise Problem("invalid", str(error)) from error

    async def say() -> Broadcast:
        return await services.desk.broadcast(wanted.line, segments, source="api")

    try:
        said = await services.broadcasts.do(idempotency_key, say)
    except ValueError as error:
        # Which lines can is the exchange's to say. Source: guides 6, "else 409".
        name = wanted.line
        detail = Said(f"{name} 不是访客线路", f"{name} is no contact line")
        raise Problem("no-broadcast", detail) from error
    return BroadcastOut(delivered=said.delivered, failed=said.failed)


ROUTES: Final = (Route(POST, "/api/v1/broadcast", broadcast),)
