"""What the routes work with, handed over by `trunkline.app`; all of it contract types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Protocol

import msgspec
from fastapi import Depends, Request

from trunkline.clock import Clock
from trunkline.exchange.contract import Broadcast, Desk, LineFacts
from trunkline.lines.contract import Fleet
from trunkline.model.conversation import ConversationState
from trunkline.pipeline.rulebook import RulebookSpec
from trunkline.pipeline.turn import Turn, Verdict
from trunkline.store.contract import Store

from .auth import Access
from .live import Live
from .once import Once
from .tail import Tail


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


class RulesInUse(Protocol):
    """The rules that answer now (`reload.py`)."""

    @property
    def spec(self) -> RulebookSpec:
        """As they were written."""
        ...

    @property
    def loaded_ms(self) -> int:
        """Since when they are in use."""
        ...

    @property
    def problems(self) -> Sequence[str]:
        """Why the last edit was refused; empty = it was taken."""
        ...

    @property
    def restart_needed(self) -> Sequence[str]:
        """What else was edited and is not in use before the next start."""
        ...

    def answer(self, state: ConversationState, turn: Turn) -> Verdict:
        """Decide for somebody who asks by HTTP."""
        ...

    def try_on(self, state: ConversationState, turn: Turn) -> Verdict:
        """Decide on a turn that nobody waits for; what it costs is not held against the rules."""
        ...


def _count_nothing() -> None:
    return None


class Services(msgspec.Struct, frozen=True):
    """Everything a route may use.

    Args:
        health: the present state; called for each probe.
        metrics_text: Prometheus text.
        access: who may come in.
        facts: by line name, what the exchange knows of it.
        accounts: those that a line has or had.
        tail: the changes that `/api/v1/events` shows.
        broadcasts: results by `Idempotency-Key`.
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
    rules: RulesInUse
    tail: Tail
    facts: Mapping[str, LineFacts]
    accounts: Callable[[str], Sequence[str]]
    demo_path: str = "/contact"
    count_auth_failure: Callable[[], None] = _count_nothing
    broadcasts: Once[Broadcast] = msgspec.field(default_factory=Once[Broadcast])


async def find_services(request: Request) -> Services:
    """Return the services of the application that serves this request."""
    # A coroutine although it waits for nothing: the framework gives plain functions a thread.
    services: Services = request.app.state.services
    return services


Using = Annotated[Services, Depends(find_services)]
