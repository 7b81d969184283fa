"""The beat through the whole house: commit before acknowledgement, once, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from house import ECHO, House, chat, kinds, maim, texts, visitor
from trunkline.clock import FakeClock
from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.ids import DeliveryId
from trunkline.model.address import parse_address
from trunkline.model.delivery import DeliveryState
from trunkline.model.message import parse_message
from trunkline.store.contract import Beat, Committed, InboxState
from trunkline.store.sqlite import SqliteStore


class GatedStore(SqliteStore):
    """The real store with a gate before, or a fault inside, each commit."""

    fault: Any = None

    async def commit(self, beat: Beat) -> Committed:
        if self.fault is not None:
            self.fault(beat)
        return await super().commit(beat)


async def test_nothing_is_acknowledged_before_the_commit(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        peer = visitor(house)
        peer.say(chat("hi"))
        assert peer.frames() == []  # the beat has not run yet
        await house.quiet()
        assert kinds(peer.frames()) == ["chat_message_received", "chat_message"]
        assert house.rows("select count(*) from inbox") == [(1,)]


async def test_a_pipelined_group_is_one_commit_and_one_write(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        peer = visitor(house)
        writes = peer.near.flushes
        peer.say(*(chat(f"m{n}") for n in range(5)))
        await house.quiet()
        frames = peer.frames()
        assert kinds(frames) == ["chat_message_received"] * 5 + ["chat_message"] * 5
        assert [frame["message"] for frame in frames[5:]] == [f"收到：m{n}" for n in range(5)]
        assert peer.near.flushes == writes + 1
        assert house.counts.beats[0] == 5


async def test_deliveries_of_a_beat_are_settled_by_the_next_one(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        peer = visitor(house)
        peer.say(chat("a"), chat("b"))
        await house.quiet()
        assert house.rows("select distinct state from outbox") == [(DeliveryState.SENT,)]
        assert house.counts.fates["sent"] == 2


@pytest.mark.parametrize("is_same_beat", [True, False])
async def test_a_repeat_is_acknowledged_again_and_answered_once(
    tmp_path: Path, is_same_beat: bool
) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        peer = visitor(house)
        peer.say(chat("once", client_message_id="c-1"))
        if not is_same_beat:
            await house.quiet()
        peer.say(chat("once", client_message_id="c-1"), chat("new"))
        await house.quiet()
        frames = peer.frames()
        acks = [frame for frame in frames if frame["type"] == "chat_message_received"]
        assert len(acks) == 3
        assert acks[0]["message_id"] == acks[1]["message_id"]
        answers = [frame["message"] for frame in frames if frame["type"] == "chat_message"]
        assert answers == ["收到：once", "收到：new"]
        assert house.counts.duplicates == 1
        assert house.rows("select count(*) from inbox") == [(2,)]


async def test_a_repeat_over_another_link_creates_no_work(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        first = house.connect("core", headers={"platform": "qq"})
        first.say(maim("x", "m1"))
        await house.quiet()
        assert texts(first.frames()) == ["收到：x"]
        second = house.connect("core", headers={"platform": "qq"})
        second.say(maim("x", "m1"), maim("y", "m2"))
        await house.quiet()
        assert texts(second.frames()) == ["收到：y"]


async def test_a_row_that_cannot_be_stored_fails_alone(tmp_path: Path) -> None:
    store = GatedStore(tmp_path, clock=(clock := FakeClock()))

    def poison(beat: Beat) -> None:
        if any(b"poison" in row.body for row in beat.inbox):
            raise ValueError("this row cannot be stored")

    store.fault = poison
    async with House(tmp_path, rules=[ECHO], store=store, clock=clock) as house:
        peers = [visitor(house) for _ in range(5)]
        for n, peer in enumerate(peers):
            peer.say(chat("poison" if n == 3 else f"m{n}"))
        await house.quiet()
        for n, peer in enumerate(peers):
            expected = ["chat_message_received"] + ["chat_message"] * (n != 3)
            assert kinds(peer.frames()) == expected, n
        dead = house.rows("select reason from inbox where state = ?", int(InboxState.DEAD))
        assert len(dead) == 1
        assert "this row cannot be stored" in dead[0][0]
        assert house.counts.dead == 1


async def test_an_exception_in_decide_concerns_its_message_only(tmp_path: Path) -> None:
    from trunkline.exchange.plans import decider
    from trunkline.pipeline.decide import RuleHealth, compile_rulebook, decide
    from trunkline.pipeline.rulebook import RulebookSpec

    sound = decider(decide, compile_rulebook(RulebookSpec(rules=(ECHO,))), RuleHealth())

    def broken(state: Any, turn: Any) -> Any:
        if turn.text == "boom":
            raise ZeroDivisionError("our fault")
        return sound(state, turn)

    async with House(tmp_path, decide_with=broken) as house:
        peer = visitor(house)
        peer.say(chat("boom"), chat("fine"))
        await house.quiet()
        assert kinds(peer.frames()) == ["chat_message_received"] * 2 + ["chat_message"]
        assert house.rows("select state from inbox order by id") == [
            (InboxState.DEAD,), (InboxState.DONE,),
        ]  # fmt: skip
        assert house.troubles[0][0].startswith("decide")


async def test_a_full_store_acknowledges_nothing_and_recovers_by_itself(tmp_path: Path) -> None:
    store = GatedStore(tmp_path, clock=(clock := FakeClock()))
    refused = 0

    def full(beat: Beat) -> None:
        nonlocal refused
        if beat.inbox and refused < 2:
            refused += 1
            raise StoreFull

    store.fault = full
    async with House(tmp_path, rules=[ECHO], store=store, clock=clock) as house:
        peer = visitor(house)
        peer.say(chat("hi"))
        await house.quiet()
        assert refused == 2
        assert kinds(peer.frames()) == ["chat_message_received", "chat_message"]
        assert house.rows("select count(*) from inbox") == [(1,)]
        assert house.core.trouble == ""
        assert [action for action, _ in house.troubles] == ["store disk", "store recovered"]


async def test_a_low_disk_holds_what_came_in_until_there_is_room(tmp_path: Path) -> None:
    store = GatedStore(tmp_path, clock=(clock := FakeClock()))
    free = 0
    store.free_bytes = lambda: free  # type: ignore[method-assign]
    async with House(tmp_path, rules=[ECHO], store=store, clock=clock) as house:
        peer = visitor(house)
        house.keeper.look_at_disk()
        peer.say(chat("hi"))
        await house.quiet()
        assert peer.frames() == []
        free = 1 << 40
        house.keeper.look_at_disk()
        await house.quiet()
        assert kinds(peer.frames()) == ["chat_message_received", "chat_message"]


async def test_a_link_that_stops_reading_is_held_at_its_bound(tmp_path: Path) -> None:
    store = GatedStore(tmp_path, clock=(clock := FakeClock()))
    async with House(
        tmp_path,
        rules=[ECHO],
        store=store,
        clock=clock,
        lines={"core": {"dialect": "maim"}},
    ) as house:
        peer = house.connect("core", headers={"platform": "qq"})
        peer.say(*(maim(f"t{n}", f"m{n}") for n in range(200)))
        # 64 are on their way to the commit; the rest waits in the link.
        assert len(peer.near.waiting()) == 200 - 64
        for _ in range(6):
            await house.quiet()
            peer.pump()
        assert texts(peer.frames()) == [f"收到：t{n}" for n in range(200)]
        assert max(house.counts.beats) <= 64


async def test_a_store_that_is_back_is_noticed_without_any_message(tmp_path: Path) -> None:
    store = GatedStore(tmp_path, clock=(clock := FakeClock()))
    refused = 0

    def away(beat: Beat) -> None:
        nonlocal refused
        if refused < 1:
            refused += 1
            raise StoreUnavailable

    store.fault = away
    async with House(tmp_path, store=store, clock=clock) as house:
        peer = house.connect("blog")
        client = peer.frames()[0]["client_id"]
        with pytest.raises(StoreUnavailable):
            await house.desk.send(parse_address(f"blog/visitor:{client}"), parse_message("x"))
        await house.recovered()
        assert house.core.trouble == ""


async def test_what_came_in_is_kept_when_a_seat_cannot_be_expired(tmp_path: Path) -> None:
    store = GatedStore(tmp_path, clock=(clock := FakeClock()))
    failures = 0

    async def expire_seat(*seat: str) -> list[DeliveryId]:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise StoreUnavailable
        return await SqliteStore.expire_seat(store, *seat)

    store.expire_seat = expire_seat  # type: ignore[method-assign]
    async with House(tmp_path, rules=[ECHO], store=store, clock=clock) as house:
        gone, peer = visitor(house), visitor(house)
        house.fleet.pause("blog")
        gone.say(chat("waits"))
        await house.quiet()
        house.fleet.resume("blog")
        gone.cut()
        peer.say(chat("hi"))
        await house.quiet()
        assert failures == 2
        assert kinds(peer.frames()) == ["chat_message_received", "chat_message"]
