"""maim_message over WebSocket: MaiBot's language, as core and as adapter.

Built: the classic raw line of the versions 0.2 … 0.6.8 and the API-Server line of 0.6, both on one
path. Recognised and refused with a sentence: Socket.IO (0.7). Source: maim 0
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from trunkline.dialects.contract import Admit, Dialect, Head, Opening, Refuse, Session
from trunkline.dialects.maim.api import ApiSession
from trunkline.dialects.maim.blocks import MAX_ID_CHARS
from trunkline.dialects.maim.bot import CoreSession, DeniedSession
from trunkline.dialects.maim.envelope import describe
from trunkline.dialects.maim.frames import is_frame
from trunkline.dialects.maim.identity import api_key_of, api_platform_of, is_api, platform_of, utf8
from trunkline.dialects.maim.options import MaimOptions
from trunkline.dialects.maim.platform import AdapterSession, delay_s
from trunkline.model.address import Chat
from trunkline.model.capability import Traits

SOCKETIO_TEXT: Final = (
    "this is maim-message 0.7 (Socket.IO); trunkline speaks the WebSocket frames of 0.6:"
    " install maim_message==0.6.8 on this side"
)


def admit(options: MaimOptions, head: Head) -> Admit | Refuse:
    """Decide on an upgrade: a wrong token or key is let in and closed 1008. Source: maim 0, 2.3"""
    if head.query.get("EIO") == "4":
        return Refuse(400, SOCKETIO_TEXT)
    is_wanted_api = is_api(head)
    platform = api_platform_of(head) if is_wanted_api else platform_of(head)
    if len(platform) > MAX_ID_CHARS:
        return Refuse(400, f"the platform has more than {MAX_ID_CHARS} characters")
    if is_wanted_api:
        # The line's token is the key. Source: maim 9.1, reliability 5
        kind = "api" if _is_one_of([utf8(api_key_of(head))], options.tokens) else "denied"
    else:
        kind = "core" if _is_one_of(_offers(head), options.tokens) else "denied"
    return Admit(kind, options.max_message_bytes)


def claims(head: Head) -> bool | None:
    """Say whether an upgrade on a path that is shared is a maim peer's.

    Its platform, a bare token and the API-Server's key are its own; a Bearer token may be
    anybody's, and a client of the default platform sends nothing. Source: guides 6, maim 2.2, 9.1
    """
    header = head.headers.get("authorization", "").strip()
    is_bare = bool(header) and " " not in header
    names = "platform" in head.headers or "platform" in head.query
    return True if is_bare or names or is_api(head) else None


def recognises(first: bytes) -> bool:
    """Say whether a peer's first message is a maim frame; a core never speaks first."""
    return is_frame(first)


def _offers(head: Head) -> list[bytes]:
    # Headers win; a browser can only set the query. Source: maim 2.2
    header = head.headers.get("authorization")
    given = utf8(head.query.get("token", "")) if header is None else _sent(header)
    offers = [given]
    if given[:7].lower() == b"bearer ":
        offers.append(given[7:].strip())
    return offers


def _is_one_of(offers: list[bytes], tokens: tuple[str, ...]) -> bool:
    # All pairs are compared, so the time does not tell which one was near.
    found = [compare_digest(offer, token.encode()) for offer in offers for token in tokens]
    return any(found) or not tokens


def _sent(header: str) -> bytes:
    """Return the bytes that a header value had on the wire."""
    try:
        return header.encode("latin-1")
    except UnicodeEncodeError:
        return utf8(header)


def open_session(options: MaimOptions, opening: Opening) -> Session:
    """Make the session of a link."""
    if opening.kind == "denied":
        return DeniedSession()
    is_adapter = opening.role == "adapter"
    classic = AdapterSession(options, opening) if is_adapter else CoreSession(options, opening)
    is_on_api = opening.kind == "api" or options.api
    return ApiSession(options, opening, classic) if is_on_api else classic


def seat_of(chat: Chat) -> str:
    """Return the seat of a chat: its platform."""
    return chat.account


def paths(options: MaimOptions) -> tuple[str, ...]:
    """Return the paths that a listening line serves."""
    return (options.path, *options.aliases)


MAIM: Final = Dialect(
    name="maim",
    options=MaimOptions,
    roles=("core", "adapter"),
    traits={"core": Traits(), "adapter": Traits()},  # reliability 1; see ApiSession
    admit=admit,
    open=open_session,
    seat_of=seat_of,
    delay_s=delay_s,
    describe=describe,
    paths=paths,
    listens=("core", "adapter"),
    dials=("adapter", "core"),
    kinds=("private", "group"),
    claims=claims,
    recognises=recognises,
)
