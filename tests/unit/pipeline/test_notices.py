from __future__ import annotations

import msgspec
import pytest

from trunkline.model.address import Chat
from trunkline.model.asking import HandlerSpec, PluginAnswer, PluginRequest
from trunkline.model.event import NoticeReceived, Person
from trunkline.model.segment import Text
from trunkline.pipeline.decide import RuleHealth, compile_handlers, decide, lint_rulebook
from trunkline.pipeline.decide import with_handlers as with_
from trunkline.pipeline.guard import MAX_REPLIES
from trunkline.pipeline.notices import is_named
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec
from trunkline.pipeline.shadows import find_shadows
from trunkline.pipeline.trace import explain
from trunkline.pipeline.turn import Turn, VerdictKind
from turns import NOW_MS, STATE, book, detail, judge, rule, said, turn

CHAT = Chat("me", "chat", "5")
BUYER = Person("2", "买家甲")


def happened(name: str = "order:paid", **more: object) -> Turn:
    """A turn that is one notice, as the exchange builds it."""
    values = {"is_trusted": True, "item": "", **more}
    event = NoticeReceived(
        CHAT, name, BUYER, item=str(values["item"]), is_trusted=bool(values["is_trusted"])
    )
    fields = {key: value for key, value in more.items() if key != "is_trusted"}
    return turn("", events=(event,), notice=name, sender=BUYER, **fields)


THANKS = rule(reply="谢谢 {send_user_name}，马上发货", notices=("order:paid",), name="paid")
ALL = rule(match="any", name="all", priority=9)


@pytest.mark.parametrize(
    ("names", "notice", "found"),
    [
        (("order:paid",), "order:paid", "order:paid"),
        (("order",), "order:paid", "order"),
        (("ban",), "ban", "ban"),
        (("order:*",), "order:paid", "order:*"),
        (("order:re*ed",), "order:refund_requested", "order:re*ed"),
        (("*",), "ban", "*"),
        (("order:shipped",), "order:paid", ""),
        (("order",), "orders:paid", ""),
        (("paid",), "order:paid", ""),
        ((), "order:paid", ""),
    ],
)
def test_names(names, notice, found):
    assert is_named(names, notice) == found


def test_a_rule_answers_the_notice_that_it_names():
    verdict = judge(book(ALL, THANKS), happened())
    assert said(verdict) == "谢谢 买家甲，马上发货"
    assert detail(verdict.trace[-1]) == {"rule": "paid", "matched": "order:paid"}
    assert "规则 paid 命中「order:paid」" in explain(verdict.trace, "zh-CN")[0]


@pytest.mark.parametrize("name", ["order:shipped", "system:tip", "ban"])
def test_a_notice_that_no_rule_names_is_never_answered(name):
    rulebook = book(ALL, THANKS, defaults=(DefaultSpec("默认"), DefaultSpec("商品", items=("9",))))
    verdict = judge(rulebook, happened(name, item="9", is_site=True))
    assert (verdict.kind, verdict.replies) == (VerdictKind.PASS, ())
    assert detail(verdict.trace[-1]) == {"reason": "notice"}


def test_a_message_is_never_answered_by_a_rule_for_notices():
    for words in ("order:paid", "paid", ""):
        assert judge(book(THANKS), turn(words)).replies == ()
    assert find_shadows(book(ALL, THANKS)) == []


def test_lines_items_and_priority_hold_for_notices():
    rulebook = book(
        rule(reply="哪都行", notices=("order",), name="any"),
        rule(reply="九号", notices=("order",), items=("9",), name="nine"),
        rule(reply="这条线", notices=("order",), lines=("shop",), priority=5, name="line"),
    )
    assert said(judge(rulebook, happened(item="9"))) == "九号"
    assert said(judge(rulebook, happened(item="8"))) == "这条线"
    assert said(judge(rulebook, happened(line="other"))) == "哪都行"


def test_what_the_platform_may_not_have_said_never_acts():
    verdict = judge(book(THANKS), happened(is_trusted=False))
    assert (verdict.kind, verdict.replies) == (VerdictKind.PASS, ())
    assert detail(verdict.trace[-1]) == {"reason": "untrusted"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"mode": "off"}, "off"),
        ({"is_enabled": False}, "disabled"),
        ({"age_ms": 300_001, "stale_after_ms": 300_000}, "stale"),
    ],
)
def test_the_guard_holds_for_notices_too(fields, reason):
    verdict = judge(book(THANKS), happened(**fields))
    assert (verdict.kind, detail(verdict.trace[-1])["reason"]) == (VerdictKind.STOP, reason)


def test_a_person_has_the_chat_also_against_notices():
    taken = msgspec.structs.replace(STATE, taken_until_ms=NOW_MS + 1)
    assert judge(book(THANKS), happened(), taken).trace[-1].stage == "takeover"


def test_the_loop_guard_counts_answers_to_notices():
    state = STATE
    for _ in range(MAX_REPLIES + 1):
        verdict = judge(book(THANKS), happened(loop_guard=True), state)
        assert verdict.replies
        state = verdict.state
    paused = judge(book(THANKS), happened(loop_guard=True), state)
    assert detail(paused.trace[-1])["reason"] == "loop"


def test_a_draft_line_drafts_and_a_person_can_be_asked_for():
    assert judge(book(THANKS), happened(mode="draft")).kind is VerdictKind.DRAFT
    person = rule(reply="", notices=("order:refund_requested",), then="person")
    assert judge(book(person), happened("order:refund_requested")).kind is VerdictKind.PERSON
    silent = rule(reply="", notices=("order",))
    assert judge(book(silent, THANKS), happened()).kind is VerdictKind.STOP


def test_a_rule_for_notices_has_no_words():
    for wrong in (
        rule("词", notices=("order",)),
        rule(notices=("order",), match="any"),
        rule(notices=("order",), excepts=("批发",)),
        rule(notices=(" ",)),
    ):
        (problem,) = lint_rulebook(RulebookSpec(rules=(wrong,)))
        assert "notice: " in problem
    assert lint_rulebook(RulebookSpec(rules=(THANKS,))) == []


# -- plugins ------------------------------------------------------------------------------------


def handlers(*specs: HandlerSpec):
    return with_(book(ALL), compile_handlers(specs))


def test_a_plugin_hears_the_notices_that_it_names_and_no_message():
    rulebook = handlers(
        HandlerSpec("n", "n", "notice", ("order",)), HandlerSpec("m", "m", "message")
    )
    verdict = judge(rulebook, happened())
    assert verdict.kind is VerdictKind.ASK
    assert verdict.ask is not None
    request = verdict.ask[1]
    assert isinstance(request, PluginRequest)
    assert [(hit.handler, hit.word) for hit in request.hits] == [("n", "order")]
    asked = judge(rulebook, turn("order"))
    assert asked.ask is not None
    assert [hit.handler for hit in asked.ask[1].hits] == ["m"]
    assert judge(rulebook, happened("ban")).kind is VerdictKind.PASS


def test_what_a_plugin_answers_to_a_notice_is_said_and_nothing_else_is():
    rulebook = handlers(HandlerSpec("n", "n", "notice", ("order",)))

    def after(answer: PluginAnswer):
        return decide(STATE, happened(), rulebook, {"plugins": answer}, RuleHealth())

    assert said(after(PluginAnswer(((Text("好"),),), "n"))) == "好"
    assert after(PluginAnswer()).kind is VerdictKind.PASS
    assert after(PluginAnswer(handler="n", is_stopped=True)).kind is VerdictKind.STOP


def test_a_plugin_of_another_line_or_dialect_is_not_asked():
    spec = HandlerSpec("n", "n", "notice", ("order",), lines=("other",))
    assert judge(handlers(spec), happened()).kind is VerdictKind.PASS
