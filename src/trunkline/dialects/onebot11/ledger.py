"""What emulated accounts said and heard: which lines wait for an answer, and how many did not.

Pure, like the accounts themselves (`emulator`).
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from trunkline.model.address import Chat

REMEMBERED: Final = 64  # lines of one chat that wait for an answer


class Tally(msgspec.Struct):
    """What the accounts of a world have seen, all together.

    Args:
        sent: messages said; a repeat by the fault `double` is not counted.
        answered: messages with an answer.
        doubled: answers to a chat in which nothing was left to answer.
        misordered: answers to a line after a later one of the same chat had its own.
        errors: calls of the framework that could not be read.
        refused: calls that failed because the account was kicked.
    """

    sent: int = 0
    answered: int = 0
    doubled: int = 0
    misordered: int = 0
    errors: int = 0
    refused: int = 0


class _Line(msgspec.Struct, eq=False):
    """What somebody said.

    Args:
        is_passed: a later line of its link has an answer already.
    """

    link: int
    words: str
    is_passed: bool = False


class Book:
    """Lines of one account without an answer, by chat. An answer may come over a later link."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], deque[_Line]] = {}

    def ask(self, chat: Chat, link: int, words: str) -> None:
        """Note a line."""
        key = (chat.kind, chat.id)
        self._asked.setdefault(key, deque(maxlen=REMEMBERED)).append(_Line(link, words))

    def answer(self, chat: Chat, said: str, tally: Tally) -> None:
        """Note an answer. Nothing on the wire says what it answers: its words may.

        Passing over a line is no disorder by itself: a rule may want it to stay without an answer.
        It is one when that answer comes after all.
        """
        waiting = self._asked.get((chat.kind, chat.id))
        if not waiting:
            tally.doubled += 1
            return
        tally.answered += 1
        meant = min(waiting, key=lambda line: (not _is_meant(line, said), line.is_passed))
        tally.misordered += meant.is_passed
        for line in waiting:
            if line is meant:
                break
            line.is_passed = line.is_passed or line.link == meant.link
        waiting.remove(meant)

    def is_clear(self, link: int) -> bool:
        """Whether every line of a link is answered."""
        return not any(one.link == link for waiting in self._asked.values() for one in waiting)


def _is_meant(line: _Line, said: str) -> bool:
    return bool(line.words) and line.words in said
