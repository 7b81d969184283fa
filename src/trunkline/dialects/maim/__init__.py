"""maim_message over WebSocket: MaiBot's language, as core and as adapter, classic frames.

Built: the classic raw line of the versions 0.2 … 0.6.8. Recognised and refused with a sentence:
the API-Server line and Socket.IO (0.7). Source: maim 0
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from trunkline.dialects.contract import Admit, Dialect, Head, Opening, Refuse, Session
from trunkline.dialects.maim.blocks import MAX_ID_CHARS
from trunkline.dialects.maim.bot import CoreSession, DeniedSession
from trunkline.dialects.maim.frames import describe
from trunkline.dialects.maim.identity import platform_of
from trunkline.dialects.maim.options import MaimOptions
from trunkline.dialects.maim.platform import AdapterSession, delay_s
from trunkline.model.address import Chat
from trunkline.model.capability import Traits

SOCKETIO_TEXT: Final = (
    "this is maim-message 0.7 (Socket.IO); trunkline speaks the WebSocket frames of 0.6:"
    " install maim_message==0.6.8 on this side"
)
API_SERVER_TEXT: Final = (
    "the API-Server line (api_key, x-apikey) is not built yet;"
    " connect without them, with the headers platform and authorization"
)


def admit(options: MaimOptions, head: Head) -> Admit | Refuse:
    """Decide on an upgrade: a wrong token is let in and closed 1008. Source: maim 0, 2.3"""
    if head.query.get("EIO") == "4":
        return Refuse(400, SOCKETIO_TEXT)
    if "api_key" in head.query or "x-apikey" in head.headers:
        return Refuse(501, API_SERVER_TEXT)
    if len(platform_of(head)) > MAX_ID_CHARS:
        return Refuse(400, f"the platform has more than {MAX_ID_CHARS} characters")
    kind = "core" if _is_let_in(options, head) else "denied"
    return Admit(kind, options.max_message_bytes)


def _is_let_in(options: MaimOptions, head: Head) -> bool:
    tokens = options.tokens
    if not tokens:
        return True
    # Headers win; a browser can only set the query. Source: maim 2.2
    header = head.headers.get("authorization")
    given = _utf8(head.query.get("token", "")) if header is None else _sent(header)
    offers = [given]
    if given[:7].lower() == b"bearer ":
        offers.append(given[7:].strip())
    # All pairs are compared, so the time does not tell which one was near.
    found = [compare_digest(offer, token.encode()) for offer in offers for token in tokens]
    return any(found)


def _sent(header: str) -> bytes:
    """Return the bytes that a header value had on the wire."""
    try:
        return header.encode("latin-1")
    except UnicodeEncodeError:
        return _utf8(header)


def _utf8(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def open_session(options: MaimOptions, opening: Opening) -> Session:
    """Make the session of a link."""
    if opening.role == "adapter":
        return AdapterSession(options, opening)
    if opening.kind == "denied":
        return DeniedSession()
    return CoreSession(options, opening)


def seat_of(chat: Chat) -> str:
    """Return the seat of a chat: its platform."""
    return chat.account


def paths(options: MaimOptions) -> tuple[str, ...]:
    """Return the paths that a core serves."""
    return (options.path, *options.aliases)


MAIM: Final = Dialect(
    name="maim",
    options=MaimOptions,
    roles=("core", "adapter"),
    traits={"core": Traits(), "adapter": Traits()},  # reliability 1: none of them
    admit=admit,
    open=open_session,
    seat_of=seat_of,
    delay_s=delay_s,
    describe=describe,
    paths=paths,
    listens=("core",),
    dials=("adapter",),
    kinds=("private", "group"),
)
