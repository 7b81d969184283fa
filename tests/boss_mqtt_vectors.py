"""The golden cases of Boss that are MQTT packets, and how a packet looks in their normal form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trunkline.wire.mqtt_packets import (
    ConnAck,
    Connect,
    Packet,
    PubAck,
    Publish,
    Quirks,
    SubAck,
    Subscribe,
)  # fmt: skip

FILE = Path(__file__).parent / "vectors" / "boss" / "boss_vectors.json"
SECTIONS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in SECTIONS["mqtt"]}
LENIENT = Quirks(
    long_puback=True, suback_without_codes=True, nonzero_flags=True, nonminimal_length=True,
    reserved_types=True,
)  # fmt: skip

# Which quirk each odd packet needs. Source: boss 2.3, 2.5
ODD = {
    "puback_ext_ids": "long_puback",
    "puback_ext_rejected": "long_puback",
    "puback_ext_ids_max": "long_puback",
    "puback_one_extra": "long_puback",
    "puback_two_extra": "long_puback",
    "puback_ext_protobuf": "long_puback",
    "puback_ext_nonminimal_length": "nonminimal_length",
    "suback_no_codes": "suback_without_codes",
    "two_packets_one_ws_message": "long_puback",
}


def data_of(case: dict[str, Any]) -> bytes:
    """The bytes of a case."""
    return bytes.fromhex(case["hex"])


def expected(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The packets of a case: one, or those that a stream names."""
    decoded = case["decoded"]
    names = decoded.get("stream")
    return [CASES[name]["decoded"] for name in names] if names else [decoded]


def meaning(packet: Packet) -> dict[str, Any]:
    """Render a packet in the normal form, without what only the platform gives a meaning."""
    found: dict[str, Any] = {"packet": type(packet).__name__.upper()}
    if isinstance(packet, Connect):
        return found | {
            "protocol_name": packet.protocol, "protocol_level": packet.level,
            "clean_session": packet.is_clean, "will": packet.will is not None,
            "username_flag": packet.username is not None,
            "password_flag": packet.password is not None, "keepalive": packet.keepalive_s,
            "client_id": packet.client_id, "username": packet.username,
            "password": (packet.password or b"").decode(),
        }  # fmt: skip
    if isinstance(packet, ConnAck):
        return found | {"session_present": packet.is_session_present, "return_code": packet.code}
    if isinstance(packet, Publish):
        return found | {
            "topic": packet.topic, "qos": packet.qos, "retain": packet.is_retained,
            "dup": packet.is_dup, "packet_id": packet.packet_id or None,
            "payload_hex": packet.payload.hex(),
        }  # fmt: skip
    if isinstance(packet, PubAck):
        return found | {"packet_id": packet.packet_id, "extra_hex": packet.extra.hex()}
    if isinstance(packet, Subscribe):
        topics = [[text, qos] for text, qos in packet.filters]
        return found | {"packet_id": packet.packet_id, "topics": topics}
    if isinstance(packet, SubAck):
        return found | {"packet_id": packet.packet_id, "return_codes": list(packet.codes)}
    return found


def stated(decoded: dict[str, Any], packet: Packet) -> dict[str, Any]:
    """What a case states of a packet, of all that `meaning` can say."""
    return {name: decoded[name] for name in meaning(packet) if name in decoded}
