"""Payloads to model and back: one small function a kind.

What a person said in a chat between two becomes a message. Questions with buttons become requests,
cards, actions and the platform's own words become notices, which no rule answers. Direction is told
by numbers, never by names. Source: boss 5, 6.5, 6.6
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import unquote

import msgspec

from trunkline.dialects.boss import frames
from trunkline.dialects.boss.frames import Body, ChatMessage, Party, ReadMark
from trunkline.dialects.boss.http import Contact, Fields, fields_of, items_of, to_int, to_text
from trunkline.model.address import Chat
from trunkline.model.delivery import Act
from trunkline.model.event import (
    DurableEvent,
    Fleeting,
    MessageReceived,
    NoticeReceived,
    Person,
    RequestReceived,
)
from trunkline.model.message import Segments
from trunkline.model.segment import (
    Face,
    Image,
    Mention,
    Quote,
    Raw,
    Segment,
    Sticker,
    Text,
    Voice,
)

USER: Final = "user"
KEY: Final = "key"  # a chat that is known by the encrypted id alone. Source: boss 3 (minimal)
GROUP: Final = "group"
FUTURE_MS: Final = 60_000  # a time further ahead counts as now
PLATFORM_UIDS: Final = 10_000  # smaller numbers are accounts of the platform. Source: boss 3
MAX_TEXT_CHARS: Final = 2000
MAX_PIECES: Final = 5
# Ids of notices repeat: 0 = none, 1 = "some notice". Source: boss 3
REPEATING: Final = frozenset({0, 1})

# Words of a question → what is asked. Source: boss 6.5
ASKED: Final = (
    ("附件简历", "resume"), ("简历", "resume"), ("微信", "wechat"), ("电话", "phone"),
    ("联系方式", "phone"), ("工作地点", "address"), ("满意", "survey"),
)  # fmt: skip
# Who is asked for what, as the exchange calls know it. Source: boss 5.5
EXCHANGE_TYPES: Final = {"phone": 1, "wechat": 2}
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder()


class Context(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an answer needs to be addressed when nobody can be asked for it any more."""

    key: str = ""
    security_id: str = ""


_context_decoder = msgspec.json.Decoder(Context)


def encode_context(contact: Contact | None) -> bytes:
    """Encode what is known of a contact; nothing is b""."""
    if contact is None or not (contact.key or contact.security_id):
        return b""
    return _encode(Context(contact.key, contact.security_id))


def decode_context(data: bytes) -> Context:
    """Decode a context; what cannot be read is empty."""
    try:
        return _context_decoder.decode(data) if data else Context()
    except msgspec.DecodeError:
        return Context()


# -- addresses ---------------------------------------------------------------------------------


def chat_id(uid: int, source: int) -> str:
    """Return the id of a chat: the number, and the platform behind a dot when it is a sister's.

    A conversation is (peer, source). Source: boss 6.5
    """
    return f"{uid}.{source}" if source else str(uid)


def parse_chat_id(text: str) -> tuple[int, int]:
    """Return (uid, source) of a chat id; (0, 0) when it is none."""
    uid, dot, source = text.partition(".")
    if not _is_number(uid) or (dot and not _is_number(source)):
        return 0, 0
    return int(uid), int(source) if dot else 0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


# -- messages to events ------------------------------------------------------------------------


class Reading(msgspec.Struct, frozen=True):
    """What is needed to read a message besides itself.

    Args:
        me: the account's number.
        contact: `(uid, source) →` what is known of somebody.
        has_key: whether repeats are found.
    """

    me: int
    contact: Callable[[int, int], Contact | None]
    now_ms: int
    has_key: bool = True


def is_own(message: ChatMessage, me: int) -> bool:
    """Whether the account itself sent it, here or elsewhere. Source: boss 6.5"""
    return message.sender.uid == me


def peer_of(message: ChatMessage, me: int) -> Party:
    """Return the other side. `source` is that of the other side too."""
    return message.receiver if message.sender.uid == me else message.sender


def to_event(message: ChatMessage, reading: Reading) -> DurableEvent:
    """Return the event of a message."""
    kind = message.body.type
    is_between_two = message.type not in frames.GROUPS
    if message.type == frames.HIDDEN or not _is_concerned(message, reading.me):
        return _to_notice("system", message, reading)
    if kind in frames.SPEECH or kind not in frames.KNOWN:
        if not is_between_two:
            return _to_notice("group-message", message, reading)
        is_said = message.type == frames.ONE_TO_ONE or message.is_counted
        is_person = peer_of(message, reading.me).uid >= PLATFORM_UIDS
        if is_said and is_person:
            return _to_message(message, reading)
        return _to_notice("system", message, reading)
    if kind == frames.DIALOG and is_between_two:
        return _to_request(message, reading)
    return _to_notice(_notice_name(message.body), message, reading)


def _is_concerned(message: ChatMessage, me: int) -> bool:
    return me in (message.sender.uid, message.receiver.uid) or message.type in frames.GROUPS


def _to_message(message: ChatMessage, reading: Reading) -> MessageReceived:
    own = is_own(message, reading.me)
    peer = peer_of(message, reading.me)
    segments = to_segments(message.body)
    if message.quote:
        segments = (Quote(str(message.quote)), *segments)
    return MessageReceived(
        _chat(message, reading, "" if own else peer.name),
        _person(message.sender),
        segments,
        _key(message) if reading.has_key else None,
        _peer_id(message),
        _at(message, reading.now_ms),
        "",
        _context(peer, reading),
        own,
    )


def _to_request(message: ChatMessage, reading: Reading) -> DurableEvent:
    dialog = fields_of(message.body.fields.get("dialog"))
    if is_own(message, reading.me) or dialog.get("operated") is True:
        return _to_notice("dialog", message, reading)
    text = to_text(dialog.get("text")) or message.body.text
    buttons = [to_text(fields_of(one).get("text")) for one in items_of(dialog.get("buttons"))]
    data = {
        "mid": str(message.mid),
        "asked": asked_for(text),
        "buttons": buttons[:20],
        "dialog": dialog,
    }
    return RequestReceived(
        _chat(message, reading, message.sender.name),
        asked_for(text),
        text,
        _person(message.sender),
        _encode(data),
        _key(message) if reading.has_key else None,
        _peer_id(message),
        _at(message, reading.now_ms),
        _context(message.sender, reading),
    )


def _to_notice(name: str, message: ChatMessage, reading: Reading) -> NoticeReceived:
    body = message.body
    data: Fields = {"body_type": body.type, "message_type": message.type}
    if body.text:
        data["text"] = body.text
    if body.urls:
        data["urls"] = body.urls
    if body.fields:
        data["body"] = body.fields
    if body.raw:
        data["raw"] = body.raw
    if body.type == frames.ACTION:
        data |= read_action(body.fields)
    if is_own(message, reading.me):
        data["is_own"] = True
    return NoticeReceived(
        _chat(message, reading),
        name,
        _person(message.sender),
        _encode(data),
        _key(message) if reading.has_key else None,
        _peer_id(message),
        _at(message, reading.now_ms),
        _context(peer_of(message, reading.me), reading),
    )


def _notice_name(body: Body) -> str:
    if body.type == frames.ACTION:
        return f"action:{to_int(fields_of(body.fields.get('action')).get('aid'))}"
    if body.type == frames.NOTIFY:
        return "notice"
    if body.type == frames.CALL:
        return "call"
    return f"card:{frames.CARDS.get(body.type, 'other')}"


# Every name that a notice of this dialect can have.
NOTICES: Final = (
    "action:*", "call", "decode-error", "dialog", "gap", "group-message", "notice", "system",
    "card:other", *(f"card:{card}" for card in frames.CARDS.values()),
)  # fmt: skip


def read_action(body: Fields) -> Fields:
    """Return number and details of a silent action, which may be encoded. Source: boss 5.4"""
    action = fields_of(body.get("action"))
    text = to_text(action.get("extend"))
    extend: object = text
    for form in (text, unquote(text)):
        if form.startswith("{") and len(form) <= 65_536:
            try:
                extend = _decoder.decode(form.encode("utf-8", "replace"))
            except msgspec.DecodeError:
                continue
            break
    return {"aid": to_int(action.get("aid")), "extend": extend}


def asked_for(text: str) -> str:
    """Return what a question asks for, `other` when no known word is in it. Source: boss 6.5"""
    return next((name for word, name in ASKED if word in text), "other")


def _chat(message: ChatMessage, reading: Reading, name: str = "") -> Chat:
    me = str(reading.me)
    if message.type in frames.GROUPS:
        group = message.receiver if message.receiver.uid != reading.me else message.sender
        return Chat(me, GROUP, str(group.uid))
    peer = peer_of(message, reading.me)
    if peer.uid <= 0 or not _is_concerned(message, reading.me):
        return Chat(me, "account", me)
    return Chat(me, USER, chat_id(peer.uid, peer.source), name)


def _person(party: Party) -> Person | None:
    return Person(str(party.uid), party.name) if party.uid else None


def _context(peer: Party, reading: Reading) -> bytes:
    return encode_context(reading.contact(peer.uid, peer.source))


def _peer_id(message: ChatMessage) -> str:
    return str(message.mid) if message.mid not in REPEATING else ""


def _at(message: ChatMessage, now_ms: int) -> int | None:
    if message.time_ms <= 0:
        return None
    return min(message.time_ms, now_ms) if message.time_ms > now_ms + FUTURE_MS else message.time_ms


def _key(message: ChatMessage) -> bytes | None:
    """Return what tells a repeat: the server's id, where that repeats the sender's.

    The server's ids ascend, so new keys share a page. Source: boss 3, 6.5
    """
    if message.mid not in REPEATING:
        return b"m%d" % message.mid
    if message.cmid:
        return b"c%d" % message.cmid
    if not message.time_ms:
        return None  # nothing tells it from another one
    body = _encode((message.body.type, message.body.text, message.body.fields, message.body.raw))
    return b"t%d:" % message.time_ms + hashlib.blake2b(body, digest_size=8).hexdigest().encode()


def to_read(mark: ReadMark, me: int) -> Fleeting:
    """Return that somebody read, or that the account did elsewhere. Source: boss 6.7"""
    chat = Chat(str(me), USER, chat_id(mark.uid, mark.source))
    data = {"mid": str(mark.mid), "at_ms": mark.time_ms, "is_own": mark.is_sync}
    return Fleeting(chat, "read", _encode(data))


# -- bodies to segments ------------------------------------------------------------------------


def to_segments(body: Body) -> Segments:
    """Return what was said as segments."""
    maker = _SEGMENTS.get(body.type)
    return maker(body) if maker is not None else _to_raw(body)


def _to_text(body: Body) -> Segments:
    return (Text(body.text),)


def _to_pictures(body: Body) -> Segments:
    return tuple(Image(url=url) for url in body.urls) or (Image(is_valid=False),)


def _to_voice(body: Body) -> Segments:
    return (Voice(url=body.urls[0]),) if body.urls else (Voice(is_valid=False),)


def _to_sticker(body: Body) -> Segments:
    return (Sticker(text=body.text),)


def _to_raw(body: Body) -> Segments:
    """Keep what nobody knows, whole. Source: boss 5.3"""
    data: Fields = {"type": body.type, "text": body.text, "raw": body.raw}
    if body.fields:
        data["body"] = body.fields
    return (Raw("boss", str(body.type), _encode(data)),)


_SEGMENTS: Final[dict[int, Callable[[Body], Segments]]] = {
    frames.TEXT: _to_text, frames.OTHER_TEXT: _to_text, frames.PICTURE: _to_pictures,
    frames.PICTURES: _to_pictures, frames.VOICE: _to_voice, frames.STICKER: _to_sticker,
}  # fmt: skip


# -- segments to pieces ------------------------------------------------------------------------


def to_pieces(segments: Sequence[Segment]) -> list[str | Image]:
    """Return what is sent one after the other: texts of at most 2000 characters, and pictures."""
    pieces: list[str | Image] = []
    words: list[str] = []

    def flush() -> None:
        text = "".join(words).strip()
        words.clear()
        if text:
            pieces.extend(_split(text))

    for part in segments:
        if isinstance(part, Image):
            flush()
            if part.data or part.url:
                pieces.append(part)
        elif isinstance(part, Text):
            words.append(part.text)
        elif isinstance(part, Mention):
            words.append(f"@{part.name or part.user} ")
        elif isinstance(part, Sticker):
            words.append(part.text)
        elif isinstance(part, Face):
            words.append(f"[{part.id}]")
    flush()
    return pieces


def to_act(segments: Sequence[Segment]) -> Act | None:
    """Return the action that a message of one raw piece stands for, None when it is words.

    Who writes to the outbox over HTTP or in a plugin has messages only: `Raw("boss", "accept", …)`
    is how they accept a request.
    """
    if len(segments) != 1 or not isinstance(piece := segments[0], Raw) or piece.dialect != "boss":
        return None
    return Act(piece.kind, piece.data)


def quote_of(segments: Sequence[Segment]) -> int:
    """Return the id of the message that is answered, 0 = none. Source: boss 4 (quoteId)"""
    ids = (part.message for part in segments if isinstance(part, Quote))
    return next((int(ident) for ident in ids if _is_number(ident)), 0)


def _split(text: str) -> list[str]:
    """Split a long text at line breaks into at most five pieces; the rest is cut."""
    pieces: list[str] = []
    rest = text
    while len(rest) > MAX_TEXT_CHARS and len(pieces) < MAX_PIECES - 1:
        at = rest.rfind("\n", 1, MAX_TEXT_CHARS)
        at = at if at > 0 else MAX_TEXT_CHARS
        pieces.append(rest[:at].rstrip("\n"))
        rest = rest[at:].lstrip("\n")
    if rest:
        pieces.append(rest[:MAX_TEXT_CHARS])
    return pieces
