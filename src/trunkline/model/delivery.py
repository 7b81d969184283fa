"""What we want done, and how far it got."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TypeAlias

import msgspec

from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.event import Person
from trunkline.model.history import Told
from trunkline.model.message import Segments


class DeliveryState(IntEnum):
    """Where an outbox row stands. The numbers are stored; never reuse one."""

    DRAFT = 0  # → QUEUED when a person approves · EXPIRED when of no use · DISCARDED by a person
    QUEUED = 1  # → SENDING when claimed · EXPIRED when of no use · DISCARDED by a person
    SENDING = 2  # → SENT, CONFIRMED, REFUSED, UNCERTAIN by the session · QUEUED by LATER
    SENT = 3  # written; the dialect gives no proof. → CONFIRMED by a late echo
    CONFIRMED = 4  # the peer proved that it has it
    UNCERTAIN = 5  # fate unknown, held. → CONFIRMED by its echo · QUEUED, DISCARDED by a person
    REFUSED = 6  # the peer said no. → QUEUED by a person
    EXPIRED = 7  # too late to be of use. → QUEUED by a person
    DEAD = 8  # cannot be sent or stored. → QUEUED by a person
    DISCARDED = 9  # a person dropped it


HELD = (DeliveryState.DRAFT, DeliveryState.UNCERTAIN)


class Outcome(Enum):
    """What a session says of a delivery."""

    CONFIRMED = "confirmed"
    SENT = "sent"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    LATER = "later"  # nothing was written


class Say(msgspec.Struct, frozen=True, gc=False, tag="say", omit_defaults=True):
    """Say something in the chat.

    The optional fields are set when somebody said it on a line that this one carries: then it is
    an event for who is on the link, not an answer.

    Args:
        sender: who said it; the id is a number as text, in a private chat that of the chat.
        number: of the message, 0 = it is none that was carried.
        at_ms: when it was said.
        is_own: the account that the link stands for said it itself.
    """

    segments: Segments
    sender: Person | None = None
    number: int = 0
    at_ms: int = 0
    is_own: bool = False


class Tell(msgspec.Struct, frozen=True, tag="tell"):
    """Tell the peer of something that happened elsewhere: on another link of its seat, or in a
    chat that it watches. At most once, never stored: what `send` settles for it is ignored.

    Args:
        chat: where it happened.
    """

    chat: Chat
    told: Told


class Act(msgspec.Struct, frozen=True, tag="act"):
    """Do a named action; `data` is JSON bytes."""

    name: str
    data: bytes = b"{}"


class Part(msgspec.Struct, frozen=True, tag="part"):
    """The next piece of a growing answer."""

    text: str


What: TypeAlias = Say | Tell | Act | Part


class Delivery(msgspec.Struct, frozen=True):
    """One outgoing message as a session gets it.

    Args:
        id: of the outbox row; also what a session derives the client message id from, so it is
            the same at every attempt (`send_id`).
        chat: where to.
        what: see the members.
        context: what the event that is answered carried, or what the conversation last carried.
        at_ms: when it was decided.
        attempt: 1 at the first try.
    """

    id: DeliveryId
    chat: Chat
    what: What
    context: bytes = b""
    at_ms: int = 0
    attempt: int = 1
