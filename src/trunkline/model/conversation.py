"""What is remembered of a conversation between messages."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from trunkline.ids import ConversationId
from trunkline.model.address import Address, Chat


class ConversationState(msgspec.Struct, frozen=True):
    """Small state of one conversation; a row of it is written only when it changes.

    Args:
        id: the integer that stands for (line, account, kind, peer).
        name: what people call the chat.
        context: what the latest event that changed the row carried, for sends without a question.
        counters: uses of limited replies: name → count; names of days carry the day.
        recent: wall times (ms) of the last automatic replies, newest last, at most 6.
        paused_until_ms: the loop guard's pause, 0 = none.
        taken_until_ms: a person has the conversation until then, 0 = nobody.
        taken_by: that person's name.
        taken_ms: when that person last did something here.
        is_brief: its peer's seat never comes back after the link (`Seat.is_brief`).
    """

    id: ConversationId
    line: str
    account: str
    kind: str
    peer: str
    name: str = ""
    context: bytes = b""
    counters: Mapping[str, int] = {}
    recent: tuple[int, ...] = ()
    paused_until_ms: int = 0
    taken_until_ms: int = 0
    taken_by: str = ""
    is_brief: bool = False
    taken_ms: int = 0

    @property
    def chat(self) -> Chat:
        """The chat as a session knows it."""
        return Chat(self.account, self.kind, self.peer, self.name)

    @property
    def address(self) -> Address:
        """The address as people write it."""
        return Address(self.line, self.kind, self.peer, self.account)
