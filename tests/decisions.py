"""The reply decisions of the 闲鱼 specification as rulebooks, and what decided, in its own words.

Source: xianyu 14 (vectors `reply_decisions`)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trunkline.model.asking import ModelSpec
from trunkline.model.message import Segments
from trunkline.model.segment import Image, Text
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec, RuleSpec
from trunkline.pipeline.turn import Trace, Verdict
from turns import detail

FILE = Path(__file__).parent / "vectors" / "xianyu" / "reply_decisions.json"
CASES = json.loads(FILE.read_text(encoding="utf-8"))["cases"]


def rules_of(state: dict[str, Any]) -> list[RuleSpec]:
    specs: list[RuleSpec] = []
    for line, entries in state.get("keywords", {}).items():
        start = len(specs)
        specs += (
            RuleSpec(
                name=f"{line}:{at}",
                keywords=(entry["keyword"],),
                lines=(line,),
                items=(entry["item_id"],) if "item_id" in entry else (),
                reply=entry["reply"],
                image=Image(url=entry["image_url"]) if "image_url" in entry else None,
                is_enabled=entry.get("enabled", True),
                order=start + at,
            )
            for at, entry in enumerate(entries)
        )
    specs += (
        RuleSpec(name=f"global:{at}", keywords=(keyword,), reply=reply, order=1000 + at)
        for at, (keyword, reply) in enumerate(state.get("global_keywords", []))
    )
    return specs


def defaults_of(state: dict[str, Any]) -> list[DefaultSpec]:
    specs = [
        DefaultSpec(
            reply=entry["reply_content"] or "",
            lines=(line,),
            limit=1 if entry["reply_once"] else entry.get("max_replies", 0),
            is_enabled=entry["enabled"],
        )
        for line, entry in state.get("default_replies", {}).items()
    ]
    specs += (
        DefaultSpec(reply=reply, lines=(line,), items=(item,))
        for line, entries in state.get("item_replies", {}).items()
        for item, reply in entries.items()
    )
    return specs


def spec_of(state: dict[str, Any]) -> RulebookSpec:
    rules, defaults = tuple(rules_of(state)), tuple(defaults_of(state))
    return RulebookSpec(rules, defaults, model=model_of(state))


def reason_of(verdict: Verdict, spec: RulebookSpec) -> str:
    return why(verdict.trace, spec, has_said=bool(verdict.replies))


def why(trace: Trace, spec: RulebookSpec, *, has_said: bool) -> str:
    last = trace[-1]
    told = detail(last)
    if last.stage == "rules":
        if last.verdict == "stop":
            return "silent_rule"
        (rule,) = (rule for rule in spec.rules if rule.name == told["rule"])
        if rule.items:
            return "keyword_item"
        return "keyword_account" if rule.lines else "keyword_global"
    return {
        ("item_reply", None): "item_reply",
        ("default_reply", None): "default" if has_said else "no_rule",
        ("default_reply", "silent"): "no_rule",
        ("default_reply", "used-up"): "default_reply_used_up",
        ("guard", "own"): "own_message",
        ("guard", "disabled"): "account_disabled",
        ("model", None): "ai",
        ("model", "bargain-over"): "ai_refusal",
        ("takeover", None): "paused",
    }[last.stage, told.get("reason")]


def model_of(state: dict[str, Any]) -> ModelSpec | None:
    """The assistant of a case: without a key there is none."""
    told = state.get("ai", {})
    if not told.get("enabled") or not told.get("api_key"):
        return None
    return ModelSpec(max_bargain_rounds=3, refusal=told.get("refusal", ""))


def bargained(state: dict[str, Any]) -> int:
    return state.get("ai", {}).get("price_messages_before", 0)


def said(verdict: Verdict) -> str:
    (reply,) = verdict.replies
    return words_of(reply.segments)


def words_of(segments: Segments) -> str:
    return "".join(
        part.text if isinstance(part, Text) else f"__IMAGE_SEND__{part.url}"
        for part in segments
        if isinstance(part, Text | Image)
    )
