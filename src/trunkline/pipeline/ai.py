"""The model: asked for texts that no plugin and no rule answered, when an assistant is configured.

In a chat about goods it bargains a few times only: answered messages about the price are counted in
the conversation, and at the limit a fixed refusal is said without asking (Source: xianyu 15).

A model that fails lets the turn go on. On a site somebody waits in front of the window, so when
nothing else answers either, the configured apology is said (see `default_reply`).
Source: contact 5.3, reliability 8 "Model replies"
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.model.asking import Failed, ModelAnswer, ModelRequest
from trunkline.model.conversation import ConversationState
from trunkline.model.message import Segments
from trunkline.model.segment import Text

from .compiled import Model, Rulebook
from .keywords import fold
from .patterns import RuleHealth
from .stage import Answers, Found, ask, say
from .turn import Source, Step, Turn

STAGE: Final = "model"
BARGAIN: Final = "bargain"  # in the conversation's counters
MAX_QUESTION_CHARS: Final = 4_000  # Source: reliability 8, "Model replies"


def model(
    state: ConversationState, turn: Turn, rulebook: Rulebook, answers: Answers, _health: RuleHealth
) -> Found:
    """Ask the model about a text; say what it answered."""
    asked = rulebook.model
    if asked is None or not asked.scope.holds_line(turn.line) or not turn.text.strip():
        return None
    is_bargain = _is_bargain(asked, turn)
    if is_bargain and state.counters.get(BARGAIN, 0) >= asked.max_bargain_rounds:
        return _refuse(state, turn, asked)
    answer = answers.get(STAGE)
    if answer is None:
        return ask(state, STAGE, ModelRequest(turn.text[:MAX_QUESTION_CHARS]))
    if type(answer) is ModelAnswer and answer.text.strip():
        if is_bargain:
            state = _counted(state)
        return say(state, turn, (Text(answer.text),), Source.MODEL)
    if type(answer) is Failed:
        return Step(STAGE, "pass", ("reason", answer.reason, "detail", answer.detail))
    return Step(STAGE, "pass", ("reason", "nothing"))


def _is_bargain(asked: Model, turn: Turn) -> bool:
    """Whether it is about the price of goods, and bargaining has a limit."""
    if not asked.max_bargain_rounds or not turn.item:
        return False
    folded = fold(turn.text)
    return any(word in folded for word in asked.price_words)


def _refuse(state: ConversationState, turn: Turn, asked: Model) -> Found:
    if not asked.refusal:
        return Step(STAGE, "pass", ("reason", "bargain-over"))
    verdict = say(state, turn, asked.refusal, Source.MODEL)
    step = Step(STAGE, verdict.kind.value, ("reason", "bargain-over"))
    return msgspec.structs.replace(verdict, trace=(step,))


def _counted(state: ConversationState) -> ConversationState:
    counters = {**state.counters, BARGAIN: state.counters.get(BARGAIN, 0) + 1}
    return msgspec.structs.replace(state, counters=counters)


def apology(turn: Turn, rulebook: Rulebook, answers: Answers) -> Segments:
    """Return what a site says instead of the offline notice, () when the model was not asked."""
    asked = rulebook.model
    if asked is None or not turn.is_site or STAGE not in answers:
        return ()
    return asked.apology
