"""Bytes of one MQTT control packet ⇄ its value, for both directions; no stream and no flow.

`encode` writes one packet, `decode` reads one whose fixed header has been taken off
(`mqtt_stream.Reader` finds it in a stream). Reading is strict; a platform that is odd gets named
`Quirks` from its dialect, and each use of one is recorded in a `Tolerance`. Imports nothing of the
house but its errors.

What is refused (`WireMalformed.reason`; what a quirk forgives carries the name of the quirk):

    reserved_types          packet type 0 or 15                               quirk
    nonzero_flags           low nibble, or a reserved bit, not as fixed       quirk
    nonminimal_length       remaining length longer than needed (the Reader)  quirk
    long_puback             bytes behind the packet id of a PUBACK            quirk
    suback_without_codes    SUBACK that grants nothing                        quirk
    bad_length              remaining length of more than 4 bytes (the Reader)
    too_short, too_long     the fields do not fill the packet exactly
    bad_text                not UTF-8, or U+0000
    bad_topic               empty, longer than 1 KiB, or a wildcard where none may be
    bad_qos                 QoS 3, or a code that SUBACK does not have
    bad_packet_id           0 where the packet needs one
    bad_connect             flags of CONNECT that contradict each other

Source: MQTT 3.1.1 (OASIS) chapters 2 and 3; MQTT V3.1 chapters 2 and 3; boss 2; reliability 7
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from trunkline.errors import LocalProtocolError, WireMalformed

from .mqtt_packets import (
    PROTOCOLS,
    REFUSED_FILTER,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Reserved,
    SubAck,
    Subscribe,
    Tolerance,
    UnsubAck,
    Unsubscribe,
    Will,
)  # fmt: skip
from .mqtt_topics import (
    format_data,
    format_filter,
    format_text,
    format_topic,
    parse_filter,
    parse_text,
    parse_topic,
)

MAX_REMAINING_BYTES: Final = 268_435_455  # what 4 bytes can say
_U16: Final = struct.Struct(">H")
_ACK: Final = struct.Struct(">BBH")


def decode(first: int, body: bytes, tolerance: Tolerance) -> Packet:
    """Decode one packet.

    Args:
        first: the first byte of its fixed header.
        body: exactly the bytes that its remaining length counts.
        tolerance: collects the quirks that were needed.

    Raises:
        WireMalformed: one of the reasons in the module's docstring.
    """
    read, flags = _READERS[first >> 4]
    if first & 15 != flags and flags >= 0:
        tolerance.need("nonzero_flags", f"0x{first:02x}")
    return read(first, body, tolerance)


def decode_publish(first: int, body: bytes, tolerance: Tolerance) -> Publish:
    """Decode a PUBLISH.

    Raises:
        WireMalformed: as `decode` does.
    """
    size = len(body)
    start = 2 + (body[0] << 8 | body[1]) if size > 1 else 2
    if start > size:
        raise WireMalformed("too_short", "PUBLISH")
    topic = parse_topic(body[2:start])
    qos = first >> 1 & 3
    if qos == 0:
        if first & 8:  # MQTT-3.3.1-2
            tolerance.need("nonzero_flags", f"0x{first:02x}")
        return Publish(topic, body[start:], 0, 0, first & 8 != 0, first & 1 != 0)
    if qos == 3:
        raise WireMalformed("bad_qos", "PUBLISH")
    if start + 2 > size:
        raise WireMalformed("too_short", "PUBLISH")
    packet_id = body[start] << 8 | body[start + 1]
    if packet_id == 0:
        raise WireMalformed("bad_packet_id", "PUBLISH")
    return Publish(topic, body[start + 2 :], qos, packet_id, first & 8 != 0, first & 1 != 0)


class _Fields:
    """A place in the body of a packet."""

    def __init__(self, body: bytes, what: str) -> None:
        self._body = body
        self._what = what
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._body):
            raise WireMalformed("too_short", self._what)
        piece = self._body[self._at : end]
        self._at = end
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        value = self.number()
        if value == 0:  # MQTT-2.3.1-1
            raise WireMalformed("bad_packet_id", self._what)
        return value

    def data(self) -> bytes:
        return self.take(self.number())

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    def is_at_end(self) -> bool:
        return self._at == len(self._body)

    def end(self) -> None:
        if not self.is_at_end():
            raise WireMalformed("too_long", self._what)


def _decode_reserved(first: int, body: bytes, tolerance: Tolerance) -> Reserved:
    tolerance.need("reserved_types", f"0x{first:02x}")
    return Reserved(first, body)


def _decode_connect(_first: int, body: bytes, tolerance: Tolerance) -> Connect:
    fields = _Fields(body, "CONNECT")
    protocol, level = parse_text(fields.data()), fields.byte()
    if (protocol, level) not in PROTOCOLS:
        # Other versions have other fields: all that can be said is that this is none of ours.
        return Connect("", protocol=protocol, level=level)
    flags, keepalive_s = fields.byte(), fields.number()
    if flags & 1:  # MQTT-3.1.2-3
        tolerance.need("nonzero_flags", "CONNECT")
    has_will, will_qos = bool(flags & 4), flags >> 3 & 3
    if will_qos == 3 or (not has_will and flags & 0x38) or flags & 0xC0 == 0x40:
        raise WireMalformed("bad_connect", f"flags 0x{flags:02x}")
    client_id = parse_text(fields.data())
    will = None
    if has_will:
        will = Will(parse_topic(fields.data()), fields.data(), will_qos, bool(flags & 0x20))
    username = parse_text(fields.data()) if flags & 0x80 else None
    password = fields.data() if flags & 0x40 else None
    fields.end()
    is_clean = bool(flags & 2)
    return Connect(client_id, keepalive_s, username, password, is_clean, will, protocol, level)


def _decode_connack(_first: int, body: bytes, tolerance: Tolerance) -> ConnAck:
    fields = _Fields(body, "CONNACK")
    flags, code = fields.byte(), fields.byte()
    fields.end()
    if flags & 0xFE or (flags and code):  # MQTT-3.2.2-4
        tolerance.need("nonzero_flags", "CONNACK")
    return ConnAck(code, bool(flags & 1))


def _decode_puback(_first: int, body: bytes, tolerance: Tolerance) -> PubAck:
    if len(body) < 2:
        raise WireMalformed("too_short", "PUBACK")
    if len(body) > 2:
        tolerance.need("long_puback", f"{len(body) - 2} bytes")
    # Id 0 is no error of form: it is an id that is not in flight, like any other.
    return PubAck(body[0] << 8 | body[1], body[2:])


def _id_alone(make: Callable[[int], Packet], what: str) -> _Read:
    def read(_first: int, body: bytes, _tolerance: Tolerance) -> Packet:
        fields = _Fields(body, what)
        packet_id = fields.number()
        fields.end()
        return make(packet_id)

    return read


def _empty(packet: Packet, what: str) -> _Read:
    def read(_first: int, body: bytes, _tolerance: Tolerance) -> Packet:
        if body:
            raise WireMalformed("too_long", what)
        return packet

    return read


def _decode_subscribe(_first: int, body: bytes, _tolerance: Tolerance) -> Subscribe:
    fields = _Fields(body, "SUBSCRIBE")
    packet_id = fields.packet_id()
    filters: list[tuple[str, int]] = []
    while not filters or not fields.is_at_end():  # MQTT-3.8.3-3: at least one
        text, qos = parse_filter(fields.data()), fields.byte()
        if qos > 2:
            raise WireMalformed("bad_qos", "SUBSCRIBE")
        filters.append((text, qos))
    return Subscribe(packet_id, tuple(filters))


def _decode_suback(_first: int, body: bytes, tolerance: Tolerance) -> SubAck:
    fields = _Fields(body, "SUBACK")
    packet_id = fields.number()
    codes = tuple(fields.rest())
    if not codes:
        tolerance.need("suback_without_codes")
    if any(code > 2 and code != REFUSED_FILTER for code in codes):
        raise WireMalformed("bad_qos", "SUBACK")
    return SubAck(packet_id, codes)


def _decode_unsubscribe(_first: int, body: bytes, _tolerance: Tolerance) -> Unsubscribe:
    fields = _Fields(body, "UNSUBSCRIBE")
    packet_id = fields.packet_id()
    filters: list[str] = []
    while not filters or not fields.is_at_end():
        filters.append(parse_filter(fields.data()))
    return Unsubscribe(packet_id, tuple(filters))


_Read = Callable[[int, bytes, Tolerance], Packet]
# By packet type: the reader, and the low nibble that it must have (-1: the reader looks at it).
_READERS: Final[tuple[tuple[_Read, int], ...]] = (
    (_decode_reserved, -1),
    (_decode_connect, 0),
    (_decode_connack, 0),
    (decode_publish, -1),
    (_decode_puback, 0),
    (_id_alone(PubRec, "PUBREC"), 0),
    (_id_alone(PubRel, "PUBREL"), 2),
    (_id_alone(PubComp, "PUBCOMP"), 0),
    (_decode_subscribe, 2),
    (_decode_suback, 0),
    (_decode_unsubscribe, 2),
    (_id_alone(UnsubAck, "UNSUBACK"), 0),
    (_empty(PingReq(), "PINGREQ"), 0),
    (_empty(PingResp(), "PINGRESP"), 0),
    (_empty(Disconnect(), "DISCONNECT"), 0),
    (_decode_reserved, -1),
)


def encode(packet: Packet, *, has_long_length: bool = False) -> bytes:
    """Encode one packet.

    Args:
        packet: what to write. What `decode` with all quirks reads is written as it was.
        has_long_length: write the remaining length one byte longer than needed, as an odd peer
            does. Source: boss 2.5

    Raises:
        LocalProtocolError: a field that no packet can carry.
    """
    first, body = _WRITERS[type(packet)](packet)
    return bytes((first,)) + _encode_length(len(body), has_long_length=has_long_length) + body


def encode_ack(packet_id: int) -> bytes:
    """Encode the standard PUBACK, the only one we send as a client. Source: boss 2.5"""
    return _ACK.pack(0x40, 2, packet_id)


def _encode_length(size: int, *, has_long_length: bool) -> bytes:
    if size > MAX_REMAINING_BYTES:
        raise LocalProtocolError(f"a packet of {size} bytes")
    out = bytearray()
    while True:
        size, digit = size >> 7, size & 127
        if size == 0:
            break
        out.append(digit | 128)
    if has_long_length and len(out) < 3:
        out.append(digit | 128)
        digit = 0
    out.append(digit)
    return bytes(out)


def _id(packet_id: int) -> bytes:
    if not 0 < packet_id <= 0xFFFF:
        raise LocalProtocolError(f"packet id {packet_id}")
    return _U16.pack(packet_id)


def _encode_connect(packet: Connect) -> tuple[int, bytes]:
    will = packet.will
    flags = packet.is_clean << 1
    body = format_text(packet.client_id)
    if will is not None:
        flags |= 4 | will.qos << 3 | will.is_retained << 5
        body += format_topic(will.topic) + format_data(will.payload)
    if packet.username is not None:
        flags |= 0x80
        body += format_text(packet.username)
    if packet.password is not None:
        if packet.username is None:  # MQTT-3.1.2-22
            raise LocalProtocolError("a password needs a user name")
        flags |= 0x40
        body += format_data(packet.password)
    if not 0 <= packet.keepalive_s <= 0xFFFF:
        raise LocalProtocolError(f"keepalive {packet.keepalive_s} s")
    head = bytes((packet.level, flags)) + _U16.pack(packet.keepalive_s)
    return 0x10, format_text(packet.protocol) + head + body


def _encode_publish(packet: Publish) -> tuple[int, bytes]:
    if packet.qos not in (0, 1, 2):
        raise LocalProtocolError(f"QoS {packet.qos}")
    first = 0x30 | packet.is_dup << 3 | packet.qos << 1 | packet.is_retained
    head = format_topic(packet.topic)
    return first, (head + _id(packet.packet_id) if packet.qos else head) + packet.payload


def _encode_subscribe(packet: Subscribe) -> tuple[int, bytes]:
    if not packet.filters or any(qos not in (0, 1, 2) for _, qos in packet.filters):
        raise LocalProtocolError("SUBSCRIBE needs filters, each with QoS 0 to 2")
    filters = b"".join(format_filter(text) + bytes((qos,)) for text, qos in packet.filters)
    return 0x82, _id(packet.packet_id) + filters


def _encode_unsubscribe(packet: Unsubscribe) -> tuple[int, bytes]:
    if not packet.filters:
        raise LocalProtocolError("UNSUBSCRIBE needs filters")
    return 0xA2, _id(packet.packet_id) + b"".join(map(format_filter, packet.filters))


# `Any`: each writer takes the one type that it stands beside.
_WRITERS: Final[dict[type, Callable[[Any], tuple[int, bytes]]]] = {
    Connect: _encode_connect,
    ConnAck: lambda packet: (0x20, bytes((packet.is_session_present, packet.code))),
    Publish: _encode_publish,
    PubAck: lambda packet: (0x40, _U16.pack(packet.packet_id) + packet.extra),
    PubRec: lambda packet: (0x50, _U16.pack(packet.packet_id)),
    PubRel: lambda packet: (0x62, _U16.pack(packet.packet_id)),
    PubComp: lambda packet: (0x70, _U16.pack(packet.packet_id)),
    Subscribe: _encode_subscribe,
    SubAck: lambda packet: (0x90, _U16.pack(packet.packet_id) + bytes(packet.codes)),
    Unsubscribe: _encode_unsubscribe,
    UnsubAck: lambda packet: (0xB0, _U16.pack(packet.packet_id)),
    PingReq: lambda _packet: (0xC0, b""),
    PingResp: lambda _packet: (0xD0, b""),
    Disconnect: lambda _packet: (0xE0, b""),
    Reserved: lambda packet: (packet.first, packet.body),
}
