"""What became of our messages once nobody works on them: late proofs, echoes, and doubts.

A piece that was written has an id of ours. Its server's id may come late, twice, or never; what was
told as sent or as uncertain is then proven after all. Bounded by how many are remembered.
Source: boss 6.3, 6.5
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeVar

from trunkline.dialects.boss.account import Account
from trunkline.dialects.contract import Effect, Noticed, Received, Settled
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import Segments

REMEMBERED: Final = 1024  # ids of ours whose echo may still come. Source: boss 6.5
V = TypeVar("V")


class Proofs:
    """The ids of one link's messages."""

    def __init__(self, account: Account) -> None:
        self._account = account
        # Ours, and what became of them: the server's id, 0 = it never said.
        self._told: OrderedDict[int, int] = OrderedDict()
        self._sent: OrderedDict[int, Delivery] = OrderedDict()  # settled without a proof
        # Told as uncertain: where, what, and when that was told.
        self._unclear: OrderedDict[int, tuple[Chat, Segments, int]] = OrderedDict()

    def __contains__(self, cmid: int) -> bool:
        """Whether one of our messages that nobody works on has this id."""
        return cmid in self._told

    def note(self, cmid: int, mid: int) -> None:
        """Note the server's id of a message, 0 when it did not say one in time."""
        _remember(self._told, cmid, mid)

    def note_sent(self, cmid: int, delivery: Delivery) -> None:
        """Note that a delivery was told as sent; a proof may follow."""
        _remember(self._sent, cmid, delivery)

    def note_unclear(self, cmid: int, chat: Chat, segments: Segments, at_ms: int) -> None:
        """Note that a delivery was told as uncertain, and when."""
        _remember(self._unclear, cmid, (chat, segments, at_ms))

    def forget_unclear(self, cmid: int, mid: int) -> bool:
        """Note the server's id of what was told as uncertain; return whether it was."""
        if cmid not in self._unclear:
            return False
        del self._unclear[cmid]
        self._told[cmid] = mid
        return True

    def prove(self, cmid: int, mid: int) -> list[Effect]:
        """Take the server's id of a message after its time. Source: boss 6.3"""
        earlier = self._told.get(cmid)
        if earlier is None:
            return []  # of another device, or of another run
        if earlier:
            return [] if earlier == mid else [Noticed("second-server-id", "the first one is kept")]
        self._told[cmid] = mid
        delivery = self._sent.pop(cmid, None)
        if delivery is not None:
            return [Settled(delivery.id, Outcome.CONFIRMED, peer_id=str(mid))]
        found = self._unclear.pop(cmid, None)
        return [Received(self._own_words(*found, mid))] if found is not None else []

    def _own_words(self, chat: Chat, segments: Segments, at_ms: int, mid: int) -> MessageReceived:
        """Return what was said as its own echo: a late proof, and the exchange knows the row.

        The time is that of the row, however late the proof is: the exchange goes by it.
        """
        me = Person(str(self._account.me))
        return MessageReceived(
            chat, me, segments, b"m%d" % mid, str(mid), at_ms, "", b"", is_own=True
        )


def _remember(known: OrderedDict[int, V], key: int, value: V) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
