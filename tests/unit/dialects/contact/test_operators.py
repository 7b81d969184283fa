"""Operators (`contact 9.3`): the door, every request, and what they are shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contact_parts import options
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.contact.operators import MAX_ASKS, SEAT, is_operator
from trunkline.dialects.contact.translate import derive_delivery_uuid
from trunkline.dialects.contract import (
    DoBroadcast,
    DoClose,
    DoRelease,
    DoSend,
    DoTakeOver,
    DoWatch,
    FindChats,
    FindHistory,
    Head,
    LinkState,
    Opening,
)
from trunkline.errors import (
    DeliveryRefused,
    LinkLost,
    LocalProtocolError,
    StoreUnavailable,
)
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say, Tell
from trunkline.model.event import Fleeting, MessageReceived, Person, RequestReceived
from trunkline.model.history import ChatFacts, History, HistoryItem, TakeoverChanged

SECRET = "correct-horse-battery-staple"
CHAT = Chat("", "visitor", "s-1")


def operator(*, kind: str = "operator", query: dict[str, str] | None = None, **keys: Any) -> Pump:
    """Return a started session with an operator; what it asks stays open."""
    clock = FakeClock()
    session = CONTACT.open(
        options(operator_token=SECRET, **keys), Opening("site", kind, clock, CountingIds())
    )
    pump = Pump(session, clock=clock, head=Head("/contact/operator", query or {}))
    pump.start()
    return pump


def frames(pump: Pump) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in pump.take()]


def say(pump: Pump, kind: str, **fields: Any) -> list[dict[str, Any]]:
    pump.inject(json.dumps({"type": kind, **fields}))
    return frames(pump)


def let_in(**keys: Any) -> Pump:
    pump = operator(**keys)
    frames(pump)
    return pump


def asked(pump: Pump) -> Any:
    (request,) = pump.bot.asks.values()
    return request


def answer(pump: Pump, value: Any) -> list[dict[str, Any]]:
    (tag,) = pump.bot.asks
    pump.answer_ask(pump.bot, tag, value)
    return frames(pump)


# -- the door -----------------------------------------------------------------------------------


def test_with_the_token_in_the_upgrade_the_operator_is_in_at_once() -> None:
    pump = operator()
    assert [frame["type"] for frame in frames(pump)] == ["auth_ok"]
    assert pump.bot.state is LinkState.READY
    assert pump.bot.seat is not None
    assert pump.bot.seat.key.startswith(SEAT)
    assert pump.bot.seat.is_staff  # broadcasts pass it by
    assert pump.bot.seat.is_brief
    assert pump.bot.session.wake_at is None


def test_the_first_frame_may_carry_the_token() -> None:
    pump = operator(kind="operator-unknown")
    assert frames(pump) == []
    assert pump.bot.state is LinkState.OPENING
    assert [frame["type"] for frame in say(pump, "auth", token=SECRET, name="Ann")] == ["auth_ok"]
    assert pump.bot.state is LinkState.READY
    pump.advance(10)
    assert pump.bot.hangup is None
    say(pump, "takeover", session_id="s-1")
    assert asked(pump) == DoTakeOver(CHAT, "Ann", 600.0)


@pytest.mark.parametrize(
    "first",
    ['{"type":"auth","token":"wrong"}', '{"type":"auth"}', '{"type":"sessions"}', "{", "[]"],
)
def test_anything_else_first_closes_with_1008(first: str) -> None:
    pump = operator(kind="operator-unknown")
    pump.inject(first)
    assert frames(pump) == []
    assert pump.bot.hangup is not None
    assert pump.bot.hangup.code == 1008
    assert pump.bot.kinds() == ["auth-failed"]
    assert SECRET not in repr(pump.bot.effects)


def test_five_seconds_without_a_token_close_with_1008() -> None:
    pump = operator(kind="operator-unknown")
    pump.advance(4.9)
    assert pump.bot.hangup is None
    pump.advance(0.1)
    assert pump.bot.hangup is not None
    assert pump.bot.hangup.code == 1008
    assert pump.bot.kinds() == ["auth-failed"]


def test_the_token_is_compared_whole() -> None:
    with_token = options(operator_token=SECRET)
    assert is_operator(with_token, SECRET)
    for token in ("", SECRET[:-1], SECRET + "x", SECRET.upper(), "\ud800"):
        assert not is_operator(with_token, token)
    assert not is_operator(options(), "")


# -- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        ("watch", DoWatch(CHAT)),
        ("unwatch", DoWatch(CHAT, is_on=False)),
        ("takeover", DoTakeOver(CHAT, "", 600.0)),
        ("release", DoRelease(CHAT)),
    ],
)
def test_a_request_is_asked_and_answered_once(kind: str, request_: Any) -> None:
    pump = let_in()
    assert say(pump, kind, session_id="s-1") == []
    assert asked(pump) == request_
    (done,) = answer(pump, True)
    assert (done["type"], done["request"], done["session_id"]) == ("ok", kind, "s-1")


def test_takeover_names_the_operator_and_the_time() -> None:
    pump = let_in(query={"name": "Ann"})
    say(pump, "takeover", session_id="s-1", for_s=60)
    assert asked(pump) == DoTakeOver(CHAT, "Ann", 60.0)
    answer(pump, True)
    say(pump, "takeover", session_id="s-1", name="Bob")
    assert asked(pump) == DoTakeOver(CHAT, "Bob", 600.0)
    answer(pump, True)
    say(pump, "auth", token="", name="Cid")  # already in: only the name counts
    say(pump, "takeover", session_id="s-1")
    assert asked(pump) == DoTakeOver(CHAT, "Cid", 600.0)


def test_a_message_to_a_visitor_has_the_id_that_the_visitor_sees() -> None:
    pump = let_in()
    say(pump, "operator_message", session_id="s-1", message="hi", name="Ann", client_message_id="c")
    assert asked(pump) == DoSend(CHAT, text("hi"), "Ann")
    (done,) = answer(pump, DeliveryId(32))
    assert done["message_id"] == derive_delivery_uuid(DeliveryId(32))
    assert (done["client_message_id"], done["session_id"]) == ("c", "s-1")


def test_a_broadcast_reports_how_many_got_it() -> None:
    pump = let_in()
    say(pump, "broadcast", message="hi all")
    assert asked(pump) == DoBroadcast(text("hi all"))
    (result,) = answer(pump, (7, 2))
    assert (result["type"], result["delivered"], result["failed"]) == ("broadcast_result", 7, 2)


def test_close_session() -> None:
    pump = let_in()
    say(pump, "close_session", session_id="s-1")
    assert asked(pump) == DoClose(CHAT)
    (done,) = answer(pump, 0)
    assert (done["request"], done["closed"]) == ("close_session", 0)


def test_the_list_of_sessions() -> None:
    pump = let_in()
    say(pump, "sessions", limit=1000)
    assert asked(pump) == FindChats(100)
    now_ms = pump.clock.now_ms()
    event = MessageReceived(CHAT, Person("s-1"), text("x" * 300))
    (listed,) = answer(
        pump,
        (
            ChatFacts(
                CHAT, exists=True, last_ms=now_ms, last=HistoryItem(16, now_ms, "user", event),
                taken_until_ms=now_ms + 1, taken_by="Ann", unread=3, is_online=True,
            ),
            ChatFacts(Chat("", "visitor", "s-2"), taken_until_ms=now_ms, taken_by="Ann"),
        ),
    )  # fmt: skip
    first, second = listed["sessions"]
    assert first == {
        "session_id": "s-1",
        "state": "online",
        "unread": 3,
        "last_sender": "user",
        "last_text": "x" * 200,
        "last_time": "2026-01-01T00:00:00.000+00:00",
        "operator": "Ann",
    }
    assert second == {"session_id": "s-2", "state": "offline", "unread": 0}


def test_the_history_of_a_chat_pages_back() -> None:
    pump = let_in()
    say(pump, "history_request", session_id="s-1", limit=1)
    assert asked(pump) == FindHistory(CHAT, 0, 1)
    item = HistoryItem(33, 0, "operator", segments=text("hi"), name="Ann")
    (history,) = answer(pump, History((item,), has_more=True))
    assert history["session_id"] == "s-1"
    (shown,) = history["messages"]
    assert (shown["sender"], shown["sender_name"]) == ("operator", "Ann")
    say(pump, "history_request", session_id="s-1", before=shown["message_id"])
    assert asked(pump) == FindHistory(CHAT, 33, 50)
    answer(pump, History())
    say(pump, "history_request", session_id="s-1", before="by-a-visitor")
    assert asked(pump) == FindHistory(CHAT, 0, 200)  # looked for
    (error,) = answer(pump, History())
    assert (error["code"], error["field"]) == ("invalid_field", "before")


def test_typing_and_read_are_passed_on() -> None:
    pump = let_in()
    assert say(pump, "typing", session_id="s-1", active=True) == []
    assert say(pump, "read", session_id="s-1", message_id="m") == []
    assert pump.bot.fleeting == [
        Fleeting(CHAT, "typing", b'{"active":true,"sender":"operator"}'),
        Fleeting(CHAT, "read", b'{"message_id":"m","sender":"operator"}'),
    ]


def test_ping() -> None:
    assert [frame["type"] for frame in say(let_in(), "ping")] == ["pong"]


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        ("{", "invalid_json", ""),
        ("[]", "invalid_field", ""),
        ("{}", "missing_type", ""),
        ('{"type":"dance"}', "unknown_type", ""),
        ('{"type":"watch"}', "missing_field", "session_id"),
        ('{"type":"watch","session_id":""}', "invalid_field", "session_id"),
        ('{"type":"takeover","session_id":"s","for_s":0}', "invalid_field", "for_s"),
        ('{"type":"broadcast","message":" "}', "invalid_field", "message"),
        ('{"type":"operator_message","session_id":"s","message":" "}', "invalid_field", "message"),
    ],
)
def test_a_frame_that_is_not_taken(raw: str, code: str, field: str) -> None:
    pump = let_in()
    pump.inject(raw)
    (error,) = frames(pump)
    assert (error["type"], error["code"], error.get("field", "")) == ("error", code, field)
    assert pump.bot.hangup is None
    assert pump.bot.asks == {}
    assert pump.bot.kinds() == [f"rejected:{code}"]


def test_words_that_are_too_long() -> None:
    pump = let_in(message_chars=3)
    (error,) = say(pump, "broadcast", message="four")
    assert error["code"] == "message_too_long"
    (error,) = say(pump, "operator_message", session_id="s-1", message="four")
    assert (error["code"], error["session_id"]) == ("message_too_long", "s-1")
    assert pump.bot.asks == {}


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (StoreUnavailable("x"), "server_busy"),
        (LocalProtocolError("x"), "internal"),
        (DeliveryRefused("no such chat"), "invalid_field"),
    ],
)
def test_what_the_house_refuses(problem: Any, code: str) -> None:
    pump = let_in()
    say(pump, "takeover", session_id="s-1")
    (error,) = answer(pump, problem)
    assert (error["code"], error["request"], error["session_id"]) == (code, "takeover", "s-1")


def test_requests_that_wait_are_bounded() -> None:
    pump = let_in()
    for _ in range(MAX_ASKS):
        assert say(pump, "watch", session_id="s-1") == []
    (error,) = say(pump, "watch", session_id="s-1")
    assert (error["code"], error["request"]) == ("server_busy", "watch")
    assert len(pump.bot.asks) == MAX_ASKS


def test_answers_after_the_end_say_nothing() -> None:
    pump = let_in()
    say(pump, "watch", session_id="s-1")
    pump.cut(LinkLost())  # answers what is open with the error
    assert frames(pump) == []
    assert pump.bot.state is LinkState.CLOSED
    with pytest.raises(LocalProtocolError):
        pump.bot.session.answered(99, True)


def test_a_stop_closes_with_1001() -> None:
    pump = let_in()
    pump.finish()
    assert pump.bot.hangup is not None
    assert pump.bot.hangup.code == 1001


# -- what an operator is shown ------------------------------------------------------------------


def tell(pump: Pump, told: Any) -> list[dict[str, Any]]:
    pump.deliver(pump.bot, Delivery(DeliveryId(0), CHAT, Tell(CHAT, told)))
    pump.bot.settled.clear()
    return frames(pump)


def test_a_watched_chat() -> None:
    pump = let_in()
    event = MessageReceived(CHAT, Person("s-1"), text("q"), None, "m-1")
    (frame,) = tell(pump, HistoryItem(16, 0, "user", event))
    assert (frame["type"], frame["session_id"]) == ("chat_message", "s-1")
    assert (frame["sender"], frame["message"], frame["message_id"]) == ("user", "q", "m-1")
    (frame,) = tell(pump, HistoryItem(17, 0, "assistant", segments=text("a")))
    assert (frame["sender"], frame["message"]) == ("assistant", "a")
    request = RequestReceived(CHAT, "contact", "call me", peer_id="r-1")
    (frame,) = tell(pump, HistoryItem(32, 0, "user", request))
    assert (frame["message"], frame["kind"]) == ("call me", "contact_request")
    (frame,) = tell(pump, TakeoverChanged(CHAT, "Bob"))
    assert (frame["type"], frame["name"], frame["session_id"]) == ("operator_joined", "Bob", "s-1")
    (frame,) = tell(pump, TakeoverChanged(CHAT, "Bob", is_taken=False, reason="late"))
    assert (frame["type"], frame["reason"]) == ("operator_left", "late")
    (frame,) = tell(pump, Fleeting(CHAT, "typing", b'{"active":true,"sender":"user"}'))
    assert (frame["type"], frame["session_id"], frame["active"]) == ("typing", "s-1", True)
    (frame,) = tell(pump, Fleeting(CHAT, "read", b'{"message_id":"m"}'))
    assert (frame["type"], frame["message_id"], frame["sender"]) == ("read", "m", "user")
    assert tell(pump, Fleeting(CHAT, "presence")) == []
    assert tell(pump, Fleeting(CHAT, "typing", b"nonsense")) == []


def test_a_message_is_not_for_an_operator() -> None:
    pump = let_in()
    ident = pump.say(pump.bot, CHAT, "hi")
    assert pump.bot.settled[ident].outcome is Outcome.REFUSED
    assert frames(pump) == []
    waiting = operator(kind="operator-unknown")
    with pytest.raises(LocalProtocolError):
        waiting.bot.session.send(Delivery(DeliveryId(16), CHAT, Say(text("hi"))))
