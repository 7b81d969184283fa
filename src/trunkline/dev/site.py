"""`trunkline emulate DIALECT --port N`: a site or core that says everything back, without a store.

The production sessions, links and doors, with an exchange that answers each message by its own
segments: enough for a visitor or an adapter under development to talk to.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from trunkline.clock import SystemClock
from trunkline.dev.people import Forgetting, Uncounted
from trunkline.dialects.contract import Receipt
from trunkline.dialects.registry import DIALECTS
from trunkline.exchange.contract import Origin
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
    ids = SystemIds(clock)
    log = get_logger("site")
    loop = asyncio.get_running_loop()

    def on_trouble(where: str, error: BaseException) -> None:
        log.error("link user failed", where=where, error=error)

    gate = Gate(Commons(PingSweep(clock), Budget(), on_trouble), clock)
    dialect = DIALECTS[dialect_name]
    around = Surroundings(
        clock=clock,
        ids=ids,
        exchange=_SayingBack(ids, clock),
        roster=Roster(),
        log=log,
        meter=Uncounted(),
        timer=lambda at_s, call: loop.call_at(loop.time() + at_s - clock.monotonic_s(), call),
        auth_failed=gate.auth_failed,
    )
    line = Line("echo", dialect, dialect.options(dialect=dialect_name), around)
    for path in dialect.paths(line.options):
        gate.add("", path, line)
    server = Server(not_found, gate, [Socket("", "127.0.0.1", port)])
    bound = await server.start()
    url = "ws" + bound[""].removeprefix("http") + dialect.paths(line.options)[0]
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    ready(url=url)
    await stopped.wait()
    line.close_links(1001, "server stops")
    await server.stop(1.0)
