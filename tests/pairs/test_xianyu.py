"""The seller's account and the marketplace in memory: life of a line, every fault."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Any

import pytest

from trunkline.dialects.contract import Again, Fetch, Keep, LinkState, Now, Park, Received
from trunkline.dialects.xianyu.http import LOGIN_API
from trunkline.dialects.xianyu.pushes import fingerprint
from trunkline.errors import LinkLost
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, NoticeReceived
from trunkline.model.segment import Image, Text
from xianyu_house import BUYER, ITEM, ME, Shop


def echo(words: str) -> str:
    return f"收到：{words}"


def settled(shop: Shop) -> list[Outcome]:
    return [one.outcome for one in shop.bot.settled.values()]


# -- connecting --------------------------------------------------------------------------------


def test_a_first_start_asks_for_a_token_registers_and_adopts_the_position() -> None:
    shop = Shop().start()
    assert shop.bot.state is LinkState.READY
    assert shop.bot.seat is not None
    assert shop.bot.seat.account == ME
    assert shop.token_calls == 1
    assert shop.routes[:1] == ["/reg"]
    assert shop.routes.index("/r/SyncStatus/getState") < shop.routes.index("/r/SyncStatus/ackDiff")
    assert shop.market.violations == {}


def test_a_missing_signature_cookie_is_fetched_and_signed_once_more() -> None:
    shop = Shop(cookies=f"unb={ME}").start()
    assert shop.bot.state is LinkState.READY
    assert shop.token_calls == 2
    assert "_m_h5_tk=" in shop.kept["cookies"]


def test_a_reconnect_alone_never_asks_for_a_token() -> None:
    shop = Shop().start()
    device = shop.kept["device"]
    for _ in range(10):
        shop.pump.cut()
        shop.clock.advance(3)
        shop.again()
        assert shop.bot.state is LinkState.READY
    assert shop.token_calls == 1
    assert shop.kept["device"] == device


def test_it_resumes_from_the_stored_position_and_never_from_now() -> None:
    shop = Shop(answer=echo).start()
    shop.says("1")
    shop.live(2)
    shop.pump.cut()
    pts = shop.kept["pts"]
    shop.clock.advance(20)
    talk = shop.talk()
    for nth in range(10):
        shop.market.say(shop.seller, talk, _text(f"离线{nth}"), f"离线{nth}", is_own=False)
        shop.clock.advance(0.01)
    sent = len(shop.bot.sent)
    shop.again()
    (diff,) = [json.loads(data) for data in shop.bot.sent[sent:] if b"ackDiff" in data]
    assert diff["body"][0]["pts"] == pts
    assert shop.words == ["1", *(f"离线{nth}" for nth in range(10))]
    shop.live(10)
    assert len(shop.seller.heard) == 11
    assert settled(shop) == [Outcome.CONFIRMED] * 11
    assert shop.market.violations == {}


def test_a_position_that_is_too_old_is_not_resumed_and_history_helps() -> None:
    shop = Shop(resume_limit_s=60).start()
    shop.says("1")
    shop.pump.run()
    shop.pump.cut()
    shop.clock.advance(100)
    shop.market.say(shop.seller, shop.talk(), _text("2"), "2", is_own=False)
    shop.clock.advance(1)
    shop.again()
    assert shop.words == ["1"]
    shop.live(5)
    assert shop.words == ["1", "2"]
    assert "gap" not in shop.bot.kinds()


def test_where_neither_helps_a_gap_is_marked() -> None:
    shop = Shop(resume_limit_s=60).start()
    shop.says("1")
    shop.pump.run()
    shop.pump.cut()
    shop.clock.advance(100)
    shop.again()
    shop.platform.session.is_silent = True  # type: ignore[attr-defined]  # the market's own fault
    shop.live(30)
    (gap,) = [e for e in shop.bot.inbox if isinstance(e, NoticeReceived) and e.name == "gap"]
    assert json.loads(gap.data)["to_ms"] - json.loads(gap.data)["from_ms"] >= 100_000
    assert "gap" in shop.bot.kinds()
    assert json.loads(gap.data)["is_resumed"] is False


def test_a_gap_that_was_resumed_over_says_so() -> None:
    shop = Shop(resume_limit_s=600).start()
    shop.says("1")
    shop.pump.run()
    shop.pump.cut()
    shop.clock.advance(100)
    shop.again()
    shop.platform.session.is_silent = True  # type: ignore[attr-defined]  # the market's own fault
    shop.live(30)
    (gap,) = [e for e in shop.bot.inbox if isinstance(e, NoticeReceived) and e.name == "gap"]
    assert json.loads(gap.data)["is_resumed"] is True


def test_history_and_replay_of_the_same_message_are_one_event() -> None:
    shop = Shop().start()
    shop.says("1")
    shop.pump.run()
    shop.pump.cut()
    shop.clock.advance(20)
    shop.market.say(shop.seller, shop.talk(), _text("2"), "2", is_own=False)
    shop.again()
    shop.live(6)
    assert "/r/Conversation/listNewestPagination" in shop.routes
    assert shop.words == ["1", "2"]


# -- tokens and people -------------------------------------------------------------------------


def test_a_refused_token_costs_one_call_and_the_third_refusal_parks() -> None:
    shop = Shop().start()
    shop.pump.cut()
    for nth in (1, 2, 3):
        shop.again(is_run=False)
        shop.market.tokens.clear()
        shop.pump.run()
        assert shop.bot.state is not LinkState.READY
        assert shop.bot.hangup is not None
        assert isinstance(shop.bot.hangup.next, Park if nth == 3 else Again)
    assert shop.token_calls == 3
    shop.again()
    assert shop.bot.state is LinkState.READY
    assert shop.token_calls == 4
    assert "refusals" not in shop.kept


def test_the_token_expired_at_reg_is_asked_for_once_and_then_it_works() -> None:
    shop = Shop().start()
    shop.pump.cut()
    shop.market.tokens.clear()
    shop.again()
    assert shop.bot.hangup is not None
    assert shop.bot.hangup.next == Again("other")
    shop.again()
    assert shop.bot.state is LinkState.READY
    assert shop.token_calls == 2


def test_an_old_token_is_renewed_and_means_a_new_link() -> None:
    shop = Shop(token_refresh_s=3600, quiet_check_s=0).start()
    first = shop.kept["token"]
    shop.live(3599, 1)
    assert shop.token_calls == 1
    shop.live(2, 1)
    assert shop.token_calls == 2
    assert shop.bot.hangup is not None
    assert shop.bot.hangup.next == Now()
    assert shop.kept["token"] != first
    shop.again()
    assert shop.bot.state is LinkState.READY
    assert shop.token_calls == 2


@pytest.mark.parametrize(
    ("fault", "why"),
    [("dead", "needs_new_cookies"), ("person", "needs_person")],
)
def test_a_demand_for_a_person_parks_at_once(fault: str, why: str) -> None:
    shop = Shop()
    shop.market.fault = fault
    shop.begin()
    assert shop.bot.dial is None
    assert shop.bot.hangup is not None
    assert isinstance(shop.bot.hangup.next, Park)
    assert shop.bot.hangup.next.why.startswith(why)
    assert shop.market.calls[LOGIN_API] == 1


@pytest.mark.parametrize("fault", ["502", "html"])
def test_a_token_call_without_an_answer_waits_as_a_network_fault(fault: str) -> None:
    shop = Shop()
    shop.market.fault = fault
    shop.begin()
    assert shop.bot.hangup is not None
    assert shop.bot.hangup.next == Again("network")


def test_a_renewal_that_fails_keeps_the_link_and_is_tried_later() -> None:
    shop = Shop(token_refresh_s=3600, token_retry_s=600, quiet_check_s=0).start()
    shop.market.fault = "502"
    shop.live(3700, 5)
    assert shop.bot.hangup is None
    assert shop.token_calls == 2
    shop.market.fault = ""
    shop.live(490, 5)
    assert shop.token_calls == 2
    shop.live(20, 5)
    assert shop.token_calls == 3
    assert shop.bot.hangup is not None
    assert shop.bot.hangup.next == Now()


def test_other_cookies_of_the_owner_win_and_drop_the_token() -> None:
    shop = Shop().start()
    shop.pump.cut()
    shop.options = shop.options.model_copy(
        update={"cookies": type(shop.options.cookies)(f"unb={ME}; cookie2=new")}
    )
    shop.again()
    assert shop.bot.state is LinkState.READY
    assert shop.token_calls == 3  # the new string has no signature cookie yet
    assert "cookie2=new" in shop.kept["cookies"]


def test_three_kickouts_in_ten_minutes_park() -> None:
    shop = Shop().start()
    for nth in (1, 2, 3):
        assert shop.bot.state is LinkState.READY
        _market(shop, lambda market: market.push_body({}, "/push/kickout"))
        assert shop.bot.hangup is not None
        assert isinstance(shop.bot.hangup.next, Park if nth == 3 else Again)
        if nth < 3:
            shop.clock.advance(5)
            shop.again()
    assert shop.token_calls == 3
    assert shop.market.violations == {}


def test_a_removed_session_comes_back_with_its_token() -> None:
    shop = Shop().start()
    _market(shop, lambda market: market.push_body({}, "/s/session/remove"))
    assert shop.bot.hangup is not None
    assert shop.bot.hangup.next == Again("other")
    shop.again()
    assert shop.token_calls == 1


# -- pushes and acknowledgements ---------------------------------------------------------------


def test_nothing_is_acknowledged_before_its_commit_and_each_push_once() -> None:
    shop = Shop(commit="by_hand").start()
    acks = shop.routes.count("ack")
    talk = shop.talk()
    for nth in range(3):
        shop.market.say(shop.seller, talk, _text(f"{nth}"), f"{nth}", is_own=False)
    _market(shop, lambda market: market.push_new()[0])
    assert len(shop.bot.waiting) == 3
    shop.pump.commit(count=2)
    assert shop.routes.count("ack") == acks
    shop.pump.commit()
    assert shop.routes.count("ack") == acks + 1


def test_the_position_moves_with_the_events_of_its_push() -> None:
    shop = Shop(commit="by_hand").start()
    before = shop.kept.get("pts", 0)
    mark = len(shop.bot.effects)
    shop.says("1")
    shop.pump.run()
    effects = shop.bot.effects[mark:]
    kinds = [type(one) for one in effects]
    assert kinds.index(Received) < kinds.index(Keep)
    assert shop.kept["pts"] > before


def test_the_same_push_twice_is_two_acknowledgements_and_one_event() -> None:
    shop = Shop(answer=echo).start()
    acks = shop.routes.count("ack")
    shop.says("1")
    shop.pump.double(shop.platform)
    shop.pump.run()
    assert shop.words == ["1"]
    assert shop.routes.count("ack") == acks + 2 + 1  # and the echo of the answer
    assert len(shop.seller.heard) == 1


def test_a_push_that_is_not_acknowledged_comes_again_and_is_answered_once() -> None:
    shop = Shop(answer=echo, commit="by_hand").start()
    shop.says("1")
    shop.live(12)
    assert len(shop.bot.waiting) == 3
    shop.pump.commit()
    shop.live(3)
    shop.pump.commit()
    assert shop.words == ["1"]
    assert len(shop.seller.heard) == 1


def test_broken_entries_are_counted_and_acknowledged() -> None:
    shop = Shop().start()
    acks = shop.routes.count("ack")
    body: dict[str, Any] = {"syncPushPackage": {"data": [{"data": "%%%"}, {}]}}
    _market(shop, lambda market: market.push_body(body))
    assert shop.bot.kinds()[-2:] == ["rejected:decode", "rejected:no_data"]
    assert shop.routes.count("ack") == acks + 1
    assert shop.bot.noticed[-2].detail == f"an entry, {fingerprint({'data': '%%%'})}"


def test_of_an_entry_that_nobody_knows_its_size_and_hash_are_told_and_nothing_else() -> None:
    """Source: xianyu 7.1 (personal data is neither stored nor logged), 7.2, 12"""
    shop = Shop().start()
    data = base64.b64encode(b'[{"clientIp": "203.0.113.7"}]').decode()
    body: dict[str, Any] = {"syncPushPackage": {"data": [{"data": data}]}}
    _market(shop, lambda market: market.push_body(body))
    notice = shop.bot.noticed[-1]
    assert notice.kind == "unknown-entry"
    assert f"{len(data)} bytes, sha256 {sha256(data.encode()).hexdigest()[:12]}" in notice.detail
    assert "203" not in notice.detail


@pytest.mark.parametrize(
    "data",
    [
        b"{", b"1", b"[]", b'{"headers":null,"lwp":"/x"}', b'{"lwp":"/x","headers":{"mid":5}}',
        b'{"code":200}', b'{"code":"x","headers":{"mid":"9 0"}}', b"[" * 5000,
        b'{"lwp":"/s/sync","lwp":"/s/sync","headers":{},"body":{"syncPushPackage":7}}',
    ],
)  # fmt: skip
def test_no_frame_ends_the_link(data: bytes) -> None:
    shop = Shop().start()
    shop.pump.inject(data)
    shop.pump.inject(data, is_text=False)
    assert shop.bot.is_linked
    assert shop.bot.kinds()[-1] == "rejected:binary_frame"


# -- heartbeat ---------------------------------------------------------------------------------


def test_the_heartbeat_beats_every_thirty_seconds() -> None:
    shop = Shop(quiet_check_s=0).start()
    shop.live(300)
    assert shop.routes.count("/!") == 11
    assert shop.bot.hangup is None


def test_a_platform_that_goes_silent_is_dead_after_sixty_seconds() -> None:
    shop = Shop(quiet_check_s=0).start()
    shop.live(60)
    shop.platform.session.is_silent = True  # type: ignore[attr-defined]  # the market's own fault
    shop.live(59)
    assert shop.bot.hangup is None
    shop.live(2)
    assert shop.bot.hangup is not None
    assert shop.bot.hangup.next == Again("network")


def test_one_answer_that_is_lost_ends_nothing() -> None:
    shop = Shop(quiet_check_s=0).start()
    shop.pump.advance(30)
    shop.pump.drop(shop.bot)
    shop.live(90)
    assert shop.bot.hangup is None


def test_a_deaf_link_is_found_by_looking_at_the_newest_chats() -> None:
    shop = Shop(quiet_check_s=600).start()
    shop.says("1")
    shop.live(1)
    shop.clock.advance(0.5)
    shop.market.say(shop.seller, shop.talk(), _text("没推送"), "没推送", is_own=False)
    shop.platform.session.position = 1 << 62  # type: ignore[attr-defined]  # heartbeats are answered, nothing is pushed
    shop.live(590, 5)
    assert shop.bot.hangup is None
    shop.live(15)
    assert shop.words == ["1", "没推送"]
    assert "deaf-link" in shop.bot.kinds()
    assert shop.bot.hangup is not None
    assert shop.bot.hangup.next == Again("network")


def test_a_quiet_line_on_which_nothing_was_missed_stays() -> None:
    shop = Shop(answer=echo, quiet_check_s=600).start()
    shop.says("1")
    shop.live(3)
    shop.live(2000, 5)
    assert "/r/Conversation/listNewestPagination" in shop.routes
    assert shop.bot.hangup is None
    assert shop.words == ["1"]


@pytest.mark.parametrize(
    ("code", "cause"), [(1006, "abrupt"), (1000, "other"), (1001, "other"), (1011, "other")]
)
def test_the_class_of_a_lost_link(code: int, cause: str) -> None:
    shop = Shop().start()
    shop.pump.cut(LinkLost(code))
    assert shop.bot.hangup is not None
    assert shop.bot.hangup.next == Again(cause)


# -- sending -----------------------------------------------------------------------------------


def test_a_burst_is_sent_one_at_a_time_with_a_gap() -> None:
    shop = Shop(answer=echo).start()
    for nth in range(5):
        shop.says(f"{nth}")
    shop.pump.run()
    assert len(shop.seller.heard) == 1
    shop.live(1.3, 0.1)
    assert len(shop.seller.heard) == 5
    assert settled(shop) == [Outcome.CONFIRMED] * 5
    assert shop.market.violations == {}


def test_a_thousand_own_echoes_are_no_owner_and_the_owner_is() -> None:
    shop = Shop(answer=echo).start()
    for nth in range(1000):
        shop.says(f"{nth}")
        shop.live(0.4, 0.4)
    assert not [e for e in shop.bot.inbox if isinstance(e, MessageReceived) and e.is_own]
    shop.market.say(shop.seller, shop.talk(), _text("我来"), "我来", is_own=True)
    _market(shop, lambda market: market.push_new()[0])
    (own,) = [e for e in shop.bot.inbox if isinstance(e, MessageReceived) and e.is_own]
    assert own.segments == (Text("我来"),)


def test_a_buyer_and_an_item_make_a_chat_once() -> None:
    shop = Shop().start()
    to = Chat(ME, "user", f"{BUYER}?item={ITEM}")
    shop.pump.say(shop.bot, to, "你好")
    shop.live(1)
    shop.pump.say(shop.bot, to, "在吗")
    shop.live(1)
    assert shop.routes.count("/r/SingleChatConversation/create") == 1
    assert settled(shop) == [Outcome.CONFIRMED] * 2
    assert [talk for talk, _ in shop.seller.heard] == [shop.talk().ident] * 2


def test_a_buyer_without_an_item_is_refused() -> None:
    shop = Shop().start()
    shop.pump.say(shop.bot, Chat(ME, "user", BUYER), "你好")
    assert settled(shop) == [Outcome.REFUSED]


def test_a_picture_is_uploaded_first_and_its_size_is_known() -> None:
    shop = Shop().start()
    talk = shop.says("图？")
    shop.pump.run()
    png = b"\x89PNG\r\n\x1a\n" + b"0" * 100
    shop.pump.say(shop.bot, Chat(ME, "chat", talk.ident), (Image(data=png, name="a b.png"),))
    shop.live(1)
    (upload,) = [fetch for fetch in shop.fetches if "upload" in fetch.url]
    assert png in upload.body
    assert b'filename="ab.png"' in upload.body
    ((_, payload),) = shop.seller.heard
    (pic,) = payload["image"]["pics"]
    assert (pic["width"], pic["height"]) == (640, 480)
    assert settled(shop) == [Outcome.CONFIRMED]
    assert not [e for e in shop.bot.inbox if isinstance(e, MessageReceived) and e.is_own]


def test_what_is_no_picture_is_refused_before_any_call() -> None:
    shop = Shop().start()
    talk = shop.says("图？")
    shop.pump.run()
    calls = len(shop.fetches)
    shop.pump.say(shop.bot, Chat(ME, "chat", talk.ident), (Image(data=b"<svg>"),))
    assert settled(shop) == [Outcome.REFUSED]
    assert len(shop.fetches) == calls


def test_a_picture_of_elsewhere_is_fetched_first() -> None:
    shop = Shop().start()
    talk = shop.says("图？")
    shop.pump.run()
    shop.pump.asks_wait = True
    image = Image(url="https://example.org/a.png")
    shop.pump.say(shop.bot, Chat(ME, "chat", talk.ident), (image,))
    ((_, request),) = shop.bot.asks.items()
    assert isinstance(request, Fetch)
    assert (request.method, request.url) == ("GET", "https://example.org/a.png")
    assert "cookie" not in request.headers


def test_a_refusal_is_final_and_the_next_message_goes() -> None:
    shop = Shop().start()
    talk = shop.says("1")
    shop.pump.run()
    for words in ("######", "好"):
        shop.pump.say(shop.bot, Chat(ME, "chat", talk.ident), words)
    shop.live(1)
    assert settled(shop) == [Outcome.REFUSED, Outcome.CONFIRMED]
    (first, _) = shop.bot.settled.values()
    assert "CSI_FORBID" in first.detail


def _ready_to_send(shop: Shop) -> Chat:
    talk = shop.says("1")
    shop.pump.run()
    return Chat(ME, "chat", talk.ident)


def test_a_link_that_ends_before_the_answer_leaves_it_unclear_and_the_rest_queued() -> None:
    shop = Shop().start()
    to = _ready_to_send(shop)
    shop.pump.say(shop.bot, to, "a")
    shop.pump.say(shop.bot, to, "b")
    shop.pump.cut()
    assert settled(shop) == [Outcome.UNCERTAIN, Outcome.LATER]


def test_no_answer_waits_for_the_echo() -> None:
    shop = Shop(echo_wait_s=60).start()
    to = _ready_to_send(shop)
    shop.pump.say(shop.bot, to, "a")
    shop.pump.carry(shop.bot)
    answer, push = shop.platform.wire
    shop.platform.wire.clear()
    shop.platform.session._open_pushes.clear()  # type: ignore[attr-defined]  # it is not pushed again
    shop.live(25)
    assert not shop.bot.settled
    shop.platform.wire.append(push)
    shop.pump.run()
    assert b'"code":200' in answer[0]
    assert settled(shop) == [Outcome.CONFIRMED]


def test_neither_answer_nor_echo_is_unclear_after_their_time() -> None:
    shop = Shop(echo_wait_s=60, quiet_check_s=0).start()
    to = _ready_to_send(shop)
    shop.pump.say(shop.bot, to, "a")
    shop.pump.drop(shop.bot)
    shop.live(79)
    assert not shop.bot.settled
    shop.live(3)
    assert settled(shop) == [Outcome.UNCERTAIN]


def test_a_long_text_leaves_in_pieces_and_is_confirmed_once() -> None:
    shop = Shop().start()
    to = _ready_to_send(shop)
    shop.pump.say(shop.bot, to, "\n".join("字" * 900 for _ in range(4)))
    shop.live(3)
    assert len(shop.seller.heard) == 2
    assert settled(shop) == [Outcome.CONFIRMED]


def test_a_full_queue_asks_for_patience() -> None:
    shop = Shop().start()
    to = _ready_to_send(shop)
    for nth in range(202):
        delivery = Delivery(DeliveryId(10_000 + nth), to, Say((Text(f"{nth}"),)))
        shop.pump.deliver(shop.bot, delivery)
    assert settled(shop).count(Outcome.LATER) == 1
    shop.live(80, 0.3)
    assert settled(shop).count(Outcome.CONFIRMED) == 201
    assert [payload["text"]["text"] for _, payload in shop.seller.heard] == [
        f"{nth}" for nth in range(201)
    ]


def test_a_stop_closes_with_1000_and_loses_nothing() -> None:
    shop = Shop().start()
    to = _ready_to_send(shop)
    shop.pump.say(shop.bot, to, "a")
    shop.pump.run()
    shop.pump.say(shop.bot, to, "b")
    shop.pump.finish()
    assert shop.bot.hangup is not None
    assert shop.bot.hangup.code == 1000
    assert settled(shop) == [Outcome.CONFIRMED, Outcome.LATER]


def _text(words: str) -> dict[str, Any]:
    return {"contentType": 1, "text": {"text": words}}


def _market(shop: Shop, act: Any) -> None:
    """Have the marketplace transmit something of its own, and carry it."""
    end = shop.platform
    shop.pump._do(end, [act(end.session)])  # as a verb of the session would
    shop.pump.run()
