"""A whole house without sockets: real lines, drivers, exchange, pipeline and SQLite store.

Links are the in-memory twins and time is a fake clock; only the store's threads are real. A test is
the peer: it puts frames on the far end of a link and reads what came back.

    async with House(tmp_path, rules=[rule("hi", reply="hello")]) as house:
        peer = house.connect("blog")
        peer.say({"type": "chat_message", …})
        await house.quiet()
        peer.frames()
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Admit, Dialect, Head, LinkInfo
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import LinkError
from trunkline.exchange.desk import Desk
from trunkline.exchange.intake import Core, Outside
from trunkline.exchange.keeper import Keeper
from trunkline.exchange.plans import decider
from trunkline.exchange.turns import Turns
from trunkline.ids import SystemIds
from trunkline.lines.fleet import NodeFleet
from trunkline.lines.line import Line, Surroundings, facts_of
from trunkline.lines.memory import MemoryLink, make_pair, pump
from trunkline.lines.roster import Roster
from trunkline.pipeline.decide import RuleHealth, compile_rulebook, decide
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec, RuleSpec
from trunkline.store.contract import Retention, Store
from trunkline.store.sqlite import SqliteStore

GIB = 1 << 30


ECHO = RuleSpec("echo", match="any", reply="收到：{send_message}")


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "chat_message", "message": text, "timestamp": "2025-01-01T12:00:00", **more,
    }  # fmt: skip


def maim(text: str, ident: str = "m1", platform: str = "qq", user: str = "u1") -> dict[str, Any]:
    return {
        "message_info": {
            "platform": platform, "message_id": ident, "time": 1_767_225_600.0,
            "user_info": {"platform": platform, "user_id": user, "user_nickname": "N"},
        },
        "message_segment": {"type": "text", "data": text},
    }  # fmt: skip


def kinds(frames: Sequence[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


def texts(frames: Sequence[dict[str, Any]]) -> list[str]:
    return [frame["message_segment"]["data"][0]["data"] for frame in frames]


class Notes:
    """A log that a test can read: (level, action, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def info(self, action: str, **fields: object) -> None:
        self.lines.append(("info", action, fields))

    def warning(self, action: str, **fields: object) -> None:
        self.lines.append(("warning", action, fields))

    def error(self, action: str, **fields: object) -> None:
        self.lines.append(("error", action, fields))


class Counts:
    """A meter that a test can read."""

    def __init__(self) -> None:
        self.beats: list[int] = []
        self.verdicts: dict[str, int] = {}
        self.duplicates = 0
        self.dead = 0
        self.fates: dict[str, int] = {}
        self.oddities: list[str] = []

    def beat(
        self,
        *,
        events: int,
        seconds: float,
        verdicts: Mapping[str, int],
        duplicates: int,
        dead: int,
    ) -> None:
        self.beats.append(events)
        for label, count in verdicts.items():
            self.verdicts[label] = self.verdicts.get(label, 0) + count
        self.duplicates += duplicates
        self.dead += dead

    def outcomes(self, counts: Mapping[str, int]) -> None:
        for state, count in counts.items():
            self.fates[state] = self.fates.get(state, 0) + count

    def queued(self, events: int) -> None: ...

    def noticed(self, dialect: str, kind: str) -> None:
        self.oddities.append(kind)

    def links(self, line: str, count: int) -> None: ...

    def connected(self, dialect: str) -> None: ...


class Peer:
    """The far end of a link: the test itself."""

    def __init__(self, near: MemoryLink, far: MemoryLink) -> None:
        self.near = near
        self.far = far
        self.heard: list[bytes] = []
        self.closed_with: LinkError | None = None

    def receive(self, data: bytes, *, is_text: bool) -> None:
        self.heard.append(data)

    def read_done(self) -> None: ...

    def drained(self) -> None: ...

    def closed(self, error: LinkError) -> None:
        self.closed_with = error

    def say(self, *frames: object) -> None:
        """Send frames in one read; a dict is sent as JSON."""
        for frame in frames:
            data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
            self.far.send(data)
        self.far.flush()
        self.pump()

    def pump(self) -> None:
        pump(self.near, self.far)

    def frames(self) -> list[dict[str, Any]]:
        """Take what has arrived, decoded."""
        self.pump()
        heard, self.heard = self.heard, []
        return [json.loads(frame) for frame in heard]

    def cut(self) -> None:
        self.near.cut()
        self.pump()


class House:
    """See the module.

    Args:
        lines: options by line name; default one contact and one maim line.
        store: another back-end, or one that fails.
        dialects: more than the registry has.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rules: Sequence[RuleSpec] = (),
        defaults: Sequence[DefaultSpec] = (),
        lines: Mapping[str, Mapping[str, Any]] | None = None,
        clock: FakeClock | None = None,
        store: Store | None = None,
        decide_with: Any = None,
        dialects: Mapping[str, Dialect] = DIALECTS,
    ) -> None:
        self._dialects = dialects
        self.clock = clock or FakeClock()
        self.folder = folder
        self.store = store or SqliteStore(folder, clock=self.clock)
        self.log = Notes()
        self.counts = Counts()
        self.troubles: list[tuple[str, BaseException | None]] = []
        self.troubled = asyncio.Event()
        self.timers: list[tuple[float, Any]] = []
        self._options = lines or {"blog": {"dialect": "contact"}, "core": {"dialect": "maim"}}
        self._spec = RulebookSpec(rules=tuple(rules), defaults=tuple(defaults))
        self._decide = decide_with
        self._tasks: list[asyncio.Task[None]] = []
        self._short: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> House:
        last = await self.store.open()
        self.ids = SystemIds(self.clock, last=last)
        self.roster = Roster()
        facts: dict[str, Any] = {}
        self.core = Core(
            Outside(
                clock=self.clock,
                ids=self.ids,
                store=self.store,
                router=self.roster,
                facts=facts,
                meter=self.counts,
                on_trouble=self._trouble,
                later=lambda delay_s, call: self.timers.append(
                    (self.clock.monotonic_s() + delay_s, call)
                ),
                spawn=self._spawn_short,
            ),
            self._decide or decider(decide, compile_rulebook(self._spec), RuleHealth()),
        )
        self.core.conversations.start_at(await self.store.next_conversation_id())
        around = Surroundings(
            clock=self.clock,
            ids=self.ids,
            exchange=self.core,
            roster=self.roster,
            log=self.log,
            meter=self.counts,
            timer=self._timer,
            auth_failed=lambda peer: self.counts.oddities.append(f"auth-failed {peer}"),
        )
        self.lines = {
            name: Line(
                name,
                self._dialects[options["dialect"]],
                self._dialects[options["dialect"]].options(**options),
                around,
            )
            for name, options in self._options.items()
        }
        facts.update(facts_of(self.lines))
        await self.core.dispatch.learn()
        await self.core.carrying.learn()
        await self.core.asking.learn()
        self.fleet = NodeFleet(self.lines, {}, self._resumed)
        self.desk = Desk(
            core=self.core,
            store=self.store,
            clock=self.clock,
            facts=facts,
            router=self.roster,
            accounts=self.fleet.accounts,
        )
        self.turns = Turns(
            store=self.store, clock=self.clock, hand_over=self.core.turn_due,
            asking=self.core.asking, facts=facts,
        )  # fmt: skip
        self.keeper = Keeper(
            core=self.core,
            store=self.store,
            clock=self.clock,
            turns=self.turns,
            retention=Retention(),
            total_bytes=100 * GIB,
            on_trouble=lambda action, error: self.troubles.append((action, error)),
        )
        self._spawn(self.core.run())
        self._spawn(self.core.dispatch.run(self.core))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.core.stop()
        self.core.dispatch.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()

    def connect(
        self, line: str, *, headers: Mapping[str, str] | None = None, peer: str = "192.0.2.9"
    ) -> Peer:
        """Open a link to a listening line, as a peer from outside."""
        at = self.lines[line]
        path = at.dialect.paths(at.options)[0]
        # An open machine line lets in this machine only; visitors come from anywhere.
        head = Head(path, headers=dict(headers or {}), peer=peer, is_loopback=not at.is_public)
        info = LinkInfo(head)
        near, far = make_pair(info, info)
        admitted = at.admit(info.head)
        assert isinstance(admitted, Admit), admitted
        ear = Peer(near, far)
        far.attach(ear)
        near.attach(at.enter(admitted, near))
        near.flush()
        ear.pump()
        return ear

    async def quiet(self) -> None:
        """Let the exchange write and tell everything, the queues included."""
        for _ in range(4):
            self.ring()
            await asyncio.gather(*self._short)
            self._short.clear()
            await self.core.quiet()
            await self.core.dispatch.quiet()

    async def recovered(self) -> None:
        """Return when the store is no trouble any more."""
        while self.core.trouble:
            self.troubled.clear()
            await self.troubled.wait()

    def ring(self) -> None:
        """Ring the timers whose time has come."""
        now_s = self.clock.monotonic_s()
        due = [call for at_s, call in self.timers if at_s <= now_s]
        self.timers = [(at_s, call) for at_s, call in self.timers if at_s > now_s]
        for call in due:
            call()

    def advance(self, seconds: float) -> None:
        """Move the clock and ring what is due."""
        self.clock.advance(seconds)
        self.ring()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the database as another process would."""
        import sqlite3

        path = self.folder / "trunkline.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(sql, values).fetchall()

    def _timer(self, at_s: float, call: Any) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(at_s, call, (), asyncio.get_running_loop())

        def ring() -> None:
            if not handle.cancelled():
                handle._run()

        self.timers.append((at_s, ring))
        return handle

    def _trouble(self, action: str, error: BaseException | None) -> None:
        self.troubles.append((action, error))
        self.troubled.set()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task

    def _spawn_short(self, work: Any) -> asyncio.Task[None]:
        task = self._spawn(work)
        self._short.append(task)
        return task

    def _resumed(self, line: str) -> None:
        for where in self.roster.seats(line):
            self.core.dispatch.look(where)


def visitor(house: House) -> Peer:
    peer = house.connect("blog")
    assert kinds(peer.frames()) == ["connection_established"]
    return peer
