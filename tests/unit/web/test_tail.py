from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import web_rows as rows
from asgi import Stream, call
from trunkline.clock import FakeClock
from trunkline.exchange.contract import Seen
from trunkline.ids import InboxId, format_id
from trunkline.lines.contract import LineState
from trunkline.model.delivery import DeliveryState
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Text
from trunkline.store.contract import Beat, Changes, InboxRow
from trunkline.store.sqlite import SqliteStore
from trunkline.web.app import make_app
from trunkline.web.live import MAX_VIEWERS
from trunkline.web.tail import IDLE_S, PAGE, STEP_S, Follower, Tail, Wanted
from web_stand import TOKEN, OneDesk, OneFleet, Timers, line_status, make_services

EVENTS = "/api/v1/events"


class CountingStore(SqliteStore):
    """The real store; tells how often it was asked for changes, and can be away."""

    asked = 0
    error: Exception | None = None

    async def changes(self, after: int, limit: int) -> Changes:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return await super().changes(after, limit)


class World:
    """The application over a real store; timers ring when the test says so."""

    def __init__(self, store: CountingStore) -> None:
        self.store = store
        self.desk = OneDesk()
        self.fleet = OneFleet(line_status("blog"), line_status("core"))
        self.clock = FakeClock()
        self.timers = Timers()
        self.tail = Tail(
            store=store, desk=self.desk, fleet=self.fleet, clock=self.clock, later=self.timers
        )
        self.services = make_services(
            store, desk=self.desk, fleet=self.fleet, clock=self.clock, tail=self.tail
        )
        self.app = make_app(self.services)
        self._next = 10

    def follow(self, query: str = "") -> Stream:
        return Stream(self.app, EVENTS + query, token=TOKEN)

    async def say(self, *words: str) -> list[str]:
        """Store messages in one commit; return their ids."""
        inbox: list[InboxRow] = []
        for word in words:
            self._next += 1
            event = MessageReceived(rows.CHAT, rows.ANA, (Text(word),))
            inbox.append(
                InboxRow(
                    InboxId(rows.START + self._next * 16), rows.BLOG.id, None,
                    rows.EventKind.MESSAGE, rows.InboxState.DONE, rows.NOW_MS,
                    rows.encode_event(event),
                )
            )  # fmt: skip
        await self.store.commit(Beat(inbox=inbox, now_ms=rows.NOW_MS))
        return [format_id("m", row.id) for row in inbox]

    def commit_told(self) -> None:
        """What the exchange does after a commit."""
        for sink in list(self.desk.sinks):
            sink(Seen("message", 1, rows.NOW_MS, "blog", "blog/visitor:1", "Ana", "hi"))

    def look(self) -> None:
        self.commit_told()
        self.timers.ring()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = CountingStore(tmp_path, clock=FakeClock())
    await store.open()
    await rows.fill(store)
    yield World(store)
    await store.close()


def events(body: bytes) -> list[tuple[str, Any, str]]:
    found: list[tuple[str, Any, str]] = []
    for block in body.decode().split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if "event" in fields:
            found.append(
                (fields["event"], msgspec.json.decode(fields["data"]), fields.get("id", ""))
            )
    return found


def position(body: bytes) -> str:
    """Return what a viewer would send as `Last-Event-ID`."""
    ids = [line[4:] for line in body.decode().splitlines() if line.startswith("id: ")]
    return ids[-1] if ids else ""


def texts(body: bytes) -> list[str]:
    return [value["text"] for name, value, _ in events(body) if name == "message"]


# -- in order, each once --------------------------------------------------------------------


async def test_a_new_viewer_sees_what_comes_from_now_on(world: World) -> None:
    async with world.follow() as stream:
        await stream.until(b": open")
        (ident,) = await world.say("hello")
        world.look()
        body = await stream.until(b"hello")
    ((name, value, seq),) = events(body)
    assert (name, value["id"], value["text"]) == ("message", ident, "hello")
    assert seq == position(body)


async def test_who_comes_back_gets_what_was_missed_and_nothing_twice(world: World) -> None:
    async with world.follow() as stream:
        await stream.until(b": open")
        await world.say("one")
        world.look()
        last = position(await stream.until(b"one"))
    await world.say("two", "three")
    async with world.follow(f"?after={last}") as stream:
        body = await stream.until(b"three")
        await world.say("four")
        world.look()
        body = await stream.until(b"four")
    assert texts(body) == ["two", "three", "four"]


async def test_the_header_goes_before_the_query(world: World) -> None:
    await world.say("one")
    end = await world.tail.end()
    await world.say("two")
    stream = world.follow("?after=0")
    stream._scope["headers"].append((b"last-event-id", str(end).encode()))
    async with stream:
        assert texts(await stream.until(b"two")) == ["two"]


async def test_a_position_outlives_the_process(world: World, tmp_path: Path) -> None:
    await world.say("one")
    last = await world.tail.end()
    await world.say("two")
    await world.store.close()
    again = CountingStore(tmp_path, clock=FakeClock())
    await again.open()
    later = World(again)
    later._next = 20
    async with later.follow(f"?after={last}") as stream:
        await stream.until(b"two")
        await later.say("three")
        later.look()
        assert texts(await stream.until(b"three")) == ["two", "three"]
    await again.close()


async def test_many_changes_come_in_pages_without_gap_or_double(world: World) -> None:
    start = await world.tail.end()
    words = [f"w{number}" for number in range(PAGE * 2 + 7)]
    for at in range(0, len(words), 50):
        await world.say(*words[at : at + 50])
    async with world.follow(f"?after={start}") as stream:
        assert texts(await stream.until(words[-1].encode())) == words


async def test_a_delivery_is_shown_again_when_its_state_changes(world: World) -> None:
    async with world.follow("?topics=outbox") as stream:
        await stream.until(b": open")
        await world.store.move_delivery(
            rows.REFUSED, (DeliveryState.REFUSED,), DeliveryState.QUEUED, "person"
        )
        world.timers.ring()  # no commit of the exchange: the idle look finds it
        body = await stream.until(b"delivery")
    ((name, value, _),) = events(body)
    assert (name, value["id"], value["state"]) == (
        "delivery", format_id("d", rows.REFUSED), "queued",
    )  # fmt: skip


async def test_everything_that_is_kept_can_be_read_from_the_oldest_on(world: World) -> None:
    async with world.follow("?start=oldest&topics=outbox&line=core") as stream:
        body = await stream.until(format_id("d", rows.EXPIRED).encode())
    assert [value["state"] for _, value, _ in events(body)] == ["queued", "refused", "expired"]


# -- what is wanted -------------------------------------------------------------------------


async def test_topics_and_line_leave_the_rest_out_but_the_position_moves_on(world: World) -> None:
    tail = world.tail
    follower = Follower(tail, Wanted(("outbox",), "blog"), await tail.end())
    chunks = follower.chunks(heartbeat_s=0.0)
    assert (await anext(chunks)).startswith(b": open")
    await world.say("not wanted")
    chunk = await anext(chunks)
    assert chunk.startswith(b": still here\nid: ")
    assert position(chunk) == str(await tail.end())
    assert (await anext(chunks)) == b": still here\n\n"
    await chunks.aclose()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?topics=nonsense", 422),
        ("?topics=inbox,why", 422),
        ("?line=none", 404),
        ("?after=x", 422),
        ("?after=-1", 422),
        ("?after=" + "9" * 20, 422),
        ("?start=then", 422),
        ("?aftr=1", 422),
    ],
)
async def test_what_cannot_be_followed(world: World, query: str, status: int) -> None:
    assert (await call(world.app, "GET", EVENTS + query, token=TOKEN)).status == status
    assert (await call(world.app, "GET", EVENTS)).status == 401


# -- positions that are of no use -----------------------------------------------------------


async def test_a_position_of_another_database_is_reset(world: World) -> None:
    async with world.follow("?after=9223372036854775807") as stream:
        await stream.until(b"reset")
        await world.say("new")
        world.look()
        body = await stream.until(b"new")
    (reset, new) = events(body)
    assert reset[0] == "reset"
    assert reset[1]["seq"] == reset[2]
    assert new[1]["text"] == "new"


async def test_a_position_that_is_too_old_is_reset_and_goes_on_at_the_end(world: World) -> None:
    await world.say("old")
    real = world.store.changes
    end = await world.tail.end()

    async def changes(after: int, limit: int) -> Changes:
        found = await real(after, limit)
        return Changes(found.rows, found.seq, is_gap=after < end)

    world.store.changes = changes  # type: ignore[method-assign]  # retention took what was before
    async with world.follow("?after=1") as stream:
        await stream.until(b"reset")
        await world.say("new")
        world.look()
        body = await stream.until(b"new")
    assert [name for name, _, _ in events(body)] == ["reset", "message"]
    assert texts(body) == ["new"]


# -- looking --------------------------------------------------------------------------------


async def test_a_commit_is_looked_at_at_once_and_then_four_times_a_second(world: World) -> None:
    async with world.follow() as stream:
        await stream.until(b": open")
        assert world.timers.waiting == [IDLE_S]
        world.commit_told()
        world.commit_told()
        assert world.timers.waiting == [0.0]
        world.timers.ring()
        assert world.timers.waiting == [IDLE_S]
        world.clock.advance(0.1)
        world.commit_told()
        assert world.timers.waiting == [pytest.approx(STEP_S - 0.1)]
    assert world.timers.waiting == []
    assert world.desk.sinks == []


async def test_viewers_at_the_same_position_share_a_look(world: World) -> None:
    async with world.follow() as one, world.follow() as two, world.follow() as three:
        for stream in (one, two, three):
            await stream.until(b": open")
        await world.tail.after(await world.tail.end())  # all of them have looked by now
        before = world.store.asked
        await world.say("hello")
        world.look()
        for stream in (one, two, three):
            await stream.until(b"hello")
        await world.tail.after(await world.tail.end())
        assert world.store.asked - before <= 2


async def test_a_look_that_was_under_way_does_not_hide_what_came_meanwhile(world: World) -> None:
    tail = world.tail
    follower = Follower(tail, Wanted(), None)
    stop = tail.join(follower)
    end = await tail.end()
    real = world.store.changes

    async def slow(after: int, limit: int) -> Changes:
        found = await real(after, limit)
        await world.say("meanwhile")
        world.look()
        return found

    world.store.changes = slow  # type: ignore[method-assign]  # a commit falls into the look
    assert (await tail.after(end)).changes == ()
    world.store.changes = real  # type: ignore[method-assign]
    assert len((await tail.after(end)).changes) == 1
    stop()


# -- passing things -------------------------------------------------------------------------


async def test_a_line_that_changes_is_shown_to_who_wants_lines(world: World) -> None:
    async with world.follow("?topics=lines,inbox") as stream, world.follow("?topics=inbox") as none:
        await stream.until(b": open")
        await none.until(b": open")
        world.fleet.lines[0] = line_status("blog", state=LineState.FAILED, error="refused")
        world.timers.ring()
        body = await stream.until(b"FAILED")
        await world.say("hello")
        world.look()
        assert [name for name, _, _ in events(await none.until(b"hello"))] == ["message"]
    ((name, value, ident),) = events(body)
    assert (name, value["name"], value["error"], ident) == ("line", "blog", "refused", "")


async def test_passing_things_that_nobody_takes_are_bounded(world: World) -> None:
    follower = Follower(world.tail, Wanted(), None)
    stop = world.tail.join(follower)
    for number in range(1000):
        world.tail.announce("rules", "rules", {"number": number})
    follower.close()
    chunks = [chunk async for chunk in follower.chunks()]
    assert len(chunks) == 2  # open and end: a stream that is closed shows nothing more
    assert len(follower._passing) == 64
    stop()


# -- the end --------------------------------------------------------------------------------


async def test_streams_end_at_a_stop_and_count_towards_the_bound(world: World) -> None:
    async with world.follow() as stream:
        await stream.until(b": open")
        assert world.services.live.viewers == 1
        world.services.live.close_all()
        assert events(await stream.end())[-1] == ("end", {"reason": "stopping"}, "")
    assert world.services.live.viewers == 0
    assert not world.tail.is_followed
    assert MAX_VIEWERS == 64


async def test_a_store_that_is_away_ends_the_stream_in_order(world: World) -> None:
    from trunkline.errors import StoreUnavailable

    async with world.follow() as stream:
        await stream.until(b": open")
        world.store.error = StoreUnavailable()
        world.look()
        assert events(await stream.end())[-1] == ("end", {"reason": "store"}, "")


async def test_a_viewer_who_leaves_while_looking_does_not_stop_the_others(world: World) -> None:
    tail = world.tail
    end = await tail.end()
    first = asyncio.create_task(tail.after(end))
    await asyncio.sleep(0)
    second = asyncio.create_task(tail.after(end))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).seq == end
