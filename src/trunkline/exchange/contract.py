"""What `lines` sees of the exchange, and the exchange of a driver."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from trunkline.dialects.contract import Receipt, Seat, Settled, no_aliases
from trunkline.ids import ConversationId, DeliveryId
from trunkline.model.address import Address, Chat
from trunkline.model.capability import Traits
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import Delivery
from trunkline.model.event import DurableEvent, Fleeting
from trunkline.model.history import Told
from trunkline.model.message import Segments
from trunkline.pipeline.turn import Verdict

DRAFT_LIFE_MS: Final = 86_400_000
"""So long a draft waits for a person. Approved, it lives as long as its answer would have."""


class Origin(Protocol):
    """One driver, as the exchange sees it; `line` is the line's name."""

    line: str

    @property
    def is_ready(self) -> bool:
        """Whether the session is READY on a seat that sends, its link failing or not.

        Cheaper than `can_send`: what is planned for a link that has failed comes back as LATER.
        """
        ...

    @property
    def seat(self) -> Seat | None:
        """Where the session sits, or None before READY."""
        ...

    @property
    def can_send(self) -> bool:
        """Whether `deliver` reaches the session now."""
        ...

    def committed(self, receipts: Sequence[Receipt], events: int, size_bytes: int) -> None:
        """These receipts are durable (leads to `stored`); frees the link's bound."""
        ...

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Hand claimed deliveries to the session, in order."""
        ...

    def flush(self) -> None:
        """The beat is over for this link: one write."""
        ...

    def tell(self, chat: Chat, told: Told) -> None:
        """Show the session something that happened elsewhere; at most once, never settled."""
        ...


class Exchange(Protocol):
    """What a driver, a line and the roster may call. All on the loop's thread, none blocks."""

    @property
    def is_full(self) -> bool:
        """Whether 1,024 messages wait: a driver pauses its link until its own are committed."""
        ...

    def offer(self, origin: Origin, event: DurableEvent, receipt: Receipt, size_bytes: int) -> None:
        """Take an event for the next beat; `committed` follows, always."""
        ...

    def pass_on(self, origin: Origin, event: Fleeting) -> None:
        """Show a fleeting event to who watches."""
        ...

    def keep(self, origin: Origin, account: str, state: bytes) -> None:
        """Store a session's state with the next beat."""
        ...

    def settled(self, origin: Origin, settled: Settled) -> None:
        """Note what became of a delivery; written with the next beat, at the latest in 0.1 s."""
        ...

    def seated(self, origin: Origin, seat: Seat) -> None:
        """A link became ready on a seat: send what waits for it."""
        ...

    def unseated(self, line: str, seat: Seat) -> None:
        """The last link of a seat is gone."""
        ...

    def ask(self, origin: Origin, request: object, answer: Callable[[object], None]) -> None:
        """Answer a session's Find or Do: `answer` is called once, on the loop, now or later.

        What cannot be done is answered with a `TrunklineError` as the value.
        """
        ...


class Router(Protocol):
    """Who sits where: the roster of `lines`, as the exchange asks it."""

    @property
    def shared(self) -> Collection[tuple[str, str]]:
        """The (line, seat) pairs on which more than one link JOINed sits."""
        ...

    def seats(self, line: str) -> Sequence[tuple[str, str]]:
        """Return the (line, seat) pairs of a line that are taken now."""
        ...

    def find(self, line: str, seat_key: str) -> Sequence[Origin]:
        """Return who a delivery to this seat goes to: the newest link, or all that JOINed."""
        ...


class Pace(msgspec.Struct, frozen=True):
    """How fast a line sends at most.

    Args:
        every_ms: between two deliveries of the line; 0 = any.
        daily: deliveries of the line on one local day; 0 = any number.
    """

    every_ms: int = 0
    daily: int = 0


class PaceNow(msgspec.Struct, frozen=True):
    """How a line's pace stands.

    Args:
        sent: deliveries that left today.
        free_ms: when the next one may leave, 0 = now.
    """

    pace: Pace
    sent: int
    free_ms: int


class LineFacts(msgspec.Struct):
    """What the exchange must know of a line. Owned and changed by the line, read at each beat.

    Args:
        seat_of: the seat that a chat's deliveries go to.
        stale_after_ms: older messages get no automatic answer; 0 = any age does.
        is_enabled: false = never connected; the reply service has nothing to say for it.
        is_last_only: rules read the last text of a turn, not all of them.
        max_in_work: turns of one account that are worked on at once; 0 = any number.
        takeover_for_ms: how long an own message that no delivery explains keeps automatic answers
            away; 0 = it does not.
        kinds: kinds of chats that an address of this line may name; empty = any.
        has_brief_seats: it may have seats that never come back (`Seat.is_brief` says which).
        carries: the line that it presents to who is on it, "" = none.
        account: of the chats that it shows of that line.
        reports_own: who is on it is told what we say there, too.
        replay_ms: how long what was said there waits for a link; 0 = not at all, None = for ever.
        pace: how fast it sends at most; None = as fast as it can.
        send_gap_s: deliveries of a seat leave one at a time and so far apart: the next is handed
            over when the fate of the one before is known. So what a crash leaves unclear is what
            was written, and nothing that waited. None = as they come.
        aliases: other chats that deliveries to the people of a chat are written to.
    """

    name: str
    dialect: str
    traits: Traits
    seat_of: Callable[[Chat], str]
    mode: str = "auto"
    is_paused: bool = False
    debounce_s: float = 0.0
    stale_after_ms: int = 0
    is_enabled: bool = True
    is_last_only: bool = False
    max_in_work: int = 0
    takeover_for_ms: int = 0
    has_brief_seats: bool = False
    kinds: tuple[str, ...] = ()
    carries: str = ""
    account: str = ""
    reports_own: bool = False
    replay_ms: int | None = None
    pace: Pace | None = None
    send_gap_s: float | None = None
    aliases: Callable[[Chat, bytes], Sequence[Chat]] = no_aliases


class Meter(Protocol):
    """What the exchange counts. Called once per beat, never per message."""

    def beat(
        self,
        *,
        events: int,
        seconds: float,
        verdicts: Mapping[str, int],
        duplicates: int,
        dead: int,
    ) -> None:
        """Count one commit: its events, its duration and what was decided (`stage:verdict`)."""
        ...

    def outcomes(self, counts: Mapping[str, int]) -> None:
        """Count settled deliveries by `DeliveryState` name in lower case."""
        ...

    def queued(self, events: int) -> None:
        """Show how many events wait for the next beat."""
        ...


class Sent(msgspec.Struct, frozen=True):
    """The answer to `Desk.send`.

    Args:
        is_repeat: the `Idempotency-Key` was used before: nothing new was queued.
    """

    id: DeliveryId
    is_repeat: bool = False


class Broadcast(msgspec.Struct, frozen=True):
    """The answer to `Desk.broadcast`: links that got it, links that did not."""

    delivered: int
    failed: int


class Seen(msgspec.Struct, frozen=True):
    """One thing that became durable, for live feeds: at most once per viewer, never on the way.

    Args:
        what: `message`, `notice`, `request`, `delivery`, `fleeting`.
        id: of the row.
        text: one line.
    """

    what: str
    id: int
    at_ms: int
    line: str
    address: str
    sender: str
    text: str
    detail: str = ""


class Duplicates(msgspec.Struct, frozen=True):
    """Messages of one conversation that were seen before and therefore dropped (`guides 4`).

    Args:
        count: since the process started.
        last_ms: when the last one came.
        text: of the last one, one line.
    """

    count: int
    last_ms: int
    text: str


class Desk(Protocol):
    """What people may ask of the exchange: web and cli."""

    async def send(
        self, address: Address, segments: Segments, *, dedupe: str = "", source: str = "api"
    ) -> Sent:
        """Queue a message durably.

        Raises:
            LookupError: no such line, or the account must be named (the message says which).
            ValueError: the address does not fit the line.
            StoreUnavailable: nothing was stored.
        """
        ...

    async def broadcast(self, line: str, segments: Segments, *, source: str = "api") -> Broadcast:
        """Say something to every open link of a contact line, durably: it is in each history.

        Raises:
            LookupError: no such line.
            ValueError: the line is no contact line (409).
        """
        ...

    async def take_over(
        self, address: Address, *, name: str = "", for_s: float | None = None
    ) -> int:
        """Give a conversation to a person, durably; return until when (wall ms).

        Args:
            for_s: None = the line's `takeover_for_s`.

        Raises:
            LookupError: there is no such conversation.
        """
        ...

    async def enquire(
        self, line: str, kind: str, ident: str, decide: Callable[[ConversationState], Verdict]
    ) -> Verdict:
        """Decide for somebody who asks by HTTP about a chat; what is used up is durable then.

        Args:
            line: need not be configured.
            decide: pure; may be called twice, and the last state counts.

        Raises:
            StoreUnavailable: nothing was counted, so nothing may be said.
        """
        ...

    async def release(self, address: Address, *, reason: str = "") -> None:
        """Give a conversation back to the automatic answers."""
        ...

    async def erase(self, address: Address) -> int:
        """Forget everything that was said in a conversation; return how many rows that were.

        Raises:
            LookupError: there is no such conversation.
        """
        ...

    async def wait_settled(self, ident: DeliveryId, timeout_s: float) -> None:
        """Return when the delivery's state is final, or the time is over."""
        ...

    def pace(self, line: str) -> PaceNow | None:
        """Return how a line's pace stands, None when it has none."""
        ...

    def wake(self) -> None:
        """Rows were changed from outside (requeue, approve): look at the queues again."""
        ...

    def duplicates(self, conversation: ConversationId) -> Duplicates | None:
        """Return the repeats dropped in a conversation since the start, None when none was."""
        ...

    def watch(self, sink: Callable[[Seen], None]) -> Callable[[], None]:
        """Call `sink` after each commit for what it holds; return how to stop."""
        ...
