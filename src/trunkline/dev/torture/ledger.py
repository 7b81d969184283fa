"""What the peers know for sure: a file of JSON lines, on disk before a peer goes on.

A peer is told something by reading it; only after `sync` may it act on it. So whatever a peer has
acted on is in the ledger, and whatever is in the ledger may be held against the product.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec


class Ended(msgspec.Struct, frozen=True):
    """One life of the product has ended.

    Args:
        life: from 1.
        how: a failpoint, `time` or `stop`.
        from_ms, to_ms: it was still alive at the one, and dead at the other.
    """

    life: int
    how: str
    from_ms: int
    to_ms: int


class Answer(msgspec.Struct, frozen=True):
    """An answer as a peer saw it.

    Args:
        words: what it answers.
        peer_id: the product's id of the message, "" when it gave none.
        is_copy: the peer drops second copies by that id, and this is one.
    """

    words: str
    peer_id: str
    is_copy: bool = False


class Said(msgspec.Struct):
    """One question.

    Args:
        peer: who asked.
        expects_answer: whether its peer can still get an answer (a brief one may have left).
    """

    peer: str
    is_acknowledged: bool = False
    expects_answer: bool = True


class Ledger:
    """The ledger of one run.

    Attributes:
        said: words → the question, in the order of asking.
        answers: in the order of seeing, copies included.
        cuts: peer → when its links ended.
        ends: of the product's lives.
        shuffling: peers that send again in any order.
        strays: what no peer could make sense of.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._unwritten: list[str] = []
        self._is_promise = False
        self.said: dict[str, Said] = {}
        self.answers: list[Answer] = []
        self.cuts: dict[str, list[int]] = {}
        self.ends: list[Ended] = []
        self.shuffling: set[str] = set()
        self.strays: list[str] = []
        self.on_answer: Callable[[], None] = lambda: None

    def say(self, peer: str, words: str) -> None:
        """Before the first byte of a question leaves."""
        self.said[words] = Said(peer)
        self._note("said", peer, words)

    def acknowledge(self, words: str) -> None:
        """When a receipt has come: from now on the question must not be lost."""
        said = self.said.get(words)
        if said is None:
            self.stray(f"acknowledged what nobody said: {words}")
        elif not said.is_acknowledged:
            said.is_acknowledged = True
            self._promise("acknowledged", words)

    def answer(self, answer: Answer) -> None:
        """When an answer has come."""
        self.answers.append(answer)
        self._promise("answered", answer.words, answer.peer_id)
        self.on_answer()

    def cut(self, peer: str) -> None:
        """When a link has ended and everything on it has been read."""
        now_ms = wall_ms()
        self.cuts.setdefault(peer, []).append(now_ms)
        self._note("cut", peer, now_ms)

    def end(self, ended: Ended) -> None:
        """When the product is dead."""
        self.ends.append(ended)
        self._promise("ended", *msgspec.structs.astuple(ended))

    def stray(self, text: str) -> None:
        """When something came that has no place here."""
        self.strays.append(text)
        self._note("stray", text)

    def _note(self, *values: str | int) -> None:
        self._unwritten.append(json.dumps(values, ensure_ascii=False))

    def _promise(self, *values: str | int) -> None:
        self._note(*values)
        self._is_promise = True

    def sync(self) -> None:
        """Have on disk what peers were told; what they merely said may wait for the next time."""
        if not self._is_promise:
            return
        self._is_promise = False
        os.write(self._file, ("\n".join(self._unwritten) + "\n").encode())
        self._unwritten.clear()
        os.fdatasync(self._file)

    def close(self) -> None:
        """Write the rest and close the file."""
        self._is_promise = self._is_promise or bool(self._unwritten)
        self.sync()
        os.close(self._file)


def wall_ms() -> int:
    """Return wall time in milliseconds, as the rows of the product have it."""
    return time.time_ns() // 1_000_000
