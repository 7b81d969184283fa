"""The reply decisions of the 闲鱼 specification, section 14, as far as they are the pipeline's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from decisions import CASES, bargained, reason_of, said, spec_of
from trunkline.model.asking import Failed, ModelAnswer
from trunkline.model.event import Person
from trunkline.pipeline.asked import answer
from trunkline.pipeline.decide import RuleHealth, compile_rulebook, decide, lint_rulebook
from trunkline.pipeline.rulebook import RulebookSpec
from trunkline.pipeline.turn import Turn, Verdict, VerdictKind
from turns import NOW_MS, STATE, judge, message


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
    spec = spec_of(given)
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
