"""The MQTT byte stream: packets out of whatever pieces a transport delivers.

WebSocket messages may hold several packets, or a part of one: only the order of the bytes counts.
A `Reader` keeps at most one unfinished packet, refuses one that is announced larger than its bound
before its body arrives, and never raises for what a peer sends. Source: boss 2.8
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from trunkline.errors import TrunklineError, WireError, WireMalformed, WireTooLarge

from .mqtt_codec import decode, decode_publish
from .mqtt_packets import STRICT, Packet, Publish, Quirks, Tolerance

MAX_PACKET_BYTES: Final = 1 << 20
FIRST_QOS_1: Final = 0x32  # PUBLISH, QoS 1, neither DUP nor RETAIN


@final
class Broken(msgspec.Struct, frozen=True):
    """The stream, or the connection, is over: what the peer did cannot be gone on from.

    Args:
        error: `WireMalformed` with a reason of `mqtt_codec`, or `WireTooLarge`; from a flow also
            `RemoteProtocolError` and `LinkTimeout`.
    """

    error: TrunklineError


class Reader:
    """Cuts a byte stream into packets.

    Args:
        quirks: what the peer may do against the standard.
        max_bytes: the largest packet, its fixed header included.
    """

    def __init__(self, quirks: Quirks = STRICT, max_bytes: int = MAX_PACKET_BYTES) -> None:
        self._max_bytes = max_bytes
        self._tolerance = Tolerance(quirks)
        self._kept = bytearray()
        # The topic of the last message, as it stands in a packet, and read.
        self._topic_bytes = b""
        self._topic = ""
        self._need = 2  # bytes of `_kept` without which it is not worth looking
        self._is_broken = False

    @property
    def used(self) -> set[str]:
        """Names of the quirks that were needed so far; grows only."""
        return self._tolerance.used

    @property
    def kept_bytes(self) -> int:
        """How much of an unfinished packet is kept."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[Packet | Broken]:
        """Take the next bytes of the stream; nothing is legal and means nothing.

        Returns:
            All packets that are now complete, in order. `Broken` is the last thing that a reader
            ever returns, behind the packets that were good.
        """
        if self._kept or self._is_broken:
            data = self._join(data)
        packets: list[Packet | Broken] = []
        try:
            at = self._read_all(data, packets)
        except WireError as error:
            self._is_broken = True
            packets.append(Broken(error))
            return packets
        if at < len(data):
            self._kept += data[at:]
        return packets

    def _join(self, data: bytes) -> bytes:
        """Return what is kept and `data`, or nothing as long as no packet can be complete."""
        if self._is_broken:
            return b""
        self._kept += data
        if len(self._kept) < self._need:
            return b""
        data = bytes(self._kept)
        self._kept.clear()
        return data

    def _read_all(self, data: bytes, packets: list[Packet | Broken]) -> int:
        """Read packets until one is unfinished; return where it begins."""
        at, size, tolerance = 0, len(data), self._tolerance
        while at + 2 <= size:
            first, length = data[at], data[at + 1]
            start = at + 2
            if length > 127 and start < size and 0 < data[start] < 128:
                # Two bytes, as nearly every message has it: not worth a loop.
                length = (length & 127) | data[start] << 7
                start += 1
            elif length > 127:
                length, start = self._long_length(data, at, size)
                if length < 0:
                    self._need = size - at + 1
                    return at
            end = start + length
            if end - at > self._max_bytes:
                raise WireTooLarge(f"an MQTT packet of {end - at} bytes")
            if end > size:
                self._need = end - at
                return at
            if first & 0xF0 == 0x30:
                packets.append(
                    self._read_same(first, data, start, end)
                    or self._read_publish(first, data[start:end])
                )
            else:
                packets.append(decode(first, data[start:end], tolerance))
            at = end
        if at < size:
            self._need = 2
        return at

    def _read_publish(self, first: int, body: bytes) -> Publish:
        packet = decode_publish(first, body, self._tolerance)
        self._topic_bytes = body[: 2 + (body[0] << 8 | body[1])]
        self._topic = packet.topic
        return packet

    def _read_same(self, first: int, data: bytes, start: int, end: int) -> Publish | None:
        """Read a message like nearly all: first copy, QoS 1, the topic of the one before.

        Returns:
            None when it is not, or when something is wrong with it.
        """
        at = start + len(self._topic_bytes)
        if first != FIRST_QOS_1 or at + 2 > end or not data.startswith(self._topic_bytes, start):
            return None
        packet_id = data[at] << 8 | data[at + 1]
        # Before the first message no topic is known: then the "topic" of no bytes fits everything.
        if not packet_id or not self._topic:
            return None
        return Publish(self._topic, data[at + 2 : end], 1, packet_id)

    def _long_length(self, data: bytes, at: int, size: int) -> tuple[int, int]:
        """Read a remaining length of more than one byte; -1 when it is unfinished."""
        length = 0
        for number in range(4):
            place = at + 1 + number
            if place >= size:
                return -1, 0
            digit = data[place]
            length |= (digit & 127) << 7 * number
            if digit < 128:
                if digit == 0:
                    self._tolerance.need("nonminimal_length")
                return length, place + 1
        raise WireMalformed("bad_length", "more than 4 bytes")
