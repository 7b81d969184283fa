"""Lines reach console and file, redacted and bounded; nothing blocks and nothing is doubled."""

import io
import json
import logging
import threading

import pytest

from trunkline.clock import FakeClock
from trunkline.telemetry.logs import (
    BRIDGED,
    QUEUE_LINES,
    SITE_LINES_PER_S,
    LogSink,
    get_logger,
    setup_logging,
)
from trunkline.telemetry.rotating import RotatingFile


@pytest.fixture
def clock():
    return FakeClock(now_ms=1_767_225_600_123)


@pytest.fixture
def libraries():
    """Give the standard module's loggers back as they were."""
    loggers = [logging.getLogger(name) for name in BRIDGED]
    before = [(log.handlers, log.propagate, log.level) for log in loggers]
    yield
    for log, (handlers, propagate, level) in zip(loggers, before, strict=True):
        log.handlers, log.propagate = handlers, propagate
        log.setLevel(level)


@pytest.fixture
def console():
    return io.StringIO()


@pytest.fixture
def sink(clock):
    sink = LogSink(clock)
    yield sink
    sink.stop()


def start(sink, console, level="debug", file=None, **more):
    sink.start(
        level=level, format=more.pop("format", "console"), console=console, file=file, **more
    )


def test_a_line_has_time_level_room_action_and_ordered_fields(sink, console):
    start(sink, console)
    get_logger("lines", sink).info("link opened", peer="1.2.3.4", event="m-1", line="blog")
    sink.flush()
    assert console.getvalue() == (
        "2026-01-01T00:00:00.123Z info    lines: link opened line=blog event=m-1 peer=1.2.3.4\n"
    )


def test_json_lines_begin_with_the_action(sink, console):
    start(sink, console, format="json")
    get_logger("lines", sink).warning("link lost", code=1006, line="blog", detail="说\n")
    sink.flush()
    text = console.getvalue()
    assert text.startswith('{"action": "link lost", ')
    assert json.loads(text) == {
        "action": "link lost", "level": "warning", "at": "2026-01-01T00:00:00.123Z",
        "room": "lines", "line": "blog", "code": 1006, "detail": "说\\n",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_levels(sink, console, level, shown):
    start(sink, console, level=level)
    log = get_logger("x", sink)
    log.debug("one")
    log.info("two")
    log.warning("three")
    log.error("four")
    sink.flush()
    assert len(console.getvalue().splitlines()) == shown
    assert log.is_debug is (level == "debug")


def test_bound_fields_come_along(sink, console):
    start(sink, console)
    get_logger("lines", sink).bind(line="blog").info("peer ready", account="qq")
    sink.flush()
    assert "line=blog account=qq" in console.getvalue()


@pytest.mark.parametrize("form", ["console", "json"])
def test_secrets_are_masked_in_action_fields_and_exceptions(sink, console, form):
    start(sink, console, format=form)
    sink.redactor.register(["hunter2-token"])
    log = get_logger("x", sink)
    try:
        raise ValueError("refused hunter2-token")
    except ValueError as error:
        log.exception("dial failed", url="wss://h/?token=hunter2-token")
        log.error("session failed", error=error)
    log.warning("said hunter2-token")
    sink.flush()
    text = console.getvalue()
    assert "hunter2" not in text
    assert text.count("•••") >= 5
    assert text.count("test_logs.py") >= 2  # both have their traceback


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_secret_of_several_lines_is_masked_in_a_traceback(sink, console, form):
    start(sink, console, format=form)
    key = "-----BEGIN\nsecretpart"
    sink.redactor.register([key])
    get_logger("x", sink).error("failed", error=ValueError(key))
    sink.flush()
    assert "secretpart" not in console.getvalue()


def test_tracebacks_have_no_locals_and_no_raw_control_characters(sink, console):
    start(sink, console)
    body = "very private body"
    try:
        raise ValueError("bad \x1b[2J name")
    except ValueError:
        get_logger("x", sink).exception("failed", size=len(body))
    sink.flush()
    text = console.getvalue()
    assert "ValueError" in text
    assert "very private body" not in text.replace('body = "very private body"', "")
    assert "\x1b" not in text


def test_a_field_cannot_forge_a_line(sink, console):
    start(sink, console)
    get_logger("x", sink).warning("peer oddity", detail="a\n2026 error x: forged")
    sink.flush()
    assert len(console.getvalue().splitlines()) == 1


def test_one_site_says_ten_lines_a_second_and_counts_the_rest(sink, console, clock):
    start(sink, console)
    drops = []
    sink.on_drop = drops.append
    log = get_logger("x", sink)
    for number in range(SITE_LINES_PER_S + 5):
        log.warning("frame refused", number=number)
    log.warning("something else")
    assert sum(drops) == sink.dropped == 5
    clock.advance(1.0)
    log.warning("frame refused", number=99)
    sink.flush()
    lines = console.getvalue().splitlines()
    assert len(lines) == SITE_LINES_PER_S + 2
    assert "number=99 dropped=5" in lines[-1]


class Blocked(io.StringIO):
    """A console that takes nothing until it is told to."""

    def __init__(self):
        super().__init__()
        self.reached = threading.Event()
        self.go = threading.Event()

    def write(self, text):
        self.reached.set()
        assert self.go.wait(10)
        return super().write(text)


def test_a_full_queue_drops_and_counts_and_never_blocks(sink):
    console = Blocked()
    start(sink, console)
    log = get_logger("x", sink)
    log.info("first")
    assert console.reached.wait(10)  # the writer holds the first line and takes no other
    for number in range(QUEUE_LINES + 7):
        sink.emit({"room": str(number), "level": "info", "action": "flood"})
    assert sink.dropped == 7
    console.go.set()
    sink.flush(10)
    assert len(console.getvalue().splitlines()) == QUEUE_LINES + 1


class Broken(io.StringIO):
    def write(self, text):
        if "bad" in text:
            raise OSError(28, "no space")
        return super().write(text)


def test_a_failing_console_loses_the_line_not_the_writer(sink):
    console = Broken()
    start(sink, console)
    log = get_logger("x", sink)
    log.info("bad")
    log.info("good")
    sink.flush()
    assert "good" in console.getvalue()
    assert sink.dropped == 1


class Unshowable:
    def __str__(self):
        raise RuntimeError("no")


def test_a_value_that_cannot_be_shown_loses_the_line_not_the_writer(sink, console):
    start(sink, console)
    log = get_logger("x", sink)
    log.info("one", value=Unshowable())
    log.info("two")
    sink.flush()
    assert "two" in console.getvalue()
    assert sink.dropped == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_respected(monkeypatch, clock, no_color, coloured):
    console = Terminal()
    monkeypatch.setattr("sys.stderr", console)
    monkeypatch.setenv("NO_COLOR", no_color)
    sink = setup_logging(sink=LogSink(clock))
    get_logger("x", sink).info("hello")
    sink.stop()
    assert ("\x1b[" in console.getvalue()) is coloured


def test_colours_only_on_the_console(sink, console, tmp_path):
    file = RotatingFile(tmp_path / "t.log", 10_000, 1)
    start(sink, console, file=file, has_colours=True)
    get_logger("x", sink).error("broken")
    sink.flush()
    assert "\x1b[31m" in console.getvalue()
    assert "\x1b" not in (tmp_path / "t.log").read_text()


def test_stop_writes_what_waits(sink, console, tmp_path):
    start(sink, console, file=RotatingFile(tmp_path / "t.log", 10_000, 1))
    log = get_logger("x", sink)
    for number in range(5):
        log.info("line", number=number)
    sink.stop()
    sink.stop()
    assert len((tmp_path / "t.log").read_text().splitlines()) == 5


def test_before_setup_only_warnings_go_to_stderr(capsys):
    log = get_logger("x", LogSink(FakeClock()))
    log.info("quiet")
    log.warning("loud")
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == ["loud"]


@pytest.mark.usefixtures("libraries")
def test_setup_bridges_libraries_at_warning(tmp_path, clock, monkeypatch):
    console = io.StringIO()
    monkeypatch.setattr("sys.stderr", console)
    sink = setup_logging("debug", tmp_path / "t.log", sink=LogSink(clock))
    try:
        logging.getLogger("uvicorn.error").warning("odd %s", "request")
        logging.getLogger("uvicorn.error").info("started")
        sink.flush()
    finally:
        sink.stop()
    text = (tmp_path / "t.log").read_text()
    assert "warning uvicorn.error: odd request" in text
    assert "started" not in text
    assert console.getvalue() == text
