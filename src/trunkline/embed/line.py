"""What both ends can do: be opened and closed, be read, send, call back.

    opened ──▶ events in the queue ──▶ `async for`, or the callbacks
    `send` ──▶ roster ──▶ driver ──▶ session ──▶ its word on the delivery ──▶ `Fate`

Everything runs on the loop that opened the line. `shutdown` alone may be called from anywhere.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Self

import msgspec

from trunkline.clock import SystemClock
from trunkline.dialects.contract import Seat
from trunkline.errors import LinkError, TrunklineError, WireMalformed
from trunkline.exchange.contract import Origin
from trunkline.ids import SystemIds
from trunkline.lines.driver import Driver
from trunkline.lines.http import Fetcher
from trunkline.lines.line import Surroundings
from trunkline.lines.roster import Roster
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Say, What
from trunkline.model.event import Event
from trunkline.telemetry.logs import get_logger
from trunkline.wire import jsonwire

from .callbacks import Callback, Callbacks, When
from .inbox import Inbox
from .pacing import Turns
from .sending import Fate, Message, Outgoing, Target, read_message, read_result
from .settings import Settings
from .watched import Meter, Peer, WatchedLine, peer_of

SEND_S: Final = 10.0
CALL_S: Final = 30.0  # Source: onebot11 12
CLOSE_S: Final = 2.5  # a link waits 2 s for the peer's close frame
NOTES: Final = 256  # connects, disconnects and errors that wait for their callbacks


class Embedded(ABC):
    """One line inside a program.

    Args:
        settings: checked.
        queue_events: how many received events may wait to be read.
    """

    def __init__(self, settings: Settings, queue_events: int) -> None:
        self.settings = settings
        self.log = get_logger("embed")
        self.clock = SystemClock()
        self.line: WatchedLine | None = None
        self._ids = SystemIds(self.clock)
        self._roster = Roster()
        self._fetcher = Fetcher()
        self._inbox = Inbox(queue_events, self._seated)
        self._outgoing = Outgoing(
            settings,
            self._inbox,
            self._roster,
            ids=self._ids,
            clock=self.clock,
            wait=self._wait,
            peers=lambda: self.peers,
            turns=Turns(settings.options, self.clock),
        )
        self._callbacks = Callbacks(self._callback_failed)
        self._notes: deque[tuple[When, object]] = deque(maxlen=NOTES)
        self._noted = asyncio.Event()
        self._news = asyncio.Event()  # somebody took a seat, or the end has come
        self._known: set[Driver] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._telling: list[asyncio.Task[None]] = []
        self._is_over = False
        self._is_closed = False
        self.error: TrunklineError | None = None

    # -- life --------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Open the line; `async with` does.

        Raises:
            RuntimeError: it was opened before.
        """
        if self.line is not None:
            raise RuntimeError("a line is opened once; make another one")
        loop = self._loop = asyncio.get_running_loop()
        clock = self.clock
        self._commons = Commons(PingSweep(clock), Budget(), self._link_failed)
        around = Surroundings(
            clock=clock,
            ids=self._ids,
            exchange=self._inbox,
            roster=self._roster,
            log=self.log,
            meter=Meter(),
            timer=lambda at_s, call: loop.call_at(loop.time() + at_s - clock.monotonic_s(), call),
            auth_failed=self._auth_failed,
            fetch=self._fetcher.fetch,
        )
        settings = self.settings
        line = WatchedLine(settings.name, settings.dialect, settings.options, around)
        line.schema = settings.schema
        line.ended = self._ended
        line.has_room = self._news.set
        self.line = line
        if self._inbox.keeps_frames:
            line.taps.append(self._tap)
        # Before the first dial: whoever waits here for a peer hears of each attempt that failed.
        self._telling.append(loop.create_task(self._tell_notes(), name="embed notes"))
        try:
            await self._start(line)
        except BaseException:
            await self.close()
            raise
        if self._callbacks.has("message") or self._callbacks.has("frame"):
            self._telling.append(loop.create_task(self._tell_events(), name="embed events"))
        return self

    async def close(self) -> None:
        """Say good-bye on every link and close them. What was read but not asked for is lost."""
        self.shutdown_now()
        if self._is_closed or self.line is None:
            return
        self._is_closed = True
        line = self.line
        line.halt()
        await self._stop(line)
        line.finish()
        line.close_links(1001, "going away")
        await self._links_closed(line)
        await self._fetcher.stop()
        await self._stopped()
        me = asyncio.current_task()
        others = [task for task in self._telling if task is not me]
        if self._callbacks.has("disconnect"):
            await asyncio.wait(others, timeout=CLOSE_S) if others else None
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _links_closed(self, line: WatchedLine) -> None:
        """Wait for the links to end: as long as peers take what was written, else `CLOSE_S`."""
        before = sum(link.buffered_bytes for link in line.open_links)
        while line.open_links:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await line.wait_empty()
            except TimeoutError:
                left = sum(link.buffered_bytes for link in line.open_links)
                if 0 < left < before:
                    before = left
                    continue
                if left:
                    self.log.warning("closed before the peer took everything", unread_bytes=left)
                for link in line.open_links:
                    link.abort()
                break

    def shutdown(self) -> None:
        """End reading and `run`, from any thread or signal handler. `close` does the rest."""
        loop = self._loop
        if loop is None:
            self._is_over = True
        elif not loop.is_closed():
            loop.call_soon_threadsafe(self.shutdown_now)

    def shutdown_now(self) -> None:
        """End reading and `run`, on the loop's own thread."""
        self._is_over = True
        if self.line is not None:
            self.line.halt()
        self._inbox.end(self.error)
        self._news.set()
        self._noted.set()

    async def run(self) -> None:
        """Open the line unless it is open, and stay until `shutdown` or until it has given up.

        Raises:
            TrunklineError: it has given up.
        """
        if self.line is None:
            await self.open()
        try:
            await self._wait(lambda: self._is_over or self.error is not None)
            if self.error is not None and not self._is_over:
                raise self.error
        finally:
            await self.close()

    async def __aenter__(self) -> Self:
        return await self.open() if self.line is None else self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # -- reading -----------------------------------------------------------------------------

    async def receive(self) -> Event | None:
        """Return the next event, or None once the line is shut down and all is read.

        Raises:
            TrunklineError: the line has given up.
            RuntimeError: events go to callbacks.
        """
        if self._callbacks.has("message") or self._callbacks.has("frame"):
            raise RuntimeError("events go to the callbacks; use these or iterate, not both")
        arrival = await self._inbox.take()
        return arrival.event if arrival is not None else None

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self.receive()) is not None:
            yield event

    def on_message(self, callback: Callback) -> Callback:
        """Call with each event instead of iterating. To be set before the line is opened."""
        return self._add("message", callback)

    def on_frame(self, callback: Callback, *, with_eventless: bool = False) -> Callback:
        """Call with the decoded JSON object of each frame that held an event, and the event.

        Args:
            callback: its second argument is None for a frame without an event.
            with_eventless: also for those (an answer to a call, a question that the line answers
                by itself). They hold nobody up: when the queue is full they are dropped.
        """
        self._inbox.keeps_frames = True
        self._inbox.keeps_lone_frames |= with_eventless
        return self._add("frame", callback)

    def on_connect(self, callback: Callback) -> Callback:
        """Call with a `Peer` when a link is ready."""
        return self._add("connect", callback)

    def on_disconnect(self, callback: Callback) -> Callback:
        """Call with the reason (a `LinkError`) when a link has ended."""
        return self._add("disconnect", callback)

    def on_error(self, callback: Callback) -> Callback:
        """Call with an error: a dial that failed, or what another callback raised."""
        return self._add("error", callback)

    def _add(self, when: When, callback: Callback) -> Callback:
        if self.line is not None and when in ("message", "frame"):
            raise RuntimeError("set the callbacks for events before the line is opened")
        self._callbacks.add(when, callback)
        return callback

    # -- sending -----------------------------------------------------------------------------

    async def send(self, target: Target, message: Message, *, timeout_s: float = SEND_S) -> Fate:
        """Send a message and return what became of it.

        Args:
            target: `kind:id[@account]`, a chat, or the event that is answered.
            message: text, a segment, or a list of segments.
            timeout_s: how long to wait for a link, then for the line's pace (`every_s`, `daily`),
                then for the peer's word.

        Raises:
            DeliveryRefused: the peer or the dialect said no; nothing is to be tried again.
            ValueError: the target or the message is none.
        """
        return await self._deliver(target, Say(read_message(message)), timeout_s)

    async def act(
        self, name: str, data: object, target: Target, *, timeout_s: float = SEND_S
    ) -> Fate:
        """Do a named action of the dialect (`custom:NAME` on maim); `data` is put into JSON.

        Raises:
            DeliveryRefused: the peer or the dialect said no.
            ValueError: the target is none.
        """
        return await self._deliver(target, Act(name, msgspec.json.encode(data)), timeout_s)

    async def call(
        self, action: str, /, *, account: str = "", timeout_s: float = CALL_S, **params: object
    ) -> Any:
        """Ask for an action and return its data, decoded; None when there is none.

        For who asks a platform (`role = "framework"` of onebot11). Calls do not wait for one
        another, so several of them may overtake each other.

        Args:
            action: by its name in the dialect, e.g. `get_group_list`.
            account: which one is asked; may be left out while one is connected.
            timeout_s: how long to wait for a link, and then for the answer.
            params: of the action.

        Raises:
            DeliveryRefused: the platform said no; the text has its return code.
            DeliveryUncertain: no answer: it may or may not have been done.
            DeliveryThrottled: nothing was asked; try again after `wait_s`.
            LinkTimeout: nobody is connected who could be asked.
            ValueError: several accounts are connected and none was named.
        """
        chat = Chat(account, "call", str(self._ids.next()))
        return read_result(await self.act(action, params, chat, timeout_s=timeout_s))

    @property
    def peers(self) -> list[Peer]:
        """Who is connected and ready, oldest first."""
        drivers = self.line.drivers if self.line is not None else ()
        return [peer_of(driver) for driver in drivers if driver.can_send]

    @property
    def is_connected(self) -> bool:
        """Whether a link is ready."""
        return bool(self.peers)

    async def _deliver(
        self, target: Target, what: What, timeout_s: float, context: bytes = b""
    ) -> Fate:
        if self.line is None:
            raise RuntimeError("the line is not open")
        return await self._outgoing.deliver(target, what, timeout_s, context)

    # -- what happens on the loop ------------------------------------------------------------

    @abstractmethod
    async def _start(self, line: WatchedLine) -> None:
        """Dial or listen, and return when the line can be used."""

    @abstractmethod
    async def _stop(self, line: WatchedLine) -> None:
        """Begin no new link."""

    @abstractmethod
    async def _stopped(self) -> None:
        """Finish, once every link is closed."""

    async def _wait(self, is_so: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Wait until something is so, the line is over or the time is; return whether it is."""
        try:
            async with asyncio.timeout(timeout_s):
                while not is_so() and not self._is_over:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return is_so()

    def _seated(self, origin: Origin, seat: Seat) -> None:
        del seat
        self._news.set()
        if isinstance(origin, Driver) and origin not in self._known:
            self._known.add(origin)
            self._note("connect", peer_of(origin))

    def _ended(self, driver: Driver, error: LinkError) -> None:
        if driver in self._known:
            self._known.discard(driver)
            self._note("disconnect", error)
        elif driver.link is None and not self._is_over:
            self._note("error", error)

    def _give_up(self, error: TrunklineError) -> None:
        self.error = error
        self._inbox.end(error)
        self._news.set()

    def _note(self, when: When, what: object) -> None:
        if self._callbacks.has(when):
            self._notes.append((when, what))
            self._noted.set()

    async def _tell_notes(self) -> None:
        while True:
            while self._notes:
                await self._callbacks.tell(*self._notes.popleft())
            if self._is_closed and self.line is not None and not self.line.drivers:
                return
            self._noted.clear()
            await self._noted.wait()

    async def _tell_events(self) -> None:
        try:
            while (arrival := await self._inbox.take()) is not None:
                if arrival.event is not None:
                    await self._callbacks.tell("message", arrival.event)
                if arrival.frame:
                    await self._tell_frame(arrival.frame, arrival.event)
        except TrunklineError as error:
            self._note("error", error)

    async def _tell_frame(self, data: bytes, event: Event | None) -> None:
        try:
            frame = jsonwire.tolerant(data, allow_nan=True)
        except WireMalformed as error:  # too deep for us, though the session could read it
            self._note("error", error)
            return
        await self._callbacks.tell("frame", frame, event)

    def _tap(self, direction: str, seat: str, data: bytes) -> None:
        del seat
        if direction == "<":
            self._inbox.hear(data)

    def _auth_failed(self, peer: str) -> None:
        """Do nothing about a refused credential: only who listens is knocked at."""
        del peer

    def _callback_failed(self, error: BaseException) -> None:
        self.log.error("callback failed", line=self.settings.name, error=error)

    def _link_failed(self, where: str, error: BaseException) -> None:
        self.log.error("link user failed", where=where, error=error)
