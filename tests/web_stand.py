"""What stands in for the rest of the house where a route only passes a call on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from trunkline.clock import FakeClock
from trunkline.exchange.contract import Duplicates, Seen, Sent
from trunkline.ids import DeliveryId
from trunkline.lines.contract import LineState, LineStatus, SeatStatus
from trunkline.model.address import Address
from trunkline.model.message import Segments
from trunkline.web.auth import Access, digest_token
from trunkline.web.live import Live
from trunkline.web.services import Services

TOKEN = "tl_the-right-token-of-this-test"


class Report(NamedTuple):
    """A state of health."""

    is_live: bool = True
    is_ready: bool = True
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


class OneDesk:
    """Implements `Desk`: remembers what was asked, and answers as told.

    Args:
        outcome: the id of the next delivery, or what `send` raises.
    """

    def __init__(self, outcome: int | Exception = 32) -> None:
        self.outcome = outcome
        self.sent: list[tuple[Address, Segments, str]] = []
        self.waited: list[tuple[int, float]] = []
        self.wakes = 0
        self.sinks: list[Callable[[Seen], None]] = []
        self.repeats: dict[int, Duplicates] = {}

    async def send(
        self, address: Address, segments: Segments, *, dedupe: str = "", source: str = "api"
    ) -> Sent:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        is_repeat = bool(dedupe) and any(key == dedupe for _, _, key in self.sent)
        self.sent.append((address, segments, dedupe))
        return Sent(DeliveryId(self.outcome), is_repeat=is_repeat)

    async def wait_settled(self, ident: DeliveryId, timeout_s: float) -> None:
        self.waited.append((ident, timeout_s))

    def wake(self) -> None:
        self.wakes += 1

    def duplicates(self, conversation: int) -> Duplicates | None:
        return self.repeats.get(conversation)

    def watch(self, sink: Callable[[Seen], None]) -> Callable[[], None]:
        self.sinks.append(sink)
        return lambda: self.sinks.remove(sink)


class OneFleet:
    """Implements `Fleet` with the lines it is given."""

    def __init__(self, *lines: LineStatus) -> None:
        self.lines = list(lines) or [line_status("blog")]
        self.done: list[tuple[str, ...]] = []
        self.sinks: list[Callable[[str, str, str], None]] = []

    def statuses(self) -> list[LineStatus]:
        return self.lines

    def status(self, name: str) -> LineStatus | None:
        return next((line for line in self.lines if line.name == name), None)

    def pause(self, name: str) -> None:
        self.done.append(("pause", name))

    def resume(self, name: str) -> None:
        self.done.append(("resume", name))

    def reconnect(self, name: str) -> None:
        self.done.append(("reconnect", name))

    def set_mode(self, name: str, mode: str) -> None:
        self.done.append(("mode", name, mode))

    def watch_frames(self, name: str, sink: Callable[[str, str, str], None]) -> Callable[[], None]:
        self.sinks.append(sink)
        return lambda: self.sinks.remove(sink)


def line_status(name: str, **changes: Any) -> LineStatus:
    """Return a connected contact line."""
    facts: dict[str, Any] = {
        "name": name,
        "dialect": "contact",
        "role": "site",
        "link": "listen",
        "state": LineState.CONNECTED,
        "mode": "auto",
        "overlays": ("open",),
        "where": ("ws://127.0.0.1:8080/contact",),
        "links": 1,
        "seats": (SeatStatus("v-1", "", "127.0.0.1", 1_767_225_600_000, 0),),
        "received": 3,
        "sent": 2,
        "last_ms": 1_767_225_600_000,
    }
    return LineStatus(**(facts | changes))


async def show_metrics() -> bytes:
    return b"trunkline_up 1\n"


def make_services(store: Any = None, **changes: Any) -> Services:
    """Return services that let `TOKEN` in."""
    facts: dict[str, Any] = {
        "store": store,
        "desk": OneDesk(),
        "fleet": OneFleet(),
        "clock": FakeClock(),
        "health": Report,
        "metrics_text": show_metrics,
        "access": Access(digest_token(TOKEN)),
        "live": Live(),
    }
    return Services(**(facts | changes))
