"""What both sessions of OneBot 11 share: states, dialling, the seat, patience with bad frames.

Who plays which side is `bot` (the framework) and `platform` (the implementation); who dials is an
option of either. A connection is universal, or one of a pair: `api` carries calls and responses,
`event` carries events. Source: onebot11 1, 3, 4
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from trunkline.dialects.contract import (
    Changed,
    Dial,
    Effect,
    Effects,
    Hangup,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Seat,
    Settled,
    Sharing,
    Tag,
)
from trunkline.dialects.onebot11.headers import EVENT, UNIVERSAL, dial_headers
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.errors import TrunklineError
from trunkline.model.delivery import Delivery, Outcome

MAX_BAD_FRAMES: Final = 100  # Source: onebot11 4
DUPLICATE: Final = "duplicate self_id"  # Source: onebot11 3.5
PROBE_S: Final = 1.0  # for the older connection to say that it is there. Source: onebot11 3.5
BAD_WINDOW_S: Final = 60.0
MAX_FRAME_BYTES: Final = 50 << 20  # what the strictest deployed implementation takes: onebot11 11.1
_HASHED_BYTES: Final = 1 << 20

TRANSITIONS: Final[Mapping[LinkState, frozenset[LinkState]]] = {
    LinkState.OPENING: frozenset({LinkState.READY, LinkState.CLOSED}),
    LinkState.READY: frozenset({LinkState.DEGRADED, LinkState.CLOSED}),
    LinkState.DEGRADED: frozenset({LinkState.READY, LinkState.CLOSED}),
    LinkState.CLOSED: frozenset(),
}


class OneBotSession(ABC):
    """One connection.

    Args:
        options: of the line.
        opening: clock, ids, and what the connection carries.
    """

    def __init__(self, options: OneBotOptions, opening: Opening) -> None:
        self.wake_at: float | None = None
        self._options = options
        self._clock = opening.clock
        self._ids = opening.ids
        self._kind = opening.kind or options.client_role
        self._state = LinkState.OPENING
        self._bad_since_s = 0.0
        self._bad = 0

    # -- verbs that are the same for both ----------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Dial, unless we are dialled. Nothing is kept between links."""
        options = self._options
        if options.link == "listen":
            return ()
        headers = dial_headers(options)
        return (Dial(options.url, headers, options.subprotocol or None, options.limit_bytes),)

    @abstractmethod
    def linked(self, info: LinkInfo) -> Effects:
        """The link is open."""

    @abstractmethod
    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one frame; JSON in a binary one is as good. Source: onebot11 4"""

    @abstractmethod
    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """What was asked came back."""

    @abstractmethod
    def stored(self, receipt: Any) -> Effects:
        """What was received is committed."""

    @abstractmethod
    def send(self, delivery: Delivery) -> Effects:
        """Send something."""

    @abstractmethod
    def tick(self) -> Effects:
        """A time has come."""

    def finish(self) -> Effects:
        """Go away. What is unanswered is settled when the link is gone. Source: onebot11 3.6"""
        return self._close(1001, "going away")

    @abstractmethod
    def lost(self, error: TrunklineError) -> Effects:
        """The link died."""

    # -- inside ------------------------------------------------------------------------------

    def _move(self, state: LinkState, seat: Seat | None = None) -> Changed:
        assert state in TRANSITIONS[self._state], f"{self._state} → {state}"  # noqa: S101 - ours
        self._state = state
        return Changed(state, seat)

    def _close(self, code: int, reason: str) -> Effects:
        """Close the link, once."""
        if self._state is LinkState.CLOSED:
            return ()
        self.wake_at = None
        return (self._move(LinkState.CLOSED), Hangup(code, reason))

    def _seat(self, account: str, *, is_shared: bool, is_sending: bool) -> Seat:
        """Return the seat of this link.

        A universal connection replaces whatever sat there; of a pair each replaces its own kind.
        Source: onebot11 3.5

        Args:
            is_shared: several peers hear the same (an implementation that listens).
            is_sending: whether deliveries may go over this link.
        """
        if is_shared:
            return Seat(account, account, is_sending, Sharing.JOIN)
        options = self._options
        is_whole = self._kind == UNIVERSAL
        how, kind = (Sharing.REPLACE, "") if is_whole else (Sharing.EACH, self._kind)
        if options.duplicate == "replace" or options.link != "listen":
            return Seat(account, account, is_sending, how, link_id=kind)
        probe_s = PROBE_S if options.duplicate == "probe" else 0.0
        return Seat(
            account, account, is_sending, how, link_id=kind, refusal=DUPLICATE, probe_s=probe_s
        )

    @property
    def _has_events(self) -> bool:
        return self._kind in (UNIVERSAL, EVENT)

    def _refuse_frame(self, reason: str, data: bytes) -> list[Effect]:
        """Drop and count a bad frame; more than 100 within 60 s close. Source: onebot11 4"""
        now_s = self._clock.monotonic_s()
        if now_s - self._bad_since_s >= BAD_WINDOW_S:
            self._bad_since_s, self._bad = now_s, 0
        self._bad += 1
        noticed: list[Effect] = [Noticed(f"rejected:{reason}", fingerprint(data))]
        if self._bad > MAX_BAD_FRAMES:
            noticed += self._close(1008, "too many bad frames")
        return noticed

    def _wake(self, at_s: float) -> None:
        """Be woken at this second at the latest."""
        if self.wake_at is None or at_s < self.wake_at:
            self.wake_at = at_s


def fingerprint(data: bytes) -> str:
    """Return what may be logged of a refused frame: its size and a hash of its first MiB."""
    return f"{len(data)} bytes, sha256 {sha256(data[:_HASHED_BYTES]).hexdigest()[:12]}"


def refused(delivery: Delivery, why: str) -> Effects:
    """Settle a delivery that cannot be sent at all."""
    return (Settled(delivery.id, Outcome.REFUSED, detail=why),)
