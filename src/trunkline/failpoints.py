"""Named crash points. `TRUNKLINE_FAILPOINT=name:action:probability`, comma-separated.

Actions: `kill` (SIGKILL to this process), `error` (raises), `stall` (sleeps 5 s in the calling
thread). `app.py` arms them, and only when `[dev] failpoints = true`; unarmed, `hit` is one
dictionary test. The names are those of the crash harness (`reliability 7`), which counts the hits
in the file that `TRUNKLINE_FAILPOINT_LOG` names: a process cannot be asked after its death.
"""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Final

NAMES: Final = frozenset({
    "ingest.before_commit", "ingest.after_commit", "ack.before_write", "ack.after_write",
    "decide.before_commit", "decide.after_commit", "claim.after_commit", "send.before_write",
    "send.after_write", "send.before_ack_commit", "lease.after_acquire", "drain.mid", "migrate.mid",
})  # fmt: skip
ACTIONS: Final = frozenset({"kill", "error", "stall"})


class FailpointHit(Exception):
    """An armed failpoint with the action `error` was reached."""


_armed: dict[str, tuple[str, float]] = {}
_log: list[str] = []  # the file that hits are told to, when there is one


def parse(text: str) -> dict[str, tuple[str, float]]:
    """Parse `name:action[:probability],…`.

    Raises:
        ValueError: a name or action is unknown, or the probability is not within 0 … 1.
    """
    found: dict[str, tuple[str, float]] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = item.partition(":")
        action, _, chance = rest.partition(":")
        if name not in NAMES:
            raise ValueError(f"unknown failpoint {name!r}")
        if action not in ACTIONS:
            raise ValueError(f"unknown failpoint action {action!r}")
        probability = float(chance or "1")
        if not 0 <= probability <= 1:
            raise ValueError(f"failpoint probability {chance} is not within 0 … 1")
        found[name] = (action, probability)
    return found


def arm(points: dict[str, tuple[str, float]], log: str = "") -> None:
    """Replace what is armed in this process.

    Args:
        log: a file; each hit adds a line `name action pid milliseconds`, on disk before the action.
    """
    _armed.clear()
    _armed.update(points)
    _log[:] = [log] if log else []


def hit(name: str) -> None:
    """Do what is armed for `name`, usually nothing."""
    if not _armed:
        return
    action, probability = _armed.get(name, ("", 0.0))
    if not action or random.random() >= probability:  # noqa: S311
        return
    for path in _log:
        _tell(path, f"{name} {action} {os.getpid()} {time.time_ns() // 1_000_000}\n")
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stall":
        time.sleep(5)
    else:
        raise FailpointHit(name)


def _tell(path: str, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, line.encode())
        os.fsync(file)
    finally:
        os.close(file)
