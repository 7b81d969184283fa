"""The contract of a protocol session: nine verbs in, nine effects out (`style 3`).

A session is synchronous, owned by exactly one driver (one session per link), and returns its
effects in order from every verb. `receive` never raises for anything a peer can send. Misuse by
our own code raises `LocalProtocolError` and leaves the state unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.schemas import SchemaSide
from trunkline.errors import TrunklineError
from trunkline.ids import DeliveryId, Ids
from trunkline.model.address import Chat
from trunkline.model.capability import Traits
from trunkline.model.delivery import Delivery, Outcome
from trunkline.model.event import Event
from trunkline.model.message import Segments

Receipt: TypeAlias = Any  # the session's own; the exchange hands it back and never looks inside
Tag: TypeAlias = Any


# -- before the link ------------------------------------------------------------------------


class Head(msgspec.Struct, frozen=True):
    """The head of an upgrade request, as `admit` and `linked` see it.

    Args:
        path: exact path without the query.
        query: decoded query values, the last one of a repeated name.
        headers: lower-case names; values decoded as latin-1, the last one of a repeated name.
        peer: address of the peer, without port; a trusted proxy's forwarded one if configured.
        is_loopback: the peer is this machine and no proxy header says otherwise.
    """

    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    peer: str = ""
    is_loopback: bool = False


class Admit(msgspec.Struct, frozen=True):
    """Let the upgrade happen.

    Args:
        kind: which session `open` shall make (the dialect's own word).
        max_message_bytes: counted while reading; above it the link closes 1009.
        subprotocol: the one to select, or None.
    """

    kind: str
    max_message_bytes: int
    subprotocol: str | None = None


class Refuse(msgspec.Struct, frozen=True):
    """Answer the upgrade with an HTTP status and one sentence."""

    status: int
    text: str


class LinkInfo(msgspec.Struct, frozen=True):
    """The open link. For a dialled one `head` holds the answer's headers and our own path.

    Args:
        is_request: it is one HTTP request: one message comes in, the first one transmitted is the
            answer (empty = 204), and then it ends. A hang-up before that is told as a failure.
    """

    head: Head
    is_dialled: bool = False
    subprotocol: str | None = None
    is_request: bool = False


class HttpRequest(msgspec.Struct, frozen=True):
    """A plain HTTP request, read to its end."""

    method: str
    head: Head
    body: bytes = b""


class HttpAnswer(msgspec.Struct, frozen=True):
    """The answer to a request that no session sees. A body is JSON."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class HttpEntry(msgspec.Struct, frozen=True):
    """Hand a request to a session.

    Args:
        kind: which one `open` shall make.
        data: the message that it receives.
    """

    kind: str
    data: bytes


class HttpSide(msgspec.Struct, frozen=True):
    """What a listening line serves over HTTP besides its WebSocket. All of it is pure.

    Args:
        paths: `(options) → paths`: one that is a WebSocket path too takes POST only; one that ends
            in `/*` stands for a last part of any name.
        admit: `(options, method, head) → HttpAnswer`, or the greatest body in bytes. Before any of
            the body is read.
        take: `(options, request) → HttpEntry | HttpAnswer`.
    """

    paths: Callable[[Any], Sequence[str]]
    admit: Callable[[Any, str, Head], HttpAnswer | int]
    take: Callable[[Any, HttpRequest], HttpEntry | HttpAnswer]


# -- effects --------------------------------------------------------------------------------


class Fetch(msgspec.Struct, frozen=True):
    """An HTTP call to be made. The answer is a `Fetched`, or an error when there was none.

    Headers are the session's own, cookies included: none are added or remembered. No redirect is
    followed. Private addresses are refused, except the hosts in the line's `own_hosts`.

    Args:
        timeout_s: for everything, from the look-up of the name to the last byte.
        max_bytes: of the answer's body.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    timeout_s: float = 10.0
    max_bytes: int = 10 << 20


class Fetched(msgspec.Struct, frozen=True):
    """What an HTTP server answered, whatever the status.

    Args:
        headers: lower-case names, in order; repeated ones (`set-cookie`) are kept apart.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Allowance(msgspec.Struct, frozen=True):
    """May this be done once more? Counted per line, shared by all its links, bounded, in memory.

    The answer is `True` or the seconds to wait as a float.
    """

    key: str
    limit: int
    per_s: float


class FindChat(msgspec.Struct, frozen=True):
    """What is known of a chat of this line? The answer is a `ChatFacts`."""

    chat: Chat


class FindHistory(msgspec.Struct, frozen=True):
    """What was said in a chat of this line? The answer is a `History`, oldest item first.

    Args:
        before: only items with a lower row id; 0 = the newest.
        limit: 1 … 200.
    """

    chat: Chat
    before: int = 0
    limit: int = 50


class FindChats(msgspec.Struct, frozen=True):
    """Which chats of this line were active last? The answer is a tuple of `ChatFacts`."""

    limit: int = 100


class FindUnclear(msgspec.Struct, frozen=True):
    """In which chats of this line did something become UNCERTAIN of late?

    The answer is a tuple of `UnclearChat`, the newest first.

    Args:
        since_ms: not what became so before.
        limit: of deliveries, 1 … 200.
    """

    since_ms: int = 0
    limit: int = 50


class UnclearChat(msgspec.Struct, frozen=True):
    """A chat in which a delivery is UNCERTAIN.

    Args:
        at_ms: when the oldest one of them was decided.
    """

    chat: Chat
    at_ms: int


class DoSend(msgspec.Struct, frozen=True):
    """A person says something in a chat of this line. The answer is the delivery's id.

    Args:
        name: of the person, shown to the visitor.
    """

    chat: Chat
    segments: Segments
    name: str = ""


class DoAnswer(msgspec.Struct, frozen=True):
    """The line says something by itself because its owner allowed that beforehand, whatever the
    mode. The answer is the delivery's id; an error while the line is off or a person has the chat.

    Args:
        key: what it answers: asked for again with the same key, nothing new is said.
    """

    chat: Chat
    segments: Segments
    key: str


class DoTakeOver(msgspec.Struct, frozen=True):
    """A person takes a chat: no automatic answers for `for_s`. The answer is True."""

    chat: Chat
    name: str = ""
    for_s: float = 600.0


class DoRelease(msgspec.Struct, frozen=True):
    """The assistant has the chat again. The answer is True."""

    chat: Chat


class DoWatch(msgspec.Struct, frozen=True):
    """From now on this link is told (`Tell`) what happens in a chat, or no longer.

    The answer is True; at most 64 chats are watched by one link, a further one is refused.
    """

    chat: Chat
    is_on: bool = True


class DoBroadcast(msgspec.Struct, frozen=True):
    """Say something to every link of this line. The answer is (delivered, failed)."""

    segments: Segments


class DoClose(msgspec.Struct, frozen=True):
    """Close every link of a chat (1000). The answer is how many there were."""

    chat: Chat


class DoCarry(msgspec.Struct, frozen=True):
    """Who is on this link says something in a chat of the line that this line carries.

    The answer is a `Carried`, when its fate is known or after 10 s; an error when there is no such
    chat. What is said in one chat keeps its order.

    Args:
        chat: as this line shows it: kind `private` or `group`, the number as text for an id.
        segments: quotes and mentions by number.
        quote: number of the message that is answered, 0 = none.
    """

    chat: Chat
    segments: Segments
    quote: int = 0


class FindCarried(msgspec.Struct, frozen=True):
    """What is known of a carried chat? The answer is a `CarriedChat`; an error when there is none.

    A person is asked for as the private chat with them.
    """

    chat: Chat


class FindCarriedChats(msgspec.Struct, frozen=True):
    """Which carried chats are there? The answer is a tuple of at most 200 `CarriedChat`.

    Args:
        kind: `private` or `group`.
    """

    kind: str


class FindCarriedMembers(msgspec.Struct, frozen=True):
    """Who spoke in a carried chat lately? The answer is a tuple of at most 200 `CarriedMember`."""

    chat: Chat


class FindCarriedMessage(msgspec.Struct, frozen=True):
    """Which message has this number? The answer is a `CarriedMessage`; an error when none has."""

    number: int


Find: TypeAlias = (
    FindChat | FindHistory | FindChats | FindUnclear
    | FindCarried | FindCarriedChats | FindCarriedMembers | FindCarriedMessage
)  # fmt: skip
Do: TypeAlias = (
    DoSend | DoAnswer | DoTakeOver | DoRelease | DoWatch | DoBroadcast | DoClose | DoCarry
)  # fmt: skip


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Have the outside asked; the answer comes back by `answered(tag, …)`."""

    tag: Tag
    request: Fetch | Find | Do | Allowance


class Dial(msgspec.Struct, frozen=True):
    """Open this address. No redirects are followed.

    Args:
        url: `ws://` or `wss://`.
        max_message_bytes: as in `Admit`.
        lenient_subprotocols: what the answer may name besides what was offered; without a name it
            is good anyway. Source: boss 1
        is_request: nothing is opened: the session makes calls (`Fetch`), and its link is only the
            time that it lives. What it transmits goes nowhere.
    """

    url: str
    headers: Mapping[str, str] = {}
    subprotocol: str | None = None
    max_message_bytes: int = 1 << 20
    is_request: bool = False
    lenient_subprotocols: tuple[str, ...] = ()


class Transmit(msgspec.Struct, frozen=True, gc=False):
    """Write this message. Whoever settles a delivery with it says so in a `Settled` after it."""

    data: bytes


class Received(msgspec.Struct, frozen=True, gc=False):
    """Something happened.

    `receipt` (not None) comes back by `stored` after the last event that carries it is committed;
    an event without one causes no `stored`.
    """

    event: Event
    receipt: Receipt = None


class Keep(msgspec.Struct, frozen=True):
    """Small opaque state (≤ 64 KiB), committed with the `Received` returned beside it."""

    state: bytes


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What became of a delivery.

    Args:
        peer_id: the platform's id of what was sent, or "".
        detail: why, when REFUSED or UNCERTAIN; safe to show.
        wait_s: when LATER: not before this many seconds.
        is_repeatable: when UNCERTAIN: this peer drops a second copy by its id, so it is queued
            again (`Traits.peer_dedupes` says so for all peers of a role).
        data: what the peer returned for an `Act`, as JSON; b"" = nothing. Never stored.
    """

    delivery_id: DeliveryId
    outcome: Outcome
    peer_id: str = ""
    detail: str = ""
    wait_s: float = 0.0
    is_repeatable: bool = False
    data: bytes = b""


class LinkState(Enum):
    """How far a session is."""

    OPENING = "opening"
    READY = "ready"
    DEGRADED = "degraded"
    CLOSED = "closed"


class Sharing(Enum):
    """What happens when a new link has the seat of another."""

    REPLACE = "replace"  # the newest has it, the older is closed 1000
    JOIN = "join"  # both; a delivery goes to all, the first proof settles it
    EACH = "each"  # both; a delivery goes to the newest


class Seat(msgspec.Struct, frozen=True, gc=False):
    """Who is on a link.

    Args:
        key: the account or visitor; deliveries are routed by `Dialect.seat_of(chat)` equal to it.
        account: who is on the other end, shown to people; "" for visitors.
        can_send: whether deliveries may go over this link.
        sharing: when another link has the same seat.
        is_new: nobody can have left a delivery for this seat before (a fresh visitor).
        is_brief: the seat never comes back after the link: what waits for it then expires.
        is_staff: a person of ours sits there: told what happens, never sent a message.
        link_id: the peer's name for its connection, "" when it has none; an older link of the seat
            with the same name is closed 1000, also when the seat is shared.
        refusal: an older link keeps its seat, and this one is closed 1008 with this text; "" = the
            older one goes. Links of one seat that do not replace each other are no rivals.
        probe_s: with a `refusal`: the older link is asked first whether it is there (a ping). When
            nothing comes from it for so long, or it ends, it goes all the same and this one has the
            seat. Until then this one is not READY, and what it says is kept. 0 = nobody is asked.
    """

    key: str
    account: str = ""
    can_send: bool = True
    sharing: Sharing = Sharing.REPLACE
    is_new: bool = False
    is_brief: bool = False
    link_id: str = ""
    is_staff: bool = False
    refusal: str = ""
    probe_s: float = 0.0


class Changed(msgspec.Struct, frozen=True):
    """The session's state; READY comes with the seat. A session may take another seat later."""

    state: LinkState
    seat: Seat | None = None


class Noticed(msgspec.Struct, frozen=True):
    """An oddity: the driver logs it (`detail` at WARNING, never a body) and counts `kind`.

    `kind` is from a closed set of the dialect; `rejected:<reason>` counts a refused frame and
    `auth-failed` counts towards the peer's lock-out.
    """

    kind: str
    detail: str = ""


class Again(msgspec.Struct, frozen=True):
    """Reconnect after the delay of the dialect's retry table for `cause`."""

    cause: str = "lost"


class Now(msgspec.Struct, frozen=True):
    """Reconnect at once (a renewed credential)."""


class Park(msgspec.Struct, frozen=True):
    """Do not reconnect until a person acts. `why` is shown to the person."""

    why: str


class Hangup(msgspec.Struct, frozen=True):
    """Close the link with this code and reason (≤ 123 bytes of UTF-8); 1006 cuts it."""

    code: int
    reason: str = ""
    next: Again | Now | Park = Again()


Effect: TypeAlias = Ask | Dial | Transmit | Received | Keep | Settled | Changed | Noticed | Hangup
Effects: TypeAlias = Sequence[Effect]


# -- the session ----------------------------------------------------------------------------


@runtime_checkable
class Hurried(Protocol):
    """A session that may owe what it has put off: the process stops, and the store goes on a while.

    A session without it has nothing of the kind.
    """

    def hurry(self) -> Effects:
        """Do it now: nothing is read any more, `finish` follows when what was read is stored."""
        ...


class Session(Protocol):
    """One protocol session over one link.

    `wake_at` is the monotonic second at which the driver shall call `tick`, or None; it is read
    again after every verb.
    """

    wake_at: float | None

    def begin(self, kept: bytes | None) -> Effects:
        """Start, before any link. A dialling session returns `Dial`."""
        ...

    def linked(self, info: LinkInfo) -> Effects:
        """The link is open."""
        ...

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """One whole WebSocket message (UTF-8 already checked when `is_text`). Never raises."""
        ...

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """An `Ask` came back; also once for each open tag when the link dies."""
        ...

    def stored(self, receipt: Receipt) -> Effects:
        """What carried this receipt is committed (or was already there)."""
        ...

    def send(self, delivery: Delivery) -> Effects:
        """Send; every delivery is settled exactly once, here or later, at the latest by `lost`."""
        ...

    def tick(self) -> Effects:
        """`wake_at` has come."""
        ...

    def finish(self) -> Effects:
        """We want to stop (close 1001)."""
        ...

    def lost(self, error: TrunklineError) -> Effects:
        """The link died; all that is pending is settled UNCERTAIN."""
        ...


class Opening(msgspec.Struct, frozen=True):
    """What a session is made from besides its options.

    Args:
        role: of the line (`site`, `core`, `adapter`, …).
        kind: what `admit` said; "" for a dialled link.
        clock: time, as an argument.
        ids: row ids, UUIDs and secrets, as an argument.
        schema: the compiled schema that a person imported (`Dialect.schema`); b"" = none.
    """

    role: str
    kind: str
    clock: Clock
    ids: Ids
    schema: bytes = b""


# `(options, **arguments)`: yields each `Fetch`, is sent what came back, and returns the value.
# Raises what went wrong. Pure.
Talk: TypeAlias = Generator[Fetch, object, Any]
SideCall: TypeAlias = Callable[..., Talk]


def _no_secrets(_state: bytes) -> Sequence[str]:
    return ()


def no_aliases(chat: Chat, context: bytes) -> Sequence[Chat]:
    """Return no other names: in most dialects a chat has one."""
    del chat, context
    return ()


def _no_account(options: Any) -> str:
    """Return the account of a dialect that tells none by its options."""
    del options
    return ""


class Dialect(msgspec.Struct, frozen=True):
    """Everything the house knows of a dialect.

    Args:
        name: as in `dialect = "…"`.
        options: the pydantic model of a line's own keys.
        roles: what `role` may be, the default first.
        traits: facts, per role when they differ by it.
        admit: `(options, head) → Admit | Refuse`, before the upgrade; pure.
        open: `(options, opening) → Session`.
        seat_of: the seat that a chat's deliveries go to.
        delay_s: the retry table: `(cause, nth failure from 1) → seconds`.
        describe: one frame as a short text for DEBUG logs and `tail --raw`, secrets masked.
        paths: `(options) → the exact paths a listening line serves`, the main one first.
        listens: roles that may listen.
        dials: roles that may dial.
        kinds: kinds of chats that something may be sent to; empty = any.
        secrets_of: what in a kept state must never be logged.
        resets_at_ready: failures are counted from the last READY, not from the last link that
            lived for a minute; links that end soon again and again count on (`guides 5`).
        stable_s: otherwise a link that lived so long has failures counted anew.
        carriers: roles that may carry another line: what is said there reaches the link as a
            delivery (`Say` with its sender), what the link says goes there (`DoCarry`).
        account_of: `(options) → the account that its chats have`, for `carriers`; `seat_of` such a
            chat is the seat that the deliveries go to.
        claims: `head → is this a peer of ours?`, asked where lines of several dialects own one path
            of one socket: True or False when the head tells, None when it does not. Pure. A dialect
            without it shares no path.
        recognises: `first message → is this a peer of ours?`, asked when no head told; b"" means
            that the peer has kept silent: True from a dialect in which our side speaks first. Pure.
        http: what a listening line serves over plain HTTP; None = nothing.
        schema: how a person gives it another schema of its messages; None = it has none.
        calls: what the platform may be asked for over HTTP without a link, by name.
        aliases: `(chat, context) → other chats that deliveries to the same people are written to`:
            what we said there comes back as an own message of this one.
        notices: names of the notices that it reports, patterns (`action:*`) among them; None =
            peers make up their own.
    """

    name: str
    options: type[Any]
    roles: tuple[str, ...]
    traits: Mapping[str, Traits]
    admit: Callable[[Any, Head], Admit | Refuse]
    open: Callable[[Any, Opening], Session]
    seat_of: Callable[[Chat], str]
    delay_s: Callable[[str, int], float]
    describe: Callable[[bytes], str]
    paths: Callable[[Any], Sequence[str]]
    listens: tuple[str, ...] = ()
    dials: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    secrets_of: Callable[[bytes], Sequence[str]] = _no_secrets
    resets_at_ready: bool = False
    stable_s: float = 60.0
    carriers: tuple[str, ...] = ()
    account_of: Callable[[Any], str] = _no_account
    claims: Callable[[Head], bool | None] | None = None
    recognises: Callable[[bytes], bool] | None = None
    http: HttpSide | None = None
    schema: SchemaSide | None = None
    calls: Mapping[str, SideCall] = {}
    aliases: Callable[[Chat, bytes], Sequence[Chat]] = no_aliases
    notices: Sequence[str] | None = None


Direction: TypeAlias = Literal["listen", "dial"]


class Actor(msgspec.Struct, frozen=True):
    """One peer of the crash harness (`dev/torture`); a dialect's emulator casts it.

    Args:
        role: whose session it runs: the other side of the line under test.
        fields: keys of its own line options, without `url`.
        chats: where it speaks, each with the context that addresses what it says there.
        is_brief: its chats end with its link: what was unanswered then is asked nowhere again.
        dedupes: it drops a second copy of a message by the message's id.
        remembers: its session sends again by itself what was not acknowledged on an earlier link.
        rate: questions a second, at most; 0 = what the harness wants.
        most_open: questions without an answer at once, at most; 0 = what the harness wants.
    """

    role: str
    fields: Mapping[str, Any]
    chats: Sequence[tuple[Chat, bytes]]
    is_brief: bool = False
    dedupes: bool = False
    remembers: bool = False
    rate: float = 0.0
    most_open: int = 0
