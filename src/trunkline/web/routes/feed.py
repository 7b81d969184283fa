"""The live feed: what became durable, as it does. At most once; what is missed can be listed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Query, Response

from trunkline.exchange.contract import Seen
from trunkline.web.live import Shown, Viewer
from trunkline.web.services import Using
from trunkline.web.showing import feed_id, to_feed

from .lines import find_line
from .table import GET, Route

MAX_REMEMBERED: Final = 1024


async def stream_feed(services: Using, line: Annotated[str, Query(max_length=64)] = "") -> Response:
    """Stream events, answers and outcomes; of one line when it is named."""
    if line:
        find_line(services, line)

    def watch(viewer: Viewer) -> Callable[[], None]:
        is_wanted = LineFilter(line)

        def sink(seen: Seen) -> None:
            if is_wanted(seen):
                viewer.push(Shown(seen.what, to_feed(seen), feed_id(seen)))

        return services.desk.watch(sink)

    return services.live.open(watch)


class LineFilter:
    """Tells whether something is of the line that a viewer watches.

    The outcome of a delivery names no line, so the line's last 1,024 answers are remembered.

    Args:
        line: its name, "" = all lines.
    """

    def __init__(self, line: str) -> None:
        self._line = line
        self._answers: OrderedDict[int, None] = OrderedDict()

    def __call__(self, seen: Seen) -> bool:
        """Return whether `seen` is wanted."""
        if not self._line:
            return True
        if seen.what == "delivery" and not seen.line:
            return seen.id in self._answers
        if seen.line != self._line:
            return False
        if seen.what == "answer":
            self._answers[seen.id] = None
            if len(self._answers) > MAX_REMEMBERED:
                self._answers.popitem(last=False)
        return True


ROUTES: Final = (Route(GET, "/api/v1/feed", stream_feed),)
