"""Quick operations: what a framework wants done about an event, as ordinary actions.

Only the fields that are there act. Source: onebot11 9
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from trunkline.dialects.onebot11.actions import read_flag, read_message
from trunkline.dialects.onebot11.segments import Seg
from trunkline.errors import WireMalformed

Step = tuple[str, dict[str, Any]]
BAN_S: Final = 1800


def expand(context: object, operation: object) -> list[Step]:
    """Return the actions that an operation stands for, in order.

    Raises:
        WireMalformed: `bad_params`.
    """
    if type(context) is not dict or type(operation) is not dict:
        raise WireMalformed("bad_params", "context and operation must be objects")
    event = cast("dict[str, Any]", context)  # JSON: the keys are text
    wanted = cast("dict[str, Any]", operation)  # JSON: the keys are text
    post = event.get("post_type")
    if post == "message":
        return _of_message(event, wanted)
    if post == "request":
        return _of_request(event, wanted)
    return []


def _of_message(event: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Step]:
    is_group = event.get("message_type") == "group"
    steps: list[Step] = []
    reply = wanted.get("reply")
    if reply is not None and reply != "":
        message = read_message(reply, is_plain=read_flag(wanted.get("auto_escape")) is True)
        if is_group:
            if _is_on(wanted, "at_sender", default=True) and not event.get("anonymous"):
                message = [Seg("at", {"qq": str(event.get("user_id", ""))}), *message]
            steps.append(("send_group_msg", _pick(event, "group_id") | {"message": message}))
        else:
            steps.append(("send_private_msg", _pick(event, "user_id") | {"message": message}))
    if is_group:
        steps += _of_group(event, wanted)
    return steps


def _of_group(event: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Step]:
    member = _pick(event, "group_id", "user_id")
    mask = event.get("anonymous")
    steps: list[Step] = []
    if _is_on(wanted, "delete"):
        steps.append(("delete_msg", _pick(event, "message_id")))
    if _is_on(wanted, "kick") and not mask:
        steps.append(("set_group_kick", member))
    if _is_on(wanted, "ban"):
        duration = {"duration": wanted.get("ban_duration", BAN_S)}
        if mask:
            masked = _pick(event, "group_id", "anonymous") | duration
            steps.append(("set_group_anonymous_ban", masked))
        else:
            steps.append(("set_group_ban", member | duration))
    return steps


def _of_request(event: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Step]:
    if wanted.get("approve") is None:
        return []
    answer = _pick(event, "flag") | {"approve": wanted["approve"]}
    if event.get("request_type") == "friend":
        return [("set_friend_add_request", answer | _pick(wanted, "remark"))]
    given = answer | _pick(event, "sub_type") | _pick(wanted, "reason")
    return [("set_group_add_request", given)]


def _is_on(wanted: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    return default if wanted.get(name) is None else read_flag(wanted[name]) is True


def _pick(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name) is not None}
