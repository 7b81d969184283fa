"""WebSocket frames as we write them, and the few payloads that carry a meaning of their own.

picows reads frames; writing is ours, because everything that one beat sends over a link leaves in
one write. Pure functions over bytes. Source: RFC 6455 sections 5.2, 5.3, 5.5 and 7.4.
"""

from __future__ import annotations

from typing import Final

CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
TEXT: Final = 0x81
BINARY: Final = 0x82

MAX_CONTROL_BYTES: Final = 125
MAX_REASON_BYTES: Final = 123
_SHORT: Final = 126  # lengths below it are in the second byte
_MEDIUM: Final = 65_536  # lengths below it are in two more bytes
# Codes that only describe an end locally and may not travel. Source: RFC 6455 7.4.1, IANA registry
_UNSENT_CODES: Final = frozenset({1004, 1005, 1006, 1015})
_DEFINED_CODES: Final = range(1000, 1015)
_FREE_CODES: Final = range(3000, 5000)

HEADS: Final = 1024  # the headers of all frames below this size are ready-made


def encode_header(first: int, size_bytes: int) -> bytes:
    """Return the header of an unmasked frame: `first` is FIN and opcode."""
    if size_bytes < _SHORT:
        return bytes((first, size_bytes))
    if size_bytes < _MEDIUM:
        return (first << 24 | 126 << 16 | size_bytes).to_bytes(4, "big")
    return bytes((first, 127)) + size_bytes.to_bytes(8, "big")


TEXT_HEADS: Final = tuple(encode_header(TEXT, size) for size in range(HEADS))
BINARY_HEADS: Final = tuple(encode_header(BINARY, size) for size in range(HEADS))


def encode_control(first: int, payload: bytes, mask: bytes = b"") -> bytes:
    """Return a whole control frame; `payload` ≤ 125 bytes, `mask` 4 bytes for the client side."""
    if not mask:
        return bytes((first, len(payload))) + payload
    return encode_masked(first, payload, mask)


def encode_masked(first: int, payload: bytes, mask: bytes) -> bytes:
    """Return a whole frame of the client side; `mask` is 4 bytes."""
    head = bytearray(encode_header(first, len(payload)))
    head[1] |= 0x80
    return b"%b%b%b" % (head, mask, apply_mask(payload, mask))


def apply_mask(payload: bytes, mask: bytes) -> bytes:
    """Mask or unmask a payload. Linear, but meant for short ones: picows masks long ones faster."""
    size = len(payload)
    stream = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


def is_close_code(code: int) -> bool:
    """Whether a peer may send this close code."""
    return code in _FREE_CODES or (code in _DEFINED_CODES and code not in _UNSENT_CODES)


def encode_close(code: int, reason: str) -> bytes:
    """Return a close payload; 1005 is the empty one, a reason that is too long is cut."""
    if code == 1005:
        return b""
    text = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES]
    # The cut may have split a character; what is left of it is dropped.
    return code.to_bytes(2, "big") + text.decode("utf-8", "ignore").encode()


def decode_close(payload: bytes) -> tuple[int, str] | None:
    """Return code and reason of a close payload, None when it breaks a rule.

    Then: None is answered with 1002.
    """
    if not payload:
        return 1005, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not is_close_code(code):
        return None
    return code, payload[2:].decode("utf-8", "replace")
