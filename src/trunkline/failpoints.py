"""Named crash points. `TRUNKLINE_FAILPOINT=name:action:probability`, comma-separated.

Actions: `kill` (SIGKILL to this process), `error` (raises), `stall` (sleeps 5 s in the calling
thread). `app.py` arms them, and only when `[dev] failpoints = true`; unarmed, `hit` is one
dictionary test. The names are those of the crash harness (`reliability 7`).
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


def arm(points: dict[str, tuple[str, float]]) -> None:
    """Replace what is armed in this process."""
    _armed.clear()
    _armed.update(points)


def hit(name: str) -> None:
    """Do what is armed for `name`, usually nothing."""
    if not _armed:
        return
    action, probability = _armed.get(name, ("", 0.0))
    if not action or random.random() >= probability:  # noqa: S311
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stall":
        time.sleep(5)
    else:
        raise FailpointHit(name)
