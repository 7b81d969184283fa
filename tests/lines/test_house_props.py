"""Anything in any order: messages, repeats, cuts, replaced links, sends, pauses, a store that goes,
restarts on the same folder. Whatever happened, the promises of `reliability 1` and `7` hold.

Nothing acknowledged before it is stored · nothing answered or sent twice · order per conversation ·
what is SENT was written · nothing stuck · bounds hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gated import GatedStore
from house import ECHO, House, Peer, chat, maim
from scripted import settle
from trunkline.clock import FakeClock
from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.exchange import intake
from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.exchange.intake import QUEUE_EVENTS
from trunkline.lines.driver import PENDING_EVENTS
from trunkline.model.address import parse_address
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.message import parse_message, plain_text
from trunkline.store.contract import Beat, InboxState

PLATFORMS = ("qq", "tg")
names = st.sampled_from(PLATFORMS)
lines = st.sampled_from(("core", "blog"))
befores = st.sampled_from(("nothing", "away", "poison", "repeat"))
afters = st.sampled_from(("nothing", "cut", "replace", "send", "rest"))
turns = st.integers(0, 12)  # of the loop: how far a beat gets
LINES = {"blog": {"dialect": "contact", "chat_burst": 0}, "core": {"dialect": "maim"}}


class Faults:
    """What the next commits meet."""

    def __init__(self) -> None:
        self.next: list[Exception] = []
        self.poison: set[bytes] = set()

    def __call__(self, beat: Beat) -> None:
        if any(word in row.body for row in beat.inbox for word in self.poison):
            raise ValueError("this row cannot be stored")
        if self.next:
            raise self.next.pop()


class Anything(RuleBasedStateMachine):
    """One house, two platforms and some visitors."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.faults = Faults()
        self.delays = intake._RETRY_S
        intake._RETRY_S = (0.0,)
        self.count = 0
        self.peers: dict[str, Peer] = {}
        self.visitors: list[Peer] = []
        self.gone: list[Peer] = []
        self.said: dict[str, list[dict[str, Any]]] = {name: [] for name in PLATFORMS}
        self.heard: dict[str, list[str]] = {name: [] for name in PLATFORMS}
        self.acknowledged: set[str] = set()
        self.answered: list[str] = []
        self.is_restarted = False
        self._start()

    def _start(self) -> None:
        path = Path(self.folder.name)
        store = GatedStore(path, self.clock)
        store.fault = self.faults
        self.house = House(path, rules=[ECHO], lines=LINES, clock=self.clock, store=store)
        self._run(self.house.__aenter__())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(20):
                return await work

        return self.loop.run_until_complete(bounded())

    def _word(self) -> str:
        self.count += 1
        return f"w{self.count:04d}"

    # -- what happens ------------------------------------------------------------------------

    def _connect(self, name: str) -> Peer:
        """A platform connects; an older link of it is replaced, and told of it later."""
        if name in self.peers:
            self.gone.append(self.peers[name])
        self.peers[name] = self.house.connect("core", headers={"platform": name})
        return self.peers[name]

    def _here(self, name: str) -> Peer:
        return self.peers.get(name) or self._connect(name)

    @rule(name=names, count=st.integers(1, 70), before=befores, after=afters, turns=turns)
    def talk(self, name: str, count: int, before: str, after: str, turns: int) -> None:
        """A platform says something; before and after it, anything."""
        peer = self._here(name)
        if before == "away":
            self.faults.next += [StoreUnavailable(), StoreFull()]
        frames = [maim(word := self._word(), word, platform=name) for _ in range(count)]
        self.said[name] += frames
        if before == "poison":
            word = self._word()
            self.faults.poison.add(word.encode())
            frames.insert(count // 2, maim(word, word, platform=name))
        if before == "repeat":
            frames += self.said[name][:: max(1, len(self.said[name]) // 7)]
        peer.say(*frames)
        if after == "send":
            self._post(f"core/private:u1@{name}")
        self._run(settle(turns))
        if after == "cut":
            peer.cut()
            self.gone.append(self.peers.pop(name))
        elif after == "replace":
            self._connect(name)
        elif after == "rest":
            self._run(self._quiet())

    @rule(count=st.integers(1, 5), is_away=st.booleans(), after=afters, turns=turns)
    def visit(self, count: int, is_away: bool, after: str, turns: int) -> None:
        """A visitor comes, says something, and may leave or be written to."""
        peer = self.house.connect("blog")
        client = peer.frames()[0]["client_id"]
        if is_away:
            self.faults.next += [StoreUnavailable(), StoreFull()]
        for _ in range(count):
            word = self._word()
            peer.say(chat(word, client_message_id=word))
        if after == "send":
            self._post(f"blog/visitor:{client}")
        self._run(settle(turns))
        if after in ("cut", "replace"):
            peer.cut()
            self.gone.append(peer)
        else:
            self.visitors.append(peer)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.visitors:
            peer = data.draw(st.sampled_from(self.visitors))
            self.visitors.remove(peer)
            peer.cut()
            self.gone.append(peer)

    @rule(name=names)
    def send(self, name: str) -> None:
        """A program sends into the platform's conversation, whether it is there or not."""
        self._post(f"core/private:u1@{name}")

    def _post(self, target: str) -> None:
        async def post() -> None:
            with contextlib.suppress(StoreUnavailable):  # told at once, and nothing is queued
                await self.house.desk.send(parse_address(target), parse_message(self._word()))

        self._run(post())

    @rule(line=lines)
    def pause(self, line: str) -> None:
        self.house.fleet.pause(line)

    @rule(line=lines)
    def resume(self, line: str) -> None:
        self.house.fleet.resume(line)

    @rule(count=st.integers(1, 30))
    def go_on(self, count: int) -> None:
        """Let the house work for a moment, not to its end."""
        self._run(settle(count))

    @rule(seconds=st.sampled_from([0.1, 1.0]))
    def wait(self, seconds: float) -> None:
        self.house.advance(seconds)

    @rule()
    def rest(self) -> None:
        self._run(self._quiet())

    @rule()
    def restart(self) -> None:
        """The process dies, whatever is under way, and starts again."""
        self.is_restarted = True
        self._run(self.house.__aexit__(None, None, None))
        self._listen()
        self.gone += [*self.peers.values(), *self.visitors]
        self.peers.clear()
        self.visitors.clear()
        self._start()

    async def _quiet(self) -> None:
        for _ in range(3):
            for peer in [*self.peers.values(), *self.visitors]:
                peer.pump()
            await self.house.quiet()

    # -- what must hold ----------------------------------------------------------------------

    def _listen(self) -> None:
        """Take what peers have heard."""
        for peer in [*self.gone, *self.peers.values(), *self.visitors]:
            for frame in peer.frames():
                self._hear(frame)

    def _hear(self, frame: dict[str, Any]) -> None:
        if "message_info" in frame:
            name = frame["message_info"]["platform"]
            self.heard[name].append(frame["message_segment"]["data"][0]["data"])
        elif frame["type"] == "chat_message_received":
            self.acknowledged.add(frame["client_message_id"])
        elif frame["type"] == "chat_message":
            self.answered.append(frame["message"])

    def _stored(self) -> list[str]:
        rows = self.house.rows("select body from inbox where state != ?", InboxState.DEAD)
        return [plain_text(decode_event(body).segments) for (body,) in rows]

    @invariant()
    def nothing_is_acknowledged_before_it_is_stored(self) -> None:
        known = len(self.acknowledged)
        self._listen()
        if len(self.acknowledged) > known:
            assert self.acknowledged <= set(self._stored())

    @invariant()
    def nothing_is_heard_twice(self) -> None:
        for words in (*self.heard.values(), self.answered):
            assert len(words) == len(set(words)), words

    @invariant()
    def bounds_hold(self) -> None:
        drivers = [driver for line in self.house.lines.values() for driver in line.drivers]
        assert all(driver._events <= PENDING_EVENTS for driver in drivers)
        assert len(self.house.core._queue) <= QUEUE_EVENTS + len(drivers)

    def teardown(self) -> None:
        try:
            if hasattr(self, "house"):
                self._finish()
        finally:
            intake._RETRY_S = self.delays
            self.loop.close()
            self.folder.cleanup()

    def _finish(self) -> None:
        """Everything heals: then nothing is stuck, and order held."""
        self.faults.next.clear()
        for line in LINES:
            self.house.fleet.resume(line)
        for name in PLATFORMS:
            self._here(name)  # who is here stays: nobody looks because somebody came
        for _ in range(3):
            self.house.advance(2.0)
            self._run(self._quiet())
        self._listen()
        self.nothing_is_heard_twice()
        stored = self._stored()
        assert len(stored) == len(set(stored))
        dead = self.house.rows("select count(*) from inbox where state = ?", InboxState.DEAD)
        assert dead[0][0] <= len(self.faults.poison)  # nobody dies with the culprit
        rows = self.house.rows(
            "select o.id, o.state, o.body, c.line, c.account from outbox o"
            " join conversation c on c.id = o.conversation order by o.id"
        )
        self._run(self.house.__aexit__(None, None, None))
        order: dict[str, list[str]] = {name: [] for name in PLATFORMS}
        allowed = {DeliveryState.SENT, DeliveryState.EXPIRED}
        if self.is_restarted:
            allowed.add(DeliveryState.UNCERTAIN)
        answers = 0
        for ident, state, body, line, account in rows:
            what = decode_what(body)
            assert isinstance(what, Say)
            words = plain_text(what.segments)
            answers += bool(ident & 15)
            assert state in allowed, (words, state)
            if line == "core":
                assert state != DeliveryState.EXPIRED
                order[account].append(words)
            if state == DeliveryState.SENT:
                assert words in (self.heard[account] if line == "core" else self.answered)
        assert answers == len(stored)  # each message has its one decision
        for name, heard in self.heard.items():
            places = {words: at for at, words in enumerate(order[name])}
            assert [places[words] for words in heard] == sorted(places[words] for words in heard)
        unexpected = [action for action, _ in self.house.troubles if not action.startswith("store")]
        assert unexpected == []


TestAnything = Anything.TestCase
TestAnything.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
