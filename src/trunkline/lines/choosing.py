"""A path that lines of several dialects own: whose peer is this?

First the head of the request is asked (`Dialect.claims`). Where it does not tell, the link is
opened and its first message is asked (`Dialect.recognises`); a peer that keeps silent is given to
the dialect in which our side speaks first, else to the line that stands first in the configuration.
Each door keeps its own rules: who may not enter it is no candidate. Source: guides 6
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from trunkline.dialects.contract import Admit, Head
from trunkline.errors import LinkError

from .contract import Door
from .link import WebSocketLink

Candidate: TypeAlias = tuple[Door, Admit]


class Patience(msgspec.Struct, frozen=True):
    """How long a link may keep silent before it is given to a line.

    Args:
        greeting_s: where a peer may wait for our first word. Source: contact 2
        silence_s: anywhere else, as long as a handshake may take. Source: reliability 8
    """

    greeting_s: float = 1.0
    silence_s: float = 5.0


PATIENCE: Final = Patience()


def claimants(doors: Sequence[Door], head: Head) -> Sequence[Door]:
    """Return the doors whose peer this may be: one when the head tells, never none."""
    if len(doors) == 1:
        return doors
    said = [(door, door.claims(head) if door.claims is not None else None) for door in doors]
    sure = [door for door, answer in said if answer is True]
    if len(sure) == 1:
        return sure
    # Two that are sure contradict each other: the first message decides between them.
    return sure or [door for door, answer in said if answer is None] or doors


class Undecided:
    """The user of a link that nobody has yet: the first message decides.

    Args:
        link: open; it is handed over when the choice is made.
        candidates: at least two, in the order of the configuration.
        patience: for silence.
    """

    def __init__(
        self, link: WebSocketLink, candidates: Sequence[Candidate], patience: Patience = PATIENCE
    ) -> None:
        self._link = link
        self._candidates = tuple(candidates)
        greets = any(_recognises(door, b"") for door, _ in candidates)
        wait_s = patience.greeting_s if greets else patience.silence_s
        loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = loop.call_later(wait_s, self._silent)

    def receive(self, data: bytes, *, is_text: bool) -> None:
        """Give the link to whom the message belongs, and the message with it."""
        self._give(data)
        self._link.hand_on(data, is_text=is_text)

    def read_done(self) -> None:
        """Do nothing: after the first message somebody else is asked."""

    def closed(self, error: LinkError) -> None:  # noqa: ARG002, RUF100 - the contract's signature
        """Forget it: nobody was told of the link."""
        self._disarm()

    def drained(self) -> None:
        """Do nothing."""

    def _silent(self) -> None:
        self._timer = None
        self._give(b"")
        self._link.flush()

    def _give(self, first: bytes) -> None:
        self._disarm()
        chosen = next(
            (each for each in self._candidates if _recognises(each[0], first)), self._candidates[0]
        )
        door, admitted = chosen
        self._link.hand_over(
            lambda link: door.enter(admitted, link),
            limits=door.limits,
            max_message_bytes=admitted.max_message_bytes,
            is_binary=door.is_binary,
            first_bytes=len(first),
        )

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _recognises(door: Door, first: bytes) -> bool:
    return door.recognises is not None and door.recognises(first)
