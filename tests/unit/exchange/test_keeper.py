"""Housekeeping: small steps, and one that fails keeps no other from being done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gated import GatedStore
from house import ECHO, GIB, House
from origins import Endpoint
from trunkline.errors import StoreUnavailable
from trunkline.exchange import keeper as keeping
from trunkline.exchange.keeper import Keeper
from trunkline.model.address import parse_address
from trunkline.model.delivery import DeliveryState
from trunkline.model.message import parse_message
from trunkline.store.contract import Retention

CORE = {"core": {"dialect": "maim", "debounce_s": 1.0}}


@pytest.mark.parametrize(
    ("free", "is_low"),
    [(2 * GIB - 1, True), (2 * GIB + 1, False), (0, True)],
)
async def test_the_reserve_is_two_percent_of_the_disk(
    tmp_path: Path, free: int, is_low: bool
) -> None:
    async with House(tmp_path) as house:
        house.store.free_bytes = lambda: free  # type: ignore[method-assign]
        house.keeper.look_at_disk()
        assert house.core.is_disk_low is is_low


@pytest.mark.parametrize(("total", "reserve"), [(4 * GIB, 200_000_000), (100_000_000, 50_000_000)])
async def test_a_small_disk_has_200_mb_of_reserve_and_a_tiny_one_half(
    tmp_path: Path, total: int, reserve: int
) -> None:
    async with House(tmp_path) as house:
        keeper = Keeper(
            core=house.core, store=house.store, clock=house.clock, turns=house.turns,
            retention=Retention(), total_bytes=total, on_trouble=lambda *_: None,
        )  # fmt: skip
        for free, is_low in ((reserve - 1, True), (reserve, False)):
            house.store.free_bytes = lambda free=free: free  # type: ignore[method-assign]
            keeper.look_at_disk()
            assert house.core.is_disk_low is is_low


async def test_trouble_with_the_disk_is_told_once_each_way(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        for free in (0, 0, 99 * GIB, 99 * GIB):
            house.store.free_bytes = lambda free=free: free  # type: ignore[method-assign]
            await house.keeper.step()
        assert [action for action, _ in house.troubles] == ["disk low", "disk recovered"]


@pytest.mark.parametrize("broken", ["free_bytes", "due_turns", "expire", "retain"])
@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), OSError(5), StoreUnavailable()])
async def test_a_step_that_fails_keeps_no_other_from_being_done(
    tmp_path: Path, broken: str, error: Exception
) -> None:
    """A disk that could not be asked ended the process; a turn that failed ended retention."""
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        calls: list[str] = []

        def spy(name: str) -> Any:
            real = getattr(house.store, name)

            def call(*args: Any, **more: Any) -> Any:
                calls.append(name)
                if name == broken:
                    raise error
                return real(*args, **more)

            return call

        names = ["free_bytes", "due_turns", "expire", "retain"]
        for name in names:
            setattr(house.store, name, spy(name))
        house.advance(120)
        await house.keeper.step()
        assert calls == names
        is_told = not isinstance(error, StoreUnavailable)
        assert [action for action, _ in house.troubles] == ["keep house"] * is_told


async def test_expiry_comes_every_five_seconds_and_at_once_when_there_is_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EXPIRE_BATCH", 2)
    async with House(tmp_path, lines={"core": {"dialect": "maim"}}) as house:
        target = parse_address("core/private:7@qq")
        for n in range(5):
            await house.desk.send(target, parse_message(f"p{n}"))
        house.advance(86_401)
        for left in (3, 1, 0):
            await house.keeper.step()
            queued = "select count(*) from outbox where state = ?"
            assert house.rows(queued, DeliveryState.QUEUED) == [(left,)]


async def test_who_waits_for_a_delivery_hears_that_it_expired(tmp_path: Path) -> None:
    async with House(tmp_path, lines={"core": {"dialect": "maim"}}) as house:
        sent = await house.desk.send(parse_address("core/private:7@qq"), parse_message("x"))
        heard = house.core.watchers.wait(sent.id)
        house.advance(86_401)
        await house.keeper.step()
        assert heard.done()


async def test_retention_goes_on_at_each_step_while_there_is_something(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        removed = iter([500, 500, 0, 0])
        calls: list[float] = []

        async def retain(now_ms: int, policy: Retention) -> int:
            calls.append(house.clock.monotonic_s())
            return next(removed)

        house.store.retain = retain  # type: ignore[method-assign]
        for _ in range(70 + 3600):
            house.advance(1)
            await house.keeper._retain()
        assert calls == [1060.0, 1061.0, 1062.0, 4662.0]


async def test_the_loop_ends_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "STEP_S", 0.0)
    store = GatedStore(tmp_path)
    async with House(tmp_path, store=store, lines=CORE, rules=[ECHO]) as house:
        end = Endpoint(house)
        end.say("a")
        await house.quiet()
        house.advance(2)
        looked = house.turns.look

        async def look() -> int:
            found = await looked()
            house.keeper.stop()
            return found

        house.turns.look = look  # type: ignore[method-assign]
        house.keeper._turns = house.turns
        await house.keeper.run()
        await house.quiet()
        assert end.heard == ["收到：a"]
