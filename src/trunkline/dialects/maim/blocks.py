"""`message_info` and its blocks: who, where, when, in which formats.

`MessageInfo` is what an ordinary frame is decoded into, and what ours are encoded from. `read_info`
makes the same of what peers send otherwise: integers as ids, times as text, nulls, blocks of a
wrong shape. Source: maim 4.1, 4.2
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias, cast

import msgspec

from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire

MAX_ID_CHARS: Final = 512
_MAX_TIME = 1e15

# A block that is not there. Encoders leave it out by identity, so there is only this one: another
# empty `Raw` would be written as nothing at all, which is not JSON.
ABSENT: Final = msgspec.Raw()


Ident: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]


class UserInfo(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A person. Source: maim 4.2"""

    platform: str | None = None
    user_id: Ident | None = None
    user_nickname: str | None = None
    user_cardname: str | None = None


class GroupInfo(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A group. Source: maim 4.2"""

    platform: str | None = None
    group_id: Ident | None = None
    group_name: str | None = None


class Party(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """`sender_info` or `receiver_info`. Source: maim 4.1"""

    group_info: GroupInfo | None = None
    user_info: UserInfo | None = None


class FormatInfo(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Which kinds of segments are used here, and which the sender can take back."""

    content_format: list[str] | None = None
    accept_format: list[str] | None = None


class MessageInfo(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Everything of a chat message but its segments. Source: maim 4.1

    Args:
        time: seconds since 1970; None when it was missing or useless.
        template_info, additional_config: JSON as it came, or `ABSENT`.
    """

    platform: str | None = None
    message_id: Ident | None = None
    time: float | None = None
    user_info: UserInfo | None = None
    group_info: GroupInfo | None = None
    format_info: FormatInfo | None = None
    sender_info: Party | None = None
    receiver_info: Party | None = None
    template_info: msgspec.Raw = ABSENT
    additional_config: msgspec.Raw = ABSENT


def read_info(fields: dict[str, object], odd: list[str]) -> MessageInfo:
    """Read a `message_info` tolerantly; what is of no use counts as absent.

    Args:
        odd: takes `time_coerced`.

    Raises:
        WireMalformed: `id_too_long`.
    """
    return MessageInfo(
        platform=to_word(fields.get("platform")),
        message_id=_ident(fields.get("message_id")),
        time=_seconds(fields.get("time"), odd),
        user_info=_user(fields.get("user_info")),
        group_info=_group(fields.get("group_info")),
        format_info=_format(fields.get("format_info")),
        sender_info=_party(fields.get("sender_info")),
        receiver_info=_party(fields.get("receiver_info")),
        template_info=_raw(fields.get("template_info")),
        additional_config=_raw(fields.get("additional_config")),
    )


def to_object(value: object) -> dict[str, object] | None:
    """Return a JSON object, or None when it is something else."""
    # The keys of a JSON object are strings.
    return cast("dict[str, object]", value) if type(value) is dict else None


def _ident(value: object) -> str | None:
    word = to_word(value)
    if word is not None and len(word) > MAX_ID_CHARS:
        raise WireMalformed("id_too_long")
    return word


def to_word(value: object) -> str | None:
    """Return an id or a name: deployed adapters send integers. Source: maim 4.2"""
    if type(value) is str:
        return value or None
    if type(value) is int:
        return str(value)
    if type(value) is float and value.is_integer():
        return str(int(value))
    return None


def _seconds(value: object, odd: list[str]) -> float | None:
    if type(value) is str:
        try:
            number = float(value)
        except ValueError:
            return None
        odd.append("time_coerced")
        value = number
    if type(value) is int or type(value) is float:
        return float(value) if -_MAX_TIME < value < _MAX_TIME else None  # NaN is in no range
    return None


def _user(value: object) -> UserInfo | None:
    fields = to_object(value)
    if fields is None:
        return None
    return UserInfo(
        to_word(fields.get("platform")),
        _ident(fields.get("user_id")),
        to_word(fields.get("user_nickname")),
        to_word(fields.get("user_cardname")),
    )


def _group(value: object) -> GroupInfo | None:
    fields = to_object(value)
    if fields is None:
        return None
    return GroupInfo(
        to_word(fields.get("platform")),
        _ident(fields.get("group_id")),
        to_word(fields.get("group_name")),
    )


def _party(value: object) -> Party | None:
    fields = to_object(value)
    if fields is None:
        return None
    return Party(_group(fields.get("group_info")), _user(fields.get("user_info")))


def _format(value: object) -> FormatInfo | None:
    fields = to_object(value)
    if fields is None:
        return None
    return FormatInfo(_words(fields.get("content_format")), _words(fields.get("accept_format")))


def _words(value: object) -> list[str] | None:
    if type(value) is not list:
        return None
    items = cast("list[object]", value)  # JSON: the items are anything
    return [item for item in items if type(item) is str]


def _raw(value: object) -> msgspec.Raw:
    return ABSENT if value is None else msgspec.Raw(jsonwire.encode(value))
