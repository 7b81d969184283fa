"""What a framework hears: one JSON object per message, an event or a response.

The other way is `calls`. Everything is read as plain values by the rules of the specification:
what is odd is named in `flags`, what is impossible is a `WireMalformed` with a reason of
`REJECTIONS`. The frames that a session hears most have a shorter way (`ordinary`).
Source: onebot11 4, 5, 10
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from trunkline.dialects.onebot11.fields import (
    read_content,
    read_flag,
    read_id,
    read_sender,
    read_time,
)
from trunkline.dialects.onebot11.segments import to_word
from trunkline.dialects.onebot11.shapes import (
    HEARTBEAT,
    Anonymous,
    EventFrame,
    Heard,
    MessageFrame,
    Response,
    Sender,
)
from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire

MAX_DEPTH: Final = jsonwire.MAX_DEPTH  # Source: onebot11 4
_DETAILS: Final[Mapping[str, str]] = {
    "message": "message_type", "message_sent": "message_type", "notice": "notice_type",
    "request": "request_type", "meta_event": "meta_event_type",
}  # fmt: skip
_KINDS: Final[Mapping[str, str]] = {
    "notice": "notice", "request": "request", "meta_event": "meta",
}  # fmt: skip
_DEFAULTS: Final[Mapping[str, str]] = {"private": "friend", "group": "normal"}


_decode_any = msgspec.json.Decoder().decode
FAULTS: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def decode(data: bytes, self_id: str = "") -> Heard:
    """Decode one frame of an implementation: an event or a response.

    Args:
        self_id: the account of the connection, "" = not known yet.

    Raises:
        WireMalformed: with a reason of `REJECTIONS`.
    """
    check_depth(data)
    fields, data = to_fields(data)
    post = fields.get("post_type")
    if "post_type" not in fields:
        if "retcode" in fields or "status" in fields:
            return _read_response(fields)
        raise WireMalformed("no_post_type")
    if type(post) is not str or not post:
        raise WireMalformed("bad_post_type")
    flags: list[str] = []
    if post not in _DETAILS:
        return _read_event(fields, data, "unknown", post, self_id, flags)
    detail = fields.get(_DETAILS[post])
    if type(detail) is not str or not detail:
        raise WireMalformed("no_detail_type")
    if post in _KINDS:
        name = f"{post}.{detail}" + _dotted(fields.get("sub_type"))
        return _read_event(fields, data, _KINDS[post], name, self_id, flags)
    return _read_message(fields, data, self_id, flags)


def _dotted(sub_type: object) -> str:
    return f".{sub_type}" if type(sub_type) is str and sub_type else ""


def _account(fields: Mapping[str, object], self_id: str, flags: list[str]) -> str:
    account = read_id(fields.get("self_id"), flags)
    if not account:
        if not self_id:
            raise WireMalformed("no_self_id")
        flags.append("self_id_from_connection")
        return self_id
    if self_id and account != self_id:
        raise WireMalformed("self_id_mismatch")
    return account


def _read_message(
    fields: dict[str, object], data: bytes, self_id: str, flags: list[str]
) -> MessageFrame:
    account = _account(fields, self_id, flags)
    detail = str(fields["message_type"])
    user = read_id(fields.get("user_id"), flags)
    group = _group(fields, flags)
    if detail == "group" and not group:
        raise WireMalformed("missing_group_id")
    if detail in _DEFAULTS and not user:
        raise WireMalformed("missing_user_id")
    sub_type = fields.get("sub_type")
    is_default = type(sub_type) is not str or not sub_type
    if is_default:
        sub_type = _DEFAULTS.get(detail, "")
        if sub_type:
            flags.append("default_sub_type")
    nickname, card, role, home = read_sender(fields.get("sender"), flags)
    message_id = read_id(fields.get("message_id"), flags)
    if not message_id:
        flags.append("no_message_id")
    segments = read_content(fields, flags)
    target = read_id(fields.get("target_id"), flags)
    mask: object = fields.get("anonymous")
    return MessageFrame(
        account,
        detail,
        str(sub_type),
        user,
        segments,
        read_time(fields.get("time"), flags),
        group or home,
        message_id,
        target,
        Sender(nickname, card, role),
        _mask(mask),
        is_sent=fields["post_type"] == "message_sent",
        is_minimal=is_default and "no_sender" in flags,
        flags=tuple(sorted(set(flags))),
        data=data,
    )


def _group(fields: Mapping[str, object], flags: list[str]) -> str:
    group = read_id(fields.get("group_id"), flags)
    return "" if group == "0" else group


def _mask(value: object) -> Anonymous | None:
    if type(value) is not dict:
        return None
    fields = cast("dict[str, object]", value)  # JSON: the keys are text
    return Anonymous(*(to_word(fields.get(key)) for key in ("id", "name", "flag")))


def _read_event(
    fields: dict[str, object], data: bytes, kind: str, name: str, self_id: str, flags: list[str]
) -> EventFrame:
    account = _account(fields, self_id, flags)
    user, operator, target, message = (read_id(fields.get(f"{key}_id"), flags) for key in _WHO)
    group = _group(fields, flags)
    flag = to_word(fields.get("flag")) if kind == "request" else ""
    if kind == "request" and not flag:
        raise WireMalformed("no_flag")
    at_ms = read_time(fields.get("time"), flags)
    online = good = interval_ms = None
    if name == HEARTBEAT:
        online, good, interval_ms = _read_heartbeat(fields)
    return EventFrame(
        kind, name, account, at_ms, user, operator, target, message, group, flag,
        to_word(fields.get("comment")) if kind == "request" else "",
        online, good, interval_ms, tuple(sorted(set(flags))), data,
    )  # fmt: skip


_WHO: Final = ("user", "operator", "target", "message")


def _read_heartbeat(fields: Mapping[str, object]) -> tuple[bool | None, bool | None, int | None]:
    status = fields.get("status")
    found = cast("dict[str, object]", status) if type(status) is dict else {}  # JSON: text keys
    interval = fields.get("interval")
    digits = interval if type(interval) is str else ""
    if digits.isascii() and digits.isdecimal() and len(digits) < 16:
        interval = int(digits)
    interval_ms = interval if type(interval) is int and interval > 0 else None
    return read_flag(found.get("online")), read_flag(found.get("good")), interval_ms


def decode_response(data: bytes) -> Response:
    """Decode a frame of a connection that carries responses only.

    Raises:
        WireMalformed: among others `not_response` and `is_event`.
    """
    check_depth(data)
    fields, _ = to_fields(data)
    if "post_type" in fields:
        raise WireMalformed("is_event")
    if "retcode" not in fields and "status" not in fields:
        raise WireMalformed("not_response")
    return _read_response(fields)


def _read_response(fields: Mapping[str, object]) -> Response:
    """Derive what is missing: the status from the code, the code from the status.

    Source: onebot11 8
    """
    given, status = fields.get("retcode"), fields.get("status")
    retcode: int | None = given if type(given) is int else None
    if type(given) is str and given.removeprefix("-").isdecimal() and len(given) < 16:
        retcode = int(given)
    if type(status) is not str or not status:
        status = {0: "ok", 1: "async"}.get(-1 if retcode is None else retcode, "failed")
    if retcode is None:
        retcode = {"ok": 0, "async": 1}.get(status, -1)
    is_async = status == "async"
    is_ok = status == "ok" and retcode == 0
    error = None
    if not is_ok and not is_async:
        words = (fields.get(key) for key in ("wording", "message", "msg"))
        error = next((word for word in words if type(word) is str and word), "")
    data = jsonwire.encode(fields.get("data"))
    return Response(is_ok, is_async, retcode, error, data, fields.get("echo"))


# -- plain values ------------------------------------------------------------------------------


def check_depth(data: bytes) -> None:
    """Refuse nesting deeper than 64.

    Raises:
        WireMalformed: `too_deep`.
    """
    jsonwire.check_depth_of(data, MAX_DEPTH)


def to_fields(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Read an object as plain values; also return its JSON, repaired where it had to be.

    Raises:
        WireMalformed: `not_json`, `bad_utf8`, `too_deep` or `not_object`.
    """
    try:
        value = _decode_any(data)
    except FAULTS:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise WireMalformed("bad_utf8") from error
        value = jsonwire.tolerant(data)
        data = jsonwire.encode(value)
    if type(value) is not dict:
        raise WireMalformed("not_object")
    return cast("dict[str, Any]", value), data  # JSON: the keys are text
