"""How a visitor opts in, and what its session is called (`contact 9`, `9.1`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from uuid import UUID

from trunkline.dialects.contact.extension import FEATURES, MAX_FEATURES, Hello

_TOKEN = re.compile(r"[0-9a-f]{32}")


def is_token(text: str) -> bool:
    """Whether this has the form of a session token: 128 bits as 32 hexadecimal digits."""
    return _TOKEN.fullmatch(text) is not None


def derive_session_id(token: str) -> str:
    """Derive the public id of a session, a UUID of version 8, from its secret token."""
    digest = bytearray(sha256(token.encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def grant(asked: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return what we grant of the features asked for; None asks for all.

    Without a session there is no history: nothing of the visitor outlives the link.
    """
    if asked is None:
        return FEATURES
    has_session = "session" in asked
    return tuple(name for name in FEATURES if name in asked and (has_session or name != "history"))


def read_query(query: Mapping[str, str]) -> Hello | None:
    """Read the opt-in of a query, `?v=2` or `?features=a,b`; None for a plain client."""
    asked = query.get("features")
    version = query.get("v", "")
    if asked is None and not (version.isdecimal() and len(version) < 4 and int(version) >= 2):
        return None
    names = None if asked is None else tuple(asked.split(",", MAX_FEATURES)[:MAX_FEATURES])
    return Hello(2, names, query.get("session"), query.get("last_message_id"))
