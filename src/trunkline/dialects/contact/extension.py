"""Frames that only clients see which opted in (`contact 9.1`, `9.2`), and the words of operators.

A plain client never receives one of these, and one that it sends is refused like any unknown type.
`frames` decodes them; nothing here knows a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

import msgspec

# What we grant of what a client asks for. `status` and `unread` have no source in this house:
# they are not granted, and a client then shows nothing of the kind (contact 9).
FEATURES: Final = ("session", "history", "typing", "read")
MAX_FEATURES: Final = 32
MAX_PAGE: Final = 100  # Source: contact 9.1

Ident: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Feature: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
_Features: TypeAlias = Annotated[tuple[_Feature, ...], msgspec.Meta(max_length=MAX_FEATURES)]


# -- client → server ------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="type", omit_defaults=True):
    """The first frame of a client that opts in.

    Args:
        features: asked for; None = all there are.
        session_token, last_message_id: as in `Resume`, which saves a round trip.
    """

    v: int = 2
    features: _Features | None = None
    session_token: Ident | None = None
    last_message_id: Ident | None = None


class Resume(msgspec.Struct, frozen=True, tag="resume", tag_field="type", omit_defaults=True):
    """The first frame (or the first after `hello`) of a client that was here before."""

    session_token: Ident
    last_message_id: Ident | None = None


class HistoryRequest(
    msgspec.Struct, frozen=True, tag="history_request", tag_field="type", omit_defaults=True
):
    """Pages back. Without `before` it asks for the newest."""

    before: Ident | None = None
    limit: int = 50


class Typing(msgspec.Struct, frozen=True, tag="typing", tag_field="type"):
    """Whether the visitor types. Whoever is told forgets it after 6 s (`contact 9.2`)."""

    active: bool


class Read(msgspec.Struct, frozen=True, tag="read", tag_field="type"):
    """Everything up to this message is read."""

    message_id: Ident


Extension: TypeAlias = Hello | Resume | HistoryRequest | Typing | Read
EXTENSION_TYPES: Final = frozenset({"hello", "resume", "history_request", "typing", "read"})


# -- server → client ------------------------------------------------------------------------


class HelloAck(msgspec.Struct, frozen=True, tag="hello_ack", tag_field="type", omit_defaults=True):
    """The answer to `hello` and `resume`.

    Args:
        session_token: the secret; only its hash is ever stored.
        resumed: None without the feature `session`.
        heartbeat_interval: seconds between two application pings of a browser.
    """

    timestamp: str
    features: tuple[str, ...]
    limits: Mapping[str, int] = {}
    client_id: str = ""
    session_id: str = ""
    session_token: str = ""
    resumed: bool | None = None
    heartbeat_interval: float = 0.0


class ItemOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a history.

    Args:
        seq: orders the items of a chat; exact in a JavaScript number.
        kind: `contact_request` when the visitor's words came as one.
    """

    message_id: str
    sender: str
    message: str
    timestamp: str
    seq: int
    sender_name: str = ""
    in_reply_to: str = ""
    client_message_id: str = ""
    kind: str = ""


class HistoryOut(msgspec.Struct, frozen=True, tag="history", tag_field="type", omit_defaults=True):
    """A piece of the chat's history, oldest first.

    Args:
        has_more: between these and what the client has, or before them, there is more.
        before: as the request said it; absent after a resume.
        session_id: for operators.
    """

    messages: tuple[ItemOut, ...]
    has_more: bool
    timestamp: str
    before: str = ""
    session_id: str = ""


class TypingOut(msgspec.Struct, frozen=True, tag="typing", tag_field="type", omit_defaults=True):
    """Somebody types, or no longer."""

    active: bool
    sender: str
    timestamp: str
    session_id: str = ""


class ReadOut(msgspec.Struct, frozen=True, tag="read", tag_field="type", omit_defaults=True):
    """Somebody read everything up to this message."""

    message_id: str
    sender: str
    timestamp: str
    session_id: str = ""


class Joined(
    msgspec.Struct, frozen=True, tag="operator_joined", tag_field="type", omit_defaults=True
):
    """A person has the chat now: no automatic answers."""

    name: str
    timestamp: str
    session_id: str = ""


class Left(msgspec.Struct, frozen=True, tag="operator_left", tag_field="type", omit_defaults=True):
    """The assistant has the chat again."""

    timestamp: str
    name: str = ""
    reason: str = ""
    session_id: str = ""
