"""What the life of a Boss直聘 line is made of: kept state, legal moves, retry table.

Source: boss 3, 6.9
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from trunkline.dialects.contract import LinkState
from trunkline.wire.cookies import parse_cookies

TRANSITIONS: Final[Mapping[LinkState, frozenset[LinkState]]] = {
    LinkState.OPENING: frozenset({LinkState.READY, LinkState.CLOSED}),
    LinkState.READY: frozenset({LinkState.CLOSED}),
    LinkState.CLOSED: frozenset(),
}

SECRET_CHARS: Final = 12  # shorter cookie values are settings and dates; masking them hides words
CEILING_S: Final = 60.0
STABLE_S: Final = 30.0  # Source: boss 6.9 (4)
REPLACED: Final = "replaced"  # another login of the account; see `Kept.flaps`


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an account needs again after a reconnect or a restart. Never logged.

    Args:
        cookies: as the platform has renewed them.
        given: digest of the cookies that the owner gave; other ones win over `cookies`.
        uid: the account's own number, 0 = never logged in.
        mid: the highest server id whose message is stored: where delivery goes on. Source: boss 6.1
        sent_mid: the highest id that we gave a message of our own. Source: boss 3
        alive_ms: when the line last was connected for certain.
        refusals: logins refused in a row.
        flaps: when links ended right after the presence, at most three. Source: boss 6.9 (7)
        unclear: messages that were written and have no answer: delivery → our id. Kept only where
            they are sent again. Source: boss 6.2 (5)
        doubts: other messages of unknown fate, for which the history is looked through once: our
            id → chat.
        looked_ms: when was last looked into what the store says is unclear.
    """

    cookies: str = ""
    given: str = ""
    uid: int = 0
    mid: int = 0
    sent_mid: int = 0
    alive_ms: int = 0
    refusals: int = 0
    flaps: tuple[int, ...] = ()
    unclear: dict[str, int] = {}
    doubts: dict[str, str] = {}
    looked_ms: int = 0


_decoder = msgspec.json.Decoder(Kept)
_encode = msgspec.json.Encoder().encode


def encode_kept(kept: Kept) -> bytes:
    """Encode the kept state."""
    return _encode(kept)


def decode_kept(data: bytes | None) -> Kept:
    """Decode the kept state; what cannot be read is nothing."""
    if not data:
        return Kept()
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        return Kept()


def secrets_of(data: bytes) -> list[str]:
    """Return what of a kept state logs anybody in: the cookies, whole and singly."""
    kept = decode_kept(data)
    cookies = parse_cookies(kept.cookies)
    found = [kept.cookies, *(one for one in cookies.values() if len(one) >= SECRET_CHARS)]
    return [one for one in found if one]


def delay_s(cause: str, nth: int) -> float:
    """Return how long to wait before the `nth` attempt in a row: 1, 2, 4 … 60 s.

    Source: boss 6.9 (4, 7), guides 5
    """
    if cause == REPLACED:
        return CEILING_S
    return min(CEILING_S, 2.0 ** min(max(nth, 1) - 1, 6))
