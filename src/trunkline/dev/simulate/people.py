"""The peers: ordinary lines of the other role, with a memory of their own instead of a store.

What a peer said, was told and heard goes into the book. A peer says again what its session calls
unclear and repeatable, under the same id; a peer that repeats sends frames again as they were, at
once or over a later link.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    Dial,
    Opening,
    Receipt,
    Seat,
    Session,
    Settled,
)
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import StoreUnavailable
from trunkline.exchange.contract import Origin
from trunkline.ids import DeliveryId
from trunkline.lines.contract import Link, LinkUser
from trunkline.lines.driver import Driver
from trunkline.lines.line import Line, Surroundings
from trunkline.lines.roster import Roster
from trunkline.lines.supervisor import Pace, Supervisor
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import DurableEvent, Fleeting, MessageReceived
from trunkline.model.message import plain_text
from trunkline.model.segment import Text

from .book import WORD, WORD_BYTES, Book, Said
from .cast import Guest, Platform
from .ends import End, Host
from .hearing import Counts, Log
from .network import Network
from .storage import POISON
from .trace import Trace
from .watch import WatchedSession
from .weather import Chance, SeededIds, Weather

MOST_WORDS: Final = 150  # of one person in a run, unless it is asked for more
ANSWER: Final = "收到"
REMEMBERED_FRAMES: Final = 12
BURST: Final = (70, 200)
LARGE_SHARE: Final = 0.005
AGAIN_S: Final = 0.5


class Person:
    """One peer.

    Args:
        guest: who it is.
        number: tells its ids from those of others.
    """

    def __init__(
        self,
        guest: Guest,
        number: int,
        *,
        clock: FakeClock,
        trace: Trace,
        network: Network,
        book: Book,
        weather: Weather,
        chance: Chance,
    ) -> None:
        self.guest = guest
        self.most_words = MOST_WORDS
        self.name = guest.name
        self.host = Host(guest.name)
        self._clock = clock
        self._trace = trace
        self._network = network
        self._book = book
        self._weather = weather
        self._chance = chance
        self._ids = SeededIds(clock, chance, node=number)
        self._loop = asyncio.get_running_loop()
        self._kept: dict[str, bytes] = {}
        self._origins: list[Driver] = []
        self._numbers: dict[Origin, int] = {}  # of its links, as they became ready
        self._words: dict[DeliveryId, str] = {}
        self._open: dict[DeliveryId, Delivery] = {}  # said, and not settled for good
        self._waiting: dict[DeliveryId, float] = {}  # … of them: to be said again from then on
        self._frames: deque[bytes] = deque(maxlen=REMEMBERED_FRAMES)
        self._keys: set[bytes] = set()
        dialect = DIALECTS[guest.options["dialect"]]
        options: LineOptions = dialect.options(**guest.options)
        self.line = Line(
            guest.name,
            msgspec.structs.replace(dialect, open=self._open_session),
            options,
            Surroundings(
                clock=clock,
                ids=self._ids,
                exchange=self,
                roster=Roster(),
                log=Log(trace, book, guest.name),
                meter=Counts(),
                timer=self._loop.call_at,
                auth_failed=lambda _: None,
            ),
        )
        self._real = dialect
        if guest.shares:
            book.sharing.add(guest.name)
        self.platform = self._make_platform(guest, options)
        self._supervisor: Supervisor | None = None
        if options.link == "dial":
            self._supervisor = Supervisor(
                self.line,
                dial=self._dial,
                kept=self._read_kept,
                pace=Pace(clock),
                has_sisters=True,
                draw=chance.share,
            )
        else:
            for path in dialect.paths(options):
                network.listen(self.host, f"ws://{guest.name}{path}", self.line)

    def _make_platform(self, guest: Guest, options: LineOptions) -> Platform | None:
        """Make what the house calls and dials, with about a third of what may go wrong with it."""
        if guest.platform is None:
            return None
        chance = self._chance
        faults = {
            name: chance.spread(most / 20, most)
            for name, most in sorted(guest.faults.items())
            if chance.happens(self._weather.misbehaves)
        }
        opening = Opening(options.role, options.role, self._clock, self._ids)
        platform = guest.platform(options, opening, chance.bits(32), faults)
        self._network.serve(self.host, f"http://{guest.name}", platform.http)
        return platform

    def start(self) -> list[asyncio.Task[None]]:
        """Live: connect, and talk now and then."""
        works = [self._talk()]
        if self._supervisor is not None:
            works.append(self._supervisor.run())
        return [self._loop.create_task(work) for work in works]

    def stop(self) -> None:
        """Leave for good."""
        if self._supervisor is not None:
            self._supervisor.stop()
        self.line.finish()

    @property
    def unsettled(self) -> int:
        """How many things it said whose fate it does not know, and will."""
        return len(self._open)

    @property
    def is_connected(self) -> bool:
        """Whether it could talk now."""
        return any(origin.can_send for origin in self._origins)

    async def _dial(self, line: Line, target: Dial, enter: Callable[[Link], LinkUser]) -> Link:
        def enter_end(end: End) -> LinkUser:
            return enter(end)

        return await self._network.dial(self.host, target, line.limits, enter_end)

    async def _read_kept(self, line: str, account: str) -> bytes | None:
        del line
        return self._kept.get(account)

    def _open_session(self, options: LineOptions, opening: Opening) -> Session:
        def written(frames: list[bytes]) -> None:
            self._frames.extend(frames)

        platform = self.platform
        session = (
            self._real.open(options, opening) if platform is None else platform.session(opening)
        )
        return WatchedSession(
            session,
            broken=lambda rule: self._book.breaks(f"{self.name}: {rule}"),
            written=written,
        )

    # -- talking -----------------------------------------------------------------------------

    async def _talk(self) -> None:
        """Say something now and then, until it is calm."""
        chance, weather = self._chance, self._weather
        while not self._network.is_calm:
            await asyncio.sleep(chance.wait_s(weather.pace_s))
            if self._network.is_calm:
                return
            count = chance.count(*BURST) if chance.happens(weather.burst) else 1
            self._speak(count)

    def _speak(self, count: int) -> None:
        able = [origin for origin in self._origins if origin.can_send]
        if not able or len(self._words) > self.most_words:
            return
        origin, chance, weather = able[-1], self._chance, self._weather
        for _ in range(count):
            is_again = chance.happens(weather.repeat)
            said = self._say(origin, is_straight=not is_again)
            if said and is_again:
                self._repeat(origin)
        origin.flush()

    def _say(self, origin: Driver, *, is_straight: bool) -> bool:
        chance = self._chance
        kind, ident = chance.pick(self.guest.chats)
        seat = origin.seat
        word = self._book.word("w")
        text = word
        if chance.happens(self._weather.poison):
            text += POISON.decode()
            self._book.poisoned.add(word)
        elif chance.happens(LARGE_SHARE):
            text += chance.pick(("x", "长")) * self.guest.large_chars
        delivery = Delivery(
            DeliveryId(self._ids.next()),
            Chat(seat.account if seat is not None else "", kind, ident),
            Say((Text(text),)),
            at_ms=self._clock.now_ms(),
        )
        link = self._numbers[origin]
        said = Said(self.name, f"{kind}:{ident}", link, len(self._book.said), is_straight)
        said.is_kept = self.platform is not None
        self._book.said[word] = said
        self._words[delivery.id] = word
        self._open[delivery.id] = delivery
        origin.deliver((delivery,))
        return True

    def _repeat(self, origin: Driver) -> None:
        """Send a frame again as it was; TCP delivers it after what came meanwhile."""
        if self._frames and origin.link is not None and self.guest.repeats:
            self._trace.note(self.name, "repeats")
            frame = self._chance.pick(self._frames)
            for found in WORD_BYTES.findall(frame):
                said = self._book.said.get(found.decode())
                if said is not None:  # else it is the house's own, shown to it
                    said.is_straight = False
            origin.link.send(frame)

    def _say_again(self, origin: Driver) -> None:
        """Say what was unclear or came too early, under its old id."""
        now_s = self._clock.monotonic_s()
        for ident in [one for one, at_s in self._waiting.items() if at_s <= now_s]:
            if not origin.can_send:
                return
            del self._waiting[ident]
            delivery = self._open[ident]
            delivery = msgspec.structs.replace(delivery, attempt=delivery.attempt + 1)
            self._open[ident] = delivery
            self._book.said[self._words[ident]].is_straight = False
            origin.deliver((delivery,))
        origin.flush()

    def _look_again(self) -> None:
        for origin in self._origins[-1:]:
            self._say_again(origin)

    # -- hearing (`exchange.contract.Exchange`) ----------------------------------------------

    @property
    def is_full(self) -> bool:
        """A peer reads everything."""
        return False

    def offer(self, origin: Origin, event: DurableEvent, receipt: Receipt, size_bytes: int) -> None:
        """Hear something; a peer that must acknowledge does so after a while."""
        self._hear(event, self._numbers.get(origin, 0))
        chance = self._chance
        delay_s = chance.between(0.0, 0.01)
        if not self._network.is_calm and chance.happens(self._weather.late_ack):
            delay_s = chance.spread(0.1, 40.0)
        receipts = [receipt] if receipt is not None else []

        def acknowledge() -> None:
            origin.committed(receipts, 1, size_bytes)
            origin.flush()

        self._loop.call_later(delay_s, acknowledge)

    def _hear(self, event: DurableEvent, link: int) -> None:
        if type(event) is not MessageReceived:
            return
        if self.guest.dedupes and event.key is not None:
            if event.key in self._keys:
                self._trace.note(self.name, "drops a repeat")
                return
            self._keys.add(event.key)
        words = plain_text(event.segments)
        if ANSWER not in words and not words.startswith("p"):
            return  # no answer: another link of ours said it, and we are shown that
        self._trace.note(self.name, f"hears {' '.join(WORD.findall(words))}")
        self._book.hear(self.name, link, words)

    def pass_on(self, origin: Origin, event: Fleeting) -> None:
        """Forget it."""

    def keep(self, origin: Origin, account: str, state: bytes) -> None:
        """Remember a session's state, whatever becomes of the link."""
        self._kept[account] = self._kept[""] = state

    def settled(self, origin: Origin, settled: Settled) -> None:
        """Learn what became of something said."""
        ident = settled.delivery_id
        word = self._words[ident]
        self._trace.note(self.name, f"{word} {settled.outcome.value}")
        if settled.outcome is Outcome.CONFIRMED:
            self._book.confirm(word)
        is_again = settled.outcome is Outcome.UNCERTAIN and settled.is_repeatable
        if settled.outcome is Outcome.LATER or is_again:
            self._waiting[ident] = self._clock.monotonic_s() + settled.wait_s
            self._loop.call_later(settled.wait_s + AGAIN_S, self._look_again)
            return
        self._open.pop(ident, None)

    def seated(self, origin: Origin, seat: Seat) -> None:
        """A link is ready: say again what must be, and perhaps what need not be."""
        del seat
        if not isinstance(origin, Driver):
            raise TypeError("only drivers sit here")
        self._origins = [one for one in self._origins if not one.is_closed]
        if origin not in self._origins:
            self._numbers[origin] = len(self._numbers) + 1
            self._origins.append(origin)
            if self.guest.is_plain:
                self._frames.clear()
        self._loop.call_soon(self._resume, origin)

    def _resume(self, origin: Driver) -> None:
        if not origin.can_send:
            return
        self._say_again(origin)
        while not self._network.is_calm and self._chance.happens(self._weather.repeat):
            self._repeat(origin)
        origin.flush()

    def unseated(self, line: str, seat: Seat) -> None:
        """A link is gone."""

    def ask(self, origin: Origin, request: object, answer: Callable[[Any], None]) -> None:
        """Say no: a peer keeps nothing that could be found."""
        del origin, request
        answer(StoreUnavailable("nothing is kept here"))
