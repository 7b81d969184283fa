"""A short run of `trunkline dev soak`: the harness works, and nothing breaks within seconds.

Whether something grows is seen in the long run only (`make soak`). Source: reliability 7
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import product

pytestmark = pytest.mark.real


def test_a_short_soak_talks_to_everybody_and_breaks_nothing(tmp_path: Path) -> None:
    done = product.run(tmp_path, "dev", "soak", "--minutes", "0.4", timeout_s=120)
    facts = json.loads(done.out)
    # What is still filling up after seconds is no leak.
    assert [one for one in facts["problems"] if " grew from " not in one] == [], done.text
    town = facts["town"]
    assert town["visitors.answered"] > 50
    assert town["adapters.answered"] > 100
    for what in ("streams", "read 200", "send 202", "broadcast 200"):
        assert town[what] > 0, town
    assert facts["metrics"]["trunkline_exchange_duplicates_total"] > 0
