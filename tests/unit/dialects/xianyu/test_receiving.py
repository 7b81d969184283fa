"""What a push asks for besides its entries, and what its echoes change at once."""

from __future__ import annotations

import pytest

from trunkline.dialects.xianyu import frames
from trunkline.model.address import Chat
from trunkline.model.delivery import Outcome
from xianyu_house import ME, Shop


@pytest.mark.parametrize(("kind", "asks"), [(0, 0), (1, 1), (2, 1)])
def test_a_push_may_ask_where_we_stand(kind: int, asks: int) -> None:
    shop = Shop().start()
    routes = len(shop.routes)
    session = shop.platform.session
    push = session.push_body({"syncExtraType": {"type": kind}})  # type: ignore[attr-defined]  # the market's
    shop.pump._do(shop.platform, [push])
    shop.pump.run()
    since = shop.routes[routes:]
    assert since.count(frames.GET_STATE) == asks
    assert since.count(frames.ACK_DIFF) == asks
    assert since.count("ack") == 1


def test_an_echo_that_comes_instead_of_the_answer_lets_the_next_message_leave() -> None:
    shop = Shop(send_gap_s=1.0).start()
    talk = shop.says("hello")
    shop.pump.run()
    session = shop.platform.session
    session.accept = lambda frame, body: session.push_new()  # type: ignore[attr-defined]  # a fault: no answer
    first, second = (shop.pump.say(shop.bot, Chat(ME, "chat", talk.ident), one) for one in "ab")
    shop.pump.run()
    assert shop.bot.settled[first].outcome is Outcome.CONFIRMED
    assert second not in shop.bot.settled
    wake_at = shop.bot.session.wake_at
    assert wake_at is not None
    assert wake_at <= shop.clock.monotonic_s() + 1.0
    shop.live(1)
    assert shop.bot.settled[second].outcome is Outcome.CONFIRMED
