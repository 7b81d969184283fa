"""The parts that the simulation stands on: its loop, its network, the rules of a session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from seeds import weather
from trunkline.cli.main import run as run_command
from trunkline.clock import FakeClock
from trunkline.dev.simulate.ends import Host
from trunkline.dev.simulate.loop import Deadlock, Livelock, VirtualLoop
from trunkline.dev.simulate.network import Network
from trunkline.dev.simulate.trace import Trace
from trunkline.dev.simulate.watch import WatchedSession
from trunkline.dev.simulate.weather import Chance, SeededIds, forecast
from trunkline.dialects.contract import (
    Admit,
    Dial,
    Fetch,
    Fetched,
    Head,
    LinkInfo,
    Received,
    Settled,
)
from trunkline.errors import LinkError, LinkLost, LinkTimeout
from trunkline.ids import DeliveryId
from trunkline.lines.contract import LinkLimits
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Text


def run(work: Any, clock: FakeClock | None = None) -> Any:
    loop = VirtualLoop(clock or FakeClock())
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


# -- the loop ------------------------------------------------------------------------------------


def test_time_jumps_to_the_next_timer():
    clock = FakeClock()
    order: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append(f"{name} {clock.monotonic_s() - 1000:.1f}")

    async def main() -> None:
        await asyncio.gather(sleeper("b", 3600.0), sleeper("a", 0.5))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10.0):
                await asyncio.Event().wait()

    run(main(), clock)
    assert order == ["a 0.5", "b 3600.0"]
    assert clock.monotonic_s() == pytest.approx(4610.0)


def test_a_wait_without_an_end_is_a_deadlock():
    with pytest.raises(Deadlock):
        run(asyncio.Event().wait())


def test_a_loop_that_spins_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("trunkline.dev.simulate.loop.STUCK_TURNS", 100)

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock):
        run(spin())


# -- chance --------------------------------------------------------------------------------------


def test_chance_is_by_seed_and_name():
    first, again = (Chance(7, "x") for _ in range(2))
    assert [first.share() for _ in range(5)] == [again.share() for _ in range(5)]
    assert Chance(7, "x").share() != Chance(7, "y").share() != Chance(8, "y").share()
    assert forecast(Chance(1, "weather")) == forecast(Chance(1, "weather"))


def test_every_fault_is_left_out_by_some_seed_and_met_by_another():
    drawn = [forecast(Chance(seed, "weather")) for seed in range(200)]
    for name in weather().__struct_fields__:
        assert len({getattr(one, name) for one in drawn}) > 1, name


def test_ids_are_by_seed_and_well_formed():
    one, two = (SeededIds(FakeClock(), Chance(1, "ids")) for _ in range(2))
    assert one.uuid() == two.uuid() != one.uuid()
    assert len(one.token()) == 32
    assert one.uuid()[14] == "4"


# -- the network ---------------------------------------------------------------------------------


class Ear:
    """The user of an end."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.is_text: list[bool] = []
        self.ends: list[LinkError] = []

    def receive(self, data: bytes, *, is_text: bool) -> None:
        self.heard.append(data)
        self.is_text.append(is_text)

    def read_done(self) -> None: ...

    def drained(self) -> None: ...

    def closed(self, error: LinkError) -> None:
        self.ends.append(error)


class Door:
    """A door that lets everybody in."""

    line = "door"
    is_binary = False
    is_public = True
    max_per_address = 0
    origins = ()
    limits = LinkLimits()

    def __init__(self) -> None:
        self.ear = Ear()
        self.link: Any = None
        self.heads: list[Head] = []

    def admit(self, head: Head) -> Admit:
        self.heads.append(head)
        return Admit("any", 1 << 20)

    def enter(self, admitted: Admit, link: Any) -> Ear:
        self.link = link
        return self.ear


class Wire:
    """Two hosts and a link between them."""

    def __init__(self, **changes: Any) -> None:
        clock = FakeClock()
        loop = asyncio.get_running_loop()
        trace, chance = Trace(clock), Chance(1, "network")
        self.network = Network(loop, trace, chance, weather(latency_s=0.1, **changes))
        self.here, self.there = Host("here"), Host("there")
        self.door, self.ear = Door(), Ear()
        self.network.listen(self.there, "ws://there/x", self.door)

    async def dial(self) -> Any:
        return await self.network.dial(
            self.here, Dial("ws://there/x"), LinkLimits(), lambda _: self.ear
        )


def on_wire(scenario: Any, **changes: Any) -> None:
    async def main() -> None:
        wire = Wire(**changes)
        await scenario(wire, await wire.dial())

    run(main())


@pytest.mark.parametrize("is_binary", [False, True])
def test_messages_are_what_the_door_says_and_it_sees_the_subprotocol(is_binary: bool):
    async def main() -> None:
        wire = Wire()
        wire.door.is_binary = is_binary
        dial = Dial("ws://there/x", {"Cookie": "a=b"}, "offered")
        far = await wire.network.dial(wire.here, dial, LinkLimits(), lambda _: wire.ear)
        far.send(b"to the door")
        far.flush()
        wire.door.link.send(b"back")
        wire.door.link.flush()
        await asyncio.sleep(1.0)
        assert wire.door.ear.is_text == wire.ear.is_text == [not is_binary]
        (head,) = wire.door.heads
        assert head.headers == {"cookie": "a=b", "sec-websocket-protocol": "offered"}

    run(main())


def test_a_link_keeps_order_and_says_good_bye():
    async def scenario(wire: Wire, far: Any) -> None:
        for nth in range(50):
            far.send(b"%d" % nth)
            far.flush()
        far.close(1000, "done")
        await asyncio.sleep(1.0)
        assert wire.door.ear.heard == [b"%d" % nth for nth in range(50)]
        assert [(one.code, one.reason) for one in wire.door.ear.ends] == [(1000, "done")]
        assert [one.code for one in wire.ear.ends] == [1000]

    on_wire(scenario)


def test_a_cut_loses_a_tail_and_both_ends_are_told_once():
    async def scenario(wire: Wire, far: Any) -> None:
        for nth in range(40):
            far.send(b"%d" % nth)
            far.flush()
        far.cut(0.1, 30.0)
        await asyncio.sleep(5.0)
        heard = wire.door.ear.heard
        assert heard == [b"%d" % nth for nth in range(len(heard))]
        assert len(heard) < 40
        assert far.is_open  # half open: it writes into nothing
        far.send(b"lost")
        far.flush()
        await asyncio.sleep(40.0)
        assert [one.code for one in wire.ear.ends] == [1006]
        assert [one.code for one in wire.door.ear.ends] == [1006]
        assert b"lost" not in wire.door.ear.heard

    on_wire(scenario)


def test_a_held_end_reads_on_after_resume():
    async def scenario(wire: Wire, far: Any) -> None:
        wire.door.link.pause()
        far.send(b"x")
        far.flush()
        await asyncio.sleep(5.0)
        assert wire.door.ear.heard == []
        wire.door.link.resume()
        assert wire.door.ear.heard == [b"x"]

    on_wire(scenario)


def test_a_ping_comes_back_from_a_peer_that_reads_and_not_from_one_that_ends():
    async def scenario(wire: Wire, far: Any) -> None:
        now_s, heard = asyncio.get_running_loop().time, []
        wire.door.link.stall(now_s() + 10.0)
        far.ping(lambda: heard.append(now_s()))
        began_s = now_s()
        await asyncio.sleep(9.0)
        assert heard == []
        await asyncio.sleep(2.0)
        (at_s,) = heard
        assert 10.0 <= at_s - began_s <= 10.2
        far.pause()
        far.ping(lambda: heard.append(0.0))
        assert heard == [at_s, 0.0]  # at once: it is us who do not read
        far.resume()
        far.ping(lambda: heard.append(1.0))
        far.cut(0.1, 0.1)
        await asyncio.sleep(5.0)
        far.ping(lambda: heard.append(2.0))
        assert heard == [at_s, 0.0]
        assert wire.ear.heard == wire.door.ear.heard == []

    on_wire(scenario)


def test_a_peer_that_does_not_read_is_given_up():
    async def scenario(wire: Wire, far: Any) -> None:
        wire.door.link.stall(asyncio.get_running_loop().time() + 100.0)
        far._limits = LinkLimits(high_water_bytes=1000, low_water_bytes=100)
        far.send(b"x" * 50_000)
        far.flush()
        assert far.buffered_bytes > 1000
        await asyncio.sleep(11.0)
        assert [one.code for one in wire.ear.ends] == [1013]

    on_wire(scenario)


def test_a_dead_process_does_nothing_more():
    async def scenario(wire: Wire, far: Any) -> None:
        far.send(b"before")
        far.flush()
        wire.here.die()
        far.send(b"after")
        far.flush()
        wire.door.link.send(b"to nobody")
        wire.door.link.flush()
        await asyncio.sleep(5.0)
        assert wire.door.ear.heard == [b"before"]
        assert wire.ear.heard == []
        assert wire.ear.ends == []
        assert [one.code for one in wire.door.ear.ends] == [1006]

    on_wire(scenario)


def test_nobody_answers_where_nobody_is():
    async def scenario(wire: Wire, far: Any) -> None:
        wire.there.die()
        with pytest.raises(LinkError, match="no connection"):
            await wire.dial()

    on_wire(scenario)


# -- the rules of a session ----------------------------------------------------------------------


class Scripted:
    """A session that says what a test wants."""

    wake_at: float | None = None

    def __init__(self) -> None:
        self.says: Any = ()

    def linked(self, info: LinkInfo) -> Any:
        return self.says

    def receive(self, data: bytes, *, is_text: bool) -> Any:
        return self.says

    def stored(self, receipt: Any) -> Any:
        return self.says

    def send(self, delivery: Delivery) -> Any:
        return self.says

    def tick(self) -> Any:
        return self.says

    def lost(self, error: Any) -> Any:
        return self.says


@pytest.fixture
def watched() -> tuple[Scripted, WatchedSession, list[str]]:
    script, told = Scripted(), []
    session = WatchedSession(
        script,  # type: ignore[arg-type]  # only the verbs that these tests use
        broken=told.append,
        is_durable=lambda event: event.key == b"durable",
    )
    return script, session, told


def delivery(ident: int = 16) -> Delivery:
    return Delivery(DeliveryId(ident), Chat("", "private", "u"), Say((Text("hi"),)))


def event(key: bytes) -> MessageReceived:
    return MessageReceived(Chat("", "private", "u"), None, (Text("hi"),), key)


SENT = Settled(DeliveryId(16), Outcome.SENT)
CONFIRMED = Settled(DeliveryId(16), Outcome.CONFIRMED)
Watched = tuple[Scripted, WatchedSession, list[str]]


def test_a_late_proof_of_what_was_sent_is_fine(watched: Watched):
    script, session, told = watched
    script.says = (SENT,)
    session.send(delivery())
    script.says = (CONFIRMED,)
    session.receive(b"", is_text=True)
    script.says = ()
    session.lost(LinkLost())
    assert told == []


def test_settling_twice_or_the_unknown_is_told(watched: Watched):
    script, session, told = watched
    script.says = (CONFIRMED, CONFIRMED)
    session.send(delivery())
    script.says = (Settled(DeliveryId(32), Outcome.SENT),)
    session.receive(b"", is_text=True)
    assert [one.split()[1] for one in told] == ["twice:", "what"]


def test_what_is_pending_at_the_end_is_told(watched: Watched):
    _, session, told = watched
    session.send(delivery())
    session.send(delivery())
    session.lost(LinkLost())
    assert "handed in twice" in told[0]
    assert "pending after lost" in told[1]


def test_what_happens_after_the_end_is_told(watched: Watched):
    script, session, told = watched
    session.lost(LinkLost())
    script.says = (Received(event(b"durable")),)
    session.tick()
    assert told == ["a timer of a link that is gone", "tick after lost returns Received"]


def test_a_receipt_is_stored_once_and_only_when_all_is_durable(watched: Watched):
    script, session, told = watched
    first, second = "first-receipt", "second-receipt"
    script.says = (
        Received(event(b"durable"), first),
        Received(event(b"durable"), second),
        Received(event(b"not yet"), second),
    )
    session.receive(b"", is_text=True)
    script.says = ()
    session.stored(first)
    assert told == []
    session.stored(first)
    session.stored(second)
    assert "that nothing waits for" in told[0]
    assert "acknowledged before it is stored" in told[1]


# -- the command ---------------------------------------------------------------------------------


def test_the_command_prints_a_trace_and_its_hash(capsys: pytest.CaptureFixture[str]):
    code = run_command(["dev", "simulate", "--from", "3", "--dialect", "contact", "--trace"])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert "weather" in lines[0]
    assert "broken []" in lines[-2]
    assert lines[-1].startswith("trace ")


def test_the_command_says_how_to_replay_what_broke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("trunkline.dev.simulate.node.BEAT_ROWS", 0)
    code = run_command(["dev", "simulate", "--seeds", "1", "--dialect", "maim"])
    assert code == 1
    told = capsys.readouterr().err
    assert "a beat of 1 events" in told
    assert "trunkline dev simulate --seeds 1 --from 1 --dialect maim --trace" in told


def test_the_command_refuses_an_unknown_dialect():
    assert run_command(["dev", "simulate", "--dialect", "morse"]) == 2


def test_a_call_is_answered_lost_on_its_way_or_nobody_is_there():
    asked: list[str] = []

    def http(request: Fetch) -> Fetched:
        asked.append(request.url)
        return Fetched(200, (), b"body")

    async def call(wire: Wire, url: str) -> object:
        told: list[object] = []
        loop = asyncio.get_running_loop()
        wire.network.call(Fetch("GET", url), told.append, loop.call_later)
        await asyncio.sleep(1.0)
        (answer,) = told
        return answer

    async def main() -> None:
        wire = Wire()
        wire.network.serve(wire.there, "http://there", http)
        assert await call(wire, "http://there/a?b=1") == Fetched(200, (), b"body")
        assert isinstance(await call(wire, "http://elsewhere/"), LinkError)
        wire.there.die()
        assert isinstance(await call(wire, "http://there/"), LinkError)
        assert asked == ["http://there/a?b=1"]
        lossy = Wire(refuse=1.0)
        lossy.network.serve(lossy.there, "http://there", http)
        answers = [await call(lossy, "http://there/") for _ in range(60)]
        kinds = {type(one) for one in answers}
        assert kinds == {Fetched, LinkError, LinkTimeout}

    run(main())
