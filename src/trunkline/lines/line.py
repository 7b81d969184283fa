"""The life of one configured line: its door or its dialling, its links, what people see of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import (
    Admit,
    Allowance,
    Dialect,
    DoClose,
    Fetch,
    Head,
    HttpAnswer,
    HttpRequest,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Refuse,
    Tag,
)  # fmt: skip
from trunkline.dialects.options import LineOptions
from trunkline.errors import LinkError, LinkLost, LocalProtocolError
from trunkline.exchange.contract import Exchange, LineFacts
from trunkline.ids import Ids
from trunkline.lines.contract import LineState, LineStatus, Link, LinkLimits, LinkUser, SeatStatus
from trunkline.lines.driver import Driver
from trunkline.lines.facts import make_facts
from trunkline.lines.oddities import Oddities
from trunkline.lines.requests import RequestLink
from trunkline.lines.roster import Allowances, Roster
from trunkline.wire import jsonwire

SHOWN_SEATS = 50
ACCOUNTS = 1000  # peers choose their names: the ones unseen for longest are forgotten
# Protocol error, no such data, bad UTF-8, too large, no pong, no reader (reliability 8).
BROKEN_CODES = frozenset({1002, 1003, 1007, 1009, 1011, 1013})


class LineLog(Protocol):
    """Where a line tells of its life: `telemetry`, or a test's list."""

    def info(self, action: str, **fields: object) -> None:
        """Life of lines."""
        ...

    def warning(self, action: str, **fields: object) -> None:
        """Will heal."""
        ...

    def error(self, action: str, **fields: object) -> None:
        """Needs a person, or is our fault."""
        ...


class LineMeter(Protocol):
    """What a line counts, by dialect; never per message."""

    def noticed(self, dialect: str, kind: str) -> None:
        """An oddity (`rejected:not_json`, `auth-failed` …)."""
        ...

    def links(self, line: str, count: int) -> None:
        """Open links of a line."""
        ...

    def connected(self, dialect: str) -> None:
        """A link opened."""
        ...


class Surroundings(msgspec.Struct, frozen=True):
    """What every line shares: the house around it.

    Args:
        timer: `(monotonic second, call)`; the loop's `call_at`.
        auth_failed: counts towards a peer's lock-out.
        learn: told a line's name and what of it must not be logged from now on.
        fetch: makes a `Fetch`, `(request, own hosts, answer)`; None = no line may.
        mask: takes secrets out of what people are shown.
    """

    clock: Clock
    ids: Ids
    exchange: Exchange
    roster: Roster
    log: LineLog
    meter: LineMeter
    timer: Callable[[float, Callable[[], None]], asyncio.Handle]
    auth_failed: Callable[[str], None]
    learn: Callable[[str, Sequence[str]], None] | None = None
    fetch: Callable[[Fetch, frozenset[str], Callable[[object], None]], None] | None = None
    mask: Callable[[str], str] = str


class Line:
    """One line. Listening, it is a `Door`; dialling, a supervisor calls `new_driver`.

    Args:
        name: as configured.
        dialect, options, role: what it speaks and how.
        around: the house.
        facts: what the exchange reads; owned here.
    """

    def __init__(
        self, name: str, dialect: Dialect, options: LineOptions, around: Surroundings
    ) -> None:
        self.name = name
        self.line = name
        self.dialect = dialect
        self.dialect_name = dialect.name
        self.claims = dialect.claims
        self.recognises = dialect.recognises
        self.options = options
        self.schema = b""  # what its sessions are given; see `Opening.schema`
        self.role = options.role or dialect.roles[0]
        self.around = around
        self.now_s = around.clock.monotonic_s  # not wrapped: asked for every message
        self.exchange = around.exchange
        self.roster = around.roster
        self.is_binary = dialect.traits[self.role].is_binary
        self.is_public = dialect.traits[self.role].is_site
        self.max_per_address = options.connections_per_address
        self.origins: tuple[str, ...] = options.origins
        self.limits = LinkLimits(
            heartbeat_interval_s=options.ping_s,
            heartbeat_timeout_s=options.heartbeat_timeout_s,
        )
        self.facts = make_facts(name, dialect, self.role, options)
        self.taps: list[Callable[[str, str, bytes], None]] = []
        self.drivers: dict[Driver, None] = {}
        self.accounts: dict[str, None] = {}
        self.received = 0
        self.sent = 0
        self.last_s = 0.0
        self.state = LineState.DISCONNECTED
        self.error = ""
        self.needs_you = ""
        self.retry_at_s = 0.0
        self.where: tuple[str, ...] = ()
        self.is_serving = False
        self.is_halted = False
        self._learnt: Sequence[str] = ()
        self._emptied: asyncio.Event | None = None
        self._allowances = Allowances(around.clock)
        self.oddities = Oddities(around.clock, around.mask)
        self._started_ms = around.clock.now_ms()

    # -- a door (`lines.contract.Door`) ------------------------------------------------------

    def admit(self, head: Head) -> Admit | Refuse:
        """Decide before the upgrade."""
        return self._not_here(head) or self.dialect.admit(self.options, head)

    def _not_here(self, head: Head) -> Refuse | None:
        """Return why nobody like this is let in, whatever the dialect says."""
        if self.is_halted:
            return Refuse(503, "the server stops")
        if not self.options.enabled:
            return Refuse(404, f"line {self.name} is switched off")
        if not (self.is_public or self.options.token or head.is_loopback):
            # guides 1: open on loopback, and a request that came through a proxy is never that.
            return Refuse(403, f"line {self.name} is open to this machine only; set its token")
        return None

    def enter(self, admitted: Admit, link: Link) -> LinkUser:
        """Take an accepted link."""
        driver = self.new_driver(admitted.kind).attach(link)
        driver.begin(None)
        driver.linked(link.info)
        return driver

    # -- a door for requests (`lines.contract.RequestDoor`) ----------------------------------

    @property
    def request_paths(self) -> Sequence[str]:
        """The paths that take plain HTTP requests."""
        side = self.dialect.http
        return side.paths(self.options) if side is not None else ()

    def admit_request(self, method: str, head: Head) -> HttpAnswer | int:
        """Decide before the body is read; return how large it may be."""
        side = self.dialect.http
        no = self._not_here(head)
        if side is None or no is not None:
            status, text = (no.status, no.text) if no is not None else (404, "no requests here")
            return HttpAnswer(status, jsonwire.encode({"detail": text}))
        return side.admit(self.options, method, head)

    def take_request(self, request: HttpRequest) -> HttpAnswer | RequestLink:
        """Take an admitted request; the answer is known now, or the link will have it."""
        side = self.dialect.http
        entry = side.take(self.options, request) if side is not None else HttpAnswer(404)
        if isinstance(entry, HttpAnswer):
            return entry
        link = RequestLink(LinkInfo(request.head, is_request=True))
        link.attach(lambda link: self.enter(Admit(entry.kind, len(entry.data)), link), entry.data)
        return link

    # -- both directions ---------------------------------------------------------------------

    def new_driver(self, kind: str) -> Driver:
        """Make a session and the driver that runs it."""
        around = self.around
        opening = Opening(self.role, kind, around.clock, around.ids, self.schema)
        driver = Driver(self, self.dialect.open(self.options, opening))
        self.drivers[driver] = None
        self.around.meter.links(self.name, len(self.drivers))
        self.around.meter.connected(self.dialect.name)
        return driver

    def serve(self, *, is_on: bool, where: tuple[str, ...]) -> None:
        """The door is open (or closed) at these URLs."""
        self.is_serving = is_on
        self.where = where
        self._refresh()

    def close_links(self, code: int, reason: str) -> None:
        """Close every open link."""
        for driver in list(self.drivers):
            if driver.link is not None:
                driver.link.close(code, reason)

    async def wait_empty(self) -> None:
        """Return when no link is open."""
        if self.drivers:
            self._emptied = asyncio.Event()
            await self._emptied.wait()

    def halt(self) -> None:
        """Let nobody in and read nothing any more; what was read is still served."""
        self.is_halted = True
        for driver in self.drivers:
            driver.halt()

    def finish(self) -> None:
        """Let every session say good-bye."""
        for driver in list(self.drivers):
            driver.finish()

    # -- what drivers call (`lines.driver.Home`) ---------------------------------------------

    def wake_at(self, at_s: float, call: Callable[[], None]) -> asyncio.Handle:
        """Call at a monotonic second."""
        return self.around.timer(at_s, call)

    def learn(self, state: bytes) -> None:
        """Have the secrets of a kept state kept out of the log."""
        if self.around.learn is None:
            return
        secrets = self.dialect.secrets_of(state)
        if secrets and secrets != self._learnt:  # most states have the secrets of the one before
            self._learnt = secrets
            self.around.learn(self.name, secrets)

    def allow(self, request: Allowance) -> bool | float:
        """Answer an `Allowance`, counted over all links of the line."""
        return self._allowances.use(request)

    def ask(self, driver: Driver, tag: Tag, request: object) -> None:
        """Have the exchange answer, now or later; calls and closing links are done here."""
        if isinstance(request, DoClose):
            driver.answer(tag, self._close_chat(driver, request))
            return

        def answer(value: object) -> None:
            driver.answer(tag, value)
            driver.flush()

        if isinstance(request, Fetch):
            if self.around.fetch is None:
                answer(LocalProtocolError("nothing is fetched here"))
            else:
                self.around.fetch(request, self.options.own_hosts, answer)
            return
        self.exchange.ask(driver, request, answer)

    def _close_chat(self, asker: Driver, request: DoClose) -> int:
        key = self.dialect.seat_of(request.chat)
        closed = [
            driver
            for driver in self.drivers
            if driver is not asker and driver.seat is not None and driver.seat.key == key
        ]
        for driver in closed:
            if driver.link is not None:
                driver.link.close(1000, "closed by the operator")
        return len(closed)

    def noticed(self, driver: Driver, notice: Noticed) -> None:
        """Log, count and keep an oddity."""
        self.around.meter.noticed(self.dialect.name, notice.kind)
        self.oddities.note(notice)
        seat = driver.seat
        if notice.kind == "auth-failed" and driver.link is not None:
            self.around.auth_failed(driver.link.info.head.peer)
        self.around.log.warning(
            "peer oddity",
            line=self.name,
            dialect=self.dialect.name,
            kind=notice.kind,
            detail=notice.detail,
            seat=seat.key if seat is not None else "",
        )

    def failed(self, driver: Driver, verb: str, error: BaseException) -> None:
        """Report a bug of ours."""
        self.around.meter.noticed(self.dialect.name, "session-failed")
        self.around.log.error(
            "session failed", line=self.name, dialect=self.dialect.name, verb=verb, error=error
        )

    def changed(self, driver: Driver) -> None:
        """The state or seat of a driver is another."""
        seat = driver.seat
        if seat is not None and seat.account:
            self._note_account(seat.account)
        if driver.state is LinkState.READY and seat is not None:
            self.error = self.needs_you = ""
            if self.options.link == "dial":
                self.state = LineState.CONNECTED
            log = self.around.log
            if not (self.is_public or _is_request(driver)):
                log.info(
                    "peer ready", line=self.name, dialect=self.dialect.name, account=seat.account
                )
        self._refresh()

    def drained(self, driver: Driver) -> None:
        """Do nothing: what is sent here is in the store, so nobody waits for room."""

    def gone(self, driver: Driver, error: LinkError) -> None:
        """A link is closed."""
        self.drivers.pop(driver, None)
        if self._emptied is not None and not self.drivers:
            self._emptied.set()
        self.around.meter.links(self.name, len(self.drivers))
        if isinstance(error, LinkLost) and error.code in BROKEN_CODES:
            self._tell_broken(driver, error)
        elif not (self.is_public or _is_request(driver)) and driver.link is not None:
            self.around.log.info(
                "link closed", line=self.name, dialect=self.dialect.name, error=str(error)
            )
        self._refresh()

    def _tell_broken(self, driver: Driver, error: LinkLost) -> None:
        """Say that a link ended over a broken rule: RFC 6455, a size, or no pong."""
        self.around.meter.noticed(self.dialect.name, "link-failed")
        head = driver.link.info.head if driver.link is not None else None
        self.around.log.warning(
            "link failed",
            line=self.name,
            dialect=self.dialect.name,
            code=error.code,
            reason=error.reason,
            peer=head.peer if head is not None else "",
        )

    def _note_account(self, account: str) -> None:
        self.accounts.pop(account, None)
        self.accounts[account] = None
        if len(self.accounts) > ACCOUNTS:
            del self.accounts[next(iter(self.accounts))]

    def _refresh(self) -> None:
        """Compute the state of a listening line; a dialled one is told by its supervisor."""
        if self.options.link != "listen":
            return
        is_ready = any(driver.state is LinkState.READY for driver in self.drivers)
        is_connected = self.is_serving and (self.is_public or is_ready)
        self.state = LineState.CONNECTED if is_connected else LineState.DISCONNECTED

    # -- what people see ---------------------------------------------------------------------

    def status(self) -> LineStatus:
        """Return the line as people see it."""
        clock = self.around.clock
        now_ms, now_s = clock.now_ms(), clock.monotonic_s()
        overlays: list[str] = []
        if self.facts.is_paused:
            overlays.append("paused")
        if self.needs_you:
            overlays.append("needs-you")
        if self.options.link == "listen" and not self.options.token and not self.is_public:
            overlays.append("open")
        seats = tuple(
            SeatStatus(
                key=driver.seat.key,
                account=driver.seat.account,
                peer=driver.link.info.head.peer if driver.link is not None else "",
                since_ms=now_ms - round((now_s - driver.since_s) * 1000),
                last_ms=now_ms - round((now_s - driver.last_s) * 1000),
            )
            for driver in list(self.drivers)[:SHOWN_SEATS]
            if driver.seat is not None
        )
        return LineStatus(
            name=self.name,
            dialect=self.dialect.name,
            role=self.role,
            link=self.options.link,
            state=self.state,
            mode=self.facts.mode,
            overlays=tuple(overlays),
            where=self.where,
            links=len(self.drivers),
            seats=seats,
            received=self.received,
            sent=self.sent,
            last_ms=now_ms - round((now_s - self.last_s) * 1000) if self.last_s else 0,
            error=self.needs_you or self.error,
            retry_in_s=max(0.0, self.retry_at_s - now_s) if self.retry_at_s else 0.0,
            carries=self.options.carries,
        )


def _is_request(driver: Driver) -> bool:
    """Whether a link is one request: coming and going is no news there."""
    return driver.link is not None and driver.link.info.is_request


def facts_of(lines: Mapping[str, Line]) -> dict[str, LineFacts]:
    """Return what the exchange reads of all lines."""
    return {name: line.facts for name, line in lines.items()}
