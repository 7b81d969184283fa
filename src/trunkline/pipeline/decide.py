"""The pipeline: a turn goes through the stages, the first verdict holds.

Pure. The same inputs give the same verdict, so an answer from outside is used by deciding again
from the start. Rulebooks are compiled by `compile_rulebook`; what is wrong with one is found by
`lint_rulebook`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.model.conversation import ConversationState

from .ai import model
from .compiled import Rulebook, compile_rulebook
from .default_reply import default_reply
from .guard import guard, note_reply
from .item_reply import item_reply
from .lint import lint_rulebook
from .patterns import RuleHealth
from .plugins import compile_handlers, plugins, with_handlers
from .rules import rules
from .stage import Answers, Stage
from .takeover import takeover
from .turn import Step, Turn, Verdict, VerdictKind

STAGES: Final[tuple[Stage, ...]] = (
    guard, takeover, plugins, rules, model, item_reply, default_reply,
)  # fmt: skip

_NOTHING: Final = (Step("default_reply", "pass"),)
_REPLY: Final = VerdictKind.REPLY
_PASS: Final = VerdictKind.PASS


def decide(
    state: ConversationState,
    turn: Turn,
    rulebook: Rulebook,
    answers: Answers,
    health: RuleHealth,
    stages: Sequence[Stage] = STAGES,
) -> Verdict:
    """Decide on a turn.

    Args:
        state: the conversation as this beat sees it.
        answers: by stage name, what came back for its request; empty at the first time.
        health: time-outs of patterns; the only argument that is changed.
        stages: asked in this order.

    Returns:
        The verdict; its `state` is `state` itself when nothing changed.
    """
    notes: tuple[Step, ...] = ()
    for stage in stages:
        found = stage(state, turn, rulebook, answers, health)
        if found is None:
            continue
        if type(found) is Step:  # cheaper than isinstance on structs
            notes = (*notes, found)
            continue
        if notes:
            found = msgspec.structs.replace(found, trace=(*notes, *found.trace))
        if turn.loop_guard and found.kind is _REPLY:
            return note_reply(found, state, turn.now_ms)
        return found
    return Verdict(_PASS, (), (*notes, *_NOTHING) if notes else _NOTHING, state)


__all__ = [
    "STAGES", "RuleHealth", "Rulebook", "compile_handlers", "compile_rulebook", "decide",
    "lint_rulebook", "with_handlers",
]  # fmt: skip
