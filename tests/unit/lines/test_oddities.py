"""What was odd at a line: bounded by number and by age, counted, without secrets."""

from __future__ import annotations

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Noticed
from trunkline.lines.contract import OddityStatus
from trunkline.lines.oddities import MAX_DETAIL_CHARS, MAX_ODDITIES, Oddities


def make(clock: FakeClock | None = None) -> Oddities:
    return Oddities(clock or FakeClock(), lambda text: text.replace("geheim", "•••"))


def test_the_newest_is_first_and_the_same_again_is_counted() -> None:
    clock = FakeClock()
    ring = make(clock)
    start_ms = clock.now_ms()
    for kind, detail in [("a", "1"), ("b", ""), ("a", "1"), ("a", "2")]:
        ring.note(Noticed(kind, detail))
        clock.advance(1)
    assert ring.shown() == (
        OddityStatus("a", "2", 1, start_ms + 3000),
        OddityStatus("a", "1", 2, start_ms + 2000),
        OddityStatus("b", "", 1, start_ms + 1000),
    )


def test_a_day_later_it_is_forgotten() -> None:
    """Source: xianyu 12 "unknown-payload ring: 24 h, at most 200" """
    clock = FakeClock()
    ring = make(clock)
    ring.note(Noticed("a"))
    clock.advance(3600)
    ring.note(Noticed("b"))
    clock.advance(86_400 - 3600 - 1)
    assert [one.kind for one in ring.shown()] == ["b", "a"]
    clock.advance(2)
    assert [one.kind for one in ring.shown()] == ["b"]
    clock.advance(3600)
    assert ring.shown() == ()


def test_it_is_bounded_and_a_flood_of_one_kind_pushes_nothing_out() -> None:
    ring = make()
    ring.note(Noticed("first"))
    for _ in range(100_000):
        ring.note(Noticed("flood", "9 bytes"))
    assert [(one.kind, one.times) for one in ring.shown()] == [("flood", 100_000), ("first", 1)]
    for number in range(3 * MAX_ODDITIES):
        ring.note(Noticed("other", f"{number} bytes" + "x" * 1000))
    shown = ring.shown()
    assert len(shown) == MAX_ODDITIES
    assert shown[0].detail.startswith("599 bytes")
    assert {len(one.detail) for one in shown} == {MAX_DETAIL_CHARS}


def test_secrets_are_masked() -> None:
    ring = make()
    ring.note(Noticed("token-unavailable", "cookie geheim is over"))
    assert [one.detail for one in ring.shown()] == ["cookie ••• is over"]
