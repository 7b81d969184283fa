"""One event that was posted: it is received, and what is said about it at once is the answer.

The answer to the request waits until the event is committed, and for a message or a request a
moment longer: what is decided by then goes back with it as a quick operation; anything else waits
for the chat's next event, or for a connection that can carry it. Source: onebot11 1.5, 9
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.contract import (
    Effect,
    Effects,
    LinkInfo,
    LinkState,
    Received,
    Seat,
    Settled,
    Sharing,
    Tag,
    Transmit,
)
from trunkline.dialects.onebot11.cq import format_cq
from trunkline.dialects.onebot11.events import is_own, to_event, to_message
from trunkline.dialects.onebot11.frames import decode
from trunkline.dialects.onebot11.headers import self_id_of
from trunkline.dialects.onebot11.segments import to_wire
from trunkline.dialects.onebot11.session import OneBotSession, refused
from trunkline.dialects.onebot11.shapes import EventFrame, MessageFrame
from trunkline.dialects.onebot11.translate import to_segs
from trunkline.errors import LocalProtocolError, TrunklineError, WireMalformed
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome, Say
from trunkline.model.event import Event, Fleeting, RequestReceived
from trunkline.wire import jsonwire

RETRY_S: Final = 1.0
_NOTHING: Final = Transmit(b"")
_RECEIPT: Final = 1
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class PostedSession(OneBotSession):
    """One request with one event.

    Args:
        options: of the line.
        opening: clock and ids.
    """

    wake_at: float | None
    _named = ""  # the account that the head names
    _chat: Chat | None = None  # where an answer is wanted
    _is_request = False
    _is_stored = False
    _held: Effects = ()  # an answer that came before the event was committed: an older one
    _held_id: DeliveryId | None = None

    def linked(self, info: LinkInfo) -> Effects:
        """Note whose event it will be."""
        self._named = self_id_of(info.head)
        return ()

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take the event; one that cannot be taken is answered 400. Source: onebot11 1.5"""
        if self._state is not LinkState.OPENING:
            return ()
        try:
            frame = decode(data, self._named)
        except WireMalformed as error:
            return self._reject(error.reason, data)
        if type(frame) is MessageFrame:
            own = is_own(frame, ignored=self._options.ignore_self)
            event: Event = to_message(frame, self._clock, has_key=self._options.dedupe, is_own=own)
            wants_answer = not own
        elif type(frame) is EventFrame:
            event = to_event(frame)
            wants_answer = self._is_request = isinstance(event, RequestReceived)
        else:
            return self._reject("no_post_type", data)
        if wants_answer:
            self._chat = event.chat
        # Each request has the account's seat beside whoever else does: none ends another.
        seat = Seat(frame.self_id, frame.self_id, wants_answer, Sharing.EACH)
        ready: list[Effect] = [self._move(LinkState.READY, seat)]
        if isinstance(event, Fleeting):
            return [*ready, Received(event), _NOTHING]
        return [*ready, Received(event, _RECEIPT)]

    def _reject(self, reason: str, data: bytes) -> Effects:
        rejected = self._refuse_frame(reason, data)
        return [*rejected, *self._close(1007, f"the event cannot be read: {reason}")]

    def stored(self, receipt: Any) -> Effects:
        """Say so, unless an answer to it may still come."""
        self._is_stored = True
        if self._held:
            held, self._held, self._held_id = self._held, (), None
            return held
        if self._chat is None:
            return (_NOTHING,)
        self._wake(self._clock.monotonic_s() + self._options.quick_wait_s)
        return ()

    def tick(self) -> Effects:
        """Nothing was said in time."""
        now_s = self._clock.monotonic_s()
        if self.wake_at is None or now_s < self.wake_at or self._state is LinkState.CLOSED:
            return ()
        self.wake_at = None
        return (_NOTHING,)

    def send(self, delivery: Delivery) -> Effects:
        """Answer with a quick operation, when it is about this event."""
        if self._state is not LinkState.READY:
            raise LocalProtocolError(f"the session is {self._state.value}, it cannot send")
        try:
            operation = self._operation(delivery)
        except ValueError as error:
            return refused(delivery, str(error))
        if operation is None or self._held:
            return (Settled(delivery.id, Outcome.LATER, wait_s=RETRY_S),)
        # Nobody says whether it was done.
        settled = Settled(delivery.id, Outcome.SENT)
        answer: Effects = (Transmit(jsonwire.encode(operation)), settled)
        if not self._is_stored:
            self._held, self._held_id = answer, delivery.id
            return ()
        self.wake_at = None
        return answer

    def _operation(self, delivery: Delivery) -> dict[str, Any] | None:
        """Return the quick operation that says this; None = it is about something else.

        Raises:
            ValueError: why it can never be said.
        """
        chat, what = self._chat, delivery.what
        if chat is None or (chat.kind, chat.id) != (delivery.chat.kind, delivery.chat.id):
            return None
        if type(what) is Act and self._is_request:
            return _decide(what)
        if type(what) is not Say or self._is_request:
            return None
        segs = to_wire(to_segs(what.segments))
        if not segs:
            raise ValueError("nothing in it that could be shown")
        as_text = self._options.message_format == "string"
        # The standard mentions the sender by itself; no other way of answering does.
        return {"reply": format_cq(segs) if as_text else segs, "at_sender": False}

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Refuse: this session asks nothing."""
        raise LocalProtocolError("a posted event asks nothing")

    def lost(self, error: TrunklineError) -> Effects:
        """End. An answer that was held was not written."""
        self.wake_at = None
        effects: list[Effect] = []
        if self._held_id is not None:
            effects.append(Settled(self._held_id, Outcome.LATER))
        self._held, self._held_id = (), None
        if self._state is not LinkState.CLOSED:
            effects.append(self._move(LinkState.CLOSED))
        return effects


def _decide(what: Act) -> dict[str, Any] | None:
    """Return the operation that answers a request. Source: onebot11 9

    Raises:
        ValueError: its data is no object.
    """
    if what.name not in ("approve", "reject"):
        return None
    try:
        given = _decode(what.data)
    except msgspec.DecodeError as error:
        raise ValueError(f"the data of {what.name!r} is no JSON object") from error
    return {**given, "approve": what.name == "approve"}
