"""Rules that never decide are found, and none that does."""

from __future__ import annotations

import pytest

from trunkline.pipeline.decide import RuleHealth, decide
from trunkline.pipeline.shadows import Shadow, find_shadows
from turns import STATE, book, rule, turn


def shadows(*rules):
    return [(one.rule, one.word, one.by, one.by_word) for one in find_shadows(book(*rules))]


@pytest.mark.parametrize(
    ("better", "shadowed"),
    [
        (rule("价", name="a"), rule("价格", name="b")),
        (rule("PRICE", name="a"), rule("price list", name="b")),
        (rule("价", name="a"), rule("价格", name="b", match="exact")),
        (rule("价格", name="a", match="exact"), rule("价格", name="b", match="exact")),
        (rule("多少|价", name="a", match="regex"), rule("价格", name="b")),
        (rule(name="a", match="any", priority=1), rule("价格", name="b")),
        (rule(name="a", match="any"), rule(name="b", match="any")),
        (rule("价", name="a", lines=("shop",)), rule("价格", name="b", lines=("shop",))),
        (rule("价", name="a", lines=("s*",)), rule("价格", name="b", lines=("shop",))),
        (rule("价", name="a", lines=("s*",)), rule("价格", name="b", lines=("s*",))),
        (rule("价", name="a", items=("1", "2")), rule("价格", name="b", items=("1",))),
        (rule("价", name="a", then="person", reply=""), rule("价格", name="b")),
    ],
)
def test_a_rule_behind_a_wider_one_never_decides(better, shadowed):
    (found,) = find_shadows(book(better, shadowed))
    assert (found.rule, found.by, found.is_whole) == ("b", "a", True)
    text = "这里的价格 price list"
    for said in (text, "价格"):
        asked = turn(said, line="shop", item="1")
        verdict = decide(STATE, asked, book(better, shadowed), {}, RuleHealth())
        assert "b" not in verdict.trace[-1].detail


@pytest.mark.parametrize(
    "rules",
    [
        (rule("价格", name="a"), rule("价", name="b")),
        (rule("价格", name="a", match="exact"), rule("价格", name="b")),
        (rule("价", name="a", excepts=("批发",)), rule("价格", name="b")),
        (rule("价", name="a", lines=("shop",)), rule("价格", name="b")),
        (rule("价", name="a", lines=("shop",)), rule("价格", name="b", lines=("shop", "x"))),
        (rule("价", name="a", lines=("shop",)), rule("价格", name="b", lines=("s*",))),
        (rule("价", name="a", items=("1",)), rule("价格", name="b")),
        (rule("价", name="a", items=("1",)), rule("价格", name="b", items=("1", "2"))),
        (rule("价", name="a", is_enabled=False), rule("价格", name="b")),
        (rule("价.", name="a", match="regex"), rule("价格", name="b")),
        # A rule of a line comes before one for every line, wherever it stands in the file.
        (rule("价", name="a"), rule("价格", name="b", lines=("shop",))),
        (rule("价", name="a"), rule("价格", name="b", priority=1)),
    ],
)
def test_a_rule_that_can_decide_is_not_told_of(rules):
    assert shadows(*rules) == []


def test_one_keyword_of_several_is_named_and_the_rule_is_not_dead():
    found = find_shadows(book(rule("价", name="a"), rule("价格", "发货", name="b")))
    assert found == [Shadow("b", "价格", "a", "价", is_whole=False)]


def test_the_best_of_several_is_named():
    found = shadows(rule("格", name="a"), rule("价", name="b"), rule("价格", name="c"))
    assert found == [("c", "价格", "a", "格")]
