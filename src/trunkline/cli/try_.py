"""`trunkline try`: what would it say? Offline, by the pipeline itself; nothing is sent."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.clock import SystemClock
from trunkline.config import Config
from trunkline.dialects.registry import DIALECTS
from trunkline.model.conversation import ConversationState
from trunkline.model.message import summary
from trunkline.pipeline.compiled import compile_rulebook
from trunkline.pipeline.decide import decide
from trunkline.pipeline.nearest import explain_nearest, nearest
from trunkline.pipeline.patterns import RuleHealth
from trunkline.pipeline.trace import explain
from trunkline.pipeline.turn import Source, Turn, Verdict
from trunkline.web.trial import build_trial

from .client import ConfigOption, JsonOption
from .loading import load
from .output import ExitCode, fail, language, print_json, say, text

_SOURCES = {
    Source.RULE: ("规则", "rule"),
    Source.ITEM: ("商品回复", "item reply"),
    Source.DEFAULT: ("默认回复", "default reply"),
    Source.OFFLINE: ("离线提示", "offline notice"),
}


def register(app: typer.Typer) -> None:
    """Add the command `try`."""
    summary_ = text("会怎样回答？不发送。", "What would it say? Nothing is sent.")
    app.command("try", help=summary_)(try_)


def try_(
    words: Annotated[str, typer.Argument(metavar="TEXT")],
    line: Annotated[str, typer.Option(help=text("线路", "the line it comes in on"))] = "",
    item: Annotated[str, typer.Option(help=text("商品号", "the item it is about"))] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide on one message from a new visitor and say why."""
    loaded = load(config)
    state, turn = _build(loaded, _choose_line(loaded, line), words, item)
    rulebook = compile_rulebook(loaded.rulebook)
    verdict = decide(state, turn, rulebook, {}, RuleHealth())
    detail = verdict.trace[-1].detail if verdict.trace else ()
    decided = dict(zip(detail[::2], detail[1::2], strict=False)).get("rule", "")
    misses = explain_nearest(nearest(rulebook, turn, decided), language())
    if as_json:
        print_json({
            "line": turn.line,
            "verdict": verdict.kind.value,
            "replies": [
                {
                    "text": summary(reply.segments, 10_000),
                    "source": reply.source.value,
                    "name": reply.name,
                    "is_draft": reply.is_draft,
                }
                for reply in verdict.replies
            ],
            "trace": [
                {"stage": step.stage, "verdict": step.verdict, "detail": step.detail}
                for step in verdict.trace
            ],
        })  # fmt: skip
        return
    reasons = (*explain(verdict.trace, language()), *misses)
    say(*_describe(verdict), *(f"    {reason}" for reason in reasons))


def _choose_line(config: Config, name: str) -> str:
    if name and name not in config.lines:
        fail(
            ExitCode.USAGE,
            text(f"没有线路 {name}", f"no line {name!r}"),
            text(f"现有：{', '.join(config.lines)}", f"there are: {', '.join(config.lines)}"),
        )
    return name or next(iter(config.lines), "")


def _build(config: Config, line: str, words: str, item: str) -> tuple[ConversationState, Turn]:
    options = config.lines.get(line)
    traits = DIALECTS[options.dialect].traits.get(options.role) if options else None
    return build_trial(
        words, item, line=line, now_ms=SystemClock().now_ms(),
        mode=options.mode if options else "auto",
        dialect=options.dialect if options else "",
        is_site=traits.is_site if traits else False,
        name=text("访客", "visitor"),
    )  # fmt: skip


def _describe(verdict: Verdict) -> list[str]:
    if not verdict.replies:
        return [f"  – {text('不回复', 'no answer')} ({verdict.kind.value})"]
    lines: list[str] = []
    for reply in verdict.replies:
        source = text(*_SOURCES.get(reply.source, (reply.source.value, reply.source.value)))
        draft = text(" [草稿]", " [draft]") if reply.is_draft else ""
        shown = " ".join(filter(None, (source, reply.name)))
        lines.append(f"  → {shown}{draft}: {summary(reply.segments, 2000)}")
    return lines
