"""The reply decisions of the 闲鱼 specification, section 14, as far as they are the pipeline's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trunkline.model.asking import Failed, ModelAnswer, ModelSpec
from trunkline.model.event import Person
from trunkline.model.segment import Image, Text
from trunkline.pipeline.asked import answer
from trunkline.pipeline.decide import RuleHealth, compile_rulebook, decide, lint_rulebook
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec, RuleSpec
from trunkline.pipeline.turn import Turn, Verdict, VerdictKind
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
    return "".join(
        part.text if isinstance(part, Text) else f"__IMAGE_SEND__{part.url}"
        for part in reply.segments
        if isinstance(part, Text | Image)
    )


def decide_on(case: dict[str, Any], spec: RulebookSpec, asked: Turn, state: Any) -> Verdict:
    """Decide as the case's entry does: the reply service, or the live path with its model."""
    rulebook = compile_rulebook(spec)
    if case["layer"] == "http":
        return answer(state, asked, rulebook, RuleHealth())
    verdict = judge(rulebook, asked, state)
    if verdict.kind is VerdictKind.ASK:
        words = case["state"]["ai"]["model_answer"]
        back = ModelAnswer(words) if words is not None else Failed("server")
        verdict = decide(state, asked, rulebook, {"model": back}, RuleHealth())
    return verdict


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case):
    given, request, expect = case["state"], case["request"], case["expect"]
    spec = RulebookSpec(tuple(rules_of(given)), tuple(defaults_of(given)), model=model_of(given))
    if case["name"] == "empty_keyword_never_matches":
        assert len(lint_rulebook(spec)) == 1  # "also refused when saved"
        return
    line = request["cookie_id"]
    used = given.get("default_reply_counts", {}).get(line, {}).get(request["chat_id"], 0)
    state = msgspec.structs.replace(
        STATE,
        line=line,
        counters=({"default": used} if used else {})
        | ({"bargain": rounds} if (rounds := bargained(given)) else {}),
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
        is_enabled=given.get("accounts", {}).get(line, {}).get("enabled", True),
    )
    verdict = decide_on(case, spec, asked, state)
    assert reason_of(verdict, spec) == expect["reason"]
    if expect["code"] == 200:
        assert said(verdict) == expect["send_msg"]
    else:
        assert verdict.replies == ()
    counts = expect.get("effects", {}).get("default_reply_counts")
    if counts is not None:
        assert verdict.state.counters == {"default": counts[line][request["chat_id"]]}


def test_all_cases_are_there():
    layers = [case["layer"] for case in CASES]
    assert (layers.count("http"), layers.count("engine")) == (49, 17)
