"""The event stream: what became durable or changed, in order, without loss and without doubles.

A viewer has a position, the `seq` of the last change it was shown, and asks the store for what
comes after it. Nothing is queued for it, so a slow viewer holds one page and no event is dropped;
after a reconnect or a restart of the server the position in `Last-Event-ID` goes on where it was.
A row that changed twice between two looks comes once, with its last state.

A commit wakes the viewers, at most four times a second, and a look that finds nothing costs one
query of a second, so that also what was changed without a commit of the exchange is seen. Viewers
at the same position share one page.

Passing things (a line's state, a reload of the rules) have no position: who is away misses them.

Source: reliability 1 (live feeds: a cursor to fetch what was missed), ux 5.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final

import msgspec

from trunkline.clock import Clock
from trunkline.errors import StoreUnavailable
from trunkline.exchange.contract import Desk, Seen
from trunkline.lines.contract import Fleet
from trunkline.model.conversation import ConversationState
from trunkline.store.contract import InboxRow, OutboxRow, Store

from .live import HEARTBEAT_S, format_event
from .showing import to_delivery, to_message

PAGE: Final = 100
STEP_S: Final = 0.25
IDLE_S: Final = 1.0
MAX_PASSING: Final = 64
MAX_PAGES: Final = 16
INBOX: Final = "inbox"
OUTBOX: Final = "outbox"
LINES: Final = "lines"
RULES: Final = "rules"


class Change(msgspec.Struct, frozen=True):
    """One change, ready to be sent.

    Args:
        data: the whole event with its id.
    """

    topic: str
    line: str
    data: bytes


class Changed(msgspec.Struct, frozen=True):
    """What comes after a position.

    Args:
        changes: may be empty although the position moves on: what stood there has changed since.
        seq: the position after them; the one asked for when there is nothing more now.
        is_gap: something before them may be gone.
    """

    changes: tuple[Change, ...]
    seq: int
    is_gap: bool


class Wanted(msgspec.Struct, frozen=True):
    """What a viewer wants to see.

    Args:
        topics: of `inbox`, `outbox`, `lines`, `rules`; empty = all.
        line: its name, "" = all lines.
    """

    topics: Collection[str] = ()
    line: str = ""

    def has(self, topic: str, line: str) -> bool:
        """Whether something of a topic on a line is wanted; "" = of no line."""
        if self.topics and topic not in self.topics:
            return False
        return not self.line or not line or line == self.line


class Tail:
    """Reads the store's changes for all viewers of this process.

    Args:
        later: `(delay_s, call)`, the loop's timer; returns what has `cancel`.
    """

    def __init__(
        self,
        *,
        store: Store,
        desk: Desk,
        fleet: Fleet,
        clock: Clock,
        later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._store = store
        self._desk = desk
        self._fleet = fleet
        self._clock = clock
        self._later = later
        self._followers: set[Follower] = set()
        self._pages: dict[int, Changed] = {}
        self._looks = 0
        self._reading = asyncio.Lock()
        self._lines: dict[str, dict[str, Any]] = {}
        self._stop_watching: Callable[[], None] | None = None
        self._timer: Any = None
        self._is_soon = False
        self._looked_s = float("-inf")

    @property
    def is_followed(self) -> bool:
        """Whether anybody looks on."""
        return bool(self._followers)

    def join(self, follower: Follower) -> Callable[[], None]:
        """Wake a follower from now on; return how to stop."""
        self._followers.add(follower)
        if self._stop_watching is None:
            self._stop_watching = self._desk.watch(self._seen)
            self._lines = self._line_states()
            self._set_timer(IDLE_S, is_soon=False)
        return lambda: self._leave(follower)

    def announce(self, topic: str, name: str, value: Any, line: str = "") -> None:
        """Show a passing thing to who wants it."""
        if self._followers:
            change = Change(topic, line, format_event(name, value))
            for follower in self._followers:
                follower.pass_on(change)

    async def end(self) -> int:
        """Return the position after everything there is."""
        return await self._store.last_change()

    async def after(self, position: int) -> Changed:
        """Return what comes after a position; those who ask for the same share the look."""
        async with self._reading:
            page = self._pages.get(position)
            if page is None:
                looks = self._looks
                page = await self._read(position)
                # One that was read while a look began may lack what the look is about.
                if looks == self._looks and len(self._pages) < MAX_PAGES:
                    self._pages[position] = page
            return page

    async def _read(self, position: int) -> Changed:
        found = await self._store.changes(position, PAGE)
        changes = tuple(to_change(*row) for row in found.rows)
        return Changed(changes, found.seq, found.is_gap)

    def _leave(self, follower: Follower) -> None:
        self._followers.discard(follower)
        if self._followers or self._stop_watching is None:
            return
        self._stop_watching()
        self._stop_watching = None
        self._pages.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _seen(self, _seen: Seen) -> None:
        """Something was committed: look soon, unless that is planned already."""
        if not self._is_soon:
            waited_s = self._clock.monotonic_s() - self._looked_s
            self._set_timer(max(0.0, STEP_S - waited_s), is_soon=True)

    def _set_timer(self, delay_s: float, *, is_soon: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._is_soon = is_soon
        self._timer = self._later(delay_s, self._look)

    def _look(self) -> None:
        self._looked_s = self._clock.monotonic_s()
        self._looks += 1
        self._pages.clear()
        self._set_timer(IDLE_S, is_soon=False)
        self._look_at_lines()
        for follower in self._followers:
            follower.wake()

    def _look_at_lines(self) -> None:
        earlier, self._lines = self._lines, self._line_states()
        for name, state in self._lines.items():
            if state != earlier.get(name):
                self.announce(LINES, "line", state, name)

    def _line_states(self) -> dict[str, dict[str, Any]]:
        return {
            line.name: {
                "name": line.name,
                "state": line.state.value,
                "mode": line.mode,
                "overlays": list(line.overlays),
                "error": line.error,
            }
            for line in self._fleet.statuses()
        }


class Follower:
    """One viewer of the stream (`live.Showing`).

    Args:
        position: where it was last; None = from now on.
    """

    def __init__(self, tail: Tail, wanted: Wanted, position: int | None) -> None:
        self._tail = tail
        self._wanted = wanted
        self._position = position
        self._passing: deque[Change] = deque(maxlen=MAX_PASSING)
        self._wake = asyncio.Event()
        self._is_closed = False

    def wake(self) -> None:
        """Look again."""
        self._wake.set()

    def pass_on(self, change: Change) -> None:
        """Show a passing thing; the oldest goes when too many wait."""
        if self._wanted.has(change.topic, change.line):
            self._passing.append(change)
            self._wake.set()

    def close(self) -> None:
        """End the stream after what is being sent; the position tells where to go on."""
        self._is_closed = True
        self._wake.set()

    async def chunks(self, heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[bytes]:
        """Yield the stream's bytes until it is closed."""
        reason = "stopping"
        try:
            async for chunk in self._follow(heartbeat_s):
                yield chunk
        except StoreUnavailable:
            # The answer has begun, so a status cannot tell it; the viewer comes back and goes on.
            reason = "store"
        yield format_event("end", {"reason": reason})

    async def _follow(self, heartbeat_s: float) -> AsyncIterator[bytes]:
        position, is_reset = await self._begin()
        yield format_position(": open\n", position)
        if is_reset:
            yield format_reset(position)
        told = position
        now_s = asyncio.get_running_loop().time
        due_s = now_s() + heartbeat_s
        while not self._is_closed:
            self._wake.clear()
            while self._passing:
                yield self._passing.popleft().data
            found = await self._tail.after(position)
            if found.is_gap:
                # What is gone cannot be shown and what is left may be long: go on at the end.
                position = told = await self._tail.end()
                yield format_reset(position)
                continue
            has_more = found.seq != position
            position = found.seq
            for change in found.changes:
                if self._wanted.has(change.topic, change.line):
                    yield change.data
                    told, due_s = position, now_s() + heartbeat_s
            if has_more:
                continue
            try:
                async with asyncio.timeout_at(due_s):
                    await self._wake.wait()
            except TimeoutError:
                # Also who wants little must not come back with an old position.
                yield format_position(": still here\n", position if position != told else 0)
                told, due_s = position, now_s() + heartbeat_s

    async def _begin(self) -> tuple[int, bool]:
        """Return the position to begin at, and whether the viewer's own is of no use."""
        end = await self._tail.end()
        if self._position is None:
            return end, False
        # Of another database, or of one that was restored: it never gave this position.
        return (end, True) if self._position > end else (self._position, False)


def to_change(seq: int, row: InboxRow | OutboxRow, conversation: ConversationState) -> Change:
    """Show a changed row: an event by its kind, or a delivery."""
    if isinstance(row, InboxRow):
        message = to_message(row, conversation)
        data = format_event(message.kind, message.model_dump(), str(seq))
        return Change(INBOX, conversation.line, data)
    delivery = to_delivery(row, conversation, None)
    data = format_event("delivery", delivery.model_dump(), str(seq))
    return Change(OUTBOX, conversation.line, data)


def format_position(comment: str, position: int) -> bytes:
    """Format a comment that moves the viewer's position without an event; 0 = it stays."""
    return f"{comment}id: {position}\n\n".encode() if position else f"{comment}\n".encode()


def format_reset(position: int) -> bytes:
    """Format the event that says: read the lists anew, the stream goes on from here."""
    return format_event("reset", {"seq": str(position)}, str(position))
