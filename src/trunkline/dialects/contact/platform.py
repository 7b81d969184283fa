"""The visitor's session: dials a site, says things, hears answers (`contact 2` to `7`).

It plays the platform in tests and in the emulator, and serves an embedded client. A site
acknowledges a message by the `client_message_id` given to it; one that does not echo it
acknowledges in order of arrival (`contact 5.2`).

With the option `session` it opts in by `hello` right after the greeting. A site that knows no
`hello` answers with an error: then all goes on plainly. A session survives reconnects: the token is
kept, the history since the last message is taken in, and what was not acknowledged may be said
again under the same `client_message_id`, because the site drops the second copy (`contact 9.1`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec

from trunkline.dialects.contact.extension import Hello, HelloAck, HistoryOut, HistoryRequest
from trunkline.dialects.contact.frames import (
    ChatAck,
    ChatMessage,
    ChatOut,
    Code,
    Established,
    Ping,
    Pong,
    Problem,
    RequestAck,
    decode_server,
    encode,
)
from trunkline.dialects.contact.options import ContactOptions
from trunkline.dialects.contact.session import Stamps, move
from trunkline.dialects.contact.translate import SITE, to_event, to_plain
from trunkline.dialects.contract import (
    Again,
    Changed,
    Dial,
    Effect,
    Effects,
    Hangup,
    Keep,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Received,
    Seat,
    Settled,
    Transmit,
)
from trunkline.errors import LocalProtocolError, TrunklineError, WireMalformed
from trunkline.ids import DeliveryId
from trunkline.model.delivery import Delivery, Outcome, Say

GREETING_S: Final = 10.0  # a site greets within 1 s (contact 2); slower ones get ten times that
MAX_PENDING: Final = 256
MAX_PIECES: Final = 20  # of history, taken in at one resume

# Problems a site may report; anything else counts as "other", so that the set stays closed.
_CODES: Final = frozenset(get_args(Code))
_NOT_NOW: Final = frozenset({"rate_limited", "server_busy"})
_PING: Final = encode(Ping())
_PAGE: Final = 100


class Kept(msgspec.Struct, frozen=True):
    """What a visitor keeps between two links: its secret, and the last message that it has."""

    token: str = ""
    last_message_id: str = ""


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Kept).decode


class VisitorSession:
    """One visitor's connection to a site.

    Args:
        options: `url`, `headers`, `subprotocol`, `ping_interval_s` count.
        opening: role `visitor`; the clock.
    """

    def __init__(self, options: ContactOptions, opening: Opening) -> None:
        self.wake_at: float | None = None
        self.client_id = ""
        self._options = options
        self._clock = opening.clock
        self._stamps = Stamps(opening.clock)
        self._state = LinkState.OPENING
        self._is_linked = False
        self._pending: dict[str, DeliveryId] = {}
        self._kept = Kept()
        self._is_asking = False  # `hello` is out and not answered
        self._has_session = False
        self._is_rooted = False  # the site has stored something of the session: it can be resumed
        self._since = ""  # the last message that we had when the link opened
        self._gap: list[HistoryOut] = []  # pieces of the history, newest first
        self._hear: dict[type, Callable[[Any], Effects]] = {
            Established: self._hear_greeting,
            ChatAck: self._hear_ack,
            ChatOut: self._hear_chat,
            Problem: self._hear_problem,
            RequestAck: self._hear_nothing,
            Pong: self._hear_nothing,
            HelloAck: self._hear_hello,
            HistoryOut: self._hear_history,
        }

    # -- life ------------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Dial the site."""
        options = self._options
        if options.session and kept is not None:
            self._kept = _read_kept(kept)
        headers = {name: value.get_secret_value() for name, value in options.headers.items()}
        if options.user_agent:
            headers["User-Agent"] = options.user_agent
        subprotocol = options.subprotocol or None
        return (Dial(options.url, headers, subprotocol, options.max_message_bytes),)

    def linked(self, info: LinkInfo) -> Effects:
        """Wait for the greeting: nothing is said before it (`contact 2`)."""
        del info
        if self._is_linked or self._state is not LinkState.OPENING:
            raise LocalProtocolError("linked twice")
        self._is_linked = True
        self.wake_at = self._clock.monotonic_s() + GREETING_S
        return ()

    def tick(self) -> Effects:
        """Send the application ping, or give up a site that does not greet."""
        now_s = self._clock.monotonic_s()
        if self.wake_at is None or now_s < self.wake_at:
            return ()
        if self._state is LinkState.OPENING:
            return self._close(Hangup(1002, "no greeting", Again("silent")))
        self.wake_at = now_s + self._options.ping_interval_s
        return (Transmit(_PING),)

    def finish(self) -> Effects:
        """Leave the site (close 1001)."""
        if self._state is LinkState.CLOSED:
            return ()
        return self._close(Hangup(1001, "leaving"))

    def lost(self, error: TrunklineError) -> Effects:
        """The link died: whether the site has what it did not acknowledge is unknown."""
        self._state = move(self._state, LinkState.CLOSED)
        self.wake_at = None
        detail = f"not acknowledged: {error}"
        # The site drops a second copy, also on the next link – but only if that finds the same
        # session, and before anything is stored there is none to be found.
        again = self._has_session and self._is_rooted
        unclear = [
            Settled(ident, Outcome.UNCERTAIN, detail=detail, is_repeatable=again)
            for ident in self._pending.values()
        ]
        self._pending.clear()
        return (*unclear, Changed(LinkState.CLOSED))

    def _close(self, hangup: Hangup) -> Effects:
        self._state = move(self._state, LinkState.CLOSED)
        self.wake_at = None
        return (hangup,)

    # -- what comes in ---------------------------------------------------------------------

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one frame of the site. Types that we do not know are ignored (`contact 3`)."""
        del is_text  # a site of any making may use either opcode
        if self._state is LinkState.CLOSED:
            return ()
        if not self._is_linked:
            raise LocalProtocolError("received before the link was open")
        try:
            frame = decode_server(data)
        except WireMalformed as error:
            return (Noticed(f"rejected:{error.reason}", f"{len(data)} bytes"),)
        if frame is None:
            return ()
        return self._hear[type(frame)](frame)

    def _hear_greeting(self, frame: Established) -> Effects:
        if self._state is not LinkState.OPENING or self._is_asking:
            return (Noticed("greeted-twice"),)
        self.client_id = frame.client_id
        if not self._options.session:
            return self._get_ready()
        self._is_asking = True
        token, last = self._kept.token or None, self._kept.last_message_id or None
        hello = Hello(2, ("session", "history"), token, last)
        return (Transmit(encode(hello)),)

    def _get_ready(self) -> Effects:
        self._is_asking = False
        self._state = move(self._state, LinkState.READY)
        interval_s = self._options.ping_interval_s
        self.wake_at = self._clock.monotonic_s() + interval_s if interval_s else None
        return (Changed(LinkState.READY, Seat(SITE.id)),)

    def _hear_hello(self, frame: HelloAck) -> Effects:
        if not self._is_asking:
            return (Noticed("greeted-twice"),)
        effects: list[Effect] = []
        self._has_session = bool(frame.session_token)
        if self._has_session:
            last = self._kept.last_message_id if frame.resumed else ""
            self._kept = Kept(frame.session_token, last)
            self._since = last
            self._is_rooted = frame.resumed is True
            effects.append(Keep(_pack(self._kept)))
        return (*effects, *self._get_ready())

    def _hear_history(self, frame: HistoryOut) -> Effects:
        """Take in what was said while we were away; our own words are ours already.

        What does not fit into one piece is asked for, until there is no gap to what we have.
        """
        self._gap.append(frame)
        if frame.has_more and frame.messages and self._since:
            known = any(item.message_id == self._since for item in frame.messages)
            if not known and self._state is LinkState.READY and len(self._gap) < MAX_PIECES:
                request = HistoryRequest(frame.messages[0].message_id, _PAGE)
                return (Transmit(encode(request)),)
        pieces, self._gap = self._gap, []
        effects: list[Effect] = []
        for piece in reversed(pieces):
            for item in piece.messages:
                if item.sender != "user":
                    out = ChatOut(
                        item.message,
                        item.timestamp,
                        item.sender,
                        item.message_id,
                        item.in_reply_to,
                        item.sender_name,
                    )
                    effects += self._hear_chat(out)
        return effects

    def _hear_chat(self, frame: ChatOut) -> Effects:
        received = Received(to_event(frame))
        if not self._has_session or not frame.message_id:
            return (received,)
        self._kept = Kept(self._kept.token, frame.message_id)
        return (received, Keep(_pack(self._kept)))

    def _hear_ack(self, frame: ChatAck) -> Effects:
        ident = frame.client_message_id or next(iter(self._pending), "")
        delivery = self._pending.pop(ident, None)
        self._is_rooted = True
        if delivery is None:
            return (Noticed("unexpected-ack"),)
        return (Settled(delivery, Outcome.CONFIRMED, frame.message_id),)

    def _hear_problem(self, frame: Problem) -> Effects:
        code = frame.code if frame.code in _CODES else "other"
        noticed = Noticed(f"peer-error:{code}")
        if self._is_asking and code == "unknown_type":
            return self._get_ready()  # Source: contact 9: plain mode
        delivery = self._pending.pop(frame.client_message_id, None)
        if delivery is None:
            return (noticed,)
        if code in _NOT_NOW:
            wait_s = max(frame.retry_after, 1.0)
            return (noticed, Settled(delivery, Outcome.LATER, detail=code, wait_s=wait_s))
        return (noticed, Settled(delivery, Outcome.REFUSED, detail=f"the site says {code}"))

    def _hear_nothing(self, frame: object) -> Effects:
        del frame
        return ()

    # -- what goes out ---------------------------------------------------------------------

    def stored(self, receipt: object) -> Effects:
        """Do nothing: a visitor acknowledges nothing."""
        del receipt
        return ()

    def answered(self, tag: object, answer: object) -> Effects:
        """Refuse: a visitor asks nothing."""
        del answer
        raise LocalProtocolError(f"nobody asked {tag!r}")

    def send(self, delivery: Delivery) -> Effects:
        """Say something to the site. The id on the wire is the same at every attempt."""
        if self._state is not LinkState.READY:
            if self._state is LinkState.OPENING:
                raise LocalProtocolError("asked to send before the greeting")
            return (Settled(delivery.id, Outcome.LATER),)
        what = delivery.what
        if type(what) is not Say:
            detail = f"a site takes messages only, not `{type(what).__name__}`"
            return (Settled(delivery.id, Outcome.REFUSED, detail=detail),)
        text = to_plain(what.segments, self._options.language)
        if not text or text.isspace():
            return (Settled(delivery.id, Outcome.REFUSED, detail="nothing that can be shown"),)
        if len(self._pending) >= MAX_PENDING:
            return (Settled(delivery.id, Outcome.LATER, wait_s=1.0),)
        ident = str(delivery.id)
        self._pending[ident] = delivery.id
        return (Transmit(encode(ChatMessage(text, self._stamps.now(), ident))),)


def _read_kept(kept: bytes) -> Kept:
    """Read what `Keep` stored; anything else counts as nothing."""
    try:
        return _unpack(kept)
    except msgspec.DecodeError:
        return Kept()
