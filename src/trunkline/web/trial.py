"""What would it say? One message of a new visitor, through the pipeline itself; nothing is sent.

Shared by `POST /api/v1/rules/try` and the command `try`. Only what the pipeline can decide by
itself is decided: a stage that asks the outside shows as `ask`.
"""

from __future__ import annotations

from trunkline.ids import ConversationId
from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import storable
from trunkline.model.segment import Text
from trunkline.pipeline.turn import Turn


def build_trial(
    words: str,
    item: str,
    *,
    line: str,
    now_ms: int,
    mode: str = "auto",
    dialect: str = "",
    is_site: bool = False,
    name: str = "",
) -> tuple[ConversationState, Turn]:
    """Build what a new visitor says on a line about an item, and the empty state of the chat.

    Args:
        mode, dialect, is_site: of the line.
        name: what the visitor is called.
    """
    said = storable(words)
    sender = Person("try", name)
    chat = Chat("", "private", "try")
    event = MessageReceived(chat, sender, (Text(said),), at_ms=now_ms, item=item)
    state = ConversationState(ConversationId(1), line, "", "private", "try")
    turn = Turn(
        events=(event,), text=said, item=item, sender=sender, now_ms=now_ms, line=line, mode=mode,
        is_site=is_site, dialect=dialect,
    )  # fmt: skip
    return state, turn
