"""One life of the process under test: composed as in `app.py`, until it stops or dies.

What reaches outside – links, store, timers – is refused from the instant of its death, so the code
that happens to run then may finish: nobody sees of it what a killed process would not have done.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Dial, Opening, Session
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import LinkError, StoreUnavailable
from trunkline.exchange.asking import Asker
from trunkline.exchange.desk import Desk
from trunkline.exchange.intake import QUEUE_EVENTS, Core, Outside
from trunkline.exchange.keeper import Keeper
from trunkline.exchange.plans import decider
from trunkline.exchange.turns import Turns
from trunkline.lines.contract import Link, LinkUser
from trunkline.lines.driver import PENDING_BYTES, PENDING_EVENTS, Driver
from trunkline.lines.fleet import NodeFleet
from trunkline.lines.line import Line, Surroundings, facts_of
from trunkline.lines.roster import Roster
from trunkline.lines.supervisor import Pace, Supervisor
from trunkline.model.asking import Answer, Failed, ModelAnswer, ModelRequest, ModelSpec, Question
from trunkline.pipeline.decide import RuleHealth, compile_rulebook, decide
from trunkline.pipeline.rulebook import RulebookSpec, RuleSpec
from trunkline.store.contract import Beat, Retention

from .book import Book
from .ends import End, Host
from .hearing import Counts, Log
from .network import Network
from .storage import DISK_BYTES, Disk, SimulatedStore
from .timers import Timers
from .trace import Trace
from .watch import WatchedSession
from .weather import Chance, SeededIds, Weather

ECHO: Final = compile_rulebook(
    RulebookSpec(rules=(RuleSpec("echo", match="any", reply="收到：{send_message}"),))
)
ASKED: Final = compile_rulebook(RulebookSpec(model=ModelSpec(fallback="sorry")))
MODEL_S: Final = 20.0
STOP_S: Final = 10.0
LEAVE_S: Final = 2.5
BEAT_ROWS: Final = 256  # reliability 2
FRAME_EVENTS: Final = 33  # what one frame of a simulated peer holds at most
BEAT_BYTES: Final = 4 << 20


class Surround(msgspec.Struct, frozen=True):
    """What outlives the process: the world that it is started in.

    Args:
        attend: a person sees to a line that needs one; returns its options with new credentials.
    """

    clock: FakeClock
    trace: Trace
    network: Network
    book: Book
    weather: Weather
    chance: Callable[[str], Chance]
    folder: Path
    options: Mapping[str, LineOptions]
    attend: Callable[[str], LineOptions | None]


class Node:
    """See the module.

    Args:
        life: which one this is, from 1.
        ended: called once when the process is gone, whatever way.
    """

    def __init__(self, around: Surround, life: int, ended: Callable[[Node], None]) -> None:
        self.around = around
        self.life = life
        self.is_up = True
        self.is_ready = False
        self.host = Host("house", self._is_dying)
        self.timers = Timers()
        self.wake_timers = Timers()
        self._ended = ended
        self._chance = around.chance(f"node {life}")
        self._tasks: list[asyncio.Task[None]] = []
        self.disk = Disk(self.die, around.trace, around.chance(f"disk {life}"), around.weather)
        self.disk.is_calm = around.network.is_calm
        self.store = SimulatedStore(
            around.folder,
            clock=around.clock,
            disk=self.disk,
            committing=self._committing,
            committed=around.book.store,
            refused=around.book.refuse,
        )
        self.lines: dict[str, Line] = {}
        self.supervisors: dict[str, Supervisor] = {}

    # -- start -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything. A process that cannot is gone, and somebody starts it again."""
        self.around.trace.note("start", f"life {self.life}")
        try:
            last = await self.store.open()
            await self._compose(last)
        except StoreUnavailable as error:
            self.die(f"cannot start: {error}")

    async def _compose(self, last: int) -> None:
        around = self.around
        clock, store = around.clock, self.store
        self.roster = Roster()
        ids = SeededIds(clock, self._chance, last=last)
        facts: dict[str, Any] = {}
        rulebook = ASKED if around.weather.asks else ECHO
        self.core = core = Core(
            Outside(
                clock=clock,
                ids=ids,
                store=store,
                router=self.roster,
                facts=facts,
                meter=Counts(),
                on_trouble=self._trouble,
                later=self.timers.later,
                spawn=self._spawn,
            ),
            decider(decide, rulebook, RuleHealth()),
        )
        core.conversations.start_at(await store.next_conversation_id())
        surroundings = Surroundings(
            clock=clock,
            ids=ids,
            exchange=core,
            roster=self.roster,
            log=Log(around.trace, around.book, "house", self._call_person),
            meter=Counts(),
            timer=self._wake_at,
            auth_failed=lambda _: None,
            fetch=lambda request, _, answer: around.network.call(
                request, answer, self.timers.later
            ),
        )
        self.lines = {
            name: Line(name, self._watched(options), options, surroundings)
            for name, options in around.options.items()
        }
        facts.update(facts_of(self.lines))
        await core.dispatch.learn()
        pace = Pace(clock)
        self.supervisors = {
            name: Supervisor(
                line,
                dial=self._dial,
                kept=self._kept,
                pace=pace,
                has_sisters=True,
                draw=self._chance.share,
            )
            for name, line in self.lines.items()
            if line.options.link == "dial"
        }
        self.fleet = NodeFleet(self.lines, self.supervisors, self._resumed)
        self.desk = Desk(
            core=core,
            store=store,
            clock=clock,
            facts=facts,
            router=self.roster,
            accounts=self.fleet.accounts,
        )
        if around.weather.asks:
            core.asking.use({"model": Asker(self._ask_model, MODEL_S)})
        await core.asking.learn()
        self._open_doors()
        self._start_tasks(facts)
        self.is_ready = True

    def _watched(self, options: LineOptions) -> Any:
        """Return the dialect with sessions whose rules are checked."""
        dialect, around = DIALECTS[options.dialect], self.around

        def open_watched(own: LineOptions, opening: Opening) -> Session:
            return WatchedSession(
                dialect.open(own, opening),
                broken=lambda rule: around.book.breaks(f"house {options.dialect}: {rule}"),
                is_durable=around.book.is_durable,
            )

        # Every message here is to be answered; the guard against loops has tests of its own.
        traits = {
            role: msgspec.structs.replace(facts, loop_guard=False)
            for role, facts in dialect.traits.items()
        }
        return msgspec.structs.replace(dialect, open=open_watched, traits=traits)

    def _open_doors(self) -> None:
        for line in self.lines.values():
            if line.options.link == "listen":
                for path in line.dialect.paths(line.options):
                    self.around.network.listen(self.host, f"ws://house{path}", line)
                line.serve(is_on=True, where=("ws://house",))

    def _start_tasks(self, facts: dict[str, Any]) -> None:
        core, clock = self.core, self.around.clock
        turns = Turns(
            store=self.store, clock=clock, hand_over=core.turn_due, asking=core.asking, facts=facts
        )
        self.keeper = Keeper(
            core=core,
            store=self.store,
            clock=clock,
            turns=turns,
            retention=Retention(),
            total_bytes=DISK_BYTES,
            on_trouble=self._trouble,
        )
        self.beat = self._spawn(core.run())
        self._spawn(core.dispatch.run(core))
        self._spawn(self.keeper.run())
        for supervisor in self.supervisors.values():
            self._spawn(supervisor.run())

    async def _kept(self, line: str, account: str) -> bytes | None:
        state = self.core.last_kept(line, account)
        return await self.store.kept(line, account) if state is None else state

    def _call_person(self, name: str) -> bool:
        """Have a person see to a line, after a while."""
        if not self.lines[name].options.credential_key:
            return False
        self.timers.later(self._chance.spread(0.5, 15.0), lambda: self._attend(name))
        return True

    def _attend(self, name: str) -> None:
        options = self.around.attend(name)
        if options is not None and self.is_up:
            self.lines[name].options = options
            self.supervisors[name].renew()

    async def _dial(self, line: Line, target: Dial, enter: Callable[[Link], LinkUser]) -> Link:
        if not self.is_up:
            raise LinkError("the process is gone")

        def enter_end(end: End) -> LinkUser:
            return enter(end)

        return await self.around.network.dial(self.host, target, line.limits, enter_end)

    async def _ask_model(self, question: Question) -> Answer:
        """Answer as a model does: late, sometimes not at all, sometimes with an error."""
        chance, request = self._chance, question.request
        await asyncio.sleep(chance.spread(0.05, 5.0))
        if not isinstance(request, ModelRequest) or chance.happens(0.1):
            return Failed("server")
        if chance.happens(0.05):
            raise RuntimeError("the model broke")
        return ModelAnswer(f"收到：{request.text}")

    # -- its end -----------------------------------------------------------------------------

    def die(self, why: str) -> None:
        """End at once, wherever the process is."""
        if not self.is_up:
            return
        self.around.trace.note("die", f"life {self.life} {why}")
        self.around.book.deaths += 1
        self._end()

    def _end(self) -> None:
        self.is_up = self.is_ready = False
        self.host.die()
        self.timers.die()
        self.wake_timers.die()
        for task in self._tasks:
            task.cancel()
        # Whoever called may be within a statement of this store.
        asyncio.get_running_loop().call_soon(self.store.drop)
        self._ended(self)

    async def stop(self) -> None:
        """Stop in order, as `process/stopping.py` does (reliability 6)."""
        self.around.trace.note("stop", f"life {self.life}")
        self.is_ready = False
        for supervisor in self.supervisors.values():
            supervisor.stop()
        for line in self.lines.values():
            line.halt()
        self.core.stop()
        self.keeper.stop()
        await asyncio.wait({self.beat}, timeout=STOP_S)
        self.core.dispatch.stop()
        for line in self.lines.values():
            line.finish()
            line.close_links(1001, "server stops")
        await self._links_closed()
        if not self.is_up:
            return
        if left := self.wake_timers.set_now():
            self.around.book.breaks(f"{left} timers are set and no link is open")
        for task in self._tasks:
            task.cancel()
        await self.store.close()
        if self.is_up:
            self.around.book.stops += 1
            self._end()

    async def _links_closed(self) -> None:
        for line in self.lines.values():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await line.wait_empty()
        for line in self.lines.values():
            for driver in list(line.drivers):
                if driver.link is not None:
                    driver.link.abort()
        await asyncio.sleep(LEAVE_S)  # both ends have heard of it

    # -- what is checked while it runs -------------------------------------------------------

    def _committing(self, beat: Beat) -> None:
        size = sum(len(row.body) for row in beat.inbox)
        if len(beat.inbox) > BEAT_ROWS or (len(beat.inbox) > 1 and size > 2 * BEAT_BYTES):
            self.around.book.breaks(f"a beat of {len(beat.inbox)} events, {size} bytes")
        self.check_bounds()

    def check_bounds(self) -> None:
        """See that nothing holds more than it may (reliability 2)."""
        drivers = [driver for line in self.lines.values() for driver in line.drivers]
        for driver in drivers:
            events, size_bytes = driver.pending
            # Reading stops between two frames, and one frame may hold many messages.
            if events >= PENDING_EVENTS + FRAME_EVENTS or size_bytes > 2 * PENDING_BYTES:
                self.around.book.breaks(f"a link holds {events} events, {size_bytes} bytes")
        if self.is_ready and self.core.depth > QUEUE_EVENTS + len(drivers):
            self.around.book.breaks(f"{self.core.depth} events wait for a beat")

    def _wake_at(self, at_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Set a timer of a line; it may not outlive the link that it belongs to."""
        owner = getattr(call, "__self__", None)

        def ring() -> None:
            if isinstance(owner, Driver) and owner.is_closed:
                self.around.book.breaks(f"a timer rings for a link of {owner.line} that is gone")
            call()

        return self.wake_timers.at(at_s, ring)

    def _is_dying(self) -> bool:
        is_calm = self.around.network.is_calm
        if self.is_up and not is_calm and self._chance.happens(self.around.weather.die_at_write):
            self.die("at a write")
        return not self.is_up

    def _trouble(self, action: str, error: BaseException | None) -> None:
        if not self.is_up:
            return
        told = f"{action}: {type(error).__name__}: {error}" if error is not None else action
        self.around.trace.note("trouble", told)
        is_foreseen = action in FORESEEN or (action == "store event" and "stored" in str(error))
        if not is_foreseen:
            self.around.book.breaks(f"trouble: {told}")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks = [one for one in self._tasks if not one.done()]
        self._tasks.append(task)
        task.add_done_callback(self._task_ended)
        if not self.is_up:
            task.cancel()
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self.is_up:
            self.around.book.breaks(f"a task failed: {type(error).__name__}: {error}")

    def _resumed(self, line: str) -> None:
        for where in self.roster.seats(line):
            self.core.dispatch.look(where)


FORESEEN: Final = frozenset({
    "store store", "store disk", "store recovered", "disk low", "disk recovered", "ask model",
})  # fmt: skip
