"""The rounds: start → load → kill → restart … → quiesce → check.

Half of the art is *when*. From outside a kill is uniform in the first `MOST_LATE_S` after `ready`.
At a failpoint the product kills itself: it is started with `TRUNKLINE_FAILPOINT`, and says in a
file which one it was, before it dies. The name with the fewest hits is next.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from trunkline import failpoints
from trunkline.clock import SystemClock
from trunkline.dialects.contract import Dialect, Head, Opening
from trunkline.ids import SystemIds
from trunkline.model.event import MessageReceived
from trunkline.store.sqlite.connection import connect
from trunkline.store.sqlite.migrating import downgrade

from .bare import BareLink
from .checker import Verdict, check, count_unproven
from .front import Front
from .ledger import Ended, Ledger, wall_ms
from .peers import MANNERS, Peer
from .process import CONFIG, STOP_S, NotReady, Product
from .stage import Plan, Stage, StampedClock
from .ways import Awaiting, Cast, DialledCast, Dialling, Place

DATABASE: Final = "trunkline.db"
BY_TIME: Final = "time"
MIGRATE: Final = "migrate.mid"
DRAIN: Final = "drain.mid"
# Leases are of cluster mode, which is not built: nothing can hit this one.
UNREACHABLE: Final = frozenset({"lease.after_acquire"})
REACHABLE: Final = tuple(sorted(failpoints.NAMES - UNREACHABLE))

PEERS: Final = 8
RATE: Final = 50.0  # questions a second of one peer
SHARE: Final = 0.5  # of the peers that have a manner
MOST_LATE_S: Final = 1.0
PATIENCE_S: Final = 6.0  # then a failpoint that is not reached is given up, and the kill is ours
TRIES: Final = 6  # a name that failed so often in a row is not tried again
QUIET_S: Final = 90.0
PROOF_S: Final = 45.0
ENOUGH_HITS: Final = 10  # reliability 7: of each name, when there are kills enough
SELDOM: Final = frozenset({MIGRATE, DRAIN, "claim.after_commit"})
# Others are passed by every beat: they fire at once, or somewhere in the first hundreds of beats.
_CHANCES: Final = (1.0, 0.2, 0.03)

_RULES: Final = """
[dev]
failpoints = true

[[rules]]
name = "echo"
match = "any"
reply = "re:{send_message}"
"""


class Options(msgspec.Struct, frozen=True):
    """What a run is.

    Args:
        kills: how many lives end before the last one.
        messages: most questions in all; 0 = as many as they come.
        names: failpoints to be hit; empty = kills from outside only.
        manners: of the peers; each has a few of those that its dialect declares.
    """

    kills: int = 40
    messages: int = 0
    seed: int = 1
    names: tuple[str, ...] = REACHABLE
    manners: frozenset[str] = MANNERS
    peers: int = PEERS


class Runner:
    """One run.

    Args:
        folder: empty; holds the product's data and the ledger.
        progress: told a line now and then.
    """

    def __init__(
        self,
        dialect: Dialect,
        cast: Cast | DialledCast,
        options: Options,
        folder: Path,
        progress: Callable[[str], None],
    ) -> None:
        self._options = options
        self._cast = cast
        self._place: Place | None = None
        self._folder = folder / "data"
        self._hits_file = folder / "hits"
        self._progress = progress
        self._chance = random.Random(options.seed)  # noqa: S311 - a run shall be repeatable
        self._stage = Stage()
        self._ledger = Ledger(folder / "ledger")
        self._attempts: Counter[str] = Counter()
        self._misses: Counter[str] = Counter()  # in a row
        self._hits: Counter[str] = Counter()
        self._has_data = False
        self._troubles: list[str] = []
        self._running: Product | None = None
        self._spare: Product | None = None  # has its imports behind it
        self._began_s = time.monotonic()
        self._folder.mkdir(mode=0o700)
        self.peers = self._cast_peers(dialect)

    def _cast_peers(self, dialect: Dialect) -> list[Peer]:
        options, chance, cast = self._options, self._chance, self._cast
        most = 0
        if options.messages:
            most = max(1, options.messages // (options.peers * (options.kills + 1)))
        ids = SystemIds(SystemClock())
        is_binary = any(traits.is_binary for traits in dialect.traits.values())
        plan = Plan(self._stage, self._ledger, ids, RATE, most, is_binary=is_binary)
        if isinstance(cast, DialledCast):
            self._place = cast.place(Opening("", "", SystemClock(), ids), options.peers)
        known = sorted(cast.manners & options.manners)
        peers: list[Peer] = []
        for number in range(options.peers):
            # The first two are plain, so that each kind of actor is there without manners, too.
            has = frozenset(one for one in known if number > 1 and chance.random() < SHARE)
            own = random.Random(chance.random())  # noqa: S311 - as above
            name = f"p{number}."
            if "reorder" in has:
                self._ledger.shuffling.add(name)
            peers.append(self._cast_one(name, number, dialect, plan, own, has))
        return peers

    def _cast_one(
        self,
        name: str,
        number: int,
        dialect: Dialect,
        plan: Plan,
        chance: random.Random,
        manners: frozenset[str],
    ) -> Peer:
        clock, cast = StampedClock(), self._cast
        if isinstance(cast, DialledCast):
            place = _present(self._place)
            way = Awaiting(place, number, plan, clock, manners)
            actor = place.actor(number)
            return Peer(
                name, actor, plan, chance, way=way, manners=manners, clock=clock, echo=_silent
            )
        actor = cast.actor(number)
        dialling = Dialling(dialect, cast, actor, plan, clock)
        return Peer(
            name, actor, plan, chance, way=dialling, manners=manners, clock=clock, echo=cast.echo
        )

    def _arrive(self, number: int, link: BareLink, head: Head) -> None:
        way = self.peers[number].way
        if isinstance(way, Awaiting):
            way.arrive(link, head)

    def _configure(self, front: Front | None) -> None:
        """Write what the product is configured with."""
        cast = self._cast
        if isinstance(cast, DialledCast):
            lines = _present(self._place).lines(_present(front).base)
        else:
            lines = cast.lines
        (self._folder / CONFIG).write_text(lines + _RULES, encoding="utf-8")

    async def run(self) -> Verdict:
        """Run to the end and return the verdict."""
        front = Front(self._place, self._arrive) if self._place is not None else None
        self._configure(front)
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(front.run()) if front is not None else None
                talks = [group.create_task(peer.run()) for peer in self.peers]
                for number in range(1, self._options.kills + 1):
                    await self._round(number)
                    if number % 10 == 0 or number == self._options.kills:
                        self._tell(number)
                await self._rest(talks)
                if serving is not None:
                    serving.cancel()
        finally:
            for product in (self._running, self._spare):
                if product is not None:
                    product.kill()
                    await product.wait()
            self._ledger.close()
        self._count_hits()
        for rule, count in self._place.violations.items() if self._place is not None else ():
            self._troubles.append(f"the product broke {count} times: {rule}")
        verdict = check(self._folder, self._ledger, proves=self._proves)
        return msgspec.structs.replace(
            verdict,
            problems=(*self._troubles, *verdict.problems),
            hits={name: self._hits[name] for name in sorted(self._options.names)},
            kills=len(self._ledger.ends) - 1,
            seed=self._options.seed,
            seconds=round(time.monotonic() - self._began_s, 1),
        )

    # -- rounds ------------------------------------------------------------------------------

    def _choose(self, number: int) -> str:
        """Return what ends the next life: every fourth kill comes from outside."""
        reachable = [name for name in self._options.names if self._misses[name] < TRIES]
        if number % 4 == 0 or not reachable:
            return BY_TIME
        if not self._has_data and MIGRATE in reachable and len(reachable) > 1:
            reachable.remove(MIGRATE)  # there is nothing to bring to a newer schema yet
        fewest = min(self._hits[name] for name in reachable)
        return self._chance.choice([name for name in reachable if self._hits[name] == fewest])

    async def _round(self, number: int) -> None:
        name = self._choose(number)
        env: dict[str, str] = {}
        if name != BY_TIME:
            self._attempts[name] += 1
            odds = 1.0 if name in SELDOM else self._chance.choice(_CHANCES)
            env = {
                "TRUNKLINE_FAILPOINT": f"{name}:kill:{odds}",
                "TRUNKLINE_FAILPOINT_LOG": str(self._hits_file),
            }
        if name == MIGRATE and self._has_data:
            await asyncio.to_thread(self._make_older)
        product = await self._launch(env)
        from_ms = wall_ms()
        try:
            url = await product.ready()
        except NotReady as error:
            if not product.is_killed or not self._is_hit(product.pid, name):
                self._troubles.append(f"did not start ({name}): {error}")
        else:
            self._has_data = True
            await self._stage.set("ws" + url.removeprefix("http"))
            from_ms = await self._strike(product, name)
        await product.wait()
        how = self._judge(product, name)
        self._ledger.end(Ended(number, how, from_ms, wall_ms()))
        self._ledger.sync()

    async def _launch(self, env: Mapping[str, str], *, is_last: bool = False) -> Product:
        product = self._running = self._spare or await Product.prepare(self._folder)
        product.launch(env)
        self._spare = None if is_last else await Product.prepare(self._folder)
        return product

    async def _strike(self, product: Product, name: str) -> int:
        """Have the product killed; return when it was last known to live."""
        chance = self._chance
        patience_s = PATIENCE_S
        if name in {BY_TIME, MIGRATE}:
            await product.ends_within(chance.uniform(0.0, MOST_LATE_S))
            patience_s = 0.0
        elif name == DRAIN:
            await product.ends_within(chance.uniform(0.05, MOST_LATE_S))
            product.terminate()
        from_ms = wall_ms()
        if not await product.ends_within(patience_s):
            from_ms = wall_ms()
            product.kill()
        return from_ms

    def _judge(self, product: Product, name: str) -> str:
        """Count what ended a life; return its name."""
        is_hit = self._is_hit(product.pid, name)
        if not product.is_killed:
            self._troubles.append(f"ended by itself ({name})")
        if name == BY_TIME:
            return BY_TIME
        if is_hit:
            self._hits[name] += 1
            self._misses[name] = 0
            return name
        self._misses[name] += 1
        return BY_TIME

    def _is_hit(self, pid: int, name: str) -> bool:
        if not self._hits_file.exists():
            return False
        lines = [line.split() for line in self._hits_file.read_text().splitlines()]
        return any(line[0] == name and line[2] == str(pid) for line in lines)

    def _make_older(self) -> None:
        """Take the newest migration back, so that the next start has one to run."""
        path = self._folder / DATABASE
        downgrade(lambda: connect(path, "FULL"))

    # -- the end -----------------------------------------------------------------------------

    async def _rest(self, talks: Sequence[asyncio.Task[None]]) -> None:
        """Start once more, let everything finish, stop in order."""
        product = await self._launch({}, is_last=True)
        url = await product.ready()
        self._stage.is_proving = self._proves
        await self._stage.set("ws" + url.removeprefix("http"), closing=True)
        until_s = time.monotonic() + QUIET_S
        if self._proves:
            await self._prove()
        _, late = await asyncio.wait(talks, timeout=max(0.0, until_s - time.monotonic()))
        for number, talk in enumerate(talks):
            if talk in late:
                talk.cancel()
                self._troubles.append(f"{self.peers[number].name} never came to rest")
        from_ms = wall_ms()
        product.terminate()
        if not await product.ends_within(STOP_S):
            self._troubles.append(f"did not stop within {STOP_S:.0f} s")
            product.kill()
        code = await product.wait()
        if code != 0:
            self._troubles.append(f"the last stop ended with {code}")
        self._ledger.end(Ended(self._options.kills + 1, "stop", from_ms, wall_ms()))

    @property
    def _proves(self) -> bool:
        return isinstance(self._cast, DialledCast) and self._cast.proves

    async def _prove(self) -> None:
        """Give the product the time to find out what became of what it wrote and peers have."""
        until_s = time.monotonic() + PROOF_S
        while time.monotonic() < until_s:
            await asyncio.sleep(1.0)
            is_served = all(peer.is_served for peer in self.peers)
            if is_served and not count_unproven(self._folder, self._ledger):
                break
        self._stage.is_proving = False

    def _count_hits(self) -> None:
        """Say which failpoints were reached too seldom to prove anything."""
        names = self._options.names
        # A quarter of the kills is not at a failpoint, and a few attempts fail.
        is_long = self._options.kills * 0.6 >= ENOUGH_HITS * len(names)
        for name in names:
            if self._attempts[name] and not self._hits[name]:
                self._troubles.append(f"{name} was never hit in {self._attempts[name]} attempts")
            elif is_long and self._hits[name] < ENOUGH_HITS:
                self._troubles.append(f"{name} was hit {self._hits[name]} times only")

    def _tell(self, number: int) -> None:
        ledger = self._ledger
        self._progress(
            f"{number}/{self._options.kills} kills, {len(ledger.said)} messages, "
            f"{len(ledger.answers)} answers, {time.monotonic() - self._began_s:.0f} s"
        )


Given = TypeVar("Given")


def _present(value: Given | None) -> Given:
    if value is None:
        raise RuntimeError("a platform is made before its accounts")
    return value


def _silent(event: MessageReceived) -> None:
    """Send nothing back: a platform's session echoes by itself."""
    del event


async def torture(
    dialect: Dialect, cast: Cast | DialledCast, options: Options, progress: Callable[[str], None]
) -> Verdict:
    """Run in a temporary folder, which stays where it is when something was found."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-torture-"))
    verdict = await Runner(dialect, cast, options, folder, progress).run()
    if verdict.is_clean:
        shutil.rmtree(folder)
    else:
        progress(f"the data and the ledger are kept in {folder}")
    return verdict
