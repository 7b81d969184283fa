"""Rules: those in use, and what they would say. They are written in the configuration file."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Request
from pydantic import Field

from trunkline.model.message import summary
from trunkline.pipeline.rulebook import DefaultSpec, RuleSpec
from trunkline.pipeline.trace import explain
from trunkline.web.notation import format_time
from trunkline.web.problem import Problem, choose_language
from trunkline.web.schemas import Shape, StepOut
from trunkline.web.services import Using
from trunkline.web.showing import MAX_TEXT_CHARS
from trunkline.web.trial import build_trial

from .lines import find_line
from .table import GET, POST, PUT, Route


class RuleOut(Shape):
    """One rule, as the file has it."""

    name: str
    lines: list[str]
    items: list[str]
    keywords: list[str]
    excepts: list[str]
    match: str
    reply: str
    has_image: bool
    priority: int
    is_enabled: bool
    then: str
    notices: list[str]


class DefaultOut(Shape):
    """One default reply, or item reply when it has items."""

    lines: list[str]
    items: list[str]
    reply: str
    limit: int
    per: str
    is_enabled: bool


class RulesOut(Shape):
    """The rules in use.

    `problems`: why the last edit of the file was refused; `restart_needed`: what else of it was
    changed and is not in use yet.
    """

    loaded: str
    rules: list[RuleOut]
    default_replies: list[DefaultOut]
    problems: list[str]
    restart_needed: list[str]


class TryIn(Shape):
    """What a new visitor says, on which line (the first one when none is named), about what."""

    text: Annotated[str, Field(max_length=20_000)]
    line: Annotated[str, Field(max_length=64)] = ""
    item: Annotated[str, Field(max_length=200)] = ""


class TriedReplyOut(Shape):
    """One reply that would be sent."""

    text: str
    source: str
    name: str
    is_draft: bool


class TriedOut(Shape):
    """What would be decided. A stage that asks the outside shows as verdict `ask`."""

    line: str
    verdict: str
    replies: list[TriedReplyOut]
    steps: list[StepOut]
    lines: list[str]


async def show_rules(services: Using) -> RulesOut:
    """Show the rules and default replies in use."""
    rules = services.rules
    return RulesOut(
        loaded=format_time(rules.loaded_ms),
        rules=[_to_rule(spec) for spec in rules.spec.rules],
        default_replies=[_to_default(spec) for spec in rules.spec.defaults],
        problems=list(rules.problems),
        restart_needed=list(rules.restart_needed),
    )


async def refuse_rules() -> None:
    """Refuse: the file is the truth, and it is read again when it changes."""
    # On one node a second truth would be overwritten by the next edit. Source: design 5.
    raise Problem("rules-live-in-the-file")


async def try_rules(services: Using, request: Request, wanted: TryIn) -> TriedOut:
    """Decide on one message from a new visitor by rules alone; nothing is sent or stored."""
    known = services.fleet.statuses()
    name = wanted.line or (known[0].name if known else "")
    mode = find_line(services, name).mode if name else "auto"
    facts = services.facts.get(name)
    state, turn = build_trial(
        wanted.text, wanted.item, line=name, now_ms=services.clock.now_ms(), mode=mode,
        dialect=facts.dialect if facts is not None else "",
        is_site=facts is not None and facts.traits.is_site,
    )  # fmt: skip
    verdict = services.rules.try_on(state, turn)
    language = choose_language(request.headers.get("accept-language", ""))
    return TriedOut(
        line=name,
        verdict=verdict.kind.value,
        replies=[
            TriedReplyOut(
                text=summary(reply.segments, MAX_TEXT_CHARS),
                source=reply.source.value,
                name=reply.name,
                is_draft=reply.is_draft,
            )
            for reply in verdict.replies
        ],
        steps=[
            StepOut(stage=step.stage, verdict=step.verdict, detail=list(step.detail))
            for step in verdict.trace
        ],
        lines=list(explain(verdict.trace, language)),
    )


def _to_rule(spec: RuleSpec) -> RuleOut:
    return RuleOut(
        name=spec.name,
        lines=list(spec.lines),
        items=list(spec.items),
        keywords=list(spec.keywords),
        excepts=list(spec.excepts),
        match=spec.match,
        reply=spec.reply,
        has_image=spec.image is not None,
        priority=spec.priority,
        is_enabled=spec.is_enabled,
        then=spec.then,
        notices=list(spec.notices),
    )


def _to_default(spec: DefaultSpec) -> DefaultOut:
    return DefaultOut(
        lines=list(spec.lines),
        items=list(spec.items),
        reply=spec.reply,
        limit=spec.limit,
        per=spec.per,
        is_enabled=spec.is_enabled,
    )


ROUTES: Final = (
    Route(GET, "/api/v1/rules", show_rules),
    Route(PUT, "/api/v1/rules", refuse_rules),
    Route(POST, "/api/v1/rules/try", try_rules),
)
