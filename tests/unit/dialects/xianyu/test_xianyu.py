"""The description of the dialect."""

from __future__ import annotations

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Admit, Head, LinkInfo, Opening, Refuse
from trunkline.dialects.xianyu import XIANYU
from trunkline.dialects.xianyu.bot import AccountSession
from trunkline.dialects.xianyu.platform import MarketSession
from trunkline.errors import LinkLost, LocalProtocolError
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Say
from trunkline.model.segment import Text
from xianyu_house import make_options


def opening(role: str) -> Opening:
    return Opening(role, "", FakeClock(), CountingIds())


def test_sessions_by_role() -> None:
    assert isinstance(XIANYU.open(make_options(), opening("account")), AccountSession)
    assert isinstance(XIANYU.open(make_options(), opening("market")), MarketSession)


def test_an_account_must_say_which_one_it_is() -> None:
    assert isinstance(XIANYU.admit(make_options(), Head("/")), Refuse)
    admitted = XIANYU.admit(make_options(), Head("/", headers={"cookie": "unb=1"}))
    assert admitted == Admit("market", 8 << 20)


def test_misuse_by_our_own_code_is_told() -> None:
    session = XIANYU.open(make_options(), opening("account"))
    delivery = Delivery(DeliveryId(1), Chat("1", "chat", "2"), Say((Text("x"),)))
    with pytest.raises(LocalProtocolError):
        session.send(delivery)
    session.begin(None)
    session.linked(LinkInfo(Head("/")))
    with pytest.raises(LocalProtocolError):
        session.linked(LinkInfo(Head("/")))
    session.lost(LinkLost())
    assert session.lost(LinkLost())[-1:] != ()
    assert session.finish() == ()
    with pytest.raises(LocalProtocolError):
        MarketSession(make_options(), opening("market")).answered("t", None)
