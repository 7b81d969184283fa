"""The site's session: one plain visitor on one link (`contact 1` to `8`).

A chat message is acknowledged when it is stored, never before; its answer comes as a delivery. A
contact request may need an allowance counted per address: while that is asked, later messages wait
behind it, so acknowledgements keep the order of arrival. Rejections and pongs never wait.

`visits` adds what a visitor sees who opts in. Imports the dialect's own frames and translation;
knows no rule, no store and no other visitor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import sha256
from math import ceil
from typing import Any, Final, TypeAlias

import msgspec

from trunkline.dialects.contact.frames import (
    ChatAck,
    ChatMessage,
    ContactRequest,
    Established,
    Ping,
    Pong,
    Problem,
    Rejected,
    RequestAck,
    decode_client,
    encode,
)
from trunkline.dialects.contact.limits import Limits
from trunkline.dialects.contact.options import ContactOptions
from trunkline.dialects.contact.session import Stamps, move
from trunkline.dialects.contact.translate import (
    KIND,
    WORDS,
    derive_message_id,
    to_frame,
    to_message,
    to_person,
    to_request,
)
from trunkline.dialects.contract import (
    Allowance,
    Ask,
    Changed,
    Effect,
    Effects,
    Hangup,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Received,
    Seat,
    Settled,
    Sharing,
    Tag,
    Transmit,
)
from trunkline.errors import LinkError, LocalProtocolError, StoreError, TrunklineError
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say

# Messages that wait behind an open `Ask`; the driver does not count them yet (`reliability 2`).
HELD_FRAMES: Final = 64
HELD_CHARS: Final = 1 << 18  # at most four bytes each: 1 MiB


class ChatReceipt(msgspec.Struct, frozen=True, gc=False):
    """What the acknowledgement of a chat message needs."""

    message_id: str
    client_message_id: str


class RequestReceipt(msgspec.Struct, frozen=True, gc=False):
    """What the acknowledgement of a contact request needs."""

    request_id: str


_Accepted: TypeAlias = ChatMessage | ContactRequest


class SiteSession:
    """One visitor, from the greeting to the end of the link.

    `_owner` names the conversation and the seat: the client id, or the session of `visits`.

    Args:
        options: of the line.
        opening: role `site`; clock and ids.
    """

    # Ten thousand of these are open at once: without a dict each takes a third less.
    __slots__ = (
        "_asking", "_chat", "_client_id", "_clock", "_held", "_held_chars", "_idle_s", "_ids",
        "_last_frame_s", "_limits", "_max_chars", "_message_prefix", "_messages", "_options",
        "_owner", "_peer", "_person", "_stamps", "_state", "_tag", "_take", "_words", "wake_at",
    )  # fmt: skip

    def __init__(self, options: ContactOptions, opening: Opening) -> None:
        self.wake_at: float | None = None
        self._options = options
        self._clock = opening.clock
        self._ids = opening.ids
        self._stamps = Stamps(opening.clock)
        self._words = WORDS[options.language]
        self._state = LinkState.OPENING
        self._client_id = self._owner = ""
        self._message_prefix = ""
        self._messages = 0
        self._peer = ""  # the address whose contact requests are counted, "" = not counted
        self._limits = Limits(options)
        self._asking: ContactRequest | None = None  # what the open `Ask` is about
        self._tag = 0
        self._held: deque[_Accepted] = deque()
        self._held_chars = 0
        self._last_frame_s = 0.0
        self._idle_s = options.idle_timeout_s
        self._max_chars = options.message_chars
        self._take: dict[type, Callable[[Any], Effects]] = {
            ChatMessage: self._take_chat,
            ContactRequest: self._take_request,
            Ping: self._take_ping,
        }

    # -- life ------------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Do nothing: a site listens, and a visitor leaves nothing to be kept."""
        del kept
        return ()

    def linked(self, info: LinkInfo) -> Effects:
        """Greet before anything else (`contact 2`), then take the seat of this visitor.

        A plain visitor never comes back under the same id, so the seat is new and brief.
        """
        self._arrive(info)
        return self._greet(self._greeting())

    def _arrive(self, info: LinkInfo) -> None:
        """Note who came: a fresh id, and the address that is counted."""
        self._client_id = self._ids.uuid()
        self._message_prefix = self._ids.uuid()[:24]
        self._own(self._client_id)
        # Source: guides 1: limits per address do not count peers on loopback.
        self._peer = "" if info.head.is_loopback else info.head.peer
        if self._idle_s:
            self._last_frame_s = self._clock.monotonic_s()
            self.wake_at = self._last_frame_s + self._idle_s

    def _own(self, owner: str) -> None:
        """Take the conversation of this owner."""
        self._owner = owner
        self._chat = Chat("", KIND, owner)
        self._person = to_person(owner, None)

    def _greeting(self) -> Established:
        text = self._options.greeting or self._words.established
        return Established(text, self._client_id, self._stamps.now())

    def _greet(self, greeting: Established) -> Effects:
        self._state = move(self._state, LinkState.READY)
        seat = Seat(self._client_id, sharing=Sharing.JOIN, is_new=True, is_brief=True)
        return (Transmit(encode(greeting)), Changed(LinkState.READY, seat))

    def tick(self) -> Effects:
        """Close a connection that was idle for too long (`contact 7`)."""
        if not self._idle_s or self._state is not LinkState.READY:
            return ()
        due_s = self._last_frame_s + self._idle_s
        if self._clock.monotonic_s() < due_s:
            self.wake_at = due_s
            return ()
        return (self._close(1000, "idle"),)

    def finish(self) -> Effects:
        """Close with 1001 (`contact 7`)."""
        if self._state is LinkState.CLOSED:
            return ()
        return (self._close(1001, "server stops"),)

    def lost(self, error: TrunklineError) -> Effects:
        """The link died. Nothing can be pending: a delivery is settled as it is written."""
        del error
        self._state = move(self._state, LinkState.CLOSED)
        self.wake_at = None
        return (Changed(LinkState.CLOSED),)

    def _close(self, code: int, reason: str) -> Hangup:
        self._state = move(self._state, LinkState.CLOSED)
        self.wake_at = None
        return Hangup(code, reason)

    # -- what comes in ---------------------------------------------------------------------

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one frame of the visitor; whatever it is, it gets exactly one answer."""
        if self._state is not LinkState.READY:
            if self._state is LinkState.OPENING:
                raise LocalProtocolError("received before the link was open")
            return ()
        if self._idle_s:
            self._last_frame_s = self._clock.monotonic_s()
        frame = decode_client(data, is_text=is_text)
        if type(frame) is Rejected:
            return self._refuse(frame, data, is_text=is_text)
        return self._take[type(frame)](frame)

    def _refuse(self, rejected: Rejected, data: bytes, *, is_text: bool) -> Effects:
        return self._reject(rejected, _fingerprint(data, kind="text" if is_text else "binary"))

    def _take_chat(self, frame: ChatMessage) -> Effects:
        ident = frame.client_message_id or ""
        if self._max_chars and len(frame.message) > self._max_chars:
            return self._reject(
                Rejected("message_too_long", "message", str(self._max_chars), ident),
                _fingerprint(frame.message.encode(), kind="chat_message"),
            )
        wait_s = self._limits.chat_wait_s(self._clock.monotonic_s())
        if wait_s:
            return self._reject(
                Rejected("rate_limited", client_message_id=ident),
                _fingerprint(frame.message.encode(), kind="chat_message"),
                wait_s,
            )
        if self._asking is not None:
            return self._hold(frame, ident)
        return (self._receive_chat(frame),)

    def _receive_chat(self, frame: ChatMessage) -> Received:
        ident = frame.client_message_id
        if ident is None:
            # One random UUID a connection, its last group counted: unique, and fifteen times
            # cheaper than a random one for each message.
            self._messages += 1
            message_id, ident = f"{self._message_prefix}{self._messages:012x}", ""
        else:
            message_id = derive_message_id(self._owner, ident)
        event = to_message(frame, self._chat, self._person, message_id)
        return Received(event, ChatReceipt(message_id, ident))

    def _take_request(self, frame: ContactRequest) -> Effects:
        if self._max_chars and len(frame.message) > self._max_chars:
            return self._reject(
                Rejected("message_too_long", "message", str(self._max_chars)),
                _fingerprint(frame.message.encode(), kind="contact_request"),
            )
        wait_s = self._limits.request_wait_s(self._clock.monotonic_s())
        if wait_s:
            print_of = _fingerprint(frame.message.encode(), kind="contact_request")
            return self._reject(Rejected("rate_limited"), print_of, wait_s)
        if self._asking is not None:
            return self._hold(frame, "")
        return (self._pass_request(frame),)

    def _pass_request(self, frame: ContactRequest) -> Effect:
        """Ask whether this address may, else take the request at once."""
        options = self._options
        if not self._peer or not options.requests_per_address:
            return self._receive_request(frame)
        self._asking = frame
        self._tag += 1
        key = f"contact-request:{self._peer}"
        limit, window_s = options.requests_per_address, options.requests_address_window_s
        return Ask(self._tag, Allowance(key, limit, window_s))

    def _receive_request(self, frame: ContactRequest) -> Received:
        if frame.name:
            self._person = to_person(self._owner, frame.name)
        request_id = self._ids.uuid()
        event = to_request(frame, self._chat, self._person, request_id)
        return Received(event, RequestReceipt(request_id))

    def _take_ping(self, frame: Ping) -> Effects:
        del frame
        if not self._limits.may_pong(self._clock.monotonic_s()):
            return ()  # Source: contact 8, ignored above the limit
        return (Transmit(encode(Pong(self._stamps.now()))),)

    # -- waiting for an allowance ----------------------------------------------------------

    def _hold(self, frame: _Accepted, ident: str) -> Effects:
        size = len(frame.message)
        if len(self._held) >= HELD_FRAMES or self._held_chars + size > HELD_CHARS:
            return self._reject(Rejected("server_busy", client_message_id=ident), "held")
        self._held.append(frame)
        self._held_chars += size
        return ()

    def answered(self, tag: Tag, answer: object) -> Effects:
        """Take or refuse the request that asked, then what waits behind it, in order."""
        request = self._asking
        if request is None or tag != self._tag:
            raise LocalProtocolError(f"nobody asked {tag!r}")
        self._asking = None
        if self._state is not LinkState.READY or isinstance(answer, LinkError):
            return ()  # nothing was acknowledged, so nothing is promised
        effects: list[Effect] = []
        if answer is True:
            effects.append(self._receive_request(request))
        elif isinstance(answer, TrunklineError):
            code = "server_busy" if isinstance(answer, StoreError) else "internal"
            effects += self._reject(Rejected(code), "contact_request")
        else:
            wait_s = answer if isinstance(answer, float) else 1.0
            effects += self._reject(Rejected("rate_limited"), "contact_request", wait_s)
        while self._held and self._asking is None:
            frame = self._held.popleft()
            self._held_chars -= len(frame.message)
            if isinstance(frame, ChatMessage):
                effects.append(self._receive_chat(frame))
            else:
                effects.append(self._pass_request(frame))
        return effects

    # -- what goes out ---------------------------------------------------------------------

    def stored(self, receipt: ChatReceipt | RequestReceipt) -> Effects:
        """Acknowledge what is committed now, or was before (`contact 9.4`)."""
        if self._state is not LinkState.READY:
            return ()
        now = self._stamps.now()
        if isinstance(receipt, ChatReceipt):
            text = self._words.chat_received
            ack = ChatAck(text, now, receipt.message_id, receipt.client_message_id)
        else:
            ack = RequestAck(self._words.request_received, now, receipt.request_id)
        return (Transmit(encode(ack)),)

    def send(self, delivery: Delivery) -> Effects:
        """Say something to the visitor. It gives no proof, so the delivery is settled SENT."""
        if self._state is not LinkState.READY:
            if self._state is LinkState.OPENING:
                raise LocalProtocolError("asked to send before the link was open")
            return (Settled(delivery.id, Outcome.LATER),)
        what = delivery.what
        if type(what) is not Say:
            detail = f"a visitor takes messages only, not `{type(what).__name__}`"
            return (Settled(delivery.id, Outcome.REFUSED, detail=detail),)
        if delivery.chat.id != self._owner:
            # Source: contact 5.2: nothing of another visitor ever appears.
            return (Settled(delivery.id, Outcome.REFUSED, detail="for another visitor"),)
        frame = to_frame(delivery, what.segments, self._options.language, self._stamps.now())
        if not frame.message or frame.message.isspace():
            return (Settled(delivery.id, Outcome.REFUSED, detail="nothing that can be shown"),)
        return (
            Transmit(encode(frame)),
            Settled(delivery.id, Outcome.SENT, frame.message_id),
        )

    def _reject(self, rejected: Rejected, detail: str, retry_after: float = 0.0) -> Effects:
        """Answer with one `error`; the twentieth within a minute also closes (`contact 5.1`)."""
        code = rejected.code
        text = self._words.problems[code]
        about = rejected.field if code in ("missing_field", "invalid_field") else rejected.name
        problem = Problem(
            f"{text}: {about}" if about else text,
            self._stamps.now(),
            code,
            rejected.field,
            # Rounded up: who waits as long as told is not refused again.
            ceil(retry_after * 1000) / 1000,
            rejected.client_message_id,
        )
        effects = (Transmit(encode(problem)), Noticed(f"rejected:{code}", detail))
        is_own_fault = code in ("server_busy", "internal")
        if is_own_fault or not self._limits.is_too_much(self._clock.monotonic_s()):
            return effects
        return (*effects, self._close(1008, "too many rejected frames"))


def _fingerprint(data: bytes, *, kind: str) -> str:
    """Return kind, size and hash of what was refused: what a log may say of it."""
    return f"{kind} {len(data)} bytes sha256 {sha256(data).hexdigest()[:12]}"
