"""Events that are posted: in order, settled by what comes back, held while nobody is there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from onebot11_lines import ACCOUNT, DIALLED, heard, noticed, opening, options, say
from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    Ask,
    Changed,
    Dial,
    Fetched,
    Hangup,
    LinkState,
    Received,
    Settled,
    Transmit,
)  # fmt: skip
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.dialects.onebot11.http import sign
from trunkline.errors import LinkError, LinkLost, LinkTimeout
from trunkline.model.delivery import Outcome

URL = "http://127.0.0.1:9/post"
KEYS: dict[str, Any] = {
    "role": "implementation", "link": "dial", "url": URL, "client_role": "post", "self_id": ACCOUNT,
}  # fmt: skip
GOOD = Fetched(204)


def made(clock: FakeClock | None = None, **keys: Any) -> tuple[Any, Any]:
    """Return a session that has begun, and the first thing it asks for."""
    line = options(**KEYS | keys)
    session = ONEBOT11.open(line, opening("implementation", clock or FakeClock()))
    assert session.begin(None) == (Dial(URL, is_request=True),)
    effects = session.linked(DIALLED)
    assert not any(isinstance(one, Transmit) for one in effects)
    return session, asked(effects)


def ready(clock: FakeClock | None = None, **keys: Any) -> Any:
    session, first = made(clock, **keys)
    assert session.answered(first.tag, GOOD) == []
    return session


def asked(effects: Any) -> Ask:
    (found,) = [one for one in effects if isinstance(one, Ask)]
    return found


def event(ask: Ask) -> Any:
    return json.loads(ask.request.body)  # type: ignore[union-attr]


def fates(effects: Any) -> list[tuple[int, Outcome]]:
    return [(int(one.delivery_id), one.outcome) for one in effects if isinstance(one, Settled)]


def states(effects: Any) -> list[LinkState]:
    return [one.state for one in effects if isinstance(one, Changed)]


def test_the_first_event_says_that_the_account_is_there():
    session, first = made(secret="key", token="t")
    request: Any = first.request
    assert (request.method, request.url) == ("POST", URL)
    assert event(first)["meta_event_type"] == "lifecycle"
    assert event(first)["sub_type"] == "enable", "connect is for connections"
    assert request.headers["X-Self-ID"] == ACCOUNT
    assert request.headers["X-Signature"] == sign("key", request.body)
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == "Bearer t"
    assert "X-Client-Role" not in request.headers
    assert session.receive(b"{}", is_text=True) == ()


def test_only_what_was_taken_is_confirmed_and_order_is_kept():
    session = ready()
    first = asked(session.send(say("one", ident=1)))
    assert event(first)["message"][0]["data"]["text"] == "one"
    assert "X-Signature" not in first.request.headers  # type: ignore[union-attr]
    assert session.send(say("two", ident=2)) == []
    effects = session.answered(first.tag, GOOD)
    assert fates(effects) == [(1, Outcome.CONFIRMED)]
    second = asked(effects)
    assert event(second)["message"][0]["data"]["text"] == "two"
    assert fates(session.answered(second.tag, Fetched(200))) == [(2, Outcome.CONFIRMED)]
    assert fates(session.answered(second.tag, GOOD)) == [], "an answer counts once"


@pytest.mark.parametrize(
    ("answer", "outcome", "is_away"),
    [
        (Fetched(400), Outcome.REFUSED, False),
        (Fetched(500), Outcome.REFUSED, False),
        (Fetched(302), Outcome.REFUSED, False),
        (Fetched(403), Outcome.LATER, True),
        (Fetched(503), Outcome.LATER, True),
        (LinkError("the call failed: ConnectError"), Outcome.LATER, True),
        (LinkError("too many calls wait"), Outcome.LATER, True),
        (LinkError("the call failed: ReadError"), Outcome.UNCERTAIN, True),
        (LinkTimeout("no answer within 5 s"), Outcome.UNCERTAIN, True),
    ],
)
def test_what_did_not_go_well(answer, outcome, is_away):
    """An event that may have arrived is never posted again by itself."""
    session = ready()
    ask = asked(session.send(say("one", ident=1)))
    session.send(say("two", ident=2))
    effects = session.answered(ask.tag, answer)
    assert fates(effects)[0] == (1, outcome)
    assert (LinkState.DEGRADED in states(effects)) == is_away
    if is_away:
        assert fates(effects)[1] == (2, Outcome.LATER)
        assert noticed(effects) == ["peer-error"]
        assert fates(session.send(say("three", ident=3))) == [(3, Outcome.LATER)]
    else:
        assert event(asked(effects))["message"][0]["data"]["text"] == "two"


def test_a_heartbeat_asks_whether_the_receiver_is_back():
    clock = FakeClock()
    session, first = made(clock, heartbeat_interval_s=0)
    assert states(session.answered(first.tag, Fetched(502))) == [LinkState.DEGRADED]
    clock.advance(4)
    assert session.tick() == ()
    clock.advance(1)
    probe = asked(session.tick())
    assert event(probe)["meta_event_type"] == "heartbeat"
    again = session.answered(probe.tag, Fetched(502))
    assert (states(again), noticed(again)) == ([], []), "told once"
    clock.advance(5)
    probe = asked(session.tick())
    assert states(session.answered(probe.tag, GOOD)) == [LinkState.READY]
    assert session.wake_at is None
    assert event(asked(session.send(say("now"))))["message"][0]["data"]["text"] == "now"


def test_heartbeats_are_posted():
    clock = FakeClock()
    session = ready(clock, heartbeat_interval_s=30)
    clock.advance(30)
    assert event(asked(session.tick()))["interval"] == 30_000


def test_a_quick_operation_is_done_and_nobody_is_answered():
    session = ready()
    ask = asked(session.send(say("hi")))
    body = json.dumps({"reply": "back"}).encode()
    effects = session.answered(ask.tag, Fetched(200, (), body))
    (said,) = heard(effects)
    assert (said.chat.kind, said.chat.id, said.segments[0].text) == ("private", "10001", "back")
    (received,) = [one for one in effects if isinstance(one, Received)]
    assert session.stored(received.receipt) == []


def test_what_a_quick_operation_said_is_posted_where_that_is_wanted():
    session = ready(report_self_message=True)
    ask = asked(session.send(say("hi")))
    effects = session.answered(ask.tag, Fetched(200, (), json.dumps({"reply": "back"}).encode()))
    (received,) = [one for one in effects if isinstance(one, Received)]
    posted = asked(session.stored(received.receipt))
    told = event(posted)
    assert (told["post_type"], told["raw_message"]) == ("message_sent", "back")
    assert session.answered(posted.tag, GOOD) == []  # no delivery is settled by it


def test_where_the_receiver_is_away_what_was_said_is_not_reported():
    session = ready(report_self_message=True)
    first = asked(session.send(say("hi", ident=1)))
    body = json.dumps({"reply": "back"}).encode()
    effects = session.answered(first.tag, Fetched(200, (), body))
    (received,) = [one for one in effects if isinstance(one, Received)]
    second = asked(session.send(say("more", ident=2)))
    session.answered(second.tag, Fetched(503))
    assert session.stored(received.receipt) == []


@pytest.mark.parametrize("body", [b"[1]", b"ok", b"<html>"])
def test_an_answer_that_is_no_operation_is_noticed(body):
    session = ready()
    ask = asked(session.send(say("hi", ident=1)))
    effects = session.answered(ask.tag, Fetched(200, (), body))
    assert fates(effects) == [(1, Outcome.CONFIRMED)]
    assert noticed(effects) == ["rejected:not_object"]


def test_a_stop_waits_for_what_is_under_way():
    clock = FakeClock()
    session = ready(clock)
    ask = asked(session.send(say("one", ident=1)))
    session.send(say("two", ident=2))
    assert session.finish() == []
    assert fates(session.send(say("three", ident=3))) == [(3, Outcome.LATER)]
    effects = session.answered(ask.tag, GOOD)
    assert fates(effects) == [(1, Outcome.CONFIRMED), (2, Outcome.LATER)]
    assert isinstance(effects[-1], Hangup)
    other = ready(clock)
    other.send(say("one", ident=1))
    other.finish()
    clock.advance(5)
    assert isinstance(other.tick()[-1], Hangup)
    assert isinstance(ready().finish()[-1], Hangup)


def test_what_is_under_way_at_the_end_is_uncertain():
    session = ready()
    ask = asked(session.send(say("one", ident=1)))
    session.send(say("two", ident=2))
    effects = session.answered(ask.tag, LinkLost(1006))
    assert fates(effects) == [(1, Outcome.UNCERTAIN)]
    assert not any(isinstance(one, Ask) for one in effects), "the link is gone"
    effects = session.lost(LinkLost(1006))
    assert fates(effects) == [(2, Outcome.LATER)]
    assert states(effects) == [LinkState.CLOSED]


def test_what_it_cannot_say_is_refused_and_nothing_is_posted():
    effects = ready().send(say((), ident=1))
    assert fates(effects) == [(1, Outcome.REFUSED)]
    assert not any(isinstance(one, Ask) for one in effects)


def test_options():
    line = options(**KEYS)
    assert line.own_hosts == frozenset({"127.0.0.1"})
    assert options(role="framework").own_hosts == frozenset()
    with pytest.raises(ValidationError, match='role = "implementation"'):
        options(**KEYS | {"role": "framework"})
    with pytest.raises(ValidationError, match="http://"):
        options(**KEYS | {"url": "ws://127.0.0.1/"})
