from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

import pytest

from contact_parts import STRANGER, ask, chat, echo, options, replies, request, served, site
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contact.bot import HELD_FRAMES
from trunkline.dialects.contract import (
    Allowance,
    Ask,
    Changed,
    Hangup,
    Head,
    LinkInfo,
    LinkState,
    Noticed,
    Received,
    Seat,
    Settled,
    Sharing,
    Transmit,
)
from trunkline.errors import LinkLost, LocalProtocolError, StageError, StoreUnavailable
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome, Part, Say, Tell
from trunkline.model.event import Fleeting, MessageReceived, RequestReceived
from trunkline.model.segment import Quote, Text


def test_the_greeting_is_the_first_effect_and_the_seat_follows() -> None:
    session = site(FakeClock())
    assert session.begin(None) == ()
    first, second = session.linked(LinkInfo(STRANGER))
    assert type(first) is Transmit
    greeting = json.loads(first.data)
    assert greeting["type"] == "connection_established"
    assert greeting["message"] == "WebSocket连接已建立"
    assert greeting["timestamp"] == "2026-01-01T00:00:00.000+00:00"
    assert UUID(greeting["client_id"]).version == 4
    seat = Seat(greeting["client_id"], sharing=Sharing.JOIN, is_new=True, is_brief=True)
    assert second == Changed(LinkState.READY, seat)


def test_the_configured_greeting_and_language() -> None:
    for keys, words in (
        ({"greeting": "嗨"}, "嗨"),
        ({"language": "en"}, "WebSocket connection established"),
    ):
        session = site(FakeClock(), **keys)
        assert json.loads(session.linked(LinkInfo(STRANGER))[0].data)["message"] == words


def test_nothing_is_acknowledged_before_it_is_stored() -> None:
    pump = served(commit="by_hand", answer=None)
    assert ask(pump, chat()) == []
    assert ask(pump, request()) == []
    pump.commit()
    assert [frame["type"] for frame in replies(pump)] == [
        "chat_message_received",
        "contact_request_received",
    ]


def test_a_chat_message_becomes_an_event() -> None:
    pump = served(answer=None)
    (ack,) = ask(pump, chat("hello\n🌍"))
    (event,) = pump.bot.inbox
    assert type(event) is MessageReceived
    assert event.chat == Chat("", "visitor", pump.bot.seat.key)
    assert event.sender is not None
    assert event.sender.id == pump.bot.seat.key
    assert event.segments == text("hello\n🌍")
    assert event.key is None
    assert event.at_ms is None
    assert event.peer_id == ack["message_id"]


def test_message_ids_differ_without_an_id_of_the_client() -> None:
    one, two = served(answer=None), served(answer=None)
    ids = [ask(pump, chat())[0]["message_id"] for pump in (one, one)]
    assert len(set(ids)) == 2
    assert all(str(UUID(ident)) == ident for ident in ids)
    assert "client_message_id" not in ask(two, chat())[0]


def test_a_repeat_gets_the_same_acknowledgement_and_no_second_answer() -> None:
    pump = served()
    first = ask(pump, chat("hi", client_message_id="c-1"))
    second = ask(pump, chat("hi", client_message_id="c-1"))
    assert [frame["type"] for frame in first] == ["chat_message_received", "chat_message"]
    assert [frame["type"] for frame in second] == ["chat_message_received"]
    assert first[0]["message_id"] == second[0]["message_id"]
    assert len(pump.bot.inbox) == 1
    assert pump.bot.duplicates == 1
    third = ask(pump, chat("hi", client_message_id="c-2"))
    assert third[0]["message_id"] != first[0]["message_id"]
    assert len(third) == 2


def test_the_same_client_message_id_of_two_visitors_is_two_messages() -> None:
    clock = FakeClock()
    acks = []
    ids = served().bot.session._ids  # one source of ids for both connections
    for _ in range(2):
        pump = Pump(site(clock, ids=ids), clock=clock, head=STRANGER)
        pump.start()
        pump.take()
        acks.append(ask(pump, chat(client_message_id="c-1"))[0]["message_id"])
    assert acks[0] != acks[1]


def test_the_answer_names_its_question() -> None:
    pump = served()
    ack, answer = ask(pump, chat("价格"))
    assert answer["message"] == "收到：价格"
    assert answer["sender"] == "assistant"
    assert answer["in_reply_to"] == ack["message_id"]
    assert UUID(answer["message_id"])
    (settled,) = pump.bot.settled.values()
    assert settled.outcome is Outcome.SENT
    assert settled.peer_id == answer["message_id"]


def test_the_answers_id_is_the_same_at_every_attempt() -> None:
    frames = []
    for _ in range(2):
        pump = served()
        pump.deliver(
            pump.bot,
            Delivery(DeliveryId(4711), Chat("", "visitor", pump.bot.seat.key), Say(text("hi"))),
        )
        frames += replies(pump)
    assert frames[0]["message_id"] == frames[1]["message_id"]


def test_words_without_a_question_name_none() -> None:
    pump = served(answer=None)
    ask(pump, chat())
    context = pump.bot.inbox[0].context
    pump.say(pump.bot, pump.bot.inbox[0].chat, "from a person", context)
    (frame,) = replies(pump)
    assert "in_reply_to" not in frame


def test_a_quote_names_what_is_answered() -> None:
    pump = served(answer=None)
    chat_of = Chat("", "visitor", pump.bot.seat.key)
    pump.say(pump.bot, chat_of, (Quote("m-1"), Text("that one")))
    (frame,) = replies(pump)
    assert (frame["in_reply_to"], frame["message"]) == ("m-1", "that one")


@pytest.mark.parametrize(
    "what",
    [
        Act("poke"),
        Tell(Chat("", "visitor", "x"), Fleeting(Chat("", "visitor", "x"), "typing")),
        Part("a"),
        Say(text("  ")),
        Say((Quote("m"),)),
    ],
    ids=["act", "tell", "part", "blank", "only-quote"],
)
def test_what_cannot_be_shown_is_refused_with_a_reason(what: Any) -> None:
    pump = served()
    pump.deliver(pump.bot, Delivery(DeliveryId(1), Chat("", "visitor", pump.bot.seat.key), what))
    (settled,) = pump.bot.settled.values()
    assert settled.outcome is Outcome.REFUSED
    assert settled.detail
    assert pump.take() == []


def test_nothing_of_another_visitor_appears() -> None:
    pump = served()
    pump.say(pump.bot, Chat("", "visitor", "somebody-else"), "secret")
    assert pump.take() == []
    (settled,) = pump.bot.settled.values()
    assert settled.outcome is Outcome.REFUSED


class WallClock(FakeClock):
    """A clock whose wall time somebody sets back."""

    shift_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.shift_ms


def test_timestamps_of_a_connection_never_go_backwards() -> None:
    clock = WallClock()
    pump = Pump(site(clock), clock=clock, head=STRANGER)
    pump.start()
    stamps = [json.loads(pump.take()[0])["timestamp"]]
    clock.shift_ms = -3_600_000
    stamps.append(ask(pump, {"type": "ping"})[0]["timestamp"])
    clock.shift_ms = 1001
    stamps.append(ask(pump, {"type": "ping"})[0]["timestamp"])
    assert stamps == [
        "2026-01-01T00:00:00.000+00:00",
        "2026-01-01T00:00:00.000+00:00",
        "2026-01-01T00:00:01.001+00:00",
    ]


# -- contact requests ---------------------------------------------------------------------------


def test_a_contact_request_is_stored_with_what_came_beside() -> None:
    pump = served()
    more = {"name": " 小  明 ", "email": "a@example.org", "page": "https://example.org/", "x": 1}
    (ack,) = ask(pump, request("call me", **more))
    assert ack["type"] == "contact_request_received"
    assert ack["status"] == "received"
    (event,) = pump.bot.inbox
    assert type(event) is RequestReceived
    assert (event.name, event.text, event.peer_id) == ("contact", "call me", ack["request_id"])
    assert event.sender is not None
    assert event.sender.name == "小 明"
    assert json.loads(event.data) == {
        "request_id": ack["request_id"],
        "timestamp": "2025-01-01T12:00:00",
        "userAgent": "UA",
        "name": " 小  明 ",
        "email": "a@example.org",
        "page": "https://example.org/",
    }
    ask(pump, chat())  # the visitor has a name from now on
    assert pump.bot.inbox[1].sender.name == "小 明"


def test_a_contact_request_gets_no_answer_of_the_assistant() -> None:
    pump = served()
    assert [frame["type"] for frame in ask(pump, request())] == ["contact_request_received"]


def test_requests_per_connection() -> None:
    pump = served(requests_per_connection=2, requests_connection_window_s=60)
    kinds = []
    for _ in range(3):
        kinds += [frame["type"] for frame in ask(pump, request())]
        pump.advance(1)
    assert kinds == ["contact_request_received"] * 2 + ["error"]
    (frame,) = ask(pump, request())
    assert (frame["code"], frame["retry_after"]) == ("rate_limited", 57.0)
    pump.advance(57)
    assert [frame["type"] for frame in ask(pump, request())] == ["contact_request_received"]


def test_requests_per_address_are_asked_with_the_configured_limit() -> None:
    pump = served(requests_per_address=3, requests_address_window_s=9)
    pump.asks_wait = True
    ask(pump, request())
    assert list(pump.bot.asks.values()) == [Allowance("contact-request:192.0.2.7", 3, 9.0)]


@pytest.mark.parametrize(
    ("head", "keys"),
    [
        (Head("/contact", peer="127.0.0.1", is_loopback=True), {}),
        (STRANGER, {"requests_per_address": 0}),
    ],
    ids=["loopback", "off"],
)
def test_no_allowance_is_asked(head: Head, keys: dict[str, int]) -> None:
    pump = served(head=head, **keys)
    pump.asks_wait = True
    assert [frame["type"] for frame in ask(pump, request())] == ["contact_request_received"]


def test_an_address_above_its_limit_is_refused_and_what_waits_goes_on() -> None:
    pump = served(answer=None)
    pump.asks_wait = True
    ask(pump, request("one"))
    ask(pump, chat("two", client_message_id="two"))
    ask(pump, request("three"))
    ask(pump, chat("four", client_message_id="four"))
    assert pump.bot.inbox == []
    assert [frame["type"] for frame in ask(pump, {"type": "ping"})] == ["pong"]
    pump.answer_ask(pump.bot, 1, 12.5)
    frames = replies(pump)
    assert [frame["type"] for frame in frames] == ["error", "chat_message_received"]
    assert (frames[0]["code"], frames[0]["retry_after"]) == ("rate_limited", 12.5)
    assert frames[1]["client_message_id"] == "two"
    pump.answer_ask(pump.bot, 2, True)
    kinds = [frame["type"] for frame in replies(pump)]
    assert kinds == ["contact_request_received", "chat_message_received"]
    assert [getattr(event, "text", "") or "chat" for event in pump.bot.inbox] == [
        "chat",
        "three",
        "chat",
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreUnavailable(), "server_busy"), (StageError(), "internal")],
)
def test_an_allowance_that_cannot_be_had_is_an_error_frame(error: Any, code: str) -> None:
    pump = served()
    pump.asks_wait = True
    ask(pump, request())
    pump.answer_ask(pump.bot, 1, error)
    (frame,) = replies(pump)
    assert frame["code"] == code
    assert pump.bot.hangup is None


def test_what_waits_behind_an_allowance_is_bounded() -> None:
    pump = served(chat_burst=0, answer=None)
    pump.asks_wait = True
    ask(pump, request())
    for _ in range(HELD_FRAMES):
        assert ask(pump, chat()) == []
    (frame,) = ask(pump, chat(client_message_id="c"))
    assert (frame["code"], frame["client_message_id"]) == ("server_busy", "c")
    pump.answer_ask(pump.bot, 1, True)
    assert len(replies(pump)) == HELD_FRAMES + 1
    for tag in (2, 3):  # what was let go counts no more
        ask(pump, request())
        for _ in range(26):
            assert ask(pump, chat("x" * 10_000)) == []
        (frame,) = ask(pump, chat("x" * 10_000))  # 27 × 10,000 characters are above 2¹⁸
        assert frame["code"] == "server_busy"
        pump.answer_ask(pump.bot, tag, True)
        assert len(replies(pump)) == 27


def test_our_own_faults_do_not_close_the_connection() -> None:
    pump = served(chat_burst=0)
    pump.asks_wait = True
    ask(pump, request())
    for _ in range(HELD_FRAMES):
        ask(pump, chat())
    assert all(ask(pump, chat())[0]["code"] == "server_busy" for _ in range(40))
    assert pump.bot.hangup is None


def test_a_link_that_dies_while_an_allowance_is_asked() -> None:
    pump = served()
    pump.asks_wait = True
    ask(pump, request())
    ask(pump, chat())
    pump.cut()
    assert pump.bot.inbox == []
    assert pump.take() == []
    assert pump.bot.state is LinkState.CLOSED


def test_an_answer_to_nothing_is_our_own_fault() -> None:
    pump = served()
    with pytest.raises(LocalProtocolError):
        pump.bot.session.answered(7, True)


# -- limits -------------------------------------------------------------------------------------


def test_rate_limit_refills_one_a_second() -> None:
    pump = served(answer=None, chat_burst=2)
    kinds = [ask(pump, chat())[0]["type"] for _ in range(3)]
    assert kinds == ["chat_message_received", "chat_message_received", "error"]
    pump.advance(0.25)
    (frame,) = ask(pump, chat(client_message_id="c-9"))
    assert frame["code"] == "rate_limited"
    assert frame["retry_after"] == 0.75
    assert frame["client_message_id"] == "c-9"
    pump.advance(frame["retry_after"])
    assert ask(pump, chat())[0]["type"] == "chat_message_received"
    assert len(pump.bot.inbox) == 3


@pytest.mark.parametrize("keys", [{"chat_burst": 0}, {"chat_refill_per_s": 0}])
def test_rate_limit_off(keys: dict[str, Any]) -> None:
    pump = served(answer=None, **keys)
    assert all(ask(pump, chat())[0]["type"] == "chat_message_received" for _ in range(60))


def test_pings_above_ten_a_second_are_ignored() -> None:
    pump = served()
    answers = [len(ask(pump, {"type": "ping"})) for _ in range(12)]
    assert answers == [1] * 10 + [0, 0]
    assert pump.bot.noticed == []
    pump.advance(1)
    assert len(ask(pump, {"type": "ping"})) == 1


def test_message_length_at_the_limit_and_above() -> None:
    pump = served(answer=None)
    assert ask(pump, chat("字" * 10_000))[0]["type"] == "chat_message_received"
    (frame,) = ask(pump, chat("字" * 10_001, client_message_id="c"))
    assert (frame["code"], frame["field"]) == ("message_too_long", "message")
    assert frame["client_message_id"] == "c"
    assert "10000" in frame["message"]
    (frame,) = ask(pump, request("x" * 10_001))
    assert frame["code"] == "message_too_long"
    off = served(answer=None, message_chars=0)
    assert ask(off, chat("x" * 20_000))[0]["type"] == "chat_message_received"


def test_twenty_rejected_frames_in_a_minute_close_1008() -> None:
    pump = served()
    for _ in range(19):
        assert [frame["code"] for frame in ask(pump, "x")] == ["invalid_json"]
    assert pump.bot.hangup is None
    pump.inject("x")
    assert pump.bot.hangup == Hangup(1008, "too many rejected frames")
    assert json.loads(pump.bot.sent[-1])["code"] == "invalid_json"
    assert pump.bot.state is LinkState.CLOSED


def test_who_goes_on_above_the_rate_limit_is_closed_too() -> None:
    pump = served(answer=None)
    for _ in range(20 + 19):
        ask(pump, chat())
    assert pump.bot.hangup is None
    pump.inject(json.dumps(chat()))
    assert pump.bot.hangup == Hangup(1008, "too many rejected frames")


def test_rejected_frames_spread_over_more_than_a_minute_are_forgiven() -> None:
    pump = served()
    for _ in range(60):
        assert len(ask(pump, "x")) == 1
        pump.advance(3.2)
    assert pump.bot.hangup is None


def test_rejections_never_close_when_the_limit_is_off() -> None:
    pump = served(rejected_frames=0)
    assert all(len(ask(pump, "x")) == 1 for _ in range(100))


def test_a_rejection_is_noticed_without_the_body() -> None:
    pump = served()
    ask(pump, "{secret words")
    digest = hashlib.sha256(b"{secret words").hexdigest()[:12]
    assert pump.bot.noticed == [Noticed("rejected:invalid_json", f"text 13 bytes sha256 {digest}")]
    ask(pump, chat("secret" * 2000))
    for _ in range(21):
        ask(pump, chat("secret"))
    assert all("secret" not in notice.detail for notice in pump.bot.noticed)
    assert {notice.kind for notice in pump.bot.noticed} == {
        "rejected:invalid_json",
        "rejected:message_too_long",
        "rejected:rate_limited",
    }


@pytest.mark.parametrize("kind", ["hello", "resume", "history_request", "typing", "read"])
def test_a_frame_of_an_opted_in_client_is_an_unknown_type_for_a_plain_one(kind: str) -> None:
    pump = served()
    ask(pump, {"type": "ping"})  # so that it is not the first frame
    (frame,) = ask(pump, {"type": kind, "session_token": "0" * 32, "message_id": "x"})
    assert (frame["type"], frame["code"]) == ("error", "unknown_type")
    assert kind in frame["message"]
    assert pump.bot.hangup is None


# -- life ---------------------------------------------------------------------------------------


def test_idle_counts_application_frames() -> None:
    pump = served(idle_timeout_s=30)
    pump.advance(20)
    ask(pump, {"type": "ping"})
    pump.advance(29)
    assert pump.bot.hangup is None
    pump.advance(1)
    assert pump.bot.hangup == Hangup(1000, "idle")


def test_no_idle_limit_by_default() -> None:
    pump = served()
    assert pump.bot.session.wake_at is None
    assert pump.bot.session.tick() == ()


def test_finish_closes_1001_and_nothing_follows() -> None:
    pump = served(commit="by_hand")
    ask(pump, chat())
    receipt = pump.bot.waiting[0].receipt
    pump.finish()
    assert pump.bot.hangup == Hangup(1001, "server stops")
    session = pump.bot.session
    assert session.finish() == ()
    assert session.receive(b'{"type":"ping"}', is_text=True) == ()
    assert session.stored(receipt) == ()
    delivery = Delivery(DeliveryId(1), Chat("", "visitor", "x"), Say(text("late")))
    assert session.send(delivery) == (Settled(DeliveryId(1), Outcome.LATER),)


def test_misuse_is_refused_and_changes_nothing() -> None:
    session = site(FakeClock())
    delivery = Delivery(DeliveryId(1), Chat("", "visitor", "x"), Say(text("early")))
    with pytest.raises(LocalProtocolError):
        session.receive(b"{}", is_text=True)
    with pytest.raises(LocalProtocolError):
        session.send(delivery)
    session.linked(LinkInfo(STRANGER))
    with pytest.raises(LocalProtocolError):
        session.linked(LinkInfo(STRANGER))
    (effect,) = session.receive(b'{"type":"ping"}', is_text=True)
    assert type(effect) is Transmit


def test_a_lost_link_leaves_nothing_pending() -> None:
    pump = served()
    ask(pump, chat())
    pump.cut(LinkLost(1006))
    assert pump.bot.pending == {}
    assert pump.bot.effects[-1] == Changed(LinkState.CLOSED)


def test_an_ask_carries_the_request_before_it_is_received() -> None:
    session = site(FakeClock())
    session.linked(LinkInfo(STRANGER))
    (effect,) = session.receive(json.dumps(request()).encode(), is_text=True)
    assert type(effect) is Ask
    (received,) = session.answered(effect.tag, True)
    assert type(received) is Received


def test_options_and_echo_are_what_the_other_tests_think() -> None:
    assert options().chat_burst == 20
    assert echo(MessageReceived(Chat("", "visitor", "x"), None, text("a"))) == [text("收到：a")]
