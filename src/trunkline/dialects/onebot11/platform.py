"""The implementation: plays the platform for a framework, whoever dials.

The connect event goes first, then complete events; heartbeats at their interval. A call gets
exactly one response, when its fate is known: a message for our own chats when it is stored, one for
the line that we carry when that line says so. Source: onebot11 3, 5, 7, 9
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from trunkline.dialects.contract import (
    Ask,
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
from trunkline.dialects.onebot11.actions import QUICK, Sent, read_params
from trunkline.dialects.onebot11.calls import (
    BadCall,
    Call,
    decode_call,
    encode_accepted,
    encode_done,
    encode_failed,
)
from trunkline.dialects.onebot11.events import (
    KINDS,
    Context,
    Message,
    complete_event,
    decode_context,
    encode_connect,
    encode_heartbeat,
    short_id,
    tell_message,
    to_number,
)
from trunkline.dialects.onebot11.headers import EVENT
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.dialects.onebot11.quick import expand
from trunkline.dialects.onebot11.segments import Seg
from trunkline.dialects.onebot11.serving import (
    BAD,
    BUSY,
    GONE,
    SENDS,
    Done,
    Failed,
    Result,
    Server,
    Wanted,
    carry,
    fault,
    plan,
    target,
)
from trunkline.dialects.onebot11.session import OneBotSession, fingerprint, refused
from trunkline.dialects.onebot11.translate import to_segments, to_segs
from trunkline.errors import LinkError, LocalProtocolError, TrunklineError, WireMalformed
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome, Say, Tell
from trunkline.model.event import MessageReceived, Person
from trunkline.model.history import HistoryItem

MAX_JOBS: Final = 1000
MAX_LIMITED: Final = 200  # the house takes as many at once when the connection ends
LEAVE_S: Final = 5.0  # accepted calls are answered so long. Source: onebot11 3.6
RECALLED: Final = 1000  # messages of this connection that `get_msg` finds
RECALLED_CHARS: Final = 4096
_SENT: Final = Outcome.SENT

_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class _Job(msgspec.Struct, gc=False):
    """One call under way.

    Args:
        steps: parts that are not done yet.
        is_silent: it was answered already, as accepted.
        reports: what the framework is told besides.
    """

    echo: bytes | None
    is_silent: bool
    steps: int = 1
    result: Result | None = None
    reports: list[Transmit] = []


class ImplementationSession(OneBotSession):
    """One connection of a framework.

    Args:
        options: of the line.
        opening: clock and ids.
    """

    def __init__(self, options: OneBotOptions, opening: Opening) -> None:
        super().__init__(options, opening)
        self._account = options.self_id
        self._server = Server(options, self._recall)
        self._as_text = options.message_format == "string"
        self._beat_at_s: float | None = None
        self._leave_by_s: float | None = None
        self._open = 0  # jobs that are not answered
        # By receipt or tag: the job, and what makes a result of an answer.
        self._waits: dict[int, tuple[_Job, Callable[[Any], Result]]] = {}
        self._limited: deque[Call] = deque()
        self._limited_at_s = 0.0
        self._recalled: OrderedDict[int, Message] = OrderedDict()

    # -- life --------------------------------------------------------------------------------

    def linked(self, info: LinkInfo) -> Effects:
        """Send the connect event before anything else. Source: onebot11 3.1"""
        if self._state is not LinkState.OPENING:
            raise LocalProtocolError("linked twice")
        options = self._options
        seat = self._seat(self._account, is_shared=not info.is_dialled, is_sending=self._has_events)
        ready = self._move(LinkState.READY, seat)
        if not self._has_events:
            return (ready,)
        if options.heartbeat_interval_s:
            self._beat_at_s = self._clock.monotonic_s() + options.heartbeat_interval_s
            self._wake(self._beat_at_s)
        return (Transmit(encode_connect(self._account, self._clock.now_ms())), ready)

    def tick(self) -> Effects:
        """Send a heartbeat, run the next limited call, or leave."""
        now_s = self._clock.monotonic_s()
        if self.wake_at is None or now_s < self.wake_at or self._state is LinkState.CLOSED:
            return ()
        effects: list[Effect] = []
        if self._leave_by_s is not None and now_s >= self._leave_by_s:
            return self._close(1001, "going away")
        if self._beat_at_s is not None and now_s >= self._beat_at_s:
            effects.append(self._beat(now_s))
        while self._limited and now_s >= self._limited_at_s:
            self._limited_at_s = now_s + self._options.rate_limit_interval_s
            effects += self._run(self._limited.popleft(), is_silent=True)
        self._plan_wake()
        return effects

    def _beat(self, now_s: float) -> Transmit:
        """Return a heartbeat; the ones that were missed are not made up. Source: onebot11 3.2"""
        interval_s = self._options.heartbeat_interval_s
        due_s = (self._beat_at_s or now_s) + interval_s
        self._beat_at_s = due_s if due_s > now_s else now_s + interval_s
        interval_ms = round(interval_s * 1000)
        return Transmit(encode_heartbeat(self._account, self._clock.now_ms(), interval_ms))

    def _plan_wake(self) -> None:
        limited_s = self._limited_at_s if self._limited else None
        due = (self._beat_at_s, self._leave_by_s, limited_s)
        self.wake_at = min((at_s for at_s in due if at_s is not None), default=None)

    def finish(self) -> Effects:
        """Tell nothing more, answer what was accepted, then close. Source: onebot11 3.6"""
        if self._state is LinkState.CLOSED:
            return super().finish()
        effects = self.hurry()
        if not self._open:
            return (*effects, *super().finish())
        self._beat_at_s = None
        self._leave_by_s = self._clock.monotonic_s() + LEAVE_S
        self._plan_wake()
        return effects

    def hurry(self) -> Effects:
        """Run all limited calls at once: they were answered, so they must not end with us."""
        if not self._limited:
            return ()
        effects: list[Effect] = []
        while self._limited:
            effects += self._run(self._limited.popleft(), is_silent=True)
        return effects

    def lost(self, error: TrunklineError) -> Effects:
        """Close; calls that are under way go on, nobody hears of them."""
        self._leave_by_s = self.wake_at = None
        effects = self.hurry()
        self._waits.clear()
        if self._state is LinkState.CLOSED:
            return effects
        return (*effects, self._move(LinkState.CLOSED))

    # -- calls -------------------------------------------------------------------------------

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one call. A bad one is answered too, and the link stays. Source: onebot11 7.1"""
        if self._state is LinkState.CLOSED or self._kind == EVENT:
            return ()  # an event connection reads nothing. Source: onebot11 1.2
        call = decode_call(data)
        if type(call) is BadCall:
            answer = encode_failed(BAD, f"bad request: {call.reason}", call.echo)
            return (Noticed(f"rejected:{call.reason}", fingerprint(data)), Transmit(answer))
        no = self._turned_away(call.mode)
        if no is not None:
            return (Transmit(encode_failed(no.retcode, no.why, call.echo)),)
        if call.mode == "sync":
            return self._run(call, is_silent=False)
        accepted = Transmit(encode_accepted(call.echo))
        if call.mode == "rate_limited":
            self._limited.append(call)
            self._wake(max(self._limited_at_s, self._clock.monotonic_s()))
            return (accepted,)
        return (accepted, *self._run(call, is_silent=True))

    def _turned_away(self, mode: str) -> Failed | None:
        if self._leave_by_s is not None:
            return Failed(GONE, "the connection ends")
        if mode == "rate_limited" and len(self._limited) >= MAX_LIMITED:
            return Failed(BUSY, "too many limited calls wait")
        is_full = self._open + len(self._limited) >= MAX_JOBS
        return Failed(BUSY, "too many calls are open") if is_full else None

    def _run(self, call: Call, *, is_silent: bool) -> Effects:
        job = _Job(call.echo, is_silent)
        self._open += 1
        try:
            params = read_params(call.action, call.params)
            if call.action != QUICK:
                return self._step(call.action, params, job)
            steps = [
                (action, read_params(action, given))
                for action, given in expand(params["context"], params["operation"])
            ]
        except WireMalformed as error:
            return self._done(job, Failed(BAD, error.detail))
        job.steps = len(steps)
        if not steps:
            job.steps = 1
            return self._done(job, Done())
        effects: list[Effect] = []
        for action, one in steps:
            effects += self._step(action, one, job)
        return effects

    def _step(self, action: str, params: dict[str, Any], job: _Job) -> Effects:
        if action in SENDS:
            return self._say(action, params, job)
        planned = plan(action, params, self._server)
        if type(planned) is Wanted:
            return self._ask(planned, job)
        return self._done(job, planned)

    def _say(self, action: str, params: dict[str, Any], job: _Job) -> Effects:
        """Take what the framework says: to the carried line, or as an event of ours."""
        where = target(action, params)
        if type(where) is Failed:
            return self._done(job, where)
        segs: list[Seg] = params["message"]
        if not segs:
            return self._done(job, Failed(BAD, "the message is empty"))
        chat = Chat(self._account, where.kind, where.id)
        if self._options.carries:
            # The house tells what was said there, whoever said it.
            planned = carry(chat, segs)
            return self._ask(planned, job) if type(planned) is Wanted else self._done(job, planned)
        row, now_ms = self._ids.next(), self._clock.now_ms()
        message_id = short_id(row)
        us = Person(self._account, self._options.nickname)
        self._waits[row] = (job, lambda _: self._said(chat, segs, message_id, now_ms))
        event = MessageReceived(chat, us, to_segments(segs), None, str(message_id), now_ms)
        return (Received(event, row),)

    def _ask(self, wanted: Wanted, job: _Job) -> Effects:
        tag = self._ids.next()
        self._waits[tag] = (job, wanted.shape)
        return (Ask(tag, wanted.request),)

    def _said(self, chat: Chat, segs: list[Seg], message_id: int, at_ms: int) -> Done:
        """Return the answer to a send, and what the framework is told of it besides."""
        data = _encode(Sent(message_id))
        if not (self._options.report_self_message and self._has_events):
            return Done(data)
        return Done(data, self._report(chat, segs, message_id, at_ms))

    def _report(self, chat: Chat, segs: list[Seg], message_id: int, at_ms: int) -> bytes:
        us = Context(user_id=self._account, name=self._options.nickname)
        told = tell_message(
            self._account, chat, segs, us, message_id, at_ms, as_text=self._as_text, is_own=True
        )
        self._remember(told.message)
        return told.frame

    def stored(self, receipt: Any) -> Effects:
        """Answer: it is committed."""
        return self._answer(receipt, None)

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Answer with what came back."""
        return self._answer(tag, answer)

    def _answer(self, key: Any, answer: Any) -> Effects:
        found = self._waits.pop(key, None)
        if found is None or self._state is LinkState.CLOSED:
            return ()
        job, shape = found
        if isinstance(answer, LinkError):
            return ()  # nobody is there to be told
        result = fault(answer) if isinstance(answer, TrunklineError) else shape(answer)
        return self._done(job, result)

    def _done(self, job: _Job, result: Result) -> Effects:
        """Note that a part is done; with the last one respond, once. The first failure counts."""
        job.steps -= 1
        if type(result) is Done and result.report:
            job.reports.append(Transmit(result.report))
        if type(job.result) is not Failed:
            job.result = result
        if job.steps:
            return ()
        self._open -= 1
        effects: list[Effect] = []
        if not job.is_silent:
            last = job.result
            if type(last) is Failed:
                effects.append(Transmit(encode_failed(last.retcode, last.why, job.echo)))
            else:
                data = last.data if type(last) is Done else b"null"
                effects.append(Transmit(encode_done(data, job.echo)))
        effects += job.reports
        if self._leave_by_s is not None and not (self._open or self._limited):
            effects += self._close(1001, "going away")
        return effects

    # -- events ------------------------------------------------------------------------------

    def send(self, delivery: Delivery) -> Effects:
        """Tell the framework what somebody said, or any event."""
        if self._leave_by_s is not None:
            return (Settled(delivery.id, Outcome.LATER),)
        if self._state is not LinkState.READY:
            raise LocalProtocolError(f"the session is {self._state.value}, it cannot send")
        what = delivery.what
        if type(what) is Say:
            return self._tell(delivery, what)
        if type(what) is Act:
            return self._act(delivery, what)
        if type(what) is Tell and type(what.told) is HistoryItem:
            return self._retell(delivery, what.told)
        return refused(delivery, "OneBot cannot carry this")

    def _retell(self, delivery: Delivery, told: HistoryItem) -> Effects:
        """Tell what another framework of the same account said. It is no delivery of a row."""
        event = told.event
        if not self._options.report_self_message or type(event) is not MessageReceived:
            return refused(delivery, "nobody wants to know")
        segs, number = to_segs(event.segments), to_number(event.peer_id)
        if type(number) is not int:
            return refused(delivery, "it has no number")
        frame = self._report(event.chat, segs, number, event.at_ms or told.at_ms)
        return (Transmit(frame), Settled(delivery.id, _SENT))

    def _tell(self, delivery: Delivery, what: Say) -> Effects:
        """Let the chat's person speak; in a group whoever is named. Source: design 5"""
        chat = delivery.chat
        if chat.kind not in KINDS:
            return refused(delivery, f"OneBot has no {chat.kind!r} chats")
        segs = to_segs(what.segments)
        if not segs:
            return refused(delivery, "nothing in it that could be shown")
        sender = what.sender
        if what.is_own:
            speaker = Context(user_id=self._account, name=self._options.nickname)
        elif sender is not None:
            speaker = Context(user_id=sender.id, name=sender.name, card=sender.card)
        else:
            speaker = decode_context(delivery.context)
        told = tell_message(
            self._account, chat, segs, speaker,
            what.number or short_id(delivery.id),
            what.at_ms or delivery.at_ms or self._clock.now_ms(),
            as_text=self._as_text,
            is_own=what.is_own,
        )  # fmt: skip
        self._remember(told.message)
        return (Transmit(told.frame), Settled(delivery.id, _SENT, str(told.message.message_id)))

    def _remember(self, message: Message) -> None:
        """Keep a message for `get_msg`; bodies are too large to be kept twice."""
        if self._options.carries:
            return
        parts = message.message
        if len(parts) > 64 or any(
            len(str(value)) > RECALLED_CHARS for one in parts if type(one) is Seg
            for value in one.data.values()
        ):  # fmt: skip
            return
        self._recalled[message.message_id] = message
        if len(self._recalled) > RECALLED:
            self._recalled.popitem(last=False)

    def _recall(self, message_id: int) -> Message | None:
        return self._recalled.get(message_id)

    def _act(self, delivery: Delivery, act: Act) -> Effects:
        """Write an event of the caller's own making: `event` completed, `frame` as it stands."""
        if act.name not in ("event", "frame"):
            return refused(delivery, f"an implementation has no action {act.name!r}")
        try:
            fields = _decode_fields(act.data)
        except msgspec.DecodeError:
            return refused(delivery, f"the data of {act.name!r} is no JSON object")
        data = act.data
        if act.name == "event":
            data = complete_event(fields, self._account, self._clock.now_ms())
        return (Transmit(data), Settled(delivery.id, _SENT))
