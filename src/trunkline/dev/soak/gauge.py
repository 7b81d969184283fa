"""Samples of a process, and whether it grew.

A run passes when the median of its last third is within 5 % of the median of its middle third: the
first third is for caches to fill and for retention to have something to forget. Medians, since one
garbage collection or one burst of reconnecting is no leak.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

GROWTH: Final = 0.05  # of memory
SLACK_BYTES: Final = 2 << 20  # arenas come and go in pieces of a megabyte
SIZE_GROWTH: Final = 0.10  # of the data: retention works in batches
COUNT_SLACK: Final = 8  # descriptors and tasks: so many of them are always on their way


class Sample(msgspec.Struct, frozen=True):
    """One look.

    Args:
        at_s: since the load began.
        rss_bytes: resident memory.
        descriptors: open ones, sockets of peers included.
        tasks: of the event loop.
        threads: of the process.
        data_bytes: database and its log together.
        events: committed so far.
    """

    at_s: float
    rss_bytes: int
    descriptors: int
    tasks: int
    threads: int
    data_bytes: int
    events: int


class Verdict(msgspec.Struct, frozen=True):
    """What a run showed.

    Args:
        problems: why it did not pass, one sentence each; empty = passed.
        medians: by name, (middle third, last third).
    """

    problems: tuple[str, ...]
    medians: dict[str, tuple[float, float]]


def read_process(pid: int) -> tuple[int, int, int]:
    """Return (resident bytes, descriptors, threads) of a process.

    Raises:
        OSError: it has ended.
    """
    root = Path(f"/proc/{pid}")
    fields = dict(
        line.split(":", 1)
        for line in (root / "status").read_text("utf-8").splitlines()
        if ":" in line
    )
    rss = int(fields["VmRSS"].split()[0]) << 10
    return rss, sum(1 for _ in (root / "fd").iterdir()), int(fields["Threads"])


def read_data_bytes(folder: Path) -> int:
    """Return the size of the database with its log."""
    return sum(path.stat().st_size for path in folder.glob("trunkline.db*") if path.is_file())


def judge(samples: Sequence[Sample]) -> Verdict:
    """Compare the last third of a run with the middle one."""
    third = len(samples) // 3
    if third < 3:
        return Verdict((f"only {len(samples)} samples: too short a run",), {})
    middle, last = samples[third : 2 * third], samples[2 * third :]
    medians: dict[str, tuple[float, float]] = {}
    problems: list[str] = []
    for name, share, slack in (
        ("rss_bytes", GROWTH, SLACK_BYTES),
        ("data_bytes", SIZE_GROWTH, SLACK_BYTES),
        ("descriptors", GROWTH, COUNT_SLACK),
        ("tasks", GROWTH, COUNT_SLACK),
        ("threads", 0.0, 1),
    ):
        before = statistics.median(getattr(one, name) for one in middle)
        after = statistics.median(getattr(one, name) for one in last)
        medians[name] = (before, after)
        if after > before + max(before * share, slack):
            problems.append(f"{name} grew from {before:.0f} to {after:.0f}")
    if last[-1].events <= middle[0].events:
        problems.append("nothing was committed any more: there was no load")
    return Verdict(tuple(problems), medians)
