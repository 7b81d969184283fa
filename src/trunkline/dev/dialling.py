"""Opening links for simulated people: the production dialler without a configuration."""

from __future__ import annotations

from collections.abc import Callable

from trunkline.clock import Clock
from trunkline.dev.people import DialWith
from trunkline.dialects.contract import Dial
from trunkline.lines.contract import Link, LinkUser
from trunkline.lines.dial import Trust, dial
from trunkline.lines.line import Line
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.telemetry.logs import get_logger


def open_dialler(clock: Clock) -> DialWith:
    """Return what opens links with the options of a line. Needs a running loop."""
    log = get_logger("people")

    def on_trouble(where: str, error: BaseException) -> None:
        log.error("link user failed", where=where, error=error)

    commons = Commons(PingSweep(clock), Budget(), on_trouble)

    async def open_link(line: Line, target: Dial, enter: Callable[[Link], LinkUser]) -> Link:
        options = line.options
        return await dial(
            target,
            enter,
            commons,
            trust=Trust(options.ca_file, options.pin_sha256, options.tls_insecure),
            limits=line.limits,
            is_binary=line.is_binary,
        )

    return open_link
