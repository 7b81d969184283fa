"""The beat under trouble: stores that go, rows that cannot be written, links that go in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gated import GatedStore
from house import ECHO, House, chat, kinds, maim, texts, visitor
from origins import Endpoint
from trunkline import failpoints
from trunkline.dialects.contract import Settled
from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.exchange import intake
from trunkline.exchange.intake import BEAT_EVENTS, QUEUE_EVENTS
from trunkline.model.address import parse_address
from trunkline.model.delivery import DeliveryState, Outcome
from trunkline.model.message import parse_message
from trunkline.store.contract import Beat, InboxState

CORE = {"core": {"dialect": "maim"}}


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_RETRY_S", (0.0,))


def states(house: House) -> list[int]:
    return [state for (state,) in house.rows("select state from outbox order by id")]


class Faults:
    """Raises what is planned for the nth commits that hold inbox rows."""

    def __init__(self, plan: dict[int, Exception], poison: bytes = b"") -> None:
        self.plan = plan
        self.poison = poison
        self.count = 0

    def __call__(self, beat: Beat) -> None:
        if not beat.inbox:
            return
        self.count += 1
        if self.count in self.plan:
            raise self.plan[self.count]
        if self.poison and any(self.poison in row.body for row in beat.inbox):
            raise ValueError("this row cannot be stored")


# -- what cannot be written ----------------------------------------------------------------------


@pytest.mark.parametrize("nth", range(2, 9))
async def test_a_store_that_goes_in_the_middle_of_halving_loses_and_doubles_nothing(
    tmp_path: Path, nth: int
) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store) as house:
        store.fault = Faults({nth: StoreUnavailable()}, poison=b"poison")
        peers = [visitor(house) for _ in range(4)]
        for n, peer in enumerate(peers):
            peer.say(chat(f"a{n}"), chat("poison" if n == 2 else f"b{n}"), chat(f"c{n}"))
        await house.quiet()
        for n, peer in enumerate(peers):
            heard = [one for one in peer.frames() if one["type"] == "chat_message"]
            expected = [f"收到：a{n}", f"收到：b{n}", f"收到：c{n}"]
            if n == 2:
                del expected[1]
            assert [one["message"] for one in heard] == expected
        assert house.rows("select count(*) from inbox") == [(12,)]
        assert house.rows("select count(*) from inbox where state = ?", InboxState.DEAD) == [(1,)]


async def test_halves_with_a_duplicate_inside_answer_each_message_once(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("before", "m0"))
        await house.quiet()
        assert texts(qq.frames()) == ["收到：before"]
        store.fault = Faults({}, poison=b"poison")
        idents = ["m0", "m1", "m2", "m1", "m3", "m2", "m0", "m4"]
        words = {"m0": "before", "m3": "poison"}
        qq.say(*(maim(words.get(one, one), one) for one in idents))
        await house.quiet()
        assert texts(qq.frames()) == ["收到：m1", "收到：m2", "收到：m4"]
        assert house.counts.duplicates == 4
        assert house.rows("select count(*) from inbox") == [(5,)]


async def test_nothing_is_lost_when_not_even_a_dead_row_can_be_stored(tmp_path: Path) -> None:
    """The rest of the beat was forgotten: never stored, its links full for ever."""
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:
        end = Endpoint(house)
        store.fault = Faults({n: ValueError("nothing goes") for n in range(1, 5)})
        for n in range(3):
            end.say(f"m{n}")
        await house.quiet()
        assert end.heard == ["收到：m0", "收到：m1", "收到：m2"]
        assert end.receipts == ["m0", "m1", "m2"]
        assert end.freed == 3


async def test_dead_rows_are_stored_after_a_restart_too(tmp_path: Path) -> None:
    """The second one found its conversation taken, and stopped the house."""
    for n in range(2):
        store = GatedStore(tmp_path)
        async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:
            store.fault = Faults({}, poison=b"poison")
            end = Endpoint(house)
            end.say("poison")
            end.say("fine")
            await house.quiet()
            assert end.receipts == ["poison", "fine"]
            dead = house.rows("select count(*) from inbox where state = ?", InboxState.DEAD)
            assert dead == [(n + 1,)]


async def test_an_outcome_that_cannot_be_written_is_written_bare(tmp_path: Path) -> None:
    """Its row stayed SENDING for ever."""
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:

        def strange(beat: Beat) -> None:
            if any(one.peer_id == "\ud800" for one in beat.outcomes):
                raise ValueError("no such text")

        store.fault = strange
        end = Endpoint(house, fate=lambda one: Settled(one.id, Outcome.CONFIRMED, "\ud800"))
        end.say("a")
        await house.quiet()
        (row,) = house.rows("select state, reason from outbox")
        assert row[0] == DeliveryState.CONFIRMED
        assert "no such text" in row[1]


async def test_a_fault_in_counting_does_not_write_a_beat_again(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        end = Endpoint(house)

        def broken(**_: Any) -> None:
            raise ZeroDivisionError("ours")

        house.counts.beat = broken  # type: ignore[method-assign]
        end.say("a")
        await house.quiet()
        assert house.rows("select count(*) from inbox") == [(1,)]
        assert end.heard == ["收到：a"]
        assert ("tell", ZeroDivisionError) in [(a, type(e)) for a, e in house.troubles]


@pytest.mark.parametrize("name", ["ack.before_write", "send.before_write", "send.after_write"])
async def test_an_error_at_a_crash_point_after_the_commit_keeps_every_promise(
    tmp_path: Path, name: str
) -> None:
    """The links of that beat were never freed, and its deliveries stayed SENDING."""
    async with House(tmp_path, rules=[ECHO]) as house:
        peer = visitor(house)
        failpoints.arm({name: ("error", 1.0)})
        try:
            peer.say(*(chat(f"m{n}") for n in range(15)))
            await house.quiet()
        finally:
            failpoints.arm({})
        assert kinds(peer.frames()) == ["chat_message_received"] * 15 + ["chat_message"] * 15
        assert house.rows("select distinct state from outbox") == [(DeliveryState.SENT,)]


# -- order and nothing stuck ---------------------------------------------------------------------


async def test_a_delivery_that_must_wait_is_not_stuck_when_the_store_goes(tmp_path: Path) -> None:
    """The look at its queue came before the outcome was written, and none came after."""
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:
        refused: list[int] = []

        def later_once(one: Any) -> Settled:
            if not refused:
                refused.append(one.id)
                return Settled(one.id, Outcome.LATER, wait_s=1.0)
            return Settled(one.id, Outcome.SENT)

        end = Endpoint(house, fate=later_once)
        is_away = False

        def away(beat: Beat) -> None:
            if is_away:
                raise StoreUnavailable

        store.fault = away
        end.say("a")
        while not refused:
            await asyncio.sleep(0)
        is_away = True
        await house.core.dispatch.quiet()  # it looks while the outcome cannot be written
        is_away = False
        await house.quiet()
        assert states(house) == [DeliveryState.QUEUED]
        house.advance(1.1)
        await house.quiet()
        assert end.heard == ["收到：a"]


async def test_what_must_wait_is_not_passed_while_its_outcome_is_on_its_way(
    tmp_path: Path,
) -> None:
    """A look at the store found nothing queued yet, and the seat was open for what was newer."""
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:
        end = Endpoint(house, fate=None)
        end.say("first")
        await house.quiet()
        end.fate = lambda one: Settled(one.id, Outcome.SENT)
        end.heard.clear()
        end.settle("收到：first", Outcome.LATER, wait_s=0.001)
        # In the same beat: news in that chat, and a chat that is not in the cache, so that the
        # beat waits for the store between the look and its plan.
        end.say("second")
        end.say("other", user="bob")
        house.core.dispatch.look(("core", "qq"))
        await house.quiet()
        house.advance(0.1)
        await house.quiet()
        mine = [words for words in end.heard if words != "收到：other"]
        assert mine == ["收到：first", "收到：second"]


async def test_a_post_behind_an_answer_of_the_same_beat_leaves(tmp_path: Path) -> None:
    """It waited for the answer to be settled, and nobody looked when that was."""
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        end = Endpoint(house)
        target = parse_address("core/private:alice@qq")
        await house.quiet()
        end.say("a")
        sending = asyncio.create_task(house.desk.send(target, parse_message("posted")))
        await asyncio.sleep(0)
        await sending
        house.advance(0.2)
        await house.quiet()
        assert end.heard == ["收到：a", "posted"]


async def test_a_reply_over_a_replaced_link_goes_over_the_new_one(tmp_path: Path) -> None:
    """It was written to the closed link, SENT, and lost."""
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        old = house.connect("core", headers={"platform": "qq"})
        old.say(maim("a", "m1"))
        new = house.connect("core", headers={"platform": "qq"})  # `old` is not told of its end yet
        await house.quiet()
        assert texts(new.frames()) == ["收到：a"]
        assert states(house) == [DeliveryState.SENT]


async def test_a_link_that_goes_while_the_commit_is_under_way(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        await house.quiet()
        store.gate.clear()
        store.arrived.clear()
        qq.say(maim("a", "m1"))
        await store.arrived.wait()
        qq.cut()
        store.gate.set()
        await house.quiet()
        assert states(house) == [DeliveryState.QUEUED]
        again = house.connect("core", headers={"platform": "qq"})
        await house.quiet()
        assert texts(again.frames()) == ["收到：a"]


# -- visitors who never come back ----------------------------------------------------------------


async def test_what_must_wait_for_a_visitor_who_leaves_expires(tmp_path: Path) -> None:
    """LATER was on its way when the seat was emptied: the row stayed QUEUED for ever."""
    async with House(tmp_path, rules=[ECHO], lines={"blog": {"dialect": "contact"}}) as house:
        end = Endpoint(
            house, "v1", line="blog", is_brief=True,
            fate=lambda one: Settled(one.id, Outcome.LATER, wait_s=5.0),
        )  # fmt: skip
        end.say("a")
        await house.core.dispatch.quiet()
        while not end.open:
            await asyncio.sleep(0)
        end.leave()
        await house.quiet()
        assert states(house) == [DeliveryState.EXPIRED]
        assert not house.core.dispatch.has_waiting


async def test_a_post_for_a_visitor_who_left_meanwhile_expires(tmp_path: Path) -> None:
    """It stayed QUEUED for 24 hours."""
    async with House(tmp_path) as house:
        peer = house.connect("blog")
        client = peer.frames()[0]["client_id"]
        target = parse_address(f"blog/visitor:{client}")
        sending = asyncio.create_task(house.desk.send(target, parse_message("hello")))
        await asyncio.sleep(0)
        peer.cut()
        await sending
        await house.quiet()
        assert house.rows("select state, reason from outbox") == [
            (DeliveryState.EXPIRED, "the visitor left")
        ]
        assert not house.core.dispatch.has_waiting


async def test_a_visitor_of_a_line_that_waits_for_more_words_is_answered(tmp_path: Path) -> None:
    """Every answer of a debounced contact line expired: `the visitor left`."""
    lines = {"blog": {"dialect": "contact", "debounce_s": 1.0}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        peer = visitor(house)
        peer.say(chat("a"), chat("b"))
        await house.quiet()
        assert kinds(peer.frames()) == ["chat_message_received"] * 2
        house.advance(1.1)
        await house.keeper.step()
        await house.quiet()
        (frame,) = peer.frames()
        assert frame["message"] == "收到：a\nb"


# -- kept states ---------------------------------------------------------------------------------


def kept_before_its_events(beats: list[Beat], words: bytes) -> bool:
    """Whether the state was durable while an event with these words was not."""
    for beat in beats:
        if any(words in row.body for row in beat.inbox):
            return False
        if beat.kept:
            return True
    return False


async def test_a_kept_state_is_never_durable_before_the_events_it_came_with(
    tmp_path: Path,
) -> None:
    """A sync point moved with an earlier beat: a crash then lost what was queued behind it."""
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        end = Endpoint(house)
        for n in range(BEAT_EVENTS + 20):
            end.say(f"m{n}")
        end.say("newest")
        house.core.keep(end, "qq", b"point")  # type: ignore[arg-type]  # an Origin
        await house.quiet()
        house.advance(0.2)
        await house.quiet()
        assert await store.kept("core", "qq") == b"point"
        assert not kept_before_its_events(store.beats, b"newest")


async def test_a_kept_state_waits_also_when_its_beat_is_halved_or_put_back(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        store.fault = Faults({1: ValueError(), 3: StoreUnavailable(), 4: ValueError()})
        end = Endpoint(house)
        end.say("older")
        house.core.keep(end, "qq", b"old point")  # type: ignore[arg-type]  # an Origin
        end.say("newest")
        house.core.keep(end, "qq", b"point")  # type: ignore[arg-type]  # an Origin
        house.advance(0.2)
        await house.quiet()
        assert await store.kept("core", "qq") == b"point"
        assert not kept_before_its_events(store.beats, b"newest")


# -- bounds, stop --------------------------------------------------------------------------------


async def test_a_commit_takes_256_events_or_4_mebibytes_or_one_larger(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        end = Endpoint(house)
        for n in range(BEAT_EVENTS + 1):
            end.say(f"m{n}")
        await house.quiet()
        sizes = [len(beat.inbox) for beat in store.beats if beat.inbox]
        assert sizes == [BEAT_EVENTS, 1]
        store.beats.clear()
        for mebibytes in (2, 2, 1, 5, 1):
            end.say("x" * (mebibytes << 20))
        await house.quiet()
        assert [len(beat.inbox) for beat in store.beats if beat.inbox] == [2, 1, 1, 1]


async def test_the_exchange_is_full_at_1024_and_says_so(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        end = Endpoint(house)
        store.gate.clear()
        for n in range(QUEUE_EVENTS - 1):
            end.say(f"m{n}")
        assert not house.core.is_full
        end.say("last")
        assert house.core.is_full
        store.gate.set()
        await house.quiet()
        assert not house.core.is_full
        assert end.freed == QUEUE_EVENTS


async def test_stop_writes_everything_and_ends(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        end = Endpoint(house)
        for n in range(BEAT_EVENTS * 2):
            end.say(f"m{n}")
        house.core.stop()
        await house._tasks[0]
        assert len(end.heard) == BEAT_EVENTS * 2
        assert set(states(house)) == {DeliveryState.SENT}


@pytest.mark.parametrize("error", [StoreUnavailable, StoreFull])
async def test_stop_does_not_wait_for_a_store_that_stays_away(
    tmp_path: Path, error: type[Exception]
) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:
        end = Endpoint(house)

        def away(beat: Beat) -> None:
            raise error

        store.fault = away
        end.say("a")
        house.core.stop()
        async with asyncio.timeout(5):
            await house._tasks[0]
        assert end.receipts == []  # never acknowledged, so the peer sends it again
        assert house.core.trouble == ("disk" if error is StoreFull else "store")


async def test_a_post_is_refused_at_once_while_the_store_is_away(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        failures = iter([StoreFull()])

        def away(beat: Beat) -> None:
            if error := next(failures, None):
                raise error

        store.fault = away
        target = parse_address("core/private:1@qq")
        with pytest.raises(StoreFull):
            await house.desk.send(target, parse_message("x"))
        await house.recovered()
        assert house.rows("select count(*) from outbox") == [(0,)]
        await house.desk.send(target, parse_message("y"))
        assert house.rows("select count(*) from outbox") == [(1,)]


async def test_outcomes_are_written_in_a_tenth_of_a_second_without_any_message(
    tmp_path: Path,
) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:
        end = Endpoint(house)
        end.say("a")
        async with asyncio.timeout(10):
            while not end.heard:
                await asyncio.sleep(0)
            assert states(house) == [DeliveryState.SENDING]
            house.advance(0.1)
            while len(store.beats) < 2:
                await asyncio.sleep(0)
        assert states(house) == [DeliveryState.SENT]


async def test_a_low_disk_acknowledges_nothing_also_when_there_is_something_to_send(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, lines=CORE) as house:
        target = parse_address("core/private:7@qq")
        await house.desk.send(target, parse_message("posted"))
        house.core.is_disk_low = True
        end = Endpoint(house)
        end.say("a")
        await house.quiet()
        assert end.heard == ["posted"]
        assert end.receipts == []
        house.core.is_disk_low = False
        house.core.nudge()
        await house.quiet()
        assert end.receipts == ["a"]


async def test_two_never_beat_side_by_side(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, rules=[ECHO], lines=CORE) as house:
        end = Endpoint(house)
        store.gate.clear()
        end.say("a")
        await store.arrived.wait()
        await house.core.run()  # while the first is at its commit: it returns at once
        assert store.beats == []
        store.gate.set()
        await house.quiet()
        assert len([beat for beat in store.beats if beat.inbox]) == 1
