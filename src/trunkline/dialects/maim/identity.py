"""Who and where: from the blocks of a frame to chats and people, and back to whom we answer.

A reply may be written after a restart, so what it needs travels with the question as a `Context`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Head
from trunkline.dialects.maim.blocks import ABSENT, GroupInfo, MessageInfo, UserInfo
from trunkline.dialects.maim.frames import ChatFrame
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.event import Person

DEFAULT_PLATFORM: Final = "default"  # Source: maim 2.2
API_DEFAULT_PLATFORM: Final = "unknown"  # Source: maim 9.1
UNKNOWN_ID: Final = "unknown"  # a conversation without any id
_MINUTE_MS = 60_000
_ID_PREFIX = "tl"


class Context(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What an answer needs of its question; stored beside it as JSON.

    Args:
        platform: as the message said it, when that is not the connection's.
        message_id: the peer's own, "" when it had none.
        user, group: whom to answer; both None when the message named nobody.
        accept: the kinds that the peer takes, as it last said, between spaces.
        template_info, additional_config: carried through as they came. Source: maim 4.1
    """

    platform: str = ""
    message_id: str = ""
    user: UserInfo | None = None
    group: GroupInfo | None = None
    accept: str | None = None
    template_info: msgspec.Raw = ABSENT
    additional_config: msgspec.Raw = ABSENT


_context_decoder = msgspec.json.Decoder(Context)
encode_context = msgspec.json.Encoder().encode


def decode_context(data: bytes) -> Context:
    """Decode what an event carried; an empty one when there is none or it is of another line."""
    if not data:
        return Context()
    try:
        return _context_decoder.decode(data)
    except msgspec.DecodeError:
        return Context()


def platform_of(head: Head) -> str:
    """Return the platform of a connection: header, query or `default`.

    Libraries send UTF-8 where a header is read as latin-1, so it is read again when that works.
    Source: maim 2.2
    """
    name = head.headers.get("platform", "").strip()
    if not name:
        return head.query.get("platform", "").strip() or DEFAULT_PLATFORM
    return utf8_of(name)


def api_platform_of(head: Head) -> str:
    """Return the platform of an API-Server connection: query, header or `unknown`.

    Source: maim 9.1
    """
    name = head.query.get("platform", "").strip()
    return name or utf8_of(head.headers.get("x-platform", "").strip()) or API_DEFAULT_PLATFORM


def api_key_of(head: Head) -> str:
    """Return the API key of a connection: query, header or nothing. Source: maim 9.1"""
    return head.query.get("api_key", "") or utf8_of(head.headers.get("x-apikey", ""))


def is_api(head: Head) -> bool:
    """Return whether this is an upgrade of the API-Server line. Source: maim 0"""
    return "api_key" in head.query or "x-apikey" in head.headers


def utf8(text: str) -> bytes:
    """Return the bytes of a text that may hold lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def utf8_of(header: str) -> str:
    """Read a header that was read as latin-1 again as UTF-8, when that works. Source: maim 2.2"""
    if header.isascii():
        return header
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def format_message_id(delivery: DeliveryId) -> str:
    """Format the id of our message on the wire: the same at every attempt."""
    return f"{_ID_PREFIX}{delivery:x}"


def parse_message_id(text: str) -> DeliveryId | None:
    """Parse an id that `format_message_id` made; None when it is not one."""
    if not text.startswith(_ID_PREFIX) or len(text) > 24:
        return None
    try:
        ident = DeliveryId(int(text[len(_ID_PREFIX) :], 16))
    except ValueError:
        return None
    return ident if format_message_id(ident) == text else None  # not `tl1_1`, not `tl0011`


def complete_user(user: UserInfo | None, platform: str) -> UserInfo | None:
    """Return a user that strict cores take: platform, id and nickname. Source: maim 4.2"""
    if user is None or not user.user_id:
        return None
    if user.platform and user.user_nickname:
        return user
    name = user.user_nickname or user.user_id
    return UserInfo(user.platform or platform, user.user_id, name, user.user_cardname)


def complete_group(group: GroupInfo | None, platform: str) -> GroupInfo | None:
    """Return a group that strict cores take, or None when it means private. Source: maim 4.2"""
    if group is None or not group.group_id:
        return None
    if group.platform and group.group_name:
        return group
    return GroupInfo(group.platform or platform, group.group_id, group.group_name or group.group_id)


def user_of(chat: Chat, known: UserInfo | None) -> UserInfo:
    """Return the person of a private chat: as known from a message, else by the chat's id."""
    if known is not None and known.user_id == chat.id:
        return complete_user(known, chat.account) or known
    return UserInfo(chat.account, chat.id, chat.name or chat.id)


def group_of(chat: Chat, known: GroupInfo | None) -> GroupInfo:
    """Return the group of a group chat: as known from a message, else by the chat's id."""
    if known is not None and known.group_id == chat.id:
        return complete_group(known, chat.account) or known
    return GroupInfo(chat.account, chat.id, chat.name or chat.id)


def to_chat(account: str, user: UserInfo | None, group: GroupInfo | None) -> Chat:
    """Return the conversation: the group's, else the user's."""
    if group is not None and group.group_id:
        return Chat(account, "group", group.group_id, group.group_name or "")
    if user is not None and user.user_id:
        return Chat(account, "private", user.user_id, user.user_nickname or "")
    return Chat(account, "private", UNKNOWN_ID)


def to_person(user: UserInfo | None) -> Person | None:
    """Return who spoke."""
    if user is None or not user.user_id:
        return None
    return Person(user.user_id, user.user_nickname or "", user.user_cardname or "")


def to_key(frame: ChatFrame, clock: Clock) -> bytes | None:
    """Return the de-duplication key: time first, then the id. Source: guides 4, reliability 1

    Without a time it is the minute of receipt, marked apart so that the two never meet.
    """
    ident = frame.info.message_id
    if not ident or ident == "notice":
        return None
    if frame.at_ms is not None:
        return frame.at_ms.to_bytes(8, "big") + b":" + ident.encode()
    now_ms = clock.now_ms()
    return (now_ms - now_ms % _MINUTE_MS).to_bytes(8, "big") + b"~" + ident.encode()


def speaker(info: MessageInfo) -> tuple[UserInfo | None, GroupInfo | None]:
    """Return who spoke to a core and where: the message's own blocks before `sender_info`.

    Source: maim 4.4 (adapter → core)
    """
    user, group, sender = info.user_info, info.group_info, info.sender_info
    if sender is not None:
        if user is None or not user.user_id:
            user = sender.user_info
        if group is None or not group.group_id:
            group = sender.group_info
    return user, group


def target(info: MessageInfo) -> tuple[UserInfo | None, GroupInfo | None]:
    """Return whom a core's message is for; a group wins.

    `receiver_info.group_info`, `group_info`, `receiver_info.user_info`, `user_info`, in this order.
    Source: maim 4.4 (client role)
    """
    user, group, receiver = info.user_info, info.group_info, info.receiver_info
    if receiver is not None:
        if receiver.group_info is not None and receiver.group_info.group_id:
            group = receiver.group_info
        if receiver.user_info is not None and receiver.user_info.user_id:
            user = receiver.user_info
    return user, group
