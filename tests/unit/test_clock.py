import time

import pytest

from trunkline.clock import FakeClock, ScaledClock, SystemClock


def test_the_fake_clock_moves_when_it_is_told_to():
    clock = FakeClock(5_000)
    assert (clock.now_ms(), clock.monotonic_s()) == (5_000, 1000.0)
    clock.advance(1.5)
    clock.advance(0)
    assert (clock.now_ms(), clock.monotonic_s()) == (6_500, 1001.5)


def test_small_steps_add_up_on_both_clocks():
    clock = FakeClock(0)
    for _ in range(10_000):
        clock.advance(0.0004)
    assert clock.now_ms() == 4_000
    assert clock.monotonic_s() == pytest.approx(1004)


def test_a_timer_set_by_the_monotonic_clock_is_due_exactly():
    clock = FakeClock()
    clock.advance(0.1)
    wake_at = clock.monotonic_s() + 0.7
    clock.advance(0.7)
    assert clock.monotonic_s() >= wake_at


def test_no_clock_goes_backwards():
    with pytest.raises(ValueError, match="backwards"):
        FakeClock().advance(-0.1)


def test_the_system_clock_is_the_machine_s():
    clock = SystemClock()
    assert abs(clock.now_ms() - time.time() * 1000) < 60_000
    first = clock.monotonic_s()
    assert clock.monotonic_s() >= first


def test_a_scaled_clock_begins_right_and_runs_ahead_while_timers_do_not(monkeypatch):
    clock = ScaledClock(1000)
    start_s, start_ms = clock.monotonic_s(), clock.now_ms()
    assert abs(start_ms - SystemClock().now_ms()) < 60_000
    monkeypatch.setattr(SystemClock, "monotonic_s", lambda _: start_s + 10)
    assert clock.monotonic_s() == start_s + 10
    assert 9_900_000 < clock.now_ms() - start_ms <= 10_000_000
