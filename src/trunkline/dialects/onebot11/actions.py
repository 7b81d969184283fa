"""The public actions of the standard: typed parameters, and the shapes of results.

Parameters arrive as JSON or as text; ids, numbers and booleans are converted, ids are compared as
text because they may exceed any integer. Unknown parameters are ignored. Source: onebot11 7
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, cast

import msgspec

from trunkline.dialects.onebot11.cq import parse_cq
from trunkline.dialects.onebot11.fields import read_id
from trunkline.dialects.onebot11.segments import Seg, clean, safe, text_seg, to_word
from trunkline.errors import WireMalformed

QUICK: Final = ".handle_quick_operation"
_TRUE: Final = frozenset({"1", "true", "yes"})
_FALSE: Final = frozenset({"0", "false", "no", ""})


class Kind(Enum):
    """What a parameter is."""

    ID = "id"
    NUMBER = "number"
    FLAG = "boolean"
    TEXT = "text"
    MESSAGE = "message"
    ANY = "any"


_A: Final[Mapping[Kind, str]] = {
    Kind.ID: "an id: a number, or text of letters, digits and _ : . -",
    Kind.NUMBER: "a number", Kind.FLAG: "a boolean", Kind.TEXT: "text",
}  # fmt: skip


class Param(msgspec.Struct, frozen=True):
    """One parameter.

    Args:
        default: used when it is absent or null; with `is_required` it must be there.
        names: others that peers use for it.
    """

    name: str
    kind: Kind
    default: Any = None
    is_required: bool = False
    names: tuple[str, ...] = ()


def _need(name: str, kind: Kind, *names: str) -> Param:
    return Param(name, kind, None, True, names)  # noqa: FBT003 - the field beside its name


_USER: Final = _need("user_id", Kind.ID)
_GROUP: Final = _need("group_id", Kind.ID)
_MESSAGE: Final = _need("message", Kind.MESSAGE)
_MESSAGE_ID: Final = _need("message_id", Kind.ID)
_ESCAPE: Final = Param("auto_escape", Kind.FLAG, False)  # noqa: FBT003 - a value, as below
_FRESH: Final = Param("no_cache", Kind.FLAG, False)  # noqa: FBT003
_ENABLE: Final = Param("enable", Kind.FLAG, True)  # noqa: FBT003
_APPROVE: Final = Param("approve", Kind.FLAG, True)  # noqa: FBT003
_DOMAIN: Final = Param("domain", Kind.TEXT, "")
_FLAG: Final = _need("flag", Kind.TEXT)
_BAN: Final = Param("duration", Kind.NUMBER, 1800)

ACTIONS: Final[Mapping[str, tuple[Param, ...]]] = {
    "send_private_msg": (_USER, _MESSAGE, _ESCAPE, Param("group_id", Kind.ID)),
    "send_group_msg": (_GROUP, _MESSAGE, _ESCAPE),
    "send_msg": (
        Param("message_type", Kind.TEXT, ""), Param("user_id", Kind.ID), Param("group_id", Kind.ID),
        _MESSAGE, _ESCAPE,
    ),
    "delete_msg": (_MESSAGE_ID,),
    "get_msg": (_MESSAGE_ID,),
    "get_forward_msg": (_need("id", Kind.TEXT, "message_id"),),
    "send_like": (_USER, Param("times", Kind.NUMBER, 1)),
    "set_group_kick": (_GROUP, _USER, Param("reject_add_request", Kind.FLAG, False)),  # noqa: FBT003
    "set_group_ban": (_GROUP, _USER, _BAN),
    "set_group_anonymous_ban": (
        _GROUP, Param("anonymous", Kind.ANY),
        Param("anonymous_flag", Kind.TEXT, "", names=("flag",)), _BAN,
    ),
    "set_group_whole_ban": (_GROUP, _ENABLE),
    "set_group_admin": (_GROUP, _USER, _ENABLE),
    "set_group_anonymous": (_GROUP, _ENABLE),
    "set_group_card": (_GROUP, _USER, Param("card", Kind.TEXT, "")),
    "set_group_name": (_GROUP, _need("group_name", Kind.TEXT)),
    "set_group_leave": (_GROUP, Param("is_dismiss", Kind.FLAG, False)),  # noqa: FBT003
    "set_group_special_title": (
        _GROUP, _USER, Param("special_title", Kind.TEXT, ""), Param("duration", Kind.NUMBER, -1),
    ),
    "set_friend_add_request": (_FLAG, _APPROVE, Param("remark", Kind.TEXT, "")),
    "set_group_add_request": (
        _FLAG, _need("sub_type", Kind.TEXT, "type"), _APPROVE, Param("reason", Kind.TEXT, ""),
    ),
    "get_login_info": (),
    "get_stranger_info": (_USER, _FRESH),
    "get_friend_list": (),
    "get_group_info": (_GROUP, _FRESH),
    "get_group_list": (),
    "get_group_member_info": (_GROUP, _USER, _FRESH),
    "get_group_member_list": (_GROUP,),
    "get_group_honor_info": (_GROUP, _need("type", Kind.TEXT)),
    "get_cookies": (_DOMAIN,),
    "get_csrf_token": (),
    "get_credentials": (_DOMAIN,),
    "get_record": (_need("file", Kind.TEXT), _need("out_format", Kind.TEXT)),
    "get_image": (_need("file", Kind.TEXT),),
    "can_send_image": (),
    "can_send_record": (),
    "get_status": (),
    "get_version_info": (),
    "set_restart": (Param("delay", Kind.NUMBER, 0),),
    "clean_cache": (),
    QUICK: (_need("context", Kind.ANY), _need("operation", Kind.ANY)),
    "get_supported_actions": (),
}  # fmt: skip


def read_params(action: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the parameters of an action; of an unknown one they stay as they are.

    Raises:
        WireMalformed: `bad_params`, with a sentence for the peer.
    """
    params = ACTIONS.get(action)
    if params is None:
        return dict(given)
    return {param.name: _read(param, given) for param in params}


def _read(param: Param, given: Mapping[str, Any]) -> Any:
    value = next(
        (v for key in (param.name, *param.names) if (v := given.get(key)) is not None), None
    )
    if value is None or (value == "" and param.kind is Kind.ID):
        if param.is_required:
            raise WireMalformed("bad_params", f"{param.name} is required")
        return param.default
    if param.kind is Kind.MESSAGE:
        return read_message(value, is_plain=read_flag(given.get("auto_escape")) is True)
    try:
        return _READ[param.kind](value)
    except ValueError as error:
        raise WireMalformed("bad_params", f"{param.name} must be {_A[param.kind]}") from error


def _id(value: object) -> str:
    try:
        ident = read_id(value, [])
    except WireMalformed as error:
        raise ValueError from error
    return ident


def _number(value: object) -> int:
    if type(value) is bool:
        raise ValueError
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is int:
        return value
    text = value.strip() if type(value) is str else ""
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 19):
        raise ValueError
    return int(text)


def _flag(value: object) -> bool:
    found = read_flag(value)
    if found is None:
        raise ValueError
    return found


def _text(value: object) -> str:
    if type(value) in (dict, list):
        raise ValueError
    return safe(to_word(value))


def _any(value: object) -> object:
    return value


_READ: Final = {
    Kind.ID: _id, Kind.NUMBER: _number, Kind.FLAG: _flag, Kind.TEXT: _text, Kind.ANY: _any,
}  # fmt: skip


def read_flag(value: object) -> bool | None:
    """Read a boolean in any of its spellings; None = it is none. Source: onebot11 13"""
    if value is None:
        return False
    if type(value) is bool:
        return value
    word = value.lower() if type(value) is str else str(value) if type(value) is int else "?"
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def read_message(value: object, *, is_plain: bool = False) -> list[Seg]:
    """Read a message parameter: text, a list, or one segment. Source: onebot11 6.1, 6.3

    Args:
        is_plain: text is one segment as it stands (`auto_escape`); with lists it means nothing.

    Raises:
        WireMalformed: `bad_params`.
    """
    if type(value) is str:
        if is_plain:
            return [text_seg(value)] if value else []
        return parse_cq(value)
    if type(value) is list:
        return clean(cast("list[object]", value), [])  # JSON
    if type(value) is dict:
        return clean([cast("object", value)], [])  # JSON
    if type(value) in (int, float):
        return [text_seg(to_word(value))]  # Source: onebot11 7.2
    raise WireMalformed("bad_params", "message must be text, a list of segments or a segment")


# -- results -----------------------------------------------------------------------------------


class Sent(msgspec.Struct, frozen=True, gc=False):
    """Of every `send_…`."""

    message_id: int


class LoginInfo(msgspec.Struct, frozen=True, gc=False):
    """Of `get_login_info`."""

    user_id: int | str
    nickname: str


class Status(msgspec.Struct, frozen=True, gc=False):
    """Of `get_status`."""

    online: bool = True
    good: bool = True


class Version(msgspec.Struct, frozen=True, gc=False):
    """Of `get_version_info`."""

    app_version: str
    app_name: str = "trunkline"
    protocol_version: str = "v11"


class Yes(msgspec.Struct, frozen=True, gc=False):
    """Of `can_send_image` and `can_send_record`."""

    yes: bool = True


class FriendInfo(msgspec.Struct, frozen=True, gc=False):
    """One of `get_friend_list`."""

    user_id: int | str
    nickname: str
    remark: str = ""


class Stranger(msgspec.Struct, frozen=True, gc=False):
    """Of `get_stranger_info`."""

    user_id: int | str
    nickname: str
    sex: str = "unknown"
    age: int = 0


class GroupInfo(msgspec.Struct, frozen=True, gc=False):
    """Of `get_group_info`, one of `get_group_list`."""

    group_id: int | str
    group_name: str
    member_count: int = 0
    max_member_count: int = 0
