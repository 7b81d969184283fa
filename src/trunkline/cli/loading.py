"""Finding and reading the configuration for commands that work offline."""

from __future__ import annotations

import os
from pathlib import Path

from trunkline.config import Config, find_config, load_config

from .output import ExitCode, fail, text


def load(path: Path | None) -> Config:
    """Read the configuration named by `-c`, or the one that is found here.

    Raises:
        CommandFailed: there is none (2).
        ConfigError: it has problems.
    """
    found = path or find_config(Path.cwd())
    if found is None:
        fail(
            ExitCode.USAGE,
            text("这里没有 trunkline.toml", "there is no trunkline.toml here"),
            text(
                "trunkline init 写出一份，或用 -c 指明",
                "trunkline init writes one, or name it with -c",
            ),
        )
    return load_config(found, os.environ)
