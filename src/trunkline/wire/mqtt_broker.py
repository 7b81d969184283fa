"""The broker's side of an MQTT connection: CONNACK, SUBACK, idle clients.

It knows no topics and no other clients: who gets a message is the caller's business. Imports
nothing of the house but its errors. Source: MQTT 3.1.1 chapter 3; boss 10.4
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trunkline.errors import LinkTimeout, LocalProtocolError, RemoteProtocolError

from .mqtt_codec import encode
from .mqtt_flow import ANSWER_MS, Flow, Happening, Left, State, Write
from .mqtt_packets import (
    PROTOCOLS,
    STRICT,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    PubRel,
    Quirks,
    Reserved,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from .mqtt_stream import MAX_PACKET_BYTES

IDLE_MS: Final = 60_000  # of a client without keepalive. Source: boss 10.4 (15)
MAX_CLIENT_ID_CHARS: Final = 23  # of version 3.1


class BrokerFlow(Flow):
    """The side that is connected to.

    `Connect` is the first happening: answer it with `accept` or `refuse` before the next one is
    looked at. A protocol or a client id that the standard refuses is refused here.

    Args:
        now_ms: when the link opened.
        quirks: what the client may do against the standard.
        max_bytes: the largest packet that is taken.
        in_flight: what an earlier connection of this client left behind.
        answers_pings: off = an emulator plays a broker that is stuck.
    """

    def __init__(
        self,
        now_ms: int,
        *,
        quirks: Quirks = STRICT,
        max_bytes: int = MAX_PACKET_BYTES,
        in_flight: Mapping[int, Publish] = MappingProxyType({}),
        answers_pings: bool = True,
    ) -> None:
        super().__init__(quirks, max_bytes, in_flight)
        self.answers_pings = answers_pings
        self._heard_ms = now_ms
        self._idle_ms = ANSWER_MS

    @property
    def wake_at_ms(self) -> int | None:
        """When `tick` ends the connection if nothing is heard until then."""
        return None if self.state is State.ENDED else self._heard_ms + self._idle_ms

    def accept(self, now_ms: int, *, is_session_present: bool = False) -> bytes:
        """Return CONNACK 0.

        Raises:
            LocalProtocolError: no CONNECT waits for an answer.
        """
        self._require(State.OPENING)
        self.state = State.OPEN
        self._sent_ms = now_ms
        return encode(ConnAck(0, is_session_present))

    def refuse(self, code: int) -> bytes:
        """Return CONNACK with `code`, 1 to 5; the connection is over, the caller closes the link.

        Raises:
            LocalProtocolError: no CONNECT waits for an answer, or code 0.
        """
        self._require(State.OPENING)
        if not code:
            raise LocalProtocolError("code 0 is no refusal")
        data = encode(ConnAck(code))
        self.state = State.ENDED
        return data

    def acknowledge(self, packet_id: int, now_ms: int, *, extra: bytes = b"") -> bytes:
        """Return PUBACK (or PUBREC), as `Flow.acknowledge` says.

        Args:
            packet_id: of a `Publish` that happened.
            now_ms: the time.
            extra: what an odd broker writes behind the packet id. Source: boss 2.5
        """
        data = super().acknowledge(packet_id, now_ms)
        is_puback = data[:1] == b"\x40"
        return encode(PubAck(packet_id, extra)) if extra and is_puback else data

    def grant(self, packet_id: int, codes: tuple[int, ...], now_ms: int) -> bytes:
        """Return SUBACK; no codes play an odd broker. Source: boss 10.4 (10)"""
        self._sent_ms = now_ms
        return encode(SubAck(packet_id, codes))

    def drop(self, packet_id: int, now_ms: int) -> bytes:
        """Return UNSUBACK."""
        self._sent_ms = now_ms
        return encode(UnsubAck(packet_id))

    def tick(self, now_ms: int) -> list[Happening]:
        """End a connection that was idle for 1.5 × its keepalive, or did not begin within 10 s."""
        out: list[Happening] = []
        if self.state is not State.ENDED and now_ms >= self._heard_ms + self._idle_ms:
            self._break(out, LinkTimeout(f"nothing was heard for {self._idle_ms / 1000:g} s"))
        return out

    def end(self) -> None:
        """Nothing more is taken or written. `in_flight` stays readable."""
        self.state = State.ENDED

    def _take(self, packet: Packet, out: list[Happening], now_ms: int) -> None:
        if type(packet) is Reserved:
            return  # the quirk that let it pass was reported
        if self.state is State.NEW:
            if type(packet) is Connect:
                self._greeted(packet, out, now_ms)
            else:  # MQTT-3.1.0-1
                self._break(out, RemoteProtocolError("the first packet is not CONNECT"))
        elif type(packet) is PingReq:
            if self.answers_pings:
                self._sent_ms = now_ms
                out.append(Write(encode(PingResp())))
        elif type(packet) is PubRel:
            self._released(packet, out, now_ms)
        elif type(packet) is Subscribe or type(packet) is Unsubscribe:
            out.append(packet)
        elif type(packet) is Disconnect:
            self.state = State.ENDED
            out.append(Left())
        else:
            self._unexpected(packet, out)

    def _greeted(self, packet: Connect, out: list[Happening], now_ms: int) -> None:
        code = 0
        if (packet.protocol, packet.level) not in PROTOCOLS:
            code = 1
        elif packet.level == 3:
            code = 0 if 0 < len(packet.client_id) <= MAX_CLIENT_ID_CHARS else 2
        elif not packet.client_id and not packet.is_clean:  # MQTT-3.1.3-8
            code = 2
        if code:
            out.append(Write(encode(ConnAck(code))))
            self._break(out, RemoteProtocolError(f"CONNECT is refused with code {code}"))
            return
        self.state = State.OPENING
        self._heard_ms = now_ms
        self._is_talking = True  # a client need not wait for its CONNACK (MQTT 3.1.1 3.1.4)
        self._idle_ms = packet.keepalive_s * 1500 or IDLE_MS
        out.append(packet)
