"""Payloads of the chat: what one PUBLISH carries, as values, and back.

A payload is one `TechwolfChatProtocol`. Decoding never fails for what the schema does not know:
unknown kinds keep their bytes, missing fields are zero and the frame says that it is incomplete –
except for texts that have all that is read of them, which are most of what comes.
Messages of a history answer have the same fields as JSON and become the same values.
Source: boss 2.4, 4, 5, 6
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects.boss.http import Fields, Uploaded, fields_of, items_of, to_int, to_text
from trunkline.dialects.boss.schema import Schema, to_json
from trunkline.model.message import storable

TOPIC: Final = "chat"  # Source: boss 2.4
APP_ID: Final = 9019  # Source: boss 4 (TechwolfClientInfo)
INT32: Final = 1 << 31
MAX_ITEMS: Final = 500  # messages, pairs or marks of one payload that are read
MAX_PICTURES: Final = 20

# `TechwolfChatProtocol.type`. Source: boss 5.1
MESSAGES, PRESENCE, IQ, IQ_ANSWER, SYNC, READ, DATA_SYNC = range(1, 8)
# `TechwolfMessage.type`. Source: boss 5.2
ONE_TO_ONE: Final = 1
GROUPS: Final = frozenset({2, 5, 6})
SYSTEM: Final = 3
HIDDEN: Final = 4
# `TechwolfMessageBody.type`: those that are read here; cards keep their whole body. Source: 5.3
TEXT: Final = 1
VOICE: Final = 2
PICTURE: Final = 3
ACTION: Final = 4
NOTIFY: Final = 6
DIALOG: Final = 7
CALL: Final = 13
OTHER_TEXT: Final = 17
STICKER: Final = 20
PICTURES: Final = 27
TEXTS: Final = frozenset({TEXT, OTHER_TEXT})
SPEECH: Final = frozenset({TEXT, VOICE, PICTURE, OTHER_TEXT, STICKER, PICTURES})
CARDS: Final[Mapping[int, str]] = {
    5: "article", 8: "job", 9: "resume", 10: "other", 11: "other", 12: "link", 14: "interview",
    15: "article", 16: "article", 18: "job", 19: "resume", 22: "other", 23: "interview",
    24: "list", 25: "other", 26: "other", 28: "company", 29: "person",
}  # fmt: skip
KNOWN: Final = SPEECH | frozenset({ACTION, NOTIFY, DIALOG, CALL}) | CARDS.keys()


class Party(msgspec.Struct, frozen=True, gc=False):
    """Who sends or receives.

    Args:
        source: 0 on the main platform. Source: boss 5.6
    """

    uid: int = 0
    name: str = ""
    source: int = 0
    company: str = ""


class Body(msgspec.Struct, frozen=True):
    """What a message holds.

    Args:
        type: selects the meaning; the members that are present may say otherwise. Source: boss 5.3
        urls: of pictures, the full size first; of a voice, the one.
        fields: all members as JSON values, for kinds that are no speech.
        raw: the bytes, as base64, of a kind that nobody knows.
    """

    type: int
    text: str = ""
    urls: tuple[str, ...] = ()
    fields: Fields = {}
    raw: str = ""


class ChatMessage(msgspec.Struct, frozen=True):
    """One message.

    Args:
        type: one of `ONE_TO_ONE`, `GROUPS`, `SYSTEM`, `HIDDEN`.
        mid: the server's id; 1 on notices, where it repeats. Source: boss 3
        cmid: the sender's id.
        is_counted: counts as unread: somebody said it. Source: boss 5.6 (uncount)
        is_whole: sender, receiver and body are there.
    """

    sender: Party
    receiver: Party
    type: int
    body: Body
    mid: int = 0
    cmid: int = 0
    time_ms: int = 0
    quote: int = 0
    is_counted: bool = True
    is_whole: bool = True


class SyncPair(msgspec.Struct, frozen=True, gc=False):
    """The server's id of what a client sent. Source: boss 6.3"""

    client_mid: int
    server_mid: int


class ReadMark(msgspec.Struct, frozen=True, gc=False):
    """Somebody read up to a message.

    Args:
        uid: who read; with `is_sync` whose messages the account read elsewhere. Source: boss 6.7
    """

    uid: int
    mid: int
    time_ms: int = 0
    source: int = 0
    is_sync: bool = False


class IqAnswer(msgspec.Struct, frozen=True):
    """The answer to a query, or a call of the server's. Source: boss 5.1, 6.10"""

    query: str
    results: Mapping[str, str]


class Frame(msgspec.Struct, frozen=True):
    """One payload.

    Args:
        data_sync: the type of what changed, 0 = this is no such notice. Source: boss 5.6
        is_incomplete: a required field is missing somewhere. Not looked for when all messages are
            texts with all that is read of them.
    """

    type: int
    messages: Sequence[ChatMessage] = ()
    pairs: Sequence[SyncPair] = ()
    marks: Sequence[ReadMark] = ()
    iq: IqAnswer | None = None
    data_sync: int = 0
    presence: Fields = {}
    is_incomplete: bool = False


# -- from bytes --------------------------------------------------------------------------------

# Texts need no `storable` here: the runtime refuses what is not UTF-8, so lone surrogates too.


def decode(schema: Schema, payload: bytes) -> Frame:
    """Decode a payload.

    Raises:
        WireMalformed: it is none; the packet that carried it is acknowledged all the same.
    """
    found = schema.decode(payload)
    chat = found.message
    kind: int = chat.type
    messages = [_read_message(schema, one) for one in chat.messages[:MAX_ITEMS]]
    if kind == MESSAGES:
        is_incomplete = not all(map(_is_full_text, messages)) and found.incomplete
        return Frame(kind, messages, is_incomplete=is_incomplete)
    pairs = [SyncPair(one.clientMid, one.serverMid) for one in chat.messageSync[:MAX_ITEMS]]
    marks = [
        ReadMark(one.userId, one.messageId, one.readTime, one.userSource, one.sync)
        for one in chat.messageRead[:MAX_ITEMS]
    ]
    iq = None
    if kind in (IQ, IQ_ANSWER):
        said = chat.iq if kind == IQ else chat.iqResponse
        listed = (said.params if kind == IQ else said.results)[:MAX_ITEMS]
        iq = IqAnswer(said.query, {one.key: one.value for one in listed})
    return Frame(
        kind,
        messages,
        pairs,
        marks,
        iq,
        chat.dataSync.type if kind == DATA_SYNC else 0,
        to_json(chat.presence) if kind == PRESENCE else {},
        found.incomplete,
    )


def _is_full_text(one: ChatMessage) -> bool:
    """Whether a message is a text and nothing of it is missed."""
    if one.body.type not in TEXTS or not one.body.text or not one.is_whole:
        return False
    return bool(one.type and one.sender.uid and one.receiver.uid)


def _read_message(schema: Schema, one: Any) -> ChatMessage:
    return ChatMessage(
        _read_party(getattr(one, "from")),
        _read_party(one.to),
        one.type,
        _read_body(schema, one.body),
        one.mid,
        one.cmid,
        one.time,
        one.quoteId,
        one.uncount == 0,
        one.HasField("from") and one.HasField("to") and one.HasField("body"),
    )


def _read_party(one: Any) -> Party:
    return Party(one.uid, one.name, one.source, one.company)


def _read_body(schema: Schema, body: Any) -> Body:
    kind: int = body.type
    if kind in TEXTS:
        return Body(kind, body.text)
    if kind in SPEECH:
        return Body(kind, body.text, _urls(kind, to_json(body)))
    if kind in KNOWN:
        return Body(kind, body.text, fields=to_json(body))
    # A body that is not there at all cannot even be written as nothing.
    raw = b64encode(schema.encode(body)).decode() if body.ListFields() else ""
    return Body(kind, body.text, raw=raw)


# -- from JSON ---------------------------------------------------------------------------------


def read_json(one: Fields) -> ChatMessage:
    """Read a message of a history answer. Source: boss 6.8"""
    said = fields_of(one.get("body"))
    kind = to_int(said.get("type"))
    text = storable(to_text(said.get("text")))
    is_speech = kind in SPEECH
    return ChatMessage(
        _party_of(one.get("from")),
        _party_of(one.get("to")),
        to_int(one.get("type")),
        Body(kind, text, _urls(kind, said) if is_speech else (), {} if is_speech else said),
        to_int(one.get("mid")),
        to_int(one.get("cmid")),
        to_int(one.get("time")),
        to_int(one.get("quoteId")),
        to_int(one.get("uncount")) == 0,
        "from" in one and "to" in one and "body" in one,
    )


def _party_of(value: Any) -> Party:
    told = fields_of(value)
    name, company = storable(to_text(told.get("name"))), storable(to_text(told.get("company")))
    return Party(to_int(told.get("uid")), name, to_int(told.get("source")), company)


def _urls(kind: int, body: Fields) -> tuple[str, ...]:
    """Return the addresses of what is shown or heard."""
    if kind == VOICE:
        found = [fields_of(body.get("sound"))]
    elif kind == PICTURES:
        found = [
            fields_of(one) for one in items_of(fields_of(body.get("multiImage")).get("images"))
        ]
    else:
        holder = fields_of(body.get("sticker")) if kind == STICKER else body
        image = fields_of(holder.get("image"))
        found = [fields_of(image.get("originImage")) or fields_of(image.get("tinyImage"))]
    urls = (to_text(one.get("url")) for one in found[:MAX_PICTURES])
    return tuple(storable(url) for url in urls if url)


# -- to bytes ----------------------------------------------------------------------------------


class Sender(msgspec.Struct, frozen=True):
    """Both ends of what is sent. Source: boss 3 (addressing forms)

    Args:
        me, peer: numbers; both 0 when only the key of the peer is known.
        key: the peer's encrypted id.
    """

    me: int
    peer: int
    key: str = ""
    source: int = 0

    def fields(self) -> Fields:
        """Return both as fields of a message; `source` is written also when it is 0."""
        if not self.peer:
            return {"from": {"uid": 0}, "to": {"uid": 0, "name": self.key}}
        to: Fields = {"uid": self.peer, "source": self.source}
        if self.key:
            to["name"] = self.key
        return {"from": {"uid": self.me, "source": 0}, "to": to}


def encode_text(
    schema: Schema, sender: Sender, text: str, cmid: int, time_ms: int, quote: int = 0
) -> bytes:
    """Encode a text. Source: boss 6.2"""
    return _encode_message(
        schema, sender, {"type": TEXT, "templateId": 1, "text": text}, cmid, time_ms, quote
    )


def encode_picture(
    schema: Schema, sender: Sender, picture: Uploaded, cmid: int, time_ms: int
) -> bytes:
    """Encode a picture that was uploaded. Source: boss 6.4"""
    image = {
        "tinyImage": {"url": picture.tiny_url, "width": 200, "height": picture.tiny_height},
        "originImage": {"url": picture.url, "width": picture.width, "height": picture.height},
    }
    body = {"type": PICTURE, "templateId": 1, "image": image}
    return _encode_message(schema, sender, body, cmid, time_ms)


def _encode_message(
    schema: Schema, sender: Sender, body: Fields, cmid: int, time_ms: int, quote: int = 0
) -> bytes:
    # `mid` and `cmid` of what a client sends are equal. Source: boss 3
    message: Fields = {
        **sender.fields(), "type": ONE_TO_ONE, "mid": cmid, "time": time_ms, "body": body,
        "cmid": cmid,
    }  # fmt: skip
    if quote:
        message["quoteId"] = quote
    return schema.encode(schema.chat(type=MESSAGES, messages=[message]))


class Device(msgspec.Struct, frozen=True):
    """What the presence says of the browser. Source: boss 6.1

    Args:
        ident: any stable text of 32 characters.
        address: the public one, as the site sees it.
    """

    ident: str
    address: str
    version: str


def encode_presence(schema: Schema, me: int, device: Device, last_mid: int) -> bytes:
    """Encode that we are online, and from where delivery goes on. Source: boss 6.1"""
    presence: Fields = {
        "type": 1,
        "uid": me if me < INT32 else 0,
        "clientInfo": {
            "version": device.version, "system": "", "systemVersion": "", "model": "",
            "uniqid": device.ident, "network": device.address, "appid": APP_ID, "platform": "web",
            "channel": "-1", "ssid": "", "bssid": "", "longitude": 0.0, "latitude": 0.0,
        },
        "lastMessageId": last_mid,
    }  # fmt: skip
    if me >= INT32:
        presence["userId"] = me
    return schema.encode(schema.chat(type=PRESENCE, presence=presence))


def encode_read(schema: Schema, uid: int, mid: int, time_ms: int, source: int) -> bytes:
    """Encode that everything of a person up to a message is read. Source: boss 6.7"""
    mark = {"userId": uid, "messageId": mid, "readTime": time_ms, "userSource": source}
    return schema.encode(schema.chat(type=READ, messageRead=[mark]))


def encode_iq(schema: Schema, query: str, params: Mapping[str, str]) -> bytes:
    """Encode a query; its number is always 1. Source: boss 6.10"""
    listed = [{"key": key, "value": value} for key, value in params.items()]
    return schema.encode(schema.chat(type=IQ, iq={"qid": 1, "query": query, "params": listed}))
