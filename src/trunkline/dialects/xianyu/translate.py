"""Entries to model and back: one small function a kind.

Only what a person said in a chat between two becomes a message. Orders, the platform's own words
and group chats become notices, which only rules that name them answer. Source: xianyu 7.5, 8, 10.2
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.dialects.xianyu.entries import (
    PERSONAL,
    SYSTEM_REASONS,
    ChatEntry,
    Content,
    Entry,
    OrderEntry,
    OtherEntry,
)
from trunkline.dialects.xianyu.frames import fields_of
from trunkline.dialects.xianyu.orders import EVENTS
from trunkline.model.address import MAX_ID_CHARS, Chat
from trunkline.model.event import Event, Fleeting, MessageReceived, NoticeReceived, Person
from trunkline.model.message import Segments
from trunkline.model.segment import (
    Face,
    Image,
    Mention,
    Raw,
    Segment,
    Sticker,
    Text,
    Voice,
)

FUTURE_MS: Final = 60_000  # a time further ahead counts as now. Source: xianyu 10.4
MAX_TEXT_CHARS: Final = 2000  # of one message that we send. Source: xianyu 14
MAX_PIECES: Final = 5
_encode = msgspec.json.Encoder().encode


class Context(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an answer needs to be addressed: both sides are among the receivers."""

    partner: str = ""
    item: str = ""


_context_decoder = msgspec.json.Decoder(Context)


def encode_context(context: Context) -> bytes:
    """Encode a context; an empty one is b""."""
    return _encode(context) if context.partner or context.item else b""


def decode_context(data: bytes) -> Context:
    """Decode a context; what cannot be read is empty."""
    try:
        return _context_decoder.decode(data) if data else Context()
    except msgspec.DecodeError:
        return Context()


def aliases(chat: Chat, context: bytes) -> tuple[Chat, ...]:
    """Return the buyer's addresses: who is written to as `user:` is in a chat. Source: xianyu 8"""
    known = decode_context(context)
    if chat.kind != "chat" or not known.partner:
        return ()
    names = (known.partner, f"{known.partner}?item={known.item}")
    return tuple(Chat(chat.account, "user", name) for name in names)


# -- entries to events -------------------------------------------------------------------------


def to_event(entry: Entry, me: str, place: str, now_ms: int, *, has_key: bool) -> Event | None:
    """Return the event of an entry, or None for what only is counted.

    Args:
        place: of the entry among all: package position and number; stands for a time that is
            missing, the same at a repeat.
        has_key: whether repeats are found.
    """
    if isinstance(entry, ChatEntry):
        return _to_message(entry, me, place, now_ms, has_key=has_key)
    if isinstance(entry, OrderEntry):
        return _to_order(entry, me, place, now_ms, has_key=has_key)
    return _to_other(entry, me, place, now_ms, has_key=has_key)


def _to_message(
    entry: ChatEntry, me: str, place: str, now_ms: int, *, has_key: bool
) -> MessageReceived | NoticeReceived:
    when = entry.created_ms if entry.created_ms is not None else place
    content = entry.content
    spare = f"{entry.chat}\n{entry.sender}\n{when}\n{content.type}\n{content.text}"
    key = _key(entry.pnm or entry.message_id, spare) if has_key else None
    alias = _alias(entry.pnm, entry.message_id, "") if has_key else None
    partner = entry.partner if entry.partner != me else ""
    if not partner and not entry.is_own:
        partner = entry.sender
    context = encode_context(Context(partner, entry.item[:MAX_ID_CHARS]))
    peer_id = entry.pnm or entry.message_id
    at_ms = _at(entry.created_ms, now_ms)
    sender = Person(entry.sender, entry.name)
    if entry.session_type != PERSONAL:
        # Nobody may answer there by itself. Source: xianyu 7.5 (eligible)
        data = _encode({"text": content.text, "session_type": entry.session_type})
        chat = _chat(me, "group", entry.chat)
        return NoticeReceived(chat, "group-message", sender, data, key, peer_id, at_ms, context)
    name = "" if entry.is_own else entry.name
    return MessageReceived(
        _chat(me, "chat", entry.chat, name),
        sender,
        to_segments(content),
        key,
        peer_id,
        at_ms,
        entry.item[:MAX_ID_CHARS],
        context,
        entry.is_own,
        alias,
    )


def _to_order(
    entry: OrderEntry, me: str, place: str, now_ms: int, *, has_key: bool
) -> NoticeReceived:
    data = _encode(
        {
            "event": entry.event,
            "status": entry.status,
            "order_id": entry.order or None,
            "buyer_id": entry.buyer or None,
            "item_id": entry.item or None,
            "text": entry.text,
            "is_trusted": entry.is_trusted,
            "is_trigger": entry.is_trigger,
        }
    )
    # Cards of one order can repeat the id with another text. Source: xianyu 10.2
    told = _short(f"{entry.text}\n{entry.update_key}")
    ident = entry.pnm or entry.message_id
    spare = f"{entry.buyer}\n{place}\n{entry.text}"
    key = _key(f"{ident}#{told}" if ident else "", spare) if has_key else None
    if entry.chat:
        chat = _chat(me, "chat", entry.chat)
    elif entry.buyer:
        chat = _chat(me, "user", entry.buyer)
    else:
        chat = Chat(me, "account", me)
    context = encode_context(Context(entry.buyer, entry.item[:MAX_ID_CHARS]))
    return NoticeReceived(
        chat,
        f"order:{entry.event}",
        Person(entry.buyer) if entry.buyer else None,
        data,
        key,
        ident,
        _at(entry.created_ms, now_ms),
        context,
        entry.item[:MAX_ID_CHARS],
        entry.is_trusted,
        _alias(entry.pnm, entry.message_id, f"#{told}") if has_key else None,
    )


def _to_other(
    entry: OtherEntry, me: str, place: str, now_ms: int, *, has_key: bool
) -> Event | None:
    chat = _chat(me, "chat", entry.chat) if entry.chat else Chat(me, "account", me)
    if entry.kind == "typing":
        return Fleeting(chat, "typing")
    if entry.kind == "read":
        return Fleeting(chat, "read", _encode({"message_ids": entry.message_ids}))
    if entry.kind != "system":
        return None  # a hint whose text comes in another entry, or a shape that nobody knows
    key = _key(entry.pnm, f"{entry.chat}\n{place}\n{entry.text}") if has_key else None
    return NoticeReceived(
        chat,
        f"system:{entry.reason}",
        None,
        _encode({"text": entry.text}),
        key,
        entry.pnm,
        _at(entry.created_ms, now_ms),
    )


# Every name that a notice of this dialect can have.
NOTICES: Final = (
    *(f"order:{event}" for event in EVENTS),
    *(f"system:{reason}" for reason in SYSTEM_REASONS),
    "group-message",
    "gap",
)


def to_segments(content: Content) -> Segments:
    """Return what was said as segments."""
    maker = _SEGMENTS.get(content.type)
    return maker(content) if maker is not None else _to_raw(content)


def _to_text(content: Content) -> Segments:
    return (Text(content.text),)


def _to_images(content: Content) -> Segments:
    pictures = tuple(Image(url=pic.url) for pic in content.images)
    return pictures or (Image(is_valid=False),)


def _to_voice(content: Content) -> Segments:
    url = fields_of(content.payload.get("audio")).get("url")
    return (Voice(url=url if isinstance(url, str) else ""),)


def _to_sticker(content: Content) -> Segments:
    return (Sticker(text=content.text),)


def _to_raw(content: Content) -> Segments:
    data = _encode({"text": content.text, "payload": content.payload})
    return (Raw("xianyu", str(content.content_type), data),)


_SEGMENTS: Final = {
    "text": _to_text, "image": _to_images, "audio": _to_voice, "sticker": _to_sticker,
}  # fmt: skip


def _chat(me: str, kind: str, ident: str, name: str = "") -> Chat:
    if not ident:
        return Chat(me, "account", me)
    return Chat(me, kind, ident[:MAX_ID_CHARS], name)


def _at(created_ms: int | None, now_ms: int) -> int | None:
    if created_ms is None or created_ms <= 0:
        return None
    return now_ms if created_ms > now_ms + FUTURE_MS else created_ms


def _key(ident: str, spare: str) -> bytes:
    # Ids of the platform grow with time, so new keys share a page. Source: reliability 1
    return ident.encode("utf-8", "replace")[:200] if ident else b"~" + _short(spare).encode()


def _alias(pnm: str, message_id: str, rest: str) -> bytes | None:
    """Return the second key: both ids are registered. Source: xianyu 10.2"""
    if pnm and message_id and pnm != message_id:
        return f"{message_id}{rest}".encode("utf-8", "replace")[:200]
    return b"" if pnm or message_id else None


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


# -- segments to pieces ------------------------------------------------------------------------


def to_pieces(segments: Sequence[Segment]) -> list[str | Image]:
    """Return what is sent one after the other: texts of at most 2000 characters, and pictures."""
    pieces: list[str | Image] = []
    words: list[str] = []

    def flush() -> None:
        text = "".join(words).strip()
        words.clear()
        if text:
            pieces.extend(split_text(text))

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


def split_text(text: str) -> list[str]:
    """Split a long text at line breaks into at most five pieces; the rest is cut.

    Source: xianyu 14
    """
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
