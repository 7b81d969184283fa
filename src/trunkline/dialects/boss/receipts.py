"""How a played gateway acknowledges a message: in every form that was seen or feared.

The usual one has the client's id and the server's behind the packet id. Source: boss 2.5, 10.4 (11)
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_packets import PubAck

_PAIR: Final = struct.Struct(">QQ")

# What stands behind the packet id. Source: boss 2.5
_EXTRAS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "standard": lambda _pair: b"",
    "one_extra": lambda _pair: b"\x00",
    "two_extra": lambda _pair: b"\x00\x00",
    "ext_protobuf": lambda pair: b"\x08" + pair[:6] + b"\x10" + pair[8:14],
    "ext_zero_mid": lambda pair: pair[:8] + bytes(8),
}
# Packets that no flow writes. Source: boss 10.4 (11)
_ODD: Final[dict[str, Callable[[int, bytes], tuple[bytes, ...]]]] = {
    "ext_nonminimal": lambda ident, pair: (encode(PubAck(ident, pair), has_long_length=True),),
    "wrong_id": lambda ident, pair: (encode(PubAck(ident % 65_535 + 7, pair)),),
    "duplicate": lambda ident, pair: (encode(PubAck(ident, pair)), encode(PubAck(ident, pair))),
    "too_short": lambda _ident, _pair: (b"\x40\x01\x00",),
}
PUBACKS: Final = ("ext", "late", "none", *_EXTRAS, *_ODD)


def pack_pair(cmid: int, mid: int) -> bytes:
    """Return both ids of a message; a server's id of 0 says that it was not taken."""
    return _PAIR.pack(cmid, mid)


def extra_of(how: str, pair: bytes) -> bytes:
    """Return what stands behind the packet id in a form; the pair itself in most."""
    make = _EXTRAS.get(how)
    return make(pair) if make is not None else pair


def odd_packets(how: str, packet_id: int, pair: bytes) -> tuple[bytes, ...] | None:
    """Return the packets of a form that no flow writes, None for a form that one does."""
    make = _ODD.get(how)
    return make(packet_id, pair) if make is not None else None
