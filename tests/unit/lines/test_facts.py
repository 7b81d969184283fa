"""What the exchange reads of a line, as its options say."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.exchange.contract import LineFacts, Pace
from trunkline.lines.facts import make_facts


def facts(**options: Any) -> LineFacts:
    keys = ONEBOT11.options(dialect="onebot11", role="framework", **options)
    return make_facts("qq", ONEBOT11, "framework", keys)


@pytest.mark.parametrize(("options", "is_guarded"), [({}, True), ({"loop_guard": False}, False)])
def test_the_guard_against_loops_can_be_switched_off(
    options: dict[str, Any], is_guarded: bool
) -> None:
    assert facts(**options).traits.loop_guard is is_guarded
    assert ONEBOT11.traits["framework"].loop_guard


@pytest.mark.parametrize(
    ("options", "pace"),
    [({}, None), ({"every_s": 1.5}, Pace(1500, 0)), ({"daily": 20}, Pace(0, 20))],
)
def test_a_line_has_a_pace_when_one_of_its_bounds_is_set(
    options: dict[str, Any], pace: Pace | None
) -> None:
    assert facts(**options).pace == pace


def test_a_line_that_is_switched_off_carries_nobody() -> None:
    assert facts(carries="market").carries == "market"
    assert facts(carries="market", enabled=False).carries == ""
