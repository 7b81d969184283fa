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
        misordered: answers to a line while an earlier one of the same chat had none.
        errors: calls of the framework that could not be read.
        refused: calls that failed because the account was kicked.
    """

    sent: int = 0
    answered: int = 0
    doubled: int = 0
    misordered: int = 0
    errors: int = 0
    refused: int = 0


class Book:
    """Lines of one account without an answer, by chat. An answer may come over a later link."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], deque[tuple[int, str]]] = {}  # link and words

    def ask(self, chat: Chat, link: int, words: str) -> None:
        """Note a line."""
        key = (chat.kind, chat.id)
        self._asked.setdefault(key, deque(maxlen=REMEMBERED)).append((link, words))

    def answer(self, chat: Chat, said: str, tally: Tally) -> None:
        """Note an answer. Nothing on the wire says what it answers: its words may.

        Passing over a line of an earlier link is no disorder: its answer may be lost for good.
        """
        waiting = self._asked.get((chat.kind, chat.id))
        if not waiting:
            tally.doubled += 1
            return
        tally.answered += 1
        found = (nth for nth, (_, words) in enumerate(waiting) if words and words in said)
        nth = next(found, 0)
        link = waiting[nth][0]
        tally.misordered += any(waiting[before][0] == link for before in range(nth))
        del waiting[nth]

    def is_clear(self, link: int) -> bool:
        """Whether every line of a link is answered."""
        return not any(of == link for waiting in self._asked.values() for of, _ in waiting)
