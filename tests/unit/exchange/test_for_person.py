"""What was handed over is found until a person deals with it.

Source: design 3 `then = "person"`, ux 4.4 "Needs me".
"""

from __future__ import annotations

from pathlib import Path

import pytest

from house import ECHO, House
from origins import Endpoint
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Settled
from trunkline.ids import InboxId
from trunkline.model.address import Address, Chat
from trunkline.model.delivery import Delivery, Outcome
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import parse_message
from trunkline.model.segment import Text
from trunkline.pipeline.rulebook import RuleSpec
from trunkline.store.contract import InboxState
from trunkline.store.sqlite import SqliteStore

HANDED = RuleSpec("handoff", keywords=("人工",), then="person")
ALICE = Address("core", "private", "alice", "qq")


def lines(**more: object) -> dict[str, dict[str, object]]:
    return {"core": {"dialect": "maim", **more}}


def own(end: Endpoint, words: str, user: str = "alice", peer_id: str = "") -> None:
    """Offer what our own account said in a chat."""
    event = MessageReceived(
        Chat(end.account, "private", user), Person("me"), (Text(words),), None, peer_id, None,
        is_own=True,
    )  # fmt: skip
    end.house.core.offer(end, event, words, len(words))  # type: ignore[arg-type]  # an Origin


async def found(store: SqliteStore) -> list[tuple[InboxId, str]]:
    page = await store.messages(
        line="core", states=(), kinds=(), after=0, cursor="", limit=9, is_for_person=True
    )
    assert all(row.is_for_person for row, _ in page.rows)
    total = (await store.for_person(99)).get("core", 0)
    assert total == len(page.rows)
    return [(row.id, state.peer) for row, state in reversed(page.rows)]


async def waiting(house: House) -> list[str]:
    assert isinstance(house.store, SqliteStore)
    return [peer for _, peer in await found(house.store)]


async def asked(house: House) -> Endpoint:
    """Two chats ask for a person, one does not."""
    end = Endpoint(house)
    end.say("人工", user="alice")
    end.say("人工", user="bob")
    end.say("在吗", user="carl")
    await house.quiet()
    assert await waiting(house) == ["alice", "bob"]
    return end


async def test_it_waits_over_a_restart_and_is_in_the_stream_of_changes(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[HANDED, ECHO], lines=lines()) as house:
        end = await asked(house)
        assert end.heard == ["收到：在吗"]
        changes = await house.store.changes(0, 99)
        seen = {row.id: getattr(row, "is_for_person", None) for _, row, _ in changes.rows}
        assert list(seen.values()).count(True) == 2
    store = SqliteStore(tmp_path, clock=FakeClock())
    await store.open()
    assert [peer for _, peer in await found(store)] == ["alice", "bob"]
    await store.close()


@pytest.mark.parametrize("source", ["api", "person:Ana"])
async def test_an_answer_of_a_person_or_a_program_ends_it(tmp_path: Path, source: str) -> None:
    async with House(tmp_path, rules=[HANDED, ECHO], lines=lines()) as house:
        end = await asked(house)
        seq = await house.store.last_change()
        await house.desk.send(ALICE, parse_message("来了"), source=source)
        await house.quiet()
        assert end.heard == ["收到：在吗", "来了"]
        assert await waiting(house) == ["bob"]
        changed = [row for _, row, _ in (await house.store.changes(seq, 9)).rows]
        assert False in [getattr(row, "is_for_person", None) for row in changed]
        end.say("人工", user="alice")
        await house.quiet()
        assert await waiting(house) == ["bob", "alice"]


async def test_what_another_program_of_ours_says_does_not(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[HANDED], lines=lines()) as house:
        await asked(house)
        await house.desk.send(ALICE, parse_message("广告"), source="plugin:ads")
        await house.quiet()
        assert await waiting(house) == ["alice", "bob"]


async def test_taking_over_ends_it_and_giving_back_does_not_bring_it_back(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[HANDED], lines=lines()) as house:
        await asked(house)
        await house.desk.release(ALICE)
        await house.quiet()
        assert await waiting(house) == ["alice", "bob"]
        await house.desk.take_over(ALICE, name="Ana")
        await house.quiet()
        assert await waiting(house) == ["bob"]
        await house.desk.release(ALICE)
        await house.quiet()
        assert await waiting(house) == ["bob"]


@pytest.mark.parametrize("takeover_for_s", [0, 600])
async def test_the_owner_in_the_app_ends_it(tmp_path: Path, takeover_for_s: int) -> None:
    async with House(tmp_path, rules=[HANDED], lines=lines(takeover_for_s=takeover_for_s)) as house:
        end = await asked(house)
        own(end, "我来处理")
        await house.quiet()
        assert await waiting(house) == ["bob"]


async def test_our_own_echo_does_not(tmp_path: Path) -> None:
    def proven(delivery: Delivery) -> Settled:
        return Settled(delivery.id, Outcome.CONFIRMED, peer_id=f"p{delivery.id}")

    async with House(tmp_path, rules=[HANDED, ECHO], lines=lines()) as house:
        end = Endpoint(house, fate=proven)
        end.say("hi", user="alice")
        end.say("人工", user="alice")
        await house.quiet()
        ((sent,),) = house.rows("select id from outbox")
        own(end, "收到：hi", peer_id=f"p{sent}")
        await house.quiet()
        assert await waiting(house) == ["alice"]


async def test_in_one_beat_the_order_of_the_messages_counts(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[HANDED], lines=lines()) as house:
        end = Endpoint(house)
        end.say("人工", user="alice")
        own(end, "来了", "alice")
        own(end, "早", "bob")
        end.say("人工", user="bob")
        await house.quiet()
        assert len(house.counts.beats) == 1
        # In a chat that the owner has, nothing is handed over: she has it already.
        assert await waiting(house) == []
    silent = lines(takeover_for_s=0)
    (tmp_path / "other").mkdir()
    async with House(tmp_path / "other", rules=[HANDED], lines=silent) as house:
        end = Endpoint(house)
        end.say("人工", user="alice")
        own(end, "来了", "alice")
        own(end, "早", "bob")
        end.say("人工", user="bob")
        await house.quiet()
        assert len(house.counts.beats) == 1
        assert await waiting(house) == ["bob"]


async def test_several_messages_of_one_turn_are_one_thing_to_do(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[HANDED], lines=lines(debounce_s=1.0)) as house:
        end = Endpoint(house)
        end.say("在吗", user="alice")
        end.say("人工", user="alice")
        await house.quiet()
        assert await waiting(house) == []
        house.advance(2)
        await house.turns.look()
        await house.quiet()
        assert await waiting(house) == ["alice"]


async def test_a_person_puts_it_away(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[HANDED], lines=lines()) as house:
        await asked(house)
        assert isinstance(house.store, SqliteStore)
        (first, _), _ = await found(house.store)
        assert await house.store.move_message(first, (InboxState.DONE,), InboxState.DISCARDED)
        assert await waiting(house) == ["bob"]
