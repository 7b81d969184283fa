"""What stands in for the rest of the house where a route only passes a call on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from trunkline.clock import FakeClock
from trunkline.exchange.contract import Broadcast, Duplicates, LineFacts, PaceNow, Seen, Sent
from trunkline.ids import ConversationId, DeliveryId
from trunkline.lines.contract import (
    CredentialRefused,
    LineState,
    LineStatus,
    OddityStatus,
    SeatStatus,
)
from trunkline.model.address import Address
from trunkline.model.conversation import ConversationState
from trunkline.model.message import Segments
from trunkline.pipeline.asked import answer
from trunkline.pipeline.decide import RuleHealth, compile_rulebook, decide
from trunkline.pipeline.rulebook import RulebookSpec
from trunkline.pipeline.turn import Turn, Verdict
from trunkline.web.auth import Access, digest_token
from trunkline.web.live import Live
from trunkline.web.services import Services
from trunkline.web.tail import Tail

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
        self.paces: dict[str, PaceNow] = {}
        self.sinks: list[Callable[[Seen], None]] = []
        self.repeats: dict[int, Duplicates] = {}
        self.said: list[tuple[str, Segments]] = []
        self.takeovers: list[tuple[Address, str, float]] = []
        self.released: list[Address] = []
        self.chats: dict[tuple[str, str, str], ConversationState] = {}

    async def send(
        self, address: Address, segments: Segments, *, dedupe: str = "", source: str = "api"
    ) -> Sent:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        is_repeat = bool(dedupe) and any(key == dedupe for _, _, key in self.sent)
        self.sent.append((address, segments, dedupe))
        return Sent(DeliveryId(self.outcome), is_repeat=is_repeat)

    async def broadcast(self, line: str, segments: Segments, *, source: str = "api") -> Broadcast:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        assert source == "api"
        self.said.append((line, segments))
        return Broadcast(3, 1)

    async def take_over(
        self, address: Address, *, name: str = "", for_s: float | None = None
    ) -> int:
        for_s = 600.0 if for_s is None else for_s
        self.takeovers.append((address, name, for_s))
        return FakeClock().now_ms() + int(for_s * 1000)

    async def release(self, address: Address, *, reason: str = "") -> None:
        self.released.append(address)

    async def enquire(
        self, line: str, kind: str, ident: str, decide: Callable[[ConversationState], Verdict]
    ) -> Verdict:
        """Count in memory, as a store would."""
        if isinstance(self.outcome, Exception):
            raise self.outcome
        key = (line, kind, ident)
        state = self.chats.get(key) or ConversationState(ConversationId(1), line, "", kind, ident)
        verdict = decide(state)
        self.chats[key] = verdict.state
        return verdict

    async def wait_settled(self, ident: DeliveryId, timeout_s: float) -> None:
        self.waited.append((ident, timeout_s))

    def wake(self) -> None:
        self.wakes += 1

    def pace(self, line: str) -> PaceNow | None:
        return self.paces.get(line)

    def duplicates(self, conversation: int) -> Duplicates | None:
        return self.repeats.get(conversation)

    def watch(self, sink: Callable[[Seen], None]) -> Callable[[], None]:
        self.sinks.append(sink)
        return lambda: self.sinks.remove(sink)


class NothingWaits:
    """The store of a house in which nothing waits for a person."""

    async def drafts(self, limit: int) -> dict[str, int]:
        return {}

    async def for_person(self, limit: int) -> dict[str, int]:
        return {}


class OneFleet:
    """Implements `Fleet` with the lines it is given."""

    def __init__(self, *lines: LineStatus) -> None:
        self.lines = list(lines) or [line_status("blog")]
        self.done: list[tuple[str, ...]] = []
        self.sinks: list[Callable[[str, str, str], None]] = []
        self.odd: dict[str, list[OddityStatus]] = {}

    def statuses(self) -> list[LineStatus]:
        return self.lines

    def status(self, name: str) -> LineStatus | None:
        return next((line for line in self.lines if line.name == name), None)

    def oddities(self, name: str) -> list[OddityStatus]:
        return self.odd.get(name, [])

    def pause(self, name: str) -> None:
        self.done.append(("pause", name))

    def resume(self, name: str) -> None:
        self.done.append(("resume", name))

    def reconnect(self, name: str) -> None:
        self.done.append(("reconnect", name))

    def set_mode(self, name: str, mode: str) -> None:
        self.done.append(("mode", name, mode))

    async def give_credential(self, name: str, text: str) -> None:
        if "unb=" not in text:
            raise CredentialRefused("no unb is among them")
        self.done.append(("credential", name, text))

    def watch_frames(self, name: str, sink: Callable[[str, str, str], None]) -> Callable[[], None]:
        self.sinks.append(sink)
        return lambda: self.sinks.remove(sink)


class SomeRules:
    """Implements `RulesInUse` over one rulebook."""

    def __init__(self, spec: RulebookSpec | None = None) -> None:
        self.rulebook = compile_rulebook(spec or RulebookSpec())
        self.spec = self.rulebook.spec
        self.loaded_ms = FakeClock().now_ms()
        self.problems: Sequence[str] = ()
        self.restart_needed: Sequence[str] = ()

    def answer(self, state: ConversationState, turn: Turn) -> Verdict:
        return answer(state, turn, self.rulebook, RuleHealth())

    def try_on(self, state: ConversationState, turn: Turn) -> Verdict:
        return decide(state, turn, self.rulebook, {}, RuleHealth())


class Timers:
    """Timers that ring when the test says so."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self._calls: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, delay_s: float, call: Callable[[], None]) -> Timers.Handle:
        self.delays.append(delay_s)
        one = (delay_s, call)
        self._calls.append(one)
        return Timers.Handle(self, one)

    def ring(self) -> None:
        """Ring all that are set."""
        calls, self._calls = self._calls, []
        for _, call in calls:
            call()

    @property
    def waiting(self) -> list[float]:
        """The delays of those that are set."""
        return [delay_s for delay_s, _ in self._calls]

    class Handle:
        """One of them."""

        def __init__(self, timers: Timers, one: tuple[float, Callable[[], None]]) -> None:
            self._timers = timers
            self._one = one

        def cancel(self) -> None:
            if self._one in self._timers._calls:
                self._timers._calls.remove(self._one)


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
    known: Mapping[str, LineFacts] = {}
    facts: dict[str, Any] = {
        "store": NothingWaits() if store is None else store,
        "desk": OneDesk(),
        "fleet": OneFleet(),
        "clock": FakeClock(),
        "health": Report,
        "metrics_text": show_metrics,
        "access": Access(digest_token(TOKEN)),
        "live": Live(),
        "rules": SomeRules(),
        "facts": known,
        "accounts": lambda line: ["my_platform"] if line == "core" else [],
    } | changes
    facts.setdefault(
        "tail",
        Tail(
            store=facts["store"],
            desk=facts["desk"],
            fleet=facts["fleet"],
            clock=facts["clock"],
            later=Timers(),
        ),
    )
    return Services(**facts)
