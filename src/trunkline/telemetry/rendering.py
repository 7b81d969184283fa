"""How a log line looks: a line for people, or one JSON object. Secrets and controls go here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from .redact import Redactor

# Fields in this order, then the rest as given (`style 7`).
ORDER: Final = ("line", "dialect", "conversation", "event", "delivery", "trace")
_HOUSE: Final = frozenset({"at_ms", "level", "room", "action", "exception"})
MAX_VALUE_CHARS: Final = 2000
_COLOURS: Final[Mapping[str, str]] = {
    "debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m",
}  # fmt: skip
_RESET: Final = "\x1b[0m"


def render_console(event: Mapping[str, Any], redactor: Redactor, *, has_colours: bool) -> str:
    """Render `2025-01-01T12:00:00.000Z info lines: link opened line=blog peer=…`.

    A traceback follows on lines of its own, indented.
    """
    level = str(event.get("level", "info"))
    shown = f"{_COLOURS[level]}{level:<7}{_RESET}" if has_colours else f"{level:<7}"
    action = redactor.clean(str(event.get("action", "")))
    head = f"{_time(event)} {shown} {redactor.clean(str(event.get('room', '')))}: {action}"
    words = [head]
    for name, value in _fields(event):
        text = redactor.clean(_text(value))
        quoted = f'"{text}"' if not text or " " in text or '"' in text else text
        words.append(f"{name}={quoted}")
    line = " ".join(words)
    exception = str(event.get("exception", ""))
    if exception:
        masked = redactor.mask(exception)
        line += "".join(f"\n  | {redactor.clean(part)}" for part in masked.splitlines())
    return line


def render_json(event: Mapping[str, Any], redactor: Redactor) -> str:
    """Render one JSON object on one line, `action` first."""
    values: dict[str, Any] = {
        "action": redactor.clean(str(event.get("action", ""))),
        "level": event.get("level", "info"),
        "at": _time(event),
        "room": redactor.clean(str(event.get("room", ""))),
    }
    for name, value in _fields(event):
        is_plain = value is None or isinstance(value, bool | int | float)
        values[name] = value if is_plain else redactor.clean(_text(value))
    exception = str(event.get("exception", ""))
    if exception:
        # JSON escapes the line breaks itself; everything else is cleaned line by line.
        masked = redactor.mask(exception)
        values["exception"] = "\n".join(map(redactor.clean, masked.splitlines()))
    return json.dumps(values, ensure_ascii=False)


def _fields(event: Mapping[str, Any]) -> list[tuple[str, Any]]:
    first = [(name, event[name]) for name in ORDER if name in event]
    rest = [
        (name, value) for name, value in event.items() if name not in _HOUSE and name not in ORDER
    ]
    return first + rest


def _text(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + "…"


def _time(event: Mapping[str, Any]) -> str:
    moment = datetime.fromtimestamp(event.get("at_ms", 0) / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
