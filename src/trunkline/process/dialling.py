"""The way out: every link that this process opens, with the trust that its line configures.

`max_connections` bounds what comes in and what goes out together, so who dials asks here first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trunkline.dialects.contract import Dial
from trunkline.errors import LinkError
from trunkline.lines.contract import Link, LinkUser
from trunkline.lines.dial import Trust, dial
from trunkline.lines.line import Line
from trunkline.lines.listen import Gate
from trunkline.lines.requests import open_calls
from trunkline.lines.sweep import Commons


class Dialling:
    """See the module.

    Args:
        gate: who has come in.
        lines: those that dial.
        commons: what all links share.
        max_links: in both directions.
    """

    def __init__(self, gate: Gate, lines: Sequence[Line], commons: Commons, max_links: int) -> None:
        self._gate = gate
        self._lines = tuple(lines)
        self._commons = commons
        self._max_links = max_links
        self._dialling = 0

    async def dial(self, line: Line, target: Dial, enter: Callable[[Link], LinkUser]) -> Link:
        """Open a link for a line.

        Raises:
            LinkError: there would be too many, or nobody is there.
        """
        if target.is_request:
            return open_calls(target, enter)
        if self._taken() >= self._max_links:
            raise LinkError("max_connections of [limits] is reached")
        options = line.options
        self._dialling += 1
        try:
            return await dial(
                target,
                enter,
                self._commons,
                trust=Trust(options.ca_file, options.pin_sha256, options.tls_insecure),
                limits=line.limits,
                is_binary=line.is_binary,
            )
        finally:
            self._dialling -= 1

    def _taken(self) -> int:
        # Open ones: lines that wait for their turn have no connection and take nobody's place.
        dialled = sum(driver.link is not None for line in self._lines for driver in line.drivers)
        return self._gate.links + dialled + self._dialling
