"""The reply decisions of the 闲鱼 specification, section 14, as far as they are the pipeline's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trunkline.model.event import Person
from trunkline.model.segment import Image, Text
from trunkline.pipeline.decide import compile_rulebook, lint_rulebook
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec, RuleSpec
from trunkline.pipeline.turn import Turn, Verdict
from turns import NOW_MS, STATE, detail, judge, message

FILE = Path(__file__).parents[2] / "vectors" / "xianyu" / "reply_decisions.json"
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


def reason_of(verdict: Verdict, spec: RulebookSpec) -> str:
    last = verdict.trace[-1]
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
        ("default_reply", None): "default" if verdict.replies else "no_rule",
        ("default_reply", "silent"): "no_rule",
        ("default_reply", "used-up"): "default_reply_used_up",
        ("guard", "own"): "own_message",
        ("takeover", None): "paused",
    }[last.stage, told.get("reason")]


def is_ours(case: dict[str, Any]) -> bool:
    state = case["state"]
    if "accounts" in state:  # a disabled line has no connection; the reply service answers 404
        return False
    model = state.get("ai", {})
    return not (model.get("enabled") and model.get("api_key") and model.get("model_answer"))


def said(verdict: Verdict) -> str:
    (reply,) = verdict.replies
    return "".join(
        part.text if isinstance(part, Text) else f"__IMAGE_SEND__{part.url}"
        for part in reply.segments
        if isinstance(part, Text | Image)
    )


@pytest.mark.parametrize("case", [c for c in CASES if is_ours(c)], ids=lambda case: case["name"])
def test_case(case):
    given, request, expect = case["state"], case["request"], case["expect"]
    spec = RulebookSpec(tuple(rules_of(given)), tuple(defaults_of(given)))
    if case["name"] == "empty_keyword_never_matches":
        assert len(lint_rulebook(spec)) == 1  # "also refused when saved"
        return
    line = request["cookie_id"]
    used = given.get("default_reply_counts", {}).get(line, {}).get(request["chat_id"], 0)
    state = msgspec.structs.replace(
        STATE,
        line=line,
        counters={"default": used} if used else {},
        taken_until_ms=NOW_MS + 1 if request["chat_id"] in given.get("paused", ()) else 0,
    )
    sender = Person(request["send_user_id"], request["send_user_name"])
    is_own = request["send_user_id"] == given.get("my_user_id")
    event = message(request["send_message"], is_own=is_own, sender=sender)
    asked = Turn(
        events=(event,),
        text=request["send_message"],
        item=request["item_id"],
        sender=sender,
        now_ms=NOW_MS,
        line=line,
    )
    verdict = judge(compile_rulebook(spec), asked, state)
    assert reason_of(verdict, spec) == expect["reason"]
    if expect["code"] == 200:
        assert said(verdict) == expect["send_msg"]
    else:
        assert verdict.replies == ()
    counts = expect.get("effects", {}).get("default_reply_counts")
    if counts is not None:
        assert verdict.state.counters == {"default": counts[line][request["chat_id"]]}


def test_most_cases_are_ours():
    assert sum(map(is_ours, CASES)) >= 55
