"""Programs of the maim_message package as children of a test: JSON lines in, JSON lines out."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WAIT_S = 20.0
SCRIPTS = Path(__file__).parent / "real"


class Child:
    """One script of `tests/real`, running in the environment of the package.

    Args:
        python: of that environment.
        script: its name in `tests/real`.
    """

    def __init__(self, python: str, script: str) -> None:
        self.process = subprocess.Popen(
            [python, str(SCRIPTS / script)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.said: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.readers = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                if line.startswith("{"):
                    self.events.put(json.loads(line))
                else:
                    self.said.append(line)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            self.said.extend(stream)

    def order(self, do: str, **values: Any) -> None:
        """Tell the child what to do."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **values}, ensure_ascii=False) + "\n")
        self.process.stdin.flush()

    def next(self) -> dict[str, Any]:
        """Return the next thing it tells."""
        try:
            event = self.events.get(timeout=WAIT_S)
        except queue.Empty:
            told = "\n".join(str(event)[:300] for event in self.told[-8:])
            said = "".join(self.said[-40:])
            raise AssertionError(f"the package is silent after\n{told}\n{said}") from None
        self.told.append(event)
        return event

    def until(self, event: str) -> dict[str, Any]:
        """Return the next event of this name; what comes before it is dropped."""
        while True:
            found = self.next()
            if found["event"] == event:
                return found

    def kill(self) -> None:
        """`kill -9`, as a core that crashes."""
        self.process.kill()
        self._reap()

    def close(self) -> None:
        """End the child."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reap()

    def _reap(self) -> None:
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        for reader in self.readers:
            reader.join(5)


@contextlib.contextmanager
def running(python: str, script: str) -> Iterator[Child]:
    """Start a child; end it with the block."""
    child = Child(python, script)
    try:
        yield child
    finally:
        child.close()


def free_port() -> int:
    """Return a port that nobody has: the package cannot say which one it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
