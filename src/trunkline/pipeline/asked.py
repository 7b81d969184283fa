"""What is said to somebody who asks by HTTP: the same stages as for a message that was received.

Left out is what only a received message has: whose it is, who has the chat, plugins and the model.
Source: xianyu 14 (the steps that `http` skips)
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from trunkline.model.conversation import ConversationState

from .compiled import Rulebook
from .decide import decide
from .default_reply import default_reply
from .guard import account
from .item_reply import item_reply
from .patterns import RuleHealth
from .rules import rules
from .stage import Stage
from .turn import Turn, Verdict, VerdictKind

STAGES: Final[tuple[Stage, ...]] = (account, rules, item_reply, default_reply)


class Reason(Enum):
    """Why somebody gets an answer or none."""

    ANSWERED = "answered"
    DISABLED = "account_disabled"
    SILENT = "silent_rule"
    USED_UP = "default_reply_used_up"
    PERSON = "person"
    NOTHING = "no_rule"


_REASONS: Final = {
    ("guard", "disabled"): Reason.DISABLED,
    ("rules", ""): Reason.SILENT,
    ("item_reply", "silent"): Reason.SILENT,
    ("default_reply", "used-up"): Reason.USED_UP,
}


def answer(state: ConversationState, turn: Turn, rulebook: Rulebook, health: RuleHealth) -> Verdict:
    """Decide for somebody who asks; a count that is used up is in the verdict's state."""
    return decide(state, turn, rulebook, {}, health, STAGES)


def reason_of(verdict: Verdict) -> Reason:
    """Tell why: a rule that drafts or hands over leaves the word to a person."""
    if verdict.kind is VerdictKind.REPLY:
        return Reason.ANSWERED
    if verdict.kind in (VerdictKind.DRAFT, VerdictKind.PERSON):
        return Reason.PERSON
    last = verdict.trace[-1]
    detail = dict(zip(last.detail[::2], last.detail[1::2], strict=False))
    return _REASONS.get((last.stage, detail.get("reason", "")), Reason.NOTHING)
