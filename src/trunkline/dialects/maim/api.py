"""The API-Server line: the classic session inside envelopes, with acknowledgements both ways.

What is said and to whom is decided by the core or adapter session of the classic line, which is
inside and sees classic frames only. Around it: every frame with an id gets exactly one `sys_ack`,
after the commit when it is stored; a delivery is CONFIRMED by the peer's `sys_ack`, and until then
it is pending. The peer drops a second copy by its `msg_id`, which is the same at every attempt, so
what is unclear when a link dies may be sent again. Source: maim 9, reliability 1
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import msgspec

from trunkline.dialects.contract import (
    Changed,
    Dial,
    Effect,
    Effects,
    Head,
    LinkInfo,
    Noticed,
    Opening,
    Received,
    Settled,
    Sharing,
    Tag,
    Transmit,
)
from trunkline.dialects.maim import envelope
from trunkline.dialects.maim.blocks import MAX_ID_CHARS
from trunkline.dialects.maim.envelope import ACK, CUSTOM, STANDARD, SYSTEM, Envelope, Us
from trunkline.dialects.maim.frames import fingerprint
from trunkline.dialects.maim.identity import (
    api_key_of,
    api_platform_of,
    format_message_id,
    utf8,
    utf8_of,
)
from trunkline.dialects.maim.options import MaimOptions
from trunkline.dialects.maim.session import MaimSession, configured_headers, to_notice
from trunkline.errors import LocalProtocolError, TrunklineError, WireMalformed
from trunkline.ids import DeliveryId
from trunkline.model.delivery import Delivery, Outcome
from trunkline.model.event import Fleeting

UNACKNOWLEDGED: Final = 1000  # the package remembers as many. Source: maim 9.2
FULL_WAIT_S: Final = 1.0
ACK_WAIT_S: Final = 30.0
REPEATS: Final = 1  # on one link; after a new link it is sent again in any case. Source: maim 9.2


class _Pending(msgspec.Struct, frozen=True, gc=False):
    delivery_id: DeliveryId
    attempt: int
    until_s: float


class ApiSession:
    """One connection of the API-Server line, in either role.

    Args:
        options: of the line.
        opening: clock and ids.
        inner: the classic session of our role, fresh.
    """

    def __init__(self, options: MaimOptions, opening: Opening, inner: MaimSession) -> None:
        self.wake_at: float | None = None
        self._options = options
        self._clock = opening.clock
        self._ids = opening.ids
        self._is_core = opening.role == "core"
        self._inner = inner
        self._us = Us("server" if self._is_core else "client", "", "", "")
        self._mark = ""
        self._is_open = False
        self._pending: dict[str, _Pending] = {}  # by msg_id, in the order of writing

    # -- life --------------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Dial with this line's headers when the role dials. Source: maim 9.1

        The connection id is a new one each time: a core of the package forgets the *new* connection
        of an id when the late end of the old one comes, and would never answer again.
        """
        return [
            self._dial(effect) if type(effect) is Dial else effect
            for effect in self._inner.begin(kept)
        ]

    def _dial(self, dial: Dial) -> Dial:
        options, key, uuid = self._options, self._options.dialled_key, self._ids.uuid()
        self._us = Us(self._us.side, options.platform, key, uuid)
        own = {"x-uuid": uuid, "x-apikey": key, "x-platform": options.platform}
        url = dial.url
        if not options.platform.isascii():
            # The package reads a header as latin-1, but a query as UTF-8. Source: maim 2.2, 9.1
            url += f"{'&' if '?' in url else '?'}platform={quote(options.platform, safe='')}"
        headers = configured_headers(options) | own
        return msgspec.structs.replace(dial, url=url, headers=headers)

    def linked(self, info: LinkInfo) -> Effects:
        """Take the seat, together with the platform's other connections. Source: maim 9.3

        A connection of the same id is the same client come back: it replaces the older.
        """
        head = info.head
        if self._is_core and not info.is_dialled:
            platform = api_platform_of(head)
            # The query is decoded already, a header would be read as latin-1.
            info = LinkInfo(Head(head.path, {"platform": platform}))
        else:
            platform = self._options.platform
        if not info.is_dialled:
            uuid = utf8_of(head.headers.get("x-uuid", ""))[:MAX_ID_CHARS]
            self._us = Us(self._us.side, platform, api_key_of(head), uuid or self._ids.uuid())
        name = f"{self._us.side}\0{platform}\0{self._us.key}"
        # Peers remember ids of all their connections together, so ours must differ from those of
        # another trunkline that made a delivery in the same millisecond.
        self._mark = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        effects = [self._join(effect) for effect in self._inner.linked(info)]
        self._is_open = True
        return effects

    def _join(self, effect: Effect) -> Effect:
        if type(effect) is not Changed or effect.seat is None or not self._is_core:
            return effect
        seat = msgspec.structs.replace(effect.seat, sharing=Sharing.JOIN, link_id=self._us.uuid)
        return Changed(effect.state, seat)

    def finish(self) -> Effects:
        """Go away; what the peer has not acknowledged is settled when the link is gone."""
        self._is_open = False
        self.wake_at = None
        return self._inner.finish()

    def lost(self, error: TrunklineError) -> Effects:
        """Settle what the peer has not acknowledged: it is sent again, under the same id."""
        self._is_open = False
        self.wake_at = None
        unclear = [
            Settled(
                one.delivery_id, Outcome.UNCERTAIN, detail="not acknowledged", is_repeatable=True
            )
            for one in self._pending.values()
        ]
        self._pending.clear()
        return [*unclear, *self._inner.lost(error)]

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Refuse: a maim session asks nothing."""
        return self._inner.answered(tag, answer)

    # -- receiving ---------------------------------------------------------------------------

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take one frame. What is not stored is acknowledged at once. Source: maim 9.2"""
        if not self._is_open:
            return ()
        if not is_text:
            return (Noticed("rejected:binary_frame", fingerprint(data)),)
        try:
            frame = envelope.decode(data)
        except WireMalformed as error:
            return (Noticed(f"rejected:{error.reason}", fingerprint(data)),)
        if frame.type == ACK:
            return self._acknowledged(frame.acked)
        effects: list[Effect] = []
        try:
            effects += self._open(frame)
        except WireMalformed as error:
            effects.append(Noticed(f"rejected:{error.reason}", fingerprint(data)))
        if frame.msg_id and not any(type(effect) is Received for effect in effects):
            effects.append(self._ack(frame.msg_id))
        return effects

    def stored(self, receipt: Any) -> Effects:
        """Acknowledge: it is committed, or was already there. Source: maim 9.2, reliability 1"""
        return (self._ack(receipt),) if self._is_open else ()

    def _open(self, frame: Envelope) -> list[Effect]:
        """Have the classic session read what is inside.

        Raises:
            WireMalformed: it is acknowledged and dropped.
        """
        if len(frame.msg_id) > MAX_ID_CHARS:
            raise WireMalformed("id_too_long")
        if frame.type == STANDARD:
            envelope.check_message(frame.payload)
            classic = frame.payload
        elif frame.type.startswith(CUSTOM):
            classic = envelope.to_classic_custom(frame, self._us.platform)
        elif frame.type.startswith(SYSTEM):
            return []  # reserved. Source: maim 9.2
        else:
            raise WireMalformed("unknown_type")
        effects: list[Effect] = []
        events = 0
        for effect in self._inner.receive(classic, is_text=True):
            if type(effect) is Settled:
                effects.append(self._echoed(effect, frame))
            else:
                effects.append(effect)
            last = effects[-1]
            if type(last) is Received:
                effects[-1] = self._keyed(last, frame, events)
                events += 1
        return effects

    def _keyed(self, received: Received, frame: Envelope, nth: int) -> Received:
        """Give an event the key and the receipt of its frame. Source: maim 9.2

        The key is the `msg_id` alone: who sends a frame again may write another time into it.
        """
        event = received.event
        if not frame.msg_id or type(event) is Fleeting:
            return received
        key: bytes | None = None
        if self._options.dedupe:
            key = b"=" + utf8(frame.msg_id) + (b"#%d" % nth if nth else b"")
        return Received(msgspec.structs.replace(event, key=key), frame.msg_id)

    def _echoed(self, settled: Settled, frame: Envelope) -> Effect:
        """Take an echo as the proof while none has come; else tell of it as of any custom message.

        Adapters echo after they have sent, which is usually after their acknowledgement.
        """
        if self._pending.pop(self._msg_id(settled.delivery_id), None) is not None:
            return settled
        return Received(to_notice(self._us.platform, frame.type[len(CUSTOM) :], frame.payload))

    def _ack(self, msg_id: str) -> Transmit:
        now_s = self._clock.now_ms() / 1000
        return Transmit(envelope.encode_ack(self._us, self._ids.uuid(), msg_id, now_s))

    # -- sending -----------------------------------------------------------------------------

    def send(self, delivery: Delivery) -> Effects:
        """Write a message or an action. Its fate is known when the peer acknowledges."""
        if not self._is_open:
            raise LocalProtocolError("the connection is not open, it cannot send")
        if len(self._pending) >= UNACKNOWLEDGED:
            return (Settled(delivery.id, Outcome.LATER, wait_s=FULL_WAIT_S),)
        msg_id = self._msg_id(delivery.id)
        effects: list[Effect] = []
        for effect in self._inner.send(delivery):
            if type(effect) is Transmit:
                now_s = self._clock.now_ms() / 1000
                effects.append(Transmit(envelope.wrap(effect.data, self._us, msg_id, now_s)))
                self._expect(msg_id, delivery)
            elif type(effect) is not Settled or effect.outcome is not Outcome.SENT:
                effects.append(effect)
        return effects

    def tick(self) -> Effects:
        """Settle what a living peer does not acknowledge: repeated once, then held for a person.

        Source: maim 9.2, reliability 1
        """
        now_s = self._clock.monotonic_s()
        late = [(ident, one) for ident, one in self._pending.items() if one.until_s <= now_s]
        for ident, _ in late:
            del self._pending[ident]
        self.wake_at = next((one.until_s for one in self._pending.values()), None)
        return [
            Settled(
                one.delivery_id,
                Outcome.UNCERTAIN,
                detail=f"not acknowledged within {ACK_WAIT_S:.0f} s",
                is_repeatable=one.attempt <= REPEATS,
            )
            for _, one in late
        ]

    def _expect(self, msg_id: str, delivery: Delivery) -> None:
        until_s = self._clock.monotonic_s() + ACK_WAIT_S
        self._pending[msg_id] = _Pending(delivery.id, delivery.attempt, until_s)
        if self.wake_at is None:
            self.wake_at = until_s

    def _acknowledged(self, msg_id: str) -> Effects:
        one = self._pending.pop(msg_id, None)
        return () if one is None else (Settled(one.delivery_id, Outcome.CONFIRMED),)

    def _msg_id(self, delivery_id: DeliveryId) -> str:
        return f"{format_message_id(delivery_id)}-{self._mark}"
