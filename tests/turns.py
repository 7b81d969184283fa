"""Makers of turns, states and rulebooks for tests of the pipeline."""

from __future__ import annotations

from typing import Any

from trunkline.ids import ConversationId
from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.event import DurableEvent, MessageReceived, NoticeReceived, Person
from trunkline.model.segment import Text
from trunkline.pipeline.decide import Rulebook, RuleHealth, compile_rulebook, decide
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec, RuleSpec
from trunkline.pipeline.turn import Step, Turn, Verdict

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z, 08:00 in China
CHAT = Chat("", "visitor", "v1")
BUYER = Person("u1", "小明")
STATE = ConversationState(ConversationId(1), "shop", "", "visitor", "v1")


def message(text: str, *, is_own: bool = False, sender: Person | None = BUYER) -> MessageReceived:
    return MessageReceived(CHAT, sender, (Text(text),), is_own=is_own)


def notice() -> NoticeReceived:
    return NoticeReceived(CHAT, "ban")


def turn(
    text: str = "多少钱", *, events: tuple[DurableEvent, ...] | None = None, **fields: Any
) -> Turn:
    values: dict[str, Any] = {
        "item": "", "sender": BUYER, "now_ms": NOW_MS, "line": "shop", **fields,
    }  # fmt: skip
    events = events if events is not None else (message(text),)
    return Turn(events=events, text=text, **values)


def rule(*keywords: str, reply: str = "好", **fields: Any) -> RuleSpec:
    return RuleSpec(name=fields.pop("name", "r"), keywords=keywords, reply=reply, **fields)


def book(*rules: RuleSpec, defaults: tuple[DefaultSpec, ...] = (), **fields: Any) -> Rulebook:
    """Compile rules in the order given."""
    ordered = tuple(
        RuleSpec(**{**{name: getattr(one, name) for name in one.__struct_fields__}, "order": at})
        for at, one in enumerate(rules)
    )
    return compile_rulebook(RulebookSpec(rules=ordered, defaults=defaults, **fields))


def judge(
    rulebook: Rulebook,
    asked: Turn | None = None,
    state: ConversationState = STATE,
    health: RuleHealth | None = None,
) -> Verdict:
    return decide(state, asked or turn(), rulebook, {}, health or RuleHealth())


def said(verdict: Verdict) -> str:
    """The text of the only reply, or "" when nothing is said."""
    if not verdict.replies:
        return ""
    (reply,) = verdict.replies
    return "".join(part.text for part in reply.segments if isinstance(part, Text))


def detail(step: Step) -> dict[str, str]:
    return dict(zip(step.detail[::2], step.detail[1::2], strict=True))
