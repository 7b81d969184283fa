"""Pace: how far apart a line's deliveries leave, and how many on one local day.

Source: boss 6.2, guides 7 (`every_s`, `daily`), issue 9 Build 6.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from house import ECHO, House
from origins import Endpoint
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Settled
from trunkline.errors import StoreUnavailable
from trunkline.exchange.contract import Pace
from trunkline.exchange.pacing import DAY_MS, day_of, free_at_ms, take
from trunkline.ids import DeliveryId
from trunkline.model.address import Address
from trunkline.model.delivery import Delivery, DeliveryState, Outcome
from trunkline.model.message import parse_message
from trunkline.store.contract import Beat, Committed, PaceRow

NOW_MS = FakeClock().now_ms()  # 2026-01-01T00:00:00Z
HOUR_MS = 3_600_000
SLOW = {"core": {"dialect": "maim", "every_s": 6.0}}
FEW = {"core": {"dialect": "maim", "daily": 2}}


def states(house: House) -> list[int]:
    return [state for (state,) in house.rows("select state from outbox order by id")]


async def send(house: House, *words: str, user: str = "alice") -> None:
    for one in words:
        await house.desk.send(Address("core", "private", user, "qq"), parse_message(one))


async def pass_time(house: House, seconds: float) -> None:
    """Let the time go by in steps, as alarms ring."""
    for _ in range(round(seconds * 2)):
        house.advance(0.5)
        await house.quiet()


# -- the arithmetic -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pace", "used", "expected"),
    [
        (Pace(6000), PaceRow("x"), NOW_MS),
        (Pace(6000), PaceRow("x", 0, 9, NOW_MS - 6000), NOW_MS),
        (Pace(6000), PaceRow("x", 0, 9, NOW_MS - 5999), NOW_MS + 1),
        (Pace(6000), PaceRow("x", 0, 9, NOW_MS), NOW_MS + 6000),
        # The wall clock went back: nobody waits longer than the distance.
        (Pace(6000), PaceRow("x", 0, 9, NOW_MS + 99_999_999), NOW_MS + 6000),
        (Pace(0, 2), PaceRow("x", day_of(NOW_MS, 0), 1, NOW_MS), NOW_MS),
        (Pace(0, 2), PaceRow("x", day_of(NOW_MS, 0), 2, NOW_MS), NOW_MS + DAY_MS),
        (Pace(0, 2), PaceRow("x", day_of(NOW_MS, 0), 9, NOW_MS), NOW_MS + DAY_MS),
        (Pace(0, 2), PaceRow("x", day_of(NOW_MS, 0) - 1, 2, NOW_MS - 1), NOW_MS),
        (Pace(6000, 2), PaceRow("x", day_of(NOW_MS, 0) - 1, 2, NOW_MS - 1), NOW_MS + 5999),
        (Pace(6000, 2), PaceRow("x", day_of(NOW_MS, 0), 2, NOW_MS), NOW_MS + DAY_MS),
    ],
)
def test_when_the_next_one_may_leave(pace: Pace, used: PaceRow, expected: int) -> None:
    assert free_at_ms(pace, used, NOW_MS, 0) == expected


def test_a_day_begins_where_the_site_is() -> None:
    """In China it is eight in the morning: sixteen hours are left of the day."""
    offset_ms = 8 * HOUR_MS
    used = take(PaceRow("x"), NOW_MS, offset_ms)
    assert (used.sent, used.last_ms) == (1, NOW_MS)
    assert free_at_ms(Pace(0, 1), used, NOW_MS, offset_ms) == NOW_MS + 16 * HOUR_MS
    before = NOW_MS + 16 * HOUR_MS - 1
    assert take(used, before, offset_ms).sent == 2
    assert take(used, before + 1, offset_ms).sent == 1


# -- in the house -------------------------------------------------------------------------------


async def test_two_deliveries_of_a_line_are_six_seconds_apart(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        end = Endpoint(house)
        end.say("a")  # an answer, another chat, and a send: all of the same line
        end.say("b", user="bob")
        await house.quiet()
        await send(house, "c")
        await house.quiet()
        assert end.heard == ["收到：a"]
        assert states(house) == [DeliveryState.SENT, DeliveryState.QUEUED, DeliveryState.QUEUED]
        await pass_time(house, 5.5)
        assert end.heard == ["收到：a"]
        await pass_time(house, 0.5)
        assert end.heard == ["收到：a", "收到：b"]
        await pass_time(house, 6)
        assert end.heard == ["收到：a", "收到：b", "c"]
        assert house.troubles == []


async def test_a_line_without_a_pace_sends_as_fast_as_it_can(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines={"core": {"dialect": "maim"}}) as house:
        end = Endpoint(house)
        for nth in range(5):
            end.say(f"{nth}")
        await house.quiet()
        assert len(end.heard) == 5
        assert house.desk.pace("core") is None
        assert house.rows("select count(*) from pace") == [(0,)]


async def test_what_waits_for_its_pace_keeps_its_order_and_says_until_when(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        end = Endpoint(house)
        await send(house, "one", "two", "three")
        await house.quiet()
        pace = house.desk.pace("core")
        assert pace is not None
        assert (pace.sent, pace.free_ms) == (1, house.clock.now_ms() + 6000)
        await pass_time(house, 12)
        assert end.heard == ["one", "two", "three"]
        await pass_time(house, 6)
        pace = house.desk.pace("core")
        assert pace is not None
        assert (pace.sent, pace.free_ms) == (3, 0)


async def test_a_person_who_lets_many_leave_does_not_break_the_pace(tmp_path: Path) -> None:
    lines = {"core": {"dialect": "maim", "every_s": 6.0, "mode": "draft"}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        end = Endpoint(house)
        for nth in range(3):
            end.say(f"{nth}", user=f"u{nth}")
        await house.quiet()
        for (ident,) in house.rows("select id from outbox order by id"):
            assert await house.store.move_delivery(
                DeliveryId(ident), (DeliveryState.DRAFT,), DeliveryState.QUEUED, "person"
            )
        house.desk.wake()
        await house.quiet()
        assert end.heard == ["收到：0"]
        await pass_time(house, 6)
        assert end.heard == ["收到：0", "收到：1"]


async def test_seats_of_a_line_share_its_pace_and_take_turns(tmp_path: Path) -> None:
    async with House(tmp_path, lines=SLOW) as house:
        ends = [Endpoint(house, account=name) for name in ("qq", "tg")]
        for nth in range(3):
            for name in ("qq", "tg"):
                target = Address("core", "private", "alice", name)
                await house.desk.send(target, parse_message(f"{name}{nth}"))
        await house.quiet()
        heard: list[list[str]] = []
        for _ in range(6):
            heard.append([word for end in ends for word in end.heard])
            await pass_time(house, 6)
        assert [len(words) for words in heard] == [1, 2, 3, 4, 5, 6]
        assert sorted(heard[1]) == ["qq0", "tg0"]
        assert sorted(heard[3]) == ["qq0", "qq1", "tg0", "tg1"]


async def test_the_day_has_its_number_and_the_next_one_begins_anew(tmp_path: Path) -> None:
    async with House(tmp_path, lines=FEW) as house:
        end = Endpoint(house)
        await send(house, "one", "two", "three")
        await house.quiet()
        assert end.heard == ["one", "two"]
        pace = house.desk.pace("core")
        assert pace is not None
        assert (pace.sent, pace.pace.daily, pace.free_ms) == (2, 2, NOW_MS + DAY_MS)
        for _ in range(24 * 60 - 1):  # an alarm a minute, as the wall clock may be set
            house.advance(60)
        await house.quiet()
        assert end.heard == ["one", "two"]
        house.advance(60)
        await house.quiet()
        # An API send is tried for 24 h: it is too late now, and what comes anew leaves.
        assert end.heard == ["one", "two"]
        await send(house, "four")
        await house.quiet()
        assert end.heard == ["one", "two", "four"]
        pace = house.desk.pace("core")
        assert pace is not None
        assert pace.sent == 1


async def test_a_restart_begins_neither_the_day_nor_the_distance_anew(tmp_path: Path) -> None:
    lines = {"core": {"dialect": "maim", "every_s": 6.0, "daily": 2}}
    clock = FakeClock()
    async with House(tmp_path, lines=lines, clock=clock) as house:
        end = Endpoint(house)
        await send(house, "one", "two", "three")
        await house.quiet()
        assert end.heard == ["one"]
    clock.advance(2)
    async with House(tmp_path, lines=lines, clock=clock) as house:
        end = Endpoint(house)
        await house.quiet()
        assert end.heard == []
        await pass_time(house, 4)
        assert end.heard == ["two"]
        await pass_time(house, 60)
        assert end.heard == ["two"]
    async with House(tmp_path, lines=lines, clock=clock) as house:
        end = Endpoint(house)
        await house.quiet()
        assert end.heard == []
        pace = house.desk.pace("core")
        assert pace is not None
        assert pace.sent == 2


async def test_an_answer_that_waits_for_its_pace_expires_all_the_same(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=FEW) as house:
        end = Endpoint(house)
        await send(house, "one", "two")
        end.say("in time?")
        await house.quiet()
        house.advance(121)
        await house.keeper.step()
        await house.quiet()
        assert states(house)[-1] == DeliveryState.EXPIRED
        assert end.heard == ["one", "two"]


async def test_what_did_not_leave_is_not_counted(tmp_path: Path) -> None:
    def later(delivery: Delivery) -> Settled:
        return Settled(delivery.id, Outcome.LATER, wait_s=1.0)

    async with House(tmp_path, lines=FEW) as house:
        end = Endpoint(house, fate=later)
        await send(house, "one")
        await house.quiet()
        for _ in range(5):
            house.advance(1.5)
            await house.quiet()
        assert end.heard == []
        pace = house.desk.pace("core")
        assert pace is not None
        assert pace.sent == 0
        end.fate = lambda delivery: Settled(delivery.id, Outcome.SENT)
        house.advance(1.5)
        await house.quiet()
        assert end.heard == ["one"]
        pace = house.desk.pace("core")
        assert pace is not None
        assert pace.sent == 1
        assert house.rows("select sent from pace") == [(1,)]


async def test_what_is_uncertain_counts(tmp_path: Path) -> None:
    def unknown(delivery: Delivery) -> Settled:
        return Settled(delivery.id, Outcome.UNCERTAIN)

    async with House(tmp_path, lines=FEW) as house:
        end = Endpoint(house, fate=unknown)
        await send(house, "one", "two", "three")
        await house.quiet()
        assert end.heard == ["one", "two"]
        assert house.rows("select sent from pace") == [(2,)]


async def test_the_count_is_durable_before_the_first_byte(tmp_path: Path) -> None:
    seen: list[Any] = []

    def look(delivery: Delivery) -> Settled:
        seen.extend(house.rows("select line, sent, last_ms from pace"))
        return Settled(delivery.id, Outcome.SENT)

    async with House(tmp_path, lines=FEW) as house:
        Endpoint(house, fate=look)
        await send(house, "one")
        await house.quiet()
        assert seen == [("core", 1, NOW_MS)]


async def test_what_a_person_drops_meanwhile_uses_up_nothing(tmp_path: Path) -> None:
    async with House(tmp_path, lines=FEW) as house:
        end = Endpoint(house)
        house.fleet.pause("core")
        await send(house, "one")
        await house.quiet()
        ((ident,),) = house.rows("select id from outbox")
        real = house.store.queued

        async def queued_then_dropped(*args: Any) -> Any:
            found = await real(*args)
            await house.store.move_delivery(
                DeliveryId(ident), (DeliveryState.QUEUED,), DeliveryState.DISCARDED, "person"
            )
            return found

        house.store.queued = queued_then_dropped  # type: ignore[method-assign]  # a race, made sure
        house.fleet.resume("core")
        await house.quiet()
        house.store.queued = real  # type: ignore[method-assign]  # as it was
        assert (end.heard, states(house)) == ([], [DeliveryState.DISCARDED])
        pace = house.desk.pace("core")
        assert pace is not None
        assert pace.sent == 0


async def test_a_claim_that_the_store_did_not_take_uses_up_nothing(tmp_path: Path) -> None:
    async with House(tmp_path, lines=FEW) as house:
        end = Endpoint(house)
        house.fleet.pause("core")
        await send(house, "one", "two", "three")
        await house.quiet()
        real = house.store.commit

        async def away(beat: Beat) -> Committed:
            if beat.claims:
                house.store.commit = real  # type: ignore[method-assign]  # back again
                raise StoreUnavailable
            return await real(beat)

        house.store.commit = away  # type: ignore[method-assign]  # the store is away, once
        house.fleet.resume("core")
        await house.quiet()
        await house.recovered()
        house.advance(1.1)
        await house.quiet()
        assert end.heard == ["one", "two"]
        assert house.rows("select sent from pace") == [(2,)]


async def test_a_queue_that_cannot_be_read_gives_back_what_was_taken_beside_it(
    tmp_path: Path,
) -> None:
    lines = {name: {"dialect": "maim", "path": f"/{name}", "daily": 2} for name in ("core", "more")}
    async with House(tmp_path, lines=lines) as house:
        ends = {name: Endpoint(house, line=name) for name in lines}
        for name in lines:
            house.fleet.pause(name)
            target = Address(name, "private", "alice", "qq")
            for words in ("one", "two"):
                await house.desk.send(target, parse_message(words))
        await house.quiet()
        real = house.store.queued

        async def away(*args: Any) -> Any:
            if args[0] == "more":
                house.store.queued = real  # type: ignore[method-assign]  # back again
                raise StoreUnavailable
            return await real(*args)

        house.store.queued = away  # type: ignore[method-assign]  # the store is away, once
        house.fleet.resume("core")
        house.fleet.resume("more")
        await house.quiet()
        house.advance(1.1)
        await house.quiet()
        assert [end.heard for end in ends.values()] == [["one", "two"]] * 2


async def test_a_wall_clock_that_is_set_forward_is_noticed_within_a_minute(tmp_path: Path) -> None:
    clock = FakeClock()
    async with House(tmp_path, lines=FEW, clock=clock) as house:
        end = Endpoint(house)
        await send(house, "one", "two")
        await house.quiet()
        clock._start_ms += DAY_MS - 120_000  # the day is nearly over by the new clock
        await send(house, "three")
        await house.quiet()
        house.advance(59)
        await house.quiet()
        assert end.heard == ["one", "two"]
        clock._start_ms += 120_000  # and now it is another one
        house.advance(1.1)
        await house.quiet()
        assert end.heard == ["one", "two", "three"]


async def test_a_pace_is_written_when_it_changes_and_only_then(tmp_path: Path) -> None:
    async with House(tmp_path, lines=FEW) as house:
        written: list[int] = []
        real = house.store.commit

        async def commit(beat: Beat) -> Committed:
            done = await real(beat)
            written.extend(row.sent for row in beat.paces)
            if beat.claims and len(written) == 1:
                house.core.pacing.take("core")  # another changed while this one was committed
            return done

        house.store.commit = commit  # type: ignore[method-assign]  # looked at
        end = Endpoint(house)
        await send(house, "one")
        await house.quiet()
        end.say("hello")
        end.say("hello again")
        await house.quiet()
        assert written == [1, 2]
