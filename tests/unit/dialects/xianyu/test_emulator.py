"""The scripted marketplace against the account, with every fault: nothing lost, nothing doubled."""

from __future__ import annotations

import pytest

from trunkline.dialects.contract import LinkState, Opening
from trunkline.dialects.xianyu.emulator import FAULTS, World
from trunkline.dialects.xianyu.translate import NOTICES
from trunkline.model.address import Chat
from trunkline.model.event import MessageReceived, NoticeReceived
from xianyu_house import ME, Shop, make_options


def world_of(shop: Shop, **more: object) -> World:
    opening = Opening("market", "market", shop.clock, shop.ids)
    keys = {"seed": 1, "pace_s": 2.0, **more}
    world = World(make_options(), opening, **keys)  # type: ignore[arg-type]  # keys by name
    shop.market = world.market
    shop.seller = world.market.seller(ME)
    shop.new_platform = lambda: world.session(opening)  # type: ignore[method-assign]  # the world's
    shop.pump.platform.session = shop.new_platform()  # type: ignore[union-attr]  # there is one
    return world


def live(shop: Shop, world: World, seconds: float) -> None:
    """Let time pass; a link that ended comes back after a moment."""
    for _ in range(round(seconds)):
        shop.live(1)
        if not shop.bot.is_linked:
            shop.clock.advance(4)
            shop.again()
        if world.is_over(ME):
            return


def test_a_script_is_answered_to_its_end() -> None:
    shop = Shop(answer=lambda words: f"收到：{words}")
    world = world_of(shop, messages=30)
    shop.start()
    live(shop, world, 200)
    assert world.is_over(ME)
    tally = world.tally
    assert (tally.sent, tally.answered, tally.doubled, tally.errors) == (30, 30, 0, 0)
    assert world.market.violations == {}


@pytest.mark.parametrize("seed", range(3))
def test_every_fault_at_once_loses_and_doubles_nothing(seed: int) -> None:
    shop = Shop(quiet_check_s=60)
    faults = dict.fromkeys(FAULTS - {"owner", "demand"}, 0.05)
    world = world_of(shop, seed=seed, messages=300, faults=faults)
    shop.start()
    live(shop, world, 1200)
    assert world.said[ME] == 300
    live(shop, world, 150)
    words = shop.words
    wanted = {f"#{nth}" for nth in range(300)}
    assert {one.rpartition(" ")[2] for one in words} == wanted
    assert len(words) == 300
    orders = [e for e in shop.bot.inbox if isinstance(e, NoticeReceived) and "order" in e.name]
    assert {order.name for order in orders} <= set(NOTICES)
    assert len({order.chat.id for order in orders}) == len(orders)
    assert set(world.market.violations) <= {"ack-unknown", "ack-twice"}


def test_one_answer_to_an_order_is_no_double_and_a_second_is() -> None:
    shop = Shop(answer=lambda words: f"收到：{words}")
    world = world_of(shop, messages=20, faults={"order": 1.0})
    shop.start()
    live(shop, world, 150)
    assert (world.tally.answered, world.tally.doubled) == (20, 0)
    (me, chat), *rest = world.ordered
    assert rest
    assert me == ME
    for doubled in (0, 1):
        shop.pump.say(shop.bot, Chat(ME, "chat", chat), "已付款，马上发货")
        shop.live(2)
        assert world.tally.doubled == doubled


def test_answers_under_faults_are_sent_once() -> None:
    shop = Shop(answer=lambda words: f"收到：{words}")
    faults = dict.fromkeys(("double", "split", "close", "cut", "early", "unclear"), 0.05)
    world = world_of(shop, messages=200, faults=faults)
    shop.start()
    live(shop, world, 900)
    said = [payload["text"]["text"] for _, payload in shop.seller.heard]
    assert len(said) == len(set(said))
    assert not [e for e in shop.bot.inbox if isinstance(e, MessageReceived) and e.is_own]
    assert shop.bot.state is LinkState.READY


def test_an_owner_who_writes_is_told_from_echoes() -> None:
    shop = Shop(answer=lambda words: f"收到：{words}")
    world = world_of(shop, messages=40, faults={"owner": 0.5})
    shop.start()
    live(shop, world, 200)
    own = [e for e in shop.bot.inbox if isinstance(e, MessageReceived) and e.is_own]
    assert own
    assert {e.segments[0].text for e in own} == {"我是店主本人"}  # type: ignore[union-attr]  # texts


def test_a_world_names_what_it_cannot_do() -> None:
    shop = Shop()
    with pytest.raises(ValueError, match="unknown faults"):
        world_of(shop, faults={"x": 1.0})
    with pytest.raises(ValueError, match="pace"):
        world_of(shop, pace_s=0)
