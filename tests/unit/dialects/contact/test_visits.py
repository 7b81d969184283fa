"""A visitor who opts in (`contact 9`): what the site says, waits for and settles."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from contact_parts import chat, echo, request, site
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contact.bot import HELD_FRAMES
from trunkline.dialects.contact.optin import derive_session_id
from trunkline.dialects.contact.translate import derive_delivery_uuid, derive_message_id
from trunkline.dialects.contract import (
    Ask,
    Changed,
    FindChat,
    FindHistory,
    Head,
    LinkInfo,
    LinkState,
    Seat,
    Sharing,
    Transmit,
)
from trunkline.errors import LinkLost, StoreUnavailable
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say, Tell
from trunkline.model.event import Fleeting, MessageReceived, Person, RequestReceived
from trunkline.model.history import ChatFacts, History, HistoryItem, TakeoverChanged

TOKEN = "0123456789abcdef" * 2
SESSION = derive_session_id(TOKEN)
CHAT = Chat("", "visitor", SESSION)
DAY_MS = 86_400_000


def opened(query: dict[str, str] | None = None, **keys: Any) -> Pump:
    """Return a site with a link whose query is this; `Find` requests stay open."""
    clock = FakeClock()
    pump_keys = {name: keys.pop(name) for name in ("commit", "answer", "find") if name in keys}
    head = Head("/contact", query or {}, peer="192.0.2.7")
    pump = Pump(site(clock, **keys), clock=clock, head=head, **pump_keys)
    pump.start()
    return pump


def frames(pump: Pump) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in pump.take()]


def say(pump: Pump, frame: dict[str, Any]) -> list[dict[str, Any]]:
    pump.inject(json.dumps(frame))
    return frames(pump)


def known(pump: Pump, **more: Any) -> ChatFacts:
    return ChatFacts(CHAT, exists=True, last_ms=pump.clock.now_ms() - 1000, **more)


def the_ask(pump: Pump) -> tuple[Any, Any]:
    (ask,) = pump.bot.asks.items()
    return ask


def found(pump: Pump, answer: Any) -> list[dict[str, Any]]:
    tag, _ = the_ask(pump)
    pump.answer_ask(pump.bot, tag, answer)
    return frames(pump)


def user_item(row: int, words: str, ident: str) -> HistoryItem:
    event = MessageReceived(CHAT, Person(SESSION), text(words), b"c:x" + ident.encode(), ident)
    return HistoryItem(row, 1_767_225_600_000 + row, "user", event)


def answer_item(row: int, words: str, state: str = "sent", **more: Any) -> HistoryItem:
    at_ms = 1_767_225_600_000 + row
    return HistoryItem(row, at_ms, "assistant", segments=text(words), state=state, **more)


def resumed(*items: HistoryItem, query: dict[str, str] | None = None, **keys: Any) -> Pump:
    """Return a site whose visitor is back, the greeting and the history taken off the wire."""
    pump = opened({"v": "2", "session": TOKEN, **(query or {})}, **keys)
    found(pump, known(pump))
    found(pump, History(items))
    return pump


# -- opting in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [{}, {"v": "1"}, {"v": "x"}, {"v": "²"}, {"session": TOKEN}])
def test_without_opting_in_the_greeting_is_plain(query: dict[str, str]) -> None:
    pump = opened(query)
    (greeting,) = frames(pump)
    assert set(greeting) == {"type", "message", "client_id", "timestamp"}
    assert pump.bot.seat is not None
    assert pump.bot.seat.is_brief


def test_opting_in_by_the_query_starts_a_session() -> None:
    pump = opened({"v": "2"})
    (greeting,) = frames(pump)
    token = greeting["session_token"]
    assert len(token) == 32
    assert greeting["session_id"] == derive_session_id(token)
    assert greeting["resumed"] is False
    assert greeting["features"] == ["session", "history", "typing", "read"]
    assert greeting["heartbeat_interval"] == 25
    assert greeting["limits"]["message_chars"] == 10_000
    assert UUID(greeting["client_id"]).version == 4
    assert pump.bot.seat == Seat(greeting["session_id"], sharing=Sharing.JOIN, is_new=True)
    assert pump.bot.asks == {}


def test_only_what_is_built_is_granted() -> None:
    (greeting,) = frames(opened({"features": "typing,status,unread,session,stream"}))
    assert greeting["features"] == ["session", "typing"]
    pump = opened({"features": "typing,history"})
    (greeting,) = frames(pump)
    assert greeting["features"] == ["typing"]  # without a session there is no history
    assert "session_token" not in greeting
    assert pump.bot.seat is not None
    assert pump.bot.seat.key == greeting["client_id"]
    assert pump.bot.seat.is_brief


def test_hello_as_the_first_frame_opts_in_and_moves_to_the_session() -> None:
    pump = opened()
    frames(pump)
    (ack,) = say(pump, {"type": "hello", "v": 2, "features": ["session", "typing", "status"]})
    assert ack["type"] == "hello_ack"
    assert ack["features"] == ["session", "typing"]
    assert ack["session_id"] == derive_session_id(ack["session_token"])
    assert ack["resumed"] is False
    assert pump.bot.seat == Seat(ack["session_id"], sharing=Sharing.JOIN, is_new=True)
    say(pump, chat())
    (event,) = pump.bot.inbox
    assert event.chat == Chat("", "visitor", ack["session_id"])


def test_hello_for_other_features_keeps_the_plain_conversation() -> None:
    pump = opened()
    (greeting,) = frames(pump)
    (ack,) = say(pump, {"type": "hello", "features": ["typing"]})
    assert ack["features"] == ["typing"]
    assert "session_id" not in ack
    assert "resumed" not in ack
    assert pump.bot.seat is not None
    assert pump.bot.seat.key == greeting["client_id"]


def test_hello_after_the_query_keeps_the_session() -> None:
    pump = opened({"v": "2"})
    (greeting,) = frames(pump)
    (ack,) = say(pump, {"type": "hello", "features": ["typing"]})
    assert ack["session_id"] == greeting["session_id"]
    assert ack["session_token"] == greeting["session_token"]
    assert ack["features"] == greeting["features"]


def test_hello_that_is_not_the_first_frame_is_an_unknown_type() -> None:
    pump = opened()
    frames(pump)
    say(pump, chat())
    (error,) = say(pump, {"type": "hello"})
    assert error["code"] == "unknown_type"
    (error,) = say(pump, {"type": "resume", "session_token": TOKEN})
    assert error["code"] == "unknown_type"


@pytest.mark.parametrize(
    ("frame", "code", "field"),
    [
        ({"type": "hello", "features": "session"}, "invalid_field", "features"),
        ({"type": "hello", "features": [1]}, "invalid_field", "features"),
        ({"type": "resume"}, "missing_field", "session_token"),
        ({"type": "resume", "session_token": 7}, "invalid_field", "session_token"),
    ],
)
def test_a_broken_first_frame_is_rejected(frame: Any, code: str, field: str) -> None:
    pump = opened()
    frames(pump)
    (error,) = say(pump, frame)
    assert (error["code"], error["field"]) == (code, field)
    assert pump.bot.hangup is None


# -- coming back --------------------------------------------------------------------------------


def test_the_greeting_waits_for_the_store_and_frames_wait_behind_it() -> None:
    pump = opened({"v": "2", "session": TOKEN}, answer=echo)
    assert frames(pump) == []
    assert pump.bot.state is LinkState.OPENING
    assert the_ask(pump)[1] == FindChat(CHAT)
    assert say(pump, {"type": "ping"}) == []
    assert say(pump, chat("a", client_message_id="1")) == []
    out = found(pump, known(pump))
    assert [frame["type"] for frame in out] == [
        "connection_established", "pong", "chat_message_received",
    ]  # fmt: skip
    assert out[0]["resumed"] is True
    assert (out[0]["session_id"], out[0]["session_token"]) == (SESSION, TOKEN)
    assert pump.bot.seat == Seat(SESSION, sharing=Sharing.JOIN, is_new=False)
    assert the_ask(pump)[1] == FindHistory(CHAT, 0, 50)
    out = found(pump, History())
    assert [frame["type"] for frame in out] == ["history", "chat_message"]


@pytest.mark.parametrize("age_ms", [None, 30 * DAY_MS + 1])
def test_an_unknown_or_old_token_starts_a_new_session(age_ms: int | None) -> None:
    pump = opened({"v": "2", "session": TOKEN})
    last_ms = pump.clock.now_ms() - (age_ms or 0)
    (greeting,) = found(pump, ChatFacts(CHAT, exists=age_ms is not None, last_ms=last_ms))
    assert greeting["resumed"] is False
    assert greeting["session_token"] != TOKEN
    assert greeting["session_id"] == derive_session_id(greeting["session_token"])
    assert pump.bot.seat == Seat(greeting["session_id"], sharing=Sharing.JOIN, is_new=True)
    assert pump.bot.asks == {}


def test_thirty_days_are_still_good() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    facts = ChatFacts(CHAT, exists=True, last_ms=pump.clock.now_ms() - 30 * DAY_MS)
    assert found(pump, facts)[0]["resumed"] is True


@pytest.mark.parametrize("token", ["", "x", TOKEN.upper(), TOKEN + "0", "0" * 31 + "\n"])
def test_what_is_no_token_is_not_looked_up(token: str) -> None:
    pump = opened({"v": "2", "session": token})
    (greeting,) = frames(pump)
    assert greeting["resumed"] is False
    assert pump.bot.asks == {}


def test_a_store_that_is_slow_costs_one_second_and_not_the_chat() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    say(pump, chat("a"))
    pump.advance(0.999)
    assert frames(pump) == []
    pump.advance(0.001)
    greeting, ack = frames(pump)
    assert greeting["type"] == "connection_established"
    assert (greeting["resumed"], greeting["session_id"]) == (False, SESSION)
    assert ack["type"] == "chat_message_received"
    assert pump.bot.seat == Seat(SESSION, sharing=Sharing.JOIN, is_new=False)
    assert found(pump, known(pump)) == []  # too late to be of use


def test_a_store_that_is_away_does_not_cost_the_chat() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    (greeting,) = found(pump, StoreUnavailable("away"))
    assert (greeting["resumed"], greeting["session_token"]) == (False, TOKEN)


def test_a_link_that_dies_while_it_is_looked_up() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    say(pump, chat("a"))
    pump.cut()
    assert pump.bot.state is LinkState.CLOSED
    assert frames(pump) == []
    assert pump.bot.session.wake_at is None


def test_a_stop_while_it_is_looked_up() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    pump.finish()
    assert pump.bot.hangup is not None
    assert pump.bot.hangup.code == 1001


def test_frames_before_the_greeting_are_bounded() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    for _ in range(HELD_FRAMES):
        pump.inject('{"type":"ping"}')
    assert pump.bot.hangup is None
    pump.inject('{"type":"ping"}')
    assert pump.bot.hangup is not None
    assert pump.bot.hangup.code == 1013
    large = opened({"v": "2", "session": TOKEN})
    large.inject(json.dumps(chat("x" * (1 << 20))))
    assert large.bot.hangup is not None


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "resume", "session_token": TOKEN},
        {"type": "hello", "v": 2, "session_token": TOKEN},
    ],
)
def test_resume_by_the_first_frame(frame: dict[str, Any]) -> None:
    pump = opened()
    frames(pump)
    assert say(pump, frame) == []
    assert say(pump, chat("a", client_message_id="1")) == []  # waits in order
    ack, received = found(pump, known(pump))
    assert (ack["type"], ack["resumed"], ack["session_id"]) == ("hello_ack", True, SESSION)
    assert received["type"] == "chat_message_received"
    assert pump.bot.inbox[0].chat == CHAT
    assert pump.bot.seat == Seat(SESSION, sharing=Sharing.JOIN, is_new=False)
    (history,) = found(pump, History((answer_item(17, "hi"),), has_more=True))
    assert history["type"] == "history"
    assert history["has_more"] is True


def test_resume_right_after_hello() -> None:
    pump = opened()
    frames(pump)
    (first,) = say(pump, {"type": "hello"})
    say(pump, {"type": "resume", "session_token": TOKEN})
    (ack,) = found(pump, known(pump))
    assert ack["resumed"] is True
    assert ack["session_id"] == SESSION != first["session_id"]
    found(pump, History())
    (again,) = say(pump, {"type": "hello"}) or [None]
    assert again is not None
    assert again["type"] == "error"  # no longer the first frame


def test_who_has_the_chat_is_told_to_who_comes_back() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    until_ms = pump.clock.now_ms() + 1
    out = found(pump, known(pump, taken_until_ms=until_ms, taken_by="Ann"))
    assert [frame["type"] for frame in out] == ["connection_established", "operator_joined"]
    assert out[1]["name"] == "Ann"
    free = opened({"v": "2", "session": TOKEN})
    out = found(free, known(free, taken_until_ms=free.clock.now_ms(), taken_by="Ann"))
    assert [frame["type"] for frame in out] == ["connection_established"]


def test_a_session_that_was_resumed_stays() -> None:
    pump = resumed()
    (ack,) = say(pump, {"type": "resume", "session_token": TOKEN[::-1]})
    assert (ack["type"], ack["resumed"], ack["session_id"]) == ("hello_ack", True, SESSION)
    assert pump.bot.asks == {}


def test_the_history_is_asked_for_after_everything_else_is_said() -> None:
    session = site(FakeClock())
    (ask,) = session.linked(LinkInfo(Head("/contact", {"v": "2", "session": TOKEN})))
    session.receive(b'{"type":"ping"}', is_text=True)
    facts = ChatFacts(CHAT, exists=True, last_ms=FakeClock().now_ms())
    kinds = [type(effect) for effect in session.answered(ask.tag, facts)]
    assert kinds == [Transmit, Changed, Transmit, Ask]  # an answer may come while it is applied


def test_the_idle_limit_does_not_hold_before_the_greeting() -> None:
    pump = opened({"v": "2", "session": TOKEN}, idle_timeout_s=0.5)
    pump.advance(0.9)
    assert pump.bot.hangup is None
    pump.advance(0.1)
    assert [frame["type"] for frame in frames(pump)] == ["connection_established"]


def test_the_idle_limit_counts_from_the_link_also_while_it_waits() -> None:
    pump = opened({"v": "2", "session": TOKEN}, idle_timeout_s=5)
    pump.advance(1)
    assert [frame["type"] for frame in frames(pump)] == ["connection_established"]
    pump.advance(3.9)
    assert pump.bot.hangup is None
    pump.advance(0.1)
    assert pump.bot.hangup is not None
    assert pump.bot.hangup.reason == "idle"


# -- history ------------------------------------------------------------------------------------


def test_the_history_of_who_comes_back() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    found(pump, known(pump))
    (history,) = found(pump, History((user_item(16, "q", "m-1"), answer_item(17, "a"))))
    assert history["messages"] == [
        {
            "message_id": "m-1",
            "sender": "user",
            "message": "q",
            "timestamp": "2026-01-01T00:00:00.016+00:00",
            "seq": 16,
            "client_message_id": "xm-1",
        },
        {
            "message_id": derive_delivery_uuid(DeliveryId(17)),
            "sender": "assistant",
            "message": "a",
            "timestamp": "2026-01-01T00:00:00.017+00:00",
            "seq": 17,
        },
    ]
    assert history["has_more"] is False


def test_only_what_is_new_since_the_last_message() -> None:
    last = derive_delivery_uuid(DeliveryId(17))
    pump = opened({"v": "2", "session": TOKEN, "last_message_id": last})
    found(pump, known(pump))
    assert the_ask(pump)[1] == FindHistory(CHAT, 0, 200)
    items = (user_item(16, "q", "m-1"), answer_item(17, "a"), answer_item(33, "b"))
    (history,) = found(pump, History(items, has_more=True))
    assert [item["message"] for item in history["messages"]] == ["b"]
    assert history["has_more"] is False  # nothing is left out in between


def test_what_is_to_be_sent_waits_until_the_history_is_out() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    found(pump, known(pump))
    in_it, not_in_it = DeliveryId(17), DeliveryId(48)
    for ident, words in ((in_it, "a"), (not_in_it, "b")):
        pump.deliver(pump.bot, Delivery(ident, CHAT, Say(text(words))))
    pump.deliver(pump.bot, Delivery(DeliveryId(0), CHAT, Tell(CHAT, user_item(16, "q", "m-1"))))
    assert frames(pump) == []
    assert set(pump.bot.pending) == {in_it, not_in_it}
    items = (user_item(16, "q", "m-1"), answer_item(17, "a", "queued"))
    history, live = found(pump, History(items))
    assert [item["message"] for item in history["messages"]] == ["q", "a"]
    assert (live["type"], live["message"]) == ("chat_message", "b")
    for ident in (in_it, not_in_it):
        assert pump.bot.settled[ident].outcome is Outcome.SENT
        assert pump.bot.settled[ident].peer_id == derive_delivery_uuid(ident)


def test_a_queued_answer_that_was_in_the_history_is_not_shown_twice() -> None:
    pump = resumed(answer_item(17, "a", "queued"), answer_item(33, "b", "sent"))
    pump.deliver(pump.bot, Delivery(DeliveryId(17), CHAT, Say(text("a"))))
    assert frames(pump) == []
    assert pump.bot.settled[DeliveryId(17)].outcome is Outcome.SENT
    # b was sent before; when a person queues it again, it is written again
    pump.deliver(pump.bot, Delivery(DeliveryId(33), CHAT, Say(text("b"))))
    assert [frame["message"] for frame in frames(pump)] == ["b"]


@pytest.mark.parametrize("how", ["late", "away"])
def test_without_a_history_what_waits_is_sent_all_the_same(how: str) -> None:
    pump = opened({"v": "2", "session": TOKEN})
    found(pump, known(pump))
    pump.deliver(pump.bot, Delivery(DeliveryId(17), CHAT, Say(text("a"))))
    if how == "late":
        pump.advance(1)
        assert [frame["message"] for frame in frames(pump)] == ["a"]
        assert [frame["type"] for frame in found(pump, History())] == ["history"]
    else:
        (frame,) = found(pump, StoreUnavailable("away"))
        assert frame["message"] == "a"
    say(pump, {"type": "history_request"})  # the visitor may page back
    assert len(pump.bot.asks) == 1


def test_what_waits_for_the_history_is_not_lost_with_the_link() -> None:
    pump = opened({"v": "2", "session": TOKEN})
    found(pump, known(pump))
    pump.deliver(pump.bot, Delivery(DeliveryId(17), CHAT, Say(text("a"))))
    pump.cut(LinkLost())
    assert pump.bot.settled[DeliveryId(17)].outcome is Outcome.LATER


def test_paging_back() -> None:
    pump = resumed(user_item(160, "q", "m-1"), answer_item(161, "a"))
    say(pump, {"type": "history_request", "before": "m-1", "limit": 500})
    assert the_ask(pump)[1] == FindHistory(CHAT, 160, 100)  # its place was shown before
    (history,) = found(pump, History((answer_item(33, "old"),), has_more=True))
    assert (history["before"], history["has_more"]) == ("m-1", True)
    assert [item["message"] for item in history["messages"]] == ["old"]
    say(pump, {"type": "history_request", "before": history["messages"][0]["message_id"]})
    assert the_ask(pump)[1] == FindHistory(CHAT, 33, 50)  # an answer's id tells its place


def test_one_history_request_at_a_time() -> None:
    pump = resumed()
    say(pump, {"type": "history_request"})
    (error,) = say(pump, {"type": "history_request"})
    assert error["code"] == "server_busy"
    (history,) = found(pump, History())
    assert history["type"] == "history"
    say(pump, {"type": "history_request"})
    (error,) = found(pump, StoreUnavailable("away"))
    assert error["code"] == "server_busy"


def test_paging_back_from_what_nobody_said() -> None:
    pump = resumed()
    say(pump, {"type": "history_request", "before": "no-such-id"})
    (error,) = found(pump, History())
    assert (error["code"], error["field"]) == ("invalid_field", "before")
    (error,) = say(pump, {"type": "history_request", "limit": "all"})
    assert (error["code"], error["field"]) == ("invalid_field", "limit")


# -- exactly once -------------------------------------------------------------------------------


def test_a_repeat_over_another_link_has_the_id_of_the_first() -> None:
    acks: list[str] = []
    events: list[Any] = []
    for _ in range(2):
        pump = resumed()
        (ack,) = say(pump, chat("hi", client_message_id="c-1"))
        acks.append(ack["message_id"])
        events += pump.bot.inbox
    assert acks[0] == acks[1] == events[0].peer_id
    assert acks[0] == derive_message_id(SESSION, "c-1")  # not of the link
    assert events[0].key == events[1].key == b"c:c-1"
    assert events[0].chat == events[1].chat == CHAT


# -- another tab, people, typing, read ----------------------------------------------------------


def test_own_words_of_another_tab() -> None:
    pump = resumed()
    pump.deliver(pump.bot, Delivery(DeliveryId(0), CHAT, Tell(CHAT, user_item(16, "q", "m-1"))))
    (frame,) = frames(pump)
    assert frame["type"] == "chat_message"
    assert (frame["sender"], frame["message"], frame["message_id"]) == ("user", "q", "m-1")
    assert frame["client_message_id"] == "xm-1"


def test_what_is_no_word_of_the_visitor_is_not_repeated() -> None:
    pump = resumed()
    asked = RequestReceived(CHAT, "contact", "call me")
    for told in (answer_item(17, "a"), HistoryItem(16, 0, "user", asked)):
        pump.deliver(pump.bot, Delivery(DeliveryId(0), CHAT, Tell(CHAT, told)))
        del pump.bot.settled[DeliveryId(0)]
    assert frames(pump) == []


def test_operators_come_and_go() -> None:
    pump = resumed()
    for told in (
        TakeoverChanged(CHAT, "Ann"),
        TakeoverChanged(CHAT, "Ann", is_taken=False, reason="done"),
    ):
        pump.deliver(pump.bot, Delivery(DeliveryId(0), CHAT, Tell(CHAT, told)))
        del pump.bot.settled[DeliveryId(0)]
    joined, left = frames(pump)
    assert (joined["type"], joined["name"]) == ("operator_joined", "Ann")
    assert (left["type"], left["reason"]) == ("operator_left", "done")


def test_without_a_session_there_is_no_other_tab() -> None:
    pump = opened({"features": "typing"})
    frames(pump)
    pump.deliver(pump.bot, Delivery(DeliveryId(0), CHAT, Tell(CHAT, user_item(16, "q", "m"))))
    assert frames(pump) == []


@pytest.mark.parametrize(
    "told", [TakeoverChanged(CHAT, "Ann"), user_item(16, "q", "m"), Fleeting(CHAT, "typing")]
)
def test_a_plain_visitor_is_told_nothing(told: Any) -> None:
    pump = opened()
    frames(pump)
    pump.deliver(pump.bot, Delivery(DeliveryId(0), CHAT, Tell(CHAT, told)))
    assert frames(pump) == []


def test_typing_goes_both_ways_and_is_never_stored() -> None:
    pump = resumed()
    assert say(pump, {"type": "typing", "active": True}) == []
    assert pump.bot.fleeting == [Fleeting(CHAT, "typing", b'{"active":true,"sender":"user"}')]
    assert pump.bot.inbox == []
    told = Fleeting(CHAT, "typing", b'{"active":false,"sender":"operator"}')
    pump.deliver(pump.bot, Delivery(DeliveryId(0), CHAT, Tell(CHAT, told)))
    (frame,) = frames(pump)
    assert (frame["type"], frame["active"], frame["sender"]) == ("typing", False, "operator")


def test_what_was_not_granted_is_neither_taken_nor_told() -> None:
    pump = opened({"features": "session"})
    frames(pump)
    for frame in ({"type": "typing", "active": True}, {"type": "read", "message_id": "x"}):
        (error,) = say(pump, frame)
        assert error["code"] == "unknown_type"
    (error,) = say(pump, {"type": "history_request"})
    assert error["code"] == "unknown_type"
    assert pump.bot.fleeting == []
    told = Fleeting(pump.bot.inbox[0].chat if pump.bot.inbox else CHAT, "typing", b"{}")
    pump.deliver(pump.bot, Delivery(DeliveryId(0), CHAT, Tell(CHAT, told)))
    assert frames(pump) == []


def test_read_proves_the_answers_up_to_it() -> None:
    pump = resumed()
    idents = [DeliveryId(row) for row in (17, 33, 49)]
    for ident in idents:
        pump.deliver(pump.bot, Delivery(ident, CHAT, Say(text("a"))))
    second = [frame["message_id"] for frame in frames(pump)][1]
    assert say(pump, {"type": "read", "message_id": second}) == []
    outcomes = [pump.bot.settled[ident].outcome for ident in idents]
    assert outcomes == [Outcome.CONFIRMED, Outcome.CONFIRMED, Outcome.SENT]
    assert pump.bot.settled[idents[1]].peer_id == second
    say(pump, {"type": "read", "message_id": second})  # again: nothing is proved twice
    say(pump, {"type": "read", "message_id": "unknown"})
    assert len(pump.bot.history) == 5
    assert [event.name for event in pump.bot.fleeting] == ["read"] * 3


def test_typing_and_read_are_counted_with_the_pings() -> None:
    pump = resumed(pings_per_s=3)
    for _ in range(5):
        say(pump, {"type": "typing", "active": True})
    assert len(pump.bot.fleeting) == 3
    pump.advance(1)
    say(pump, {"type": "read", "message_id": "x"})
    assert len(pump.bot.fleeting) == 4


def test_who_speaks() -> None:
    pump = resumed()
    for row, context in ((32, b"\x81\xa8operator\xa3Ann"), (48, b"\x81\xa9broadcast\xc3")):
        pump.deliver(pump.bot, Delivery(DeliveryId(row), CHAT, Say(text("a")), context))
    person, system = frames(pump)
    assert (person["sender"], person["sender_name"]) == ("operator", "Ann")
    assert "broadcast" not in person
    assert (system["sender"], system["broadcast"]) == ("system", True)


def test_another_visitors_answer_is_refused() -> None:
    pump = resumed()
    other = Chat("", "visitor", "other")
    pump.deliver(pump.bot, Delivery(DeliveryId(17), other, Say(text("a"))))
    assert pump.bot.settled[DeliveryId(17)].outcome is Outcome.REFUSED
    assert frames(pump) == []


def test_a_contact_request_belongs_to_the_session() -> None:
    pump = resumed()
    (ack,) = say(pump, request())
    assert ack["type"] == "contact_request_received"
    assert pump.bot.inbox[0].chat == CHAT


def test_the_token_is_in_no_event_and_in_no_detail() -> None:
    pump = resumed()
    say(pump, chat("hi", client_message_id="c-1"))
    say(pump, {"type": "read", "message_id": "x"})
    kept = [effect for effect in pump.bot.effects if type(effect).__name__ != "Transmit"]
    assert kept
    assert TOKEN not in repr(kept)
