"""`trunkline emulate DIALECT --port N`: what listens for somebody under development; no store.

The production sessions, links and doors. A site, core or framework says everything back: its
exchange answers each message by its own segments. An implementation has simulated people of its
own, for every framework that connects.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import msgspec

from trunkline.clock import SystemClock
from trunkline.dev.people import Forgetting, Uncounted, World
from trunkline.dialects.contract import Dialect, Opening, Receipt, Session
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.exchange.contract import Exchange, Origin
from trunkline.ids import InboxId, SystemIds, answer_id
from trunkline.lines.line import Line, Surroundings
from trunkline.lines.listen import Gate
from trunkline.lines.roster import Roster
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.model.delivery import Delivery, Say
from trunkline.model.event import DurableEvent, MessageReceived
from trunkline.telemetry.logs import get_logger
from trunkline.web.server import Server, Socket, not_found


class _SayingBack(Forgetting):
    """Answers each message by its own segments, in order.

    Args:
        ids: of the answers.
    """

    def __init__(self, ids: SystemIds, clock: SystemClock) -> None:
        self._ids = ids
        self._clock = clock

    def offer(self, origin: Origin, event: DurableEvent, receipt: Receipt, size_bytes: int) -> None:
        """Acknowledge, then say it back."""
        super().offer(origin, event, receipt, size_bytes)
        if isinstance(event, MessageReceived) and event.segments:
            answer = Delivery(
                answer_id(InboxId(self._ids.next()), 0),
                event.chat,
                Say(event.segments),
                event.context,
                self._clock.now_ms(),
            )
            asyncio.get_running_loop().call_soon(_deliver, origin, answer)


def _deliver(origin: Origin, answer: Delivery) -> None:
    origin.deliver((answer,))
    origin.flush()


def run_echo_site(dialect_name: str, port: int, ready: Callable[..., None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `ready(url=…)` is called once it listens."""
    asyncio.run(_serve(dialect_name, port, ready))


async def _serve(dialect_name: str, port: int, ready: Callable[..., None]) -> None:
    clock = SystemClock()
    dialect = DIALECTS[dialect_name]
    saying_back = _SayingBack(SystemIds(clock), clock)
    await _listen(dialect, dialect.options(dialect=dialect_name), port, saying_back, ready)


def run_people_site(
    dialect_name: str, options: LineOptions, world: World, port: int, ready: Callable[..., None]
) -> None:
    """Let simulated people wait for who connects, until SIGTERM or Ctrl-C.

    Args:
        options: of the listening line that they play.
        ready: `ready(url=…)` is called once it listens.
    """
    asyncio.run(_listen(scripted(dialect_name, world), options, port, Forgetting(), ready))


def scripted(dialect_name: str, world: World) -> Dialect:
    """Return a dialect whose sessions are the people of a world."""

    def open_person(_options: LineOptions, opening: Opening) -> Session:
        return world.person(opening)

    return msgspec.structs.replace(DIALECTS[dialect_name], open=open_person)


async def _listen(
    dialect: Dialect, options: LineOptions, port: int, exchange: Exchange,
    ready: Callable[..., None],
) -> None:  # fmt: skip
    clock = SystemClock()
    log = get_logger("site")
    loop = asyncio.get_running_loop()

    def on_trouble(where: str, error: BaseException) -> None:
        log.error("link user failed", where=where, error=error)

    gate = Gate(Commons(PingSweep(clock), Budget(), on_trouble), clock)
    around = Surroundings(
        clock=clock,
        ids=SystemIds(clock),
        exchange=exchange,
        roster=Roster(),
        log=log,
        meter=Uncounted(),
        timer=lambda at_s, call: loop.call_at(loop.time() + at_s - clock.monotonic_s(), call),
        auth_failed=gate.auth_failed,
    )
    line = Line("echo", dialect, options, around)
    for path in dialect.paths(options):
        gate.add("", path, line)
    server = Server(not_found, gate, [Socket("", "127.0.0.1", port)])
    bound = await server.start()
    url = "ws" + bound[""].removeprefix("http") + dialect.paths(options)[0]
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    ready(url=url)
    await stopped.wait()
    line.close_links(1001, "server stops")
    await server.stop(1.0)
