"""The model: asked for texts that no plugin and no rule answered, when an assistant is configured.

In a chat about goods it bargains a few times only: answered messages about the price are counted in
the conversation, and at the limit a fixed refusal is said without asking. What the model says is
looked through for prices and discounts beyond the limits: such an answer is not said, and the next
stages answer (Source: xianyu 15).

A model that fails lets the turn go on. On a site somebody waits in front of the window, so when
nothing else answers either, the configured apology is said (see `default_reply`).
Source: contact 5.3, reliability 8 "Model replies"
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.model.asking import Failed, Intent, ModelAnswer, ModelRequest
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
    intent = _intent(asked, turn)
    is_bargain = intent == "price" and asked.max_bargain_rounds > 0
    if is_bargain and state.counters.get(BARGAIN, 0) >= asked.max_bargain_rounds:
        return _refuse(state, turn, asked)
    answer = answers.get(STAGE)
    if answer is None:
        about = _about(state, turn, asked) if intent else ""
        return ask(state, STAGE, ModelRequest(turn.text[:MAX_QUESTION_CHARS], intent, about))
    # Once a chat bargains, "好，八十" answers any message.
    is_about_price = intent == "price" or state.counters.get(BARGAIN, 0) > 0
    if (why := _why_not(asked, turn, answer, is_about_price=is_about_price)) is not None:
        return Step(STAGE, "pass", why)
    if is_bargain:
        state = _counted(state)
    return say(state, turn, (Text(answer.text),), Source.MODEL)


def _why_not(
    asked: Model, turn: Turn, answer: object, *, is_about_price: bool
) -> tuple[str, ...] | None:
    """Return why what came back is not said, None when it is."""
    if type(answer) is Failed:
        return ("reason", answer.reason, "detail", answer.detail)
    if type(answer) is not ModelAnswer or not answer.text.strip():
        return ("reason", "nothing")
    if not turn.item:
        return None
    words = asked.limits.breach(answer.text, turn.item, is_about_price=is_about_price)
    return ("reason", "price", "detail", words) if words else None


def _intent(asked: Model, turn: Turn) -> Intent:
    """Return what a message about goods is about, "" when there are no goods."""
    if not turn.item:
        return ""
    folded = fold(turn.text)
    if any(word in folded for word in asked.price_words):
        return "price"
    return "tech" if any(word in folded for word in asked.tech_words) else "default"


def _about(state: ConversationState, turn: Turn, asked: Model) -> str:
    """Tell the model what it must know: the goods, and how far the bargaining may go."""
    limits = asked.limits
    price = limits.prices.get(turn.item)
    rounds = state.counters.get(BARGAIN, 0)
    lines = [f"商品编号：{turn.item}", f"标价：{'未知' if price is None else f'{price:g} 元'}"]
    if asked.max_bargain_rounds:
        lines.append(f"已砍价 {rounds} 次，最多 {asked.max_bargain_rounds} 次")
    lines.append(f"最多优惠 {limits.percent:g}%，且不超过 {limits.amount:g} 元")
    return "\n".join(lines)


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
