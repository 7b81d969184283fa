"""What an account says itself, told to those who play its owner (`report_self_message`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from house import House
from onebot11_lines import ACCOUNT, feed, framework, heard, implementation, written
from trunkline.dialects.contract import Ask, DoCarry, HttpRequest, Received
from trunkline.dialects.contract import Head as RequestHead
from trunkline.dialects.onebot11.frames import decode
from trunkline.dialects.onebot11.shapes import MessageFrame
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.carrying import Carried
from trunkline.model.delivery import Delivery, Outcome, Tell
from trunkline.model.event import MessageReceived, Person
from trunkline.model.history import HistoryItem, TakeoverChanged
from trunkline.model.segment import Text
from trunkline.pipeline.rulebook import RuleSpec

ANN = Chat(ACCOUNT, "private", "10001")
PRIVATE = {"user_id": 10001, "message": "hi"}
GROUP = {"group_id": 20001, "message": [{"type": "text", "data": {"text": "hi"}}]}
NOW_S = 1_767_225_600


def told(action: str = "send_msg", params: Any = PRIVATE, **keys: Any) -> list[Any]:
    """Return what is written when a message is stored."""
    session = implementation(report_self_message=True, **keys)
    effects = feed(session, {"action": action, "params": params, "echo": 1})
    (received,) = [one for one in effects if isinstance(one, Received)]
    return written(session.stored(received.receipt))


def test_a_private_message_is_reported_behind_its_response() -> None:
    response, event = told(nickname="Bot")
    assert event == {
        "time": NOW_S, "self_id": 12345, "post_type": "message_sent", "message_type": "private",
        "sub_type": "friend", "message_id": response["data"]["message_id"], "user_id": 12345,
        "target_id": 10001, "message": [{"type": "text", "data": {"text": "hi"}}],
        "raw_message": "hi", "font": 0, "message_format": "array",
        "sender": {"user_id": 12345, "nickname": "Bot", "sex": "unknown", "age": 0},
    }  # fmt: skip
    assert "echo" not in event


def test_a_group_message_is_reported_as_the_accounts_own() -> None:
    _, event = told("send_group_msg", GROUP, message_format="string")
    assert (event["post_type"], event["message_type"]) == ("message_sent", "group")
    assert (event["group_id"], event["user_id"], event["sender"]["user_id"]) == (
        20001, 12345, 12345,
    )  # fmt: skip
    assert (event["message"], event["message_format"]) == ("hi", "string")


def test_nothing_is_reported_unless_it_is_wanted() -> None:
    assert len(told()) == 2
    session = implementation()
    (received,) = feed(session, {"action": "send_msg", "params": PRIVATE})
    assert len(written(session.stored(received.receipt))) == 1


def test_a_call_in_the_background_is_reported_once_it_is_done() -> None:
    (event,) = told("send_msg_async")
    assert event["post_type"] == "message_sent"


@pytest.mark.parametrize(("kind", "count"), [("universal", 2), ("api", 1)])
def test_a_connection_without_events_hears_of_none(kind: str, count: int) -> None:
    assert len(told(kind=kind)) == count


def test_each_message_of_a_quick_operation_is_reported() -> None:
    session = implementation(report_self_message=True)
    context = told("send_msg")[1] | {"post_type": "message", "user_id": 10001}
    params = {"context": context, "operation": {"reply": "pong"}}
    effects = feed(session, {"action": ".handle_quick_operation", "params": params})
    (received,) = [one for one in effects if isinstance(one, Received)]
    response, event = written(session.stored(received.receipt))
    assert (response["status"], event["raw_message"]) == ("ok", "pong")


def test_get_msg_finds_what_was_reported() -> None:
    session = implementation(report_self_message=True)
    (received,) = feed(session, {"action": "send_msg", "params": PRIVATE})
    _, event = written(session.stored(received.receipt))
    params = {"message_id": event["message_id"]}
    (found,) = written(feed(session, {"action": "get_msg", "params": params}))
    assert found["data"]["sender"]["user_id"] == 12345


@pytest.mark.parametrize("is_private", [True, False])
def test_a_framework_takes_it_for_its_own_and_never_answers(*, is_private: bool) -> None:
    action, params = ("send_msg", PRIVATE) if is_private else ("send_group_msg", GROUP)
    _, event = told(action, params)
    frame = decode(json.dumps(event).encode(), ACCOUNT)
    assert isinstance(frame, MessageFrame)
    assert frame.flags == ()  # nothing about it is odd
    reader = framework(handshake="off", headers={"x-self-id": ACCOUNT}, ignore_self=False)
    (own,) = heard(feed(reader, event))
    assert own.is_own
    chat = own.chat
    assert (chat.kind, chat.id) == (("private", "10001") if is_private else ("group", "20001"))


def test_a_call_for_a_carried_chat_is_reported_by_the_house_and_not_by_the_session() -> None:
    session = implementation(report_self_message=True, carries="blog")
    (ask,) = feed(session, {"action": "send_msg", "params": PRIVATE})
    assert isinstance(ask, Ask)
    assert isinstance(ask.request, DoCarry)
    (response,) = written(session.answered(ask.tag, Carried(Outcome.CONFIRMED, 9, "")))
    assert response["data"] == {"message_id": 9}


# -- what another connection of the account said -----------------------------------------------


def item(**event: Any) -> HistoryItem:
    given = {"peer_id": "77", "at_ms": 1_000_000} | event
    us = Person(ACCOUNT, "Bot")
    return HistoryItem(5, 2_000_000, "user", MessageReceived(ANN, us, (Text("hi"),), **given))


def tell(session: Any, what: Any) -> list[Any]:
    return written(session.send(Delivery(DeliveryId(0), ANN, Tell(ANN, what))))


def test_what_another_connection_said_is_reported() -> None:
    session = implementation(report_self_message=True)
    (event,) = tell(session, item())
    assert (event["post_type"], event["time"], event["message_id"]) == ("message_sent", 1000, 77)
    assert tell(session, item(at_ms=None))[0]["time"] == 2000


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({}, item()),
        ({"report_self_message": True}, item(peer_id="")),
        ({"report_self_message": True}, TakeoverChanged(ANN)),
        ({"report_self_message": True}, HistoryItem(5, 0, "assistant", segments=(Text("x"),))),
    ],
)
def test_nothing_else_is(keys: Any, what: Any) -> None:
    assert tell(implementation(**keys), what) == []


# -- through the house -------------------------------------------------------------------------

ECHO = RuleSpec(name="echo", match="any", reply="{send_message}")


def bot(**keys: Any) -> dict[str, Any]:
    return {
        "dialect": "onebot11", "role": "implementation", "link": "listen", "self_id": ACCOUNT,
    } | keys  # fmt: skip


async def test_every_framework_is_told_once(tmp_path: Path) -> None:
    lines = {"bot": bot(report_self_message=True), "mute": bot(path="/mute")}
    async with House(tmp_path, lines=lines) as house:
        speaker, other, mute = house.connect("bot"), house.connect("bot"), house.connect("mute")
        for peer in (speaker, other, mute):
            assert [frame["post_type"] for frame in peer.frames()] == ["meta_event"]
        speaker.say({"action": "send_msg", "params": PRIVATE, "echo": 1})
        await house.quiet()
        response, mine = speaker.frames()
        (theirs,) = other.frames()
        assert mine == theirs
        assert mine["message_id"] == response["data"]["message_id"]
        assert mute.frames() == []


async def test_a_call_over_http_is_reported_to_the_connected(tmp_path: Path) -> None:
    async with House(tmp_path, lines={"bot": bot(report_self_message=True)}) as house:
        peer = house.connect("bot")
        peer.frames()
        body = json.dumps(PRIVATE).encode()
        head = RequestHead(
            "/onebot/v11/send_msg", headers={"content-type": "application/json"}, is_loopback=True
        )
        link: Any = house.lines["bot"].take_request(HttpRequest("POST", head, body))
        await house.quiet()
        answer = json.loads((await link.answer).body)
        (event,) = peer.frames()
        assert event["message_id"] == answer["data"]["message_id"]


async def test_an_answer_of_a_rule_is_a_persons_message(tmp_path: Path) -> None:
    lines = {"bot": bot(report_self_message=True)}
    async with House(tmp_path, lines=lines, rules=[ECHO]) as house:
        peer = house.connect("bot")
        peer.frames()
        peer.say({"action": "send_msg", "params": PRIVATE, "echo": 1})
        await house.quiet()
        assert sorted(str(frame.get("post_type")) for frame in peer.frames()) == [
            "None", "message", "message_sent",
        ]  # fmt: skip
