"""How this process is, for `/livez` and `/readyz`. Values; `process/condition.py` gathers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

DISK_MIN_BYTES: Final = 200 << 20  # reliability 2, Disk
DISK_MIN_SHARE: Final = 0.02


class Health(msgspec.Struct, frozen=True):
    """The present state, for people and for whoever sends traffic.

    Args:
        problems: why no traffic should come, one sentence each; empty = ready.
        notes: what is weaker than it should be, one sentence each.
        open_lines: machine lines that listen without a token.
        is_live: false = restart the process.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    open_lines: tuple[str, ...] = ()
    is_live: bool = True

    @property
    def is_ready(self) -> bool:
        """Whether traffic should come."""
        return self.is_live and not self.problems


class Vitals(msgspec.Struct, frozen=True):
    """What health is computed from.

    Args:
        is_stopping: the process was asked to end.
        is_stalled: the exchange made no progress for long although events wait.
        store_error: the store's last error, or "".
        is_disk_low: nothing is acknowledged.
        failed_lines: lines in FAILED or waiting for a person.
        open_lines: machine lines without a token.
        synchronous: of the store.
        tls: `[server] tls`.
        insecure_lines: lines that dial with `tls_insecure`.
    """

    is_stopping: bool = False
    is_stalled: bool = False
    store_error: str = ""
    is_disk_low: bool = False
    failed_lines: Sequence[str] = ()
    open_lines: Sequence[str] = ()
    synchronous: str = "full"
    tls: str = ""
    insecure_lines: Sequence[str] = ()


def assess(vitals: Vitals) -> Health:
    """Say how the process is. A line that failed is a note: the other lines still work."""
    problems: list[str] = []
    if vitals.is_stopping:
        problems.append("stopping")
    if vitals.store_error:
        problems.append(f"store: {vitals.store_error}")
    if vitals.is_disk_low:
        problems.append("disk: nearly full, nothing is acknowledged")
    notes = [f"line {name}: not connected, needs a look" for name in vitals.failed_lines]
    notes += [f"line {name}: open, no token" for name in vitals.open_lines]
    notes += [f"line {name}: tls_insecure" for name in vitals.insecure_lines]
    if vitals.synchronous != "full":
        # reliability 4: NORMAL may lose commits at power loss
        notes.append(f"durability: synchronous={vitals.synchronous.upper()}")
    if vitals.tls == "off-on-private-network":
        notes.append("tls: off on a private network")
    return Health(
        problems=tuple(problems),
        notes=tuple(notes),
        open_lines=tuple(vitals.open_lines),
        is_live=not vitals.is_stalled,
    )


def is_disk_low(free_bytes: int, total_bytes: int) -> bool:
    """Whether less than max(200 MB, 2 %) of the disk is free."""
    return free_bytes < max(DISK_MIN_BYTES, total_bytes * DISK_MIN_SHARE)
