"""Runs one protocol session over one link: applies effects in order, does nothing else.

The link calls in with what it read, the exchange with what is committed; both are direct calls on
the loop's thread, and the session's effects are applied before they return. The driver is the same
for both directions and every dialect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from trunkline.dialects.contract import (
    Allowance,
    Ask,
    Changed,
    Dial,
    Effect,
    Effects,
    Hangup,
    Hurried,
    Keep,
    LinkInfo,
    LinkState,
    Noticed,
    Park,
    Receipt,
    Received,
    Seat,
    Session,
    Settled,
    Tag,
    Transmit,
)  # fmt: skip
from trunkline.errors import LinkError, LocalProtocolError
from trunkline.exchange.contract import Exchange
from trunkline.ids import DeliveryId
from trunkline.lines.contract import Link
from trunkline.lines.roster import Claim, Roster
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Tell
from trunkline.model.event import Fleeting
from trunkline.model.history import Told

ABNORMAL = 1006
TOLD = DeliveryId(0)  # the id of what is told: no row has it
PENDING_EVENTS = 64  # reliability 2: read but not committed, per connection
PENDING_BYTES = 1 << 20
CHOKED_BYTES = 1 << 20  # written and not read by the peer: what comes then waits as a row
CHOKED_S = 0.5


class Home(Protocol):
    """The line that a driver belongs to: what it shares with its sister drivers."""

    name: str
    exchange: Exchange
    roster: Roster
    taps: list[Callable[[str, str, bytes], None]]
    received: int
    sent: int
    last_s: float

    def now_s(self) -> float:
        """Return monotonic seconds."""
        ...

    def wake_at(self, at_s: float, call: Callable[[], None]) -> asyncio.Handle:
        """Call at a monotonic second."""
        ...

    def ask(self, driver: Driver, tag: Tag, request: object) -> None:
        """Have the outside asked; `driver.answer` follows."""
        ...

    def learn(self, state: bytes) -> None:
        """A state is kept: what is secret in it must not be logged."""
        ...

    def allow(self, request: Allowance) -> bool | float:
        """Answer an `Allowance`."""
        ...

    def noticed(self, driver: Driver, notice: Noticed) -> None:
        """Log and count an oddity."""
        ...

    def failed(self, driver: Driver, verb: str, error: BaseException) -> None:
        """Report a bug of ours; in a session the link is closed 1011."""
        ...

    def changed(self, driver: Driver) -> None:
        """The driver's state or seat is another."""
        ...

    def drained(self, driver: Driver) -> None:
        """The write buffer was above its high water and has room again."""
        ...

    def gone(self, driver: Driver, error: LinkError) -> None:
        """The link is closed and the session has settled everything."""
        ...


class _Wait(msgspec.Struct):
    """What a link that waits for its seat has said so far.

    Args:
        claim: to the seat.
        timer: ends the wait.
        held: effects from the one that takes the seat on; they are applied when it has it.
        size_bytes: of the frame that they come from.
    """

    claim: Claim
    timer: asyncio.Handle
    held: list[Effect] = []
    size_bytes: int = 0


class Driver:
    """One session, one link (`lines.contract.LinkUser`, `exchange.contract.Origin`).

    Args:
        home: the line.
        session: not begun yet.
    """

    __slots__ = (
        "_armed_s", "_asks", "_events", "_is_closed", "_is_halted", "_is_paused", "_is_stopped",
        "_now_s", "_size", "_timer", "_unsettled", "_wait", "_wake_at", "dial", "hangup",
        "home", "is_dialling", "is_ready", "last_s", "line", "link", "prepared", "seat", "session",
        "since_s", "state", "was_ready",
    )  # fmt: skip

    def __init__(self, home: Home, session: Session) -> None:
        self.home = home
        self.line = home.name
        self.session = session
        self.link: Link | None = None
        self.state = LinkState.OPENING
        self.seat: Seat | None = None  # where the session sits; None before READY
        self.hangup: Hangup | None = None
        self.dial: Dial | None = None
        self.is_dialling = False
        self.was_ready = False
        # Told when a session that asked something first says where to dial, or good-bye.
        self.prepared: Callable[[], None] | None = None
        self._now_s = home.now_s
        self.since_s = home.now_s()
        self.last_s = self.since_s
        self._events = 0
        self._size = 0
        self._is_paused = False
        self._is_halted = False
        self._is_closed = False
        self._is_stopped = False  # another link keeps the seat, or that is not known yet
        self._wait: _Wait | None = None
        # READY on a seat that sends, as far as the session knows; `can_send` asks the link, too.
        self.is_ready = False
        # Deliveries that the session has and says nothing of yet; at the end of the link nobody
        # else would ever settle what a faulty session forgets.
        self._unsettled: dict[DeliveryId, None] = {}
        self._asks: dict[Tag, None] = {}
        self._wake_at: float | None = None
        self._timer: asyncio.Handle | None = None
        self._armed_s = 0.0

    # -- life --------------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> None:
        """Start the session; a dialling one leaves its `Dial` in `self.dial`."""
        self._run("begin", lambda: self.session.begin(kept))

    def attach(self, link: Link) -> Driver:
        """Take the open link."""
        self.link = link
        return self

    def linked(self, info: LinkInfo) -> None:
        """Tell the session that its link is open; one that said good-bye before gets none."""
        if self.hangup is not None:
            self._hang_up(self.hangup)
            return
        self._run("linked", lambda: self.session.linked(info))

    def halt(self) -> None:
        """Read nothing any more (the process stops): what was read is still acknowledged."""
        self._is_halted = True
        self._wait_no_longer()  # nobody is let in any more
        self._pause()
        session = self.session
        if isinstance(session, Hurried) and not self._is_closed:
            self._run("hurry", session.hurry)
            self.flush()

    def finish(self) -> None:
        """Stop at leisure."""
        self._wait_no_longer()
        if not self._is_closed:
            self._run("finish", self.session.finish)
            self.flush()

    def replaced(self) -> None:
        """A newer link has the seat."""
        self.is_ready = False
        if self.link is not None and self.hangup is None:
            self.link.close(1000, "replaced by a newer connection")

    def probe(self) -> None:
        """Another link wants the seat: is the peer still there?"""
        if self.link is not None:
            self.link.ping(self._heard)

    def _heard(self) -> None:
        self.home.roster.heard(self)

    # -- what the link calls -----------------------------------------------------------------

    def receive(self, data: bytes, *, is_text: bool) -> None:
        """Hand one message to the session and apply what it says."""
        if self._is_closed:
            return
        home = self.home
        home.received += 1
        if home.taps:
            self._tap("<", data)
        try:
            effects = self.session.receive(data, is_text=is_text)
        except Exception as error:  # noqa: BLE001 - the edge "driver"
            self._bug("receive", error)
            return
        if effects:
            self._apply(effects if len(effects) == 1 else _receipts_last(effects), len(data))
        if self.session.wake_at != self._wake_at:
            self._arm()
        events = self._events
        if events and (
            events >= PENDING_EVENTS or self._size >= PENDING_BYTES or home.exchange.is_full
        ):
            self._pause()

    def read_done(self) -> None:
        """One read is finished: note when. The link writes what was sent meanwhile by itself."""
        self.last_s = self.home.last_s = self._now_s()

    def drained(self) -> None:
        """The write buffer has room again; a line may have somebody who waits for it."""
        self.home.drained(self)

    def closed(self, error: LinkError) -> None:
        """The link is gone: settle, unseat, tell the line."""
        if self._is_closed:
            return
        self._wait_no_longer()
        for tag in list(self._asks):
            self.answer(tag, error)
        self._run("lost", lambda: self.session.lost(error))
        for ident in self._unsettled:
            forgotten = Settled(ident, Outcome.UNCERTAIN, detail="the link ended without a word")
            self.home.exchange.settled(self, forgotten)
        self._unsettled = {}
        self._is_closed = True
        self.state = LinkState.CLOSED
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unseat()
        self.home.gone(self, error)

    # -- what the exchange calls -------------------------------------------------------------

    @property
    def can_send(self) -> bool:
        """Whether `deliver` reaches the wire now.

        A link that was replaced or is closing writes nothing more, long before its end is told.
        """
        return self.is_ready and self.link is not None and self.link.is_open

    @property
    def is_leaving(self) -> bool:
        """Whether the link is closing, or gone."""
        return self.link is not None and not self.link.is_open

    def committed(self, receipts: Sequence[Receipt], events: int, size_bytes: int) -> None:
        """Acknowledge what is durable and read on."""
        self._events -= events
        self._size -= size_bytes
        if self._is_closed:
            return
        for receipt in receipts:
            try:
                effects = self.session.stored(receipt)
            except Exception as error:  # noqa: BLE001 - the edge "driver"
                self._bug("stored", error)
                return
            if effects:
                self._apply(effects, 0)
        if self.session.wake_at != self._wake_at:
            self._arm()
        if self._is_paused:
            self._read_on()

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Send in order. What cannot even be tried is settled LATER.

        What stands behind a delivery that must wait, in the same chat, waits with it.
        """
        waiting: dict[Chat, float] = {}
        wait_s = 0.0
        if self.link is not None and self.link.buffered_bytes >= CHOKED_BYTES:
            wait_s = CHOKED_S  # it stays a row until the peer has read: then it is not lost with it
        for delivery in deliveries:
            if wait_s or not self.can_send:
                later = Settled(delivery.id, Outcome.LATER, wait_s=wait_s)
                self.home.exchange.settled(self, later)
                continue
            if delivery.id in self._unsettled:
                # Another link of the seat lost it, and it goes to all of them again; this one
                # still waits for its fate. Source: style 3, JOIN
                continue
            if waiting and delivery.chat in waiting:
                later = Settled(delivery.id, Outcome.LATER, wait_s=waiting[delivery.chat])
                self.home.exchange.settled(self, later)
                continue
            self.home.sent += 1
            try:
                effects = self.session.send(delivery)
            except Exception as error:  # noqa: BLE001 - the edge "driver"
                self._bug("send", error)
                self.home.exchange.settled(
                    self, Settled(delivery.id, Outcome.UNCERTAIN, detail="our fault, see the log")
                )
                continue
            last = effects[-1] if effects else None
            if type(last) is not Settled:
                self._unsettled[delivery.id] = None
            elif last.outcome is Outcome.LATER:
                waiting[delivery.chat] = last.wait_s
            self._apply(effects, 0)
        if self.session.wake_at != self._wake_at:
            self._arm()

    def tell(self, chat: Chat, told: Told) -> None:
        """Show the session something that happened elsewhere; nobody waits for its fate."""
        if not self.can_send:
            return
        told_of = Delivery(TOLD, chat, Tell(chat, told))
        try:
            effects = self.session.send(told_of)
        except Exception as error:  # noqa: BLE001 - the edge "driver"
            self._bug("send", error)
            return
        self._apply([one for one in effects if type(one) is not Settled], 0)
        if self.session.wake_at != self._wake_at:
            self._arm()

    def flush(self) -> None:
        """The beat is over: one write."""
        if self.link is not None:
            self.link.flush()

    def answer(self, tag: Tag, answer: object) -> None:
        """An `Ask` came back."""
        if tag in self._asks and not self._is_closed:
            del self._asks[tag]
            self._run("answered", lambda: self.session.answered(tag, answer))

    # -- effects -----------------------------------------------------------------------------

    def _run(self, verb: str, call: Callable[[], Effects]) -> None:
        try:
            effects = call()
        except Exception as error:  # noqa: BLE001 - the edge "driver"
            self._bug(verb, error)
            return
        if self._wait is not None and self._is_stopped:
            self._wait.held += effects
            return
        self._apply(effects if len(effects) < 2 else _receipts_last(effects), 0)
        if self.session.wake_at != self._wake_at:
            self._arm()

    def _apply(self, effects: Effects, size_bytes: int) -> None:
        home = self.home
        for effect in effects:
            if type(effect) is Transmit:
                if self.link is not None:
                    if home.taps:
                        self._tap(">", effect.data)
                    self.link.send(effect.data)
            elif type(effect) is Received:
                event = effect.event
                if type(event) is Fleeting:
                    home.exchange.pass_on(self, event)
                    continue
                self._events += 1
                self._size += size_bytes
                home.exchange.offer(self, event, effect.receipt, size_bytes)
                size_bytes = 0  # a frame's bytes count once, however many events it holds
            elif type(effect) is Settled:
                if self._unsettled:
                    self._unsettled.pop(effect.delivery_id, None)
                home.exchange.settled(self, effect)
            else:
                self._apply_rare(effect)
                if self._is_stopped:  # what it says further is heard when it has its seat, or never
                    self._hold(effects, effect, size_bytes)
                    return

    def _apply_rare(self, effect: object) -> None:
        if isinstance(effect, Changed):
            self._change(effect)
        elif isinstance(effect, Noticed):
            self.home.noticed(self, effect)
        elif isinstance(effect, Ask):
            self._asks[effect.tag] = None
            if isinstance(effect.request, Allowance):
                self.answer(effect.tag, self.home.allow(effect.request))
            else:
                self.home.ask(self, effect.tag, effect.request)
        elif isinstance(effect, Keep):
            # A dialled line is begun before anybody knows its account: it has one state.
            account = self.seat.account if self.seat is not None else ""
            self.home.learn(effect.state)
            self.home.exchange.keep(self, "" if self.is_dialling else account, effect.state)
        elif isinstance(effect, Dial):
            self.dial = effect
            self._tell_prepared()
        elif isinstance(effect, Hangup):
            self._hang_up(effect)
        else:
            raise LocalProtocolError(f"unknown effect {type(effect).__name__}")

    def _hang_up(self, effect: Hangup) -> None:
        self._wait_no_longer()
        if self.hangup is None:
            self.hangup = effect
            self.is_ready = False
        if self.link is not None:
            if effect.code == ABNORMAL:
                self.link.abort()  # a played fault: that code never stands in a close frame
            else:
                self.link.close(effect.code, effect.reason)
        self._tell_prepared()

    def _tell_prepared(self) -> None:
        if self.prepared is not None:
            self.prepared()

    def _change(self, effect: Changed) -> None:
        seat = effect.seat
        if seat is not None and seat != self.seat:
            if seat.probe_s and self._wait is None and self._must_wait(seat):
                return
            self.state = effect.state
            if not self._sit(seat):
                self._refuse(seat)
                return
        self.state = effect.state
        seat = self.seat
        self.is_ready = False
        if effect.state is LinkState.READY and seat is not None:
            self.was_ready = True
            self.is_ready = seat.can_send and self.hangup is None
            self.home.exchange.seated(self, seat)
        self.home.changed(self)

    def _sit(self, seat: Seat) -> bool:
        old = self.seat
        if old is not None and old.key == seat.key:
            # The same place under other conditions: nobody left, so nothing of it expires.
            self.home.roster.leave(self, old)
        else:
            self._unseat()
        self.seat = seat
        if self.home.roster.take(self, seat, is_granted=self._wait is not None):
            return True
        self.seat = None
        return False

    def _unseat(self) -> None:
        seat = self.seat
        if seat is None:
            return
        self.seat = None
        self.is_ready = False
        if self.home.roster.leave(self, seat):
            self.home.exchange.unseated(self.line, seat)
        self.home.roster.vacated(self, seat)

    # -- waiting for a seat that another link has (`lines.roster.Claimant`) --------------------

    def _must_wait(self, seat: Seat) -> bool:
        """Ask who has the seat whether they are there, and wait; False = no need to, or no use."""
        roster = self.home.roster
        claim = roster.claim(self, seat)
        if claim is None:
            return False
        at_s = self._now_s() + seat.probe_s
        timer = self.home.wake_at(at_s, lambda: roster.overdue(claim))
        self._wait = _Wait(claim, timer)
        self._is_stopped = True
        self._pause()  # what the peer says meanwhile is kept by its link
        roster.ask(claim)
        return True

    def _hold(self, effects: Effects, first: Effect, size_bytes: int) -> None:
        """Keep what a session said from the effect on that wants the seat."""
        if self._wait is not None:
            self._wait.held += effects[effects.index(first) :]
            self._wait.size_bytes = size_bytes

    def granted(self) -> None:
        """Take the seat, and hear what was said meanwhile."""
        wait = self._wait
        if wait is None:
            return
        wait.timer.cancel()
        self._is_stopped = False
        self._apply(wait.held, wait.size_bytes)
        self._wait = None
        self._arm()
        self.flush()
        if self._is_paused:
            self._read_on()

    def denied(self) -> None:
        """Go: who has the seat is there."""
        if self._wait is not None:
            self._refuse(self._wait.claim.seat)

    def _refuse(self, seat: Seat) -> None:
        self._hang_up(Hangup(1008, seat.refusal))
        self.state = LinkState.CLOSED
        self._is_stopped = True

    def _wait_no_longer(self) -> None:
        """Give the seat up that this link waits for: it was never let in."""
        wait, self._wait = self._wait, None
        if wait is not None:
            wait.timer.cancel()
            self.home.roster.withdraw(wait.claim)
            self._is_stopped = False

    def _bug(self, verb: str, error: BaseException) -> None:
        self.home.failed(self, verb, error)
        self._hang_up(Hangup(1011, "internal error"))

    # -- bounds, timers, taps ----------------------------------------------------------------

    def _pause(self) -> None:
        if not self._is_paused and self.link is not None:
            self._is_paused = True
            self.link.pause()

    def _read_on(self) -> None:
        is_roomy = self._events < PENDING_EVENTS // 2 and self._size < PENDING_BYTES
        if is_roomy and self._wait is None and not self._is_halted:
            self._is_paused = False
            if self.link is not None:
                self.link.resume()

    def _arm(self) -> None:
        at_s = self._wake_at = self.session.wake_at
        if self._timer is not None:
            if at_s is not None and self._armed_s <= at_s:
                return  # it fires early and arms itself again: cheaper than a timer per message
            self._timer.cancel()
            self._timer = None
        # A session that failed or said good-bye needs no time any more: one that raises in `tick`
        # would be called again and again until its link is gone.
        if at_s is not None and not self._is_closed and self.hangup is None:
            # Kept here: a timer that is due at once is a plain handle on uvloop, without a time.
            self._armed_s = at_s
            self._timer = self.home.wake_at(at_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._is_closed:
            return
        if self._wait is not None:
            self._wake_at = None  # its time comes when it has its seat
            return
        at_s = self.session.wake_at
        if at_s is not None and at_s > self.home.now_s():
            self._wake_at = None
            self._arm()
            return
        self._wake_at = None
        self._run("tick", self.session.tick)
        self._arm()
        self.flush()

    def _tap(self, direction: str, data: bytes) -> None:
        seat = self.seat.key if self.seat is not None else ""
        taps = self.home.taps
        for tap in list(taps):
            if tap not in taps:
                continue  # one before it removed it
            try:
                tap(direction, seat, data)
            except Exception as error:  # noqa: BLE001 - a viewer's fault must not reach the link
                self.home.failed(self, "watch", error)
                if tap in taps:
                    taps.remove(tap)

    @property
    def pending(self) -> tuple[int, int]:
        """How many events, and their bytes, were read and are not committed."""
        return self._events, self._size

    @property
    def is_parked(self) -> bool:
        """Whether the session asked not to be dialled again."""
        return self.hangup is not None and isinstance(self.hangup.next, Park)

    @property
    def is_preparing(self) -> bool:
        """Whether the session waits for an answer before it says where to dial."""
        return self.dial is None and self.hangup is None and bool(self._asks)

    @property
    def is_closed(self) -> bool:
        """Whether the link is gone."""
        return self._is_closed


def _receipts_last(effects: Effects) -> Effects:
    """Leave a receipt that several events of one frame carry on the last of them only.

    Beats keep the order of events, so once the last one is committed, all are: `stored` follows
    exactly once per receipt.
    """
    last: dict[int, int] = {}
    doubled = False
    for position, effect in enumerate(effects):
        if type(effect) is Received and effect.receipt is not None:
            doubled = doubled or id(effect.receipt) in last
            last[id(effect.receipt)] = position
    if not doubled:
        return effects
    return [
        Received(effect.event)
        if type(effect) is Received
        and effect.receipt is not None
        and last[id(effect.receipt)] != position
        else effect
        for position, effect in enumerate(effects)
    ]
