from trunkline.pipeline.rulebook import DefaultSpec
from trunkline.pipeline.turn import Source, VerdictKind
from turns import NOW_MS, STATE, book, judge, rule, said, turn

ITEM = DefaultSpec("专属 {item_id}", items=("7",))
DEFAULT = DefaultSpec("稍等", limit=1)


def test_the_item_reply_comes_before_the_default_and_is_not_counted():
    rulebook = book(defaults=(DEFAULT, ITEM))
    for _ in range(3):
        verdict = judge(rulebook, turn(item="7"))
        assert said(verdict) == "专属 7"
        assert verdict.replies[0].source is Source.ITEM
        assert verdict.trace[-1].stage == "item_reply"
        assert verdict.state is STATE


def test_another_item_gets_the_default():
    assert said(judge(book(defaults=(ITEM, DEFAULT)), turn(item="8"))) == "稍等"
    assert said(judge(book(defaults=(ITEM, DEFAULT)), turn(item=""))) == "稍等"


def test_rules_come_first():
    assert said(judge(book(rule("多少钱"), defaults=(ITEM,)), turn(item="7"))) == "好"


def test_lines_hold_for_item_replies_too():
    rulebook = book(defaults=(DefaultSpec("x", items=("7",), lines=("a*",)),))
    assert said(judge(rulebook, turn(item="7", line="ab"))) == "x"
    assert said(judge(rulebook, turn(item="7", line="b"))) == ""


def test_an_empty_item_reply_is_silence():
    silent = DefaultSpec("", items=("7",))
    verdict = judge(book(defaults=(silent, DEFAULT)), turn(item="7"))
    assert verdict.kind is VerdictKind.STOP
    assert verdict.trace[-1].stage == "item_reply"


def test_a_disabled_item_reply_is_none():
    off = DefaultSpec("x", items=("7",), is_enabled=False)
    assert said(judge(book(defaults=(off, DEFAULT)), turn(item="7"))) == "稍等"


def test_on_a_draft_line_it_is_a_draft():
    verdict = judge(book(defaults=(ITEM,)), turn(item="7", mode="draft", now_ms=NOW_MS))
    assert verdict.kind is VerdictKind.DRAFT
    assert verdict.replies[0].is_draft
