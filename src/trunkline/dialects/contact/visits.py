"""The site's session with a visitor who opts in: resume, history, typing, read (`contact 9`).

A session is known by a token that only the visitor has; its id is derived from the hash of it, so
nothing secret is stored, and the conversation is `visitor:<session id>`. Whether a session exists
is asked of the store: while that is open (at most 1 s) the frames that arrive wait in order. Then
comes the seat, then the history; what is to be sent meanwhile waits until the history is out, so
nothing is shown twice and nothing before its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from trunkline.dialects.contact.bot import HELD_FRAMES, SiteSession
from trunkline.dialects.contact.extension import (
    EXTENSION_TYPES,
    MAX_PAGE,
    Extension,
    Hello,
    HelloAck,
    HistoryRequest,
    Joined,
    Read,
    Resume,
    Typing,
)
from trunkline.dialects.contact.frames import (
    Established,
    Rejected,
    decode_extension,
    encode,
)
from trunkline.dialects.contact.optin import derive_session_id, grant, is_token, read_query
from trunkline.dialects.contact.options import ContactOptions
from trunkline.dialects.contact.past import Past, Piece, message_id_of
from trunkline.dialects.contact.session import move
from trunkline.dialects.contact.told import read_event, to_visitor, typing_event
from trunkline.dialects.contact.translate import KIND, derive_delivery_uuid
from trunkline.dialects.contract import (
    Ask,
    Changed,
    Effect,
    Effects,
    Find,
    FindChat,
    LinkInfo,
    LinkState,
    Opening,
    Received,
    Seat,
    Settled,
    Sharing,
    Tag,
    Transmit,
)
from trunkline.errors import LinkError, StoreError, TrunklineError
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Tell
from trunkline.model.history import ChatFacts, History, HistoryItem

SESSION_MS: Final = 30 * 86_400_000  # Source: contact 9.1: valid for 30 days after last activity
PATIENCE_S: Final = 1.0  # Source: contact 2: a client must see the greeting within 1 s
HEARTBEAT_S: Final = 25.0  # Source: contact 7: widgets send an application ping every 25 s
HELD_BYTES: Final = 1 << 20
WAITING_SENDS: Final = 256
UNPROVED: Final = 256  # deliveries that a later `read` may prove


_Then: TypeAlias = Callable[[Any], Effects]
# Frames that an opted-in visitor may send at any time → the feature they belong to.
_NEEDS: Final = {"history_request": "history", "typing": "typing", "read": "read"}


def _nothing() -> Effects:
    return ()


class VisitSession(SiteSession):
    """A visitor who is plain until it opts in, by the query or by its first frame.

    Args:
        options: of the line.
        opening: role `site`; clock and ids.
    """

    # See `SiteSession`.
    __slots__ = (
        "_early", "_early_bytes", "_features", "_finding", "_finds", "_impatient", "_is_fresh",
        "_is_opted", "_is_resumed", "_lookups", "_past", "_patience_s", "_sends", "_shown",
        "_token", "_unproved", "_was_hello",
    )  # fmt: skip

    def __init__(self, options: ContactOptions, opening: Opening) -> None:
        super().__init__(options, opening)
        self._features: tuple[str, ...] = ()
        self._is_opted = False
        self._is_fresh = True  # nothing came yet but `hello`
        self._was_hello = False
        self._is_resumed = False
        self._lookups = 0
        self._token = ""
        self._past: Past | None = None
        self._finds = 0
        self._finding: dict[Tag, _Then] = {}
        self._early: deque[tuple[bytes, bool]] | None = None  # frames, while a chat is looked up
        self._early_bytes = 0
        self._sends: deque[Delivery] | None = None  # what waits for the history
        self._shown: frozenset[DeliveryId] = frozenset()
        self._unproved: dict[str, DeliveryId] = {}  # message id → delivery, oldest first
        self._patience_s: float | None = None
        self._impatient: Callable[[], Effects] = _nothing

    # -- life ------------------------------------------------------------------------------

    def linked(self, info: LinkInfo) -> Effects:
        """Greet; a visitor who comes back is looked up before that, for at most 1 s."""
        hello = read_query(info.head.query)
        if hello is None:
            return super().linked(info)
        self._arrive(info)
        self._opt_in(hello.features)
        token = hello.session_token or ""
        if "session" not in self._features:
            return self._greet(self._greeting())
        if not is_token(token):
            return self._open(self._ids.token(), is_resumed=False, is_new=True)
        return self._look_up(token, hello.last_message_id or "")

    def tick(self) -> Effects:
        """Stop waiting for the store when the second is over; see to idleness."""
        if self._patience_s is None:
            return super().tick()
        effects: list[Effect] = []
        if self._clock.monotonic_s() >= self._patience_s:
            self._patience_s = None
            effects += self._impatient()
        effects += super().tick()
        self._arm()
        return effects

    def lost(self, error: TrunklineError) -> Effects:
        """The link died. What waited for the history was never written."""
        waiting = [
            Settled(delivery.id, Outcome.LATER)
            for delivery in self._sends or ()
            if type(delivery.what) is not Tell
        ]
        self._sends = self._early = self._patience_s = None
        self._finding.clear()
        return (*waiting, *super().lost(error))

    def _arm(self) -> None:
        """Wake for the earlier of the two: patience, idleness."""
        if self._state is LinkState.CLOSED:
            return
        due_s = self._patience_s
        if self._idle_s and self._state is LinkState.READY:
            idle_s = self._last_frame_s + self._idle_s
            due_s = idle_s if due_s is None else min(due_s, idle_s)
        self.wake_at = due_s

    # -- the session -----------------------------------------------------------------------

    def _opt_in(self, asked: tuple[str, ...] | None) -> None:
        self._is_opted = True
        self._features = grant(asked)

    def _look_up(self, token: str, last_message_id: str) -> Effects:
        """Ask whether the session exists; frames wait meanwhile."""
        self._early = deque()
        self._lookups += 1
        lookup = self._lookups

        def go_on(facts: object) -> Effects:
            # The answer may come after the second is over: then it is of no use any more.
            if self._early is None or lookup != self._lookups:
                return ()
            return self._found(token, last_message_id, facts)

        self._wait(lambda: go_on(None))
        return (self._find(FindChat(Chat("", KIND, derive_session_id(token))), go_on),)

    def _found(self, token: str, last_message_id: str, facts: object) -> Effects:
        """Open the session that was asked for, or a new one, then take what waited.

        When the store does not say, the visitor keeps its token: its chat must not be lost over a
        slow second. The messages of a made-up token are then merely those of a new session.
        """
        self._patience_s = None
        now_ms = self._clock.now_ms()
        is_known, is_resumed, taken_by = True, False, None
        if isinstance(facts, ChatFacts):
            is_known = is_resumed = facts.exists and now_ms - facts.last_ms <= SESSION_MS
            taken_by = facts.taken_by if facts.taken_until_ms > now_ms else None
        effects = list(
            self._open(
                token if is_known else self._ids.token(), is_resumed=is_resumed, is_new=not is_known
            )
        )
        if is_resumed and taken_by is not None:
            effects.append(Transmit(encode(Joined(taken_by, self._stamps.now()))))
        asked: list[Effect] = []
        if is_resumed and self._past is not None:
            self._sends = deque()
            self._wait(self._flush)
            asked.append(self._find(self._past.resume(last_message_id), self._take_resumed))
        early, self._early, self._early_bytes = self._early or (), None, 0
        for data, is_text in early:
            effects += self.receive(data, is_text=is_text)
        self._arm()
        return [*effects, *asked]  # the question last: its answer may come while it is applied

    def _open(self, token: str, *, is_resumed: bool, is_new: bool) -> Effects:
        """Tell the visitor its session and take the seat."""
        self._token, self._is_resumed = token, is_resumed
        owner = derive_session_id(token)
        self._own(owner)
        self._past = Past(self._chat, self._options.language) if self._has("history") else None
        seat = Seat(owner, sharing=Sharing.JOIN, is_new=is_new)
        if self._state is LinkState.READY:  # the greeting is out: `hello` or `resume` is answered
            first = encode(self._hello_ack(is_resumed=is_resumed))
        else:
            self._state = move(self._state, LinkState.READY)
            first = encode(self._greeting(is_resumed=is_resumed))
        return (Transmit(first), Changed(LinkState.READY, seat))

    def _greeting(self, *, is_resumed: bool | None = None) -> Established:
        plain = super()._greeting()
        if not self._is_opted:
            return plain
        return Established(
            plain.message,
            plain.client_id,
            plain.timestamp,
            self._features,
            self._bounds(),
            self._owner if is_resumed is not None else "",
            self._token,
            is_resumed,
            HEARTBEAT_S,
        )

    def _hello_ack(self, *, is_resumed: bool | None = None) -> HelloAck:
        return HelloAck(
            self._stamps.now(),
            self._features,
            self._bounds(),
            self._client_id,
            self._owner if is_resumed is not None else "",
            self._token if is_resumed is not None else "",
            is_resumed,
            HEARTBEAT_S,
        )

    def _bounds(self) -> dict[str, int]:
        options = self._options
        return {
            "frame_bytes": options.max_message_bytes,
            "message_chars": options.message_chars,
            "history_items": MAX_PAGE,
        }

    def _has(self, feature: str) -> bool:
        return feature in self._features

    # -- asking ----------------------------------------------------------------------------

    def _find(self, request: Find, then: _Then) -> Ask:
        self._finds += 1
        tag = f"find:{self._finds}"
        self._finding[tag] = then
        return Ask(tag, request)

    def _wait(self, impatient: Callable[[], Effects]) -> None:
        self._impatient = impatient
        self._patience_s = self._clock.monotonic_s() + PATIENCE_S
        self._arm()

    def answered(self, tag: Tag, answer: object) -> Effects:
        """Go on with what the store says."""
        then = self._finding.pop(tag, None)
        if then is None:
            return super().answered(tag, answer)
        if self._state is LinkState.CLOSED or isinstance(answer, LinkError):
            return ()
        effects = then(answer)
        self._arm()
        return effects

    # -- what comes in ---------------------------------------------------------------------

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one frame, or let it wait while the session is looked up."""
        if self._early is not None and self._state is not LinkState.CLOSED:
            self._early_bytes += len(data)
            if len(self._early) >= HELD_FRAMES or self._early_bytes > HELD_BYTES:
                return (self._close(1013, "too many frames before the greeting"),)
            self._early.append((data, is_text))
            return ()
        effects = super().receive(data, is_text=is_text)
        self._is_fresh = self._is_fresh and self._was_hello
        self._was_hello = False
        return effects

    def _refuse(self, rejected: Rejected, data: bytes, *, is_text: bool) -> Effects:
        """Look at what a plain visitor may not send: an opted-in one, or a first frame, may."""
        kind = rejected.name
        if rejected.code != "unknown_type" or kind not in EXTENSION_TYPES:
            return super()._refuse(rejected, data, is_text=is_text)
        may = self._is_fresh if kind not in _NEEDS else self._has(_NEEDS[kind])
        if not may:
            return super()._refuse(rejected, data, is_text=is_text)
        frame = decode_extension(data)
        return self._reject(frame, kind) if isinstance(frame, Rejected) else self._take_extra(frame)

    def _take_extra(self, frame: Extension) -> Effects:
        if isinstance(frame, (Hello, Resume)):
            return self._take_hello(frame)
        if isinstance(frame, HistoryRequest):
            return self._take_history_request(frame)
        if not self._limits.may_pong(self._clock.monotonic_s()):
            return ()  # counted with the pings: ignored above the limit
        return self._take_typing(frame) if isinstance(frame, Typing) else self._take_read(frame)

    def _take_hello(self, frame: Hello | Resume) -> Effects:
        """Opt in by a first frame: grant, then look up or open a session.

        A session that was resumed stays: only the acknowledgement is said again.
        """
        self._was_hello = isinstance(frame, Hello)
        if not self._token:
            self._opt_in(frame.features if isinstance(frame, Hello) else None)
        token = frame.session_token or ""
        if not self._has("session"):
            return (Transmit(encode(self._hello_ack())),)
        if self._token and (self._is_resumed or not token):
            return (Transmit(encode(self._hello_ack(is_resumed=self._is_resumed))),)
        if is_token(token):
            return self._look_up(token, frame.last_message_id or "")
        return self._open(self._ids.token(), is_resumed=False, is_new=True)

    def _take_history_request(self, frame: HistoryRequest) -> Effects:
        past = self._past
        if past is None or past.is_busy:
            return self._reject(Rejected("server_busy"), "history_request")
        return (self._find(past.page(frame.before or "", frame.limit), self._take_past),)

    def _take_resumed(self, answer: object) -> Effects:
        """Send what was said while the visitor was away; without it, the visitor may page back."""
        if isinstance(answer, History):
            return self._take_past(answer)
        if self._past is not None:
            self._past.drop()
        return self._flush()

    def _take_past(self, answer: object) -> Effects:
        """Send the piece of history that came, then what waited for it."""
        past = self._past
        if past is None:
            return ()
        if not isinstance(answer, History):
            past.drop()
            code = "server_busy" if isinstance(answer, StoreError) else "internal"
            return self._reject(Rejected(code), "history_request")
        found = past.take(answer, self._stamps.now())
        if found is None:
            return self._reject(Rejected("invalid_field", "before"), "history_request")
        if not isinstance(found, Piece):
            return (self._find(found, self._take_past),)
        self._shown |= found.waiting
        seen = frozenset(item.message_id for item in found.frame.messages)
        return (Transmit(encode(found.frame)), *self._flush(seen))

    def _take_typing(self, frame: Typing) -> Effects:
        return (Received(typing_event(self._chat, "user", is_active=frame.active)),)

    def _take_read(self, frame: Read) -> Effects:
        """Everything up to this message was seen: that proves the deliveries up to it."""
        effects: list[Effect] = []
        if frame.message_id in self._unproved:
            ident = ""
            while ident != frame.message_id:
                ident = next(iter(self._unproved))
                effects.append(Settled(self._unproved.pop(ident), Outcome.CONFIRMED, ident))
        effects.append(Received(read_event(self._chat, "user", frame.message_id)))
        return effects

    # -- what goes out ---------------------------------------------------------------------

    def send(self, delivery: Delivery) -> Effects:
        """Say something, or show what happened elsewhere. Until the history is out it waits."""
        if not self._is_opted or self._state is not LinkState.READY:
            return super().send(delivery)
        if self._sends is not None:
            is_told = type(delivery.what) is Tell
            if len(self._sends) >= WAITING_SENDS:
                return (Settled(delivery.id, Outcome.SENT if is_told else Outcome.LATER),)
            self._sends.append(delivery)
            return (Settled(delivery.id, Outcome.SENT),) if is_told else ()
        what = delivery.what
        if type(what) is Tell:
            return (*self._tell(what, frozenset()), Settled(delivery.id, Outcome.SENT))
        return self._say(delivery)

    def _say(self, delivery: Delivery) -> Effects:
        if delivery.id in self._shown:
            # It was in the history that this link got: the visitor has it (contact 9.1).
            self._shown -= {delivery.id}
            return (Settled(delivery.id, Outcome.SENT, derive_delivery_uuid(delivery.id)),)
        effects = super().send(delivery)
        if self._has("read"):
            for effect in effects:
                if type(effect) is Settled and effect.outcome is Outcome.SENT:
                    self._unproved[effect.peer_id] = delivery.id
                    if len(self._unproved) > UNPROVED:
                        del self._unproved[next(iter(self._unproved))]
        return effects

    def _flush(self, seen: frozenset[str] = frozenset()) -> Effects:
        """Send what waited for the history, without what was in it."""
        sends, self._sends = self._sends, None
        self._patience_s = None
        if sends is None:
            return ()
        effects: list[Effect] = []
        for delivery in sends:
            what = delivery.what
            effects += self._tell(what, seen) if type(what) is Tell else self._say(delivery)
        return effects

    def _tell(self, what: Tell, seen: frozenset[str]) -> Effects:
        """Show what happened on another link of this seat, or what a person of ours did."""
        told = what.told
        if isinstance(told, HistoryItem) and message_id_of(told) in seen:
            return ()
        frame = to_visitor(told, self._features, self._options.language, self._stamps.now())
        return () if frame is None else (Transmit(encode(frame)),)
