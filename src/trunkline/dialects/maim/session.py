"""What both sessions of maim share: states, receiving, the one way to send.

Core and adapter exchange the same frames. They differ in whose chat a message belongs to and in
how a message of ours is addressed; those two are `_hear` and `_address` of `bot.py` and
`platform.py`. The classic line acknowledges nothing: an event carries no receipt, a delivery is
SENT when it is written. The peer may report the platform's own id later (`message_id_echo`): that
is the proof which makes it CONFIRMED. Source: maim 3, 5.2
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from trunkline.dialects.contract import (
    Again,
    Changed,
    Dial,
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
from trunkline.dialects.maim.blocks import GroupInfo, MessageInfo, UserInfo
from trunkline.dialects.maim.frames import (
    ChatFrame,
    CustomFrame,
    SegOut,
    decode,
    encode_chat,
    encode_custom,
    fingerprint,
)
from trunkline.dialects.maim.identity import (
    Context,
    complete_group,
    complete_user,
    decode_context,
    encode_context,
    parse_message_id,
    to_chat,
    to_key,
    to_person,
)
from trunkline.dialects.maim.options import MaimOptions
from trunkline.dialects.maim.translate import to_parts, to_segments
from trunkline.errors import LinkLost, LocalProtocolError, TrunklineError, WireMalformed
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, NoticeReceived
from trunkline.model.segment import Raw

ECHO: Final = "message_id_echo"
CUSTOM: Final = "custom:"
FRAME: Final = "frame"
MAX_FRAME_BYTES: Final = 95 << 20  # deployed adapters send no more. Source: maim 2.6
LARGE_FRAME_BYTES: Final = 1 << 20  # Source: maim 2.6
MAX_ACCEPT: Final = 64
# Reasons of a close 1000 that mean: another connection has our platform now. The second is how the
# published package begins its own. Source: maim 2.5
# How the package's API-Server closes 1000 on a wrong key. Source: maim 9.1
API_REFUSED: Final = "Authentication failed"
_REPLACED: Final = ("replaced", "新的连接", "新连接")
SENT_IDS: Final = 256

TRANSITIONS: Final[Mapping[LinkState, frozenset[LinkState]]] = {
    LinkState.OPENING: frozenset({LinkState.READY, LinkState.CLOSED}),
    LinkState.READY: frozenset({LinkState.CLOSED}),
    LinkState.CLOSED: frozenset(),
}

# Read once: looking a member up in its Enum costs as much as making a struct.
_READY: Final = LinkState.READY
_SENT: Final = Outcome.SENT


class MaimSession(ABC):
    """One connection.

    Args:
        options: of the line.
        opening: clock and ids.
        accept: the kinds that the peer takes until it says otherwise.
    """

    wake_at: float | None = None  # no timer is ever set
    # Whether an `accept_format` of the peer replaces `accept`.
    _heeds_accept: ClassVar[bool]

    def __init__(self, options: MaimOptions, opening: Opening, accept: frozenset[str]) -> None:
        self._options = options
        self._clock = opening.clock
        self._state = LinkState.OPENING
        self._platform = ""
        self._accept = accept
        self._accept_list: list[str] | None = None
        self._accept_words: str | None = None
        self._sent: deque[DeliveryId] = deque(maxlen=SENT_IDS)
        self._warned: set[str] = set()

    # -- the nine verbs ----------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Dial the peer, unless it dials us; nothing is kept between links.

        Header values are text; who writes them encodes.
        """
        options = self._options
        if options.link == "listen":
            return ()
        headers = configured_headers(options)
        headers["platform"] = options.platform
        if options.tokens:
            headers["authorization"] = options.tokens[0]  # bare. Source: maim 2.2
        return (Dial(options.url, headers, None, options.max_message_bytes),)

    @abstractmethod
    def linked(self, info: LinkInfo) -> Effects:
        """Take the seat."""

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one frame. A bad one is dropped and counted, the link stays. Source: maim 3.1"""
        if self._state is not _READY:
            return ()  # what was on its way when we closed
        if not is_text:
            return (Noticed("rejected:binary_frame", fingerprint(data)),)
        try:
            frame = decode(data)
        except WireMalformed as error:
            return (Noticed(f"rejected:{error.reason}", fingerprint(data)),)
        if isinstance(frame, CustomFrame):
            return (self._settle_echo(frame) or Received(self._to_notice(frame)),)
        return self._take(frame)

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Refuse: a maim session asks nothing."""
        raise LocalProtocolError("a maim session asks nothing")

    def stored(self, receipt: Any) -> Effects:
        """Do nothing: the classic line has no acknowledgement. Source: maim 3"""
        return ()

    def send(self, delivery: Delivery) -> Effects:
        """Write a message or an action; it is settled at once."""
        if self._state is not _READY:
            raise LocalProtocolError(f"the session is {self._state.value}, it cannot send")
        what = delivery.what
        if type(what) is Say:
            return self._say(delivery, what)
        if type(what) is Act:
            return self._act(delivery, what)
        return _refused(delivery, "maim cannot carry this")

    def tick(self) -> Effects:
        """Do nothing: no timer is ever set."""
        return ()

    def finish(self) -> Effects:
        """Go away. Source: maim 8"""
        if self._state is LinkState.CLOSED:
            return ()
        self._state = LinkState.CLOSED
        return (Changed(LinkState.CLOSED), Hangup(1001, "going away"))

    def lost(self, error: TrunklineError) -> Effects:
        """Close. Nothing is pending: what was written is settled already.

        When we dialled, say why we come back: the wait depends on it. Source: maim 7
        """
        if self._state is LinkState.CLOSED:
            return ()
        self._state = LinkState.CLOSED
        if self._options.link == "listen":
            return (Changed(LinkState.CLOSED),)
        code, reason = (error.code, error.reason) if isinstance(error, LinkLost) else (1006, "")
        return (Changed(LinkState.CLOSED), Hangup(code, "", Again(cause_of(code, reason))))

    # -- what the roles differ in ------------------------------------------------------------

    @abstractmethod
    def _hear(self, info: MessageInfo) -> tuple[UserInfo | None, GroupInfo | None, UserInfo | None]:
        """Return the conversation's user and group, and who spoke."""

    @abstractmethod
    def _address(self, delivery: Delivery, context: Context, parts: list[SegOut]) -> MessageInfo:
        """Build the information block of a message of ours."""

    # -- inside ------------------------------------------------------------------------------

    def _sit(self, platform: str) -> Effects:
        """Become ready on a platform; a newer connection replaces an older. Source: maim 2.5"""
        if self._state is not LinkState.OPENING:
            raise LocalProtocolError(f"the session is {self._state.value}, it has a link")
        self._state = LinkState.READY
        self._platform = platform
        return (Changed(LinkState.READY, Seat(platform, platform, sharing=Sharing.REPLACE)),)

    def _take(self, frame: ChatFrame) -> Effects:
        info = frame.info
        platform = self._platform
        odd = list(frame.warnings)
        foreign = ""
        if info.platform != platform:  # Source: maim 5.2
            if info.platform:
                odd.append("platform_mismatch")
                foreign = info.platform
            else:
                odd.append("platform_from_connection")
        if info.format_info is not None and self._heeds_accept:
            self._note_accept(info.format_info.accept_format)
        user, group, author = self._hear(info)
        context = Context(
            foreign,
            info.message_id or "",
            complete_user(user, platform),
            complete_group(group, platform),
            self._accept_words,
            info.template_info,
            info.additional_config,
        )
        event = MessageReceived(
            to_chat(platform, user, group),
            to_person(author),
            to_segments(frame.parts, odd),
            to_key(frame, self._clock) if self._options.dedupe else None,
            info.message_id or "",
            frame.at_ms,
            "",
            encode_context(context),
        )
        if not odd and type(event.segments[0] if event.segments else None) is not Raw:
            return (Received(event),)
        effects: list[Effect] = [Received(each) for each in split_notices(event)]
        self._warn(odd, effects)
        return effects

    def _note_accept(self, kinds: list[str] | None) -> None:
        if kinds is not None and kinds != self._accept_list:
            self._accept_list = kinds
            self._accept_words = " ".join(kinds[:MAX_ACCEPT])
            self._accept = frozenset(self._accept_words.split())

    def _warn(self, odd: list[str], effects: list[Effect]) -> None:
        """Tell each word once a connection: an adapter that omits a time omits it every time."""
        for word in odd:
            if word not in self._warned:
                self._warned.add(word)
                effects.append(Noticed(f"warned:{word}", f"platform {self._platform}"))

    def _to_notice(self, frame: CustomFrame) -> NoticeReceived:
        return to_notice(self._platform, frame.name, frame.content)

    def _settle_echo(self, frame: CustomFrame) -> Settled | None:
        """Return the proof that an echo is, or None when it names nothing sent over this link."""
        if frame.name != ECHO:
            return None
        try:
            echo = _echo_decoder.decode(frame.content)
        except msgspec.DecodeError:
            return None
        ident = parse_message_id(str(echo.echo))
        if ident is None or ident not in self._sent:
            return None
        self._sent.remove(ident)
        return Settled(ident, Outcome.CONFIRMED, peer_id=str(echo.actual_id)[:512])

    def _say(self, delivery: Delivery, what: Say) -> Effects:
        if delivery.chat.kind not in ("private", "group"):
            return _refused(delivery, f"maim has no {delivery.chat.kind!r} chats")
        context = decode_context(delivery.context)
        accept = self._accept
        if self._accept_list is None and context.accept is not None and self._heeds_accept:
            accept = frozenset(context.accept.split())  # said before a restart of ours
        parts = to_parts(what.segments, accept)
        if not parts:
            return _refused(delivery, "nothing in it that the peer could show")
        effects = _written(delivery, encode_chat(self._address(delivery, context, parts), parts))
        if type(effects[0]) is Transmit:
            self._sent.append(delivery.id)
        return effects

    def _act(self, delivery: Delivery, act: Act) -> Effects:
        """Do `message_id_echo` with its two ids, or any `custom:NAME`. Source: maim 5.2, 6

        `frame` writes a frame as the embedding program made it, so that nothing of it is lost.
        """
        if act.name == FRAME:
            try:
                decode(act.data)
            except WireMalformed as error:
                return _refused(delivery, f"this is no maim frame: {error}")
            return _written(delivery, act.data)
        name = act.name.removeprefix(CUSTOM)
        try:
            if act.name == ECHO:
                echo = _echo_decoder.decode(act.data)
                content = _encode(_EchoOut(str(echo.echo), str(echo.actual_id)))
            elif name and name != act.name:
                content = _encode(_any_decoder.decode(act.data))
            else:
                return _refused(delivery, f"maim has no action {act.name!r}")
        except msgspec.DecodeError:
            return _refused(delivery, f"the data of {act.name!r} is not what it needs")
        now_s = self._clock.monotonic_s()
        return _written(delivery, encode_custom(name, self._platform, content, now_s))


def cause_of(code: int, reason: str) -> str:
    """Return the row of the retry table for a close. Source: maim 7, 9.1"""
    if code == 1008 or (code == 1000 and reason.startswith(API_REFUSED)):
        return "auth"
    if code == 1000 and any(word in reason for word in _REPLACED):
        return "replaced"
    return "lost"


def configured_headers(options: MaimOptions) -> dict[str, str]:
    """Return the headers that the configuration adds to a dial, in clear."""
    return {name: value.get_secret_value() for name, value in options.headers.items()}


def to_notice(platform: str, name: str, content: bytes) -> NoticeReceived:
    """Return a custom message as a named event of the connection itself. Source: maim 6"""
    return NoticeReceived(Chat(platform, "platform", platform), CUSTOM + name, data=content)


# -- echoes ------------------------------------------------------------------------------------


class _Echo(msgspec.Struct, frozen=True, gc=False):
    echo: str | int = ""
    actual_id: str | int = ""


class _EchoOut(msgspec.Struct, frozen=True, gc=False):
    echo: str
    actual_id: str
    type: str = "echo"


class _Notice(msgspec.Struct, frozen=True, gc=False):
    sub_type: str = ""


_echo_decoder = msgspec.json.Decoder(_Echo)
_notice_decoder = msgspec.json.Decoder(_Notice)
_any_decoder = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


# -- notices -----------------------------------------------------------------------------------


def split_notices(message: MessageReceived) -> list[MessageReceived | NoticeReceived]:
    """Return a message as it is, or one notice for each segment when all are `notify`."""
    segments = message.segments
    notices = [part for part in segments if type(part) is Raw and part.kind == "notify"]
    if not notices or len(notices) < len(segments):
        return [message]
    key = message.key
    return [
        NoticeReceived(
            message.chat,
            _name_notice(part.data),
            message.sender,
            part.data,
            # One unique key an event: the second notice of a message needs its own.
            key + b"#%d" % nth if key is not None and nth else key,
            message.peer_id,
            message.at_ms,
            message.context,
        )
        for nth, part in enumerate(notices)
    ]


def _name_notice(data: bytes) -> str:
    try:
        return _notice_decoder.decode(data).sub_type[:128] or "notify"
    except msgspec.DecodeError:
        return "notify"


# -- fates -------------------------------------------------------------------------------------


def _written(delivery: Delivery, data: bytes) -> list[Effect]:
    size = len(data)
    if size > MAX_FRAME_BYTES:
        return _refused(delivery, f"{size} bytes are more than a maim peer takes")
    effects: list[Effect] = [Transmit(data), Settled(delivery.id, _SENT)]
    if size > LARGE_FRAME_BYTES:
        effects.append(Noticed("large-frame", f"{size} bytes sent"))
    return effects


def _refused(delivery: Delivery, why: str) -> list[Effect]:
    return [Settled(delivery.id, Outcome.REFUSED, detail=why)]
