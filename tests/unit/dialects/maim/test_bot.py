"""The core session: whose chat a message is, how a reply is addressed, what a wrong token gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from maim_lines import (
    QQ,
    core,
    delivery,
    group,
    kinds,
    message,
    options,
    receive,
    strict_core_drops,
)  # fmt: skip
from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    Again,
    Changed,
    Dial,
    Hangup,
    Head,
    LinkInfo,
    LinkState,
    Opening,
    Transmit,
)  # fmt: skip
from trunkline.dialects.maim import MAIM
from trunkline.dialects.maim.bot import CoreSession, DeniedSession
from trunkline.errors import LinkLost, LocalProtocolError
from trunkline.ids import CountingIds, DeliveryId, InboxId, answer_id
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Say
from trunkline.model.event import Person
from trunkline.model.segment import Image, Text

AUTHOR = {"platform": "qq", "user_id": "10001", "user_nickname": "张三"}


def reply(session: CoreSession, event: Any, words: str = "好") -> dict[str, Any]:
    transmit = session.send(delivery(words, event.chat, event.context))[0]
    assert isinstance(transmit, Transmit)
    return json.loads(transmit.data)


def test_a_private_reply_goes_to_the_author() -> None:
    clock = FakeClock()
    session = core(clock=clock)
    info = reply(session, receive(session, message()))["message_info"]
    assert info == {
        "platform": "qq",
        "message_id": "tl11",
        "time": clock.now_ms() / 1000,
        "user_info": AUTHOR,
        "sender_info": {
            "user_info": {"platform": "qq", "user_id": "trunkline", "user_nickname": "trunkline"}
        },
        "receiver_info": {"user_info": AUTHOR},
    }


def test_a_group_reply_goes_to_the_group() -> None:
    session = core(bot_id="b", bot_name="小机器人")
    info = reply(session, receive(session, message(group_info=group())))["message_info"]
    assert info["group_info"] == group()
    assert info["receiver_info"] == {"group_info": group(), "user_info": AUTHOR}
    assert info["user_info"] == AUTHOR
    assert info["sender_info"]["user_info"] == {
        "platform": "qq", "user_id": "b", "user_nickname": "小机器人",
    }  # fmt: skip


@pytest.mark.parametrize(
    "info",
    [
        {"user_info": {"user_id": 7}},
        {"user_info": {"user_id": "7"}, "group_info": {"group_id": 8}},
        {"user_info": ..., "group_info": ..., "message_id": ..., "time": ..., "platform": ...},
        {"platform": "other"},
    ],
)
def test_every_reply_passes_the_strict_core(info: dict[str, Any]) -> None:
    session = core()
    frame = reply(session, receive(session, message(**info)))
    assert strict_core_drops(frame) == ""
    assert frame["message_info"]["platform"] == "qq"  # the connection's. Source: maim 4.4
    assert b"null" not in json.dumps(frame).encode()


def test_a_message_of_nobody_is_answered_on_its_connection() -> None:
    session = core()
    event = receive(session, message(user_info=...))
    assert event.chat == Chat("qq", "private", "unknown")
    assert event.sender is None
    assert reply(session, event)["message_info"]["user_info"]["user_id"] == "unknown"


def test_without_a_context_the_chat_says_where() -> None:
    session = core()
    for context in (b"", b"not json", b'{"user":5}'):
        [transmit, _] = session.send(delivery("a", Chat("qq", "group", "9", "G"), context))
        assert isinstance(transmit, Transmit)
        frame = json.loads(transmit.data)
        assert frame["message_info"]["group_info"] == group("9", "G")
        assert "user_info" not in frame["message_info"]
        [transmit, _] = session.send(delivery("a", Chat("qq", "private", "9"), context))
        assert isinstance(transmit, Transmit)
        user = json.loads(transmit.data)["message_info"]["user_info"]
        assert user == {"platform": "qq", "user_id": "9", "user_nickname": "9"}


def test_a_context_of_another_chat_does_not_redirect() -> None:
    session = core()
    event = receive(session, message(group_info=group("1")))
    [transmit, _] = session.send(delivery("a", Chat("qq", "group", "2"), event.context))
    assert isinstance(transmit, Transmit)
    info = json.loads(transmit.data)["message_info"]
    assert info["group_info"]["group_id"] == info["receiver_info"]["group_info"]["group_id"] == "2"
    event = receive(session, message())
    [transmit, _] = session.send(delivery("a", Chat("qq", "private", "2"), event.context))
    assert isinstance(transmit, Transmit)
    assert json.loads(transmit.data)["message_info"]["user_info"]["user_id"] == "2"


def test_the_id_on_the_wire_is_the_same_at_every_attempt_and_for_no_other() -> None:
    session = core()
    inbox, chat, what = InboxId(1600), Chat("qq", "private", "1"), Say((Text("a"),))
    frames: list[Any] = []
    for nth, attempt in ((0, 1), (0, 2), (1, 1)):
        one = Delivery(answer_id(inbox, nth), chat, what, attempt=attempt)
        transmit = session.send(one)[0]
        assert isinstance(transmit, Transmit)
        frames.append(json.loads(transmit.data))
    names = [frame["message_info"]["message_id"] for frame in frames]
    assert names[0] == names[1] != names[2]


def test_what_the_adapter_accepts_decides_what_it_gets() -> None:
    session = core()
    picture = (Image(b"\x89PNG" + bytes(9)),)

    def kind_sent(context: bytes = b"") -> str:
        [transmit, _] = session.send(delivery(picture, context=context))
        assert isinstance(transmit, Transmit)
        return json.loads(transmit.data)["message_segment"]["data"][0]["type"]

    assert kind_sent() == "image"  # the default until it says something
    receive(session, message(format_info={"accept_format": ["text", "emoji"]}))
    assert kind_sent() == "text"
    receive(session, message())  # says nothing: the last word holds
    event = receive(session, message(format_info={"accept_format": None}))
    assert kind_sent() == "text"
    receive(session, message(format_info={"accept_format": ["image"]}))
    assert kind_sent(event.context) == "image"
    receive(session, message(format_info={"accept_format": None}))
    assert kind_sent() == "image"


def test_after_a_restart_the_context_knows_what_is_accepted() -> None:
    first = core()
    event = receive(first, message(format_info={"accept_format": ["text"]}))
    second = core()
    [transmit, _] = second.send(delivery((Image(b"12345"),), event.chat, event.context))
    assert isinstance(transmit, Transmit)
    assert json.loads(transmit.data)["message_segment"]["data"] == [
        {"type": "text", "data": "[图片]"}
    ]


def test_a_foreign_platform_is_warned_of_once_and_answered_here() -> None:
    session = core()
    first = session.receive(message(platform="other"), is_text=True)
    again = session.receive(message(platform="other"), is_text=True)
    assert kinds(first) == ["warned:platform_mismatch"]
    assert kinds(again) == []
    event = receive(session, message(platform="other"))
    assert event.chat.account == "qq"
    assert reply(session, event)["message_info"]["platform"] == "qq"


def test_names_and_cards() -> None:
    session = core()
    user = AUTHOR | {"user_cardname": "卡"}
    event = receive(session, message(user_info=user, group_info=group()))
    assert event.sender == Person("10001", "张三", "卡")
    assert event.chat == Chat("qq", "group", "42", "群")
    assert receive(session, message()).chat == Chat("qq", "private", "10001", "张三")


def test_a_platform_without_a_header_is_default() -> None:
    session = core(Head("/ws"))
    event = receive(session, message(platform=...))
    assert event.chat.account == "default"
    assert reply(session, event)["message_info"]["platform"] == "default"


def test_a_stop_closes_1001_and_a_lost_link_leaves_nothing_pending() -> None:
    session = core()
    closed, hangup = session.finish()
    assert closed == Changed(LinkState.CLOSED)
    assert getattr(hangup, "code", 0) == 1001
    assert session.finish() == session.lost(LinkLost()) == ()
    assert session.receive(message(), is_text=True) == ()
    other = core()
    assert other.lost(LinkLost()) == (Changed(LinkState.CLOSED),)


def test_misuse_is_refused_and_changes_nothing() -> None:
    session = core(linked=False)
    with pytest.raises(LocalProtocolError):
        session.send(delivery("a"))
    assert session.receive(message(), is_text=True) == ()
    session.linked(LinkInfo(QQ))
    with pytest.raises(LocalProtocolError):
        session.linked(LinkInfo(QQ))
    with pytest.raises(LocalProtocolError):
        session.answered("tag", None)
    assert len(session.send(delivery("a"))) == 2
    assert (session.tick(), session.stored(1), session.wake_at) == ((), (), None)


def test_a_denied_session_reads_and_sends_nothing() -> None:
    session = DeniedSession()
    assert session.begin(None) == session.receive(message(), is_text=True) == ()
    assert session.receive(b"\x00", is_text=False) == session.finish() == session.tick() == ()
    assert session.stored(None) == ()
    with pytest.raises(LocalProtocolError):
        session.send(delivery("a", ident=DeliveryId(1)))
    with pytest.raises(LocalProtocolError):
        session.answered(1, 1)
    assert session.lost(LinkLost(1008)) == (Changed(LinkState.CLOSED),)


def test_a_core_that_dials_names_the_platform_and_sits_there() -> None:
    url = "ws://127.0.0.1/ws"
    line = options(role="core", link="dial", url=url, platform="qq", token="k")
    session = MAIM.open(line, Opening("core", "", FakeClock(), CountingIds()))
    (dial,) = session.begin(None)
    assert dial == Dial(url, {"platform": "qq", "authorization": "k"}, None, 64 << 20)
    (changed,) = session.linked(LinkInfo(Head("/ws"), is_dialled=True))
    assert isinstance(changed, Changed)
    assert changed.seat is not None
    assert changed.seat.key == "qq"
    assert session.lost(LinkLost(1008)) == (
        Changed(LinkState.CLOSED), Hangup(1008, "", Again("auth")),
    )  # fmt: skip
