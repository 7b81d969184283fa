"""The session with an operator: a person of ours who sees chats and may take them (`contact 9.3`).

Every request becomes one question to the house, every answer one frame. What happens in a watched
chat arrives as `Tell`. An operator is no visitor: deliveries of messages never go over this link.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Any, Final

import msgspec

from trunkline.dialects.contact.extension import Joined, Left
from trunkline.dialects.contact.frames import Ping, Pong, Rejected, encode
from trunkline.dialects.contact.operator_frames import (
    Auth,
    AuthOk,
    BroadcastMessage,
    BroadcastResult,
    CloseSession,
    Done,
    OperatorHistory,
    OperatorMessage,
    OperatorRead,
    OperatorTyping,
    Release,
    SessionOut,
    Sessions,
    SessionsOut,
    TakeOver,
    Trouble,
    Unwatch,
    Watch,
    Watched,
    decode_operator,
)
from trunkline.dialects.contact.options import ContactOptions
from trunkline.dialects.contact.past import Past, Piece, to_item
from trunkline.dialects.contact.session import Stamps, format_instant, move
from trunkline.dialects.contact.told import read_event, to_fleeting, typing_event
from trunkline.dialects.contact.translate import KIND, WORDS, derive_delivery_uuid
from trunkline.dialects.contract import (
    Ask,
    Changed,
    Do,
    DoBroadcast,
    DoClose,
    DoRelease,
    DoSend,
    DoTakeOver,
    DoWatch,
    Effects,
    Find,
    FindChats,
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
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Tell
from trunkline.model.history import ChatFacts, History, HistoryItem, TakeoverChanged
from trunkline.model.segment import Text

AUTH_S: Final = 5.0  # Source: contact 9.3
MAX_ASKS: Final = 64  # requests that wait for their answer
MAX_SESSIONS: Final = 100
LAST_CHARS: Final = 200  # of the last text, in the list
SEAT: Final = "operator:"  # begins the seat of every operator; no visitor's id does


def is_operator(options: ContactOptions, token: str) -> bool:
    """Whether this is the operator token; the time does not tell how near it was."""
    secret = options.operator_token
    if secret is None:
        return False
    given = token.encode("utf-8", "surrogatepass")
    return compare_digest(given, secret.get_secret_value().encode())


class OperatorSession:
    """One operator on one link.

    Args:
        options: of the line.
        opening: kind `operator` when the upgrade carried the token; clock and ids.
    """

    def __init__(self, options: ContactOptions, opening: Opening) -> None:
        self.wake_at: float | None = None
        self._options = options
        self._clock = opening.clock
        self._ids = opening.ids
        self._is_known = opening.kind == "operator"
        self._stamps = Stamps(opening.clock)
        self._words = WORDS[options.language]
        self._state = LinkState.OPENING
        self._name = ""
        self._asks: dict[Tag, tuple[str, str, Callable[[Any], Effects]]] = {}
        self._asked = 0
        self._take: dict[type, Callable[[Any], Effects]] = {
            Sessions: self._take_sessions,
            Watch: self._take_watch,
            Unwatch: self._take_unwatch,
            TakeOver: self._take_takeover,
            Release: self._take_release,
            OperatorMessage: self._take_message,
            BroadcastMessage: self._take_broadcast,
            CloseSession: self._take_close,
            OperatorHistory: self._take_history,
            OperatorTyping: self._take_typing,
            OperatorRead: self._take_read,
            Ping: self._take_ping,
            Auth: self._take_auth,
        }

    # -- life ------------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Do nothing: an operator leaves nothing to be kept."""
        del kept
        return ()

    def linked(self, info: LinkInfo) -> Effects:
        """Let in who showed the token; anybody else has 5 s to do so."""
        self._name = info.head.query.get("name", "")[:64]
        if self._is_known:
            return self._let_in()
        self.wake_at = self._clock.monotonic_s() + AUTH_S
        return ()

    def _let_in(self) -> Effects:
        self._state = move(self._state, LinkState.READY)
        self.wake_at = None
        seat = Seat(
            SEAT + self._ids.uuid(), sharing=Sharing.JOIN, is_new=True, is_brief=True, is_staff=True
        )
        return (Transmit(encode(AuthOk(self._stamps.now()))), Changed(LinkState.READY, seat))

    def tick(self) -> Effects:
        """Close a link that never showed a token."""
        if self.wake_at is None or self._clock.monotonic_s() < self.wake_at:
            return ()
        return self._deny()

    def _deny(self) -> Effects:
        return (Noticed("auth-failed"), self._close(1008, "operator token is missing or wrong"))

    def finish(self) -> Effects:
        """Close with 1001 (`contact 7`)."""
        return () if self._state is LinkState.CLOSED else (self._close(1001, "server stops"),)

    def lost(self, error: TrunklineError) -> Effects:
        """The link died; nothing can be pending."""
        del error
        self._state = move(self._state, LinkState.CLOSED)
        self.wake_at = None
        self._asks.clear()
        return (Changed(LinkState.CLOSED),)

    def _close(self, code: int, reason: str) -> Hangup:
        self._state = move(self._state, LinkState.CLOSED)
        self.wake_at = None
        return Hangup(code, reason)

    # -- what comes in ---------------------------------------------------------------------

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one request. Before the token is shown, only `auth` is one."""
        del is_text
        if self._state is LinkState.CLOSED:
            return ()
        frame = decode_operator(data)
        if self._state is LinkState.OPENING:
            if isinstance(frame, Auth) and is_operator(self._options, frame.token):
                self._name = frame.name or self._name
                return self._let_in()
            return self._deny()
        if isinstance(frame, Rejected):
            return self._reject(frame)
        return self._take[type(frame)](frame)

    def _take_auth(self, frame: Auth) -> Effects:
        """Again: the name may change, nothing else."""
        self._name = frame.name or self._name
        return (Transmit(encode(AuthOk(self._stamps.now()))),)

    def _take_ping(self, frame: Ping) -> Effects:
        del frame
        return (Transmit(encode(Pong(self._stamps.now()))),)

    def _take_sessions(self, frame: Sessions) -> Effects:
        limit = min(max(frame.limit, 1), MAX_SESSIONS)
        return self._ask("sessions", "", FindChats(limit), self._list)

    def _take_watch(self, frame: Watch) -> Effects:
        return self._do("watch", frame.session_id, DoWatch(_chat(frame.session_id)))

    def _take_unwatch(self, frame: Unwatch) -> Effects:
        return self._do("unwatch", frame.session_id, DoWatch(_chat(frame.session_id), is_on=False))

    def _take_takeover(self, frame: TakeOver) -> Effects:
        request = DoTakeOver(_chat(frame.session_id), frame.name or self._name, frame.for_s)
        return self._do("takeover", frame.session_id, request)

    def _take_release(self, frame: Release) -> Effects:
        return self._do("release", frame.session_id, DoRelease(_chat(frame.session_id)))

    def _take_message(self, frame: OperatorMessage) -> Effects:
        limit = self._options.message_chars
        kind, where = "operator_message", frame.session_id
        if limit and len(frame.message) > limit:
            return self._trouble(Rejected("message_too_long", "message", str(limit)), kind, where)
        name = frame.name or self._name
        request = DoSend(_chat(where), (Text(frame.message),), name)

        def said(answer: int) -> Effects:
            ident = derive_delivery_uuid(DeliveryId(answer))
            done = Done(kind, self._stamps.now(), where, ident, frame.client_message_id)
            return (Transmit(encode(done)),)

        return self._ask(kind, where, request, said)

    def _take_broadcast(self, frame: BroadcastMessage) -> Effects:
        limit = self._options.message_chars
        if limit and len(frame.message) > limit:
            return self._trouble(Rejected("message_too_long", "message", str(limit)), "broadcast")

        def counted(answer: tuple[int, int]) -> Effects:
            delivered, failed = answer
            result = BroadcastResult(delivered, failed, self._stamps.now())
            return (Transmit(encode(result)),)

        return self._ask("broadcast", "", DoBroadcast((Text(frame.message),)), counted)

    def _take_close(self, frame: CloseSession) -> Effects:
        where = frame.session_id

        def closed(answer: int) -> Effects:
            done = Done("close_session", self._stamps.now(), where, closed=answer)
            return (Transmit(encode(done)),)

        return self._ask("close_session", where, DoClose(_chat(where)), closed)

    def _take_history(self, frame: OperatorHistory) -> Effects:
        where = frame.session_id
        past = Past(_chat(where), self._options.language)

        def found(answer: History) -> Effects:
            piece = past.take(answer, self._stamps.now())
            if piece is None:
                return self._trouble(Rejected("invalid_field", "before"), "history_request", where)
            if isinstance(piece, Piece):
                shown = msgspec.structs.replace(piece.frame, session_id=where)
                return (Transmit(encode(shown)),)
            return self._ask("history_request", where, piece, found)

        request = past.page(frame.before or "", frame.limit)
        return self._ask("history_request", where, request, found)

    def _take_typing(self, frame: OperatorTyping) -> Effects:
        chat = _chat(frame.session_id)
        return (Received(typing_event(chat, "operator", is_active=frame.active)),)

    def _take_read(self, frame: OperatorRead) -> Effects:
        chat = _chat(frame.session_id)
        return (Received(read_event(chat, "operator", frame.message_id)),)

    # -- asking the house ------------------------------------------------------------------

    def _do(self, kind: str, session_id: str, request: Do) -> Effects:
        def done(answer: object) -> Effects:
            del answer
            return (Transmit(encode(Done(kind, self._stamps.now(), session_id))),)

        return self._ask(kind, session_id, request, done)

    def _ask(
        self, kind: str, session_id: str, request: Find | Do, then: Callable[[Any], Effects]
    ) -> Effects:
        if len(self._asks) >= MAX_ASKS:
            return self._trouble(Rejected("server_busy"), kind, session_id)
        self._asked += 1
        self._asks[self._asked] = (kind, session_id, then)
        return (Ask(self._asked, request),)

    def answered(self, tag: Tag, answer: object) -> Effects:
        """Tell the operator what became of a request."""
        asked = self._asks.pop(tag, None)
        if asked is None:
            raise LocalProtocolError(f"nobody asked {tag!r}")
        kind, session_id, then = asked
        if self._state is not LinkState.READY or isinstance(answer, LinkError):
            return ()
        if not isinstance(answer, TrunklineError):
            return then(answer)
        if isinstance(answer, StoreError):
            return self._trouble(Rejected("server_busy"), kind, session_id)
        if isinstance(answer, LocalProtocolError):
            return self._trouble(Rejected("internal"), kind, session_id)
        # What the house refuses it refuses for the chat: unknown, or too many watched.
        return self._trouble(Rejected("invalid_field", "session_id"), kind, session_id)

    def _list(self, chats: tuple[ChatFacts, ...]) -> Effects:
        sessions = tuple(self._entry(facts) for facts in chats)
        return (Transmit(encode(SessionsOut(sessions, self._stamps.now()))),)

    def _entry(self, facts: ChatFacts) -> SessionOut:
        last = to_item(facts.last, self._options.language) if facts.last is not None else None
        is_taken = facts.taken_until_ms > self._clock.now_ms()
        return SessionOut(
            facts.chat.id,
            "online" if facts.is_online else "offline",
            facts.unread,
            last.sender if last is not None else "",
            last.message[:LAST_CHARS] if last is not None else "",
            format_instant(facts.last_ms) if facts.last_ms else "",
            facts.taken_by if is_taken else None,
        )

    # -- what goes out ---------------------------------------------------------------------

    def stored(self, receipt: object) -> Effects:
        """Do nothing: an operator's requests are no events."""
        del receipt
        return ()

    def send(self, delivery: Delivery) -> Effects:
        """Show what happened in a watched chat; anything else is not for an operator."""
        if self._state is LinkState.OPENING:
            raise LocalProtocolError("asked to send before the operator was let in")
        what = delivery.what
        if type(what) is not Tell:
            detail = "an operator is told what happens, and sent nothing"
            return (Settled(delivery.id, Outcome.REFUSED, detail=detail),)
        settled = Settled(delivery.id, Outcome.SENT)
        if self._state is LinkState.CLOSED:
            return (settled,)
        frame = self._show(what)
        return (settled,) if frame is None else (Transmit(encode(frame)), settled)

    def _show(self, what: Tell) -> object | None:
        told, now, where = what.told, self._stamps.now(), what.chat.id
        if isinstance(told, HistoryItem):
            item = to_item(told, self._options.language)
            return Watched(
                where,
                item.message,
                item.timestamp,
                item.sender,
                item.message_id,
                item.seq,
                item.sender_name,
                item.in_reply_to,
                item.client_message_id,
                item.kind,
            )
        if isinstance(told, TakeoverChanged):
            if told.is_taken:
                return Joined(told.name, now, where)
            return Left(now, told.name, told.reason, where)
        return to_fleeting(told, now, where)

    # -- troubles --------------------------------------------------------------------------

    def _reject(self, rejected: Rejected) -> Effects:
        return (*self._trouble(rejected), Noticed(f"rejected:{rejected.code}", "operator"))

    def _trouble(self, rejected: Rejected, kind: str = "", session_id: str = "") -> Effects:
        code = rejected.code
        about = rejected.name or rejected.field
        words = self._words.problems[code]
        trouble = Trouble(
            f"{words}: {about}" if about else words,
            self._stamps.now(),
            code,
            kind,
            session_id,
            rejected.field,
        )
        return (Transmit(encode(trouble)),)


def _chat(session_id: str) -> Chat:
    return Chat("", KIND, session_id)
