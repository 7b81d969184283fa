"""The verdict of a soak: what grows is named, what only breathes passes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.configuration.sections import Dev
from trunkline.dev.soak.gauge import Sample, judge, read_data_bytes, read_process
from trunkline.dev.soak.runner import default_scale, parse_metrics

MIB = 1 << 20


def samples(count: int = 90, **growing: Callable[[int], int]) -> list[Sample]:
    flat = {
        "rss_bytes": 130 * MIB, "descriptors": 80, "tasks": 20, "threads": 9,
        "data_bytes": 20 * MIB, "events": 0,
    }  # fmt: skip
    made = []
    for n in range(count):
        values = flat | {"events": n * 10} | {key: grow(n) for key, grow in growing.items()}
        made.append(Sample(at_s=float(n), **values))
    return made


def test_what_stays_passes():
    assert judge(samples()).problems == ()


@pytest.mark.parametrize(
    ("name", "grow"),
    [
        ("rss_bytes", lambda n: 130 * MIB + n * MIB // 2),
        ("descriptors", lambda n: 80 + n),
        ("tasks", lambda n: 20 + n // 2),
        ("threads", lambda n: 9 + n // 10),
        ("data_bytes", lambda n: 20 * MIB + n * MIB // 2),
    ],
)
def test_what_grows_is_named(name: str, grow: Callable[[int], int]):
    (problem,) = judge(samples(**{name: grow})).problems
    assert problem.startswith(f"{name} grew from")


def test_the_first_third_may_fill_caches():
    assert judge(samples(rss_bytes=lambda n: (80 + min(n, 29)) * MIB)).problems == ()


def test_one_burst_is_no_leak():
    assert judge(samples(descriptors=lambda n: 500 if n % 10 == 9 else 80)).problems == ()


def test_what_becomes_less_passes():
    assert judge(samples(rss_bytes=lambda n: (200 - n) * MIB)).problems == ()


def test_a_run_without_load_or_without_length_proves_nothing():
    assert "no load" in judge(samples(events=lambda _: 7)).problems[0]
    assert "too short" in judge(samples(8)).problems[0]


def test_a_process_is_read_as_it_is(tmp_path: Path):
    before = read_process(os.getpid())
    assert before[0] > 10 * MIB
    assert before[2] >= 1
    with (tmp_path / "x").open("w"):
        assert read_process(os.getpid())[1] == before[1] + 1
    with pytest.raises(OSError, match="No such file"):
        read_process(1 << 30)
    (tmp_path / "trunkline.db").write_bytes(b"x" * 10)
    (tmp_path / "trunkline.db-wal").write_bytes(b"x" * 5)
    assert read_data_bytes(tmp_path) == 15


def test_everything_is_forgotten_once_within_a_run():
    assert default_scale(30) * 30 * 60 / 86_400 > 90  # days
    assert default_scale(1e9) == 1.0
    Dev(clock_scale=default_scale(0.1))  # it is taken


def test_metrics_without_labels_are_read():
    text = '# HELP a\ntrunkline_app_tasks 21.0\ntrunkline_lines_links{line="blog"} 3.0\nother 1\n'
    assert parse_metrics(text) == {"trunkline_app_tasks": 21.0}
