"""Ready, degraded or not: each fact leads to its sentence and nothing else."""

import pytest

from trunkline.telemetry.health import Vitals, assess, is_disk_low


def test_all_well():
    health = assess(Vitals())
    assert health.is_live
    assert health.is_ready
    assert (health.problems, health.notes) == ((), ())


@pytest.mark.parametrize(
    ("vitals", "sentence"),
    [
        (Vitals(is_stopping=True), "stopping"),
        (Vitals(store_error="database is locked"), "store: database is locked"),
        (Vitals(is_disk_low=True), "disk: nearly full, nothing is acknowledged"),
    ],
)
def test_what_makes_it_not_ready(vitals, sentence):
    health = assess(vitals)
    assert health.problems == (sentence,)
    assert not health.is_ready
    assert health.is_live


@pytest.mark.parametrize(
    ("vitals", "note"),
    [
        (Vitals(failed_lines=["shop"]), "line shop: not connected, needs a look"),
        (Vitals(open_lines=["core"]), "line core: open, no token"),
        (Vitals(insecure_lines=["mai"]), "line mai: tls_insecure"),
        (Vitals(synchronous="normal"), "durability: synchronous=NORMAL"),
        (Vitals(tls="off-on-private-network"), "tls: off on a private network"),
    ],
)
def test_what_only_degrades(vitals, note):
    health = assess(vitals)
    assert health.notes == (note,)
    assert health.is_ready


def test_a_stalled_exchange_is_not_alive():
    health = assess(Vitals(is_stalled=True))
    assert not health.is_live
    assert not health.is_ready


@pytest.mark.parametrize(
    ("free", "total", "is_low"),
    [
        (199 << 20, 1 << 30, True),
        (201 << 20, 1 << 30, False),
        (10 << 30, 1000 << 30, True),  # 1 %
        (21 << 30, 1000 << 30, False),
    ],
)
def test_the_disk_bound(free, total, is_low):
    assert is_disk_low(free, total) is is_low
