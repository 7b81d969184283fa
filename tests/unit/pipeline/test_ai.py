import pytest

from trunkline.model.asking import Failed, ModelAnswer, ModelRequest, ModelSpec
from trunkline.pipeline.decide import RuleHealth, compile_rulebook, decide
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec
from trunkline.pipeline.trace import explain
from trunkline.pipeline.turn import Source, VerdictKind
from turns import STATE, detail, rule, said, turn


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


# -- bargaining: xianyu 15 --------------------------------------------------------------------

SHOP = book(max_bargain_rounds=2, refusal="不能再低了")


def bargain(words, state=STATE, rulebook=SHOP, item="9"):
    """Decide on words that the model would answer; return the verdict and what is remembered."""
    asked = turn(words, item=item)
    verdict = decide(state, asked, rulebook, {}, RuleHealth())
    if verdict.kind is VerdictKind.ASK:
        assert verdict.state is state  # asking counts nothing: it may be asked again
        back = {"model": ModelAnswer("好的")}
        verdict = decide(state, asked, rulebook, back, RuleHealth())
    return verdict


def words_of(verdict):
    return [reply.segments[0].text for reply in verdict.replies]


def test_at_the_limit_the_refusal_is_said_without_asking():
    state = STATE
    for _ in range(2):
        verdict = bargain("能便宜点吗", state)
        assert words_of(verdict) == ["好的"]
        state = verdict.state
    refused = decide(state, turn("便宜点", item="9"), SHOP, {}, RuleHealth())
    assert words_of(refused) == ["不能再低了"]
    assert detail(refused.trace[-1]) == {"reason": "bargain-over"}
    assert words_of(bargain("怎么发货", state)) == ["好的"]


@pytest.mark.parametrize(("words", "item"), [("怎么发货", "9"), ("能便宜点吗", "")])
def test_only_words_about_the_price_of_goods_count(words, item):
    verdict = bargain(words, item=item)
    assert words_of(verdict) == ["好的"]
    assert verdict.state is STATE


def test_a_model_that_fails_has_not_bargained():
    asked = turn("便宜点", item="9")
    verdict = decide(STATE, asked, SHOP, {"model": Failed("server")}, RuleHealth())
    assert verdict.state is STATE


def test_without_a_refusal_the_turn_goes_on():
    rulebook = book(defaults=(DefaultSpec("稍等"),), max_bargain_rounds=1, refusal=" ")
    state = bargain("便宜点", rulebook=rulebook).state
    assert words_of(decide(state, turn("便宜点", item="9"), rulebook, {}, RuleHealth())) == ["稍等"]


def test_the_words_are_the_owners_and_width_and_case_do_not_matter():
    mine = book(max_bargain_rounds=1, refusal="no", price_words=("DEAL", " "))
    state = bargain("any ｄｅａｌ?", rulebook=mine).state
    assert state.counters == {"bargain": 1}
    assert bargain("便宜点", rulebook=mine).state is STATE
