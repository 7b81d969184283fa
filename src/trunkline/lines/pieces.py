"""What of a link's input has to wait: a message in fragments, and messages after a `pause`.

Both are one bytearray, so that a thousand small pieces cost no thousand objects.
"""

from __future__ import annotations

import codecs
from typing import Final

MAX_FRAGMENTS: Final = 1024  # Source: reliability 2
_MARK_BYTES: Final = 8


class Assembly:
    """A message that arrives in fragments.

    Args:
        is_text: UTF-8 is checked then, fragment by fragment (RFC 6455 8.1: fail early).
        max_message_bytes: of all fragments together.
    """

    __slots__ = ("_count", "_decoder", "_max_message_bytes", "body", "is_text")

    def __init__(self, *, is_text: bool, max_message_bytes: int) -> None:
        self.is_text = is_text
        self.body = bytearray()
        self._max_message_bytes = max_message_bytes
        self._count = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")() if is_text else None

    def add(self, part: bytes, *, is_final: bool) -> tuple[int, str] | None:
        """Append a fragment. Returns the close code and reason when it breaks a rule."""
        self._count += 1
        if self._count > MAX_FRAGMENTS:
            return 1009, "too many fragments"
        if len(self.body) + len(part) > self._max_message_bytes:
            return 1009, "the message is too large"
        if self._decoder is not None:
            try:
                self._decoder.decode(part, final=is_final)
            except UnicodeDecodeError:
                return 1007, "the text is not UTF-8"
        self.body += part
        return None


class Kept:
    """Messages that arrived after a `pause`, oldest first."""

    __slots__ = ("_at", "_bytes")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at = 0

    def __len__(self) -> int:
        """Return the bytes that are held, also of messages that were taken already."""
        return len(self._bytes)

    @property
    def has_more(self) -> bool:
        """Whether `take` returns a message."""
        return self._at < len(self._bytes)

    def put(self, data: bytes, *, is_text: bool) -> None:
        """Append a message."""
        self._bytes += (len(data) << 1 | is_text).to_bytes(_MARK_BYTES, "big")
        self._bytes += data

    def take(self) -> tuple[bytes, bool]:
        """Remove the oldest message and return it, and whether it is text."""
        start = self._at + _MARK_BYTES
        mark = int.from_bytes(self._bytes[self._at : start], "big")
        self._at = start + (mark >> 1)
        data = bytes(self._bytes[start : self._at])
        if self._at == len(self._bytes):
            self._bytes.clear()
            self._at = 0
        return data, bool(mark & 1)
