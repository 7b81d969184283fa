"""Quick operations as ordinary actions: only what is there acts."""

from __future__ import annotations

from typing import Any

from trunkline.dialects.onebot11.quick import expand
from trunkline.dialects.onebot11.segments import Seg

PRIVATE = {"post_type": "message", "message_type": "private", "user_id": 5, "message_id": 9}
GROUP = PRIVATE | {"message_type": "group", "group_id": 6}
HI = Seg("text", {"text": "hi"})


def test_a_private_reply() -> None:
    assert expand(PRIVATE, {"reply": "hi", "at_sender": True, "kick": True}) == [
        ("send_private_msg", {"user_id": 5, "message": [HI]})
    ]


def test_the_sender_in_a_group_is_mentioned_by_default() -> None:
    mention = Seg("at", {"qq": "5"})
    [(action, params)] = expand(GROUP, {"reply": "hi"})
    assert (action, params) == ("send_group_msg", {"group_id": 6, "message": [mention, HI]})
    [(_, params)] = expand(GROUP, {"reply": "hi", "at_sender": False})
    assert params["message"] == [HI]
    [(_, params)] = expand(GROUP | {"anonymous": {"flag": "f"}}, {"reply": "hi"})
    assert params["message"] == [HI]


def test_auto_escape() -> None:
    [(_, params)] = expand(PRIVATE, {"reply": "[CQ:dice]", "auto_escape": "yes"})
    assert params["message"] == [Seg("text", {"text": "[CQ:dice]"})]


def test_moderation() -> None:
    who = {"group_id": 6, "user_id": 5}
    assert expand(GROUP, {"delete": True, "kick": 1, "ban": True, "ban_duration": 60}) == [
        ("delete_msg", {"message_id": 9}),
        ("set_group_kick", who),
        ("set_group_ban", who | {"duration": 60}),
    ]
    mask = {"flag": "f"}
    assert expand(GROUP | {"anonymous": mask}, {"kick": True, "ban": True}) == [
        ("set_group_anonymous_ban", {"group_id": 6, "anonymous": mask, "duration": 1800})
    ]
    assert expand(GROUP, {"delete": False, "kick": None, "ban": 0, "reply": ""}) == []


def test_requests() -> None:
    friend: dict[str, Any] = {"post_type": "request", "request_type": "friend", "flag": "f"}
    assert expand(friend, {"approve": False, "remark": "R"}) == [
        ("set_friend_add_request", {"flag": "f", "approve": False, "remark": "R"})
    ]
    group = friend | {"request_type": "group", "sub_type": "invite"}
    assert expand(group, {"approve": True, "reason": "no"}) == [
        (
            "set_group_add_request",
            {"flag": "f", "approve": True, "sub_type": "invite", "reason": "no"},
        )
    ]
    assert expand(group, {"reason": "x"}) == []


def test_other_events_have_none() -> None:
    assert expand({"post_type": "notice"}, {"reply": "x"}) == []
