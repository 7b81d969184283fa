from __future__ import annotations

import json
from typing import Any

import pytest

from contact_parts import URL, visitor
from pump import Pump
from trunkline.clock import FakeClock
from trunkline.dialects.contact.platform import MAX_PENDING
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
