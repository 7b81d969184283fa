"""What a decoded entry says: chat, order, typing, read, notice, system, unknown.

Pure reading of the platform's fields into flat structs, in the order of classification that the
specification fixes. A text that a person typed is chat, whatever it says: only the content type
makes an order notice of it. Source: xianyu 7
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from trunkline.dialects.xianyu import orders
from trunkline.dialects.xianyu.frames import PNM, Fields, fields_of, items_of, strip, to_int
from trunkline.dialects.xianyu.pushes import decode_base64, parse_inner
from trunkline.errors import WireMalformed
from trunkline.model.message import storable

_CODED: Final = re.compile(r"[%+#\[\]]")  # of an address that only a full parser reads
ASSISTANT: Final = "1400"  # Source: xianyu 7.4 (4)
PERSONAL: Final = "1"  # session type of a chat between two people
NOTICE_TYPES: Final = frozenset({14, 25, 26, 28, 32})
CARD_TYPES: Final = frozenset({26, 32})
WRAPPED: Final = 101
SYSTEM_REASONS: Final = (
    "placeholder", "platform_assistant", "platform_notice", "session_prompt", "tips",
)  # fmt: skip
PLACEHOLDERS: Final = frozenset({"发来一条消息", "发来一条新消息"})
CONTENT_NAMES: Final = {1: "text", 2: "image", 3: "audio", 5: "sticker"}
WEB_CHAT_TYPES: Final = frozenset({1, 2, 3, WRAPPED})


class Picture(msgspec.Struct, frozen=True):
    """A picture of a message."""

    url: str
    width: int = 0
    height: int = 0


class Content(msgspec.Struct, frozen=True):
    """What was said. `payload` is the platform's own object, for kinds that we do not know."""

    type: str
    text: str
    images: tuple[Picture, ...] = ()
    payload: Fields = {}
    content_type: int = 0


class ChatEntry(msgspec.Struct, frozen=True):
    """Somebody said something. Empty ids are absent ones."""

    chat: str
    sender: str
    name: str
    content: Content
    is_own: bool
    item: str = ""
    partner: str = ""
    message_id: str = ""
    pnm: str = ""
    created_ms: int | None = None
    session_type: str = PERSONAL

    @property
    def is_eligible(self) -> bool:
        """Whether an automatic reply may be sent. Source: xianyu 7.5"""
        return not self.is_own and self.session_type == PERSONAL


class OrderEntry(msgspec.Struct, frozen=True):
    """The platform says something about an order.

    Args:
        is_trusted: the platform itself said so.
        is_trigger: and goods could be handed over now.
        update_key: tells cards of one order apart. Source: xianyu 10.2
    """

    event: str
    status: str
    text: str
    order: str = ""
    chat: str = ""
    buyer: str = ""
    item: str = ""
    created_ms: int | None = None
    message_id: str = ""
    pnm: str = ""
    is_trusted: bool = True
    is_trigger: bool = False
    update_key: str = ""


class OtherEntry(msgspec.Struct, frozen=True):
    """Everything else: `typing`, `read`, `notice`, `system`, `unknown`."""

    kind: str
    reason: str = ""
    chat: str = ""
    pnm: str = ""
    text: str = ""
    created_ms: int | None = None
    message_ids: tuple[str, ...] = ()


Entry = ChatEntry | OrderEntry | OtherEntry


def read(value: Any, me: str) -> Entry:
    """Classify a decoded entry. Never raises.

    Args:
        me: our account's own id.
    """
    if not isinstance(value, dict):
        return OtherEntry("unknown", "not_a_map")
    fields = fields_of(value)
    if "chatType" in fields or "operation" in fields:
        return _read_web(fields, me)
    one = fields.get("1")
    if isinstance(one, list):
        return _read_list(fields)
    if isinstance(one, str):
        return _read_flat(fields, me)
    if isinstance(one, dict):
        return _read_full(fields, me)
    return OtherEntry("unknown", "no_field_1")


def read_history(message: Fields, me: str) -> Entry:
    """Read a message of a history answer as if it had been pushed. Source: xianyu 4 (5), 8"""
    sender = fields_of(message.get("sender"))
    custom = fields_of(fields_of(message.get("content")).get("custom"))
    inner: Fields = {
        "1": {"1": sender.get("uid")},
        "2": message.get("cid"),
        "3": message.get("messageId"),
        "5": message.get("createAt"),
        "6": {"1": WRAPPED, "3": {"1": custom.get("data")}},
        "10": message.get("extension"),
    }
    return _read_full({"1": inner}, me)


# -- the shapes --------------------------------------------------------------------------------


def _read_full(fields: Fields, me: str) -> Entry:
    inner = fields_of(fields.get("1"))
    if "10" not in inner:
        chat = strip(inner.get("2"))
        return OtherEntry("system", "card_without_metadata", chat, _text(inner.get("3")))
    parts = _Parts(inner, fields_of(inner.get("10")))
    meta = parts.meta
    kind, summary = parts.content_type, parts.summary
    red = _text(meta.get("redReminder")) or _text(fields_of(fields.get("3")).get("redReminder"))
    if (card := _read_card(parts)) is not None:
        return _order(parts, me, card)
    known = orders.find_text(summary) or orders.RED_REMINDERS.get(red)
    if known is not None and (kind is None or kind in NOTICE_TYPES):
        return _order(parts, me, known, is_trusted=kind is not None)
    system = ""
    if parts.sender == ASSISTANT:
        system = "platform_assistant"
    elif parts.ext.get("msgArg1") == "MsgTips":
        system = "tips"
    elif kind in NOTICE_TYPES:
        system = "platform_notice"
    elif kind == 8:
        system = "session_prompt"
    elif summary.strip() in PLACEHOLDERS:
        system = "placeholder"
    if system:
        return OtherEntry("system", system, parts.chat, parts.pnm, summary, parts.created_ms)
    return ChatEntry(
        parts.chat,
        parts.sender,
        _text(meta.get("senderNick")) or _text(meta.get("reminderTitle")),
        to_content(parts.payload, kind, summary),
        is_own=parts.sender == me,
        item=parts.item,
        partner=parts.partner,
        message_id=parts.message_id or parts.pnm,
        pnm=parts.pnm,
        created_ms=parts.created_ms,
        session_type=_text(meta.get("sessionType")) or PERSONAL,
    )


def _read_card(parts: _Parts) -> orders.OrderText | None:
    changed = _main(
        fields_of(fields_of(parts.payload.get("dynamicOperation")).get("changeContent"))
    )
    content = fields_of(changed.get("exContent"))
    if content.get("title") == orders.REFUND_TITLE:
        refund = orders.REFUNDS.get(_text(fields_of(content.get("button")).get("text")))
        if refund is not None:
            return refund
    title = fields_of(_main(parts.payload).get("exContent")).get("title")
    return orders.BARGAIN if title == orders.BARGAIN_TITLE else None


def _order(
    parts: _Parts, me: str, known: orders.OrderText, *, is_trusted: bool = True
) -> OrderEntry:
    sides = (parts.partner, parts.sender)
    return OrderEntry(
        known.event,
        known.status,
        parts.summary,
        parts.order,
        parts.chat,
        next((side for side in sides if side and side != me), ""),
        parts.item,
        parts.created_ms,
        parts.message_id or parts.pnm,
        parts.pnm,
        is_trusted,
        known.is_trigger and is_trusted,
        _text(parts.ext.get("updateKey")),
    )


def _read_flat(fields: Fields, me: str) -> Entry:
    one = _text(fields.get("1"))
    meta = fields_of(fields.get("4"))
    if "reminderContent" in meta:
        return _read_update(fields, meta, me)
    three = fields_of(fields.get("3"))
    red = _text(three.get("redReminder"))
    if red:
        known = orders.RED_REMINDERS.get(red)
        if known is None:
            return OtherEntry("system", "platform_notice", text=red)
        # Without a user the address may be a chat's: then nobody is named. Source: xianyu 7.2
        return OrderEntry(known.event, known.status, red, buyer=strip(three.get("userId")))
    pnm = _text(fields.get("3"))
    if "@" in one and pnm.endswith(PNM):
        return OtherEntry("notice", "", strip(one), pnm, created_ms=to_int(fields.get("4")))
    return OtherEntry("unknown", "flat")


def _read_update(fields: Fields, meta: Fields, me: str) -> Entry:
    names = (_text(fields.get("3")), _text(fields.get("1")))
    pnm = next((name for name in names if name.endswith(PNM)), "")
    as_full: Fields = {"2": fields.get("2"), "3": pnm, "5": fields.get("5"), "10": meta}
    parts = _Parts(as_full, meta)
    red = orders.RED_REMINDERS.get(_text(meta.get("redReminder")))
    known = orders.find_text(parts.summary) or red
    if known is None or parts.content_type not in (None, *NOTICE_TYPES):
        return OtherEntry("system", "card_update", parts.chat, pnm, parts.summary, parts.created_ms)
    return _order(parts, me, known, is_trusted=parts.content_type is not None)


def _read_list(fields: Fields) -> Entry:
    listed = items_of(fields.get("1"))
    if listed and isinstance(listed[0], dict):
        return OtherEntry("typing", "", strip(fields_of(listed[0]).get("1")))
    if "3" not in fields:
        return OtherEntry("unknown", "list")
    return OtherEntry(
        "read",
        "",
        strip(fields.get("3")),
        created_ms=to_int(fields.get("5")),
        message_ids=tuple(_text(ident) for ident in listed if isinstance(ident, str))[:100],
    )


def _read_web(fields: Fields, me: str) -> Entry:
    operation = fields_of(fields.get("operation"))
    content = fields_of(operation.get("content"))
    session = fields_of(operation.get("sessionInfo"))
    chat = strip(fields.get("sessionId")) or strip(session.get("sessionId"))
    reminder = fields_of(content.get("reminder"))
    kind = to_int(content.get("contentType"))
    summary = _text(reminder.get("reminderContent"))
    if "sessionArouse" in content or kind == 8:
        return OtherEntry("system", "session_arouse", chat, text=summary)
    sender = strip(fields_of(operation.get("senderInfo")).get("senderUserId"))
    if not sender or kind not in WEB_CHAT_TYPES:
        return OtherEntry("unknown", "web")
    query = _query(reminder.get("reminderUrl"))
    payload = _unwrap(content)
    kind = to_int(payload.get("contentType")) or kind
    extensions = fields_of(session.get("extensions"))
    return ChatEntry(
        chat,
        sender,
        _text(reminder.get("reminderTitle")),
        to_content(payload, kind, summary),
        is_own=sender == me,
        item=query.get("itemId", "") or strip(extensions.get("itemId")),
        partner=strip(query.get("peerUserId")),
        session_type=str(to_int(session.get("sessionType")) or PERSONAL),
    )


# -- the fields --------------------------------------------------------------------------------


class _Parts:
    """The fields of a full message, or of an update that has the same metadata. Source: xianyu 7.1

    Args:
        inner: the object in field 1.
        meta: its metadata.
    """

    def __init__(self, inner: Fields, meta: Fields) -> None:
        self.meta = meta
        self.ext = parse_inner(meta.get("extJson"))
        tag = parse_inner(meta.get("bizTag"))
        query = _query(meta.get("reminderUrl"))
        first = inner.get("1")
        author = fields_of(first).get("1") if isinstance(first, dict) else first
        self.sender = strip(meta.get("senderUserId")) or strip(author)
        self.chat = strip(inner.get("2"))
        self.pnm = _text(inner.get("3"))
        self.created_ms = to_int(inner.get("5"))
        self.summary = _text(meta.get("reminderContent"))
        self.item = (
            query.get("itemId", "") or strip(tag.get("itemId")) or strip(self.ext.get("itemId"))
        )
        self.partner = strip(query.get("peerUserId"))
        self.message_id = _text(tag.get("messageId")) or _text(self.ext.get("messageId"))
        body = fields_of(fields_of(inner.get("6")).get("3"))
        self.payload = _payload(body)
        self.content_type = _first_int(
            self.payload.get("contentType"), self.ext.get("contentType"), body.get("4")
        )

    @property
    def order(self) -> str:
        """The id of the order, "" when no field has it: words are never searched for one."""
        changed = fields_of(fields_of(self.payload.get("dynamicOperation")).get("changeContent"))
        for card in (self.payload, changed):
            main = _main(card)
            button = fields_of(fields_of(main.get("exContent")).get("button"))
            query = _query(button.get("targetUrl"))
            ident = query.get("bizOrderId", "") or query.get("orderId", "")
            ident = ident or _order_detail(button.get("targetUrl"))
            ident = ident or _order_detail(main.get("targetUrl"))
            if ident:
                return ident
        pieces = _text(self.ext.get("updateKey")).split(":")
        return pieces[1] if len(pieces) > 2 and pieces[1].isdecimal() else ""


def to_content(payload: Fields, kind: int | None, summary: str) -> Content:
    """Return what was said; the payload keeps line breaks, the summary is one line."""
    name = CONTENT_NAMES.get(kind or 1, "other")
    text = payload.get("text")
    words = _text(text) or _text(fields_of(text).get("text"))
    pictures = tuple(
        Picture(
            _text(pic.get("url")), to_int(pic.get("width")) or 0, to_int(pic.get("height")) or 0
        )
        for one in items_of(fields_of(payload.get("image")).get("pics"))[:20]
        if (pic := fields_of(one)) and _text(pic.get("url"))
    )
    if not pictures and (older := _text(payload.get("picUrl"))):
        pictures = (Picture(older),)
    if pictures and kind is None:
        name = "image"
    return Content(
        name, words if name == "text" and words else summary, pictures, payload, kind or 0
    )


def _payload(body: Fields) -> Fields:
    for text in (body.get("5"), body.get("1")):
        found = parse_inner(text)
        if not found and isinstance(text, str) and text:
            try:
                found = parse_inner(decode_base64(text).decode("utf-8", "replace"))
            except WireMalformed:
                continue
        if any(name in found for name in ("contentType", "text", "image", "audio", "picUrl")):
            return _unwrap(found)
    return {}


def _unwrap(payload: Fields) -> Fields:
    if to_int(payload.get("contentType")) != WRAPPED:
        return payload
    data = fields_of(payload.get("custom")).get("data")
    try:
        inner = parse_inner(decode_base64(data).decode("utf-8", "replace")) if data else {}
    except (WireMalformed, TypeError):
        return payload
    return inner or payload


def _main(card: Fields) -> Fields:
    return fields_of(fields_of(fields_of(card.get("dxCard")).get("item")).get("main"))


def _query(url: Any) -> dict[str, str]:
    if not isinstance(url, str) or len(url) > 4096:
        return {}
    if url.isascii() and url.isprintable() and not _CODED.search(url) and url.count("&") < 100:
        # The usual one, at a tenth of the cost: nothing has to be decoded.
        pairs = (pair.partition("=") for pair in url.partition("?")[2].split("&"))
        return {name: value for name, _, value in pairs if value}
    try:
        return dict(parse_qsl(urlsplit(url).query, max_num_fields=100))
    except ValueError:
        return {}


def _order_detail(url: Any) -> str:
    return _query(url).get("id", "") if isinstance(url, str) and "order_detail" in url else ""


def _first_int(*values: Any) -> int | None:
    return next((number for value in values if (number := to_int(value)) is not None), None)


def _text(value: Any) -> str:
    return storable(value) if isinstance(value, str) else ""
