"""A bounded write-through cache of conversation state.

The database has the truth; what is in here is what the last commit made of it. A beat reads
through an overlay of its own (see `planning`), which becomes the cache only after the commit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeAlias

from trunkline.ids import ConversationId
from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState

Key: TypeAlias = tuple[str, str, str, str]  # line, account, kind, peer

CAPACITY = 50_000


def key_of(line: str, chat: Chat) -> Key:
    """Return what a chat of a line is kept under."""
    return (line, chat.account, chat.kind, chat.id)


def chat_of(key: Key) -> Chat:
    """Return the chat that is kept under a key."""
    return Chat(key[1], key[2], key[3])


class Conversations:
    """States by key, the least recently used dropped at `capacity` (they are read again).

    Args:
        capacity: how many states are held.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._states: OrderedDict[Key, ConversationState] = OrderedDict()
        self._next_id = 1
        # Returns the committed state, or None when it must be read. No method of ours around it:
        # it is asked three times a message.
        self.get: Callable[[Key], ConversationState | None] = self._states.get

    def start_at(self, next_id: int) -> None:
        """Set the first id that no conversation has."""
        self._next_id = next_id

    def new_id(self) -> ConversationId:
        """Return an id for a new conversation. Ids of failed beats are left unused."""
        ident = self._next_id
        self._next_id = ident + 1
        return ConversationId(ident)

    def put_all(self, changed: Mapping[Key, ConversationState]) -> None:
        """Take the committed states of a beat."""
        states = self._states
        for key, state in changed.items():
            states[key] = state
            states.move_to_end(key)
        while len(states) > self._capacity:
            states.popitem(last=False)

    def put(self, key: Key, state: ConversationState) -> None:
        """Take a committed state."""
        self.put_all({key: state})

    def __len__(self) -> int:
        return len(self._states)
