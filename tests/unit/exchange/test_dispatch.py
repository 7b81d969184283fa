"""Queues of seats: what is direct, what waits, who looks and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gated import GatedStore
from house import ECHO, House, chat, visitor
from origins import Endpoint
from trunkline.dialects.contract import Settled
from trunkline.errors import StoreUnavailable
from trunkline.exchange import dispatch
from trunkline.model.address import parse_address
from trunkline.model.delivery import DeliveryState, Outcome
from trunkline.model.message import parse_message

CORE = {"core": {"dialect": "maim"}}
QQ = ("core", "qq")


async def post(house: House, words: str, account: str = "qq", user: str = "alice") -> None:
    await house.desk.send(
        parse_address(f"core/private:{user}@{account}"), parse_message(words)
    )  # fmt: skip


async def test_a_seat_is_direct_until_something_waits_and_again_when_it_has_left(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        queues = house.core.dispatch
        assert queues.is_direct(QQ)
        await post(house, "a")
        await house.quiet()
        assert not queues.is_direct(QQ)
        assert queues.is_direct(("core", "tg"))
        Endpoint(house)
        await house.quiet()
        assert queues.is_direct(QQ)
        assert not queues.has_waiting


async def test_a_long_queue_leaves_in_order_by_claims(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        for n in range(dispatch.CLAIM_BATCH * 2 + 5):
            await post(house, f"p{n}", user=f"u{n % 7}")
        store.beats.clear()
        end = Endpoint(house)
        await house.quiet()
        assert end.heard == [f"p{n}" for n in range(dispatch.CLAIM_BATCH * 2 + 5)]
        claims = [len(beat.claims) for beat in store.beats if beat.claims]
        assert claims == [dispatch.CLAIM_BATCH, dispatch.CLAIM_BATCH, 5]


async def test_many_seats_are_served_in_rounds(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        names = [f"q{n}" for n in range(dispatch.ROUND_SEATS + 8)]
        for name in names:
            await post(house, f"for {name}", account=name)
        ends = [Endpoint(house, name) for name in names]
        await house.quiet()
        assert [end.heard for end in ends] == [[f"for {name}"] for name in names]


async def test_what_waits_is_known_after_a_restart(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        await post(house, "old")
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        assert not house.core.dispatch.is_direct(QQ)
        end = Endpoint(house)
        end.say("new")
        await house.quiet()
        assert end.heard == ["old", "收到：new"]


async def test_rows_of_lines_that_are_gone_stay_where_they_are(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        await post(house, "old")
    async with House(tmp_path, lines={"other": {"dialect": "maim"}}) as house:
        house.core.dispatch.look(QQ)
        await house.quiet()
        assert house.rows("select state from outbox") == [(DeliveryState.QUEUED,)]


async def test_seats_whose_rows_expired_are_forgotten(tmp_path: Path) -> None:
    """They stayed in memory for good, and at 100,000 nobody was direct any more."""
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        for n in range(20):
            end = Endpoint(house, f"q{n}", fate=lambda one: Settled(one.id, Outcome.LATER))
            end.say("a")
        await house.quiet()
        assert house.core.dispatch.has_waiting
        house.advance(121)
        await house.keeper.step()
        await house.quiet()
        assert not house.core.dispatch.has_waiting
        assert house.rows("select distinct state from outbox") == [(DeliveryState.EXPIRED,)]


async def test_beyond_the_bound_nobody_is_direct_and_nothing_is_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the bound, rows of seats that nobody knew by name were stuck and overtaken."""
    async with House(tmp_path, lines=CORE) as house:
        for n in range(6):
            await post(house, f"old{n}", account=f"q{n}")
    monkeypatch.setattr(dispatch, "WAITING_SEATS", 3)
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        assert house.core.dispatch.is_overfull
        assert not house.core.dispatch.is_direct(("core", "nobody"))
        for n in range(6):
            end = Endpoint(house, f"q{n}")
            end.say("new")
            await house.quiet()
            assert end.heard == [f"old{n}", "收到：new"]
        house.advance(5)
        await house.keeper.step()
        await house.quiet()
        assert not house.core.dispatch.is_overfull
        assert house.core.dispatch.is_direct(("core", "nobody"))


async def test_a_store_that_cannot_be_read_is_asked_again(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        await post(house, "a")
        store.away = StoreUnavailable()
        end = Endpoint(house)
        await house.quiet()
        assert end.heard == []
        store.away = None
        house.advance(1)
        await house.quiet()
        assert end.heard == ["a"]


async def test_a_queue_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    """It ended the task that serves all of them, and with it the process."""
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        await post(house, "a", account="bad")
        await post(house, "b", account="good")
        real = store.queued

        async def queued(line: str, account: str, *more: Any) -> Any:
            if account == "bad":
                raise ValueError("a row that cannot be read")
            return await real(line, account, *more)

        store.queued = queued  # type: ignore[method-assign]
        ends = [Endpoint(house, "bad"), Endpoint(house, "good")]
        await house.quiet()
        assert [end.heard for end in ends] == [[], ["b"]]
        assert [action for action, _ in house.troubles] == ["read queue"]
        store.queued = real  # type: ignore[method-assign]
        house.advance(dispatch.UNREADABLE_RETRY_S)
        await house.quiet()
        assert ends[0].heard == ["a"]


async def test_a_seat_has_one_alarm_however_often_it_is_looked_at(tmp_path: Path) -> None:
    """Every reply that was queued behind one that had to wait set a timer of its own."""
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        end = Endpoint(house, fate=lambda one: Settled(one.id, Outcome.LATER, wait_s=40.0))
        end.say("a")
        await house.quiet()
        for n in range(50):
            end.say(f"b{n}")
            await house.quiet()
        assert len(house.timers) < 5


async def test_claims_that_could_not_be_written_are_made_again(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        await post(house, "a")
        failed: list[int] = []

        def away(beat: Any) -> None:
            if beat.claims and not failed:
                failed.append(1)
                raise StoreUnavailable

        store.fault = away
        end = Endpoint(house)
        await house.core.dispatch.quiet()
        assert end.heard == []
        await house.recovered()
        house.advance(1)
        await house.quiet()
        assert end.heard == ["a"]
        assert house.rows("select attempt from outbox") == [(1,)]


async def test_a_row_that_somebody_took_meanwhile_is_not_sent(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        await post(house, "discarded")
        await post(house, "kept")
        ((ident,),) = house.rows("select min(id) from outbox")
        taken: list[bool] = []
        real = store.queued

        async def queued(*seat: Any) -> Any:
            found = await real(*seat)
            if not taken:
                sources = (DeliveryState.QUEUED,)
                moved = await store.move_delivery(ident, sources, DeliveryState.DISCARDED, "")
                taken.append(moved)
            return found

        store.queued = queued  # type: ignore[method-assign]
        end = Endpoint(house)
        await house.quiet()
        assert taken == [True]
        assert end.heard == ["kept"]


async def test_rows_that_are_not_written_yet_are_not_taken_for_gone(tmp_path: Path) -> None:
    """A comparison with the store between a note and its commit opened the seat."""
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        queues = house.core.dispatch
        queues.hold(QQ, 1)
        queues.review()
        await queues.quiet()
        assert not queues.is_direct(QQ)
        Endpoint(house)
        queues.look(QQ)
        await queues.quiet()
        assert not queues.is_direct(QQ)
        queues.release(QQ, 1)
        await queues.quiet()
        assert queues.is_direct(QQ)


async def test_what_waited_for_a_visitor_expires_with_a_restart(tmp_path: Path) -> None:
    """Found by the state machine: nobody ever came for it, and it stayed QUEUED."""
    async with House(tmp_path, rules=[ECHO]) as house:
        house.fleet.pause("blog")
        peer = visitor(house)
        peer.say(chat("hi"))
        await house.quiet()
        assert house.rows("select state from outbox") == [(DeliveryState.QUEUED,)]
    async with House(tmp_path, rules=[ECHO]) as house:
        assert house.rows("select state, reason from outbox") == [
            (DeliveryState.EXPIRED, "the visitor left")
        ]
        assert not house.core.dispatch.has_waiting


async def test_what_waits_for_a_visitor_who_comes_back_outlives_restart_and_review(
    tmp_path: Path,
) -> None:
    """Found by the simulation (seeds 2 and 8): it expired as if the visitor had left for good."""
    hello = {"type": "hello", "features": ["session"]}
    async with House(tmp_path, rules=[ECHO]) as house:
        house.fleet.pause("blog")
        peer = visitor(house)
        peer.say(hello)
        (granted,) = peer.frames()
        peer.say(chat("hi"))
        await house.quiet()
        peer.cut()
        house.desk.wake()
        await house.quiet()
        assert house.rows("select state from outbox") == [(DeliveryState.QUEUED,)]
    async with House(tmp_path, rules=[ECHO]) as house:
        assert house.rows("select state from outbox") == [(DeliveryState.QUEUED,)]
        peer = visitor(house)
        peer.say(hello | {"session_token": granted["session_token"]})
        await house.quiet()
        await house.quiet()
        assert "收到：hi" in [frame.get("message") for frame in peer.frames()]
        await house.quiet()
        assert house.rows("select state from outbox") == [(DeliveryState.SENT,)]


async def test_a_draft_that_is_approved_after_its_visitor_left_expires(tmp_path: Path) -> None:
    lines = {"blog": {"dialect": "contact", "mode": "draft"}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        peer = visitor(house)
        peer.say(chat("hi"))
        await house.quiet()
        peer.cut()
        ((ident,),) = house.rows("select id from outbox where state = ?", DeliveryState.DRAFT)
        sources = (DeliveryState.DRAFT,)
        assert await house.store.move_delivery(ident, sources, DeliveryState.QUEUED, "approved")
        house.desk.wake()
        await house.quiet()
        assert house.rows("select state from outbox") == [(DeliveryState.EXPIRED,)]
        assert not house.core.dispatch.has_waiting


async def in_a_row(house: House, count: int) -> Endpoint:
    """Post to a seat whose line sends singly, and sit on it without a word about any fate."""
    house.lines["core"].facts.send_gap_s = 0.3
    for nth in range(count):
        await post(house, f"p{nth}", user=f"u{nth}")
    end = Endpoint(house, fate=None)
    await house.quiet()
    return end


def under_way(house: House) -> int:
    (found,) = house.rows("select count(*) from outbox where state = ?", int(DeliveryState.SENDING))
    return int(found[0])


async def test_singly_the_next_leaves_when_the_fate_is_known_and_the_gap_is_over(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, lines=CORE) as house:
        end = await in_a_row(house, 3)
        assert (end.heard, under_way(house)) == (["p0"], 1)
        house.advance(0.3)
        await house.quiet()
        assert end.heard == ["p0"]  # its fate is unknown
        end.settle("p0", Outcome.CONFIRMED)
        await house.quiet()
        assert (end.heard, under_way(house)) == (["p0", "p1"], 1)
        end.settle("p1", Outcome.CONFIRMED)
        await house.quiet()
        assert (end.heard, under_way(house)) == (["p0", "p1"], 0)  # the gap is not over
        house.advance(0.3)
        await house.quiet()
        assert (end.heard, under_way(house)) == (["p0", "p1", "p2"], 1)


async def test_singly_an_answer_never_passes_and_never_joins_what_is_under_way(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        house.lines["core"].facts.send_gap_s = 0.0
        end = Endpoint(house, fate=None)
        for nth in range(4):
            end.say(f"q{nth}", user=f"u{nth}")
        await house.quiet()
        assert (end.heard, under_way(house)) == (["收到：q0"], 1)
        end.settle("收到：q0", Outcome.UNCERTAIN)
        await house.quiet()
        assert (end.heard, under_way(house)) == (["收到：q0", "收到：q1"], 1)


async def test_singly_what_waits_for_its_echo_holds_up_others_for_a_while_only(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, lines=CORE) as house:
        end = await in_a_row(house, 2)
        house.advance(dispatch.SINGLE_S)
        await house.quiet()
        assert end.heard == ["p0", "p1"]


async def test_singly_a_link_that_ends_before_the_write_leaves_the_row_queued(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, lines=CORE) as house:
        end = await in_a_row(house, 2)
        end.settle("p0", Outcome.LATER)
        end.leave()
        await house.quiet()
        assert under_way(house) == 0
        house.advance(1)
        again = Endpoint(house)
        await house.quiet()
        house.advance(1)
        await house.quiet()
        assert again.heard == ["p0", "p1"]


async def test_singly_a_row_that_a_person_took_away_meanwhile_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        house.lines["core"].facts.send_gap_s = 0.3
        await post(house, "p0", user="u0")
        await post(house, "p1", user="u1")
        real = store.queued

        async def queued(*arguments: Any) -> Any:
            found = await real(*arguments)
            if found.depth == 2:  # between the look and the claim
                ident, sources = found.rows[0].row.id, (DeliveryState.QUEUED,)
                assert await store.move_delivery(ident, sources, DeliveryState.DISCARDED, "")
            return found

        monkeypatch.setattr(store, "queued", queued)
        end = Endpoint(house)
        await house.quiet()
        house.advance(0.3)
        await house.quiet()
        assert end.heard == ["p1"]
