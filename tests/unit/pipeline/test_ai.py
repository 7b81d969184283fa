import pytest

from trunkline.model.asking import Failed, ModelAnswer, ModelRequest, ModelSpec
from trunkline.pipeline.decide import RuleHealth, compile_rulebook, decide
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec
from trunkline.pipeline.trace import explain
from trunkline.pipeline.turn import Source, VerdictKind
from turns import STATE, rule, said, turn


def book(*, defaults=(), **model):
    values = {"fallback": "抱歉", **model}
    return compile_rulebook(
        RulebookSpec((rule("价格", reply="规则"),), defaults, "离线", model=ModelSpec(**values))
    )


def judged(text="在吗", *, answers=None, rulebook=None, **fields):
    return decide(STATE, turn(text, **fields), rulebook or book(), answers or {}, RuleHealth())


def test_a_text_that_no_rule_knows_is_asked():
    verdict = judged()
    assert verdict.kind is VerdictKind.ASK
    assert verdict.ask == ("model", ModelRequest("在吗"))


def test_a_question_has_at_most_4000_characters():
    assert len(judged("长" * 9000).ask[1].text) == 4000


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_picture_alone_is_not_asked(text):
    assert said(judged(text, is_site=True)) == "离线"


def test_a_rule_answers_without_the_model():
    assert said(judged("价格")) == "规则"


def test_only_its_lines_are_asked():
    assert judged(rulebook=book(lines=("shop*",))).kind is VerdictKind.ASK
    assert judged(rulebook=book(lines=("blog",))).kind is VerdictKind.PASS


def test_without_an_assistant_nothing_is_asked_and_a_site_says_its_notice():
    plain = compile_rulebook(RulebookSpec(offline_notice="离线"))
    assert said(judged(rulebook=plain, is_site=True)) == "离线"


def test_what_the_model_said_is_said():
    verdict = judged(answers={"model": ModelAnswer("答")})
    assert (said(verdict), verdict.replies[0].source) == ("答", Source.MODEL)
    draft = judged(answers={"model": ModelAnswer("答")}, mode="draft")
    assert draft.kind is VerdictKind.DRAFT


@pytest.mark.parametrize("answer", [Failed("timeout"), ModelAnswer("  "), object()])
def test_a_failure_is_excused_on_a_site_only(answer):
    verdict = judged(answers={"model": answer}, is_site=True)
    assert (said(verdict), verdict.replies[0].source) == ("抱歉", Source.MODEL)
    assert [step.stage for step in verdict.trace] == ["model", "default_reply"]
    assert said(judged(answers={"model": answer})) == ""


def test_without_an_excuse_the_notice_is_said():
    verdict = judged(answers={"model": Failed("x")}, rulebook=book(fallback=""), is_site=True)
    assert said(verdict) == "离线"


def test_a_default_reply_comes_before_the_excuse_and_the_excuse_before_the_notice():
    once = book(defaults=(DefaultSpec("默认", limit=1),))
    answers = {"model": Failed("x")}
    first = judged(answers=answers, rulebook=once, is_site=True)
    assert said(first) == "默认"
    second = decide(first.state, turn("在吗", is_site=True), once, answers, RuleHealth())
    assert said(second) == "抱歉"


def test_why_tells_what_went_wrong():
    verdict = judged(answers={"model": Failed("link", "evil.example")}, is_site=True)
    text = "\n".join(explain(verdict.trace, "en"))
    assert "apology" in text
    assert "link that is not allowed" in text
    assert "evil.example" in text
    text = "\n".join(explain(judged(answers={"model": Failed("throttled")}).trace, "zh"))
    assert "429" in text
