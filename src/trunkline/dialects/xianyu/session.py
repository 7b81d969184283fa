"""What the life of a 闲鱼 line is made of: kept state, legal moves, open requests, retry tables.

Source: xianyu 4, 5, 9
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import LinkState
from trunkline.dialects.xianyu.frames import make_mid
from trunkline.errors import LinkError, LinkLost, LinkRefused, LinkTimeout, TrunklineError
from trunkline.ids import Ids
from trunkline.wire.cookies import parse_cookies

TRANSITIONS: Final[Mapping[LinkState, frozenset[LinkState]]] = {
    LinkState.OPENING: frozenset({LinkState.READY, LinkState.CLOSED}),
    LinkState.READY: frozenset({LinkState.CLOSED}),
    LinkState.CLOSED: frozenset(),
}


# -- what survives -----------------------------------------------------------------------------


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an account needs again after a reconnect or a restart. Never logged.

    Args:
        me: the account's own id.
        device: the id of this device; the same in the token call and in `/reg`. Source: xianyu 2
        cookies: as the platform has renewed them.
        given: digest of the cookies that the owner gave; other ones win over `cookies`.
        token, token_ms, token_ttl_ms: the access token, when it came, how long it is good.
        pts: the largest sync position whose messages are stored, 0 = none yet. Source: xianyu 4
        last_ms: the time of the newest message that is stored.
        alive_ms: when the line last was connected for certain.
        refusals: registrations refused in a row.
        kicked: when other logins threw us out, at most three.
    """

    me: str = ""
    device: str = ""
    cookies: str = ""
    given: str = ""
    token: str = ""
    token_ms: int = 0
    token_ttl_ms: int = 0
    pts: int = 0
    last_ms: int = 0
    alive_ms: int = 0
    refusals: int = 0
    kicked: tuple[int, ...] = ()


SECRET_CHARS: Final = 12  # shorter cookie values are settings and dates; masking them hides words
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
    """Return what of a kept state logs anybody in: the token, and the cookies whole and singly."""
    kept = decode_kept(data)
    cookies = parse_cookies(kept.cookies)
    singly = [value for name, value in cookies.items() if name != "unb"]
    found = [kept.token, kept.cookies, *(one for one in singly if len(one) >= SECRET_CHARS)]
    return [one for one in found if one]


# -- open requests -----------------------------------------------------------------------------


class Pending(msgspec.Struct, frozen=True):
    """A request that has no answer yet.

    Args:
        purpose: who wants the answer.
        due_s: when it is given up.
        about: what the one who asked wants to have with it.
    """

    purpose: str
    due_s: float
    about: Any = None


class Requests:
    """Requests and their answers, matched by `mid`. Source: xianyu 2, 5"""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self.open: dict[str, Pending] = {}
        self._clock = clock
        self._ids = ids

    def begin(self, purpose: str, timeout_s: float, about: Any = None) -> str:
        """Note a request; return the `mid` to send it with."""
        mid = make_mid(self._clock, self._ids, self.open)
        due_s = self._clock.monotonic_s() + timeout_s
        self.open[mid.partition(" ")[0]] = Pending(purpose, due_s, about)
        return mid

    def end(self, key: str) -> Pending | None:
        """Take the request that an answer belongs to; None for a late or foreign one."""
        return self.open.pop(key, None) if key else None

    def overdue(self) -> list[Pending]:
        """Take those that nobody answers any more."""
        now_s = self._clock.monotonic_s()
        late = [key for key, pending in self.open.items() if pending.due_s <= now_s]
        return [self.open.pop(key) for key in late]

    def next_due_s(self) -> float | None:
        """Return when the first one is given up."""
        return min((pending.due_s for pending in self.open.values()), default=None)


# -- retry -------------------------------------------------------------------------------------

# step and ceiling in seconds, by class. Source: xianyu 9, guide 001
RETRY: Final[Mapping[str, tuple[float, float]]] = {
    "abrupt": (3.0, 15.0),
    "network": (10.0, 60.0),
    "other": (5.0, 30.0),
}
# What the supervisor says of a dial that did not succeed.
_SUPERVISOR: Final = {"unreachable": "network", "refused": "other", "lost": "abrupt"}
_NETWORK_WORDS: Final = (
    "connection refused", "timeout", "timed out", "name or service not known", "unreachable",
    "name resolution", "no route to host", "no connection to",
)  # fmt: skip


def delay_s(cause: str, nth: int) -> float:
    """Return how long to wait before the `nth` attempt in a row. Source: xianyu 9"""
    step_s, ceiling_s = RETRY.get(_SUPERVISOR.get(cause, cause), RETRY["other"])
    return min(step_s * max(nth, 1), ceiling_s)


def cause_of(error: TrunklineError) -> str:
    """Return the class of a link's end: by its type, else by its text. Source: xianyu 9"""
    if isinstance(error, LinkTimeout):
        return "network"
    if isinstance(error, LinkRefused):
        return "other"
    if isinstance(error, LinkLost):
        if error.code == 1006:
            return "abrupt"
        return "network" if error.code == 1011 and "pong" in error.reason else "other"
    return cause_of_text(str(error)) if isinstance(error, LinkError) else "other"


def cause_of_text(text: str) -> str:
    """Return the class of a foreign error by what it says. Source: xianyu 9 (retry_delay)"""
    if "no close frame received or sent" in text:
        return "abrupt"
    lower = text.lower()
    return "network" if any(word in lower for word in _NETWORK_WORDS) else "other"
