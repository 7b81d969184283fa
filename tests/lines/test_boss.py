"""A Boss直聘 line under its supervisor, against the scripted gateway: states, waits, logins."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from boss_house import LOGIN, make_options
from scripted import Ledger, Stand, settle
from trunkline.clock import FakeClock
from trunkline.dialects.boss import BOSS, http
from trunkline.dialects.boss.emulator import Desk, World
from trunkline.dialects.contract import Hangup, Head, LinkInfo, Opening, Refuse, Transmit
from trunkline.errors import LinkError, LinkRefused
from trunkline.ids import CountingIds
from trunkline.lines.contract import LineState
from trunkline.lines.line import Line
from trunkline.lines.memory import MemoryLink, make_pair, pump
from trunkline.lines.supervisor import Pace, Supervisor
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text


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


class Far:
    """The far end of a link: a session of the world."""

    def __init__(self, session: Desk, link: MemoryLink) -> None:
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
        self.opening = Opening("gateway", "gateway", self.clock, CountingIds())
        self.options = make_options(jitter=0, **options)
        self.world = World(self.options, self.opening, seed=1, pace_s=10_000.0)
        around = msgspec.structs.replace(
            self.stand.line.around,
            exchange=self.ledger,
            fetch=lambda request, _own, answer: answer(self.world.http(request)),
        )
        self.line = Line("job", BOSS, self.options, around)
        self.refusals = 0
        self.dials_s: list[float] = []
        self.near: MemoryLink | None = None
        self.far: Far | None = None
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
        headers = {name.lower(): value for name, value in target.headers.items()}
        head = Head("/chatws", headers=headers | {"sec-websocket-protocol": target.subprotocol})
        admitted = self.world.admit(self.options, head)
        if isinstance(admitted, Refuse):
            raise LinkRefused(admitted.status, admitted.text)
        near, far = make_pair(LinkInfo(head, is_dialled=True), LinkInfo(head), is_binary=True)
        self.near, self.far = near, Far(self.world.session(self.opening), far)
        far.attach(self.far)
        self.far.do(self.far.session.linked(LinkInfo(head)))
        ear = enter(near)
        near.attach(ear)
        near.flush()
        return near

    async def quiet(self) -> None:
        for _ in range(16):
            if self.near is not None and self.far is not None:
                self.near.flush()
                pump(self.near, self.far.link)
            await settle()

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


async def test_a_cut_is_one_reconnect_with_a_new_password() -> None:
    async with street() as one:
        assert one.line.state is LineState.CONNECTED
        one.lose()
        await one.quiet()
        assert one.line.state is LineState.RECONNECTING
        await one.live(1)
        assert one.line.state is LineState.CONNECTED
        assert one.dials_s == [0, 1]
        assert one.world.gateway.calls[http.GET_WT] == 2
        assert one.world.gateway.calls[http.USER_INFO] == 2
        assert one.world.gateway.violations == {}


async def test_waits_double_and_begin_anew_after_thirty_stable_seconds() -> None:
    async with street() as one:
        one.refusals = 4
        one.lose()
        await one.quiet()
        await one.live(40)
        assert one.dials_s == [0, 1, 3, 7, 15, 31]
        assert one.line.state is LineState.CONNECTED
        await one.live(31)
        one.lose()
        await one.live(2)
        waited = one.dials_s[-1] - 71
        assert waited <= 2


async def test_a_login_that_is_over_parks_at_once_and_calls_no_more() -> None:
    async with street() as one:
        one.world.gateway.login = "another"
        one.lose()
        await one.live(600)
        assert one.line.state is LineState.FAILED
        status = one.line.status()
        assert "needs-you" in status.overlays
        assert status.error.startswith("needs_new_cookies")
        assert one.world.gateway.calls[http.USER_INFO] == 2
        assert "login-of-a-test-account" not in status.error
        cookies = type(one.options.cookies)("wt=another; bst=b")
        one.line.options = one.options.model_copy(update={"cookies": cookies})
        one.supervisor.renew()  # as an edited file does
        await one.quiet()
        assert one.line.state is LineState.CONNECTED
        assert one.line.status().overlays == ()


async def test_three_refusals_at_the_upgrade_park_and_a_person_is_tried_again() -> None:
    async with street() as one:
        admit = one.world.admit
        one.world.admit = lambda _options, _head: Refuse(403, "no")  # type: ignore[method-assign]
        one.lose()
        await one.quiet()
        await one.live(120)
        assert one.line.state is LineState.FAILED
        assert one.dials_s == [0, 1, 3, 7]
        one.world.admit = admit  # type: ignore[method-assign]  # the gateway is itself again
        one.supervisor.reconnect()
        await one.quiet()
        assert one.line.state is LineState.CONNECTED


async def test_a_place_that_is_taken_again_and_again_is_left_alone_for_a_minute() -> None:
    async with street() as one:
        for nth in range(3):
            await one.live(nth)
            assert one.line.state is LineState.CONNECTED
            assert one.far is not None
            one.far.do(one.far.session.close(1000, "Bye"))
            await one.quiet()
        assert one.line.status().error.startswith("closed 1000")
        assert "another login may have taken the place (login-replaced)" in one.line.status().error
        before = len(one.dials_s)
        await one.live(50)
        assert len(one.dials_s) == before
        await one.live(12)
        assert one.line.state is LineState.CONNECTED


async def test_a_site_that_does_not_answer_is_asked_again() -> None:
    async with street() as one:
        one.world.gateway.faults[http.GET_WT] = deque(["500", "malformed"])
        one.lose()
        await one.live(8)
        assert one.line.state is LineState.CONNECTED
        assert one.world.gateway.calls[http.GET_WT] == 4


@pytest.mark.parametrize(
    ("fault", "why"),
    [("500", "HTTP 500"), ("121", "121: 请求不合法"), ("malformed", "not the site's JSON")],
)
async def test_a_login_that_fails_says_what_the_site_said(fault: str, why: str) -> None:
    async with street() as one:
        one.world.gateway.faults[http.GET_WT] = deque([fault] * 9)
        one.lose()
        await one.live(2)
        assert one.line.state is LineState.RECONNECTING
        assert why in one.line.status().error
        assert one.line.status().error.startswith("no login: ")


async def test_messages_of_an_outage_are_there_after_the_reconnect() -> None:
    async with street() as one:
        account = one.world.gateway.account(LOGIN)
        assert account is not None
        one.lose()
        await one.quiet()
        for nth in range(30):
            one.world.gateway.say_text(account, account.peer(700_000_001), f"{nth}")
        await one.live(2)
        assert one.ledger.words == [f"{nth}" for nth in range(30)]
        assert one.world.gateway.violations == {}
