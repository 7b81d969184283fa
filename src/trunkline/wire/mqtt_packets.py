"""MQTT control packets, versions 3.1 and 3.1.1, as values; and the quirks that a platform may have.

`mqtt_codec` turns them into bytes and back, `mqtt_stream` finds them in a stream, `mqtt_flow` says
what is answered. Imports nothing of the house but its errors.

Source: MQTT 3.1.1 (OASIS) chapter 3; MQTT V3.1 chapter 3; boss 2
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.errors import WireMalformed

REFUSED_FILTER: Final = 0x80  # the code of SUBACK
PROTOCOLS: Final = frozenset({("MQIsdp", 3), ("MQTT", 4)})


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How a platform may depart from the standard. All off = strict.

    Args:
        long_puback: a PUBACK may carry bytes behind its packet id; they become `extra`.
        suback_without_codes: a SUBACK may end behind its packet id.
        nonzero_flags: reserved bits are not looked at.
        nonminimal_length: a remaining length may be written longer than needed.
        reserved_types: packets of type 0 and 15, and such as this side should never get, are
            skipped.

    Source: boss 2.3, 2.5, 2.8
    """

    long_puback: bool = False
    suback_without_codes: bool = False
    nonzero_flags: bool = False
    nonminimal_length: bool = False
    reserved_types: bool = False


STRICT: Final = Quirks()


class Tolerance:
    """The quirks of one stream, and which of them were needed so far.

    Args:
        quirks: what may be forgiven.
    """

    def __init__(self, quirks: Quirks) -> None:
        self.quirks = quirks
        self.used: set[str] = set()

    def need(self, quirk: str, detail: str = "") -> None:
        """Record that `quirk` is needed.

        Raises:
            WireMalformed: the quirk is off; its name is the reason.
        """
        if not getattr(self.quirks, quirk):
            raise WireMalformed(quirk, detail)
        self.used.add(quirk)


class Will(msgspec.Struct, frozen=True):
    """What the broker publishes when the client goes without DISCONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    is_retained: bool = False


class Connect(msgspec.Struct, frozen=True):
    """The first packet of a client. An unknown protocol leaves everything but its name empty.

    Args:
        keepalive_s: 0 = none, at most 65535.
        protocol: `MQIsdp` with level 3, `MQTT` with level 4.
    """

    client_id: str
    keepalive_s: int = 0
    username: str | None = None
    password: bytes | None = None
    is_clean: bool = True
    will: Will | None = None
    protocol: str = "MQTT"
    level: int = 4

    def __repr__(self) -> str:
        # User name and password are credentials: neither may reach a log by accident.
        return f"Connect({self.client_id!r}, {self.keepalive_s} s, {self.protocol}/{self.level})"


class ConnAck(msgspec.Struct, frozen=True, gc=False):
    """The broker's answer.

    Args:
        code: 0 accepted, 1 wrong protocol, 2 client id, 3 not available, 4 bad credentials,
            5 not authorised; larger ones are reserved and mean a refusal too.
    """

    code: int = 0
    is_session_present: bool = False


class Publish(msgspec.Struct, frozen=True, gc=False):
    """One message. `packet_id` is 0 for QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    is_dup: bool = False
    is_retained: bool = False


class PubAck(msgspec.Struct, frozen=True, gc=False):
    """QoS 1 is done. `extra` is what an odd broker writes behind the packet id. Source: boss 2.5"""

    packet_id: int
    extra: bytes = b""


class PubRec(msgspec.Struct, frozen=True, gc=False):
    """QoS 2, first answer: the message is kept."""

    packet_id: int


class PubRel(msgspec.Struct, frozen=True, gc=False):
    """QoS 2: the sender has forgotten the message."""

    packet_id: int


class PubComp(msgspec.Struct, frozen=True, gc=False):
    """QoS 2 is done."""

    packet_id: int


class Subscribe(msgspec.Struct, frozen=True):
    """Filters, each with the highest QoS that the client wants."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


class SubAck(msgspec.Struct, frozen=True):
    """One code for each filter: the granted QoS, or 0x80. Source of none at all: boss 2.3"""

    packet_id: int
    codes: tuple[int, ...]


class Unsubscribe(msgspec.Struct, frozen=True):
    """Filters that end."""

    packet_id: int
    filters: tuple[str, ...]


class UnsubAck(msgspec.Struct, frozen=True, gc=False):
    """The filters ended."""

    packet_id: int


class PingReq(msgspec.Struct, frozen=True, gc=False):
    """A client's heartbeat."""


class PingResp(msgspec.Struct, frozen=True, gc=False):
    """The answer to it."""


class Disconnect(msgspec.Struct, frozen=True, gc=False):
    """The client leaves in order."""


class Reserved(msgspec.Struct, frozen=True, gc=False):
    """A packet of type 0 or 15, which no version 3 defines. Skipped, when the quirk is on."""

    first: int
    body: bytes


Packet = (
    Connect | ConnAck | Publish | PubAck | PubRec | PubRel | PubComp | Subscribe | SubAck
    | Unsubscribe | UnsubAck | PingReq | PingResp | Disconnect | Reserved
)  # fmt: skip


def describe(packet: Packet) -> str:
    """Say in at most 120 characters what a packet is; neither contents nor credentials."""
    name = type(packet).__name__.upper()
    if type(packet) is Publish:
        marks = ("" if not packet.is_dup else " dup") + (" retain" if packet.is_retained else "")
        number = f" id {packet.packet_id}" if packet.qos else ""
        return (
            f"{name} {packet.topic[:40]!r} qos {packet.qos}{number}{marks} "
            f"{len(packet.payload)} bytes"
        )
    if type(packet) is PubAck:
        more = f" +{len(packet.extra)} bytes" if packet.extra else ""
        return f"{name} id {packet.packet_id}{more}"
    if type(packet) is Connect:
        return f"{name} {packet.protocol[:10]}/{packet.level} keepalive {packet.keepalive_s} s"
    if type(packet) is ConnAck:
        return f"{name} {packet.code}"
    if type(packet) is Reserved:
        return f"{name} 0x{packet.first:02x} {len(packet.body)} bytes"
    packet_id = getattr(packet, "packet_id", None)
    return name if packet_id is None else f"{name} id {packet_id}"
