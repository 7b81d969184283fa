"""What both sides of an MQTT connection do: packet ids, acknowledgements, redelivery.

`mqtt_client.ClientFlow` is the side that sends CONNECT, `mqtt_broker.BrokerFlow` the side that
answers it. One flow lives as long as one connection. It owns no socket and no clock: bytes and
`now_ms` come in, *happenings* come out, in order. What has to be written is either the result of a
verb or a `Write` among the happenings.

Rules that hold for both sides:

- A message that arrived is acknowledged by `acknowledge`, and by nothing else: the product calls it
  after its commit. QoS 2 is accepted on the way in (PUBREC takes the place of PUBACK) and never
  used on the way out. After a cut QoS 2 is as good as QoS 1: what removes doubles is the store.
- A message that we sent stays `in_flight` until its PUBACK. Nothing is sent again unless
  `redeliver` is called, which marks it as DUP. A later connection may take over `in_flight`.
- Packet ids ascend from 1, skip 0 and those in flight, and wrap behind 65535.
- A peer never makes a verb raise; `Refused`, `Left` or `Broken` is the last happening. Misuse by
  our code raises `LocalProtocolError` and changes nothing.

Imports nothing of the house but its errors. Source: MQTT 3.1.1 chapters 3 and 4; boss 2, 10.4
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

import msgspec

from trunkline.errors import LocalProtocolError, RemoteProtocolError, TrunklineError

from .mqtt_codec import encode, encode_ack
from .mqtt_packets import (
    Connect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Quirks,
    Subscribe,
    Unsubscribe,
)
from .mqtt_stream import Broken, Reader

ANSWER_MS: Final = 10_000  # to CONNECT, to a ping, and for a first CONNECT. Source: boss 2.2, 2.6
MAX_IN_FLIGHT: Final = 1_024
MAX_ID: Final = 0xFFFF


class State(Enum):
    """How far a connection got."""

    NEW = "new"  # nothing was said
    OPENING = "opening"  # CONNECT is out, CONNACK is not
    OPEN = "open"
    ENDED = "ended"  # whatever happens now is nothing


_OPEN: Final = State.OPEN  # looked at for every message, and members of an enum are dear


class Accepted(msgspec.Struct, frozen=True):
    """CONNACK 0: the connection is open."""

    is_session_present: bool


class Refused(msgspec.Struct, frozen=True):
    """CONNACK with another code; the connection is over."""

    code: int


class Acknowledged(msgspec.Struct, frozen=True):
    """What we sent with QoS 1 has arrived. `extra`: bytes of a long PUBACK. Source: boss 2.5"""

    packet_id: int
    extra: bytes = b""


class Granted(msgspec.Struct, frozen=True):
    """Our SUBSCRIBE was answered; no codes at all mean success. Source: boss 2.3"""

    packet_id: int
    codes: tuple[int, ...]


class Left(msgspec.Struct, frozen=True):
    """The client sent DISCONNECT."""


class Write(msgspec.Struct, frozen=True):
    """The protocol itself wants these bytes written."""

    data: bytes


class Oddity(msgspec.Struct, frozen=True):
    """Something was forgiven or ignored: a quirk's name (once a connection), or what follows.

    `unknown_packet_id`: an acknowledgement for nothing that is in flight; `unexpected_packet`: a
    packet that this side should not get, skipped (quirk `reserved_types`).
    """

    kind: str
    detail: str = ""


Happening = (
    Accepted | Refused | Publish | Acknowledged | Granted | Write | Oddity | Broken
    | Connect | Subscribe | Unsubscribe | Left
)  # fmt: skip

# What became of a packet id of the peer.
_UNCOMMITTED_1: Final = 1  # QoS 1, to be answered by PUBACK
_UNCOMMITTED_2: Final = 2  # QoS 2, to be answered by PUBREC
_RECEIVED: Final = 3  # QoS 2, PUBREC is out, PUBREL is awaited


class Flow:
    """What both sides do with messages."""

    def __init__(self, quirks: Quirks, max_bytes: int, in_flight: Mapping[int, Publish]) -> None:
        self.state = State.NEW
        self._is_talking = False  # messages and their answers may come
        self._counts_bytes = False  # whether half a packet is a sign of life
        self._deadline_ms: int | None = None  # for an answer that is a sign of life
        self._quirks = quirks
        self._reader = Reader(quirks, max_bytes)
        self._used = self._reader.used  # grows
        self._told: set[str] = set()  # of these, what was reported
        self._in_flight = dict(in_flight)
        self._asked: set[int] = set()  # ids of SUBSCRIBE without SUBACK, at most MAX_IN_FLIGHT
        self._incoming: dict[int, int] = {}  # bounded by the 65,535 ids
        self._last_id = 0
        self._sent_ms = 0
        self._heard_ms = 0

    @property
    def in_flight(self) -> Mapping[int, Publish]:
        """What we sent with QoS 1 and nobody acknowledged, oldest first."""
        return MappingProxyType(self._in_flight)

    @property
    def unacknowledged(self) -> int:
        """How many messages of the peer wait for `acknowledge`."""
        return sum(state != _RECEIVED for state in self._incoming.values())

    def receive(self, data: bytes, now_ms: int) -> list[Happening]:
        """Take the next bytes of the stream, cut anywhere; no bytes mean nothing.

        Returns:
            What happened. A `Publish` of QoS 1 or 2 waits for `acknowledge`.
        """
        if self._has_ended():
            return []
        packets = self._reader.feed(data)
        if self._is_talking and (packets or (data and self._counts_bytes)):
            self._heard_ms = now_ms
            self._deadline_ms = None
        out: list[Happening] = []
        for packet in packets:
            if type(packet) is Publish and self._is_talking:
                if packet.qos == 1:
                    self._incoming[packet.packet_id] = _UNCOMMITTED_1
                    out.append(packet)
                else:
                    self._arrived(packet, out)
            elif type(packet) is PubAck and self._is_talking:
                self._acknowledged(packet, out)
            else:
                if type(packet) is Broken:
                    self._break(out, packet.error)
                else:
                    self._take(packet, out, now_ms)
                if self._has_ended():
                    break
        if len(self._used) != len(self._told):
            self._tell(out)
        return out

    def publish(
        self, topic: str, payload: bytes, now_ms: int, *, qos: int = 1, is_retained: bool = False
    ) -> tuple[int, bytes]:
        """Send a message with QoS 0 or 1.

        Returns:
            Its packet id (0 for QoS 0) and the bytes to write.

        Raises:
            LocalProtocolError: not open, another QoS, no topic, or `MAX_IN_FLIGHT` are in flight.
        """
        self._require(State.OPEN)
        if qos not in (0, 1):
            raise LocalProtocolError(f"we send with QoS 0 or 1, not {qos}")
        packet_id = self._peek_id() if qos else 0
        packet = Publish(topic, payload, qos, packet_id, is_retained=is_retained)
        data = encode(packet)
        if qos:
            self._last_id = packet_id
            self._in_flight[packet_id] = packet
        self._sent_ms = now_ms
        return packet_id, data

    def redeliver(self, packet_id: int, now_ms: int, *, is_dup: bool = True) -> bytes:
        """Send again what is in flight, with the same id. Never happens unless asked for.

        Args:
            packet_id: a key of `in_flight`.
            now_ms: the time.
            is_dup: mark it as sent before; without it an emulator plays an odd broker.

        Raises:
            LocalProtocolError: not open, or nothing of that id is in flight.
        """
        self._require(State.OPEN)
        packet = self._in_flight.get(packet_id)
        if packet is None:
            raise LocalProtocolError(f"packet id {packet_id} is not in flight")
        self._sent_ms = now_ms
        return encode(msgspec.structs.replace(packet, is_dup=is_dup))

    def forget(self, packet_id: int) -> None:
        """Give up waiting for a PUBACK. One that comes is an `unknown_packet_id`."""
        self._in_flight.pop(packet_id, None)

    def acknowledge(self, packet_id: int, now_ms: int) -> bytes:
        """Return PUBACK (or PUBREC) for a message that is safe now.

        The caller keeps to the order in which the messages came. Source: MQTT 3.1.1 4.6
        Nothing when it was acknowledged already, under an earlier copy: one answer is enough, and
        a second one could hit a new message of the same id. Nothing either when the connection is
        not open: the id means another message in another connection.
        """
        state = self._incoming.get(packet_id)
        if state is None or state == _RECEIVED or self.state is not _OPEN:
            return b""
        self._sent_ms = now_ms
        if state == _UNCOMMITTED_1:
            del self._incoming[packet_id]
            return encode_ack(packet_id)
        self._incoming[packet_id] = _RECEIVED
        return encode(PubRec(packet_id))

    def _arrived(self, packet: Publish, out: list[Happening]) -> None:
        """Take a message of QoS 0 or 2."""
        if packet.qos:
            state = self._incoming.get(packet.packet_id)
            if state == _RECEIVED:  # our PUBREC is on its way, or was lost with the last link
                out.append(Write(encode(PubRec(packet.packet_id))))
                return
            if state == _UNCOMMITTED_2:
                return
            self._incoming[packet.packet_id] = _UNCOMMITTED_2
        out.append(packet)

    def _acknowledged(self, packet: PubAck, out: list[Happening]) -> None:
        if self._in_flight.pop(packet.packet_id, None) is None:
            out.append(Oddity("unknown_packet_id", f"PUBACK {packet.packet_id}"))
        else:
            out.append(Acknowledged(packet.packet_id, packet.extra))

    def _released(self, packet: PubRel, out: list[Happening], now_ms: int) -> None:
        # Unknown ids are answered too: the sender repeats PUBREL until it gets its answer.
        if self._incoming.get(packet.packet_id) == _RECEIVED:
            del self._incoming[packet.packet_id]
        self._sent_ms = now_ms
        out.append(Write(encode(PubComp(packet.packet_id))))

    def _take(self, packet: Packet, out: list[Happening], now_ms: int) -> None:
        """Take what is neither a message nor an acknowledgement of a begun conversation."""
        raise NotImplementedError

    def _unexpected(self, packet: Packet, out: list[Happening]) -> None:
        """Skip or break: this side should not get such a packet, not now. Source: boss 2.8"""
        name = type(packet).__name__.upper()
        if self._quirks.reserved_types:
            out.append(Oddity("unexpected_packet", name))
        else:
            self._break(out, RemoteProtocolError(f"{name} while {self.state.value}"))

    def _has_ended(self) -> bool:
        return self.state is State.ENDED

    def _break(self, out: list[Happening], error: TrunklineError) -> None:
        self.state = State.ENDED
        out.append(Broken(error))

    def _tell(self, out: list[Happening]) -> None:
        # In front, so that the end of a connection stays the last thing that happens.
        out[:0] = [Oddity(kind) for kind in sorted(self._used - self._told)]
        self._told |= self._used

    def _require(self, state: State) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"the connection is {self.state.value}, not {state.value}")

    def _peek_id(self) -> int:
        if len(self._in_flight) + len(self._asked) >= MAX_IN_FLIGHT:
            raise LocalProtocolError(f"{MAX_IN_FLIGHT} messages are in flight")
        packet_id = self._last_id
        while True:
            packet_id = packet_id % MAX_ID + 1
            if packet_id not in self._in_flight and packet_id not in self._asked:
                return packet_id
