import msgspec
import pytest

from trunkline.errors import ConfigError
from trunkline.pipeline.decide import STAGES, RuleHealth, compile_rulebook, decide
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec
from trunkline.pipeline.stage import NAMES, ask, say
from trunkline.pipeline.turn import Source, Step, VerdictKind
from turns import NOW_MS, STATE, book, judge, rule, said, turn

FULL = book(
    rule("多少钱", reply="规则"),
    defaults=(DefaultSpec("商品", items=("7",)), DefaultSpec("默认")),
    offline_notice="离线",
)


def test_the_order_of_the_stages_is_their_names():
    assert tuple(stage.__name__ for stage in STAGES) == NAMES


def test_each_stage_comes_before_the_next():
    taken = msgspec.structs.replace(STATE, taken_until_ms=NOW_MS + 1)
    asked = turn(item="7", is_site=True)
    assert judge(FULL, turn(item="7", mode="off"), taken).trace[-1].stage == "guard"
    assert judge(FULL, asked, taken).trace[-1].stage == "takeover"
    assert said(judge(FULL, asked)) == "规则"
    assert said(judge(FULL, turn("在吗", item="7", is_site=True))) == "商品"
    assert said(judge(FULL, turn("在吗", is_site=True))) == "默认"
    assert said(judge(book(offline_notice="离线"), turn("在吗", is_site=True))) == "离线"


def test_a_stage_that_asks_finds_its_answer_when_decided_again_from_the_start():
    asked: list[str] = []

    def model(state, turn, _rulebook, answers, _health):
        if "model" not in answers:
            asked.append(turn.text)
            return ask(state, "model", {"prompt": turn.text})
        if answers["model"] is None:
            return Step("model", "pass", ("reason", "failed"))
        return say(state, turn, answers["model"], Source.DEFAULT)

    stages = (*STAGES[:3], model, *STAGES[3:])
    health = RuleHealth()
    first = decide(STATE, turn("在吗"), FULL, {}, health, stages)
    assert first.kind is VerdictKind.ASK
    assert first.ask == ("model", {"prompt": "在吗"})
    assert first.replies == ()
    assert first.trace[-1] == Step("model", "ask")
    # The rules and the takeover are looked at again: a person who came meanwhile wins.
    answers = {"model": ("答",)}
    assert decide(STATE, turn("在吗"), FULL, answers, health, stages).replies[0].segments == ("答",)
    taken = msgspec.structs.replace(STATE, taken_until_ms=NOW_MS + 1)
    second = decide(taken, turn("在吗"), FULL, answers, health, stages)
    assert (second.kind, second.trace[-1].stage) == (VerdictKind.STOP, "takeover")
    # A failed answer lets the flow go on, and the record remembers it.
    third = decide(STATE, turn("在吗"), FULL, {"model": None}, health, stages)
    assert said(third) == "默认"
    assert [step.stage for step in third.trace] == ["model", "default_reply"]
    assert asked == ["在吗"]


def test_the_same_inputs_give_the_same_verdict():
    assert judge(FULL, turn()) == judge(FULL, turn())


def test_without_a_loop_guard_the_state_is_the_same_object():
    assert decide(STATE, turn(), FULL, {}, RuleHealth()).state is STATE


def test_a_reply_that_counts_and_is_guarded_keeps_both_changes():
    rulebook = book(defaults=(DefaultSpec("默认", limit=3),))
    state = judge(rulebook, turn(loop_guard=True)).state
    assert state.counters == {"default": 1}
    assert state.recent == (NOW_MS,)


def test_a_rulebook_with_problems_is_refused_whole():
    spec = RulebookSpec((rule("", name="a"), rule("(", name="b", match="regex", order=1)))
    with pytest.raises(ConfigError) as caught:
        compile_rulebook(spec)
    assert len(caught.value.problems) == 2
