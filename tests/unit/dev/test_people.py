"""Simulated people over real links: they dial, talk, count, and leave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from peers import chat, closing, receive, visiting
from peers import dial as dial_socket
from trunkline.clock import SystemClock
from trunkline.dev import site as sites
from trunkline.dev.demo import (
    ACCOUNTS,
    ADAPTERS,
    VISITORS,
    Demo,
    Script,
    make_options,
    make_people,
    make_world,
)
from trunkline.dev.dialling import open_dialler
from trunkline.dev.people import Forgetting, People
from trunkline.errors import LinkRefused
from trunkline.lines.contract import LineState


@contextlib.asynccontextmanager
async def site(dialect: str) -> AsyncIterator[str]:
    """Serve what says everything back, as `emulate DIALECT --port 0` does, until SIGTERM."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(sites._serve(dialect, 0, lambda *, url: ready.set_result(url)))
    try:
        yield await ready
    finally:
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await serving


class Ear:
    """A log that tells when so many lines have come to their end."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.over = asyncio.Event()

    def info(self, action: str, **fields: object) -> None: ...

    def warning(self, action: str, **fields: object) -> None: ...

    def error(self, action: str, **fields: object) -> None:
        self.left -= action == "line failed"
        if not self.left:
            self.over.set()


def people(dialect: str, url: str, count: int, **script: Any) -> tuple[People, Ear]:
    clock = SystemClock()
    found = make_people(
        dialect, url, count, open_dialler(clock), clock, Script(pace_s=0.01, **script)
    )
    ear = Ear(count)
    for supervisor in found._supervisors:
        object.__setattr__(supervisor.line, "around", _hearing(supervisor.line.around, ear))
    return found, ear


def _hearing(around: Any, ear: Ear) -> Any:
    import msgspec

    return msgspec.structs.replace(around, log=ear)


@pytest.mark.parametrize("dialect", ["contact", "maim", "onebot11"])
async def test_people_talk_to_what_says_everything_back_and_leave(dialect: str) -> None:
    async with site(dialect) as url:
        crowd, ear = people(dialect, url, 3, messages=2)
        running = asyncio.create_task(crowd.run())
        async with asyncio.timeout(20):
            await ear.over.wait()
        assert crowd.is_over
        tally = crowd.tally
        assert tally["sent"] == 6
        assert tally["answered"] == 6
        assert tally["doubled"] == tally["misordered"] == tally["errors"] == 0
        crowd.stop()
        async with asyncio.timeout(10):
            await running


async def test_people_know_whether_anybody_let_them_in() -> None:
    """`emulate` ended well although it had never got through the door."""
    async with site("onebot11") as url:
        away, ear = people("onebot11", f"{url}/nowhere", 1, messages=1)
        let_in, _ = people("onebot11", url, 1, messages=1)
        running = [asyncio.create_task(one.run()) for one in (away, let_in)]
        async with asyncio.timeout(20):
            while not let_in.is_over or not away.error:
                await asyncio.sleep(0)
        assert (away.has_met_anybody, let_in.has_met_anybody) == (False, True)
        assert "404" in away.error
        for one in (away, let_in):
            one.stop()
        async with asyncio.timeout(10):
            await asyncio.gather(*running)
    assert ear.left


async def test_people_who_are_told_to_stop_hang_up() -> None:
    """They stayed on their links: `stop` only ended the dialling."""
    async with site("contact") as url:
        crowd, _ = people("contact", url, 2)
        running = asyncio.create_task(crowd.run())
        async with asyncio.timeout(10):
            while crowd.tally["sent"] < 2:
                await asyncio.sleep(0)
        assert not crowd.is_over
        crowd.stop()
        async with asyncio.timeout(10):
            await running
        assert [one.line.state for one in crowd._supervisors] == [LineState.DISCONNECTED] * 2


async def test_the_site_acknowledges_answers_in_order_and_says_good_bye() -> None:
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(site("contact"))
        visitor = await stack.enter_async_context(visiting(url))
        for n in range(5):
            await visitor.send(chat(f"m{n}"))
        heard = await visitor.until("chat_message", 5)
        assert [frame["message"] for frame in heard] == [f"m{n}" for n in range(5)]
        kinds = [frame["type"] for frame in visitor.frames]
        assert kinds.count("chat_message_received") == 5
        waiting = asyncio.create_task(closing(visitor.socket))
        signal.raise_signal(signal.SIGTERM)
        assert (await waiting)[0] == 1001


async def test_the_core_says_back_what_it_hears() -> None:
    from peers import maim_message

    async with site("maim") as url, dial_socket(url, {"platform": "qq"}) as socket:
        await socket.send(json.dumps(maim_message("hello")))
        frame = await receive(socket)
        assert frame["message_segment"]["data"][0]["data"] == "hello"


async def test_people_may_wait_for_a_framework_that_dials_them() -> None:
    script = Script(pace_s=0.01, messages=3, token="t" * 32)
    options = make_options("onebot11", script, link="listen", bind=("127.0.0.1:0",))
    world = make_world("onebot11", options, script)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def tell(*, url: str) -> None:
        ready.set_result(url)

    serving = asyncio.create_task(
        sites._listen(sites.scripted("onebot11", world), options, 0, Forgetting(), tell)
    )
    url = await ready
    with pytest.raises(InvalidStatus, match="401"):
        async with dial_socket(url):
            pass
    async with dial_socket(url, {"Authorization": f"Bearer {'t' * 32}"}) as socket:
        assert (await receive(socket))["sub_type"] == "connect"
        said = 0
        while said < 3:
            event = await receive(socket)
            if event["post_type"] != "message":
                continue
            said += 1
            keys = ("message_type", "user_id", "group_id", "message")
            params = {key: event[key] for key in keys if key in event}
            await socket.send(json.dumps({"action": "send_msg", "params": params, "echo": said}))
            while "echo" not in (answer := await receive(socket)):
                assert answer["post_type"] == "meta_event"
            assert (answer["status"], answer["echo"]) == ("ok", said)
        assert (await closing(socket))[0] == 1000
    assert (world.tally.sent, world.tally.answered) == (3, 3)
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await serving


async def test_an_address_that_is_not_served_is_refused_with_a_sentence() -> None:
    async with site("contact") as url:
        crowd, _ = people("contact", url.replace("/contact", "/nowhere"), 1)
        line = crowd._supervisors[0].line
        (target,) = line.dialect.open(line.options, _opening()).begin(None)
        with pytest.raises(LinkRefused, match="404"):
            await open_dialler(SystemClock())(line, target, lambda link: pytest.fail("let in"))


def _opening() -> Any:
    from trunkline.dialects.contract import Opening
    from trunkline.ids import CountingIds

    return Opening("visitor", "", SystemClock(), CountingIds())


async def test_the_demo_has_all_its_people_and_stops_while_they_dial() -> None:
    dialled: list[str] = []
    all_there = asyncio.Event()

    async def dial(line: Any, target: Any, enter: Any) -> Any:
        dialled.append(target.url)
        if len(dialled) == VISITORS + ADAPTERS + ACCOUNTS:
            all_there.set()
        await asyncio.get_running_loop().create_future()

    demo = Demo(dial, SystemClock(), "http://127.0.0.1:1")
    demo.start()
    async with asyncio.timeout(20):
        await all_there.wait()
        assert sorted(dialled) == (
            ["ws://127.0.0.1:1/contact"] * VISITORS
            + ["ws://127.0.0.1:1/onebot/v11/ws"] * ACCOUNTS
            + ["ws://127.0.0.1:1/ws"] * ADAPTERS
        )
        await demo.stop()


async def test_what_is_forgotten_is_acknowledged_in_the_next_turn() -> None:
    told: list[Any] = []

    class Origin:
        def committed(self, receipts: Any, events: int, size_bytes: int) -> None:
            told.append((list(receipts), events, size_bytes))

        def flush(self) -> None:
            told.append("flush")

    exchange: Any = Forgetting()
    exchange.offer(Origin(), None, "r", 7)
    exchange.offer(Origin(), None, None, 1)
    assert told == []
    await asyncio.sleep(0)
    assert told == [(["r"], 1, 7), "flush", ([], 1, 1), "flush"]
