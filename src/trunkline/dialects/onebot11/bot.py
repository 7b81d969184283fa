"""The framework: hears events of an account and asks for actions.

Listening, it wants the connect event within a second; dialling, it asks who it talks to when
nothing tells. A delivery is settled by the response to its call; heartbeats that stay away make the
line degraded, then end the link. Source: onebot11 3, 7, guides 4
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.contract import (
    Changed,
    Effect,
    Effects,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Received,
    Settled,
    Tag,
    Transmit,
)
from trunkline.dialects.onebot11.asking import act, say, settle, settle_done
from trunkline.dialects.onebot11.calls import encode_call
from trunkline.dialects.onebot11.events import is_own, to_event, to_message
from trunkline.dialects.onebot11.frames import FAULTS, MAX_DEPTH, decode, decode_response
from trunkline.dialects.onebot11.greeting import Faulty, read_greeting
from trunkline.dialects.onebot11.headers import API, EVENT, self_id_of
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.dialects.onebot11.ordinary import decode as decode_ordinary
from trunkline.dialects.onebot11.ordinary import encode_text, is_done
from trunkline.dialects.onebot11.ordinary import to_message as ordinary_message
from trunkline.dialects.onebot11.pending import Calls, Pending
from trunkline.dialects.onebot11.segments import to_word
from trunkline.dialects.onebot11.session import (
    MAX_FRAME_BYTES,
    OneBotSession,
    fingerprint,
    refused,
)
from trunkline.dialects.onebot11.shapes import HEARTBEAT, EventFrame, Heard, MessageFrame, Response
from trunkline.errors import LocalProtocolError, TrunklineError, WireMalformed
from trunkline.model.delivery import Act, Delivery, Outcome, Say
from trunkline.wire.jsonwire import check_depth_of as check_depth

LOGIN: Final = "login"  # echo of the question who it is
LOGIN_S: Final = 1.0  # an event tells sooner than a question
FULL_WAIT_S: Final = 1.0
MISSED: Final = 2.0  # intervals without a sign of life until a line is degraded …
DEAD: Final = 3.0  # … and until it is given up, but never before 10 s. Source: onebot11 3.3
DEAD_MIN_S: Final = 10.0
TOKEN_CODES: Final = frozenset({1401, 1403})  # Source: onebot11 2

NOT_DEEP_BYTES: Final = 2 * MAX_DEPTH  # each bracket is closed in what the short way takes

_READY: Final = LinkState.READY


class _LoginData(msgspec.Struct, frozen=True, gc=False):
    user_id: int | str | None = None


_decode_login = msgspec.json.Decoder(_LoginData).decode


class FrameworkSession(OneBotSession):
    """One connection of an implementation.

    Args:
        options: of the line.
        opening: clock and ids.
    """

    def __init__(self, options: OneBotOptions, opening: Opening) -> None:
        super().__init__(options, opening)
        self._account = ""
        self._is_dialled = False
        self._calls = Calls(options.api_timeout_s)
        self._greet_by_s: float | None = None
        self._heard_s = 0.0
        self._interval_s = 0.0  # as announced last, 0 = no heartbeats
        self._is_offline = False
        self._warned: set[str] = set()
        self._as_text = options.message_format == "string"

    # -- opening -----------------------------------------------------------------------------

    def linked(self, info: LinkInfo) -> Effects:
        """Wait for the connect event, or take the seat where none comes. Source: onebot11 3.1"""
        if self._state is not LinkState.OPENING:
            raise LocalProtocolError("linked twice")
        now_s = self._heard_s = self._clock.monotonic_s()
        self._is_dialled = info.is_dialled
        if self._is_dialled:
            if self._kind == API:
                return (self._ask_login(),)
            if self._kind != EVENT:
                self._greet_by_s = now_s + LOGIN_S
        else:
            self._account = self_id_of(info.head)
            if self._kind == API and not self._account:
                return self._close(1008, "X-Self-ID is required on an API connection")
            is_off = self._options.handshake == "off"
            if self._account and (self._kind == API or is_off):
                return (self._take_seat(),)
            if not is_off and self._options.handshake_timeout_s:
                self._greet_by_s = now_s + self._options.handshake_timeout_s
        if self._greet_by_s is not None:
            self._wake(self._greet_by_s)
        return ()

    def _ask_login(self) -> Transmit:
        self._greet_by_s = None
        return Transmit(encode_call("get_login_info", {}, LOGIN))

    def _take_seat(self) -> Changed:
        self._greet_by_s = None
        seat = self._seat(self._account, is_shared=False, is_sending=self._kind != EVENT)
        return self._move(LinkState.READY, seat)

    def _greet(self, data: bytes) -> Effects:
        """Take the first frame. Source: onebot11 3.1"""
        mode = "off" if self._is_dialled else self._options.handshake
        greeting = read_greeting(data, mode, self._account)
        if type(greeting) is Faulty:
            if mode == "off":
                return self._refuse_frame(greeting.reason, data)
            noticed = Noticed(f"rejected:{greeting.reason}", fingerprint(data))
            return (noticed, *self._close(greeting.code, greeting.text))
        if type(greeting) is Response:
            return self._hear_login(greeting)
        self._account = greeting.self_id
        return (self._take_seat(), *self._hear(greeting, data))

    def _hear_login(self, response: Response) -> Effects:
        if not response.is_ok or response.echo != LOGIN:
            return self._hear_response(response)
        try:
            account = to_word(_decode_login(response.data).user_id)
        except msgspec.DecodeError:
            account = ""
        if not account or account == "0":
            return (Noticed("unexpected-response", "get_login_info tells no user_id"),)
        self._account = account
        return (self._take_seat(),)

    # -- hearing -----------------------------------------------------------------------------

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one frame. A bad one is dropped and counted, the link stays. Source: onebot11 4"""
        state = self._state
        if state is LinkState.CLOSED:
            return ()
        self._heard_s = self._clock.monotonic_s()
        try:
            if state is _READY:
                return self._hear_ordinary(data) or self._hear(self._decode(data), data)
            if state is LinkState.OPENING and self._kind != API:
                return self._greet(data)
            frame = self._decode(data)
        except WireMalformed as error:
            return self._refuse_frame(error.reason, data)
        if state is LinkState.OPENING and type(frame) is Response:
            return self._hear_login(frame)
        moved = () if self._is_offline else (self._move(LinkState.READY),)
        return (*moved, *self._hear(frame, data))

    def _decode(self, data: bytes) -> Heard:
        return decode(data, self._account) if self._kind != API else decode_response(data)

    def _hear_ordinary(self, data: bytes) -> Effects | None:
        """Take what nearly every frame is; None = the rules have to be asked."""
        if len(data) > NOT_DEEP_BYTES:
            check_depth(data)
        try:
            wire = decode_ordinary(data)
        except FAULTS:
            return None
        if wire.post_type == "message":
            if self._kind == API:
                return None
            event = ordinary_message(wire, self._account, has_key=self._options.dedupe)
            return None if event is None else (Received(event),)
        if not is_done(wire) or self._kind == EVENT:
            return None
        call = self._calls.take(wire.echo)
        return None if call is None else self._end_call(call, settle_done(call, wire.data))

    def _hear(self, frame: Heard, data: bytes) -> Effects:
        if type(frame) is MessageFrame:
            return self._hear_message(frame)
        if type(frame) is EventFrame:
            return self._hear_event(frame)
        if type(frame) is Response and self._kind != EVENT:
            return self._hear_response(frame)
        return self._refuse_frame("no_post_type", data)

    def _hear_message(self, frame: MessageFrame) -> Effects:
        own = is_own(frame, ignored=self._options.ignore_self)
        event = to_message(frame, self._clock, has_key=self._options.dedupe, is_own=own)
        if not frame.flags:
            return (Received(event),)
        return (Received(event), *self._warn(frame.flags))

    def _warn(self, flags: tuple[str, ...]) -> list[Effect]:
        """Tell each word once a connection: who omits a field omits it every time."""
        fresh = [flag for flag in flags if flag not in self._warned]
        self._warned.update(fresh)
        return [Noticed(f"warned:{flag}", f"account {self._account}") for flag in fresh]

    def _hear_event(self, frame: EventFrame) -> Effects:
        effects: list[Effect] = [Received(to_event(frame))]
        if frame.name == HEARTBEAT:
            effects += self._hear_heartbeat(frame)
        elif frame.flags:
            effects += self._warn(frame.flags)
        return effects

    def _hear_heartbeat(self, frame: EventFrame) -> list[Effect]:
        """Note when the next is due, and whether the account is there. Source: onebot11 3.2"""
        if frame.interval_ms is not None:
            self._interval_s = frame.interval_ms / 1000
            self._wake(self._heard_s + MISSED * self._interval_s)
        was_offline = self._is_offline
        self._is_offline = frame.online is False or frame.good is False
        if self._is_offline and self._state is _READY:
            return [*self._degrade(), Noticed("account-offline", self._account)]
        if was_offline and not self._is_offline and self._state is LinkState.DEGRADED:
            return [self._move(LinkState.READY)]
        return []

    def _hear_response(self, response: Response) -> Effects:
        call = self._calls.take(response.echo)
        if call is None:
            if response.retcode in TOKEN_CODES:
                return (Noticed("token-refused", f"retcode {response.retcode}"),)
            return (Noticed("unexpected-response", f"retcode {response.retcode}"),)
        return self._end_call(call, settle(call, response))

    def _end_call(self, call: Pending, settled: Settled) -> Effects:
        """Settle a call, and write the one that waits behind it."""
        following = self._calls.next(call, self._heard_s)
        if following is None:
            return (settled,)
        self._wake_for_calls()
        return (settled, Transmit(following.frame))

    # -- asking ------------------------------------------------------------------------------

    def send(self, delivery: Delivery) -> Effects:
        """Write a call, at once or when the chat's call before it is answered."""
        if self._state is not _READY:
            if self._state is LinkState.DEGRADED:
                return (Settled(delivery.id, Outcome.LATER),)
            raise LocalProtocolError(f"the session is {self._state.value}, it cannot send")
        if self._calls.is_full():
            return (Settled(delivery.id, Outcome.LATER, wait_s=FULL_WAIT_S),)
        echo = f"{delivery.id}.{delivery.attempt}"
        try:
            frame = self._encode(delivery, echo)
        except ValueError as error:
            return refused(delivery, str(error))
        if len(frame) > MAX_FRAME_BYTES:
            return refused(delivery, f"{len(frame)} bytes are more than an implementation takes")
        chat = delivery.chat
        call = Pending(delivery.id, (chat.kind, chat.id), echo, frame)
        now_s = self._clock.monotonic_s()
        is_now = self._calls.offer(call, now_s)
        if not is_now:
            self._wake_for_calls()
        elif self.wake_at is None or now_s + self._options.api_timeout_s < self.wake_at:
            self.wake_at = now_s + self._options.api_timeout_s
        return (Transmit(frame),) if is_now else ()

    def _encode(self, delivery: Delivery, echo: str) -> bytes:
        what = delivery.what
        if type(what) is Say:
            frame = None if self._as_text else encode_text(delivery, what, echo)
            return frame or encode_call(*say(delivery, what, as_text=self._as_text), echo)
        if type(what) is Act:
            return encode_call(*act(delivery, what), echo)
        raise ValueError("OneBot cannot carry this")

    def _wake_for_calls(self) -> None:
        at_s = self._calls.wake_at()
        if at_s is not None:
            self._wake(at_s)

    # -- time --------------------------------------------------------------------------------

    def tick(self) -> Effects:
        """Give up what did not come: the greeting, responses, signs of life."""
        now_s = self._clock.monotonic_s()
        if self.wake_at is None or now_s < self.wake_at or self._state is LinkState.CLOSED:
            return ()
        effects: list[Effect] = []
        if self._greet_by_s is not None and now_s >= self._greet_by_s:
            if not self._is_dialled:
                return self._close(1008, "handshake timeout")
            effects.append(self._ask_login())
        effects += self._give_up_calls(now_s)
        effects += self._check_life(now_s)
        self._plan_wake()
        return effects

    def _give_up_calls(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        for call in self._calls.overdue(now_s):
            detail = f"no answer within {self._options.api_timeout_s:g} s"
            effects.append(Settled(call.delivery_id, Outcome.UNCERTAIN, detail=detail))
            following = self._calls.next(call, now_s)
            if following is not None:
                effects.append(Transmit(following.frame))
        effects += [Transmit(call.frame) for call in self._calls.impatient(now_s)]
        return effects

    def _check_life(self, now_s: float) -> Effects:
        """Mark the line degraded when heartbeats stay away, then end the link."""
        if not self._interval_s:
            return ()
        silent_s = now_s - self._heard_s
        if silent_s >= max(DEAD * self._interval_s, DEAD_MIN_S):
            return self._close(1008, "no heartbeat")
        if silent_s >= MISSED * self._interval_s and self._state is _READY:
            return (*self._degrade(), Noticed("heartbeat-missing", self._account))
        return ()

    def _degrade(self) -> list[Effect]:
        """Send nothing until the account is back, not even what waits for another call."""
        waiting = self._calls.unwritten()
        held: list[Effect] = [Settled(call.delivery_id, Outcome.LATER) for call in waiting]
        return [self._move(LinkState.DEGRADED), *held]

    def _plan_wake(self) -> None:
        if self._state is LinkState.CLOSED:
            return
        due = [self._greet_by_s, self._calls.wake_at()]
        if self._interval_s:
            is_late = self._state is LinkState.DEGRADED and not self._is_offline
            missed_s, dead_s = MISSED * self._interval_s, max(DEAD * self._interval_s, DEAD_MIN_S)
            due.append(self._heard_s + (dead_s if is_late or self._is_offline else missed_s))
        self.wake_at = min((at_s for at_s in due if at_s is not None), default=None)

    # -- the end -----------------------------------------------------------------------------

    def lost(self, error: TrunklineError) -> Effects:
        """Settle everything: what was written is uncertain, what was not may go again."""
        written, unwritten = self._calls.drain()
        effects: list[Effect] = [
            Settled(call.delivery_id, Outcome.UNCERTAIN, detail=f"not answered: {error}")
            for call in written
        ]
        effects += [Settled(call.delivery_id, Outcome.LATER) for call in unwritten]
        self.wake_at = None
        if self._state is not LinkState.CLOSED:
            effects.append(self._move(LinkState.CLOSED))
        return effects

    def stored(self, receipt: Any) -> Effects:
        """Do nothing: events are not acknowledged. Source: onebot11 5.6"""
        return ()

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Refuse: this session asks nothing."""
        raise LocalProtocolError("a framework session asks nothing")
