"""Order statuses as a table."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.xianyu import orders
from xianyu_vectors import load

RULES = load("order_transitions")


@pytest.mark.parametrize("script", RULES["scripts"], ids=str)
def test_scripts(script: dict[str, Any]) -> None:
    assert orders.follow(script["in"]) == script["out"]


def test_the_table_is_the_one_of_the_specification() -> None:
    allowed = {name: frozenset(to) for name, to in RULES["allowed"].items()}
    del allowed[orders.WITHDRAWN]  # transient: the status before comes back
    assert dict(orders.TRANSITIONS) == allowed


def test_one_pair_of_brackets_and_blanks_do_not_matter() -> None:
    assert orders.find_text(" [ 你已发货 ] ") is orders.find_text("你已发货")
    assert orders.find_text("[[你已发货]]") is None
    assert orders.find_text("我说你已发货") is None
