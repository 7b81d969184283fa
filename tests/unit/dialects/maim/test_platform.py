"""The adapter session: dialling, whom a core's message is for, what a strict core gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maim_lines import adapter, delivery, group, kinds, message, receive, strict_core_drops
from maim_segments import SEGMENTS
from trunkline.dialects.contract import Again, Changed, Dial, Hangup, LinkState, Sharing, Transmit
from trunkline.dialects.maim.blocks import UserInfo
from trunkline.dialects.maim.identity import Context, encode_context
from trunkline.dialects.maim.platform import delay_s
from trunkline.dialects.maim.session import cause_of
from trunkline.errors import LinkLost, LinkTimeout
from trunkline.model.address import Chat
from trunkline.model.event import Person
from trunkline.model.segment import Segment

BOT = {"platform": "qq", "user_id": "bot", "user_nickname": "Bot"}
USER = {"platform": "qq", "user_id": "10001", "user_nickname": "张三"}


def sent(session: Any, *args: Any, **keys: Any) -> dict[str, Any]:
    transmit = session.send(delivery(*args, **keys))[0]
    assert isinstance(transmit, Transmit)
    return json.loads(transmit.data)


def test_it_dials_with_its_platform_and_bare_token() -> None:
    session = adapter(linked=False, platform="平台", token="T0", headers={"x-a": "b"})
    assert session.begin(None) == (
        Dial(
            "ws://127.0.0.1/ws",
            {"x-a": "b", "platform": "平台", "authorization": "T0"},
            None,
            64 << 20,
        ),
    )
    [dial] = adapter(linked=False).begin(None)
    assert isinstance(dial, Dial)
    assert dial.headers == {"platform": "qq"}


def test_it_is_ready_at_once() -> None:
    session = adapter(linked=False)
    from trunkline.dialects.contract import Head, LinkInfo

    [changed] = session.linked(LinkInfo(Head("/ws"), is_dialled=True))
    assert isinstance(changed, Changed)
    assert changed.seat is not None
    assert (changed.seat.key, changed.seat.sharing) == ("qq", Sharing.REPLACE)


@pytest.mark.parametrize(
    ("info", "chat", "sender"),
    [
        # classic: `user_info` is the addressee, nobody says who speaks
        ({}, Chat("qq", "private", "10001", "张三"), None),
        ({"group_info": group()}, Chat("qq", "group", "42", "群"), None),
        # newer: `user_info` is the bot, `receiver_info` the addressee
        (
            {"user_info": BOT, "sender_info": {"user_info": BOT},
             "receiver_info": {"user_info": USER}},
            Chat("qq", "private", "10001", "张三"), Person("bot", "Bot"),
        ),
        (
            {"user_info": BOT, "receiver_info": {"group_info": group("7"), "user_info": USER},
             "group_info": group("8")},
            Chat("qq", "group", "7", "群"), None,
        ),
        (
            {"group_info": group("8"), "receiver_info": {"user_info": USER, "group_info": None}},
            Chat("qq", "group", "8", "群"), None,
        ),
        ({"user_info": ..., "receiver_info": {}}, Chat("qq", "private", "unknown"), None),
    ],
)  # fmt: skip
def test_whom_a_message_of_the_core_is_for(
    info: dict[str, Any], chat: Chat, sender: Person | None
) -> None:
    event = receive(adapter(), message(**info))
    assert event.chat == chat
    assert event.sender == sender


def test_an_answer_to_the_core_comes_from_whom_it_spoke_to() -> None:
    session = adapter()
    event = receive(session, message(user_info=BOT, receiver_info={"user_info": USER}))
    frame = sent(session, "好", event.chat, event.context)
    assert frame["message_info"]["user_info"] == USER
    assert "group_info" not in frame["message_info"]


def test_in_a_group_the_context_speaks_else_we_ourselves() -> None:
    session = adapter(bot_id="me", bot_name="我")
    chat = Chat("qq", "group", "42", "群")
    ours = sent(session, "a", chat)["message_info"]
    assert ours["user_info"] == {"platform": "qq", "user_id": "me", "user_nickname": "我"}
    assert ours["group_info"] == group()
    context = encode_context(Context(user=UserInfo(user_id="5")))
    theirs = sent(session, "a", chat, context)["message_info"]
    assert theirs["user_info"] == {"platform": "qq", "user_id": "5", "user_nickname": "5"}


def test_it_says_what_is_in_and_what_it_takes_back() -> None:
    formats = sent(adapter(), "a")["message_info"]["format_info"]
    assert formats["content_format"] == ["text"]
    assert {"text", "image", "emoji", "voice", "seglist"} <= set(formats["accept_format"])


@given(
    st.lists(SEGMENTS, min_size=1, max_size=4).map(tuple),
    st.sampled_from(["private", "group"]),
    st.sampled_from(["", "名"]),
)
def test_everything_it_sends_passes_the_strict_core(
    segments: tuple[Segment, ...], kind: str, name: str
) -> None:
    frame = sent(adapter(), segments, Chat("qq", kind, "9", name))
    assert strict_core_drops(frame) == ""


def test_a_bad_frame_leaves_the_link_open() -> None:
    session = adapter()
    assert kinds(session.receive(b"[]", is_text=True)) == ["rejected:not_an_object"]
    assert kinds(session.receive(b"{}", is_text=False)) == ["rejected:binary_frame"]
    assert receive(session, message()).chat.id == "10001"


@pytest.mark.parametrize(
    ("code", "reason", "cause"),
    [
        (1008, "认证失败", "auth"),
        (1008, "", "auth"),
        (1000, "replaced by a newer link", "replaced"),
        (1000, "新的连接已建立", "replaced"),
        (1000, "Authentication failed: 认证失败", "auth"),
        (1006, "Authentication failed", "lost"),
        (1000, "bye", "lost"),
        (1001, "", "lost"),
        (1006, "", "lost"),
        (1009, "replaced", "lost"),
    ],
)
def test_why_it_comes_back(code: int, reason: str, cause: str) -> None:
    assert cause_of(code, reason) == cause
    closed, hangup = adapter().lost(LinkLost(code, reason))
    assert closed == Changed(LinkState.CLOSED)
    assert hangup == Hangup(code, "", Again(cause))


def test_a_link_that_never_answered_comes_back_as_lost() -> None:
    session = adapter()
    assert session.lost(LinkTimeout())[1] == Hangup(1006, "", Again("lost"))
    assert session.lost(LinkTimeout()) == ()


def test_the_retry_table() -> None:
    assert [delay_s("lost", n) for n in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert [delay_s("auth", n) for n in range(1, 7)] == [5, 10, 20, 40, 60, 60]
    assert [delay_s("replaced", n) for n in (1, 9)] == [30, 30]
    assert delay_s("lost", 10**9) == 30
    assert delay_s("unheard", 0) == 1
