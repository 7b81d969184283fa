"""How commands speak: both languages, tables, JSON, exit codes, and the `ready` line.

Answers go to stdout, everything else to stderr, so that `--json` can be piped.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, NoReturn

import msgspec

from trunkline.configuration.language import Language, language_of


class ExitCode(IntEnum):
    """What a command's end means (`design 3`)."""

    GOOD = 0
    PROBLEM = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    REFUSED = 5
    WAITS_FOR_PERSON = 6
    IN_USE = 73
    UNSAFE = 78


class CommandFailed(Exception):
    """A command ends with a sentence and an exit code; `main` prints it.

    Args:
        code: how the process ends.
        message: what is wrong.
        fix: the next step, or "".
    """

    def __init__(self, code: ExitCode, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix


def language() -> Language:
    """Return the language of the person at this terminal."""
    return language_of(os.environ)


def text(zh: str, en: str) -> str:
    """Return the wording in the person's language."""
    return zh if language() == "zh" else en


def fail(code: ExitCode, message: str, fix: str = "") -> NoReturn:
    """End the command.

    Raises:
        CommandFailed: always.
    """
    raise CommandFailed(code, message, fix)


def say(*lines: str) -> None:
    """Print lines to stdout."""
    for line in lines:
        print(line)


def warn(*lines: str) -> None:
    """Print lines to stderr."""
    for line in lines:
        print(line, file=sys.stderr)


def complain(message: str, fix: str = "") -> None:
    """Print what is wrong, and the next step when there is one, to stderr."""
    first, *rest = message.splitlines() or [""]
    warn(f"trunkline: {first}", *(f"  {line}" for line in rest))
    if fix:
        warn(f"  {text('下一步', 'next')}: {fix}")


def print_json(value: Any) -> None:
    """Print one value as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_ready(**facts: Any) -> None:
    """Print the line that says where a command listens; `url` and `pid` come first.

    Args:
        facts: `url`, and per extra socket a name and its address.
    """
    line = {"url": facts.pop("url", ""), "pid": os.getpid(), **facts}
    print(f"ready {msgspec.json.encode(line).decode()}", flush=True)


def width(cell: str) -> int:
    """Return how many columns a terminal gives to `cell`."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in cell
    )


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Format rows under a header, columns two spaces apart, Chinese counted as two columns."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(width(row[column]) for row in table) for column in range(len(header))]
    return [
        "  ".join(
            cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    ]


def is_terminal() -> bool:
    """Whether a person watches stdout and wants colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
