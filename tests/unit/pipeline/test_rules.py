import pytest

from trunkline.model.segment import Image, Text
from trunkline.pipeline import rules as rules_module
from trunkline.pipeline.decide import RuleHealth
from trunkline.pipeline.patterns import MAX_TIMEOUTS
from trunkline.pipeline.rules import MAX_SLOW
from trunkline.pipeline.turn import Source, VerdictKind
from turns import BUYER, STATE, book, detail, judge, message, rule, said, turn

SLOW = r"(a+)+$"
BAIT = "a" * 1900 + "b"


@pytest.mark.parametrize(
    ("spec", "text", "hits"),
    [
        (rule("多少钱", "价格"), "老板多少钱呀", True),
        (rule("多少钱", "价格"), "什么价格", True),
        (rule("多少钱"), "多少", False),
        (rule("Hello"), "say hELLO", True),
        (rule("hello"), "ＨＥＬＬＯ", True),
        (rule("ＨＥＬＬＯ？"), "hello?", True),
        (rule("ß"), "STRASSE", True),
        (rule(" 在吗 "), "在吗", True),
        (rule("在吗\n有人吗"), "有人吗", True),
        (rule("a.c"), "abc", False),
        (rule("在吗", match="exact"), " 在吗\n", True),
        (rule("在吗", match="exact"), "在吗？", False),
        (rule("OK？", match="exact"), "ok?", True),
        (rule(r"^\d{3,}元$", match="regex"), "１２３元", True),
        (rule(r"^\d{3,}元$", match="regex"), "12元", False),
        (rule("刀|便宜|最低", match="regex"), "能便宜吗", True),
        (rule("刀|便宜|最低", match="regex"), "能不能少", False),
        (rule("刀|ＡＢ", match="regex"), "xab", True),
        (rule("¨", match="exact"), "¨", True),  # folds to a space and a combining sign
        (rule("ABC[0-9]", match="regex"), "abc7", True),
        (rule("真的？$", match="regex"), "真的?", True),
        (rule(" cat", match="regex"), "concat", False),
        (rule(" cat", match="regex"), "a CAT", True),
        (rule(match="any"), "", True),
        (rule("多少钱", excepts=("批发",)), "批发多少钱", False),
        (rule("多少钱", excepts=("ＡＢ",)), "多少钱ab", False),
        (rule("多少钱", excepts=("批发",)), "多少钱", True),
        (rule(match="any", excepts=("批发",)), "批发", False),
        (rule("a|b", match="regex", excepts=("c",)), "abc", False),
        (rule(r"\d", match="regex", excepts=("c",)), "1c", False),
        (rule("多少钱", is_enabled=False), "多少钱", False),
    ],
)
def test_matching(spec, text, hits):
    assert said(judge(book(spec), turn(text))) == ("好" if hits else "")


@pytest.mark.parametrize(
    ("lines", "line", "holds"),
    [
        ((), "shop", True), (("shop",), "shop", True), (("shop",), "shop-a", False),
        (("shop-*",), "shop-a", True), (("shop-*",), "shop", False), (("*",), "x", True),
        (("a*b*c",), "axxbyyc", True), (("a*b*c",), "abc", True), (("a*b*c",), "acb", False),
        (("a*b*b*c",), "abc", False), (("a*b*b*c",), "abbc", True),
        (("ab*ba",), "aba", False), (("x", "shop-*"), "shop-1", True), (("*-a", "b"), "b", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("match", ["contains", "exact", "any"])
def test_lines(lines, line, holds, match):
    keywords = () if match == "any" else ("x",)
    verdict = judge(book(rule(*keywords, match=match, lines=lines)), turn("x", line=line))
    assert said(verdict) == ("好" if holds else "")


def test_items():
    rulebook = book(rule("x", items=("7", "8")))
    assert said(judge(rulebook, turn("x", item="8"))) == "好"
    assert said(judge(rulebook, turn("x", item="9"))) == ""
    assert said(judge(rulebook, turn("x"))) == ""


PRECEDENCE = [
    rule("x", reply="item", items=("7",), priority=-5),
    rule("x", reply="line", lines=("shop",), priority=-1),
    rule("x", reply="glob", lines=("sh*",), priority=-2),
    rule("x", reply="high", priority=9),
    rule("x", reply="first", priority=1),
    rule("x", reply="second", priority=1),
]


@pytest.mark.parametrize("at", range(len(PRECEDENCE)))
@pytest.mark.parametrize("match", ["contains", "exact", "regex", "any"])
def test_precedence(at, match):
    """Item before line before global, then priority, then order – whatever the kinds of match."""
    kept = PRECEDENCE[at:]
    others = ["contains", "exact", "regex", "any"]
    specs = [
        rule(
            *(() if kind == "any" else ("x",)), match=kind, reply=spec.reply, lines=spec.lines,
            items=spec.items, priority=spec.priority,
        )
        for spec, kind in zip(kept, [match, *others, *others], strict=False)
    ]  # fmt: skip
    asked = turn("x", item="7")
    assert said(judge(book(*specs), asked)) == kept[0].reply
    reordered = [*specs[1:], specs[0]]  # only `first` and `second` differ by order alone
    if kept[0].reply != "first":
        assert said(judge(book(*reordered), asked)) == kept[0].reply


def test_the_better_rule_is_tried_also_when_a_worse_one_has_the_keyword_first():
    rulebook = book(rule("ab", reply="low"), rule("bc", reply="high", priority=5))
    assert said(judge(rulebook, turn("abc"))) == "high"


def test_a_vetoed_rule_gives_way_to_the_next():
    rulebook = book(
        rule("价", reply="A", priority=9, excepts=("批发",)), rule("价", reply="B"),
        rule("批发价", reply="C"),
    )  # fmt: skip
    assert said(judge(rulebook, turn("批发价"))) == "B"
    assert said(judge(rulebook, turn("价"))) == "A"


def test_only_the_first_2000_characters_are_read():
    rulebook = book(rule("价"))
    assert said(judge(rulebook, turn("x" * 1999 + "价"))) == "好"
    assert said(judge(rulebook, turn("x" * 2000 + "价"))) == ""
    exact = book(rule("y", match="exact"))
    assert said(judge(exact, turn(" " * 1999 + "y"))) == "好"
    assert said(judge(exact, turn("y" + " " * 1999 + "more"))) == ""


def test_the_cut_counts_characters_after_folding():
    assert said(judge(book(rule("价")), turn("ﷺ" * 1990 + "价"))) == ""


@pytest.mark.parametrize(
    ("then", "mode", "kind", "is_draft"),
    [
        ("reply", "auto", VerdictKind.REPLY, False), ("reply", "draft", VerdictKind.DRAFT, True),
        ("send", "auto", VerdictKind.REPLY, False), ("send", "draft", VerdictKind.REPLY, False),
        ("draft", "auto", VerdictKind.DRAFT, True), ("draft", "draft", VerdictKind.DRAFT, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reply", ["好", "好 {send_user_name}"])
def test_then(then, mode, kind, is_draft, reply):
    verdict = judge(book(rule("x", name="n", reply=reply, then=then)), turn("x", mode=mode))
    assert verdict.kind is kind
    (answer,) = verdict.replies
    assert (answer.is_draft, answer.source, answer.name) == (is_draft, Source.RULE, "n")
    assert verdict.trace[-1].verdict == kind.value
    assert detail(verdict.trace[-1]) == {"rule": "n", "matched": "x"}
    assert verdict.state is STATE


@pytest.mark.parametrize("mode", ["auto", "draft"])
@pytest.mark.parametrize("reply", ["", "稍等"])
def test_a_person_verdict_says_nothing(mode, reply):
    verdict = judge(book(rule("x", reply=reply, then="person")), turn("x", mode=mode))
    assert verdict.kind is VerdictKind.PERSON
    assert verdict.replies == ()


@pytest.mark.parametrize("reply", ["", "  \n", "{item_id}", " {item_id}\n"])
@pytest.mark.parametrize("then", ["reply", "send", "draft"])
def test_nothing_to_say_is_deliberate_silence(reply, then):
    verdict = judge(book(rule("x", reply=reply, then=then)), turn("x", is_site=True))
    assert verdict.kind is VerdictKind.STOP
    assert verdict.replies == ()
    assert verdict.trace[-1].verdict == "stop"


def test_text_then_picture():
    image = Image(data=b"png")
    both = book(rule("x", reply="看 {send_user_name}", image=image))
    assert judge(both, turn("x")).replies[0].segments == (Text("看 小明"), image)
    fixed = book(rule("x", reply="看", image=image))
    assert judge(fixed, turn("x")).replies[0].segments == (Text("看"), image)
    alone = book(rule("x", reply="", image=image))
    assert judge(alone, turn("x")).replies[0].segments == (image,)
    nothing = book(rule("x", reply="", image=Image()))
    assert judge(nothing, turn("x")).kind is VerdictKind.STOP


def test_an_unnamed_rule_is_called_by_its_number():
    verdict = judge(book(rule("y"), rule("x", name="")), turn("x"))
    assert detail(verdict.trace[-1])["rule"] == "#2"
    assert verdict.replies[0].name == "#2"


def test_the_matched_word_is_told_as_its_rule_typed_it():
    rulebook = book(rule("ＡＢ", lines=("shop",), name="s"), rule("ab", name="all"))
    assert detail(judge(rulebook, turn("AB")).trace[-1]) == {"rule": "s", "matched": "ＡＢ"}
    other = judge(rulebook, turn("AB", line="y")).trace[-1]
    assert detail(other) == {"rule": "all", "matched": "ab"}


def test_a_slow_pattern_is_switched_off_after_three_time_outs_and_says_so():
    rulebook = book(rule(SLOW, name="slow", match="regex"), rule("b", name="next", reply="次"))
    health = RuleHealth()
    for _ in range(MAX_TIMEOUTS):
        assert health.off == ()
        verdict = judge(rulebook, turn(BAIT), health=health)
        assert said(verdict) == "次"
        assert verdict.trace[0].detail == ("slow", "slow")
    assert health.off == (SLOW,)
    verdict = judge(rulebook, turn(BAIT), health=health)
    assert verdict.trace[0].detail == ("off", "slow")
    assert said(judge(rulebook, turn("aa"), health=health)) == ""


def test_a_slow_pattern_without_another_answer_is_in_the_record():
    verdict = judge(book(rule(SLOW, name="slow", match="regex")), turn(BAIT))
    assert verdict.kind is VerdictKind.PASS
    assert [step.stage for step in verdict.trace] == ["rules", "default_reply"]


def test_time_outs_of_one_decision_are_bounded():
    slow = [rule(f"(a+)+a{{0,{at}}}$", name=f"s{at}", match="regex") for at in range(7)]
    verdict = judge(book(*slow), turn(BAIT))
    flat = verdict.trace[0].detail
    assert flat[::2].count("slow") == MAX_SLOW
    assert flat[::2].count("skipped") == len(slow) - MAX_SLOW


def test_a_pattern_that_cannot_win_is_not_tried():
    health = RuleHealth()
    rulebook = book(rule("b", reply="先", priority=1), rule(SLOW, match="regex"))
    assert said(judge(rulebook, turn(BAIT), health=health)) == "先"
    elsewhere = book(rule(SLOW, match="regex", lines=("other",)))
    assert judge(elsewhere, turn(BAIT), health=health).trace[0].stage == "default_reply"
    assert health.off == ()


def test_word_lists_need_no_engine():
    assert book(rule("刀|便宜", match="regex")).patterned == ()
    mixed = book(rule("刀|便宜", r"\d+", match="regex"))
    assert said(judge(mixed, turn("7"))) == "好"
    assert said(judge(mixed, turn("便宜"))) == "好"


def test_many_accounts_with_one_keyword_do_not_look_at_each_other():
    rulebook = book(*(rule("价", reply=f"{at}", lines=(f"s{at}",)) for at in range(500)))
    asked = turn("价", line="s321")
    assert said(judge(rulebook, asked)) == "321"
    (posting,) = rulebook.contains
    assert posting.anywhere == ()
    assert len(posting.by_line["s321"]) == 1


def test_events_of_a_joined_turn_are_read_together():
    asked = turn("在吗\n多少钱", events=(message("在吗"), message("多少钱")))
    assert said(judge(book(rule("多少钱")), asked)) == "好"
    assert asked.sender == BUYER


def test_an_empty_rulebook_does_not_even_fold(monkeypatch):
    monkeypatch.setattr(rules_module, "fold", lambda _text: pytest.fail("folded for nothing"))
    assert judge(book(), turn("x")).kind is VerdictKind.PASS
