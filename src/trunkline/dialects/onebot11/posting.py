"""The implementation that posts its events: no connection, one request for each, in order.

Who is told is the same, so `platform` does the work; here its events become requests and what comes
back settles them. A quick operation in an answer is done as the action it stands for. While the
receiver is away or refuses the signature, nothing is posted but a heartbeat that asks for it, and
what is to be told waits. Source: onebot11 1.5, 9

Bound: 1,000 events in work or waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects.contract import (
    Ask,
    Changed,
    Dial,
    Effect,
    Effects,
    Fetch,
    Fetched,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Settled,
    Tag,
    Transmit,
)
from trunkline.dialects.onebot11.actions import QUICK
from trunkline.dialects.onebot11.events import complete_event, encode_heartbeat
from trunkline.dialects.onebot11.headers import UNIVERSAL, dial_headers
from trunkline.dialects.onebot11.http import sign
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.dialects.onebot11.platform import ImplementationSession
from trunkline.errors import LinkLost, LinkTimeout, TrunklineError
from trunkline.model.delivery import Delivery, Outcome, Tell
from trunkline.wire import jsonwire

POST_S: Final = 5.0  # Source: onebot11 1.5
PROBE_S: Final = 5.0  # while the receiver is away. Source: onebot11 3.4
LEAVE_S: Final = 5.0  # what is under way is waited for so long. Source: onebot11 3.6
FULL_WAIT_S: Final = 1.0
MAX_EVENTS: Final = 1000
MAX_ANSWER_BYTES: Final = 1 << 20
# Nothing was done about the event, and it may be later: a proxy, a limit, a wrong secret.
_AWAY: Final = frozenset({401, 403, 404, 405, 429, 502, 503, 504})
_LOST_ON_THE_WAY: Final = "the call failed: "  # how a call is told that broke off …
_NOT_OPENED: Final = "ConnectError"  # … unless there was no connection to begin with
_LIFECYCLE: Final = {
    "post_type": "meta_event", "meta_event_type": "lifecycle", "sub_type": "enable",
}  # fmt: skip

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class _Post(msgspec.Struct, frozen=True, gc=False):
    """One event. `settled`: what its delivery is when it arrived; None = nobody waits for that."""

    body: bytes
    settled: Settled | None = None


class PostingSession:
    """Events of one account, to one address.

    Args:
        options: of the line.
        opening: clock and ids.
    """

    def __init__(self, options: OneBotOptions, opening: Opening) -> None:
        self.wake_at: float | None = None
        self._options = options
        self._clock = opening.clock
        self._inner = ImplementationSession(
            options, msgspec.structs.replace(opening, kind=UNIVERSAL)
        )
        self._state = LinkState.OPENING
        self._flying: _Post | None = None
        self._nth = 0
        self._waiting: deque[_Post] = deque()
        self._probe_at_s: float | None = None
        self._leave_by_s: float | None = None

    # -- life --------------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Begin; nothing is opened."""
        del kept
        return (Dial(self._options.url, is_request=True),)

    def linked(self, info: LinkInfo) -> Effects:
        """Tell that the account is there; `connect` is for connections. Source: onebot11 1.5"""
        # What the platform says first is the connect event, and READY with the seat.
        ready = [one for one in self._inner.linked(info) if type(one) is not Transmit]
        self._state = LinkState.READY
        now_ms = self._clock.now_ms()
        enabled = complete_event(_LIFECYCLE, self._options.self_id, now_ms)
        return self._said([*ready, *self._post(_Post(enabled))])

    def finish(self) -> Effects:
        """Post nothing more; what is under way is waited for."""
        if self._flying is None or self._state is LinkState.CLOSED:
            return self._leave()
        self._leave_by_s = self._clock.monotonic_s() + LEAVE_S
        return self._said([])

    def _leave(self) -> Effects:
        self._state = LinkState.CLOSED
        return self._said([*self._drain(), *self._inner.finish()])

    def tick(self) -> Effects:
        """Send a heartbeat, ask whether the receiver is back, or leave."""
        now_s = self._clock.monotonic_s()
        if self.wake_at is None or now_s < self.wake_at:
            return ()
        if self._leave_by_s is not None and now_s >= self._leave_by_s:
            self._leave_by_s = None
            return self._leave()
        effects: list[Effect] = []
        if self._probe_at_s is not None and now_s >= self._probe_at_s:
            self._probe_at_s = None
            interval_ms = round(self._options.heartbeat_interval_s * 1000)
            account, now_ms = self._options.self_id, self._clock.now_ms()
            effects += self._post(_Post(encode_heartbeat(account, now_ms, interval_ms)))
        for one in self._inner.tick():
            if type(one) is not Transmit:
                effects.append(one)
            elif self._state is LinkState.READY:
                effects += self._post(_Post(one.data))
        return self._said(effects)

    def lost(self, error: TrunklineError) -> Effects:
        """End: what was not posted may be later."""
        self._state = LinkState.CLOSED
        self._flying = None
        effects = [*self._drain(), *self._inner.lost(error)]
        self.wake_at = None
        return effects

    def _said(self, effects: Sequence[Effect]) -> Effects:
        due = (self._inner.wake_at, self._probe_at_s, self._leave_by_s)
        self.wake_at = min((at_s for at_s in due if at_s is not None), default=None)
        return effects

    # -- posting -----------------------------------------------------------------------------

    def send(self, delivery: Delivery) -> Effects:
        """Post an event, after those before it."""
        is_full = len(self._waiting) >= MAX_EVENTS
        if is_full or self._state is not LinkState.READY or self._leave_by_s is not None:
            return (Settled(delivery.id, Outcome.LATER, wait_s=FULL_WAIT_S),)
        effects = self._inner.send(delivery)
        told, settled = effects[0], effects[-1]
        if type(told) is not Transmit or type(settled) is not Settled:
            return effects
        return self._post(_Post(told.data, None if type(delivery.what) is Tell else settled))

    def _report(self, effects: Effects) -> list[Effect]:
        """Post what the account said itself; where that cannot be now, nobody hears of it."""
        posted: list[Effect] = []
        for one in effects:
            if type(one) is not Transmit:
                posted.append(one)
            elif self._state is LinkState.READY and len(self._waiting) < MAX_EVENTS:
                posted += self._post(_Post(one.data))
        return posted

    def _post(self, post: _Post) -> list[Effect]:
        if self._flying is not None:
            self._waiting.append(post)
            return []
        self._flying = post
        self._nth += 1
        return [Ask(("post", self._nth), self._build_post(post.body))]

    def _build_post(self, body: bytes) -> Fetch:
        options = self._options
        headers = dial_headers(options)
        del headers["X-Client-Role"]  # of connections
        headers["Content-Type"] = "application/json"
        if options.secret is not None:
            headers["X-Signature"] = sign(options.secret.get_secret_value(), body)
        return Fetch("POST", options.url, headers, body, POST_S, MAX_ANSWER_BYTES)

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Take what became of a request, or an answer that the platform waits for."""
        if type(tag) is not tuple:
            return self._said(self._report(self._inner.answered(tag, answer)))
        post, self._flying = self._flying, None
        if post is None:
            return ()
        effects = self._settle(post, answer)
        if isinstance(answer, LinkLost):
            return effects  # `lost` follows
        if self._leave_by_s is not None:
            self._leave_by_s = None
            return [*effects, *self._leave()]
        if self._waiting:
            effects += self._post(self._waiting.popleft())
        return self._said(effects)

    def _settle(self, post: _Post, answer: Any | TrunklineError) -> list[Effect]:
        if isinstance(answer, Fetched) and answer.status not in _AWAY:
            if 200 <= answer.status < 300:
                return [*self._arrived(post), *self._operate(post, answer.body)]
            return _settled(post, Outcome.REFUSED, f"HTTP {answer.status}")
        why = f"HTTP {answer.status}" if isinstance(answer, Fetched) else str(answer)
        is_broken = why.startswith(_LOST_ON_THE_WAY) and not why.endswith(_NOT_OPENED)
        if is_broken or isinstance(answer, LinkTimeout | LinkLost):
            told = _settled(post, Outcome.UNCERTAIN, why)
        else:
            told = _settled(post, Outcome.LATER, why)
        return [*told, *([] if isinstance(answer, LinkLost) else self._away(why))]

    def _arrived(self, post: _Post) -> list[Effect]:
        effects: list[Effect] = []
        if post.settled is not None:
            effects.append(msgspec.structs.replace(post.settled, outcome=Outcome.CONFIRMED))
        if self._state is LinkState.DEGRADED:
            self._state = LinkState.READY
            effects.append(Changed(LinkState.READY))
        return effects

    def _away(self, why: str) -> list[Effect]:
        """Post no more until the receiver is back."""
        self._probe_at_s = self._clock.monotonic_s() + PROBE_S
        effects: list[Effect] = self._drain()
        if self._state is LinkState.READY:
            self._state = LinkState.DEGRADED
            effects += [Changed(LinkState.DEGRADED), Noticed("peer-error", f"post: {why}")]
        return effects

    def _drain(self) -> list[Effect]:
        waiting, self._waiting = self._waiting, deque()
        return [one for post in waiting for one in _settled(post, Outcome.LATER, "")]

    # -- quick operations ----------------------------------------------------------------------

    def _operate(self, post: _Post, body: bytes) -> Effects:
        """Do what the receiver answered; anything but an object is nothing. Source: onebot11 9"""
        if not body.strip():
            return ()
        try:
            operation = _decode(body)
        except msgspec.DecodeError:
            return (Noticed("rejected:not_object", f"{len(body)} bytes answer an event"),)
        params = {"context": _decode(post.body), "operation": operation}
        # In the background: then nothing but events is written later. Source: onebot11 7.3
        call = jsonwire.encode({"action": f"{QUICK}_async", "params": params})
        return _without_responses(self._inner.receive(call, is_text=True))

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Read nothing: there is no connection."""
        return ()

    def stored(self, receipt: Any) -> Effects:
        """What a quick operation said is committed."""
        return self._said(self._report(self._inner.stored(receipt)))


def _without_responses(effects: Effects) -> list[Effect]:
    """Leave out what a connection would be answered: nobody asked here."""
    return [one for one in effects if type(one) is not Transmit]


def _settled(post: _Post, outcome: Outcome, why: str) -> list[Effect]:
    if post.settled is None:
        return []
    wait_s = PROBE_S if outcome is Outcome.LATER else 0.0
    return [Settled(post.settled.delivery_id, outcome, detail=why, wait_s=wait_s)]
