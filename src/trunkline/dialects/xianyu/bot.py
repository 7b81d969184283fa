"""An account: we dial the platform as the seller does, register, and serve what buyers say.

Each push is acknowledged after its commit, never before, and the position to resume from moves in
that same commit. A reconnect resumes from the stored position; nothing ever jumps to "now" past
messages that were not seen. Source: xianyu 1 … 11
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from trunkline.dialects.contract import (
    Again,
    Ask,
    Changed,
    Dial,
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
    Received,
    Seat,
    Sharing,
    Tag,
    Transmit,
)
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.catchup import PURPOSE as CATCH_UP
from trunkline.dialects.xianyu.catchup import CatchUp
from trunkline.dialects.xianyu.entries import ChatEntry, Entry, OtherEntry, read
from trunkline.dialects.xianyu.frames import Frame
from trunkline.dialects.xianyu.http import ORIGIN, TokenFate
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.outgoing import (
    ACT_PURPOSE,
    CHAT_PURPOSE,
    SEND_PURPOSE,
    Outgoing,
)
from trunkline.dialects.xianyu.pushes import decode_entry, fingerprint, parse_package
from trunkline.dialects.xianyu.session import (
    Pending,
    Requests,
    cause_of,
    decode_kept,
    encode_kept,
)
from trunkline.dialects.xianyu.tokens import Account
from trunkline.dialects.xianyu.translate import to_event
from trunkline.errors import LocalProtocolError, TrunklineError, WireMalformed
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery
from trunkline.model.event import Fleeting, NoticeReceived

GAP_MS: Final = 5_000  # shorter ones need no look back. Source: xianyu 4 (5)
LIST_WAIT_S: Final = 3.0  # between `/reg` and the first list. Source: xianyu 8
# One answer that is lost ends nothing: the next beat leaves just when the time-out is reached.
DEAD_GRACE_S: Final = 1.0  # Source: xianyu 5 (heartbeat_scripts)
TOKEN_CHECK_S: Final = 60.0  # Source: xianyu 3 (refresh loop)
STATE_TIMEOUT_S: Final = 10.0  # Source: xianyu 4
SEEN_IDS: Final = 1024  # messages of this link, to tell a new one from one that came twice
NEEDS_COOKIES: Final = "needs_new_cookies: the login is over; give the account's cookies again"
NEEDS_PERSON: Final = (
    "needs_person: the platform asks for verification; do it in a browser, then give the cookies"
)
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
        self._account = Account(options, decode_kept(None), self._clock, self._ids)
        self._outgoing = self._make_outgoing()
        self._catch_up: CatchUp | None = None
        self._is_quiet_check = False
        self._is_resumed = False
        self._gap_ms: tuple[int, int] | None = None
        self._beat_at_s: float | None = None
        self._answered_s = 0.0
        self._pushed_s = 0.0
        self._token_at_s: float | None = None
        self._is_token_asked = False
        self._seen: deque[str] = deque(maxlen=SEEN_IDS)
        self._answers: dict[str, Callable[[Pending, Frame | None], list[Effect]]] = {
            _REG: self._on_reg,
            _STATE: self._on_state,
            _DIFF: self._on_diff,
            _BEAT: self._on_beat,
            CATCH_UP: self._on_catch_up,
            SEND_PURPOSE: self._on_sent,
            CHAT_PURPOSE: lambda asked, frame: self._outgoing.made(asked.about, frame),
            ACT_PURPOSE: lambda _asked, _frame: list[Effect](),
        }

    def _make_outgoing(self) -> Outgoing:
        return Outgoing(self._options, self._account, self._requests, self._clock, self._ids)

    # -- the nine verbs ----------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Dial, with the token that is kept; ask for one only when it must be."""
        self._account = Account(self._options, decode_kept(kept), self._clock, self._ids)
        self._outgoing = self._make_outgoing()
        if not self._account.me:
            return (Hangup(1000, "no cookies", Park(NEEDS_COOKIES)),)
        if self._account.is_token_old():
            return (self._keep(), self._ask_token())
        return (self._dial(),)

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

    def _dial(self) -> Dial:
        options = self._options
        headers = {
            "Cookie": self._account.kept.cookies,
            "Origin": ORIGIN,
            "User-Agent": options.user_agent,
            "Pragma": "no-cache",
            "Cache-Control": "no-cache",
            "Accept-Language": "zh-CN,zh;q=0.9",
            "Accept-Encoding": "gzip, deflate, br, zstd",
        }
        if options.bearer is not None:
            headers["Authorization"] = f"Bearer {options.bearer.get_secret_value()}"
        headers |= {name: value.get_secret_value() for name, value in options.headers.items()}
        return Dial(options.url, headers, None, options.max_message_bytes)

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
                return [self._keep(), self._dial()]
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
        if before_ms and now_ms - before_ms > GAP_MS:
            self._gap_ms = (before_ms, now_ms)
        is_fresh = now_ms - before_ms < self._options.resume_limit_s * 1000
        if kept.pts and is_fresh:
            self._is_resumed = True
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
        return self._take_package(frame) if frame is not None else []

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
        if self._gap_ms is not None:
            since_ms = account.kept.last_ms or self._gap_ms[0]
            self._look_back(since_ms, now_s + LIST_WAIT_S, is_quiet_check=False)
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
        if self._catch_up is not None:
            effects += self._catch_up.tick(options.request_timeout_s)
        elif options.quiet_check_s and now_s >= self._pushed_s + options.quiet_check_s:
            self._pushed_s = now_s
            effects.append(self._keep_alive())
            self._look_back(self._account.kept.last_ms, now_s, is_quiet_check=True)
        return effects + self._outgoing.work()

    def _look_back(self, since_ms: int, start_s: float, *, is_quiet_check: bool) -> None:
        self._is_quiet_check = is_quiet_check
        self._catch_up = CatchUp(
            self._requests, self._clock, self._account.me, since_ms=since_ms, start_s=start_s
        )

    def _on_catch_up(self, _asked: Pending, frame: Frame | None) -> list[Effect]:
        catch_up = self._catch_up
        if catch_up is None:
            return []
        found = catch_up.take(frame)
        for chat, partner in found.partners.items():
            self._outgoing.know(chat, partner)
        effects: list[Effect] = list(found.effects)
        missed = 0
        for entry in found.entries:
            is_seen = isinstance(entry, ChatEntry) and entry.pnm in self._seen
            missed += isinstance(entry, ChatEntry) and not is_seen and not entry.is_own
            if not is_seen:
                effects += self._take_entry(entry, "history")
        if found.entries:
            effects.append(self._keep())
        if not found.is_over:
            return [*effects, *catch_up.tick(self._options.request_timeout_s)]
        self._catch_up = None
        if not self._is_quiet_check:
            return effects + self._mark_gap(found.why)
        if missed:
            # Heartbeats are answered and nothing is delivered: the link is deaf. Source: xianyu 3
            effects.append(Noticed("deaf-link", f"{missed} messages had not been delivered"))
            effects += self._leave("deaf", Again("network"))
        return effects

    def _mark_gap(self, why: str) -> list[Effect]:
        """Say that something may be missing: neither resuming nor looking back helped."""
        if not why or self._gap_ms is None:
            return []
        first, last = self._gap_ms
        me = self._account.me
        data = {"from_ms": first, "to_ms": last, "why": why, "is_resumed": self._is_resumed}
        gap = NoticeReceived(
            Chat(me, "account", me),
            "gap",
            data=msgspec.json.encode(data),
            key=b"gap:%d" % first,
            at_ms=last,
        )
        return [Noticed("gap", why), Received(gap)]

    # -- pushes ------------------------------------------------------------------------------

    def _push(self, frame: Frame) -> list[Effect]:
        """Take a push: every entry in order, one acknowledgement. Source: xianyu 5, 6"""
        self._pushed_s = self._clock.monotonic_s()
        ack = frames.encode_ack(frame, self._clock, self._ids)
        effects = self._take_package(frame)
        if ack is not None:
            _acknowledge_with(effects, ack)
        if frame.lwp not in frames.PUSH_ROUTES:
            effects.append(Noticed("unknown-route", frame.lwp[:75]))
        if frame.lwp == frames.KICKOUT:
            must_park = self._account.kicked()
            then = Park(NEEDS_PERSON) if must_park else Again("other")
            effects += [Noticed("kicked-out"), self._keep(), *self._leave("kicked out", then)]
        elif frame.lwp == frames.SESSION_REMOVE:
            effects += [Noticed("session-removed"), *self._leave("removed", Again("other"))]
        return effects

    def _take_package(self, frame: Frame) -> list[Effect]:
        package = parse_package(frame)
        effects: list[Effect] = []
        for nth, raw in enumerate(package.entries):
            try:
                value = decode_entry(raw)
            except WireMalformed as error:
                effects.append(Noticed(f"rejected:{error.reason}", f"an entry, {fingerprint(raw)}"))
                continue
            entry = read(value, self._account.me)
            effects += self._take_entry(entry, f"{package.max_pts}.{nth}", raw)
        if package.max_pts > self._account.kept.pts:
            # In the same commit as the events: never ahead of what is stored. Source: xianyu 4 (1)
            self._account.note(pts=package.max_pts)
            if any(type(one) is Received for one in effects):
                effects.append(self._keep())
        if package.asks_for_state and self._state is _READY:
            effects += self._ask_state()
            self._plan()
        return effects

    def _take_entry(self, entry: Entry, place: str, raw: object = None) -> list[Effect]:
        account, now_ms = self._account, self._clock.now_ms()
        if entry.created_ms is not None and account.kept.last_ms < entry.created_ms <= now_ms:
            account.note(last_ms=entry.created_ms)
        if isinstance(entry, ChatEntry):
            if entry.pnm:
                self._seen.append(entry.pnm)
            if not entry.is_own:
                self._outgoing.know(entry.chat, entry.sender)
            elif (settled := self._outgoing.echo(entry)) is not None:
                self._plan()
                return settled
        elif isinstance(entry, OtherEntry) and entry.kind == "unknown":
            # What is kept of it holds no personal data. Source: xianyu 7.1, 7.2, 12
            return [Noticed("unknown-entry", f"{entry.reason}, {fingerprint(raw)}")]
        event = to_event(entry, account.me, place, now_ms, has_key=self._options.dedupe)
        return [Received(event)] if event is not None else []

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
            if self._catch_up is not None:
                times.append(self._catch_up.wake_at)
            elif options.quiet_check_s:
                times.append(self._pushed_s + options.quiet_check_s)
        self.wake_at = min((at for at in times if at is not None), default=None)


def _acknowledge_with(effects: list[Effect], ack: bytes) -> None:
    """Have the last event that is stored carry the acknowledgement; none is: it leaves now.

    Events are committed in order, so with the last one all are.
    """
    for nth in range(len(effects) - 1, -1, -1):
        effect = effects[nth]
        if type(effect) is Received and type(effect.event) is not Fleeting:
            effects[nth] = Received(effect.event, ack)
            return
    effects.append(Transmit(ack))
