"""The reply that belongs to an item: before the default reply, and not counted."""

from __future__ import annotations

from trunkline.model.conversation import ConversationState

from .compiled import Rulebook
from .patterns import RuleHealth
from .stage import Answers, Found, say, stop
from .turn import Source, Turn


def item_reply(
    state: ConversationState, turn: Turn, rulebook: Rulebook, _answers: Answers, _health: RuleHealth
) -> Found:
    """Say what was written for the item; an empty text is deliberate silence."""
    for entry in rulebook.item_replies:
        if entry.scope.holds(turn.line, turn.item):
            segments = entry.template.segments(turn, rulebook.day_offset_ms)
            if not segments:
                return stop(state, "item_reply", "reason", "silent", "item", turn.item)
            return say(state, turn, segments, Source.ITEM)
    return None
