"""What a line shows of another line that it carries: chats, people and messages by number.

A number is a positive int32, the same for ever and on every line. The chats are those of the
carrying line: kind `private` or `group`, the number as text for an id. A person's number is that
of the private chat with them.
"""

from __future__ import annotations

import msgspec

from trunkline.model.address import Chat
from trunkline.model.delivery import Outcome
from trunkline.model.event import Person
from trunkline.model.message import Segments


class Carried(msgspec.Struct, frozen=True):
    """What became of something that was said on the carried line.

    Args:
        outcome: CONFIRMED, SENT, REFUSED, UNCERTAIN; LATER = stored, it leaves later by itself.
        number: of the message, 0 when there is none (it was refused before it was stored).
        detail: why, when it is not simply there; safe to show.
    """

    outcome: Outcome
    number: int = 0
    detail: str = ""


class CarriedChat(msgspec.Struct, frozen=True):
    """A chat of the carried line.

    Args:
        chat: with its name, "" when none is known.
        last_ms: when something was said last, 0 = never.
    """

    chat: Chat
    last_ms: int = 0


class CarriedMember(msgspec.Struct, frozen=True):
    """Somebody who spoke in a carried chat lately; `person.id` is a number."""

    person: Person
    last_ms: int = 0


class CarriedMessage(msgspec.Struct, frozen=True):
    """One message of the carried line.

    Args:
        sender: None when it is our own side's.
        segments: quotes and mentions by number.
    """

    number: int
    chat: Chat
    sender: Person | None
    segments: Segments
    at_ms: int
