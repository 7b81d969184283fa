"""The frames that a framework hears, as values, and the closed sets of words about them.

Ids are text, absent ones empty; times are milliseconds. Source: onebot11 10
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, final

import msgspec

from trunkline.dialects.onebot11.segments import Seg

REJECTIONS: Final = frozenset({
    "not_json", "not_object", "bad_utf8", "too_deep", "no_post_type", "bad_post_type",
    "no_detail_type", "no_self_id", "self_id_mismatch", "bad_id", "missing_user_id",
    "missing_group_id", "no_content", "no_flag", "no_action", "bad_params", "not_response",
    "is_event", "no_connect",
})  # fmt: skip
FLAGS: Final = frozenset({
    "default_sub_type", "dropped_segment", "from_raw_message", "ms_time", "no_message_id",
    "no_sender", "no_time", "self_id_from_connection", "string_ids", "string_time",
})  # fmt: skip

CONNECT: Final = "meta_event.lifecycle.connect"
HEARTBEAT: Final = "meta_event.heartbeat"


class Sender(msgspec.Struct, frozen=True, gc=False):
    """Who spoke: best effort of the peer. Source: onebot11 5.2"""

    nickname: str = ""
    card: str = ""
    role: str | None = None

    @property
    def name(self) -> str:
        """The name in the group, else the nickname. Source: onebot11 10"""
        return self.card or self.nickname


class Anonymous(msgspec.Struct, frozen=True, gc=False):
    """The mask of an anonymous member."""

    id: str = ""
    name: str = ""
    flag: str = ""


@final  # so that `type(frame) is …` narrows
class MessageFrame(msgspec.Struct, frozen=True, gc=False):
    """Somebody said something, or (`is_sent`) our account did.

    Args:
        detail: `private`, `group`, or a word of a bridge.
        group_id: also of the group that a temporary chat comes from, when known; "" = none.
        is_minimal: it has neither `sub_type` nor `sender`, as the printed client sends it.
        flags: sorted words of `FLAGS`.
        data: the frame as it came.
    """

    self_id: str
    detail: str
    sub_type: str
    user_id: str
    segments: list[Seg]
    at_ms: int | None = None
    group_id: str = ""
    message_id: str = ""
    target_id: str = ""
    sender: Sender = Sender()
    anonymous: Anonymous | None = None
    is_sent: bool = False
    is_minimal: bool = False
    flags: tuple[str, ...] = ()
    data: bytes = b""

    @property
    def name(self) -> str:
        """The dotted name. Source: onebot11 5.1"""
        post = "message_sent" if self.is_sent else "message"
        return f"{post}.{self.detail}" + (f".{self.sub_type}" if self.sub_type else "")


@final  # so that `type(frame) is …` narrows
class EventFrame(msgspec.Struct, frozen=True, gc=False):
    """Any other event.

    Args:
        kind: `notice`, `request`, `meta` or `unknown`.
        name: dotted, with the post type.
        flag, comment: of a request.
        online, good, interval_ms: of a heartbeat; None = unknown.
        data: the whole frame as JSON.
    """

    kind: str
    name: str
    self_id: str
    at_ms: int | None = None
    user_id: str = ""
    operator_id: str = ""
    target_id: str = ""
    message_id: str = ""
    group_id: str = ""
    flag: str = ""
    comment: str = ""
    online: bool | None = None
    good: bool | None = None
    interval_ms: int | None = None
    flags: tuple[str, ...] = ()
    data: bytes = b""


@final  # so that `type(frame) is …` narrows
class Response(msgspec.Struct, frozen=True, gc=False):
    """The answer to a call of ours.

    Args:
        error: None when it was no failure, else what the peer says, maybe nothing.
        data: JSON.
        echo: any JSON value; None also when there was none.
    """

    is_ok: bool
    is_async: bool
    retcode: int
    error: str | None
    data: bytes
    echo: Any


Heard: TypeAlias = MessageFrame | EventFrame | Response
