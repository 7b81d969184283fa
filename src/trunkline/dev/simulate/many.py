"""Many seeds, in one process or several, and what is told of them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .world import Report, Stage

_Job = tuple[int, tuple[str, ...]]
_stages: list[Stage] = []  # of a child process: made once, at its start


def play_many(seeds: Sequence[int], dialects: Sequence[str], jobs: int) -> Iterator[Report]:
    """Play seeds; a report comes as soon as its seed is over, not always in order.

    Args:
        dialects: who takes part; empty = everybody.
        jobs: processes; 1 = this one.
    """
    if jobs < 2:
        stage = Stage()
        try:
            for seed in seeds:
                yield stage.play(seed, dialects=dialects)
        finally:
            stage.close()
        return
    work: list[_Job] = [(seed, tuple(dialects)) for seed in seeds]
    # Fresh interpreters: a fork would share open files and whatever the parent has imported.
    with multiprocessing.get_context("spawn").Pool(jobs, _begin) as pool:
        yield from pool.imap_unordered(_play, work, chunksize=1)


def replay(seed: int, dialects: Sequence[str], sink: Callable[[str], None]) -> Report:
    """Play one seed and show its trace."""
    stage = Stage()
    try:
        return stage.play(seed, dialects=dialects, sink=sink)
    finally:
        stage.close()


def add_up(reports: Sequence[Report]) -> dict[str, Any]:
    """Return the sums that are printed at the end."""
    return {
        "seeds": len(reports),
        "broken": sorted(report.seed for report in reports if report.broken),
        "said": sum(report.said for report in reports),
        "heard": sum(report.heard for report in reports),
        "commits": sum(report.commits for report in reports),
        "deaths": sum(report.deaths for report in reports),
        "stops": sum(report.stops for report in reports),
        "links": sum(report.links for report in reports),
        "virtual_s": round(sum(report.seconds for report in reports), 1),
    }


def _begin() -> None:
    _stages.append(Stage())


def _play(job: _Job) -> Report:
    seed, dialects = job
    return _stages[0].play(seed, dialects=dialects)
