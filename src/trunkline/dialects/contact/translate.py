"""Frames ⇄ model, and the human words in frames, in both languages.

Identifiers that must come out the same at every attempt (`reliability 1`) are derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1
from typing import Any, Final
from uuid import UUID

import msgspec

from trunkline.dialects.contact.frames import ChatMessage, ChatOut, Code, ContactRequest
from trunkline.ids import DeliveryId, question_id
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery
from trunkline.model.event import MessageReceived, Person, RequestReceived
from trunkline.model.message import Segments
from trunkline.model.segment import (
    Face,
    File,
    Image,
    Mention,
    Quote,
    Raw,
    Segment,
    Sticker,
    Text,
    Video,
    Voice,
)  # fmt: skip

KIND: Final = "visitor"
SITE: Final = Chat("", KIND, "site")  # the one chat that a visitor has, from the visitor's side

# Bounds of stored side data: far above what browsers send.
MAX_NAME_CHARS: Final = 64
MAX_STAMP_CHARS: Final = 64
MAX_SIDE_CHARS: Final = 2048

_MESSAGES: Final = UUID("3f0d7e5c-6a53-5e0b-9d57-0c1c6d1d2a01").bytes
_VARIANT: Final = {f"{nibble:x}": f"{nibble & 3 | 8:x}" for nibble in range(16)}


class Context(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What an answer needs of its question, as msgpack in `context`.

    Args:
        message_id: the acknowledged id.
        timestamp: the visitor's, as sent (`contact 3`); for people, never for ordering.
    """

    message_id: str
    timestamp: str = ""


class Spoken(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who says what answers no question, as a msgpack map in `delivery.context`.

    The exchange writes it for `DoSend` (`{"operator": name}`) and for a broadcast
    (`{"broadcast": true}`). A map, so that it is never taken for a `Context`, which is an array.
    """

    operator: str | None = None
    broadcast: bool = False


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Context).decode
_unpack_spoken = msgspec.msgpack.Decoder(Spoken).decode
_NOBODY: Final = Spoken()
_to_json = msgspec.json.Encoder().encode


def derive_uuid(space: bytes, name: bytes) -> str:
    """Derive the UUID version 5 of `name`: `uuid.uuid5` without its objects, four times faster."""
    digest = sha1(space + name, usedforsecurity=False).hexdigest()
    return (
        f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-"
        f"{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"
    )


def derive_message_id(client_id: str, client_message_id: str) -> str:
    """Derive the id of a visitor's message, so that a repeat gets the id of the first."""
    return derive_uuid(_MESSAGES, f"{client_id}\n{client_message_id}".encode())


def derive_delivery_uuid(delivery: DeliveryId) -> str:
    """Write a delivery's id as a UUID of version 8: the `message_id` of an answer.

    The id is unique already, so hashing it would only cost a microsecond for every answer.
    """
    digits = f"{delivery:016x}"
    return f"{digits[:8]}-{digits[8:12]}-8000-8000-00000000{digits[12:]}"


def parse_delivery_uuid(message_id: str) -> DeliveryId | None:
    """Parse what `derive_delivery_uuid` wrote; None for any other id."""
    digits = message_id.replace("-", "")
    if len(digits) != 32 or not digits.isalnum() or not digits.isascii():
        return None
    try:
        ident = DeliveryId(int(digits[:12] + digits[28:], 16))
    except ValueError:
        return None
    return ident if derive_delivery_uuid(ident) == message_id else None


# -- visitor → model ------------------------------------------------------------------------


def to_message(frame: ChatMessage, chat: Chat, person: Person, message_id: str) -> MessageReceived:
    """Translate a chat message. Only a client's own id makes it a possible duplicate."""
    ident = frame.client_message_id
    return MessageReceived(
        chat,
        person,
        (Text(frame.message),),
        None if ident is None else b"c:" + ident.encode(),
        message_id,
        context=_pack(Context(message_id, frame.timestamp[:MAX_STAMP_CHARS])),
    )


def to_request(frame: ContactRequest, chat: Chat, person: Person, ident: str) -> RequestReceived:
    """Translate a contact request; what came beside the words is in `data` (`contact 5.4`)."""
    data = {"request_id": ident, "timestamp": frame.timestamp, "userAgent": frame.user_agent}
    for name in ("name", "email", "phone", "page", "referrer", "locale"):
        value: str | None = getattr(frame, name)
        if value:
            data[name] = value
    cut = {name: value[:MAX_SIDE_CHARS] for name, value in data.items()}
    return RequestReceived(
        chat, "contact", frame.message, person, _to_json(cut), peer_id=ident
    )  # fmt: skip


def to_person(client_id: str, name: str | None) -> Person:
    """Name a visitor as it named itself: one line, at most 64 characters."""
    return Person(client_id, " ".join((name or "").split())[:MAX_NAME_CHARS])


# -- model → visitor ------------------------------------------------------------------------


def to_frame(delivery: Delivery, segments: Segments, language: str, timestamp: str) -> ChatOut:
    """Translate an answer; `message` is "" when nothing of it can be shown.

    A quote names what is answered; without one it is the question, if there is one. A message that
    answers nothing (sent by a person or the API) carries no `in_reply_to`, though the context of
    the conversation's last message comes with it.
    """
    first = segments[0]
    if len(segments) == 1 and type(first) is Text:
        text, quoted = first.text, ""
    else:
        text = to_plain(segments, language)
        quoted = next((part.message for part in segments if type(part) is Quote), "")
    ident = derive_delivery_uuid(delivery.id)
    if not delivery.context:
        return ChatOut(text, timestamp, "assistant", ident, quoted)
    if question_id(delivery.id) is not None:
        quoted = quoted or read_context(delivery.context).message_id
        return ChatOut(text, timestamp, "assistant", ident, quoted)
    spoken = read_spoken(delivery.context)
    if spoken.operator is not None:
        name = spoken.operator
        return ChatOut(text, timestamp, "operator", ident, quoted, sender_name=name)
    sender = "system" if spoken.broadcast else "assistant"
    return ChatOut(text, timestamp, sender, ident, quoted, broadcast=spoken.broadcast)


def read_context(context: bytes) -> Context:
    """Read what `to_message` wrote; anything else counts as nothing."""
    try:
        return _unpack(context)
    except msgspec.DecodeError:
        return Context("")


def read_spoken(context: bytes) -> Spoken:
    """Read who speaks; the context of a question says nothing about that."""
    if context[:1] < b"\x80" or context[:1] > b"\x8f":  # no small msgpack map
        return _NOBODY
    try:
        return _unpack_spoken(context)
    except msgspec.DecodeError:
        return _NOBODY


def to_event(frame: ChatOut) -> MessageReceived:
    """Translate what the site said, as the visitor sees it; the answered message is a quote."""
    text = Text(frame.message)
    return MessageReceived(
        SITE,
        Person(frame.sender or "assistant", frame.sender_name),
        (Quote(frame.in_reply_to), text) if frame.in_reply_to else (text,),
        b"m:" + frame.message_id.encode() if frame.message_id else None,
        frame.message_id,
        is_own=frame.sender == "user",  # Source: contact 9.1, words from another tab
    )


def to_plain(segments: Segments, language: str) -> str:
    """Render segments as display-ready plain text (`contact 11`): others become words or URLs."""
    labels = _LABELS[language]
    return "".join(_RENDER[type(part)](part, labels) for part in segments)


def _label(part: Segment, labels: dict[type, str]) -> str:
    return labels[type(part)]


def _link(part: Image | Voice | Video | File, labels: dict[type, str]) -> str:
    name = part.name if isinstance(part, (Image, File)) else ""
    return " ".join(filter(None, (labels[type(part)], name, part.url)))


# `Any`: a table cannot relate a key `type[X]` to a function of `X`.
_RENDER: Final[dict[type, Callable[[Any, dict[type, str]], str]]] = {
    Text: lambda part, _: part.text,
    Image: _link,
    Voice: _link,
    Video: _link,
    File: _link,
    Sticker: lambda part, labels: part.text or labels[Sticker],
    Face: _label,
    Mention: lambda part, _: f"@{part.name or part.user} ",
    Quote: lambda _part, _labels: "",
    Raw: _label,
}
_LABELS: Final[dict[str, dict[type, str]]] = {
    "zh": {
        Image: "[图片]", Voice: "[语音]", Video: "[视频]", File: "[文件]", Sticker: "[表情]",
        Face: "[表情]", Raw: "[消息]",
    },
    "en": {
        Image: "[picture]", Voice: "[voice]", Video: "[video]", File: "[file]",
        Sticker: "[sticker]", Face: "[emoji]", Raw: "[message]",
    },
}  # fmt: skip


# -- human words ----------------------------------------------------------------------------


class Words(msgspec.Struct, frozen=True):
    """The `message` of server frames in one language; programs never read it (`contact 3`)."""

    established: str
    request_received: str
    chat_received: str
    problems: dict[Code, str]


# Source: contact 3: the Chinese text of `connection_established` is the guide's.
WORDS: Final = {
    "zh": Words(
        "WebSocket连接已建立",
        "联系请求已收到，我们会尽快与您联系",
        "消息已收到",
        {
            "invalid_json": "消息不是有效的 JSON",
            "not_an_object": "消息必须是一个 JSON 对象",
            "missing_type": "缺少字符串字段 type",
            "unknown_type": "未知的消息类型",
            "missing_field": "缺少必需字段",
            "invalid_field": "字段无效",
            "message_too_long": "消息过长，最多字符数",
            "unsupported_frame": "不支持这样的二进制消息",
            "rate_limited": "发送太快，请稍后再试",
            "server_busy": "服务器繁忙，请稍后再试",
            "internal": "服务器出错，请稍后再试",
        },
    ),
    "en": Words(
        "WebSocket connection established",
        "Your request has arrived; we will get in touch soon",
        "Message received",
        {
            "invalid_json": "The message is not valid JSON",
            "not_an_object": "The message must be a JSON object",
            "missing_type": "The string field type is missing",
            "unknown_type": "Unknown message type",
            "missing_field": "A required field is missing",
            "invalid_field": "A field is not valid",
            "message_too_long": "The message is too long; the most characters are",
            "unsupported_frame": "Such a binary message is not supported",
            "rate_limited": "Too fast, please try again a little later",
            "server_busy": "The server is busy, please try again later",
            "internal": "Something went wrong, please try again later",
        },
    ),
}
