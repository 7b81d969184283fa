"""What people ask of the exchange: send once, wait, be told what is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gated import GatedStore
from house import House
from origins import Endpoint
from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.exchange import doing
from trunkline.model.address import parse_address
from trunkline.model.delivery import DeliveryState, Outcome
from trunkline.model.message import parse_message

CORE = {"core": {"dialect": "maim"}}
TO = parse_address("core/private:7@qq")
HI = parse_message("hi")


async def test_an_account_may_be_left_out_while_there_is_one(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        names = house.lines["core"].accounts
        names["qq"] = None
        sent = await house.desk.send(parse_address("core/private:7"), HI)
        found = await house.store.delivery(sent.id)
        assert found is not None
        assert found.conversation.account == "qq"
        names["tg"] = None
        with pytest.raises(LookupError, match=r"several accounts \(qq, tg\).*7@qq"):
            await house.desk.send(parse_address("core/private:7"), HI)
        names.update(dict.fromkeys((f"a{n:03}" for n in range(500)), None))
        with pytest.raises(LookupError) as told:
            await house.desk.send(parse_address("core/private:7"), HI)
        assert len(str(told.value)) < 300  # a thousand names are no sentence


async def test_the_account_that_a_line_plays_itself_needs_no_connection(tmp_path: Path) -> None:
    keys = {"dialect": "onebot11", "role": "implementation", "self_id": "12345"}
    async with House(tmp_path, lines={"bot": keys}) as house:
        for past in ({}, {"99": None}, {"99": None, "12345": None, "7": None}):
            names = house.lines["bot"].accounts
            names.clear()
            names.update(past)
            sent = await house.desk.send(parse_address("bot/private:7"), HI)
            found = await house.store.delivery(sent.id)
            assert found is not None
            assert found.conversation.account == ("99" if len(past) == 1 else "12345")
        names.clear()
        names.update({"98": None, "99": None})
        with pytest.raises(LookupError, match="several accounts"):
            await house.desk.send(parse_address("bot/private:7"), HI)


async def test_two_requests_with_one_key_at_the_same_time_send_once(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        end = Endpoint(house)
        one, two = await asyncio.gather(*(house.desk.send(TO, HI, dedupe="k") for _ in range(2)))
        await house.quiet()
        assert one.id == two.id
        assert sorted([one.is_repeat, two.is_repeat]) == [False, True]
        assert end.heard == ["hi"]


async def test_one_key_at_the_same_time_spoils_no_other_send(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        sends = [house.desk.send(TO, parse_message(f"m{n}"), dedupe=f"k{n}") for n in range(3)]
        sends.append(house.desk.send(TO, parse_message("m0"), dedupe="k0"))
        found = await asyncio.gather(*sends)
        assert len({one.id for one in found}) == 3
        assert house.rows("select count(*) from outbox") == [(3,)]


async def test_a_low_disk_and_too_many_sends_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doing, "POSTS", 2)
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        store.gate.clear()
        waiting = [asyncio.create_task(house.desk.send(TO, HI)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="too many sends") as told:
            await house.desk.send(TO, HI)
        assert not isinstance(told.value, StoreFull)
        store.gate.set()
        await asyncio.gather(*waiting)
        house.core.is_disk_low = True
        with pytest.raises(StoreFull):
            await house.desk.send(TO, HI)


async def test_a_caller_that_goes_away_takes_nothing_back(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        end = Endpoint(house)
        await house.quiet()
        store.gate.clear()
        caller = asyncio.create_task(house.desk.send(TO, HI))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        store.gate.set()
        await house.quiet()
        assert end.heard == ["hi"]
        assert house.core.doing._posts == 0
        assert house.troubles == []


async def test_waiting_ends_with_the_state_that_is_final(tmp_path: Path) -> None:
    async with House(tmp_path, lines=CORE) as house:
        sent = await house.desk.send(TO, HI)
        waiting = asyncio.create_task(house.desk.wait_settled(sent.id, 30))
        end = Endpoint(house, fate=None)
        await house.quiet()
        assert not waiting.done()
        end.settle("hi", Outcome.CONFIRMED)
        await house.quiet()
        async with asyncio.timeout(5):
            await waiting
        await house.desk.wait_settled(sent.id, 30)  # it is final already
        await house.desk.wait_settled(16, 30)  # type: ignore[arg-type]  # there is none
        await asyncio.sleep(0)
        assert house.core.watchers._waits == {}


async def test_waiting_leaves_nothing_behind_when_its_time_is_over_or_the_store_fails(
    tmp_path: Path,
) -> None:
    """Every failed look left a future that nobody would ever take away."""
    async with House(tmp_path, lines=CORE) as house:
        sent = await house.desk.send(TO, HI)
        await house.desk.wait_settled(sent.id, 0)

        async def broken(ident: Any) -> Any:
            raise StoreUnavailable

        house.store.delivery = broken  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await house.desk.wait_settled(sent.id, 30)
        await asyncio.sleep(0)
        assert house.core.watchers._waits == {}


async def test_a_wake_while_the_store_is_away_is_not_forgotten(tmp_path: Path) -> None:
    """It ended the process: a task of the exchange had failed."""
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE) as house:
        end = Endpoint(house, fate=None)
        sent = await house.desk.send(TO, HI)
        await house.quiet()
        end.settle("hi", Outcome.UNCERTAIN)
        await house.quiet()
        sources = (DeliveryState.UNCERTAIN,)
        assert await store.move_delivery(sent.id, sources, DeliveryState.QUEUED, "again")
        store.away = StoreUnavailable()
        house.desk.wake()
        await house.quiet()
        assert end.heard == ["hi"]
        store.away = None
        house.advance(1)
        await house.quiet()
        assert end.heard == ["hi", "hi"]
