"""Debounce: several messages, one turn, one answer; a restart in the middle answers once."""

from __future__ import annotations

from pathlib import Path

from gated import GatedStore
from house import ECHO, House, maim, texts
from origins import Endpoint
from trunkline.errors import StoreUnavailable
from trunkline.store.contract import Beat, InboxState

SLOW = {"core": {"dialect": "maim", "debounce_s": 1.0}}


async def test_messages_of_one_turn_are_answered_together(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("在吗", "m1"))
        await house.quiet()
        house.advance(0.6)
        qq.say(maim("多少钱", "m2"))
        await house.quiet()
        house.advance(0.6)
        await house.keeper.step()
        await house.quiet()
        assert qq.frames() == []  # the second message moved the time
        house.advance(0.6)
        await house.keeper.step()
        await house.quiet()
        assert texts(qq.frames()) == ["收到：在吗\n多少钱"]
        assert house.rows("select distinct state from inbox") == [(InboxState.DONE,)]
        await house.keeper.step()
        await house.quiet()
        assert qq.frames() == []


async def test_who_never_stops_typing_is_answered_at_the_cap(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        heard: list[str] = []
        for n in range(30):
            qq.say(maim(f"t{n}", f"m{n}"))
            await house.quiet()
            house.advance(0.5)
            await house.keeper.step()
            await house.quiet()
            heard += texts(qq.frames())
        assert heard
        assert heard[0].startswith("收到：t0\n")


async def test_a_restart_in_the_middle_answers_once(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("a", "m1"))
        await house.quiet()
        clock = house.clock
    async with House(tmp_path, rules=[ECHO], lines=SLOW, clock=clock) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        house.advance(5)
        await house.keeper.step()
        await house.quiet()
        await house.quiet()
        await house.keeper.step()
        await house.quiet()
        assert texts(qq.frames()) == ["收到：a"]


async def test_words_that_came_while_their_turn_was_decided_get_their_own_answer(
    tmp_path: Path,
) -> None:
    """At the cap the turn was due at every look, so it counted as handed over for ever."""
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        end = Endpoint(house)
        end.say("first")
        await house.quiet()
        house.advance(11)  # beyond the cap: whatever comes now is due at once
        await house.turns.look()
        end.say("second")  # in the beat that decides on the first
        await house.quiet()
        for _ in range(3):
            await house.turns.look()
            await house.quiet()
        assert end.heard == ["收到：first", "收到：second"]
        assert house.rows("select count(*) from turn") == [(0,)]


async def test_a_turn_is_handed_over_once(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=SLOW) as house:
        end = Endpoint(house)
        end.say("a")
        await house.quiet()
        house.advance(2)
        store.gate.clear()
        assert await house.turns.look() == 1
        assert await house.turns.look() == 0
        store.gate.set()
        await house.quiet()
        assert end.heard == ["收到：a"]


async def test_a_body_that_cannot_be_read_keeps_no_other_turn_waiting(tmp_path: Path) -> None:
    """Every look failed at it, and with it expiry and retention."""
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        end = Endpoint(house)
        end.say("broken", user="alice")
        end.say("sound", user="bob")
        await house.quiet()
        await house.store._write(
            lambda db: db.execute(
                "update inbox set body = x'c1' where id = (select min(id) from inbox)"
            )
        )
        house.advance(2)
        await house.keeper.step()
        await house.quiet()
        assert end.heard == ["收到：sound"]
        await house.keeper.step()
        await house.quiet()
        assert house.rows("select state from inbox order by id") == [
            (InboxState.DEAD,), (InboxState.DONE,),
        ]  # fmt: skip
        assert house.rows("select count(*) from turn") == [(0,)]
        assert house.troubles == []


async def test_a_store_that_goes_while_turns_are_read_forgets_none(tmp_path: Path) -> None:
    """Those read before the failure counted as handed over, and were not."""
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=SLOW) as house:
        end = Endpoint(house)
        end.say("a", user="alice")
        end.say("b", user="bob")
        await house.quiet()
        house.advance(2)
        store.away = StoreUnavailable()
        await house.keeper.step()
        store.away = None
        await house.keeper.step()
        await house.quiet()
        assert sorted(end.heard) == ["收到：a", "收到：b"]


async def test_a_turn_whose_answer_cannot_be_stored_ends_without_one(tmp_path: Path) -> None:
    """It was due again at every look until the next start."""
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=SLOW) as house:
        end = Endpoint(house)
        end.say("a")
        await house.quiet()
        house.advance(2)

        def strange(beat: Beat) -> None:
            if beat.outbox:
                raise ValueError("no such answer")

        store.fault = strange
        await house.keeper.step()
        await house.quiet()
        assert end.heard == []
        assert house.rows("select state from inbox") == [(InboxState.DONE,)]
        assert house.rows("select count(*) from turn") == [(0,)]
