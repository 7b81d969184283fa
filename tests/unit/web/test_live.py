from __future__ import annotations

import asyncio

import msgspec
import pytest

from asgi import Stream, call
from trunkline.exchange.contract import Seen
from trunkline.ids import format_id
from trunkline.web.app import make_app
from trunkline.web.live import MAX_VIEWERS, MAX_WAITING, Live, Shown, Viewer
from trunkline.web.routes.feed import MAX_REMEMBERED, LineFilter
from web_stand import TOKEN, OneDesk, OneFleet, line_status, make_services

FEED = "/api/v1/feed"


def seen(number: int, what: str = "message", line: str = "blog", text: str = "hi") -> Seen:
    return Seen(what, number, 1_767_225_600_000, line, f"{line}/visitor:1", "Ana", text, "done")


def events(body: bytes) -> list[tuple[str, dict[str, object], str]]:
    found = []
    for block in body.decode().split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if fields:
            data = msgspec.json.decode(fields["data"])
            found.append((fields["event"], data, fields.get("id", "")))
    return found


async def test_the_feed_shows_what_became_durable() -> None:
    desk = OneDesk()
    app = make_app(make_services(desk=desk))
    async with Stream(app, FEED, token=TOKEN) as stream:
        await stream.until(b": open")
        desk.sinks[0](seen(16, text='line\n\nevent: evil\ndata: "x"'))
        body = await stream.until(b"evil")
    assert stream.status == 200
    (event,) = events(body)
    assert event[0] == "message"
    assert event[2] == event[1]["id"] == format_id("m", 16)
    assert event[1]["at"] == "2026-01-01T00:00:00.000Z"
    assert event[1]["text"] == 'line\n\nevent: evil\ndata: "x"'


async def test_a_viewer_who_leaves_is_let_go() -> None:
    desk = OneDesk()
    services = make_services(desk=desk)
    async with Stream(make_app(services), FEED, token=TOKEN) as stream:
        await stream.until(b": open")
        assert (services.live.viewers, len(desk.sinks)) == (1, 1)
    assert (services.live.viewers, len(desk.sinks)) == (0, 0)


async def test_all_streams_end_at_a_stop_and_no_new_one_stays() -> None:
    desk, fleet = OneDesk(), OneFleet()
    services = make_services(desk=desk, fleet=fleet)
    app = make_app(services)
    async with (
        Stream(app, FEED, token=TOKEN) as feed,
        Stream(app, "/api/v1/lines/blog/frames", token=TOKEN) as frames,
    ):
        await feed.until(b": open")
        await frames.until(b": open")
        services.live.close_all()
        assert events(await feed.end())[-1][0] == "end"
        assert events(await frames.end())[-1][0] == "end"
    assert (services.live.viewers, desk.sinks, fleet.sinks) == (0, [], [])
    async with Stream(app, FEED, token=TOKEN) as late:
        assert events(await late.end())[-1][0] == "end"


async def test_frames_are_shown_as_the_line_describes_them() -> None:
    fleet = OneFleet()
    app = make_app(make_services(fleet=fleet))
    async with Stream(app, "/api/v1/lines/blog/frames", token=TOKEN) as stream:
        await stream.until(b": open")
        fleet.sinks[0]("<", "v-1", "ping")
        body = await stream.until(b"ping")
    assert events(body)[0][1] == {
        "at": "2026-01-01T00:00:00.000Z",
        "direction": "<",
        "seat": "v-1",
        "text": "ping",
    }


async def test_unknown_lines_have_no_stream() -> None:
    app = make_app(make_services())
    for path in ("/api/v1/lines/none/frames", FEED + "?line=none"):
        assert (await call(app, "GET", path, token=TOKEN)).status == 404


async def test_too_many_streams_are_refused() -> None:
    services = make_services()
    app = make_app(services)
    for _ in range(MAX_VIEWERS):
        services.live.open(lambda _viewer: lambda: None)
    answer = await call(app, "GET", FEED, token=TOKEN)
    assert (answer.status, answer.json()["code"]) == (503, "too-many-viewers")


async def test_a_stream_that_was_never_sent_is_let_go_too() -> None:
    live = Live()
    stopped: list[int] = []
    answer = live.open(lambda _viewer: lambda: stopped.append(1))

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_message: object) -> None:
        raise ConnectionResetError

    with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever the framework makes of it
        await answer({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)  # type: ignore[arg-type]
    assert (live.viewers, stopped) == (0, [1])


async def take(viewer: Viewer, count: int) -> list[bytes]:
    found: list[bytes] = []
    async for chunk in viewer.chunks(heartbeat_s=0):
        found.append(chunk)
        if len(found) == count:
            break
    return found


async def test_a_slow_viewer_loses_the_oldest_and_is_told_where_to_go_on() -> None:
    viewer = Viewer(limit=3)
    stream = viewer.chunks()
    assert await anext(stream) == b": open\n\n"
    viewer.push(Shown("message", 0, "m-first"))
    assert b"m-first" in await anext(stream)
    for number in range(10):
        viewer.push(Shown("message", number, f"m-{number}"))
    body = b"".join([await anext(stream) for _ in range(4)])
    assert [(name, data) for name, data, _ in events(body)] == [
        ("gap", {"dropped": 7, "cursor": "m-first"}),
        ("message", 7),
        ("message", 8),
        ("message", 9),
    ]
    viewer.push(Shown("message", 10))
    assert b"gap" not in await anext(stream)


async def test_the_default_bound_is_256() -> None:
    viewer = Viewer()
    for number in range(MAX_WAITING + 1):
        viewer.push(Shown("message", number))
    assert MAX_WAITING == 256
    first = (await take(viewer, 2))[1]
    assert events(first) == [("gap", {"dropped": 1, "cursor": ""}, "")]


async def test_silence_is_broken_by_a_comment() -> None:
    assert (await take(Viewer(), 3))[1:] == [b": still here\n\n"] * 2


async def test_a_closed_viewer_gets_nothing_more() -> None:
    viewer = Viewer()
    viewer.push(Shown("message", 1))
    viewer.close()
    chunks = [chunk async for chunk in viewer.chunks()]
    assert [name for name, _, _ in events(b"".join(chunks))] == ["end"]


def test_a_line_sees_its_own_things_and_the_fate_of_its_own_answers() -> None:
    is_wanted = LineFilter("blog")
    answer, other = seen(17, "answer"), seen(33, "answer", "shop")
    assert is_wanted(answer)
    assert not is_wanted(other)
    assert is_wanted(Seen("delivery", 17, 0, "", "", "", "", "sent"))
    assert not is_wanted(Seen("delivery", 33, 0, "", "", "", "", "sent"))
    assert not is_wanted(seen(1, line="shop"))
    assert LineFilter("")(other)


def test_a_line_filter_remembers_a_bounded_number_of_answers() -> None:
    is_wanted = LineFilter("blog")
    for number in range(MAX_REMEMBERED + 10):
        is_wanted(seen(number + 1, "answer"))
    assert not is_wanted(Seen("delivery", 1, 0, "", "", "", "", "sent"))
    assert is_wanted(Seen("delivery", MAX_REMEMBERED + 10, 0, "", "", "", "", "sent"))


async def test_the_feed_of_one_line_leaves_the_others_out() -> None:
    desk = OneDesk()
    fleet = OneFleet(line_status("blog"), line_status("shop"))
    app = make_app(make_services(desk=desk, fleet=fleet))
    async with Stream(app, FEED + "?line=shop", token=TOKEN) as stream:
        await stream.until(b": open")
        desk.sinks[0](seen(16))
        desk.sinks[0](seen(32, line="shop", text="mine"))
        body = await stream.until(b"mine")
    assert [data["line"] for _, data, _ in events(body)] == ["shop"]
