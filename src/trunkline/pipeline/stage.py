"""What a stage of the pipeline is.

A stage is a plain function of the conversation, the turn, the rulebook, the answers that stages
asked for, and the health of patterns. It returns None when the turn is none of its business, a
`Step` when it has nothing to answer but something to remember in the *why* record, or a `Verdict`,
which ends the flow.

A stage that needs the outside and finds nothing under its own name in `answers` returns `ask(…)`.
The exchange asks, and decides again from the start with the answer: so what happened meanwhile (a
takeover) is seen by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from trunkline.model.conversation import ConversationState
from trunkline.model.message import Segments

from .compiled import Rulebook
from .patterns import RuleHealth
from .turn import Reply, Source, Step, Trace, Turn, Verdict, VerdictKind

Answers: TypeAlias = Mapping[str, Any]
Found: TypeAlias = Verdict | Step | None
Stage: TypeAlias = Callable[[ConversationState, Turn, Rulebook, Answers, RuleHealth], Found]

# In the order of `decide.STAGES`; the closed set of the metric label `stage`.
NAMES: Final = (
    "guard", "takeover", "plugins", "rules", "model", "item_reply", "default_reply",
)  # fmt: skip


def stop(state: ConversationState, stage: str, *detail: str) -> Verdict:
    """Return the verdict that nothing is said, and why: `detail` is name, value, name, value …"""
    return Verdict(VerdictKind.STOP, (), (Step(stage, "stop", detail),), state)


def ask(state: ConversationState, stage: str, request: Any) -> Verdict:
    """Return the verdict that the outside must be asked for `stage`."""
    return Verdict(VerdictKind.ASK, (), (Step(stage, "ask"),), state, (stage, request))


def say(state: ConversationState, turn: Turn, segments: Segments, source: Source) -> Verdict:
    """Return the verdict that `segments` are said, or drafted on a draft line."""
    is_draft = turn.mode == "draft"
    kind = VerdictKind.DRAFT if is_draft else VerdictKind.REPLY
    trace: Trace = (Step(_STAGE_OF[source], kind.value),)
    return Verdict(kind, (Reply(segments, source, "", is_draft),), trace, state)


_STAGE_OF: Final = {
    Source.ITEM: "item_reply",
    Source.DEFAULT: "default_reply",
    Source.OFFLINE: "default_reply",
    Source.MODEL: "model",
}
