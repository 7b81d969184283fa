"""The product as a process of its own: start it, wait for its line `ready`, kill it.

Most of a start is imports, so the process for the next life does those while the present life is
still under load, and waits at its standard input. What it does then is `python -m trunkline serve`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

START_S: Final = 60.0
STOP_S: Final = 20.0  # reliability 6 grants 15; a loaded machine some more
CONFIG: Final = "trunkline.toml"
SAID: Final = "said.log"  # both streams, all lives
# Only imports come before the line is read; the failpoints arrive with it, as the environment.
_WARM: Final = """\
import json, os, runpy, sys
import trunkline.app, trunkline.cli.main, trunkline.cli.serve
line = sys.stdin.readline()
if not line:
    sys.exit()
os.environ.update(json.loads(line))
sys.argv = ["trunkline", "serve", "-c", "trunkline.toml", "--port", "0"]
runpy.run_module("trunkline", run_name="__main__", alter_sys=True)
"""
_SIGKILL: Final = -int(signal.SIGKILL)


class NotReady(Exception):
    """The product ended, or said nothing, before it listened."""


class Product:
    """One life of `trunkline serve`.

    Args:
        process: just started, in its folder.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._drain: asyncio.Task[None] | None = None
        self.pid = process.pid

    @classmethod
    async def prepare(cls, folder: Path) -> Product:
        """Start it in a folder that holds its configuration, up to its imports.

        Then: `launch`. What it says on its error stream is added to `SAID`.
        """
        with (folder / SAID).open("ab") as said:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _WARM, cwd=folder, env=environment({}),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=said,
            )  # fmt: skip
        return cls(process)

    def launch(self, env: Mapping[str, str]) -> None:
        """Let it serve. Then: `ready`."""
        stdin = _present(self._process.stdin)
        stdin.write(json.dumps(dict(env)).encode() + b"\n")
        stdin.close()

    async def ready(self) -> str:
        """Return the url of the main port, once it listens.

        Raises:
            NotReady: it ended before.
        """
        stdout = _present(self._process.stdout)
        try:
            async with asyncio.timeout(START_S):
                while line := await stdout.readline():
                    if line.startswith(b"ready "):
                        facts: dict[str, Any] = json.loads(line.removeprefix(b"ready "))
                        self._drain = asyncio.create_task(_read_out(stdout))
                        return str(facts["url"]).rstrip("/")
        except TimeoutError:
            self.kill()
        raise NotReady(f"exit code {await self.wait()}")

    async def wait(self) -> int:
        """Return the exit code, negative for a signal."""
        code = await self._process.wait()
        if self._drain is not None:
            await self._drain
        return code

    async def ends_within(self, seconds: float) -> bool:
        """Whether it ends within a time."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return False
        return True

    def kill(self) -> None:
        """`kill -9`."""
        if self._process.returncode is None:
            self._process.kill()

    def terminate(self) -> None:
        """Ask it to stop."""
        if self._process.returncode is None:
            self._process.terminate()

    @property
    def is_killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self._process.returncode == _SIGKILL


Stream = TypeVar("Stream")


def _present(stream: Stream | None) -> Stream:
    if stream is None:
        raise RuntimeError("the process was started without this pipe")
    return stream


async def _read_out(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without what would configure the product."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRUNKLINE", "LC_", "LANG"))}
    return kept | {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"} | dict(extra)
