"""Every contact vector and X006 against the site's session, in memory."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from contact_house import ContactHouse
from contact_parts import STRANGER, ask, chat, echo, options, replies, served, site
from contact_vectors import (
    CASES,
    EXTENSIONS,
    PING,
    WIRE_ONLY,
    Out,
    Seen,
    check,
    check_order,
    check_rate_limit,
    match,
    outgoing,
)
from pump import Pump
from trunkline.clock import FakeClock
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.contract import Admit, DoBroadcast, Head, Opening
from trunkline.ids import CountingIds
from trunkline.model.address import Chat

IN_MEMORY = [case for case in CASES if case["id"] not in WIRE_ONLY]


@pytest.mark.parametrize("commit", ["at_once", "by_hand"])
@pytest.mark.parametrize("case", IN_MEMORY, ids=lambda case: case["id"])
def test_vector(case: dict[str, Any], commit: Any) -> None:
    clock = FakeClock()
    pump = Pump(site(clock), clock=clock, answer=echo, head=STRANGER, commit=commit)

    def exchange(out: list[Out], expected: int) -> Seen:
        pump.start()
        (greeting,) = pump.take()
        for message in out:
            pump.inject(message.data, is_text=message.is_text)
        pump.commit()
        frames = [frame.decode() for frame in pump.take()]
        assert len(frames) == expected, frames
        pump.inject(PING)
        (after,) = pump.take()
        return Seen(greeting.decode(), frames, after.decode(), None)

    check(case, exchange)


def test_every_in_memory_vector_is_there() -> None:
    assert {case["id"] for case in CASES} == {
        *(f"K{nth:03}" for nth in range(1, 15)),
        *(f"E{nth:03}" for nth in range(1, 25)),
        *(f"B{nth:03}" for nth in range(1, 6)),
    }


def test_rate_limit_x006() -> None:
    pump = served()
    for nth in range(30):
        pump.inject(json.dumps(chat(f"m{nth}")))
    frames = replies(pump)
    check_rate_limit([frame for frame in frames if frame["type"] != "chat_message"])
    check_order([frame for frame in frames if frame["type"] != "error"])
    assert [frame["type"] for frame in ask(pump, PING)] == ["pong"]


def test_oversize_b003_is_above_what_admit_allows() -> None:
    admitted = CONTACT.admit(options(), STRANGER)
    assert admitted == Admit("visitor", 1 << 20)
    (case,) = (case for case in CASES if case["id"] == "B003")
    (out,) = outgoing(case)
    assert len(out.data) > admitted.max_message_bytes


# -- opt-in (X001 … X005) -----------------------------------------------------------------------


def visit(ids: CountingIds, query: str = "") -> ContactHouse:
    """Return a site with a memory and a visitor at the door."""
    clock = FakeClock()
    head = Head("/contact", dict(parse_qsl(query)), peer="192.0.2.7")
    house = ContactHouse(site(clock, ids=ids), clock=clock, answer=echo, head=head)
    house.start()
    return house


def test_every_extension_vector_is_there() -> None:
    assert sorted(EXTENSIONS) == [f"X{nth:03}" for nth in range(1, 7)]


def expect(got: list[dict[str, Any]], ident: str) -> None:
    patterns = EXTENSIONS[ident]["expect"]
    assert len(got) == len(patterns), got
    for one, pattern in zip(got, patterns, strict=True):
        match(one, pattern)


def test_hello_x001() -> None:
    house = visit(CountingIds())
    replies(house)
    (frame,) = EXTENSIONS["X001"]["send"]
    expect(ask(house, frame["json"]), "X001")


def test_unknown_token_x002() -> None:
    house = visit(CountingIds(), EXTENSIONS["X002"]["connect_query"])
    expect(replies(house), "X002")


def test_valid_token_x003() -> None:
    ids = CountingIds()
    house = visit(ids, "v=2")
    (greeting,) = replies(house)
    ask(house, chat("hi"))
    house.cut()
    token = greeting["session_token"]
    query = EXTENSIONS["X003"]["connect_query"].replace("<token of an earlier connection>", token)
    house.replace(house.bot, site(house.clock, ids=ids))
    house.head = Head("/contact", dict(parse_qsl(query)), peer="192.0.2.7")
    house.link()
    got = replies(house)
    expect(got, "X003")
    assert got[0]["session_id"] == greeting["session_id"]
    assert got[0]["client_id"] != greeting["client_id"]
    assert [item["message"] for item in got[1]["messages"]] == ["hi", "收到：hi"]


def operator() -> Pump:
    clock = FakeClock()
    opening = Opening("site", "operator-unknown", clock, CountingIds())
    session = CONTACT.open(options(operator_token="the operator's token"), opening)
    pump = Pump(session, clock=clock, head=Head("/contact/operator"))
    pump.start()
    return pump


def test_wrong_operator_token_x004() -> None:
    case = EXTENSIONS["X004"]
    assert case["path"] in CONTACT.paths(options(operator_token="t"))
    pump = operator()
    (frame,) = case["send"]
    assert ask(pump, frame["json"]) == []
    assert pump.bot.hangup is not None
    assert pump.bot.hangup.code == case["connection_after"]["close"]


def test_broadcast_x005() -> None:
    pump = operator()
    ask(pump, {"type": "auth", "token": "the operator's token"})
    ask(pump, {"type": "broadcast", "message": "M"})
    (request,) = pump.bot.asks.values()
    assert type(request) is DoBroadcast
    plain = served()
    seat = plain.bot.seat
    assert seat is not None
    context = b"\x81\xa9broadcast\xc3"  # what the exchange puts beside a broadcast
    plain.say(plain.bot, Chat("", "visitor", seat.key), request.segments, context)
    expect(replies(plain), "X005")
