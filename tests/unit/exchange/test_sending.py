"""After the commit: who is told, over which link it leaves, what is noted of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gated import GatedStore
from house import ECHO, House
from origins import Endpoint, is_sent
from trunkline.dialects.contract import Settled, Sharing
from trunkline.exchange.plans import Item
from trunkline.exchange.sending import acknowledge, flush, retry_s
from trunkline.model.address import Chat, parse_address
from trunkline.model.delivery import DeliveryState, Outcome
from trunkline.model.event import MessageReceived
from trunkline.model.message import parse_message

CORE = {"core": {"dialect": "maim"}}
ALICE = parse_address("core/private:alice@qq")


def states(house: House) -> list[int]:
    return [state for (state,) in house.rows("select state from outbox order by id")]


def later(wait_s: float = 0.0) -> Any:
    return lambda one: Settled(one.id, Outcome.LATER, wait_s=wait_s)


# -- acknowledging -------------------------------------------------------------------------------


class Link:
    line = "core"

    def __init__(self, *, is_broken: bool = False) -> None:
        self.is_broken = is_broken
        self.told: list[tuple[Any, int, int]] = []
        self.flushes = 0

    def committed(self, receipts: Any, events: int, size_bytes: int) -> None:
        if self.is_broken:
            raise ZeroDivisionError("ours")
        self.told.append((list(receipts), events, size_bytes))

    def flush(self) -> None:
        if self.is_broken:
            raise ZeroDivisionError("ours")
        self.flushes += 1


def item(origin: Any, receipt: Any, size_bytes: int = 10) -> Item:
    event = MessageReceived(Chat("qq", "private", "u"), None, ())
    return Item(origin, event, receipt, size_bytes, ("core", "qq", "private", "u"))


def test_each_link_is_told_once_a_beat_of_its_own() -> None:
    one, two = Link(), Link()
    items = [item(one, "a"), item(two, None), item(one, "b", 5), item(one, None)]
    touched = acknowledge(items, lambda *_: None)
    assert list(touched) == [one, two]
    assert one.told == [(["a", "b"], 3, 25)]
    assert two.told == [([], 1, 10)]


def test_a_broken_link_does_not_keep_the_others_from_their_acknowledgement() -> None:
    """Links behind it were never freed: they stood still at their bound."""
    broken, sound = Link(is_broken=True), Link()
    troubles: list[str] = []
    acknowledge([item(broken, "a"), item(sound, "b")], lambda action, _: troubles.append(action))
    flush([broken, sound], lambda action, _: troubles.append(action))
    assert sound.told == [(["b"], 1, 10)]
    assert sound.flushes == 1
    assert troubles == ["acknowledge", "flush"]


async def test_a_link_that_raises_while_sending_concerns_its_own_deliveries(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        broken, sound = Endpoint(house, "qq"), Endpoint(house, "tg")
        broken.fault["deliver"] = ZeroDivisionError("ours")
        broken.say("a")
        sound.say("b")
        await house.quiet()
        assert sound.heard == ["收到：b"]
        assert states(house) == [DeliveryState.UNCERTAIN, DeliveryState.SENT]
        assert [action for action, _ in house.troubles] == ["deliver"]


# -- over which link -----------------------------------------------------------------------------


async def test_an_answer_to_a_shared_seat_goes_to_all_its_links(tmp_path: Path) -> None:
    """It went to the link that asked, and to no other that had joined it."""
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        ends = [Endpoint(house, sharing=Sharing.JOIN) for _ in range(3)]
        ends[1].say("a")
        await house.quiet()
        assert [end.heard for end in ends] == [["收到：a"]] * 3
        assert states(house) == [DeliveryState.SENT]
        await house.desk.send(ALICE, parse_message("posted"))
        await house.quiet()
        assert [end.heard[-1] for end in ends] == ["posted"] * 3


@pytest.mark.parametrize("sharing", [Sharing.EACH, Sharing.JOIN])
async def test_the_best_word_of_several_links_counts(tmp_path: Path, sharing: Sharing) -> None:
    """One that could not send made the delivery wait, and the other sent it twice."""
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        good = Endpoint(house, sharing=Sharing.JOIN)
        fates = [later(3.0), lambda one: Settled(one.id, Outcome.REFUSED)]
        for fate in fates if sharing is Sharing.JOIN else fates[:1]:
            Endpoint(house, sharing=Sharing.JOIN, fate=fate)  # newer: asked first
        good.say("a")
        await house.quiet()
        house.advance(5)
        await house.quiet()
        assert states(house) == [DeliveryState.SENT]
        assert good.heard == ["收到：a"]


async def test_without_any_link_it_is_queued(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], store=store, lines=CORE) as house:
        end = Endpoint(house)
        await house.quiet()
        store.gate.clear()
        store.arrived.clear()
        end.say("a")
        await store.arrived.wait()
        end.leave()
        store.gate.set()
        await house.quiet()
        assert states(house) == [DeliveryState.QUEUED]


# -- what became of it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.CONFIRMED, DeliveryState.CONFIRMED),
        (Outcome.REFUSED, DeliveryState.REFUSED),
        (Outcome.UNCERTAIN, DeliveryState.UNCERTAIN),
        (Outcome.SENT, DeliveryState.SENT),
    ],
)
async def test_every_fate_has_its_state(
    tmp_path: Path, outcome: Outcome, state: DeliveryState
) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        end = Endpoint(house, fate=None)
        end.say("a")
        await house.quiet()
        assert states(house) == [DeliveryState.SENDING]
        end.settle("收到：a", outcome, peer_id="p1", detail="why")
        await house.quiet()
        assert house.rows("select state, peer_id, reason from outbox") == [(state, "p1", "why")]
        assert house.counts.fates[state.name.lower()] == 1


async def test_a_late_proof_makes_sent_confirmed_and_nothing_takes_it_back(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        end = Endpoint(house)
        end.say("a")
        await house.quiet()
        end.settle("收到：a", Outcome.CONFIRMED, peer_id="echo")
        await house.quiet()
        end.settle("收到：a", Outcome.UNCERTAIN)
        end.settle("收到：a", Outcome.LATER)
        await house.quiet()
        assert house.rows("select state, peer_id from outbox") == [
            (DeliveryState.CONFIRMED, "echo")
        ]
        assert end.heard == ["收到：a"]
        assert house.core.dispatch.is_direct(("core", "qq"))


async def test_an_unclear_send_is_repeated_only_to_a_peer_that_dedupes(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        facts = house.lines["core"].facts
        facts.traits = msgspec.structs.replace(facts.traits, peer_dedupes=True)
        end = Endpoint(house, fate=None)
        end.say("a")
        await house.quiet()
        first = end.open["收到：a"]
        end.fate = is_sent
        end.settle("收到：a", Outcome.UNCERTAIN)
        await house.quiet()
        assert end.heard == ["收到：a"] * 2
        assert end.open["收到：a"] == first  # the same id: the peer drops the second copy
        assert house.rows("select state, attempt from outbox") == [(DeliveryState.SENT, 2)]


async def test_later_waits_as_long_as_told_and_what_is_newer_behind_it(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        end = Endpoint(house, fate=later(3.0))
        end.say("a")
        await house.quiet()
        end.fate = is_sent
        end.say("b")
        end.say("other", user="bob")
        await house.quiet()
        assert end.heard == ["收到：other"]
        house.advance(2.9)
        await house.quiet()
        assert end.heard == ["收到：other"]
        house.advance(0.2)
        await house.quiet()
        assert end.heard == ["收到：other", "收到：a", "收到：b"]
        assert states(house) == [DeliveryState.SENT] * 3
        end.say("c")
        await house.quiet()
        assert end.heard[-1] == "收到：c"
        assert house.core.dispatch.is_direct(("core", "qq"))


async def test_a_link_that_cannot_now_is_not_asked_again_at_once_for_ever(tmp_path: Path) -> None:
    """Claim, commit, LATER, claim … as fast as the disk could."""
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        asked: list[int] = []

        def never(one: Any) -> Settled:
            asked.append(one.id)
            return Settled(one.id, Outcome.LATER)

        end = Endpoint(house, fate=never)
        end.say("a")
        await house.quiet()
        await house.quiet()
        assert len(asked) == 1
        for _ in range(119):
            house.advance(1)
            await house.quiet()
        assert 4 < len(asked) < 25  # 1, 2, 4, 8, 16, 30 s at the longest


def test_retries_spread_over_a_growing_time() -> None:
    for attempt, longest_s in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (60, 30)):
        waits = [retry_s(ident << 4, attempt) for ident in range(1000)]
        assert 0.05 <= min(waits) < longest_s * 0.1
        assert longest_s * 0.9 < max(waits) <= longest_s


async def test_a_delivery_that_cannot_be_read_is_dead_and_holds_nothing_up(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        await house.desk.send(ALICE, parse_message("broken"))
        await house.desk.send(ALICE, parse_message("sound"))
        await house.quiet()
        await house.store._write(
            lambda db: db.execute(
                "update outbox set body = x'c1' where id = (select min(id) from outbox)"
            )
        )
        end = Endpoint(house)
        await house.quiet()
        assert end.heard == ["sound"]
        assert states(house) == [DeliveryState.DEAD, DeliveryState.SENT]
