"""One seed, from its start to its verdict: trouble for a while, then calm, then rest."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from trunkline.clock import FakeClock
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import StoreUnavailable
from trunkline.model.address import parse_address
from trunkline.model.message import parse_message

from .book import Book
from .cast import CASTS, Cast
from .checks import check_all, unfinished
from .loop import Deadlock, Livelock, VirtualLoop
from .network import Network
from .node import Node, Surround
from .people import Person
from .storage import copy_template, make_template
from .trace import Trace
from .weather import Chance, Weather, forecast

# Longer than any wait of the house that is not a fault: automatic answers live 120 s, a peer that
# does not acknowledge is given up after 30 s twice, lines dial again after at most 60 s.
REST_S: Final = 300.0
LOOK_S: Final = 1.0
SHOWN_EVERY: Final = 5000  # messages
DOWN_S: Final = (0.05, 3.0)


class Report(msgspec.Struct, frozen=True):
    """What became of a seed.

    Args:
        broken: the promises that did not hold; empty = clean.
        digest: hash of its trace; the same seed has the same one everywhere.
        seconds: virtual ones.
    """

    seed: int
    broken: tuple[str, ...]
    digest: str
    lines: int = 0
    said: int = 0
    heard: int = 0
    commits: int = 0
    deaths: int = 0
    stops: int = 0
    links: int = 0
    seconds: float = 0.0


class World:
    """Everything of one seed.

    Args:
        casts: the dialects that take part.
        weather: None = drawn from the seed.
        sink: gets the lines of the trace.
        messages: trouble lasts until people have said so many; 0 = as long as the weather says.
        progress: told now and then how many they have said.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        casts: Sequence[Cast],
        weather: Weather | None = None,
        sink: Callable[[str], None] | None = None,
        messages: int = 0,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.seed = seed
        self._messages = messages
        self._progress = progress
        self.clock = FakeClock()
        self.trace = Trace(self.clock, sink)
        self.book = Book(self.trace)
        self.weather = weather or forecast(self.chance("weather"))
        self.node: Node | None = None
        self.people: list[Person] = []
        self._folder = folder
        self._casts = casts
        self._chance = self.chance("world")
        self._lives = 0
        self._renewed = 0
        self._is_over = False
        self._tasks: list[asyncio.Task[Any]] = []

    def chance(self, name: str) -> Chance:
        """Return the chance of one user."""
        return Chance(self.seed, name)

    async def run(self) -> None:
        """Live through trouble and calm."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._loop_failed)
        self._options = self._line_options()
        self.trace.note("weather", str(msgspec.structs.asdict(self.weather)))
        self.network = Network(loop, self.trace, self.chance("network"), self.weather)
        self._surround = Surround(
            clock=self.clock,
            trace=self.trace,
            network=self.network,
            book=self.book,
            weather=self.weather,
            chance=self.chance,
            folder=self._folder,
            options=self._options,
            attend=self._attend,
        )
        guests = [guest for cast in self._casts for guest in cast.guests]
        for number, guest in enumerate(guests, start=1):
            person = Person(
                guest,
                number,
                clock=self.clock,
                trace=self.trace,
                network=self.network,
                book=self.book,
                weather=self.weather,
                chance=self.chance(guest.name),
            )
            person.most_words = max(person.most_words, self._messages)
            self.people.append(person)
        self._live()
        for person in self.people:
            self._tasks += person.start()
        self._start_trouble()
        await self._live_through()
        self._calm_down()
        await self._rest()
        await self._end()

    def _line_options(self) -> dict[str, LineOptions]:
        debounce_s = 1.0 if self.weather.debounce else 0.0
        return {
            name: DIALECTS[fields["dialect"]].options(**fields, debounce_s=debounce_s)
            for cast in self._casts
            for name, fields in cast.lines.items()
        }

    async def _live_through(self) -> None:
        """Let trouble last as long as it is to."""
        if not self._messages:
            await asyncio.sleep(self.weather.calm_after_s)
            return
        told = 0
        while len(self.book.said) < self._messages:
            await asyncio.sleep(LOOK_S)
            if self._progress is not None and len(self.book.said) - told >= SHOWN_EVERY:
                told = len(self.book.said)
                self._progress(told)

    def _attend(self, line: str) -> LineOptions | None:
        """Be the person that a line needs: do what its platform demands, give new credentials."""
        cast = next(one for one in self._casts if line in one.lines)
        host = urlsplit(self._options[line].url).hostname
        for person in self.people:
            if person.name == host and person.platform is not None:
                person.platform.verify()
        if cast.renew is None:
            return None
        self._renewed += 1
        self.trace.note("renew", line)
        self._options[line] = cast.renew(self._options[line], self._renewed)
        return self._options[line]

    # -- lives of the process ----------------------------------------------------------------

    def _live(self) -> None:
        """Start the process, again after each end of it."""
        self._lives += 1
        self.node = node = Node(self._surround, self._lives, self._ended)
        self._spawn(node.start())

    def _ended(self, node: Node) -> None:
        if node is not self.node:
            return
        self.node = None
        if self._is_over:
            return
        delay_s = 0.05 if self.network.is_calm else self._chance.spread(*DOWN_S)
        asyncio.get_running_loop().call_later(delay_s, self._live)

    # -- trouble -----------------------------------------------------------------------------

    def _start_trouble(self) -> None:
        weather, network = self.weather, self.network
        self._every(weather.cut_every_s, network.cut_some)
        self._every(weather.stall_every_s, network.stall_some)
        self._every(weather.die_every_s, self._kill)
        self._every(weather.stop_every_s, self._stop)
        self._every(weather.disk_every_s, self._fill_disk)
        self._every(weather.pause_every_s, self._pause)
        self._every(weather.reconnect_every_s, self._reconnect)
        self._every(weather.post_every_s, self._post)

    def _every(self, mean_s: float, act: Callable[[], None]) -> None:
        if mean_s:
            self._spawn(self._repeat(mean_s, act))

    async def _repeat(self, mean_s: float, act: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self._chance.wait_s(mean_s))
            if self.network.is_calm:
                return
            act()

    def _ready(self) -> Node | None:
        node = self.node
        return node if node is not None and node.is_ready else None

    def _kill(self) -> None:
        if self.node is not None:
            self.node.die("killed")

    def _stop(self) -> None:
        node = self._ready()
        if node is not None:
            self._spawn(node.stop())

    def _fill_disk(self) -> None:
        node = self._ready()
        if node is not None:
            node.disk.is_full = True
            delay_s = self._chance.between(0.3, 6.0)
            asyncio.get_running_loop().call_later(delay_s, self._empty_disk, node)

    def _empty_disk(self, node: Node) -> None:
        node.disk.is_full = False

    def _pause(self) -> None:
        node = self._ready()
        if node is not None:
            name = self._chance.pick(sorted(node.lines))
            self.trace.note("pause", name)
            node.fleet.pause(name)
            delay_s = self._chance.between(0.3, 6.0)
            asyncio.get_running_loop().call_later(delay_s, self._resume, node, name)

    def _resume(self, node: Node, name: str) -> None:
        if node.is_ready:
            node.fleet.resume(name)

    def _reconnect(self) -> None:
        node = self._ready()
        if node is not None:
            name = self._chance.pick(sorted(node.lines))
            self.trace.note("reconnect", name)
            node.fleet.reconnect(name)

    def _post(self) -> None:
        node = self._ready()
        if node is None:
            return
        cast = self._chance.pick(self._casts)
        line = self._chance.pick(sorted(cast.lines))
        seats = sorted(key for _, key in node.roster.seats(line))
        if not seats:
            return
        seat = self._chance.pick(seats)
        target = f"{line}/{cast.address.format(seat=seat)}"
        self._spawn(self._send(node, target, self.book.word("p")))

    async def _send(self, node: Node, target: str, word: str) -> None:
        try:
            await node.desk.send(parse_address(target), parse_message(word))
        except (StoreUnavailable, LookupError) as error:
            self.trace.note("refused", f"{word} {target}: {error}")
        else:
            self.trace.note("posted", f"{word} {target}")
            self.book.posted[word] = target

    # -- calm --------------------------------------------------------------------------------

    def _calm_down(self) -> None:
        """Nothing goes wrong any more, and who waits for a person has one."""
        self.trace.note("calm")
        self.network.calm()
        for person in self.people:
            if person.platform is not None:
                person.platform.calm()
        node = self.node
        if node is not None:
            node.disk.is_calm = True
            node.disk.is_full = False
            if node.is_ready:
                for name in node.lines:
                    node.fleet.resume(name)

    async def _rest(self) -> None:
        """Wait until nothing is under way."""
        until_s = self.clock.monotonic_s() + REST_S
        left = "nobody looked"
        while self.clock.monotonic_s() < until_s:
            await asyncio.sleep(LOOK_S)
            left = self._left()
            if not left:
                return
        self.book.breaks(f"stuck: {left}")

    def _left(self) -> str:
        node = self._ready()
        if node is None:
            return "the process does not start"
        away = [one.name for one in self.people if not one.is_connected]
        if away:
            return f"{', '.join(away)} cannot connect"
        unsettled = [f"{one.name} {one.unsettled}" for one in self.people if one.unsettled]
        if unsettled:
            return f"what was said is not settled: {', '.join(unsettled)}"
        if self.network.flying_bytes:
            return f"{self.network.flying_bytes} bytes are on their way"
        if node.core.depth:
            return f"{node.core.depth} events wait for a beat"
        return unfinished(node.store)

    async def _end(self) -> None:
        """Check what can be checked now only, and stop everything."""
        await asyncio.sleep(LOOK_S)
        self._is_over = True
        node = self._ready()
        if node is not None:
            node.check_bounds()
            for rule in check_all(node.store, self.book, self.weather):
                self.book.breaks(rule)
            await node.stop()
        for person in self.people:
            person.stop()
        await asyncio.sleep(5.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- tasks -------------------------------------------------------------------------------

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks = [one for one in self._tasks if not one.done()]
        self._tasks.append(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.book.breaks(f"a task failed: {type(error).__name__}: {error}")

    def _loop_failed(self, _: asyncio.AbstractEventLoop, facts: dict[str, Any]) -> None:
        error = facts.get("exception")
        shown = f"{type(error).__name__}: {error}" if error is not None else facts["message"]
        self.book.breaks(f"the loop was told: {shown}")


class Stage:
    """Where seeds are played: a folder for their data, with a fresh store to copy."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="trunkline-simulate-")
        self._path = Path(self._folder.name)
        self.template = self._path / "template"
        asyncio.run(make_template(self.template))

    def play(
        self,
        seed: int,
        *,
        dialects: Sequence[str] = (),
        weather: Weather | None = None,
        sink: Callable[[str], None] | None = None,
        messages: int = 0,
        progress: Callable[[int], None] | None = None,
    ) -> Report:
        """Play one seed.

        Args:
            dialects: who takes part; empty = everybody.
            weather: None = drawn from the seed.
            sink: gets the lines of the trace.
            messages, progress: see `World`.
        """
        casts = [CASTS[name] for name in (dialects or sorted(CASTS))]
        with tempfile.TemporaryDirectory(dir=self._path) as name:
            folder = Path(name) / "data"
            copy_template(self.template, folder)
            world = World(
                seed, folder, casts=casts, weather=weather, sink=sink, messages=messages,
                progress=progress,
            )  # fmt: skip
            _run(world)
        book = world.book
        return Report(
            seed,
            tuple(book.broken),
            world.trace.digest(),
            world.trace.lines,
            len(book.said),
            sum(map(len, book.heard.values())),
            book.beats,
            book.deaths,
            book.stops,
            world.network.made,
            round(world.clock.monotonic_s() - 1000.0, 3),
        )

    def close(self) -> None:
        """Remove everything."""
        self._folder.cleanup()


def _run(world: World) -> None:
    loop = VirtualLoop(world.clock)
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(world.run())
    except (Deadlock, Livelock) as error:
        world.book.breaks(f"{type(error).__name__}: {error}")
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def simulate(
    seed: int,
    *,
    dialects: Sequence[str] = (),
    weather: Weather | None = None,
    sink: Callable[[str], None] | None = None,
) -> Report:
    """Play one seed on a stage of its own; many seeds are cheaper on one `Stage`."""
    stage = Stage()
    try:
        return stage.play(seed, dialects=dialects, weather=weather, sink=sink)
    finally:
        stage.close()
