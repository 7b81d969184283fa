"""Which action an implementation answers how: by itself, from the house, or not at all.

Whoever it presents – its own chats, or those of a line that it carries – is asked through the
`Find` requests of the contract. Source: onebot11 7.4, 7.5, 8
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, final

import msgspec

from trunkline.dialects.contract import (
    Do,
    DoCarry,
    Find,
    FindCarried,
    FindCarriedChats,
    FindCarriedMembers,
    FindCarriedMessage,
    FindChat,
    FindChats,
)
from trunkline.dialects.onebot11.actions import (
    ACTIONS,
    FriendInfo,
    GroupInfo,
    LoginInfo,
    Sent,
    Status,
    Stranger,
    Version,
    Yes,
)
from trunkline.dialects.onebot11.cq import format_cq
from trunkline.dialects.onebot11.events import KINDS, Friend, Member, Message, to_number
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.dialects.onebot11.segments import Seg, to_wire
from trunkline.dialects.onebot11.translate import is_local, to_segments, to_segs
from trunkline.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    StoreUnavailable,
    TrunklineError,
)
from trunkline.model.address import Chat
from trunkline.model.carrying import Carried, CarriedChat, CarriedMember, CarriedMessage
from trunkline.model.delivery import Outcome
from trunkline.model.history import ChatFacts
from trunkline.model.segment import Image, Video, Voice

FAILED: Final = 100  # failure of any kind, as frameworks know it. Source: onebot11 8
BAD: Final = 1400
UNKNOWN: Final = 1404
UNANSWERED: Final = 1408
BUSY: Final = 1429
BROKEN: Final = 1500
IMPOSSIBLE: Final = 1501
GONE: Final = 1503
MAX_ROWS: Final = 200
APP_VERSION: Final = "0.1.0"
_MEDIA: Final = frozenset({"image", "record", "video", "file"})
SENDS: Final = frozenset({"send_msg", "send_private_msg", "send_group_msg"})

_encode = msgspec.json.Encoder().encode


@final  # so that `type(plan) is …` narrows
class Done(msgspec.Struct, frozen=True, gc=False):
    """The answer is known.

    Args:
        report: an event that the framework is told besides, b"" = none.
    """

    data: bytes = b"null"
    report: bytes = b""


@final
class Failed(msgspec.Struct, frozen=True, gc=False):
    """It cannot be done."""

    retcode: int
    why: str


Result: TypeAlias = Done | Failed


@final
class Wanted(msgspec.Struct, frozen=True):
    """The house must be asked.

    Args:
        shape: makes the result of its answer.
    """

    request: Find | Do
    shape: Callable[[Any], Result]


Plan: TypeAlias = Done | Failed | Wanted
Params: TypeAlias = Mapping[str, Any]


class Server(msgspec.Struct, frozen=True):
    """What answering needs to know.

    Args:
        options: of the line.
        recall: a message of this connection by its id, as `get_msg` shows it.
    """

    options: OneBotOptions
    recall: Callable[[int], Message | None]

    @property
    def account(self) -> str:
        """The account that we play."""
        return self.options.self_id

    @property
    def is_carrying(self) -> bool:
        """Whether another line is presented."""
        return bool(self.options.carries)


def plan(action: str, params: Params, server: Server) -> Plan:
    """Return how an action is answered; sends and quick operations are the session's."""
    make = _TABLE.get(action)
    if make is not None:
        return make(params, server)
    if action in ACTIONS:
        return Failed(IMPOSSIBLE, f"{action} is not possible here")
    return Failed(UNKNOWN, "there is no such action")


# -- sending -----------------------------------------------------------------------------------


def target(action: str, params: Params) -> Chat | Failed:
    """Return where a send goes, without its account. Source: onebot11 7.4"""
    group, user = params.get("group_id") or "", params.get("user_id") or ""
    if action == "send_msg":
        kind = params.get("message_type") or ("group" if group else "private")
        if kind not in KINDS:
            return Failed(BAD, "message_type must be private or group")
    else:
        kind = "group" if action == "send_group_msg" else "private"
    ident = group if kind == "group" else user
    if not ident:
        return Failed(BAD, f"{'group_id' if kind == 'group' else 'user_id'} is required")
    return Chat("", kind, ident)


def carry(chat: Chat, segs: list[Seg]) -> Plan:
    """Have something said on the carried line; the result tells what became of it.

    A picture that nobody there could see is refused: its path or broken text is not shown instead.
    """
    if any(one.type in _MEDIA and is_local(one) for one in segs):
        return Failed(BAD, "pictures and files must come as base64:// or with an http(s) address")
    segments = to_segments(segs)
    if any(isinstance(one, (Image, Voice, Video)) and not one.is_valid for one in segments):
        return Failed(BAD, "a picture or recording is not base64, or larger than 10 MiB")
    return Wanted(DoCarry(chat, segments), _carried)


def _carried(found: Carried) -> Result:
    """Tell the truth: accepted, uncertain, refused. Source: onebot11 8"""
    if found.outcome is Outcome.REFUSED:
        return Failed(FAILED, found.detail or "refused")
    if found.outcome is Outcome.UNCERTAIN:
        return Failed(UNANSWERED, f"uncertain: {found.detail or 'it may have arrived'}")
    return Done(_encode(Sent(found.number)))


def fault(error: TrunklineError) -> Failed:
    """Return how a question that could not be answered fails."""
    if isinstance(error, StoreUnavailable):
        return Failed(BUSY, str(error))
    if isinstance(error, RemoteProtocolError):
        return Failed(FAILED, str(error))
    if isinstance(error, LocalProtocolError):
        return Failed(IMPOSSIBLE, "not possible here")
    return Failed(BROKEN, "it failed here")


# -- about ourselves ---------------------------------------------------------------------------


def _login(_params: Params, server: Server) -> Plan:
    return Done(_encode(LoginInfo(to_number(server.account), server.options.nickname)))


def _status(_params: Params, _server: Server) -> Plan:
    return Done(_encode(Status()))


def _version(_params: Params, _server: Server) -> Plan:
    return Done(_encode(Version(APP_VERSION)))


def _yes(_params: Params, _server: Server) -> Plan:
    return Done(_encode(Yes()))


def _null(_params: Params, _server: Server) -> Plan:
    return Done()


def _supported(_params: Params, _server: Server) -> Plan:
    return Done(_encode([*_TABLE, *sorted(SENDS)]))


# -- chats -------------------------------------------------------------------------------------


def _friends(_params: Params, server: Server) -> Plan:
    return _chats("private", server, _friend)


def _groups(_params: Params, server: Server) -> Plan:
    return _chats("group", server, _group)


def _chats(kind: str, server: Server, row: Callable[[Chat], object]) -> Plan:
    if server.is_carrying:

        def of_carried(found: tuple[CarriedChat, ...]) -> Result:
            return Done(_encode([row(one.chat) for one in found]))

        return Wanted(FindCarriedChats(kind), of_carried)

    def of_own(found: tuple[ChatFacts, ...]) -> Result:
        return Done(_encode([row(one.chat) for one in found if one.chat.kind == kind]))

    return Wanted(FindChats(MAX_ROWS), of_own)


def _friend(chat: Chat) -> object:
    return FriendInfo(to_number(chat.id), chat.name or chat.id)


def _group(chat: Chat) -> object:
    return GroupInfo(to_number(chat.id), chat.name or chat.id)


def _stranger(chat: Chat) -> object:
    return Stranger(to_number(chat.id), chat.name or chat.id)


def _group_info(params: Params, server: Server) -> Plan:
    return _one(Chat(server.account, "group", params["group_id"]), server, _group)


def _stranger_info(params: Params, server: Server) -> Plan:
    return _one(Chat(server.account, "private", params["user_id"]), server, _stranger)


def _one(chat: Chat, server: Server, row: Callable[[Chat], object]) -> Plan:
    if server.is_carrying:

        def of_carried(found: CarriedChat) -> Result:
            return Done(_encode(row(found.chat)))

        return Wanted(FindCarried(chat), of_carried)

    def of_own(found: ChatFacts) -> Result:
        return Done(_encode(row(found.chat))) if found.exists else Failed(FAILED, "unknown here")

    return Wanted(FindChat(chat), of_own)


# -- members -----------------------------------------------------------------------------------


def _members(params: Params, server: Server) -> Plan:
    if not server.is_carrying:
        return Failed(IMPOSSIBLE, "nobody here knows the members of a group")
    chat = Chat(server.account, "group", params["group_id"])

    def of_carried(found: tuple[CarriedMember, ...]) -> Result:
        return Done(_encode([_member(chat, one) for one in found]))

    return Wanted(FindCarriedMembers(chat), of_carried)


def _member_info(params: Params, server: Server) -> Plan:
    if not server.is_carrying:
        return Failed(IMPOSSIBLE, "nobody here knows the members of a group")
    chat, user = Chat(server.account, "group", params["group_id"]), params["user_id"]

    def of_carried(found: tuple[CarriedMember, ...]) -> Result:
        for one in found:
            if one.person.id == user:
                return Done(_encode(_member(chat, one)))
        return Failed(FAILED, "nobody of this id spoke here lately")

    return Wanted(FindCarriedMembers(chat), of_carried)


def _member(chat: Chat, one: CarriedMember) -> dict[str, object]:
    """Return the shape of `get_group_member_info`; what nobody knows has its empty value."""
    person = one.person
    return {
        "group_id": to_number(chat.id), "user_id": to_number(person.id),
        "nickname": person.name or person.id, "card": person.card, "sex": "unknown", "age": 0,
        "area": "", "join_time": 0, "last_sent_time": one.last_ms // 1000, "level": "1",
        "role": "member", "unfriendly": False, "title": "", "title_expire_time": 0,
        "card_changeable": False,
    }  # fmt: skip


# -- messages ----------------------------------------------------------------------------------


def _message(params: Params, server: Server) -> Plan:
    """Show a message that a framework quotes. Source: onebot11 7.5"""
    digits = str(params["message_id"])
    number = to_number(digits)
    if type(number) is not int:
        return Failed(BAD, "message_id must be a number")
    if server.is_carrying:
        return Wanted(FindCarriedMessage(number), lambda found: _shown(found, server))
    found = server.recall(number)
    return Done(_encode(found)) if found is not None else Failed(FAILED, "no such message")


def _shown(found: CarriedMessage, server: Server) -> Result:
    options = server.options
    person = found.sender
    user = to_number(person.id if person is not None else options.self_id)
    name = (person.name or person.id) if person is not None else options.nickname
    sender: Friend | Member = Friend(user, name)
    if found.chat.kind == "group":
        sender = Member(user, name, person.card if person is not None else "")
    segs = to_wire(to_segs(found.segments))
    return Done(_encode(Message(
        found.at_ms // 1000, found.chat.kind, found.number, found.number, sender,
        segs if options.message_format == "array" else format_cq(segs),
    )))  # fmt: skip


_TABLE: Final[Mapping[str, Callable[[Params, Server], Plan]]] = {
    "get_login_info": _login, "get_status": _status, "get_version_info": _version,
    "can_send_image": _yes, "can_send_record": _yes, "clean_cache": _null,
    "get_supported_actions": _supported, "get_friend_list": _friends, "get_group_list": _groups,
    "get_group_info": _group_info, "get_stranger_info": _stranger_info,
    "get_group_member_list": _members, "get_group_member_info": _member_info, "get_msg": _message,
}  # fmt: skip
