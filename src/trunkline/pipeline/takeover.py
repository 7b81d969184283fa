"""While a person has the conversation, nothing is answered automatically."""

from __future__ import annotations

from trunkline.model.conversation import ConversationState

from .compiled import Rulebook
from .patterns import RuleHealth
from .stage import Answers, Found, stop
from .turn import Turn


def takeover(
    state: ConversationState,
    turn: Turn,
    _rulebook: Rulebook,
    _answers: Answers,
    _health: RuleHealth,
) -> Found:
    """Stop when a person has taken the conversation over."""
    if state.taken_until_ms > turn.now_ms:
        return stop(state, "takeover", "until_ms", str(state.taken_until_ms))
    return None
