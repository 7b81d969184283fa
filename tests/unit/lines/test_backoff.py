"""How long a dialled line waits (guides 5)."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.contact import CONTACT
from trunkline.dialects.maim import MAIM
from trunkline.dialects.options import LineOptions
from trunkline.lines.backoff import Flaps, next_count, next_delay_s


def delays(count: int, dialect: Any = MAIM, jitter: float = 0.0, **keys: Any) -> list[float]:
    options = LineOptions(dialect=dialect.name, **keys)
    return [
        next_delay_s(options, dialect.delay_s, "lost", nth, jitter) for nth in range(1, count + 1)
    ]


def test_the_table_of_the_dialect_holds() -> None:
    assert delays(7) == [1, 2, 4, 8, 16, 30, 30]
    assert delays(3, CONTACT) == [5, 5, 5]


def test_an_interval_of_the_line_replaces_the_table() -> None:
    assert delays(3, reconnect_interval_s=7.0) == [7, 7, 7]


def test_an_interval_doubles_up_to_a_minute_if_asked() -> None:
    assert delays(6, reconnect_interval_s=5.0, reconnect_backoff=True) == [5, 10, 20, 40, 60, 60]
    assert delays(2, reconnect_interval_s=90.0, reconnect_backoff=True) == [90, 90]
    assert delays(2000, reconnect_interval_s=5.0, reconnect_backoff=True)[-1] == 60


@pytest.mark.parametrize("jitter", [0.0, 0.2, 1.0])
def test_jitter_only_adds(jitter: float) -> None:
    assert delays(2, jitter=jitter) == pytest.approx([1 + jitter, 2 + 2 * jitter])


def test_the_count_goes_back_after_a_minute_of_life_so_flapping_still_backs_off() -> None:
    assert next_count(3, 59.9, 60.0) == 4
    assert next_count(3, 60.0, 60.0) == 1
    assert next_count(0, 0.0, 60.0) == 1


def test_failures_count_from_the_last_ready() -> None:
    flaps = Flaps()
    counts: list[int] = []
    nth = 0
    for was_ready, lived_s in (
        (False, 0.0),
        (False, 0.0),
        (True, 600.0),
        (False, 0.0),
        (True, 1.0),
    ):
        nth = flaps.next_count(nth, lived_s, 0.0, was_ready=was_ready)
        counts.append(nth)
    assert counts == [1, 2, 1, 2, 1]


def test_links_that_end_soon_again_and_again_count_on() -> None:
    flaps = Flaps()
    counts: list[int] = []
    nth = 0
    for turn in range(8):
        nth = flaps.next_count(nth, 1.0, turn * 10.0, was_ready=True)
        counts.append(nth)
    assert counts == [1, 1, 1, 1, 2, 3, 4, 5]
    assert flaps.next_count(nth, 30.0, 90.0, was_ready=True) == 1
    assert flaps.next_count(1, 1.0, 91.0, was_ready=True) == 1


def test_seldom_short_links_are_no_flapping() -> None:
    flaps = Flaps()
    counts = [flaps.next_count(1, 1.0, turn * 100.0, was_ready=True) for turn in range(8)]
    assert counts == [1] * 8
