"""One WebSocket message as a short text for logs and `tail --raw`: what it is, no contents.

A message may hold several packets, or a part of one; passwords, ids that open conversations and
words of people never appear. Source: boss 11 (5)
"""

from __future__ import annotations

from trunkline.dialects.boss.frames import Frame, decode
from trunkline.dialects.boss.schema import built_in
from trunkline.errors import WireMalformed
from trunkline.wire.mqtt_packets import Publish, Quirks
from trunkline.wire.mqtt_packets import describe as describe_packet
from trunkline.wire.mqtt_stream import Broken, Reader

MAX_CHARS = 200
_NAMES = ("", "messages", "presence", "iq", "iq answer", "ids", "read", "data sync")
_ALL = Quirks(
    long_puback=True,
    suback_without_codes=True,
    nonzero_flags=True,
    nonminimal_length=True,
    reserved_types=True,
)


def describe(data: bytes) -> str:
    """Describe one message."""
    reader = Reader(_ALL)
    parts: list[str] = []
    for packet in reader.feed(data):
        if type(packet) is Broken:
            parts.append("not MQTT, or the middle of a packet")
        elif type(packet) is Publish:
            parts.append(f"{describe_packet(packet)} {_describe_payload(packet.payload)}")
        else:
            parts.append(describe_packet(packet))
    if reader.kept_bytes:
        parts.append(f"{reader.kept_bytes} bytes of a packet")
    return "; ".join(parts)[:MAX_CHARS] or "nothing"


def _describe_payload(payload: bytes) -> str:
    try:
        frame = decode(built_in(), payload)
    except WireMalformed:
        return "(no protobuf)"
    return f"({_name(frame)})"


def _name(frame: Frame) -> str:
    name = _NAMES[frame.type] if 0 < frame.type < len(_NAMES) else f"type {frame.type}"
    if frame.messages:
        kinds = ", ".join(str(one.body.type) for one in frame.messages[:10])
        return f"{name} of kind {kinds}"
    return name
