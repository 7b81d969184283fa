"""Logs: console, rotating file or JSON lines, one writer thread, bounded, redacted.

    log = get_logger("lines")
    log.info("link opened", line="blog", peer=peer)

The text is constant and lower case, values are fields; `action` comes first, then the ids of the
house. A line costs its caller one queue entry: rendering, redacting and writing happen in the
writer thread. When 10,000 lines wait, or one site says more than 10 in a second, lines are dropped
and counted (`reliability 2`, Log queue).
"""

from __future__ import annotations

import atexit
import logging
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TextIO, TypeAlias

import structlog

from trunkline.clock import Clock, SystemClock

from .redact import Redactor
from .rendering import render_console, render_json
from .rotating import RotatingFile

Format: TypeAlias = Literal["console", "json"]

QUEUE_LINES: Final = 10_000
SITE_LINES_PER_S: Final = 10
MAX_SITES: Final = 4096
LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING,
    "error": logging.ERROR,
}  # fmt: skip
# Libraries that speak through the standard module; only trouble of theirs is of interest.
BRIDGED: Final = ("uvicorn", "picows", "sqlalchemy", "alembic", "asyncio", "httpx2")


class LogSink:
    """Where log lines go. One per process in `ROOT`; a test makes its own.

    Args:
        clock: times of lines and of the rate limit.
    """

    def __init__(self, clock: Clock) -> None:
        self.threshold = logging.WARNING
        self.redactor = Redactor()
        self.dropped = 0
        self.on_drop: Callable[[int], None] | None = None
        self._clock = clock
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._sites: dict[tuple[str, str], list[float]] = {}
        self._console: TextIO | None = None
        self._file: RotatingFile | None = None
        self._format: Format = "console"
        self._has_colours = False
        self._thread: threading.Thread | None = None

    def start(
        self,
        *,
        level: str,
        format: Format,  # noqa: A002 - the name of the key
        console: TextIO | None,
        file: RotatingFile | None,
        has_colours: bool = False,
    ) -> None:
        """Begin to write with one thread. A running one is stopped first."""
        self.stop()
        self.threshold = LEVELS[level]
        self._format = format
        self._console = console
        self._file = file
        self._has_colours = has_colours
        self._thread = threading.Thread(target=self._write_all, name="logs", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Write what waits and close the file. Idempotent; afterwards only warnings are shown."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.put(None)
        thread.join(timeout_s)
        if self._file is not None:
            self._file.close()
        self._file = None
        self._console = None
        self.threshold = logging.WARNING

    def flush(self, timeout_s: float = 2.0) -> None:
        """Return when everything said before is written, or the time is over."""
        if self._thread is not None:
            done = threading.Event()
            self._queue.put({"flushed": done})
            done.wait(timeout_s)

    def emit(self, event: dict[str, Any]) -> None:
        """Take one line: `level`, `room`, `action` and fields. Never blocks, never raises."""
        now = self._clock.monotonic_s()
        if not self._may_speak(event, now):
            self._drop()
            return
        event["at_ms"] = self._clock.now_ms()
        error = event.get("error")
        if event.pop("exc_info", None):
            event["exception"] = _current_exception()
        elif isinstance(error, BaseException):
            # Given as a value it is a bug of ours: sentences of expected errors come as text.
            event["error"] = f"{type(error).__name__}: {error}"
            event["exception"] = format_exception(error)
        if self._thread is None:
            sys.stderr.write(render_console(event, self.redactor, has_colours=False) + "\n")
        elif self._queue.qsize() >= QUEUE_LINES:
            self._drop()
        else:
            self._queue.put(event)

    def _may_speak(self, event: dict[str, Any], now: float) -> bool:
        """Count a line of its site; at the first one after a silence say how many were dropped."""
        site = (str(event.get("room", "")), str(event.get("action", "")))
        seen = self._sites.get(site)  # [start of its second, lines in it, dropped]
        if seen is None:
            if len(self._sites) >= MAX_SITES:
                self._sites.clear()
            self._sites[site] = [now, 1, 0]
            return True
        if now - seen[0] >= 1.0:
            if seen[2]:
                event["dropped"] = int(seen[2])
            seen[:] = [now, 1, 0]
            return True
        if seen[1] < SITE_LINES_PER_S:
            seen[1] += 1
            return True
        seen[2] += 1
        return False

    def _drop(self) -> None:
        self.dropped += 1
        if self.on_drop is not None:
            self.on_drop(1)

    def _write_all(self) -> None:
        while (event := self._queue.get()) is not None:
            if "flushed" in event:
                event["flushed"].set()
                continue
            try:
                self._write(event)
            except (OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError):
                # A full disk, a closed terminal or a value that cannot be shown must not end the
                # writer: the line is lost.
                self._drop()

    def _write(self, event: dict[str, Any]) -> None:
        if self._format == "json":
            line = render_json(event, self.redactor) + "\n"
        else:
            line = render_console(event, self.redactor, has_colours=False) + "\n"
        if self._file is not None:
            self._file.write(line)
        if self._console is not None:
            if self._has_colours and self._format == "console":
                line = render_console(event, self.redactor, has_colours=True) + "\n"
            self._console.write(line)
            if self._queue.empty():
                self._console.flush()


ROOT: Final = LogSink(SystemClock())  # the process has one stderr and one log file


class Logger(structlog.BoundLoggerBase):
    """A logger of one room. Fields may have any name, also `event`, which is an id of ours."""

    @property
    def is_debug(self) -> bool:
        """Whether DEBUG lines are written: ask before describing a frame."""
        return self._logger.threshold <= logging.DEBUG

    def debug(self, action: str, **fields: object) -> None:
        """Say something for developers: frames as `<` in, `>` out, `=` state, `%` keepalive."""
        if self._logger.threshold <= logging.DEBUG:
            self._emit("debug", action, fields)

    def info(self, action: str, **fields: object) -> None:
        """Say what happens in the life of lines."""
        if self._logger.threshold <= logging.INFO:
            self._emit("info", action, fields)

    def warning(self, action: str, **fields: object) -> None:
        """Say what will heal by itself."""
        if self._logger.threshold <= logging.WARNING:
            self._emit("warning", action, fields)

    def error(self, action: str, **fields: object) -> None:
        """Say what needs a person."""
        self._emit("error", action, fields)

    def exception(self, action: str, **fields: object) -> None:
        """Say what needs a person, with the current exception's traceback, without locals."""
        self._emit("error", action, {**fields, "exc_info": True})

    def _emit(self, level: str, action: str, fields: Mapping[str, object]) -> None:
        # Without processors structlog hands the bound context and the fields over as one dict.
        _, event = self._process_event(level, None, {**fields, "action": action, "level": level})
        self._logger.emit(event)


def get_logger(room: str, sink: LogSink = ROOT) -> Logger:
    """Return the logger of a room (`lines`, `exchange`, `web` …). Cheap; made once at import."""
    return Logger(sink, processors=[], context={"room": room})


class _Bridge(logging.Handler):
    """Brings the standard module's records of libraries into the sink."""

    def __init__(self, sink: LogSink) -> None:
        super().__init__(logging.WARNING)
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record as a line of the room that its logger names."""
        event: dict[str, Any] = {
            "room": record.name,
            "level": "error" if record.levelno >= logging.ERROR else "warning",
            "action": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            event["exception"] = format_exception(record.exc_info[1])
        self._sink.emit(event)


def setup_logging(
    level: str = "info",
    file: Path | str | None = None,
    rotate: int = 10 << 20,
    keep: int = 7,
    format: Format = "console",  # noqa: A002 - the name of the key
    *,
    sink: LogSink = ROOT,
) -> LogSink:
    """Start logging for this process and return the sink (`guides 6`).

    Args:
        level: `debug`, `info`, `warning`, `error`.
        file: the log file, made with mode 0600; None = console only.
        rotate: bytes after which the file becomes `NAME.1`.
        keep: how many old files stay.
        format: of file and console.
        sink: another one for tests.
    """
    has_colours = sys.stderr.isatty() and not _no_color()
    rotating = RotatingFile(Path(file), rotate, keep) if file else None
    sink.start(
        level=level, format=format, console=sys.stderr, file=rotating, has_colours=has_colours
    )
    bridge = _Bridge(sink)
    for name in BRIDGED:
        library = logging.getLogger(name)
        library.handlers = [bridge]
        library.propagate = False
        library.setLevel(logging.WARNING)
    atexit.register(sink.stop)
    return sink


def _no_color() -> bool:
    import os

    return bool(os.environ.get("NO_COLOR"))


def format_exception(error: BaseException) -> str:
    """Format an exception with its traceback. Locals are never shown: they hold bodies."""
    return "".join(traceback.format_exception(error)).rstrip("\n")


def _current_exception() -> str:
    error = sys.exc_info()[1]
    return format_exception(error) if error is not None else ""
