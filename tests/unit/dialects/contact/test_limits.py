from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.contact.limits import Limits
from trunkline.dialects.contact.options import ContactOptions


def limits(**keys: Any) -> Limits:
    return Limits(ContactOptions(dialect="contact", **keys))


steps = st.lists(st.floats(0, 5), min_size=1, max_size=60)


@given(steps, st.integers(1, 5), st.floats(0.1, 4))
def test_a_bucket_never_gives_more_than_burst_and_refill(
    waits: list[float], burst: int, refill_per_s: float
) -> None:
    bucket = limits(chat_burst=burst, chat_refill_per_s=refill_per_s)
    now_s, taken = 1000.0, 0
    for wait_s in waits:
        now_s += wait_s
        taken += not bucket.chat_wait_s(now_s)
        assert taken <= burst + (now_s - 1000.0) * refill_per_s + 1e-6


@given(steps)
def test_waiting_as_long_as_told_is_enough(waits: list[float]) -> None:
    bucket = limits(chat_burst=2, chat_refill_per_s=0.7)
    now_s = 1000.0
    for wait_s in waits:
        now_s += wait_s
        told_s = bucket.chat_wait_s(now_s)
        if told_s:
            now_s += told_s + 0.001  # a frame's `retry_after` is rounded up to milliseconds
            assert bucket.chat_wait_s(now_s) == 0


@given(steps)
def test_at_most_so_many_requests_in_any_window(waits: list[float]) -> None:
    window = limits(requests_per_connection=3, requests_connection_window_s=10)
    now_s, taken = 1000.0, list[float]()
    for wait_s in waits:
        now_s += wait_s
        told_s = window.request_wait_s(now_s)
        if told_s:
            assert 0 < told_s <= 10
        else:
            taken.append(now_s)
    for first, fourth in zip(taken, taken[3:], strict=False):
        assert fourth - first >= 10 - 1e-6


def test_off_is_off() -> None:
    off = limits(chat_burst=0, requests_per_connection=0, pings_per_s=0, rejected_frames=0)
    for _ in range(100):
        assert off.chat_wait_s(1.0) == 0
        assert off.request_wait_s(1.0) == 0
        assert off.may_pong(1.0)
        assert not off.is_too_much(1.0)
