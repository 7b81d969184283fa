"""The framework: handshakes, liveness, what it hears and how its deliveries end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onebot11_lines import (
    ACCOUNT,
    ANN,
    CLUB,
    CONNECT,
    DIALLED,
    act,
    closed,
    feed,
    framework,
    greeted,
    heard,
    heartbeat,
    message,
    noticed,
    opening,
    options,
    say,
    written,
)
from onebot11_vectors import load
from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    Changed,
    Dial,
    Head,
    LinkInfo,
    LinkState,
    Refuse,
    Settled,
    Sharing,
)
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.dialects.onebot11.events import to_number
from trunkline.errors import LinkLost, LocalProtocolError
from trunkline.model.address import Chat
from trunkline.model.delivery import Outcome, Say
from trunkline.model.event import Fleeting, MessageReceived, NoticeReceived, RequestReceived
from trunkline.model.segment import Image, Mention, Quote, Text

HANDSHAKES = load("handshake")
OK = {"status": "ok", "retcode": 0, "data": {"message_id": -5}}


def ids(cases: list[dict[str, Any]]) -> list[str]:
    return [case["id"] for case in cases]


def states(effects: Any) -> list[LinkState]:
    return [one.state for one in effects if isinstance(one, Changed)]


def settled(effects: Any) -> list[tuple[int, Outcome]]:
    return [(one.delivery_id, one.outcome) for one in effects if hasattr(one, "outcome")]


def respond(session: Any, echo: str, **more: Any) -> Any:
    return feed(session, OK | {"echo": echo} | more)


# -- the handshake -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", HANDSHAKES, ids=ids(HANDSHAKES))
def test_handshake(case: dict[str, Any]) -> None:
    """Every case of the specification, against the clock. HTTP answers come from `admit`."""
    from urllib.parse import parse_qsl

    clock = FakeClock()
    start_s = clock.monotonic_s()
    keys = {"token": case["server_token"]} if case.get("server_token") else {}
    line = options(**keys)
    head = Head(
        "/ws/",
        dict(parse_qsl(case.get("query", ""))),
        {name.lower(): value for name, value in case["headers"].items()},
    )
    admitted = ONEBOT11.admit(line, head)
    if case["result"] == "http":
        assert isinstance(admitted, Refuse)
        assert admitted.status == case["status"]
        return
    session = ONEBOT11.open(line, opening("framework", clock, getattr(admitted, "kind", "")))
    effects = [*session.begin(None), *session.linked(LinkInfo(head))]
    sends, end_s = list(case["sends"]), start_s + 2.0
    while closed(effects) is None:
        at_s = min(
            start_s + sends[0][0] if sends else end_s,
            end_s if session.wake_at is None else session.wake_at,
        )
        clock.advance(max(0.0, at_s - clock.monotonic_s()))
        if session.wake_at is not None and session.wake_at <= clock.monotonic_s():
            effects += session.tick()
        elif sends:
            effects += session.receive(sends.pop(0)[1].encode(), is_text=True)
        else:
            break
    if case["result"] == "open":
        assert closed(effects) is None
        [seat] = [one.seat for one in effects if isinstance(one, Changed) and one.seat]
        assert (seat.key, seat.account) == (case["self_id"], case["self_id"])
        return
    assert closed(effects) == (case["code"], case["reason"])
    if "at_s" in case:
        low, high = case["at_s"]
        assert low <= clock.monotonic_s() - start_s <= high
    assert session.receive(CONNECT, is_text=True) == ()


def test_all_cases_are_here() -> None:
    assert len(HANDSHAKES) == 27


@pytest.mark.parametrize(
    ("mode", "frame", "state"),
    [
        ("lenient", heartbeat(), LinkState.READY),
        ("off", message(), LinkState.READY),
        ("strict", message(), LinkState.CLOSED),
    ],
)
def test_modes_of_the_handshake(mode: str, frame: Any, state: LinkState) -> None:
    assert states(feed(framework(handshake=mode), frame))[0] is state


def test_without_a_handshake_nothing_is_waited_for() -> None:
    clock = FakeClock()
    session = framework(clock, handshake="off")
    assert session.wake_at is None
    assert noticed(feed(session, b"{")) == ["rejected:not_json"]
    assert states(feed(session, CONNECT)) == [LinkState.READY]
    named = framework(clock, handshake="off", headers={"x-self-id": "5"})
    assert named.send(say("x")) != ()  # ready by its header alone


def test_what_the_first_read_holds_behind_the_connect_event_is_heard() -> None:
    session = framework()
    feed(session, CONNECT)
    [event] = heard(feed(session, message()))
    assert event.segments == (Text("hi"),)


def test_an_api_connection_needs_its_header() -> None:
    session = ONEBOT11.open(options(), opening("framework", FakeClock(), "api"))
    assert closed(session.linked(LinkInfo(Head("/ws/api")))) == (
        1008,
        "X-Self-ID is required on an API connection",
    )


def test_a_pair_shares_an_account_and_only_one_half_sends() -> None:
    head = {"x-self-id": "12345"}
    line = options()
    api = ONEBOT11.open(line, opening("framework", FakeClock(), "api"))
    [changed] = api.linked(LinkInfo(Head("/ws/api", {}, head)))
    event = framework(kind="event", headers=head)
    [also, *_] = feed(event, CONNECT)
    assert (changed.seat.key, changed.seat.can_send) == (ACCOUNT, True)
    assert (also.seat.key, also.seat.can_send) == (ACCOUNT, False)
    assert changed.seat.sharing is also.seat.sharing is Sharing.EACH
    assert (changed.seat.link_id, also.seat.link_id) == ("api", "event")
    assert noticed(feed(api, message())) == ["rejected:is_event"]
    assert noticed(feed(event, OK)) == ["rejected:no_post_type"]


def test_a_universal_connection_replaces_an_older_one() -> None:
    [changed, *_] = feed(framework(), CONNECT)
    assert changed.seat.sharing is Sharing.REPLACE


# -- dialling ----------------------------------------------------------------------------------


def dialled(clock: FakeClock, **keys: Any) -> Any:
    line = options(role="framework", link="dial", url="ws://127.0.0.1:3001", **keys)
    session = ONEBOT11.open(line, opening("framework", clock))
    [dial] = session.begin(None)
    assert isinstance(dial, Dial)
    assert (dial.url, dial.max_message_bytes) == ("ws://127.0.0.1:3001", 64 << 20)
    return session


def test_a_dialling_framework_asks_who_it_is_when_nothing_tells() -> None:
    clock = FakeClock()
    session = dialled(clock)
    assert session.linked(DIALLED) == ()
    clock.advance(1)
    [call] = written(session.tick())
    assert call["action"] == "get_login_info"
    assert session.wake_at is None
    effects = feed(
        session, {"status": "ok", "retcode": 0, "data": {"user_id": 12345}, "echo": call["echo"]}
    )
    [changed] = effects
    assert changed.seat.account == ACCOUNT


def test_a_dialling_framework_takes_any_event_and_closes_for_none() -> None:
    clock = FakeClock()
    session = dialled(clock)
    session.linked(DIALLED)
    assert noticed(feed(session, b"nonsense")) == ["rejected:not_json"]
    assert states(feed(session, message())) == [LinkState.READY]


def test_a_refused_token_as_a_frame_is_told() -> None:
    session = dialled(FakeClock())
    session.linked(DIALLED)
    frame = {"status": "failed", "retcode": 1403, "data": None, "echo": None}
    assert noticed(feed(session, frame)) == ["token-refused"]


def test_an_api_half_that_dials_asks_at_once() -> None:
    session = dialled(FakeClock(), client_role="api")
    [call] = written(session.linked(DIALLED))
    frame = {"status": "ok", "retcode": 0, "data": {"user_id": "12345"}, "echo": call["echo"]}
    assert states(feed(session, frame)) == [LinkState.READY]


# -- hearing -----------------------------------------------------------------------------------


def test_a_message() -> None:
    effects = feed(greeted(), message())
    [event] = heard(effects)
    assert isinstance(event, MessageReceived)
    assert (event.chat, event.peer_id, event.at_ms) == (
        Chat(ACCOUNT, "private", "10001", "Ann"),
        "7",
        1640995200000,
    )
    assert (event.is_own, event.context) == (False, b"")
    assert event.key == (1640995200000).to_bytes(8, "big") + b":7"
    assert len(effects) == 1


def test_a_group_message() -> None:
    frame = message(
        message_type="group",
        sub_type="normal",
        group_id=20001,
        message="[CQ:reply,id=41][CQ:at,qq=12345] ping",
        sender={"nickname": "Ann", "card": "Annie"},
    )
    [event] = heard(feed(greeted(), frame))
    assert event.chat == CLUB
    assert event.sender.shown == "Annie"
    assert event.segments == (Quote("41"), Mention("12345"), Text(" ping"))


def test_no_key_without_an_id_or_when_switched_off() -> None:
    no_id = message()
    del no_id["message_id"]
    assert heard(feed(greeted(), no_id))[0].key is None
    assert heard(feed(greeted(dedupe=False), message()))[0].key is None
    no_time = message()
    del no_time["time"]
    [event] = heard(feed(greeted(), no_time))
    assert event.key.endswith(b"~7")


MINIMAL = {
    "time": 1640995200,
    "self_id": 12345,
    "post_type": "message",
    "message_type": "private",
    "user_id": 12345,
    "message_id": 1640995200000,
    "target_id": 67890,
    "raw_message": "Hello",
    "message": [{"type": "text", "data": {"text": "Hello"}}],
    "message_format": "array",
}
OWN = message(user_id=12345)
SENT = message(user_id=12345, post_type="message_sent", target_id=10001)


@pytest.mark.parametrize(
    ("frame", "ignored", "is_own"),
    [
        (MINIMAL, "auto", False),
        (OWN, "auto", True),
        (SENT, "auto", True),
        (MINIMAL, True, True),
        (OWN, False, False),
        (SENT, False, True),
        (message(), True, False),
    ],
)
def test_who_is_ourselves(frame: Any, ignored: Any, is_own: bool) -> None:
    [event] = heard(feed(greeted(ignore_self=ignored), frame))
    assert event.is_own is is_own


def test_a_message_of_ours_stands_in_the_chat_of_its_target() -> None:
    assert heard(feed(greeted(), SENT))[0].chat == ANN


def test_oddities_are_told_once_a_connection() -> None:
    session = greeted()
    assert noticed(feed(session, MINIMAL)) == ["warned:default_sub_type", "warned:no_sender"]
    assert noticed(feed(session, MINIMAL)) == []


def test_notices_requests_and_what_is_fleeting() -> None:
    session = greeted()
    base = {"time": 1, "self_id": 12345, "user_id": 10001}
    [ban] = heard(
        feed(
            session,
            base
            | {
                "post_type": "notice",
                "notice_type": "group_ban",
                "sub_type": "ban",
                "group_id": 20001,
                "duration": 60,
            },
        )
    )
    assert isinstance(ban, NoticeReceived)
    assert (ban.chat, ban.name, json.loads(ban.data)["duration"]) == (CLUB, "group_ban.ban", 60)
    assert ban.key is None
    [request] = heard(
        feed(
            session,
            base
            | {"post_type": "request", "request_type": "friend", "comment": "hello", "flag": "f-1"},
        )
    )
    assert isinstance(request, RequestReceived)
    assert (request.name, request.text, request.sender.id) == ("friend", "hello", "10001")
    [typing] = heard(
        feed(
            session,
            base | {"post_type": "notice", "notice_type": "notify", "sub_type": "input_status"},
        )
    )
    assert typing == Fleeting(ANN, "typing", typing.data)
    [beat] = heard(feed(session, heartbeat()))
    assert (type(beat), beat.name) == (Fleeting, "meta_event.heartbeat")
    [odd] = heard(feed(session, {"time": 1, "self_id": 12345, "post_type": "guild_event", "x": 1}))
    assert (odd.chat.kind, odd.name, json.loads(odd.data)["x"]) == ("account", "guild_event", 1)
    [guild] = heard(feed(session, message(message_type="guild", sub_type="channel")))
    assert isinstance(guild, NoticeReceived)  # nothing can be sent there
    assert guild.name == "message.guild.channel"


def test_events_of_another_account_are_refused_and_the_link_stays() -> None:
    session = greeted()
    assert noticed(feed(session, message(self_id=99))) == ["rejected:self_id_mismatch"]
    assert len(heard(feed(session, message()))) == 1


def test_more_than_a_hundred_bad_frames_within_a_minute_close() -> None:
    clock = FakeClock()
    session = greeted(clock)
    for _ in range(100):
        assert closed(feed(session, b"x")) is None
    clock.advance(61)
    for _ in range(100):
        assert closed(feed(session, b"x")) is None
    assert closed(feed(session, b"x")) == (1008, "too many bad frames")


# -- liveness ----------------------------------------------------------------------------------


def run_to(session: Any, clock: FakeClock, seconds: float) -> list[Any]:
    effects: list[Any] = []
    until_s = clock.monotonic_s() + seconds
    while session.wake_at is not None and session.wake_at <= until_s:
        clock.advance(max(0.0, session.wake_at - clock.monotonic_s()))
        effects += session.tick()
    clock.advance(until_s - clock.monotonic_s())
    return effects


def test_missing_heartbeats_degrade_the_line_and_then_end_the_link() -> None:
    clock = FakeClock()
    session = greeted(clock)
    feed(session, heartbeat(30_000))
    assert run_to(session, clock, 59) == []
    effects = run_to(session, clock, 2)
    assert (states(effects), noticed(effects)) == ([LinkState.DEGRADED], ["heartbeat-missing"])
    assert settled(session.send(say("x"))) == [(17, Outcome.LATER)]
    assert run_to(session, clock, 28) == []
    assert closed(run_to(session, clock, 2)) == (1008, "no heartbeat")


def test_any_event_is_a_sign_of_life() -> None:
    clock = FakeClock()
    session = greeted(clock)
    feed(session, heartbeat(30_000))
    run_to(session, clock, 61)
    assert states(feed(session, message())) == [LinkState.READY]
    assert run_to(session, clock, 59) == []


def test_short_intervals_are_given_ten_seconds() -> None:
    clock = FakeClock()
    session = greeted(clock)
    feed(session, heartbeat(1000))
    assert closed(run_to(session, clock, 9.9)) is None
    assert closed(run_to(session, clock, 0.2)) == (1008, "no heartbeat")


@pytest.mark.parametrize("interval", [None, 0, -5, "x", {}])
def test_an_odd_interval_means_nothing(interval: Any) -> None:
    clock = FakeClock()
    session = greeted(clock)
    feed(session, heartbeat(interval))
    assert run_to(session, clock, 3600) == []


def test_an_account_that_is_offline_is_sent_nothing() -> None:
    session = greeted()
    effects = feed(session, heartbeat(online=False))
    assert (states(effects), noticed(effects)) == ([LinkState.DEGRADED], ["account-offline"])
    assert states(feed(session, message())) == []  # its own words do not make it online
    assert states(feed(session, heartbeat(online=None))) == [LinkState.READY]
    assert states(feed(session, heartbeat(good=False))) == [LinkState.DEGRADED]


@pytest.mark.parametrize("sign", ["offline", "silence"])
def test_what_waits_behind_a_call_is_given_back_when_the_account_goes(sign: str) -> None:
    clock = FakeClock()
    session = greeted(clock)
    feed(session, heartbeat(500))
    [first] = written(session.send(say("一", ident=16)))
    assert written(session.send(say("二", ident=32))) == []
    if sign == "offline":
        effects = feed(session, heartbeat(500, online=False))
    else:
        effects = run_to(session, clock, 1.5)
    later = [one for one in effects if isinstance(one, Settled)]
    assert [(one.delivery_id, one.outcome) for one in later] == [(32, Outcome.LATER)]
    answer = {"status": "ok", "retcode": 0, "data": {}, "echo": first["echo"]}
    assert written(feed(session, answer)) == []


@pytest.mark.parametrize("ident", ["007", "-07", "-0", "00", "a:1", str(1 << 64), "-"])
def test_an_id_that_is_no_number_is_called_as_it_is(ident: str) -> None:
    assert to_number(ident) == ident


@pytest.mark.parametrize("ident", ["0", "7", "-7", str((1 << 64) - 1), str(-(1 << 63))])
def test_an_id_that_is_a_number_is_called_so(ident: str) -> None:
    assert to_number(ident) == int(ident)


@pytest.mark.parametrize(("levels", "is_refused"), [(63, False), (64, True)])
def test_depth_is_counted_in_fields_that_nobody_reads(levels: int, is_refused: bool) -> None:
    """The frame itself is one level; a response so short is not looked through otherwise."""
    session = greeted()
    [call] = written(session.send(say("一")))
    odd = "[" * levels + "]" * levels
    frame = f'{{"status":"ok","retcode":0,"odd":{odd},"echo":"{call["echo"]}"}}'.encode()
    assert noticed(feed(session, frame)) == (["rejected:too_deep"] if is_refused else [])


# -- asking ------------------------------------------------------------------------------------


def test_a_private_message_is_confirmed_by_its_response() -> None:
    session = greeted()
    [call] = written(session.send(say("在的")))
    assert (call["action"], call["params"]) == (
        "send_private_msg",
        {"user_id": 10001, "message": [{"type": "text", "data": {"text": "在的"}}]},
    )
    [done] = respond(session, call["echo"])
    assert (done.delivery_id, done.outcome, done.peer_id) == (17, Outcome.CONFIRMED, "-5")


def test_a_group_message_as_cq_codes() -> None:
    session = greeted(message_format="string")
    said = (Quote("41"), Mention("10001"), Text(" [ok]"), Image(url="http://x/a.png"))
    [call] = written(session.send(say(said, CLUB)))
    assert call["params"] == {
        "group_id": 20001,
        "message": "[CQ:reply,id=41][CQ:at,qq=10001] &#91;ok&#93;[CQ:image,file=http://x/a.png]",
    }


def test_a_temporary_chat_is_answered_through_its_group() -> None:
    session = greeted()
    frame = message(sub_type="group", sender={"nickname": "Ann", "group_id": 20001})
    [event] = heard(feed(session, frame))
    [call] = written(session.send(say("x", event.chat, context=event.context)))
    assert call["params"]["group_id"] == 20001


@pytest.mark.parametrize(
    ("response", "outcome", "detail"),
    [
        ({"status": "async", "retcode": 1}, Outcome.SENT, ""),
        (
            {"status": "failed", "retcode": 100, "wording": "muted"},
            Outcome.REFUSED,
            "retcode 100: muted",
        ),
        (
            {"status": "failed", "retcode": 1200, "message": "Timeout: x"},
            Outcome.UNCERTAIN,
            "retcode 1200: Timeout: x",
        ),
        (
            {"status": "failed", "retcode": 1200, "message": "no"},
            Outcome.REFUSED,
            "retcode 1200: no",
        ),
        ({"status": "failed", "retcode": 1408}, Outcome.UNCERTAIN, "retcode 1408"),
    ],
)
def test_what_a_response_means(response: Any, outcome: Outcome, detail: str) -> None:
    session = greeted()
    [call] = written(session.send(say("x")))
    [done] = feed(session, response | {"data": None, "echo": call["echo"]})
    assert (done.outcome, done.detail) == (outcome, detail)


def test_one_chat_keeps_its_order_and_others_do_not_wait() -> None:
    session = greeted()
    [first] = written(session.send(say("1", ident=17)))
    assert session.send(say("2", ident=33)) == ()
    assert session.send(say("3", ident=49)) == ()
    assert len(written(session.send(say("x", CLUB, ident=65)))) == 1
    effects = respond(session, first["echo"])
    [second] = written(effects)
    assert second["params"]["message"][0]["data"]["text"] == "2"
    [third] = written(respond(session, second["echo"]))
    assert third["params"]["message"][0]["data"]["text"] == "3"


def test_a_peer_that_never_answers_delays_the_next_send_by_two_seconds() -> None:
    clock = FakeClock()
    session = greeted(clock)
    session.send(say("1", ident=17))
    session.send(say("2", ident=33))
    assert run_to(session, clock, 1.9) == []
    [second] = written(run_to(session, clock, 0.2))
    assert second["params"]["message"][0]["data"]["text"] == "2"
    late = run_to(session, clock, 40)
    assert settled(late) == [(17, Outcome.UNCERTAIN), (33, Outcome.UNCERTAIN)]
    assert late[0].detail == "no answer within 30 s"
    assert session.wake_at is None


def test_a_late_or_second_response_settles_nothing() -> None:
    session = greeted()
    [call] = written(session.send(say("1")))
    assert len(settled(respond(session, call["echo"]))) == 1
    for echo in (call["echo"], "other", 5, None, {"seq": 1}, [1]):
        assert noticed(feed(session, OK | {"echo": echo})) == ["unexpected-response"]


def test_a_slow_answer_after_two_seconds_still_confirms() -> None:
    clock = FakeClock()
    session = greeted(clock)
    [first] = written(session.send(say("1", ident=17)))
    session.send(say("2", ident=33))
    session.send(say("3", ident=49))
    run_to(session, clock, 2.1)
    # It is confirmed, and what waits goes on waiting for the one that is before it.
    effects = respond(session, first["echo"])
    assert settled(effects) == [(17, Outcome.CONFIRMED)]
    assert written(effects) == []


def test_the_end_of_the_link_settles_everything_once() -> None:
    session = greeted()
    session.send(say("1", ident=17))
    session.send(say("2", ident=33))
    effects = session.lost(LinkLost(1006))
    assert settled(effects) == [(17, Outcome.UNCERTAIN), (33, Outcome.LATER)]
    assert states(effects) == [LinkState.CLOSED]
    assert session.lost(LinkLost(1006)) == []


def test_a_stop_says_good_bye_and_what_is_open_is_settled_after_it() -> None:
    session = greeted()
    session.send(say("1"))
    assert closed(session.finish()) == (1001, "going away")
    assert settled(session.lost(LinkLost(1001))) == [(17, Outcome.UNCERTAIN)]


def test_the_bound_of_open_calls() -> None:
    session = greeted()
    for nth in range(1000):
        session.send(say("x", Chat(ACCOUNT, "private", str(nth + 1)), ident=nth * 16 + 1))
    [later] = session.send(say("x", CLUB, ident=99_999))
    assert (later.outcome, later.wait_s) == (Outcome.LATER, 1.0)


def test_actions_by_name() -> None:
    session = greeted()
    [call] = written(session.send(act("set_group_ban", {"group_id": 1, "user_id": 2})))
    assert (call["action"], call["params"]) == ("set_group_ban", {"group_id": 1, "user_id": 2})
    [done] = respond(session, call["echo"], data=None)
    assert done.outcome is Outcome.CONFIRMED


@pytest.mark.parametrize(
    ("raw", "name", "expected"),
    [
        (
            {"request_type": "friend", "flag": 77},
            "approve",
            ("set_friend_add_request", {"remark": "R", "flag": "77", "approve": True}),
        ),
        (
            {"request_type": "group", "sub_type": "invite", "group_id": 1, "flag": "g"},
            "reject",
            (
                "set_group_add_request",
                {"remark": "R", "flag": "g", "approve": False, "sub_type": "invite"},
            ),
        ),
    ],
)
def test_a_request_is_answered_by_its_context(raw: Any, name: str, expected: Any) -> None:
    session = greeted()
    [event] = heard(
        feed(session, {"post_type": "request", "self_id": 12345, "user_id": 5, "time": 1} | raw)
    )
    [call] = written(session.send(act(name, {"remark": "R"}, context=event.context)))
    assert (call["action"], call["params"]) == expected


@pytest.mark.parametrize(
    "delivery",
    [
        act("approve"),
        say("x", Chat(ACCOUNT, "account", ACCOUNT)),
        say(""),
        say(()),
        say((Text(""),)),
    ],
)
def test_what_cannot_be_sent_is_refused(delivery: Any) -> None:
    [done] = greeted().send(delivery)
    assert done.outcome is Outcome.REFUSED
    assert done.detail


def test_misuse_is_told() -> None:
    with pytest.raises(LocalProtocolError):
        framework().send(say("x"))
    with pytest.raises(LocalProtocolError):
        greeted().linked(DIALLED)
    with pytest.raises(LocalProtocolError):
        greeted().answered(1, 2)
    assert isinstance(say("x").what, Say)
