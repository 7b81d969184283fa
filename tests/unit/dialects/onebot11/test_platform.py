"""The implementation: what it tells, when it answers, and that it answers once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onebot11_lines import (
    ACCOUNT,
    ANN,
    CLUB,
    act,
    closed,
    feed,
    heard,
    implementation,
    noticed,
    opening,
    options,
    say,
    written,
)
from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    Ask,
    Changed,
    Dial,
    DoCarry,
    FindCarried,
    FindCarriedChats,
    FindCarriedMembers,
    FindCarriedMessage,
    FindChat,
    FindChats,
    Head,
    LinkInfo,
    LinkState,
    Received,
    Settled,
    Sharing,
    Transmit,
)
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.dialects.onebot11.platform import MAX_LIMITED, ImplementationSession
from trunkline.errors import (
    LinkLost,
    LocalProtocolError,
    RemoteProtocolError,
    StoreFull,
    StoreUnavailable,
)
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.carrying import Carried, CarriedChat, CarriedMember, CarriedMessage
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, Person
from trunkline.model.history import ChatFacts
from trunkline.model.segment import Image, Mention, Quote, Text

NOW_S = 1_767_225_600


def ask(session: Any, action: str, params: Any = None, echo: Any = "e") -> list[Any]:
    return feed(session, {"action": action, "params": params or {}, "echo": echo})


def receipt_of(effects: Any) -> Any:
    [received] = [one for one in effects if isinstance(one, Received)]
    return received.receipt


def answer(session: Any, effects: Any, value: Any) -> Any:
    """Answer what was asked and return the response."""
    [asked] = [one for one in effects if isinstance(one, Ask)]
    [response] = written(session.answered(asked.tag, value))
    return response


# -- life --------------------------------------------------------------------------------------


def test_the_connect_event_goes_first() -> None:
    clock = FakeClock()
    line = options(
        role="implementation", link="dial", url="ws://h/ws/", self_id=ACCOUNT, token="s3cret"
    )
    session = ONEBOT11.open(line, opening("implementation", clock))
    [dial] = session.begin(None)
    assert isinstance(dial, Dial)
    assert dial.url == "ws://h/ws/"  # byte for byte
    assert dial.headers == {
        "X-Self-ID": ACCOUNT,
        "X-Client-Role": "Universal",
        "User-Agent": "OneBot/11 trunkline",
        "Authorization": "Bearer s3cret",
    }
    first, second = session.linked(LinkInfo(Head("/"), is_dialled=True))
    assert written([first]) == [
        {
            "time": NOW_S,
            "self_id": 12345,
            "post_type": "meta_event",
            "meta_event_type": "lifecycle",
            "sub_type": "connect",
        }
    ]
    assert isinstance(second, Changed)
    assert (second.state, second.seat and second.seat.key) == (LinkState.READY, ACCOUNT)


@pytest.mark.parametrize(("role", "word"), [("api", "API"), ("event", "Event")])
def test_a_half_of_a_pair_names_itself(role: str, word: str) -> None:
    line = options(role="implementation", link="dial", url="ws://h", self_id="1", client_role=role)
    session: Any = ONEBOT11.open(line, opening("implementation", FakeClock()))
    assert session.begin(None)[0].headers["X-Client-Role"] == word
    effects = session.linked(LinkInfo(Head("/"), is_dialled=True))
    assert len(written(effects)) == (role == "event")
    [changed] = [one for one in effects if isinstance(one, Changed)]
    assert changed.seat.can_send is (role == "event")
    if role == "event":
        assert ask(session, "get_status") == []  # it reads nothing
    else:
        assert session.wake_at is None  # no heartbeats here


def test_every_framework_on_a_listening_line_hears_the_same() -> None:
    session = ONEBOT11.open(
        options(role="implementation", self_id=ACCOUNT), opening("implementation", FakeClock())
    )
    *_, changed = session.linked(LinkInfo(Head("/")))
    assert changed.seat.sharing is Sharing.JOIN


def test_heartbeats_come_at_their_interval_and_never_in_a_burst() -> None:
    clock = FakeClock()
    session = implementation(clock, heartbeat_interval_s=5)
    assert session.tick() == ()
    clock.advance(5)
    [beat] = written(session.tick())
    assert beat == {
        "time": NOW_S + 5,
        "self_id": 12345,
        "interval": 5000,
        "post_type": "meta_event",
        "meta_event_type": "heartbeat",
        "status": {"online": True, "good": True},
    }
    clock.advance(23)
    assert len(written(session.tick())) == 1
    assert session.wake_at == clock.monotonic_s() + 5
    assert implementation(heartbeat_interval_s=0).wake_at is None
    assert implementation(clock, heartbeat_interval_ms=2000).wake_at == clock.monotonic_s() + 2


# -- telling -----------------------------------------------------------------------------------


def test_a_private_message_is_complete() -> None:
    delivery = Delivery(
        DeliveryId(17),
        Chat(ACCOUNT, "private", "67890", "Ann"),
        Say((Text("[hi]"),)),
        b"",
        NOW_S * 1000 + 5,
    )
    transmit, settled = implementation().send(delivery)
    [event] = written([transmit])
    message_id = event.pop("message_id")
    assert event == {
        "time": NOW_S,
        "self_id": 12345,
        "post_type": "message",
        "message_type": "private",
        "sub_type": "friend",
        "user_id": 67890,
        "target_id": 12345,
        "message": [{"type": "text", "data": {"text": "[hi]"}}],
        "raw_message": "&#91;hi&#93;",
        "font": 0,
        "message_format": "array",
        "sender": {"user_id": 67890, "nickname": "Ann", "sex": "unknown", "age": 0},
    }
    assert 0 < message_id < 1 << 31
    assert settled == Settled(DeliveryId(17), Outcome.SENT, str(message_id))
    again = written(implementation().send(delivery))
    assert again[0]["message_id"] == message_id  # the same at every attempt


def test_a_group_message_of_somebody_on_a_carried_line() -> None:
    what = Say((Quote("9"), Text("hi")), Person("77", "Ann", "Annie"), 4711, 1_600_000_000_000)
    delivery = Delivery(DeliveryId(17), CLUB, what)
    [event] = written(implementation(carries="blog").send(delivery))
    assert (event["message_id"], event["time"], event["user_id"]) == (4711, 1_600_000_000, 77)
    assert event["sender"] == {
        "user_id": 77,
        "nickname": "Ann",
        "card": "Annie",
        "sex": "unknown",
        "age": 0,
        "area": "",
        "level": "1",
        "role": "member",
        "title": "",
    }
    assert (event["sub_type"], event["anonymous"]) == ("normal", None)
    assert "target_id" not in event


def test_in_a_group_nobody_speaks_as_the_account_itself() -> None:
    [event] = written(implementation().send(say("x", CLUB)))
    assert event["user_id"] == 80000000


def test_messages_as_text_and_bodies_named_once() -> None:
    [event] = written(implementation(message_format="string").send(say((Mention("5"), Text("&")))))
    assert event["message"] == event["raw_message"] == "[CQ:at,qq=5]&amp;"
    assert event["message_format"] == "string"
    [event] = written(implementation().send(say((Image(b"x" * 9000),))))
    assert event["message"][0]["data"]["file"].startswith("base64://")
    assert len(event["raw_message"]) < 100


def test_events_of_the_callers_own_making() -> None:
    session = implementation()
    notice = {"post_type": "notice", "notice_type": "friend_add", "user_id": 5, "echo": "x"}
    [event] = written(session.send(act("event", notice)))
    del notice["echo"]  # a framework would take it for a response
    assert event == notice | {"time": NOW_S, "self_id": 12345}
    assert written(session.send(act("frame", {"a": 1}))) == [{"a": 1}]


@pytest.mark.parametrize(
    "delivery", [act("kick"), say(""), say("x", Chat(ACCOUNT, "visitor", "1"))]
)
def test_what_cannot_be_told_is_refused(delivery: Any) -> None:
    [settled] = implementation().send(delivery)
    assert settled.outcome is Outcome.REFUSED


# -- calls about ourselves ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("get_login_info", {"user_id": 12345, "nickname": "N"}),
        ("get_status", {"online": True, "good": True}),
        ("can_send_image", {"yes": True}),
        ("can_send_record", {"yes": True}),
        ("clean_cache", None),
    ],
)
def test_answered_at_once(action: str, data: Any) -> None:
    echo = {"seq": 2**60 + 1, "a": [None, 0.5]}
    assert written(ask(implementation(nickname="N"), action, echo=echo)) == [
        {"status": "ok", "retcode": 0, "data": data, "echo": echo}
    ]


def test_the_version_is_that_of_the_program() -> None:
    import trunkline

    [response] = written(ask(implementation(), "get_version_info"))
    assert response["data"] == {
        "app_name": "trunkline",
        "app_version": trunkline.__version__,
        "protocol_version": "v11",
    }


def test_supported_actions_are_all_answered() -> None:
    session = implementation()
    [response] = written(ask(session, "get_supported_actions"))
    assert "send_msg" in response["data"]
    needed = {"message_id": 1, "group_id": 1, "user_id": 1, "message": "x"}
    for action in response["data"]:
        for one in written(ask(session, action, needed)):
            assert one["retcode"] != 1404, action


@pytest.mark.parametrize(
    ("action", "retcode"),
    [("set_group_kick", 1501), ("delete_msg", 1501), ("no_such", 1404), ("_async", 1404)],
)
def test_what_is_not_possible(action: str, retcode: int) -> None:
    params = {"group_id": 1, "user_id": "2", "message_id": 3}
    [response] = written(ask(implementation(), action, params))
    assert (response["status"], response["retcode"], response["data"]) == ("failed", retcode, None)
    assert response["message"] == response["wording"] == response["msg"] != ""


def test_a_bad_call_is_answered_and_the_link_stays() -> None:
    session = implementation()
    for _ in range(200):
        effects = feed(session, b"{")
        assert noticed(effects) == ["rejected:not_json"]
        [response] = written(effects)
        assert (response["retcode"], response["echo"]) == (1400, None)
        assert closed(effects) is None
    assert len(written(ask(session, "get_status"))) == 1


def test_a_binary_call_is_as_good() -> None:
    effects = implementation().receive(b'{"action":"get_status"}', is_text=False)
    [response] = written(effects)
    assert "echo" not in response


# -- what is said ------------------------------------------------------------------------------


def test_a_send_is_answered_when_it_is_stored_and_once() -> None:
    session = implementation(nickname="N")
    effects = ask(session, "send_private_msg", {"user_id": "67890", "message": "[CQ:at,qq=1]hi"})
    assert written(effects) == []
    [event] = heard(effects)
    assert isinstance(event, MessageReceived)
    assert event.chat == Chat(ACCOUNT, "private", "67890")
    assert event.segments == (Mention("1"), Text("hi"))
    assert (event.sender, event.key) == (Person(ACCOUNT, "N"), None)
    receipt = receipt_of(effects)
    [response] = written(session.stored(receipt))
    assert response == {
        "status": "ok",
        "retcode": 0,
        "data": {"message_id": int(event.peer_id)},
        "echo": "e",
    }
    assert session.stored(receipt) == ()


@pytest.mark.parametrize(
    ("action", "params", "chat"),
    [
        ("send_msg", {"group_id": 7, "user_id": 8}, ("group", "7")),
        ("send_msg", {"group_id": "", "user_id": 8}, ("private", "8")),
        ("send_msg", {"message_type": "private", "group_id": 7, "user_id": 8}, ("private", "8")),
        ("send_private_msg", {"group_id": 7, "user_id": 8}, ("private", "8")),
        ("send_group_msg", {"group_id": 7, "_timeout": 8.0, "self_id": 1}, ("group", "7")),
    ],
)
def test_where_a_send_goes(action: str, params: Any, chat: Any) -> None:
    [event] = heard(ask(implementation(), action, params | {"message": "x"}))
    assert (event.chat.kind, event.chat.id) == chat


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("send_msg", {"message": "x"}),
        ("send_msg", {"message": "x", "user_id": 1, "message_type": "guild"}),
        ("send_private_msg", {"user_id": 1}),
        ("send_private_msg", {"user_id": 1, "message": ""}),
        ("send_private_msg", {"user_id": {"a": 1}, "message": "x"}),
        ("send_group_msg", {"group_id": True, "message": "x"}),
        ("send_group_msg", {"group_id": 1, "message": True}),
        ("get_msg", {"message_id": "x"}),
    ],
)
def test_bad_parameters(action: str, params: Any) -> None:
    [response] = written(ask(implementation(), action, params))
    assert (response["retcode"], response["echo"]) == (1400, "e")


def test_in_the_background() -> None:
    session = implementation()
    effects = ask(session, "send_private_msg_async", {"user_id": 1, "message": "x"})
    assert written(effects) == [{"status": "async", "retcode": 1, "data": None, "echo": "e"}]
    assert session.stored(receipt_of(effects)) == []  # the second response is never sent
    assert written(ask(session, "no_such_async")) == [
        {"status": "async", "retcode": 1, "data": None, "echo": "e"}
    ]


def test_rate_limited_calls_are_spaced() -> None:
    clock = FakeClock()
    session = implementation(clock, heartbeat_interval_s=0)
    for nth in range(3):
        params = {"user_id": 1, "message": str(nth)}
        effects = ask(session, "send_private_msg_rate_limited", params)
        assert (len(written(effects)), heard(effects)) == (1, [])
    said = []
    for _ in range(3):
        at_s = clock.monotonic_s()
        [event] = heard(session.tick())
        said.append((round(clock.monotonic_s() - at_s, 3), event.segments[0].text))
        if session.wake_at is not None:
            assert session.wake_at - clock.monotonic_s() == pytest.approx(0.5)
            clock.advance(0.5)
    assert [words for _, words in said] == ["0", "1", "2"]
    assert session.wake_at is None


def test_the_echo_comes_back_byte_for_byte_also_where_the_frame_must_be_repaired() -> None:
    """An unpaired surrogate became U+FFFD, and the framework did not know its call again."""
    frame = b'{"echo": {"a" : "\\ud800", "n": 1.10}, "action":"get_status_async", "params":{}}'
    [sent] = implementation().receive(frame, is_text=True)
    assert isinstance(sent, Transmit)
    assert b'"echo":{"a" : "\\ud800", "n": 1.10}' in sent.data


@pytest.mark.parametrize(
    "data",
    [
        {"file": "base64://?"},
        {"file": "file:///etc/passwd"},
        {"file": "C:\\\\pictures\\\\a.png", "url": "ftp://x/a.png"},
    ],
)
def test_a_picture_that_nobody_could_see_is_refused_and_not_carried(data: Any) -> None:
    """A visitor was shown `file:///etc/passwd`, and broken base64 was answered `ok`."""
    session = implementation(carries="blog")
    parts = [{"type": "text", "data": {"text": "look"}}, {"type": "image", "data": data}]
    effects = ask(session, "send_private_msg", {"user_id": 1, "message": parts})
    [response] = written(effects)
    assert response["retcode"] == 1400
    assert not [one for one in effects if isinstance(one, Ask)]


@pytest.mark.parametrize("file", ["abc.image", "https://x.example/a/b.png", "base64://QUJD"])
def test_other_pictures_are_carried(file: str) -> None:
    session = implementation(carries="blog")
    parts = [{"type": "image", "data": {"file": file}}]
    effects = ask(session, "send_private_msg", {"user_id": 1, "message": parts})
    assert [type(one.request) for one in effects if isinstance(one, Ask)] == [DoCarry]


def limited(session: ImplementationSession, count: int) -> None:
    for nth in range(count):
        params = {"user_id": 1, "message": str(nth)}
        assert written(ask(session, "send_private_msg_rate_limited", params))[0]["retcode"] == 1


def test_limited_calls_that_wait_are_stored_before_it_leaves() -> None:
    """28 of 30 calls were answered `async` and gone after an orderly stop."""
    session = implementation(heartbeat_interval_s=0)
    limited(session, 3)
    effects = session.finish()
    assert [event.segments[0].text for event in heard(effects)] == ["0", "1", "2"]
    receipts = [one.receipt for one in effects if isinstance(one, Received)]
    assert [closed(session.stored(one)) for one in receipts[:2]] == [None, None]
    assert closed(session.stored(receipts[2])) == (1001, "going away")


def test_limited_calls_outlive_the_link() -> None:
    session = implementation(heartbeat_interval_s=0)
    limited(session, 2)
    effects = session.lost(LinkLost(1006))
    assert [event.segments[0].text for event in heard(effects)] == ["0", "1"]
    assert written(effects) == []
    assert session.wake_at is None


def test_the_bound_of_limited_calls() -> None:
    session = implementation(heartbeat_interval_s=0)
    limited(session, MAX_LIMITED)
    params = {"user_id": 1, "message": "x"}
    [response] = written(ask(session, "send_private_msg_rate_limited", params))
    assert response["retcode"] == 1429


def test_the_bound_of_open_calls() -> None:
    session = implementation()
    for _ in range(1000):
        ask(session, "send_private_msg", {"user_id": 1, "message": "x"})
    [response] = written(ask(session, "get_status"))
    assert response["retcode"] == 1429


def test_a_quoted_message_is_found() -> None:
    session = implementation()
    [event] = written(session.send(say("hi")))
    [response] = written(ask(session, "get_msg", {"message_id": str(event["message_id"])}))
    assert response["data"] == {
        "time": event["time"],
        "message_type": "private",
        "message_id": event["message_id"],
        "real_id": event["message_id"],
        "sender": event["sender"],
        "message": event["message"],
    }
    [response] = written(ask(session, "get_msg", {"message_id": 1}))
    assert (response["retcode"], response["message"]) == (100, "no such message")


def test_only_the_last_thousand_messages_are_kept() -> None:
    session = implementation()
    first, *_ = [
        written(session.send(say("x", ident=nth * 16 + 1)))[0]["message_id"] for nth in range(1001)
    ]
    [response] = written(ask(session, "get_msg", {"message_id": first}))
    assert response["retcode"] == 100


# -- lists, from our own chats -----------------------------------------------------------------


def test_friends_and_groups_of_our_own() -> None:
    facts = (
        ChatFacts(Chat(ACCOUNT, "private", "1", "Ann"), exists=True),
        ChatFacts(CLUB, exists=True),
    )
    for action, data in (
        ("get_friend_list", [{"user_id": 1, "nickname": "Ann", "remark": ""}]),
        (
            "get_group_list",
            [{"group_id": 20001, "group_name": "20001", "member_count": 0, "max_member_count": 0}],
        ),
    ):
        session = implementation()
        effects = ask(session, action)
        assert [one.request for one in effects] == [FindChats(200)]
        assert answer(session, effects, facts)["data"] == data


def test_one_chat_of_our_own() -> None:
    session = implementation()
    effects = ask(session, "get_stranger_info", {"user_id": 10001})
    assert [one.request for one in effects] == [FindChat(ANN)]
    found = ChatFacts(Chat(ACCOUNT, "private", "10001", "Ann"), exists=True)
    assert answer(session, effects, found)["data"]["nickname"] == "Ann"
    effects = ask(session, "get_group_info", {"group_id": 20001})
    assert answer(session, effects, ChatFacts(CLUB))["retcode"] == 100
    [response] = written(ask(session, "get_group_member_list", {"group_id": 1}))
    assert response["retcode"] == 1501


# -- carrying ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("carried", "retcode", "data"),
    [
        (Carried(Outcome.CONFIRMED, 8), 0, {"message_id": 8}),
        (Carried(Outcome.SENT, 8), 0, {"message_id": 8}),
        (Carried(Outcome.LATER, 8, "stored"), 0, {"message_id": 8}),
        (Carried(Outcome.UNCERTAIN, 8, "no answer"), 1408, None),
        (Carried(Outcome.REFUSED, 0, "a person has it"), 100, None),
        (RemoteProtocolError("there is no chat 5"), 100, None),
        (StoreUnavailable("too many"), 1429, None),
        (StoreFull(), 1429, None),
        (LocalProtocolError("x"), 1501, None),
    ],
)
def test_the_result_of_a_carried_send_tells_the_truth(
    carried: Any, retcode: int, data: Any
) -> None:
    session = implementation(carries="blog")
    effects = ask(session, "send_private_msg", {"user_id": 5, "message": "[CQ:reply,id=9]hi"})
    assert [one.request for one in effects] == [
        DoCarry(Chat(ACCOUNT, "private", "5"), (Quote("9"), Text("hi")))
    ]
    response = answer(session, effects, carried)
    assert (response["retcode"], response["data"], response["echo"]) == (retcode, data, "e")
    if isinstance(carried, Carried) and retcode:
        assert carried.detail in response["message"]


def test_what_is_known_of_a_carried_line() -> None:
    session = implementation(carries="blog", nickname="N")
    five, club = Chat(ACCOUNT, "private", "5", "Ann"), Chat(ACCOUNT, "group", "6", "Club")
    ann = CarriedMember(Person("5", "Ann", "Annie"), 7000)

    def result(action: str, params: Any, request: Any, value: Any) -> Any:
        effects = ask(session, action, params)
        assert [one.request for one in effects] == [request]
        return answer(session, effects, value)

    friends = result("get_friend_list", {}, FindCarriedChats("private"), (CarriedChat(five),))
    assert friends["data"] == [{"user_id": 5, "nickname": "Ann", "remark": ""}]
    groups = result("get_group_list", {}, FindCarriedChats("group"), (CarriedChat(club),))
    assert groups["data"][0]["group_name"] == "Club"
    where = Chat(ACCOUNT, "group", "6")
    info = result("get_group_info", {"group_id": "6"}, FindCarried(where), CarriedChat(club))
    assert info["data"]["group_id"] == 6
    who = Chat(ACCOUNT, "private", "5")
    stranger = result("get_stranger_info", {"user_id": 5}, FindCarried(who), CarriedChat(five))
    assert stranger["data"] == {"user_id": 5, "nickname": "Ann", "sex": "unknown", "age": 0}
    members = result("get_group_member_list", {"group_id": 6}, FindCarriedMembers(where), (ann,))
    assert (members["data"][0]["card"], members["data"][0]["last_sent_time"]) == ("Annie", 7)
    one = {"group_id": 6, "user_id": 5}
    member = result("get_group_member_info", one, FindCarriedMembers(where), (ann,))
    assert member["data"] == members["data"][0]
    nobody = result("get_group_member_info", one, FindCarriedMembers(where), ())
    assert nobody["retcode"] == 100
    said = CarriedMessage(9, club, Person("5", "Ann", "Annie"), (Text("hi"),), 7000)
    found = result("get_msg", {"message_id": 9}, FindCarriedMessage(9), said)
    assert found["data"]["sender"]["card"] == "Annie"
    assert (found["data"]["time"], found["data"]["real_id"]) == (7, 9)
    own = CarriedMessage(9, five, None, (Text("hi"),), 7000)
    found = result("get_msg", {"message_id": 9}, FindCarriedMessage(9), own)
    assert found["data"]["sender"]["nickname"] == "N"
    missing = result("get_msg", {"message_id": 9}, FindCarriedMessage(9), RemoteProtocolError("no"))
    assert (missing["retcode"], missing["message"]) == (100, "no")


# -- quick operations --------------------------------------------------------------------------


def test_a_quick_operation_is_answered_once_when_all_is_done() -> None:
    session = implementation()
    context = {"post_type": "message", "message_type": "group", "group_id": 6, "user_id": 5}
    params = {"context": context, "operation": {"reply": "ok", "ban": True}}
    effects = ask(session, ".handle_quick_operation", params)
    assert written(effects) == []
    [event] = heard(effects)
    assert event.segments == (Mention("5"), Text("ok"))
    [response] = written(session.stored(receipt_of(effects)))
    assert response["retcode"] == 1501  # the ban was not possible: the first failure counts
    effects = ask(session, ".handle_quick_operation_async", params)
    assert [one["status"] for one in written(effects)] == ["async"]
    assert written(session.stored(receipt_of(effects))) == []


@pytest.mark.parametrize(
    "params", [{}, {"context": 1, "operation": {}}, {"context": {}, "operation": []}]
)
def test_a_bad_quick_operation(params: Any) -> None:
    [response] = written(ask(implementation(), ".handle_quick_operation", params))
    assert response["retcode"] == 1400


def test_a_quick_operation_that_wants_nothing() -> None:
    params = {"context": {"post_type": "notice"}, "operation": {"reply": "x"}}
    [response] = written(ask(implementation(), ".handle_quick_operation", params))
    assert (response["status"], response["data"]) == ("ok", None)


# -- the end -----------------------------------------------------------------------------------


def test_accepted_calls_are_answered_before_leaving() -> None:
    clock = FakeClock()
    session = implementation(clock)
    effects = ask(session, "send_private_msg", {"user_id": 1, "message": "x"})
    assert session.finish() == ()
    [response] = written(ask(session, "get_status"))
    assert response["retcode"] == 1503
    [later] = session.send(say("x"))
    assert later.outcome is Outcome.LATER
    last = session.stored(receipt_of(effects))
    assert len(written(last)) == 1
    assert closed(last) == (1001, "going away")


def test_what_is_not_answered_in_five_seconds_is_left() -> None:
    clock = FakeClock()
    session = implementation(clock)
    ask(session, "send_private_msg", {"user_id": 1, "message": "x"})
    session.finish()
    clock.advance(5)
    assert closed(session.tick()) == (1001, "going away")


def test_without_open_calls_it_leaves_at_once() -> None:
    assert closed(implementation().finish()) == (1001, "going away")


def test_nothing_is_written_once_the_link_is_gone() -> None:
    session = implementation()
    effects = ask(session, "get_friend_list")
    [asked] = effects
    assert session.answered(asked.tag, LinkLost(1006)) == ()  # as the driver does it first
    stored = ask(session, "send_private_msg", {"user_id": 1, "message": "x"})
    [changed] = session.lost(LinkLost(1006))
    assert changed.state is LinkState.CLOSED
    assert session.stored(receipt_of(stored)) == ()
    assert session.lost(LinkLost(1006)) == ()
    assert ask(session, "get_status") == []
    assert not any(isinstance(one, Transmit) for one in session.finish())


def test_misuse_is_told() -> None:
    with pytest.raises(LocalProtocolError):
        implementation().linked(LinkInfo(Head("/")))
    session = implementation()
    session.lost(LinkLost(1006))
    with pytest.raises(LocalProtocolError):
        session.send(say("x"))


def test_no_frame_of_ours_could_be_taken_for_another() -> None:
    """A response never has `post_type`, an event never has `echo` (onebot11 4)."""
    session = implementation()
    frames = written(session.send(say("x"))) + written(ask(session, "get_status"))
    assert [("post_type" in one, "echo" in one) for one in frames] == [(True, False), (False, True)]
    assert json.dumps(frames)
