"""Logging for programs that embed a line (`guides 6`)."""

from __future__ import annotations

from pathlib import Path

from trunkline.configuration.sections import parse_size
from trunkline.telemetry import logs


def setup_logging(
    level: str = "info", file: Path | str | None = None, rotate: int | str = "10MB", keep: int = 7
) -> None:
    """Write what lines have to say to the console and, when `file` is given, into a file.

    A program that does not call this sees warnings and errors only, on stderr.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        file: made with mode 0600.
        rotate: bytes, or a size such as `10MB`, after which the file becomes `NAME.1`.
        keep: how many old files stay.

    Raises:
        ValueError: a level or a size that there is not.
    """
    if level.lower() not in logs.LEVELS:
        raise ValueError(f"level is one of {', '.join(logs.LEVELS)}")
    rotate_bytes = parse_size(rotate) if isinstance(rotate, str) else rotate
    logs.setup_logging(level.lower(), file, rotate_bytes, keep)
