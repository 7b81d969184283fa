"""The frames of the lwp protocol: one JSON object per TEXT message, both ways.

`decode` never raises past `WireMalformed`. Requests are built by one function each, and every
identifier has its rule here. Source: xianyu 2, 4, 5, 8
"""

from __future__ import annotations

import base64
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from trunkline.clock import Clock
from trunkline.errors import WireMalformed
from trunkline.ids import Ids
from trunkline.wire import jsonwire

APP_KEY: Final = "444e9908a51d1cb236a27862abc769c9"  # Source: xianyu 4
SUFFIX: Final = "@goofish"
PNM: Final = ".PNM"
FIRST_CURSOR: Final = 9007199254740991  # Source: xianyu 8
UA_TAIL: Final = (
    " DingTalk(2.1.5) OS(Windows/10) Browser(Chrome/133.0.0.0) DingWeb/2.1.5 IMPaaS DingWeb/2.1.5"
)

REG: Final = "/reg"
HEARTBEAT: Final = "/!"
GET_STATE: Final = "/r/SyncStatus/getState"
ACK_DIFF: Final = "/r/SyncStatus/ackDiff"
SEND: Final = "/r/MessageSend/sendByReceiverScope"
CREATE_CHAT: Final = "/r/SingleChatConversation/create"
LIST_CHATS: Final = "/r/Conversation/listNewestPagination"
LIST_HISTORY: Final = "/r/MessageManager/listUserMessages"
MARK_READ: Final = "/r/MessageStatus/read"
RECALL: Final = "/r/MessageManager/recallMessage"
KICKOUT: Final = "/push/kickout"
SESSION_REMOVE: Final = "/s/session/remove"
PUSH_ROUTES: Final = frozenset({"/s/sync", "/s/para", "/s/vulcan", KICKOUT, SESSION_REMOVE})

Fields = dict[str, Any]


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame as it came. `headers` is None when the frame had none.

    Args:
        code: 0 when there is none or it is not a number.
        body: whatever JSON has.
    """

    lwp: str
    code: int
    headers: Mapping[str, Any] | None
    body: Any

    @property
    def mid(self) -> str:
        """The id of the frame, "" when it has none."""
        mid = self.headers.get("mid") if self.headers is not None else None
        return mid if isinstance(mid, str) else "" if mid is None else str(mid)

    @property
    def key(self) -> str:
        """What answers are matched by: the id up to the first blank. Source: xianyu 2"""
        return self.mid.partition(" ")[0]

    @property
    def is_push(self) -> bool:
        """Whether it can only be a push, although an open request may have the same key."""
        return not self.code and self.lwp.startswith(("/s/", "/push/"))

    @property
    def header_error(self) -> str:
        """The text of a refusal, safe to show."""
        error = self.headers.get("error") if self.headers is not None else None
        return error[:200] if isinstance(error, str) else ""


_decoder = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


def decode(data: bytes) -> Frame:
    """Decode one frame.

    Raises:
        WireMalformed: `not_json`, `too_deep` or `not_an_object`.
    """
    value = jsonwire.decode(_decoder, data)
    if not isinstance(value, dict):
        raise WireMalformed("not_an_object")
    if data.count(b"{") + data.count(b"[") > jsonwire.MAX_DEPTH:
        jsonwire.check_depth(data.decode("utf-8", "replace"))
    fields = cast("Fields", value)  # JSON objects have text keys
    lwp = fields.get("lwp")
    headers = fields.get("headers")
    return Frame(
        lwp if isinstance(lwp, str) else "",
        to_int(fields.get("code")) or 0,
        cast("Fields", headers) if isinstance(headers, dict) else None,
        fields.get("body"),
    )


def to_int(value: Any) -> int | None:
    """Return a whole number that came as a number or as its text, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, str) and len(value) <= 20 and value.removeprefix("-").isdecimal():
        return int(value)
    return None


def encode_frame(
    lwp: str, headers: Mapping[str, Any], body: Any = msgspec.UNSET, code: int | None = None
) -> bytes:
    """Encode a frame; a member that is not given is absent."""
    fields: Fields = {}
    if code is not None:
        fields["code"] = code
    if lwp:
        fields["lwp"] = lwp
    fields["headers"] = headers
    if body is not msgspec.UNSET:
        fields["body"] = body
    return _encode(fields)


def encode_ack(frame: Frame, clock: Clock, ids: Ids) -> bytes | None:
    """Encode the one acknowledgement of a push, or None when it has no headers.

    All headers go back unchanged; a missing `mid` is made, a missing `sid` is empty.
    Source: xianyu 5
    """
    if frame.headers is None:
        return None
    headers = dict(frame.headers)
    if not frame.mid:
        headers["mid"] = make_mid(clock, ids, ())
    headers.setdefault("sid", "")
    return encode_frame("", headers, code=200)


# -- identifiers -------------------------------------------------------------------------------


def format_mid(random: int, now_ms: int) -> str:
    """Format the id of a request from a number 0 … 999 and the clock. Source: xianyu 2"""
    return f"{random}{now_ms} 0"


def make_mid(clock: Clock, ids: Ids, pending: Container[str]) -> str:
    """Make an id whose key is not pending: two of a millisecond could collide. Source: xianyu 2"""
    now_ms = clock.now_ms()
    first = int(ids.token()[-8:], 16)
    for nth in range(1000):
        mid = format_mid((first + nth) % 1000, now_ms)
        if mid.partition(" ")[0] not in pending:
            return mid
    return format_mid(first % 1000, now_ms + 1)  # a thousand are open: never with our bounds


def make_device_id(ids: Ids, me: str) -> str:
    """Make the id of this device for an account; it must be kept. Source: xianyu 2"""
    return f"{ids.uuid().upper()}-{me}"


def strip(address: Any) -> str:
    """Return an id without `@goofish` and all behind it; "" for what is no text."""
    if isinstance(address, int) and not isinstance(address, bool):
        return str(address)
    return address.partition("@")[0] if isinstance(address, str) else ""


def suffixed(ident: str) -> str:
    """Return an id as the wire has it."""
    return ident if "@" in ident else ident + SUFFIX


class Uuids:
    """Makes the client ids of outgoing messages: `-<ms><digit>`, no two alike. Source: xianyu 2"""

    def __init__(self) -> None:
        self._last = 0

    def make(self, now_ms: int) -> str:
        """Return the next id; the first of a millisecond ends in 1."""
        self._last = max(now_ms * 10 + 1, self._last + 1)
        return f"-{self._last}"


# -- requests ----------------------------------------------------------------------------------


def build_reg(token: str, user_agent: str, device_id: str, mid: str) -> bytes:
    """Build the registration; it has no body. Source: xianyu 4"""
    headers = {
        "cache-header": "app-key token ua wv",
        "app-key": APP_KEY,
        "token": token,
        "ua": user_agent + UA_TAIL,
        "dt": "j",
        "wv": "im:3,au:3,sy:6",
        "sync": "0,0;0;0;",
        "did": device_id,
        "mid": mid,
    }
    return encode_frame(REG, headers)


def build_request(lwp: str, body: Any, mid: str) -> bytes:
    """Build any request with a body."""
    return encode_frame(lwp, {"mid": mid}, body)


def build_heartbeat(mid: str) -> bytes:
    """Build a heartbeat. Source: xianyu 5"""
    return encode_frame(HEARTBEAT, {"mid": mid})


def sync_position(pts: int, now_ms: int, seq: int = 0) -> Fields:
    """Return a sync position as `ackDiff` and `getState` have it; `pts` in µs. Source: xianyu 4"""
    return {
        "pipeline": "sync", "tooLong2Tag": "PNM,1", "channel": "sync", "topic": "sync",
        "highPts": 0, "pts": pts, "seq": seq, "timestamp": now_ms,
    }  # fmt: skip


def text_payload(text: str) -> Fields:
    """Return the payload of a text. Source: xianyu 8"""
    return {"contentType": 1, "text": {"text": text}}


def image_payload(url: str, width: int, height: int) -> Fields:
    """Return the payload of a picture. Source: xianyu 8"""
    pic = {"height": height, "type": 0, "url": url, "width": width}
    return {"contentType": 2, "image": {"pics": [pic]}}


def send_body(chat: str, to: str, me: str, uuid: str, payload: Fields, custom_type: int) -> Any:
    """Return the body of a send. Both sides are in the list of receivers. Source: xianyu 8"""
    message = {
        "uuid": uuid,
        "cid": suffixed(chat),
        "conversationType": 1,
        "content": {
            "contentType": 101,
            "custom": {
                "type": custom_type,
                "data": base64.b64encode(_encode(payload)).decode(),
            },
        },
        "redPointPolicy": 0,
        "extension": {"extJson": "{}"},
        "ctx": {"appVersion": "1.0", "platform": "web"},
        "mtags": {},
        "msgReadStatusSetting": 1,
    }
    return [message, {"actualReceivers": [suffixed(to), suffixed(me)]}]


def create_chat_body(partner: str, me: str, item: str) -> Any:
    """Return the body that makes (or finds) the chat about an item. Source: xianyu 8"""
    return [
        {
            "pairFirst": suffixed(partner),
            "pairSecond": suffixed(me),
            "bizType": "1",
            "extension": {"itemId": item},
            "ctx": {"appVersion": "1.0", "platform": "web"},
        }
    ]


def history_body(chat: str, cursor: int, limit: int) -> Any:
    """Return the body that asks for a chat's past, newest first. Source: xianyu 8"""
    return [suffixed(chat), False, cursor, limit, False]


# -- answers -----------------------------------------------------------------------------------


class SendAnswer(msgspec.Struct, frozen=True):
    """What the platform says to a send: `accepted`, `rejected` or `uncertain`."""

    outcome: str
    pnm: str = ""
    detail: str = ""


def parse_send_answer(frame: Frame) -> SendAnswer:
    """Tell accepted, rejected and uncertain apart. Source: xianyu 8 (outcome of a send)"""
    reason = refusal(frame)
    if reason:
        return SendAnswer("rejected", detail=reason)
    code = frame.code
    if code == 200 or not code:
        body = fields_of(frame.body)
        ident = body.get("messageId")
        return SendAnswer("accepted", ident if isinstance(ident, str) else "")
    if 400 <= code < 500 and code != 408:
        return SendAnswer("rejected", detail=frame.header_error or f"code {code}")
    return SendAnswer("uncertain", detail=f"code {code}")


def refusal(frame: Frame) -> str:
    """Return why a body refuses, "" when it does not: a `reason` counts also under code 200."""
    body = fields_of(frame.body)
    reason = body.get("reason")
    if not isinstance(reason, str) or not reason:
        return ""
    more = body.get("moreInfo")
    return f"{reason} ({more})"[:200] if isinstance(more, str) and more else reason[:200]


def is_throttled(frame: Frame) -> bool:
    """Whether the platform asks to wait. Source: xianyu 8 (list chats)"""
    return fields_of(frame.body).get("code") == "400600001"


def parse_chat_id(body: Any) -> str:
    """Return the id of a chat that was made, wherever the answer has it. Source: xianyu 8"""
    fields = fields_of(body[0] if isinstance(body, list) and body else body)
    for _ in range(3):
        inner = fields_of(fields.get("singleChatConversation"))
        if inner:
            return strip(inner.get("cid"))
        fields = fields_of(fields.get("singleChatUserConversation")) or fields_of(
            fields.get("data")
        )
    return ""


class ListedChat(msgspec.Struct, frozen=True):
    """A chat of the newest ones, with the time of its last message."""

    chat: str
    item: str = ""
    partner: str = ""
    unread: int = 0
    last_ms: int = 0


class Page(msgspec.Struct, frozen=True):
    """A page of an answer. `next_cursor` is None on the last one."""

    items: tuple[Any, ...]
    next_cursor: int | None


def parse_chats(body: Any, me: str) -> Page:
    """Return the chats that a list answer names. Source: xianyu 8"""
    fields = fields_of(body)
    chats: list[ListedChat] = []
    for one in items_of(fields.get("userConvs")):
        user_chat = fields_of(fields_of(one).get("singleChatUserConversation"))
        chat = fields_of(user_chat.get("singleChatConversation"))
        ident = strip(chat.get("cid"))
        if not ident:
            continue
        pair = (strip(chat.get("pairFirst")), strip(chat.get("pairSecond")))
        last = fields_of(fields_of(user_chat.get("lastMessage")).get("message"))
        chats.append(
            ListedChat(
                ident,
                strip(fields_of(chat.get("extension")).get("itemId")),
                next((side for side in pair if side and side != me), ""),
                to_int(user_chat.get("redPoint")) or 0,
                to_int(last.get("createAt")) or to_int(user_chat.get("modifyTime")) or 0,
            )
        )
    return Page(tuple(chats), _next_cursor(fields))


def parse_history(body: Any) -> Page:
    """Return the `message` objects of a history answer, newest first. Source: xianyu 8"""
    fields = fields_of(body)
    models = items_of(fields.get("userMessageModels"))
    messages = tuple(
        message for model in models if (message := fields_of(fields_of(model).get("message")))
    )
    return Page(messages, _next_cursor(fields))


def _next_cursor(fields: Fields) -> int | None:
    return to_int(fields.get("nextCursor")) if to_int(fields.get("hasMore")) else None


def fields_of(value: Any) -> Fields:
    """Return an object, or an empty one for anything else."""
    return cast("Fields", value) if isinstance(value, dict) else {}


def items_of(value: Any) -> Sequence[Any]:
    """Return a list, or an empty one for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else ()


# -- for people --------------------------------------------------------------------------------


def describe(data: bytes) -> str:
    """Describe a frame without its token, its words or its people."""
    try:
        frame = decode(data)
    except WireMalformed as error:
        return f"{error.reason} {len(data)} bytes"
    name = frame.lwp or (f"code {frame.code}" if frame.code else "?")
    return f"{name} mid={frame.key[:17]} {len(data)} bytes"
