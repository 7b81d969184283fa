"""Frames of the contact dialect: one JSON object each, told apart by `type` (`contact 3` to `5`).

Client frames decode straight into structs. What the typed decoder refuses is looked at once more,
slowly, to name the reason for the visitor, or to repair what may be repaired (a byte order mark,
a lone surrogate, a null where a field is optional). Imports `wire`; knows no session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, cast

import msgspec

from trunkline.dialects.contact.extension import EXTENSION_TYPES, Extension, HelloAck, HistoryOut
from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire

# Source: contact 5.1
Code: TypeAlias = Literal[
    "invalid_json", "not_an_object", "missing_type", "unknown_type", "missing_field",
    "invalid_field", "message_too_long", "unsupported_frame", "rate_limited", "server_busy",
    "internal",
]  # fmt: skip

MAX_CLIENT_ID_CHARS: Final = 128
MAX_TYPE_CHARS: Final = 64  # Source: contact 5.1, `unknown_type`

_Filled: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
_ClientMessageId: TypeAlias = Annotated[
    str, msgspec.Meta(min_length=1, max_length=MAX_CLIENT_ID_CHARS)
]


# -- client → server (contact 4) ------------------------------------------------------------


class ChatMessage(
    msgspec.Struct, frozen=True, gc=False, tag="chat_message", tag_field="type", omit_defaults=True
):
    """The visitor says something. `client_message_id` is echoed and tells repeats apart."""

    message: _Filled
    timestamp: _Filled
    client_message_id: _ClientMessageId | None = None


class ContactRequest(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag="contact_request",
    tag_field="type",
    omit_defaults=True,
):
    """The visitor asks the owner to get in touch."""

    message: _Filled
    timestamp: _Filled
    user_agent: _Filled = msgspec.field(name="userAgent")
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    page: str | None = None
    referrer: str | None = None
    locale: str | None = None


class Ping(msgspec.Struct, frozen=True, gc=False, tag="ping", tag_field="type"):
    """The visitor's page wants to see that the connection lives."""


ClientFrame: TypeAlias = ChatMessage | ContactRequest | Ping


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """Why a frame from a visitor is not taken.

    Args:
        field: which field, for `missing_field` and `invalid_field`.
        name: the offending type, cut, for `unknown_type`.
        client_message_id: when it could be read, so that the page finds its message.
    """

    code: Code
    field: str = ""
    name: str = ""
    client_message_id: str = ""


# -- server → client (contact 5) ------------------------------------------------------------


class Established(
    msgspec.Struct,
    frozen=True,
    tag="connection_established",
    tag_field="type",
    omit_defaults=True,
):
    """The first frame of every connection. What follows `timestamp` is for who opted in."""

    message: str
    client_id: str
    timestamp: str
    features: tuple[str, ...] = ()
    limits: Mapping[str, int] = {}
    session_id: str = ""
    session_token: str = ""
    resumed: bool | None = None
    heartbeat_interval: float = 0.0


class RequestAck(
    msgspec.Struct, frozen=True, gc=False, tag="contact_request_received", tag_field="type"
):
    """A contact request is stored."""

    message: str
    timestamp: str
    request_id: str = ""
    status: str = "received"


class ChatAck(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag="chat_message_received",
    tag_field="type",
    omit_defaults=True,
):
    """A chat message is stored."""

    message: str
    timestamp: str
    message_id: str = ""
    client_message_id: str = ""


class ChatOut(
    msgspec.Struct, frozen=True, gc=False, tag="chat_message", tag_field="type", omit_defaults=True
):
    """The site says something. `sender`: assistant, operator, system, and user for own words.

    Args:
        sender_name: of the operator.
        client_message_id: of own words, from another tab.
    """

    message: str
    timestamp: str = ""
    sender: str = ""
    message_id: str = ""
    in_reply_to: str = ""
    sender_name: str = ""
    broadcast: bool = False
    client_message_id: str = ""


class Pong(msgspec.Struct, frozen=True, gc=False, tag="pong", tag_field="type"):
    """The answer to a ping."""

    timestamp: str = ""


class Problem(
    msgspec.Struct, frozen=True, gc=False, tag="error", tag_field="type", omit_defaults=True
):
    """One frame was not taken. A site that is not ours may leave out `code`."""

    message: str = ""
    timestamp: str = ""
    code: str = ""
    field: str = ""
    retry_after: float = 0.0
    client_message_id: str = ""


ServerFrame: TypeAlias = (
    Established | RequestAck | ChatAck | ChatOut | Pong | Problem | HelloAck | HistoryOut
)

_CLIENT = msgspec.json.Decoder(ClientFrame)
_SERVER = msgspec.json.Decoder(ServerFrame)
_EXTENSION: Final = msgspec.json.Decoder(Extension)
_SERVER_TYPES: Final = frozenset({
    "connection_established", "contact_request_received", "chat_message_received",
    "chat_message", "pong", "error", "hello_ack", "history",
})  # fmt: skip
_REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "chat_message": ("message", "timestamp"),
    "contact_request": ("message", "timestamp", "userAgent"),
    "ping": (),
}
_OPTIONAL: Final = ("name", "email", "phone", "page", "referrer", "locale")
_PING: Final = Ping()
_AT = re.compile(r" - at `\$\.?([A-Za-z_]*)")
_MISSING = re.compile(r"missing required field `([A-Za-z_]*)`")
# What `describe` may not show: tokens of sessions and of operators.
_SECRETS = re.compile(r'("(?:session_)?token"\s*:\s*")(?:[^"\\]|\\.)*+"?', re.DOTALL)
_T = TypeVar("_T")

encode = jsonwire.encode  # a frame as compact UTF-8 JSON


def decode_client(data: bytes, *, is_text: bool) -> ClientFrame | Rejected:
    """Decode what a visitor sent.

    Args:
        data: one message; UTF-8 is already checked when `is_text`. A BINARY message with UTF-8
            JSON counts as text (Source: contact 5.1).
        is_text: the opcode was TEXT.

    Returns:
        The frame, checked but for the configured limits, or why it is not taken.
    """
    try:
        if not is_text and not data.isascii():
            str(data, "utf-8")  # msgspec would let invalid UTF-8 pass in fields that it skips
        frame = _CLIENT.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _explain(data, is_text=is_text)
    if type(frame) is not Ping and frame.message.isspace():
        return Rejected("invalid_field", "message", client_message_id=_client_id(frame))
    return frame


def _client_id(frame: ChatMessage | ContactRequest) -> str:
    return (frame.client_message_id or "") if type(frame) is ChatMessage else ""


def _explain(data: bytes, *, is_text: bool) -> ClientFrame | Rejected:
    """Name the reason why the typed decoder refused, or decode what it was too strict for."""
    try:
        value = jsonwire.tolerant(data)
    except WireMalformed:
        return Rejected("invalid_json" if is_text else "unsupported_frame")
    if not isinstance(value, dict):
        return Rejected("not_an_object")
    fields = cast("dict[str, Any]", value)  # the keys of a JSON object are strings
    kind = fields.get("type")
    if not isinstance(kind, str):
        return Rejected("missing_type")
    ident = _readable_id(fields) if kind == "chat_message" else ""
    required = _REQUIRED.get(kind)
    if required is None:
        return Rejected("unknown_type", name=kind[:MAX_TYPE_CHARS])
    return _check_fields(fields, required, ident) or _build(kind, fields)


def _readable_id(fields: dict[str, Any]) -> str:
    value = fields.get("client_message_id")
    return value if isinstance(value, str) and len(value) <= MAX_CLIENT_ID_CHARS else ""


def _check_fields(fields: dict[str, Any], required: tuple[str, ...], ident: str) -> Rejected | None:
    for name in required:
        value = fields.get(name)
        if value is None:
            return Rejected("missing_field", name, client_message_id=ident)
        blank = not isinstance(value, str) or not (value.strip() if name == "message" else value)
        if blank:
            return Rejected("invalid_field", name, client_message_id=ident)
    if (
        fields["type"] == "chat_message"
        and fields.get("client_message_id") is not None
        and not ident
    ):
        return Rejected("invalid_field", "client_message_id")
    return None


def _build(kind: str, fields: dict[str, Any]) -> ClientFrame:
    if kind == "ping":
        return _PING
    if kind == "chat_message":
        ident = fields.get("client_message_id")
        return ChatMessage(fields["message"], fields["timestamp"], ident)
    # Optional data of another type is a field of the page's own: ignored (contact 3), because a
    # request must not be lost over it.
    known = {name: fields[name] for name in _OPTIONAL if isinstance(fields.get(name), str)}
    return ContactRequest(fields["message"], fields["timestamp"], fields["userAgent"], **known)


def decode_server(data: bytes) -> ServerFrame | None:
    """Decode what a site sent; None for a type that we do not know (ignored, `contact 3`).

    Raises:
        WireMalformed: not JSON, no object, no `type`, or a known type with fields of a wrong kind.
    """
    try:
        return jsonwire.decode(_SERVER, data)
    except msgspec.ValidationError as error:
        value = jsonwire.tolerant(data)
        kind = cast("dict[str, Any]", value).get("type") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind not in _SERVER_TYPES:
            return None
        raise WireMalformed("bad_frame") from error


def decode_extension(data: bytes) -> Extension | Rejected:
    """Decode a frame whose type is one of `EXTENSION_TYPES`."""
    return decode_typed(_EXTENSION, data)


def is_client_frame(data: bytes) -> bool:
    """Return whether a visitor's page can have sent this, by its type. Source: contact 4, 9"""
    try:
        value = jsonwire.tolerant(data)
    except WireMalformed:
        return False
    kind = cast("dict[str, Any]", value).get("type") if isinstance(value, dict) else None
    return isinstance(kind, str) and (kind in _REQUIRED or kind in EXTENSION_TYPES)


def decode_typed(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T | Rejected:
    """Decode a frame that is JSON with a known `type`, or name the field that is wrong."""
    try:
        return jsonwire.decode(decoder, data)
    except WireMalformed:
        return Rejected("invalid_json")
    except msgspec.ValidationError as error:
        missing = _MISSING.search(str(error))
        if missing is not None:
            return Rejected("missing_field", missing[1])
        at = _AT.search(str(error))
        return Rejected("invalid_field", at[1] if at is not None else "")


def describe(data: bytes) -> str:
    """Show one frame on one line of at most 75 characters, controls escaped (`style 7`).

    Tokens are masked; bodies appear in DEBUG only.
    """
    text = data[:2048].decode("utf-8", "replace")
    if "token" in text:
        text = _SECRETS.sub(r'\1***"', text)
    line = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[:76])
    return line if len(line) <= 75 else line[:74] + "…"
