"""A 闲鱼 line under its supervisor, against the marketplace: states, waits, credentials."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from scripted import Ledger, Stand, settle
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Hangup, Head, LinkInfo, Opening, Transmit
from trunkline.dialects.xianyu import XIANYU
from trunkline.dialects.xianyu.emulator import Counter, World
from trunkline.dialects.xianyu.http import LOGIN_API
from trunkline.errors import LinkError
from trunkline.ids import CountingIds
from trunkline.lines.contract import LineState
from trunkline.lines.line import Line
from trunkline.lines.memory import MemoryLink, make_pair, pump
from trunkline.lines.supervisor import Pace, Supervisor
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text
from xianyu_house import make_options


class Committing(Ledger):
    """Commits at once, and keeps the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.state: bytes | None = None

    def offer(self, origin: Any, event: Any, receipt: Any, size_bytes: int) -> None:
        if isinstance(event, MessageReceived):
            self.words.append(plain_text(event.segments))
        origin.committed([receipt] if receipt is not None else [], 1, size_bytes)

    def keep(self, origin: Any, account: str, state: bytes) -> None:
        assert account == ""
        self.state = state


class Desk:
    """The far end of a link: a session of the world."""

    def __init__(self, session: Counter, link: MemoryLink) -> None:
        self.session = session
        self.link = link

    def do(self, effects: Any) -> None:
        for effect in effects:
            if isinstance(effect, Transmit):
                self.link.send(effect.data)
            elif isinstance(effect, Hangup):
                self.link.flush()
                self.link.close(effect.code, effect.reason)
        self.link.flush()

    def receive(self, data: bytes, *, is_text: bool) -> None:
        self.do(self.session.receive(data, is_text=is_text))

    def read_done(self) -> None: ...

    def drained(self) -> None: ...

    def closed(self, error: LinkError) -> None:
        self.session.lost(error)


class Street:
    """A line, its supervisor and the world that it dials."""

    def __init__(self, **options: Any) -> None:
        self.stand = Stand(link="dial", url="ws://127.0.0.1/")
        self.clock: FakeClock = self.stand.clock
        self.ledger = Committing()
        ids = CountingIds()
        self.opening = Opening("market", "market", self.clock, ids)
        self.options = make_options(jitter=0, **options)
        self.world = World(self.options, self.opening, seed=1, pace_s=1000.0)
        around = msgspec.structs.replace(
            self.stand.line.around,
            exchange=self.ledger,
            fetch=lambda request, _own, answer: answer(self.world.http(request)),
        )
        self.line = Line("shop", XIANYU, self.options, around)
        self.refusals = 0
        self.dials_s: list[float] = []
        self.near: MemoryLink | None = None
        self.desk: Desk | None = None
        self.states: list[LineState] = []
        self.supervisor = Supervisor(
            self.line, dial=self.dial, kept=self.kept, pace=Pace(self.clock), has_sisters=False
        )

    async def kept(self, line: str, account: str) -> bytes | None:
        return self.ledger.state

    async def dial(self, line: Line, target: Any, enter: Any) -> Any:
        self.dials_s.append(round(self.clock.monotonic_s() - 1000, 1))
        if self.refusals:
            self.refusals -= 1
            raise LinkError("no connection: Connection refused")
        head = Head("/", headers={name.lower(): value for name, value in target.headers.items()})
        near, far = make_pair(LinkInfo(head, is_dialled=True), LinkInfo(head))
        self.near, self.desk = near, Desk(self.world.session(self.opening), far)
        far.attach(self.desk)
        self.desk.do(self.desk.session.linked(LinkInfo(head)))
        ear = enter(near)
        near.attach(ear)
        near.flush()
        return near

    async def quiet(self) -> None:
        for _ in range(12):
            if self.near is not None and self.desk is not None:
                self.near.flush()
                pump(self.near, self.desk.link)
            await settle()
        self.note()

    def note(self) -> None:
        if not self.states or self.states[-1] is not self.line.state:
            self.states.append(self.line.state)

    async def live(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.stand.advance(1)
            await self.quiet()

    def lose(self) -> None:
        assert self.near is not None
        self.near.cut()


@contextlib.asynccontextmanager
async def street(**options: Any) -> AsyncIterator[Street]:
    one = Street(**options)
    task = asyncio.create_task(one.supervisor.run())
    await one.quiet()
    try:
        yield one
    finally:
        one.supervisor.stop()
        one.line.finish()
        one.line.close_links(1000, "end")
        await one.quiet()
        async with asyncio.timeout(5):
            await task
    assert one.line.state is LineState.DISCONNECTED


async def test_a_line_connects_and_a_cut_waits_three_seconds() -> None:
    async with street() as one:
        assert one.line.state is LineState.CONNECTED
        one.lose()
        await one.quiet()
        assert one.line.state is LineState.RECONNECTING
        await one.live(2)
        assert one.line.state is LineState.RECONNECTING
        await one.live(1)
        assert one.line.state is LineState.CONNECTED
        assert one.dials_s == [0, 3]
        assert one.world.market.calls[LOGIN_API] == 1


async def test_five_refused_dials_are_a_failed_line_and_a_person_restarts_it() -> None:
    async with street(probe_s=0) as one:  # tested with it off. Source: guides 5
        one.refusals = 99
        one.lose()
        await one.quiet()
        await one.live(400)
        assert one.line.state is LineState.FAILED
        # abrupt 3 s, then network 10 s x n; the fifth failure is the end
        assert one.dials_s == [0, 3, 23, 53, 93]
        assert one.stand.actions().count("line failed") == 1
        one.refusals = 0
        one.supervisor.reconnect()
        await one.quiet()
        assert one.line.state is LineState.CONNECTED


async def test_accept_then_close_does_not_stay_at_the_first_wait() -> None:
    async with street(max_failures=0) as one:
        for _ in range(150):
            if one.line.state is LineState.CONNECTED:
                one.lose()
            await one.live(1)
        waits = [
            after - before for before, after in zip(one.dials_s, one.dials_s[1:], strict=False)
        ]
        assert waits[0] == 4  # 3 s, and the second in which the cut is seen
        assert waits[3] == waits[0] < waits[6]


async def test_a_demand_for_a_person_fails_the_line_at_once_and_calls_no_more() -> None:
    async with street() as one:
        one.world.market.fault = "person"
        one.lose()
        await one.quiet()
        one.ledger.state = None  # nothing is kept: a token must be asked for
        await one.live(300)
        assert one.line.state is LineState.FAILED
        status = one.line.status()
        assert "needs-you" in status.overlays
        assert status.error.startswith("needs_person")
        assert one.world.market.calls[LOGIN_API] == 2
        one.world.market.fault = ""
        one.supervisor.reconnect()
        await one.quiet()
        assert one.line.state is LineState.CONNECTED
        assert one.line.status().overlays == ()


async def test_messages_of_an_outage_are_there_after_the_reconnect() -> None:
    async with street() as one:
        seller = one.world.market.seller(one.desk.session.seller.ident)  # type: ignore[union-attr]  # connected
        talk = one.world.market.open_talk(seller, "22", "7")
        one.lose()
        await one.quiet()
        for nth in range(10):
            payload = {"contentType": 1, "text": {"text": f"{nth}"}}
            one.world.market.say(seller, talk, payload, f"{nth}", is_own=False)
        await one.live(4)
        assert one.ledger.words == [f"{nth}" for nth in range(10)]
        assert one.world.market.violations == {}


async def test_ten_messages_of_a_20_s_outage_are_there_within_5_s_of_the_reconnect() -> None:
    async with street() as one:
        seller = one.world.market.seller(one.desk.session.seller.ident)  # type: ignore[union-attr]  # connected
        talk = one.world.market.open_talk(seller, "22", "7")
        one.refusals = 2  # 3 s, then 20 s: the platform is away meanwhile
        one.lose()
        await one.quiet()
        for nth in range(10):
            payload = {"contentType": 1, "text": {"text": f"{nth}"}}
            one.world.market.say(seller, talk, payload, f"{nth}", is_own=False)
            await one.live(2)
        assert one.line.state is not LineState.CONNECTED
        assert one.ledger.words == []
        while one.line.state is not LineState.CONNECTED:
            await one.live(1)
        await one.live(5)
        assert one.ledger.words == [f"{nth}" for nth in range(10)]
        assert one.world.market.violations == {}


async def test_a_link_that_delivers_nothing_after_a_new_token_is_found_in_its_bound() -> None:
    """Heartbeats are answered, messages are not pushed: a zombie. Source: xianyu 3"""
    async with street(token_refresh_s=120, quiet_check_s=300) as one:
        deaf_from_s = 130
        await one.live(deaf_from_s)
        assert one.world.market.calls[LOGIN_API] == 2
        assert one.dials_s[-1] < deaf_from_s  # the new token had a link of its own
        assert one.desk is not None
        session, dials = one.desk.session, len(one.dials_s)
        session._is_synced = False  # a fault: the platform answers and pushes nothing
        talk = one.world.market.open_talk(session.seller, "22", "7")
        payload = {"contentType": 1, "text": {"text": "anybody?"}}
        one.world.market.say(session.seller, talk, payload, "anybody?", is_own=False)
        one.options = one.line.options = one.options.model_copy(update={"token_refresh_s": 1e6})
        await one.live(60)
        assert one.ledger.words == []
        assert len(one.dials_s) == dials
        await one.live(250)  # 300 s without a push, and what it takes to look
        assert one.ledger.words == ["anybody?"]
        assert len(one.dials_s) > dials


async def test_the_states_are_those_of_the_guide() -> None:
    async with street() as one:
        one.lose()
        await one.live(5)
        allowed = {
            (LineState.CONNECTING, LineState.CONNECTED),
            (LineState.CONNECTED, LineState.RECONNECTING),
            (LineState.RECONNECTING, LineState.CONNECTED),  # CONNECTING is left within one look
            (LineState.RECONNECTING, LineState.CONNECTING),
        }
        assert set(zip(one.states, one.states[1:], strict=False)) <= allowed
