from __future__ import annotations

import json
from typing import Any

import pytest

from contact_parts import URL, visitor
from pump import Pump
from trunkline.clock import FakeClock
from trunkline.dialects.contact.platform import MAX_PENDING, MAX_PIECES
from trunkline.dialects.contact.translate import SITE
from trunkline.dialects.contract import (
    Again,
    Changed,
    Dial,
    Hangup,
    Head,
    LinkInfo,
    LinkState,
    Noticed,
    Seat,
    Settled,
)
from trunkline.errors import LinkLost, LocalProtocolError
from trunkline.ids import DeliveryId
from trunkline.model.delivery import Act, Delivery, Outcome, Say
from trunkline.model.segment import Image, Quote, Text

GREETING = {"type": "connection_established", "message": "hi", "client_id": "v", "timestamp": "t"}


def linked(**keys: Any) -> Pump:
    """Return a visitor whose site is the test."""
    clock = FakeClock()
    pump = Pump(visitor(clock, **keys), clock=clock)
    pump.start()
    return pump


def greeted(**keys: Any) -> Pump:
    pump = linked(**keys)
    hear(pump, GREETING)
    return pump


def hear(pump: Pump, frame: dict[str, Any]) -> None:
    pump.inject(json.dumps(frame))


def said(pump: Pump) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in pump.take()]


def test_begin_dials_what_is_configured() -> None:
    clock = FakeClock()
    session = visitor(
        clock, headers={"X-A": "b"}, user_agent="me", subprotocol="p", max_message_bytes=4096
    )
    assert session.begin(None) == (Dial(URL, {"X-A": "b", "User-Agent": "me"}, "p", 4096),)


def test_ready_at_the_greeting_and_not_before() -> None:
    pump = linked()
    assert pump.bot.state is LinkState.OPENING
    hear(pump, GREETING)
    assert pump.bot.effects[-1] == Changed(LinkState.READY, Seat(SITE.id))
    hear(pump, GREETING)
    assert pump.bot.kinds() == ["greeted-twice"]


def test_a_site_that_does_not_greet_is_left() -> None:
    pump = linked()
    pump.advance(9.9)
    assert pump.bot.hangup is None
    pump.advance(0.1)
    assert pump.bot.hangup == Hangup(1002, "no greeting", Again("silent"))


def test_a_message_is_confirmed_by_its_id() -> None:
    pump = greeted()
    one, two = pump.say(pump.bot, SITE, "one"), pump.say(pump.bot, SITE, "two")
    first, second = said(pump)
    assert (first["message"], second["message"]) == ("one", "two")
    assert first["timestamp"] == "2026-01-01T00:00:00.000+00:00"
    ack = {"type": "chat_message_received", "message": "m", "timestamp": "t"}
    hear(pump, {**ack, "message_id": "m-2", "client_message_id": second["client_message_id"]})
    assert pump.bot.settled == {two: Settled(two, Outcome.CONFIRMED, "m-2")}
    hear(pump, {**ack, "message_id": "m-1", "client_message_id": first["client_message_id"]})
    assert pump.bot.settled[one] == Settled(one, Outcome.CONFIRMED, "m-1")
    hear(pump, {**ack, "message_id": "m-1", "client_message_id": first["client_message_id"]})
    assert pump.bot.kinds() == ["unexpected-ack"]


def test_a_site_that_echoes_no_id_acknowledges_in_order() -> None:
    pump = greeted()
    one, two = pump.say(pump.bot, SITE, "one"), pump.say(pump.bot, SITE, "two")
    ack = {"type": "chat_message_received", "message": "m", "timestamp": "t"}
    hear(pump, ack)
    assert list(pump.bot.settled) == [one]
    hear(pump, ack)
    assert list(pump.bot.settled) == [one, two]
    hear(pump, ack)
    assert pump.bot.kinds() == ["unexpected-ack"]


def test_the_id_on_the_wire_is_the_same_at_every_attempt() -> None:
    ids = []
    for attempt in (1, 2):
        pump = greeted()
        delivery = Delivery(DeliveryId(77), SITE, Say((Text("x"),)), attempt=attempt)
        pump.deliver(pump.bot, delivery)
        ids.append(said(pump)[0]["client_message_id"])
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("code", "outcome", "wait_s"),
    [
        ("rate_limited", Outcome.LATER, 2.5),
        ("server_busy", Outcome.LATER, 2.5),
        ("message_too_long", Outcome.REFUSED, 0.0),
        ("a-code-of-later", Outcome.REFUSED, 0.0),
    ],
)
def test_an_error_settles_the_message_it_names(code: str, outcome: Outcome, wait_s: float) -> None:
    pump = greeted()
    one, two = pump.say(pump.bot, SITE, "one"), pump.say(pump.bot, SITE, "two")
    error = {"type": "error", "message": "no", "code": code, "retry_after": 2.5}
    hear(pump, {**error, "client_message_id": said(pump)[1]["client_message_id"]})
    assert list(pump.bot.settled) == [two]
    assert (pump.bot.settled[two].outcome, pump.bot.settled[two].wait_s) == (outcome, wait_s)
    assert list(pump.bot.pending) == [one]
    known = "other" if code == "a-code-of-later" else code
    assert pump.bot.noticed == [Noticed(f"peer-error:{known}")]


def test_an_error_that_names_nothing_settles_nothing() -> None:
    pump = greeted()
    pump.say(pump.bot, SITE, "one")
    hear(pump, {"type": "error", "message": "no"})
    assert pump.bot.settled == {}
    assert pump.bot.kinds() == ["peer-error:other"]


def test_a_lost_link_leaves_all_that_is_pending_uncertain() -> None:
    pump = greeted()
    one, two = pump.say(pump.bot, SITE, "one"), pump.say(pump.bot, SITE, "two")
    pump.cut(LinkLost(1006))
    assert [pump.bot.settled[ident].outcome for ident in (one, two)] == [Outcome.UNCERTAIN] * 2
    assert "1006" in pump.bot.settled[one].detail
    assert pump.bot.effects[-1] == Changed(LinkState.CLOSED)
    assert pump.bot.session.wake_at is None
    assert pump.bot.session.lost(LinkLost(1006)) == (Changed(LinkState.CLOSED),)


def test_pings_every_25_s() -> None:
    pump = greeted()
    pump.advance(24.9)
    assert pump.take() == []
    pump.advance(0.1)
    assert said(pump) == [{"type": "ping"}]
    hear(pump, {"type": "pong", "timestamp": "t"})
    pump.advance(50)
    assert said(pump) == [{"type": "ping"}] * 2
    assert pump.bot.session.tick() == ()


def test_no_pings_when_they_are_off() -> None:
    assert greeted(ping_interval_s=0).bot.session.wake_at is None


def test_answers_are_events_without_a_receipt() -> None:
    pump = greeted()
    hear(pump, {"type": "chat_message", "message": "hi", "message_id": "m", "in_reply_to": "q"})
    (event,) = pump.bot.inbox
    assert event.segments == (Quote("q"), Text("hi"))
    assert pump.bot.acknowledged == []


def test_unknown_types_are_ignored_and_broken_frames_noticed() -> None:
    pump = greeted()
    for frame in ({"type": "typing"}, {"type": "contact_request_received", "message": "",
                                       "timestamp": ""}):  # fmt: skip
        hear(pump, frame)
    assert pump.bot.noticed == []
    pump.inject("{")
    hear(pump, {"type": "chat_message"})
    pump.inject(b"\xff", is_text=False)
    assert pump.bot.kinds() == ["rejected:not_json", "rejected:bad_frame", "rejected:not_json"]
    assert pump.bot.noticed[0].detail == "1 bytes"


@pytest.mark.parametrize("what", [Act("poke"), Say((Quote("m"),)), Say((Text(" "),))])
def test_what_a_site_does_not_take(what: Any) -> None:
    pump = greeted()
    pump.deliver(pump.bot, Delivery(DeliveryId(1), SITE, what))
    assert pump.bot.settled[DeliveryId(1)].outcome is Outcome.REFUSED
    assert pump.take() == []


def test_a_picture_becomes_a_word() -> None:
    pump = greeted()
    pump.say(pump.bot, SITE, (Image(b"x"), Text("look")))
    assert said(pump)[0]["message"] == "[图片]look"


def test_what_waits_for_acknowledgement_is_bounded() -> None:
    pump = greeted()
    for _ in range(MAX_PENDING):
        pump.say(pump.bot, SITE, "x")
    last = pump.say(pump.bot, SITE, "x")
    assert pump.bot.settled == {last: Settled(last, Outcome.LATER, wait_s=1.0)}


def test_finish_leaves_1001_and_nothing_follows() -> None:
    pump = greeted()
    pump.finish()
    assert pump.bot.hangup == Hangup(1001, "leaving")
    session = pump.bot.session
    assert session.finish() == ()
    assert session.receive(b"{}", is_text=True) == ()
    late = Delivery(DeliveryId(1), SITE, Say((Text("x"),)))
    assert session.send(late) == (Settled(DeliveryId(1), Outcome.LATER),)


def test_misuse() -> None:
    session = visitor(FakeClock())
    early = Delivery(DeliveryId(1), SITE, Say((Text("x"),)))
    with pytest.raises(LocalProtocolError):
        session.receive(b"{}", is_text=True)
    session.linked(LinkInfo(Head("/")))
    with pytest.raises(LocalProtocolError):
        session.linked(LinkInfo(Head("/")))
    with pytest.raises(LocalProtocolError):
        session.send(early)
    with pytest.raises(LocalProtocolError):
        session.answered(1, True)
    assert session.stored(None) == ()


# -- with a session -----------------------------------------------------------------------------


def ack(token: str = "t-1", **more: Any) -> dict[str, Any]:
    return {
        "type": "hello_ack", "timestamp": "t", "features": ["session", "history"],
        "session_id": "s", "session_token": token, "resumed": False, **more,
    }  # fmt: skip


def item(nth: int, sender: str = "assistant", **more: Any) -> dict[str, Any]:
    return {
        "message_id": f"m{nth}", "sender": sender, "message": f"{nth}", "timestamp": "t",
        "seq": nth, **more,
    }  # fmt: skip


def history(*items: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    return {"type": "history", "messages": items, "has_more": has_more, "timestamp": "t"}


def back(**more: Any) -> Pump:
    """Return a visitor that comes back with token `t-1`, its `hello` taken off the wire."""
    clock = FakeClock()
    pump = Pump(visitor(clock, session=True), clock=clock)
    pump.bot.kept = b"\x82\xa5token\xa3t-1\xaflast_message_id\xa2m1"
    pump.start()
    hear(pump, GREETING)
    (hello,) = said(pump)
    assert (hello["session_token"], hello["last_message_id"]) == ("t-1", "m1")
    hear(pump, ack(**{"resumed": True, **more}))
    return pump


def test_hello_follows_the_greeting_and_readiness_its_answer() -> None:
    pump = greeted(session=True)
    assert said(pump) == [{"type": "hello", "features": ["session", "history"]}]
    assert pump.bot.state is LinkState.OPENING
    hear(pump, ack())
    assert pump.bot.state is LinkState.READY
    assert pump.bot.kept is not None
    assert b"t-1" in pump.bot.kept


def test_a_site_that_never_answers_hello_is_given_up() -> None:
    pump = greeted(session=True)
    pump.advance(10)
    assert pump.bot.hangup == Hangup(1002, "no greeting", Again("silent"))


def test_broken_kept_state_counts_as_none() -> None:
    clock = FakeClock()
    pump = Pump(visitor(clock, session=True), clock=clock)
    pump.bot.kept = b"nonsense"
    pump.start()
    hear(pump, GREETING)
    assert "session_token" not in said(pump)[0]


def test_each_message_moves_what_is_kept() -> None:
    pump = back()
    hear(pump, {"type": "chat_message", "message": "hi", "timestamp": "t", "message_id": "m9"})
    assert pump.bot.kept == b"\x82\xa5token\xa3t-1\xaflast_message_id\xa2m9"
    assert [event.peer_id for event in pump.bot.inbox] == ["m9"]


def test_a_new_session_forgets_where_the_old_one_was() -> None:
    pump = back(session_token="t-2", resumed=False)
    assert pump.bot.kept == b"\x82\xa5token\xa3t-2\xaflast_message_id\xa0"


def test_the_history_is_heard_without_own_words() -> None:
    pump = back()
    operator = item(4, "operator", sender_name="Ann", in_reply_to="m2")
    hear(pump, history(item(2, "user"), item(3), operator))
    assert [event.peer_id for event in pump.bot.inbox] == ["m3", "m4"]
    last = pump.bot.inbox[-1]
    assert last.sender.name == "Ann"
    assert last.segments[0] == Quote("m2")
    assert pump.bot.kept is not None
    assert b"m4" in pump.bot.kept
    hear(pump, {"type": "chat_message", "message": "3", "timestamp": "t", "message_id": "m3"})
    assert pump.bot.duplicates == 1  # the same id live and in the history


def test_a_gap_is_asked_for_until_it_is_closed_and_heard_in_order() -> None:
    pump = back()
    hear(pump, history(item(8), item(9), has_more=True))
    assert said(pump) == [{"type": "history_request", "before": "m8", "limit": 100}]
    assert pump.bot.inbox == []
    hear(pump, {"type": "chat_message", "message": "10", "timestamp": "t", "message_id": "m10"})
    hear(pump, history(item(0), item(1), item(7), has_more=True))  # m1 is what we had
    assert said(pump) == []
    assert [event.peer_id for event in pump.bot.inbox] == ["m10", "m0", "m1", "m7", "m8", "m9"]


def test_a_gap_without_end_is_bounded() -> None:
    pump = back()
    for nth in range(MAX_PIECES - 1):
        hear(pump, history(item(1000 - nth), has_more=True))
        assert len(said(pump)) == 1
    hear(pump, history(item(2), has_more=True))
    assert said(pump) == []
    assert len(pump.bot.inbox) == MAX_PIECES


@pytest.mark.parametrize("is_rooted", [False, True])
def test_only_within_a_session_that_can_be_found_is_a_repeat_safe(is_rooted: bool) -> None:
    pump = greeted(session=True)
    hear(pump, ack(resumed=is_rooted))
    ident = pump.say(pump.bot, SITE, "hi")
    pump.cut()
    unclear = pump.bot.settled[ident]
    assert (unclear.outcome, unclear.is_repeatable) == (Outcome.UNCERTAIN, is_rooted)


def test_one_acknowledgement_makes_a_session_that_can_be_found() -> None:
    pump = greeted(session=True)
    hear(pump, ack())
    first = pump.say(pump.bot, SITE, "hi")
    second = pump.say(pump.bot, SITE, "ho")
    hear(
        pump,
        {
            "type": "chat_message_received", "message": "", "timestamp": "t",
            "client_message_id": str(first),
        },
    )  # fmt: skip
    pump.cut()
    assert pump.bot.settled[second].is_repeatable


def test_hello_is_answered_once() -> None:
    pump = back()
    hear(pump, ack())
    hear(pump, GREETING)
    assert pump.bot.kinds() == ["greeted-twice"] * 2


def test_without_the_option_nothing_of_a_session_is_said_or_kept() -> None:
    pump = greeted()
    assert said(pump) == []
    hear(pump, {"type": "chat_message", "message": "hi", "timestamp": "t", "message_id": "m"})
    assert pump.bot.kept is None
