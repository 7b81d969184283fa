"""`tail` against the real application: what is shown, once, also across a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import web_rows as rows
from trunkline.cli.client import Client, find_server
from trunkline.cli.output import CommandFailed, ExitCode
from trunkline.cli.tail import Feed, Frames, Printer, follow, parse_age
from trunkline.exchange.contract import Seen
from trunkline.ids import InboxId, format_id
from trunkline.model.conversation import ConversationState
from trunkline.store.contract import Beat, EventKind, InboxRow, InboxState
from web_world import World, serving


class Enough(Exception):
    """The test has seen what it waited for."""


class Screen:
    """Takes what `follow` shows; ends it after so many rows, and calls back on the way.

    Args:
        on_row: position → what to do when so many rows are shown.
    """

    def __init__(self, count: int, on_row: dict[int, Callable[[], None]] | None = None) -> None:
        self.rows: list[dict[str, Any]] = []
        self._count = count
        self._on_row = on_row or {}

    def __call__(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self._on_row.get(len(self.rows), lambda: None)()
        if len(self.rows) == self._count:
            raise Enough


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path) as world:
        yield world


def seen(ident: int, text: str, what: str = "message") -> Seen:
    return Seen(what, ident, rows.NOW_MS, "blog", "blog/visitor:v-1", "Ana", text, "done")


def store_message(world: World, ident: int) -> None:
    from trunkline.exchange.bodies import encode_event
    from trunkline.model.event import MessageReceived
    from trunkline.model.segment import Text

    event = MessageReceived(rows.CHAT, rows.ANA, (Text(f"row {ident}"),))
    row = InboxRow(
        InboxId(ident), rows.BLOG.id, None, EventKind.MESSAGE, InboxState.DONE, rows.NOW_MS,
        encode_event(event),
    )  # fmt: skip
    conversations: list[ConversationState] = []
    world.do(world.store.commit(Beat(conversations=conversations, inbox=[row], now_ms=rows.NOW_MS)))


def ended(_wait_s: float) -> None:
    raise AssertionError("the stream ended")


def watch(
    world: World, source: Any, screen: Screen, pause: Callable[[float], object] = ended
) -> None:
    # A row that never comes ends the streams, and with them the test.
    guard = threading.Timer(20, world.end_streams)
    guard.start()
    try:
        with pytest.raises(Enough):
            follow(lambda: Client(find_server(world.config, env={})), source, screen, pause)
    finally:
        guard.cancel()


def test_what_was_before_comes_first_in_the_order_it_happened(world: World) -> None:
    screen = Screen(10)
    watch(world, Feed("", 0), screen)
    idents = [row["id"] for row in screen.rows]
    assert idents[:4] == [
        format_id("m", rows.ASKED), format_id("d", rows.ANSWERED),
        format_id("m", rows.REQUESTED), format_id("m", rows.BROKEN),
    ]  # fmt: skip
    assert [row["what"] for row in screen.rows[:3]] == ["message", "answer", "request"]
    assert len(set(idents)) == 10


def test_since_leaves_out_what_is_older(world: World) -> None:
    screen = Screen(4)
    watch(world, Feed("blog", rows.REQUESTED), screen)
    idents = [row["id"] for row in screen.rows]
    lost = [format_id("d", row) for row in (rows.DRAFT, rows.LOST, rows.LOST_TOO)]
    assert idents == [format_id("m", rows.BROKEN), *lost]


def test_live_things_follow_and_are_not_shown_twice(world: World) -> None:
    new = rows.EXPIRED + 16

    def go_on() -> None:
        store_message(world, new)
        world.emit(seen(rows.ASKED, "old"))  # it is in the list already
        world.emit(seen(new, "new"))
        world.emit(Seen("delivery", rows.ANSWERED, 0, "", "", "", "", "confirmed"))

    screen = Screen(12, {10: go_on})
    watch(world, Feed("", 0), screen)
    assert [row["text"] for row in screen.rows[10:]] == ["new", ""]
    assert screen.rows[11]["detail"] == "confirmed"


def test_what_a_slow_viewer_missed_is_fetched(world: World) -> None:
    new = rows.EXPIRED + 16

    def flood() -> None:
        store_message(world, new)
        world.emit(seen(new, "dropped"), *[seen(0, "typing", "fleeting")] * 300)

    screen = Screen(11, {10: flood})
    watch(world, Feed("", 0), screen)
    assert screen.rows[10]["text"] == f"row {new}"


def test_a_restart_loses_nothing_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.start()
    world.do(rows.fill(world.store))
    pauses: list[float] = []
    ports = [world.url]
    told: list[str] = []
    monkeypatch.setattr("trunkline.cli.tail.warn", told.append)

    def restart(wait_s: float) -> None:
        pauses.append(wait_s)
        if len(pauses) == 2:  # the first try finds nobody
            world.start()
            ports.append(world.url)
            store_message(world, rows.EXPIRED + 16)

    # Stopped from another thread: this one is reading the stream that must end.
    stopper = threading.Thread(target=world.stop)
    screen = Screen(11, {10: stopper.start})

    def pause(wait_s: float) -> None:
        stopper.join()
        restart(wait_s)

    try:
        watch(world, Feed("", 0), screen, pause)
    finally:
        world.stop()
    assert screen.rows[10]["text"] == f"row {rows.EXPIRED + 16}"
    assert pauses == [1.0, 1.0]
    assert len(told) == 1
    assert ports[0] != ports[1]


def test_frames_are_shown(world: World) -> None:
    screen = Screen(1)

    class Watching(Frames):
        """Shows a frame as soon as somebody watches."""

        def read(self, client: Client) -> Iterator[dict[str, Any] | None]:
            for frame in super().read(client):
                if frame is None:

                    async def show() -> None:
                        world.fleet.sinks[0](">", "v-1", "pong")

                    world.do(show())
                yield frame

    watch(world, Watching("blog"), screen)
    assert screen.rows[0]["text"] == "pong"


def test_an_unknown_line_ends_it(world: World) -> None:
    for source in (Feed("none", 1), Frames("none")):
        with pytest.raises(CommandFailed) as failure:
            follow(lambda: Client(find_server(world.config, env={})), source, print, print)
        assert failure.value.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("words", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1 D", 86400)]
)
def test_ages_are_read(words: str, seconds: int) -> None:
    assert parse_age(words) == seconds


@pytest.mark.parametrize("words", ["", "10", "m", "-1m", "1w", "9999999s"])
def test_other_words_are_no_age(words: str) -> None:
    with pytest.raises(CommandFailed) as failure:
        parse_age(words)
    assert failure.value.code == ExitCode.USAGE


def test_a_row_is_one_safe_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    row = {
        "what": "message", "id": "m-1", "at": "2026-01-01T00:00:00.000Z", "line": "blog",
        "address": "blog/visitor:1", "sender": "A\x1b]0;evil\x07", "text": "a\nb\u202eevil",
        "detail": "dead",
    }  # fmt: skip
    Printer("")(row)
    Printer("blog")(row | {"what": "answer", "detail": "sent"})
    Printer("blog")(row | {"what": "fleeting"})
    Printer("blog")(row | {"what": "delivery", "detail": "uncertain"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "← blog" in lines[0]
    assert "A\\x1b]0;evil\\x07  a b\\u202eevil  ! dead  m-1" in lines[0]
    assert "· sent" in lines[1]
    assert "m-1 uncertain" in lines[2]


def test_an_answer_that_leaves_at_once_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show = Printer("blog")
    row = {
        "what": "answer", "id": "d-1", "at": "2026-01-01T00:00:00.000Z", "line": "blog",
        "address": "blog/visitor:1", "sender": "rule:price", "text": "hi", "detail": "sending",
    }  # fmt: skip
    outcome = row | {"what": "delivery", "line": "", "detail": "sent"}
    show(row)
    show(outcome)
    assert len(capsys.readouterr().out.splitlines()) == 1
    show(outcome)  # again, after a person had it sent again
    show(row | {"id": "d-2"})
    show(outcome | {"id": "d-2", "detail": "uncertain"})
    assert len(capsys.readouterr().out.splitlines()) == 3
