"""The marketplace is strict: what breaks a rule is refused and counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    Changed,
    Head,
    LinkInfo,
    LinkState,
    Opening,
    Settled,
    Transmit,
)
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.http import LOGIN_API, SIGN_COOKIE, build_call, token_data
from trunkline.dialects.xianyu.market import Market
from trunkline.dialects.xianyu.platform import MarketSession
from trunkline.errors import LinkLost
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.segment import Text
from xianyu_house import BUYER, COOKIES, ITEM, ME, make_options


class Link:
    """A raw client of the marketplace."""

    def __init__(self) -> None:
        self.clock, ids = FakeClock(), CountingIds()
        self.market = Market(self.clock, ids)
        self.market.tokens["t"] = (ME, "D", self.clock.now_ms() + 1000)
        opening = Opening("market", "market", self.clock, ids)
        self.session = MarketSession(make_options(), opening, self.market)
        self.session.linked(LinkInfo(Head("/", headers={"cookie": f"unb={ME}"})))

    def say(self, data: bytes) -> list[dict[str, Any]]:
        effects = self.session.receive(data, is_text=True)
        return [json.loads(one.data) for one in effects if isinstance(one, Transmit)]

    def register(self, token: str = "t", device: str = "D") -> list[dict[str, Any]]:
        return self.say(frames.build_reg(token, "UA", device, "1 0"))


def test_nothing_is_served_before_the_registration() -> None:
    (answer,) = Link().say(frames.build_heartbeat("1 0"))
    assert answer["code"] == 401


@pytest.mark.parametrize(
    ("token", "device", "code", "error"),
    [("x", "D", 401, "invalid token"), ("t", "E", 400, "device id or appkey is not equal")],
)
def test_registrations_that_are_refused(token: str, device: str, code: int, error: str) -> None:
    (answer,) = Link().register(token, device)
    assert (answer["code"], answer["headers"]["error"]) == (code, error)


def test_a_registration_is_answered_with_a_session_and_a_first_push() -> None:
    answer, push = Link().register()
    assert answer["headers"]["sid"] == answer["headers"]["reg-sid"]
    assert push["lwp"] == "/s/vulcan"


def test_acknowledgements_that_break_a_rule_are_counted() -> None:
    link = Link()
    _, push = link.register()
    mid = push["headers"]["mid"]
    for headers in ({"mid": mid, "sid": "s"}, {"mid": mid, "sid": "s"}, {"mid": "9 0"}):
        link.say(frames.encode_frame("", headers, code=200))
    assert link.market.violations == {"ack-twice": 1, "ack-unknown": 1}


def test_a_push_is_repeated_three_times_and_then_waits_for_the_next_link() -> None:
    link = Link()
    link.register()
    times = 0
    for _ in range(10):
        link.clock.advance(5)
        times += len([one for one in link.session.tick() if isinstance(one, Transmit)])
    assert times == 3
    assert link.session.wake_at is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"to": ME}, "receivers"),
        ({"uuid": "-1"}, "uuid"),
        ({"payload": {"contentType": 9}}, "payload"),
        ({"chat": "404"}, "chat"),
    ],
)
def test_a_send_that_breaks_a_rule_is_refused(change: dict[str, Any], why: str) -> None:
    link = Link()
    link.register()
    talk = link.market.open_talk(link.session.seller, BUYER, ITEM)

    def body(chat: str = talk.ident, to: str = BUYER, uuid: str = "-2", payload: Any = None) -> Any:
        payload = payload or frames.text_payload("x")
        return frames.send_body(chat, to, ME, uuid, payload, 1)

    link.say(frames.build_request(frames.SEND, body(uuid="-1"), "2 0"))
    (answer, *_) = link.say(frames.build_request(frames.SEND, body(**change), "3 0"))
    assert answer["code"] == 400
    assert link.market.violations == {f"send-{why}": 1}


def test_a_chat_is_the_same_for_a_pair_in_any_order() -> None:
    link = Link()
    link.register()
    bodies = [frames.create_chat_body(BUYER, ME, ITEM), frames.create_chat_body(ME, BUYER, ITEM)]
    made = [
        link.say(frames.build_request(frames.CREATE_CHAT, body, f"{nth} 0"))[0]["body"]
        for nth, body in enumerate(bodies)
    ]
    assert frames.parse_chat_id(made[0]) == frames.parse_chat_id(made[1]) != ""
    no_item = frames.create_chat_body(BUYER, ME, "")
    (answer,) = link.say(frames.build_request(frames.CREATE_CHAT, no_item, "5 0"))
    assert answer["body"]["reason"] == "refused"


class Buyers(Link):
    """A synced account, and buyers who talk to it."""

    def __init__(self, pts: int | None = None, market: Market | None = None) -> None:
        super().__init__()
        if market is not None:
            opening = Opening("market", "market", self.clock, CountingIds())
            self.market = market
            self.session = MarketSession(make_options(), opening, market)
            self.session.linked(LinkInfo(Head("/", headers={"cookie": f"unb={ME}"})))
        self.register()
        now_ms = self.clock.now_ms()
        position = frames.sync_position(1 if pts is None else pts, now_ms)
        ack = frames.build_request(frames.ACK_DIFF, [position], "7 0")
        self.opened = list(self.session.receive(ack, is_text=True))

    def talk(self, ident: int, words: str) -> dict[str, Any]:
        chat = Chat(ME, "user", f"{BUYER}?item={ITEM}")
        effects = self.session.send(Delivery(DeliveryId(ident), chat, Say((Text(words),))))
        assert not [one for one in effects if isinstance(one, Settled)]
        (push,) = [json.loads(one.data) for one in effects if isinstance(one, Transmit)]
        return push

    def acknowledge(self, push: dict[str, Any]) -> list[Settled]:
        data = frames.encode_frame("", push["headers"], code=200)
        effects = self.session.receive(data, is_text=True)
        return [one for one in effects if isinstance(one, Settled)]


def test_buyers_are_there_once_the_account_has_said_where_it_stands() -> None:
    link = Link()
    assert link.session.state is LinkState.OPENING
    opened = Buyers().opened
    assert isinstance(opened[-1], Changed)
    assert opened[-1].state is LinkState.READY


def test_what_a_buyer_says_is_proven_by_the_acknowledgement_of_its_push() -> None:
    link = Buyers()
    first, second = link.talk(1, "a"), link.talk(2, "b")
    assert link.acknowledge(second) == [Settled(DeliveryId(2), Outcome.CONFIRMED)]
    assert link.acknowledge(second) == []
    assert link.acknowledge(first) == [Settled(DeliveryId(1), Outcome.CONFIRMED)]
    link.talk(3, "c")
    (settled, _) = link.session.lost(LinkLost(1006))
    assert isinstance(settled, Settled)
    assert (settled.delivery_id, settled.outcome) == (3, Outcome.SENT)


def test_what_was_pushed_and_not_acknowledged_comes_over_the_next_link_too() -> None:
    """Also when the account says that it stands behind it. Source: xianyu 20 (faults)"""
    link = Buyers()
    link.talk(1, "kept")
    link.acknowledge(link.talk(2, "done"))
    again = Buyers(pts=link.market.seller(ME).pts, market=link.market)
    pushed = [json.loads(one.data) for one in again.opened if isinstance(one, Transmit)]
    packages = [push["body"]["syncPushPackage"]["data"] for push in pushed if "lwp" in push]
    assert [len(package) for package in packages] == [1]


def test_a_signature_made_with_an_old_key_is_told_the_new_one() -> None:
    link = Link()
    link.market.fault = "expired"
    request = build_call("http://h", LOGIN_API, token_data("D"), COOKIES, "UA", 1)
    for _ in range(2):  # the second time the key is old, and nothing else
        answer = link.market.http(request)
        assert b"FAIL_SYS_TOKEN_EXOIRED" in answer.body
        assert ("set-cookie", f"{SIGN_COOKIE}={link.market.sign_key}; Path=/") in answer.headers
    assert link.market.violations == {}
