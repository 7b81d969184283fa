"""Source: reliability 3."""

from trunkline.assistants.breaker import Breaker
from trunkline.clock import FakeClock


def opened(clock: FakeClock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(5):
        assert breaker.enter()
        breaker.note(is_good=False)
    return breaker


def test_five_failures_in_a_row_open_it():
    breaker = Breaker(FakeClock())
    for _ in range(4):
        breaker.note(is_good=False)
    breaker.note(is_good=True)
    for _ in range(4):
        breaker.note(is_good=False)
    assert not breaker.is_open
    breaker.note(is_good=False)
    assert breaker.is_open
    assert not breaker.enter()


def test_half_of_twenty_within_thirty_seconds_open_it():
    breaker = Breaker(FakeClock())
    for nth in range(19):
        breaker.note(is_good=nth % 2 == 0)
    assert not breaker.is_open
    breaker.note(is_good=False)
    assert breaker.is_open


def test_what_is_longer_ago_does_not_count():
    clock = FakeClock()
    breaker = Breaker(clock)
    for nth in range(15):
        breaker.note(is_good=nth % 2 == 0)
    clock.advance(31)
    for nth in range(15):
        breaker.note(is_good=nth % 2 == 0)
    assert not breaker.is_open


def test_one_probe_after_thirty_seconds_closes_it_when_good():
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(29.9)
    assert not breaker.enter()
    clock.advance(0.1)
    assert breaker.enter()
    assert not breaker.enter()  # one at a time
    breaker.note(is_good=True)
    assert breaker.enter()
    assert breaker.enter()


def test_a_bad_probe_doubles_the_pause_up_to_five_minutes():
    clock = FakeClock()
    breaker = opened(clock)
    for pause_s in (30, 60, 120, 240, 300, 300):
        clock.advance(pause_s - 0.5)
        assert not breaker.enter()
        clock.advance(0.5)
        assert breaker.enter()
        breaker.note(is_good=False)


def test_a_probe_that_was_given_up_makes_room_for_another():
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(30)
    assert breaker.enter()
    breaker.leave()
    assert breaker.enter()


def test_failures_that_end_late_do_not_lengthen_the_pause():
    clock = FakeClock()
    breaker = opened(clock)
    for _ in range(10):
        breaker.note(is_good=False)
    clock.advance(30)
    assert breaker.enter()
