"""Frames of the operators' path (`contact 9.3`). Every request is answered once: `ok`, its own
result, or `error`. `session_id` is the id of a visitor's chat: its session, or its client id.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from trunkline.dialects.contact.extension import Ident
from trunkline.dialects.contact.frames import Ping, Rejected, decode_typed

Session: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_Words: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
_ForS: TypeAlias = Annotated[float, msgspec.Meta(ge=1, le=86_400)]


# -- operator → server ----------------------------------------------------------------------


class Auth(msgspec.Struct, frozen=True, tag="auth", tag_field="type"):
    """The first frame, when the upgrade carried no token. `name` is shown to visitors."""

    token: str
    name: _Name = ""


class Sessions(msgspec.Struct, frozen=True, tag="sessions", tag_field="type"):
    """Which chats were active last?"""

    limit: int = 100


class Watch(msgspec.Struct, frozen=True, tag="watch", tag_field="type"):
    """Show what happens in this chat."""

    session_id: Session


class Unwatch(msgspec.Struct, frozen=True, tag="unwatch", tag_field="type"):
    """Show it no longer."""

    session_id: Session


class TakeOver(msgspec.Struct, frozen=True, tag="takeover", tag_field="type"):
    """The assistant is silent in this chat for `for_s` seconds, or until `release`."""

    session_id: Session
    name: _Name = ""
    for_s: _ForS = 600.0


class Release(msgspec.Struct, frozen=True, tag="release", tag_field="type"):
    """The assistant has the chat again."""

    session_id: Session


class OperatorMessage(msgspec.Struct, frozen=True, tag="operator_message", tag_field="type"):
    """Say something to a visitor. `client_message_id` is only echoed."""

    session_id: Session
    message: _Words
    name: _Name = ""
    client_message_id: Annotated[str, msgspec.Meta(max_length=128)] = ""


class BroadcastMessage(msgspec.Struct, frozen=True, tag="broadcast", tag_field="type"):
    """Say something to every open connection (`contact 6`)."""

    message: _Words


class CloseSession(msgspec.Struct, frozen=True, tag="close_session", tag_field="type"):
    """Close every connection of a chat."""

    session_id: Session


class OperatorHistory(msgspec.Struct, frozen=True, tag="history_request", tag_field="type"):
    """Page through a chat's history, as a visitor does."""

    session_id: Session
    before: Ident | None = None
    limit: int = 50


class OperatorTyping(msgspec.Struct, frozen=True, tag="typing", tag_field="type"):
    """Whether the operator types in this chat."""

    session_id: Session
    active: bool


class OperatorRead(msgspec.Struct, frozen=True, tag="read", tag_field="type"):
    """The operator read everything up to this message."""

    session_id: Session
    message_id: Ident


OperatorFrame: TypeAlias = (
    Auth
    | Sessions
    | Watch
    | Unwatch
    | TakeOver
    | Release
    | OperatorMessage
    | BroadcastMessage
    | CloseSession
    | OperatorHistory
    | OperatorTyping
    | OperatorRead
    | Ping
)


# -- server → operator ----------------------------------------------------------------------


class AuthOk(msgspec.Struct, frozen=True, tag="auth_ok", tag_field="type"):
    """The operator is let in: the first frame."""

    timestamp: str


class SessionOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """One chat of the list.

    Args:
        state: `online` while a connection is open, else `offline`.
        last_sender, last_text, last_time: of the last message; absent when there is none.
        unread: the visitor's messages since a person last said something or looked.
        operator: who has the chat, absent when nobody has.
    """

    session_id: str
    state: str
    unread: int
    last_sender: str = ""
    last_text: str = ""
    last_time: str = ""
    operator: str | None = None


class SessionsOut(msgspec.Struct, frozen=True, tag="sessions", tag_field="type"):
    """The answer to `sessions`, last active first."""

    sessions: tuple[SessionOut, ...]
    timestamp: str


class Done(msgspec.Struct, frozen=True, tag="ok", tag_field="type", omit_defaults=True):
    """A request is done.

    Args:
        message_id: of what was said, for `operator_message`.
        closed: how many connections `close_session` closed.
    """

    request: str
    timestamp: str
    session_id: str = ""
    message_id: str = ""
    client_message_id: str = ""
    closed: int | None = None


class BroadcastResult(msgspec.Struct, frozen=True, tag="broadcast_result", tag_field="type"):
    """How many connections got it, and how many did not."""

    delivered: int
    failed: int
    timestamp: str


class Watched(
    msgspec.Struct, frozen=True, tag="chat_message", tag_field="type", omit_defaults=True
):
    """Something was said in a watched chat. Fields as in a history (`contact 9.1`)."""

    session_id: str
    message: str
    timestamp: str
    sender: str
    message_id: str
    seq: int
    sender_name: str = ""
    in_reply_to: str = ""
    client_message_id: str = ""
    kind: str = ""


class Trouble(msgspec.Struct, frozen=True, tag="error", tag_field="type", omit_defaults=True):
    """A request was not done. `request` is its type, as far as it could be read."""

    message: str
    timestamp: str
    code: str
    request: str = ""
    session_id: str = ""
    field: str = ""


_DECODER = msgspec.json.Decoder(OperatorFrame)


def decode_operator(data: bytes) -> OperatorFrame | Rejected:
    """Decode what an operator sent; blank words are none (`contact 4`)."""
    frame = decode_typed(_DECODER, data)
    if isinstance(frame, Rejected) and frame.field == "type":
        return Rejected("missing_type" if frame.code == "missing_field" else "unknown_type")
    if isinstance(frame, (OperatorMessage, BroadcastMessage)) and frame.message.isspace():
        return Rejected("invalid_field", "message")
    return frame
