"""Who sits where: newest first, cleaned up by connection, and counts of allowances."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Allowance, Seat, Sharing
from trunkline.lines.roster import ALLOWANCE_KEYS, Allowances, Roster


class Sitter:
    line = "core"

    def __init__(self, seat: Seat, *, can_send: bool = True) -> None:
        self.seat = seat
        self.can_send = can_send
        self.was_replaced = 0
        self.is_leaving = False

    def replaced(self) -> None:
        self.was_replaced += 1


def seated(roster: Roster, sharing: Sharing, count: int = 2, key: str = "qq") -> list[Any]:
    found: list[Any] = []
    for _ in range(count):
        sitter = Sitter(Seat(key, sharing=sharing))
        roster.take(sitter, sitter.seat)  # type: ignore[arg-type]  # the part of it that matters
        found.append(sitter)
    return found


@pytest.mark.parametrize(
    ("sharing", "expected"), [(Sharing.REPLACE, [1]), (Sharing.EACH, [1]), (Sharing.JOIN, [1, 0])]
)
def test_a_delivery_goes_to_the_newest_or_to_all_that_joined(
    sharing: Sharing, expected: list[int]
) -> None:
    roster = Roster()
    sitters = seated(roster, sharing)
    assert roster.find("core", "qq") == [sitters[n] for n in expected]
    assert [one.was_replaced for one in sitters] == [int(sharing is Sharing.REPLACE), 0]


REPLACE, EACH = Sharing.REPLACE, Sharing.EACH


@pytest.mark.parametrize(
    ("older", "newer", "is_taken"),
    [
        ((REPLACE, ""), (REPLACE, ""), False),
        ((EACH, "api"), (EACH, "api"), False),
        ((EACH, "event"), (EACH, "api"), True),  # a pair
        ((EACH, "event"), (REPLACE, ""), False),
        ((REPLACE, ""), (EACH, "api"), False),
        ((EACH, ""), (REPLACE, ""), True),  # one request, not a place
    ],
)
def test_an_older_link_may_keep_its_seat(older: Any, newer: Any, *, is_taken: bool) -> None:
    roster = Roster()
    first = Sitter(Seat("qq", sharing=older[0], link_id=older[1], refusal="taken"))
    second = Sitter(Seat("qq", sharing=newer[0], link_id=newer[1], refusal="taken"))
    assert roster.take(first, first.seat) is True  # type: ignore[arg-type]  # as above
    assert roster.take(second, second.seat) is is_taken  # type: ignore[arg-type]  # as above
    assert first.was_replaced == (is_taken and newer[0] is REPLACE)
    assert (second in roster.find("core", "qq")) is is_taken
    roster.leave(first, first.seat)  # type: ignore[arg-type]  # as above
    third = Sitter(second.seat)
    if not is_taken:
        assert roster.take(third, third.seat) is True  # type: ignore[arg-type]  # as above


def test_a_link_that_is_closing_keeps_nobody_out() -> None:
    roster = Roster()
    seat = Seat("qq", refusal="taken")
    first, second = Sitter(seat), Sitter(seat)
    assert roster.take(first, seat) is True  # type: ignore[arg-type]  # as above
    first.is_leaving = True
    assert roster.take(second, seat) is True  # type: ignore[arg-type]  # as above


def test_who_cannot_send_is_passed_over() -> None:
    roster = Roster()
    older, newer = seated(roster, Sharing.EACH)
    newer.can_send = False
    assert roster.find("core", "qq") == [older]
    older.can_send = False
    assert list(roster.find("core", "qq")) == []


def test_the_late_end_of_an_older_link_does_not_unseat_the_newer() -> None:
    roster = Roster()
    older, newer = seated(roster, Sharing.REPLACE)
    assert roster.leave(older, older.seat) is False
    assert roster.find("core", "qq") == [newer]
    assert roster.leave(newer, newer.seat) is True
    assert list(roster.find("core", "qq")) == []
    assert roster.seats("core") == []


def test_lines_and_seats_do_not_mix() -> None:
    roster = Roster()
    seated(roster, Sharing.JOIN, key="qq")
    seated(roster, Sharing.JOIN, key="tg")
    assert roster.seats("core") == [("core", "qq"), ("core", "tg")]
    assert roster.seats("blog") == []
    assert len(roster.find("core", "tg")) == 2


def test_an_allowance_slides() -> None:
    clock = FakeClock()
    allowances = Allowances(clock)
    ask = Allowance("k", 2, 10.0)
    assert allowances.use(ask) is True
    clock.advance(4)
    assert allowances.use(ask) is True
    assert allowances.use(ask) == 6.0
    clock.advance(6)
    assert allowances.use(ask) is True
    assert allowances.use(ask) == 4.0
    assert allowances.use(Allowance("other", 1, 10.0)) is True


def test_nothing_at_all_may_be_allowed() -> None:
    assert Allowances(FakeClock()).use(Allowance("k", 0, 10.0)) == 10.0


def test_allowances_are_bounded_and_forget_what_is_unused_for_longest() -> None:
    allowances = Allowances(FakeClock())
    for n in range(ALLOWANCE_KEYS):
        allowances.use(Allowance(str(n), 1, 10.0))
    assert allowances.use(Allowance("0", 1, 10.0)) is not True  # used now
    allowances.use(Allowance("new", 1, 10.0))
    assert allowances.use(Allowance("0", 1, 10.0)) is not True
    assert allowances.use(Allowance("1", 1, 10.0)) is True  # it was forgotten
