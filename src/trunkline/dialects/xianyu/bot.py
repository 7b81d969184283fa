"""An account: we dial the platform as the seller does, register, and keep the link alive.

Here is the life of the link: token, registration, position, heartbeat, and why it ends. What is
pushed is taken in `receiving`, what was missed is looked for in `lookback`, what leaves is in
`outgoing`. A reconnect resumes from the stored position; nothing ever jumps to "now" past messages
that were not seen. Source: xianyu 1 … 11
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from trunkline.dialects.contract import (
    Again,
    Ask,
    Changed,
    Effect,
    Effects,
    Fetched,
    Hangup,
    Keep,
    LinkInfo,
    LinkState,
    Noticed,
    Now,
    Opening,
    Park,
    Seat,
    Sharing,
    Tag,
    Transmit,
)
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.catchup import PURPOSE as CATCH_UP
from trunkline.dialects.xianyu.frames import Frame
from trunkline.dialects.xianyu.http import TokenFate
from trunkline.dialects.xianyu.lookback import LookBack
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.outgoing import (
    ACT_PURPOSE,
    CHAT_PURPOSE,
    SEND_PURPOSE,
    Outgoing,
)
from trunkline.dialects.xianyu.receiving import Receiving
from trunkline.dialects.xianyu.session import (
    Pending,
    Requests,
    cause_of,
    decode_kept,
    encode_kept,
)
from trunkline.dialects.xianyu.tokens import NEEDS_COOKIES, NEEDS_PERSON, Account
from trunkline.errors import LocalProtocolError, TrunklineError, WireMalformed
from trunkline.model.delivery import Delivery

# One answer that is lost ends nothing: the next beat leaves just when the time-out is reached.
DEAD_GRACE_S: Final = 1.0  # Source: xianyu 5 (heartbeat_scripts)
TOKEN_CHECK_S: Final = 60.0  # Source: xianyu 3 (refresh loop)
STATE_TIMEOUT_S: Final = 10.0  # Source: xianyu 4
_REG: Final = "reg"
_STATE: Final = "state"
_DIFF: Final = "diff"
_BEAT: Final = "beat"
_LOGIN: Final = "login"
_READY: Final = LinkState.READY


class AccountSession:
    """Our connection to the platform.

    Args:
        options: of the line.
        opening: clock and ids.
    """

    def __init__(self, options: XianyuOptions, opening: Opening) -> None:
        self.wake_at: float | None = None
        self._options = options
        self._clock = opening.clock
        self._ids = opening.ids
        self._state = LinkState.OPENING
        self._is_linked = False
        self._is_leaving = False
        self._requests = Requests(self._clock, self._ids)
        self._beat_at_s: float | None = None
        self._answered_s = 0.0
        self._pushed_s = 0.0
        self._token_at_s: float | None = None
        self._is_token_asked = False
        self._answers: dict[str, Callable[[Pending, Frame | None], list[Effect]]] = {
            _REG: self._on_reg,
            _STATE: self._on_state,
            _DIFF: self._on_diff,
            _BEAT: self._on_beat,
            CATCH_UP: lambda _asked, frame: self._on_catch_up(frame),
            SEND_PURPOSE: self._on_sent,
            CHAT_PURPOSE: lambda asked, frame: self._outgoing.made(asked.about, frame),
            ACT_PURPOSE: lambda _asked, _frame: list[Effect](),
        }
        self._begin(None)

    def _begin(self, kept: bytes | None) -> None:
        options, clock, ids = self._options, self._clock, self._ids
        self._account = Account(options, decode_kept(kept), clock, ids)
        self._outgoing = Outgoing(options, self._account, self._requests, clock, ids)
        self._receiving = Receiving(
            options=options,
            account=self._account,
            outgoing=self._outgoing,
            clock=clock,
            ids=ids,
            ask_state=self._ask_state_again,
            plan=self._plan,
        )
        self._lookback = LookBack(
            options=options,
            account=self._account,
            requests=self._requests,
            outgoing=self._outgoing,
            receiving=self._receiving,
            clock=clock,
        )

    # -- the nine verbs ----------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Dial, with the token that is kept; ask for one only when it must be."""
        self._begin(kept)
        if not self._account.me:
            return (Hangup(1000, "no cookies", Park(NEEDS_COOKIES)),)
        if self._account.is_token_old():
            return (self._keep(), self._ask_token())
        return (self._account.dial(),)

    def linked(self, info: LinkInfo) -> Effects:
        """Register. Nothing else is served before. Source: xianyu 4"""
        if self._is_linked or self._state is not LinkState.OPENING:
            raise LocalProtocolError("the session has had its link")
        self._is_linked = True
        kept, options = self._account.kept, self._options
        mid = self._requests.begin(_REG, options.register_timeout_s)
        self._plan()
        return (Transmit(frames.build_reg(kept.token, options.user_agent, kept.device, mid)),)

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one frame: an answer, a push, or neither. Source: xianyu 2"""
        if not self._is_linked or self._is_leaving:
            return ()
        if not is_text:
            return (Noticed("rejected:binary_frame", f"{len(data)} bytes"),)
        try:
            frame = frames.decode(data)
        except WireMalformed as error:
            return (Noticed(f"rejected:{error.reason}", f"{len(data)} bytes"),)
        pending = self._requests.end(frame.key) if not frame.is_push else None
        if pending is not None:
            effects = self._answers[pending.purpose](pending, frame)
            self._plan()
            return effects
        return self._unasked(frame, len(data))

    def _unasked(self, frame: Frame, size_bytes: int) -> Effects:
        if frame.code and frame.headers is not None:
            return ()  # a late answer
        if frame.lwp:
            return self._push(frame)
        return (Noticed("rejected:unsupported_frame", f"{size_bytes} bytes"),)

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Take the answer to a `Fetch`."""
        if tag != _LOGIN:
            what, job = tag
            effects = self._outgoing.fetched(what, job, answer)
        elif self._is_leaving or self._state is LinkState.CLOSED:
            return ()
        else:
            self._is_token_asked = False
            effects = self._on_token(answer)
        self._plan()
        return effects

    def stored(self, receipt: Any) -> Effects:
        """Acknowledge a push: everything in it is committed. Source: xianyu 5"""
        return (Transmit(receipt),) if not self._is_leaving else ()

    def send(self, delivery: Delivery) -> Effects:
        """Send, or put it behind what is being sent."""
        if self._state is not _READY or self._is_leaving:
            raise LocalProtocolError(f"the session is {self._state.value}, it cannot send")
        effects = self._outgoing.take(delivery)
        self._plan()
        return effects

    def tick(self) -> Effects:
        """Give up what has no answer, beat, and do what is due."""
        effects: list[Effect] = []
        for pending in self._requests.overdue():
            effects += self._answers[pending.purpose](pending, None)
        if not self._is_leaving and self._state is _READY:
            effects += self._tick_ready()
        self._plan()
        return effects

    def finish(self) -> Effects:
        """Go away. Source: xianyu 9 (stop)"""
        if self._state is LinkState.CLOSED:
            return ()
        return self._leave("stop", Again("other"))

    def lost(self, error: TrunklineError) -> Effects:
        """Settle what is pending, keep when we were last there, say why we come back."""
        effects: list[Effect] = [*self._outgoing.lost()]
        if self._state is _READY:
            effects.append(self._keep_alive())
        if self._state is not LinkState.CLOSED:
            self._state = LinkState.CLOSED
            effects.append(Changed(LinkState.CLOSED))
        self.wake_at = None
        if not self._is_leaving:
            effects.append(Hangup(1000, "", Again(cause_of(error))))
        return effects

    # -- token -------------------------------------------------------------------------------

    def _ask_token(self) -> Ask:
        self._is_token_asked = True
        return Ask(_LOGIN, self._account.build_token_call())

    def _on_token(self, answer: Fetched | TrunklineError) -> list[Effect]:
        if not isinstance(answer, Fetched):
            return self._token_failed(str(answer))
        told = self._account.take_token_answer(answer)
        match told.fate:
            case TokenFate.RESIGN:
                return [self._ask_token()]
            case TokenFate.OK if not self._is_linked:
                return [self._keep(), self._account.dial()]
            case TokenFate.OK:
                # A link keeps the login it began with: one with the old token goes deaf. Source:
                # xianyu 3 (refresh loop)
                return self._leave("token renewed", Now())
            case TokenFate.NEEDS_COOKIES | TokenFate.NEEDS_PERSON:
                is_over = told.fate is TokenFate.NEEDS_COOKIES
                park = Park(NEEDS_COOKIES if is_over else NEEDS_PERSON)
                return [self._keep(), *self._leave("login needs a person", park)]
            case TokenFate.NETWORK:
                return [self._keep(), *self._token_failed(told.detail)]

    def _token_failed(self, why: str) -> list[Effect]:
        notice = Noticed("token-unavailable", why[:200])
        if not self._is_linked:
            return [notice, *self._leave("no token", Again("network"))]
        self._token_at_s = self._clock.monotonic_s() + self._options.token_retry_s
        return [notice]

    # -- answers -----------------------------------------------------------------------------

    def _on_reg(self, _asked: Pending, frame: Frame | None) -> list[Effect]:
        if frame is None:
            return self._leave("no answer to /reg", Again("network"))
        if frame.code != 200:
            return self._refused(frame)
        account, now_ms = self._account, self._clock.now_ms()
        kept = account.kept
        before_ms = max(kept.alive_ms, min(kept.pts // 1000, now_ms))
        self._lookback.note_gap(before_ms, now_ms)
        is_fresh = now_ms - before_ms < self._options.resume_limit_s * 1000
        if kept.pts and is_fresh:
            self._lookback.note_resumed()
            return [*self._send_diff(frames.sync_position(kept.pts, now_ms)), *self._ready()]
        return self._ask_state()

    def _refused(self, frame: Frame) -> list[Effect]:
        """Tell a refused login from a full house. Source: xianyu 4"""
        said = frame.header_error
        words = ("invalid token", "not auth", "device id or appkey is not equal")
        notice = Noticed("register-refused", said or f"code {frame.code}")
        if frame.code != 401 and not any(word in said.lower() for word in words):
            return [notice, *self._leave("not registered", Again("other"))]
        must_park = self._account.refused()
        then = Park(NEEDS_COOKIES) if must_park else Again("other")
        return [notice, self._keep(), *self._leave("not registered", then)]

    def _ask_state(self) -> list[Effect]:
        if any(pending.purpose == _STATE for pending in self._requests.open.values()):
            return []
        mid = self._requests.begin(_STATE, STATE_TIMEOUT_S)
        return [Transmit(frames.build_request(frames.GET_STATE, [{"topic": "sync"}], mid))]

    def _ask_state_again(self) -> list[Effect]:
        """Ask because a push wants it; before the link is ready that is asked anyway."""
        if self._state is not _READY:
            return []
        effects = self._ask_state()
        self._plan()
        return effects

    def _on_state(self, _asked: Pending, frame: Frame | None) -> list[Effect]:
        """Adopt where the platform stands. Source: xianyu 4 (2, 3)"""
        body = frames.fields_of(frame.body) if frame is not None and frame.code in (0, 200) else {}
        effects: list[Effect] = []
        if "pts" in body:
            pts = frames.to_int(body["pts"]) or 0
            if not self._account.kept.pts:
                self._account.note(pts=pts)
            effects += self._send_diff(body)
        elif self._state is not _READY:
            now_ms = self._clock.now_ms()
            effects.append(Noticed("no-sync-state"))
            effects += self._send_diff(frames.sync_position(now_ms * 1000, now_ms))
        return effects if self._state is _READY else [*effects, *self._ready()]

    def _send_diff(self, position: frames.Fields) -> list[Effect]:
        mid = self._requests.begin(_DIFF, self._options.request_timeout_s)
        return [Transmit(frames.build_request(frames.ACK_DIFF, [position], mid))]

    def _on_diff(self, _asked: Pending, frame: Frame | None) -> list[Effect]:
        """Read a package that sits in the answer; an answer is never acknowledged."""
        return self._receiving.package(frame) if frame is not None else []

    def _on_sent(self, asked: Pending, frame: Frame | None) -> list[Effect]:
        job, nth = asked.about
        return self._outgoing.answered(job, nth, frame)

    def _on_beat(self, _asked: Pending, frame: Frame | None) -> list[Effect]:
        if frame is not None:
            self._answered_s = self._clock.monotonic_s()
        return []

    # -- ready -------------------------------------------------------------------------------

    def _ready(self) -> list[Effect]:
        """Be connected: registered, and the position is sent. Source: xianyu 4"""
        account, now_s = self._account, self._clock.monotonic_s()
        account.note(refusals=0)
        self._state = _READY
        self._answered_s = self._pushed_s = self._beat_at_s = now_s
        self._token_at_s = now_s + TOKEN_CHECK_S
        self._lookback.begin(now_s)
        seat = Seat(account.me, account.me, sharing=Sharing.REPLACE)
        return [Changed(_READY, seat), self._keep_alive(), *self._tick_ready()]

    def _tick_ready(self) -> list[Effect]:
        now_s = self._clock.monotonic_s()
        options = self._options
        if now_s - self._answered_s >= options.heartbeat_timeout_s + DEAD_GRACE_S:
            return self._leave("no answer to the heartbeat", Again("network"))
        effects: list[Effect] = []
        if self._beat_at_s is not None and now_s >= self._beat_at_s:
            self._beat_at_s = now_s + options.heartbeat_interval_s
            mid = self._requests.begin(_BEAT, options.heartbeat_timeout_s)
            effects.append(Transmit(frames.build_heartbeat(mid)))
        if self._token_at_s is not None and now_s >= self._token_at_s:
            self._token_at_s = now_s + TOKEN_CHECK_S
            if self._account.is_token_old() and not self._is_token_asked:
                effects.append(self._ask_token())
        if self._lookback.is_looking:
            effects += self._lookback.tick()
        elif options.quiet_check_s and now_s >= self._pushed_s + options.quiet_check_s:
            self._pushed_s = now_s
            effects.append(self._keep_alive())
            self._lookback.check(now_s)
        return effects + self._outgoing.work()

    def _on_catch_up(self, frame: Frame | None) -> list[Effect]:
        effects = self._lookback.take(frame)
        if self._lookback.is_deaf:
            effects += self._leave("deaf", Again("network"))
        return effects

    # -- pushes ------------------------------------------------------------------------------

    def _push(self, frame: Frame) -> list[Effect]:
        """Take a push; some end the link. Source: xianyu 5, 9"""
        self._pushed_s = self._clock.monotonic_s()
        effects = self._receiving.push(frame)
        if frame.lwp == frames.KICKOUT:
            must_park = self._account.kicked()
            then = Park(NEEDS_PERSON) if must_park else Again("other")
            effects += [Noticed("kicked-out"), self._keep(), *self._leave("kicked out", then)]
        elif frame.lwp == frames.SESSION_REMOVE:
            effects += [Noticed("session-removed"), *self._leave("removed", Again("other"))]
        return effects

    # -- inside ------------------------------------------------------------------------------

    def _keep(self) -> Keep:
        return Keep(encode_kept(self._account.kept))

    def _keep_alive(self) -> Keep:
        self._account.note(alive_ms=self._clock.now_ms())
        return self._keep()

    def _leave(self, reason: str, then: Again | Now | Park) -> list[Effect]:
        """Close; what is pending is settled in `lost`."""
        if self._is_leaving:
            return []
        self._is_leaving = True
        self.wake_at = None
        effects: list[Effect] = [*self._outgoing.lost()]
        if self._state is _READY:
            effects += [self._keep_alive(), Changed(LinkState.CLOSED)]
        self._state = LinkState.CLOSED
        return [*effects, Hangup(1000, reason, then)]

    def _plan(self) -> None:
        """Say when to be woken."""
        if self._is_leaving or self._state is LinkState.CLOSED:
            self.wake_at = None
            return
        times = [self._requests.next_due_s()]
        if self._state is _READY:
            options = self._options
            times += [
                self._beat_at_s,
                self._answered_s + options.heartbeat_timeout_s + DEAD_GRACE_S,
                self._token_at_s,
                self._outgoing.wake_at,
            ]
            if self._lookback.is_looking:
                times.append(self._lookback.wake_at)
            elif options.quiet_check_s:
                times.append(self._pushed_s + options.quiet_check_s)
        self.wake_at = min((at for at in times if at is not None), default=None)
