"""The marketplace is strict: what breaks a rule is refused and counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Head, LinkInfo, Opening, Transmit
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.market import Market
from trunkline.dialects.xianyu.platform import MarketSession
from trunkline.ids import CountingIds
from xianyu_house import BUYER, ITEM, ME, make_options


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
