"""What the routes work with, handed over by `trunkline.app`; all of it contract types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Protocol

import msgspec
from fastapi import Depends, Request

from trunkline.clock import Clock
from trunkline.exchange.contract import Desk
from trunkline.lines.contract import Fleet
from trunkline.store.contract import Store

from .auth import Access
from .live import Live


class HealthReport(Protocol):
    """How this process is (`telemetry/health.py`)."""

    @property
    def is_live(self) -> bool:
        """Whether it works at all; false = restart it."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether it may get traffic."""
        ...

    @property
    def problems(self) -> Sequence[str]:
        """Why it is not ready, one sentence each."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What is weaker than it should be (open lines, `synchronous=NORMAL`)."""
        ...


def _count_nothing() -> None:
    return None


class Services(msgspec.Struct, frozen=True):
    """Everything a route may use.

    Args:
        health: the present state; called for each probe.
        metrics_text: Prometheus text.
        access: who may come in.
        live: all open streams; `live.close_all()` is the first step of a stop.
        demo_path: the contact line's path that `/demo` talks to, or its whole URL when it has a
            socket of its own; "" when there is none.
        count_auth_failure: called for each wrong token.
    """

    store: Store
    desk: Desk
    fleet: Fleet
    clock: Clock
    health: Callable[[], HealthReport]
    metrics_text: Callable[[], Awaitable[bytes]]
    access: Access
    live: Live
    demo_path: str = "/contact"
    count_auth_failure: Callable[[], None] = _count_nothing


async def find_services(request: Request) -> Services:
    """Return the services of the application that serves this request."""
    # A coroutine although it waits for nothing: the framework gives plain functions a thread.
    services: Services = request.app.state.services
    return services


Using = Annotated[Services, Depends(find_services)]
