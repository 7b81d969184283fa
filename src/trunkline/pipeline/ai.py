"""The model: asked for texts that no plugin and no rule answered, when an assistant is configured.

A model that fails lets the turn go on. On a site somebody waits in front of the window, so when
nothing else answers either, the configured apology is said (see `default_reply`).
Source: contact 5.3, reliability 8 "Model replies"
"""

from __future__ import annotations

from typing import Final

from trunkline.model.asking import Failed, ModelAnswer, ModelRequest
from trunkline.model.conversation import ConversationState
from trunkline.model.message import Segments
from trunkline.model.segment import Text

from .compiled import Rulebook
from .patterns import RuleHealth
from .stage import Answers, Found, ask, say
from .turn import Source, Step, Turn

STAGE: Final = "model"
MAX_QUESTION_CHARS: Final = 4_000  # Source: reliability 8, "Model replies"


def model(
    state: ConversationState, turn: Turn, rulebook: Rulebook, answers: Answers, _health: RuleHealth
) -> Found:
    """Ask the model about a text; say what it answered."""
    asked = rulebook.model
    if asked is None or not asked.scope.holds_line(turn.line) or not turn.text.strip():
        return None
    answer = answers.get(STAGE)
    if answer is None:
        return ask(state, STAGE, ModelRequest(turn.text[:MAX_QUESTION_CHARS]))
    if type(answer) is ModelAnswer and answer.text.strip():
        return say(state, turn, (Text(answer.text),), Source.MODEL)
    if type(answer) is Failed:
        return Step(STAGE, "pass", ("reason", answer.reason, "detail", answer.detail))
    return Step(STAGE, "pass", ("reason", "nothing"))


def apology(turn: Turn, rulebook: Rulebook, answers: Answers) -> Segments:
    """Return what a site says instead of the offline notice, () when the model was not asked."""
    asked = rulebook.model
    if asked is None or not turn.is_site or STAGE not in answers:
        return ()
    return asked.apology
