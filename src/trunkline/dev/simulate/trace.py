"""Everything that happened, in order: one hash for all of it, and the lines for who wants them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from trunkline.clock import Clock

SHOWN_BYTES = 75


class Trace:
    """What a run did. Two runs of one seed have the same trace to the byte.

    Args:
        sink: gets each line as it is written, None = only the hash is kept.
    """

    def __init__(self, clock: Clock, sink: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._sink = sink
        self._hash = blake2b(digest_size=16)
        self.lines = 0

    def note(self, what: str, detail: str = "", data: bytes = b"") -> None:
        """Write down what happened.

        Args:
            what: a word or two.
            detail: who and how.
            data: bytes on the wire or in a row; hashed whole, shown elided.
        """
        at_s = self._clock.monotonic_s() - 1000.0
        line = f"{at_s:11.6f} {what:<10} {detail}"
        self._hash.update(line.encode("utf-8", "replace"))
        self._hash.update(data)
        self._hash.update(b"\n")
        self.lines += 1
        if self._sink is not None:
            shown = data[:SHOWN_BYTES].decode("utf-8", "replace")
            dots = "…" if len(data) > SHOWN_BYTES else ""
            self._sink(f"{line} {shown}{dots}".rstrip())

    def digest(self) -> str:
        """Return the hash of everything until now."""
        return self._hash.hexdigest()
