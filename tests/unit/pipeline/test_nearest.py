import pytest

from trunkline.pipeline import nearest as nearest_module
from trunkline.pipeline.nearest import MAX_NEAREST, MAX_SLOW, NearMiss, explain_nearest, nearest
from trunkline.pipeline.patterns import Pattern
from trunkline.pipeline.rulebook import DefaultSpec
from turns import book, judge, rule, turn


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (rule("价"), NearMiss("r", "lower", ("价",))),
        (rule("价格？", match="exact"), NearMiss("r", "lower", ("价格？",))),
        (rule("价|钱", match="regex"), NearMiss("r", "lower", ("价|钱",))),
        (rule("价.", match="regex"), NearMiss("r", "lower", ("价.",))),
        (rule(match="any"), NearMiss("r", "lower", ("*",))),
        (rule("价", excepts=("格", "x")), NearMiss("r", "except", ("格",))),
        (rule("价", is_enabled=False), NearMiss("r", "disabled", ("价",))),
        (rule("价", items=("7",)), NearMiss("r", "item", ("7",))),
        (rule("价", lines=("x-*",), items=("7",)), NearMiss("r", "line", ("x-*",))),
        (rule("价格表", "邮费"), NearMiss("r", "keyword", ("价格表", "邮费"))),
        (rule("格外"), NearMiss("r", "keyword", ("格外",))),
        (rule("发货"), None),
        (rule("abc"), None),
        (rule("价\\d", match="regex"), NearMiss("r", "keyword", ("价\\d",))),
        (rule("(a+)+$", match="regex"), None),
    ],
)
def test_what_kept_a_rule(spec, expected):
    found = nearest(book(spec), turn("价格？"))
    assert found == (() if expected is None else (expected,))


def test_at_most_three_the_nearest_first():
    rulebook = book(
        rule("价目", name="far"), rule("价", name="off", is_enabled=False),
        rule("价", name="lower"), rule("价格", name="won", priority=1),
        rule("价格表", name="close"), rule("价", name="veto", excepts=("格",)),
    )  # fmt: skip
    asked = turn("价格")
    assert judge(rulebook, asked).replies[0].name == "won"
    found = nearest(rulebook, asked, "won")
    assert len(found) == MAX_NEAREST
    assert [miss.rule for miss in found] == ["lower", "veto", "off"]


def test_among_missed_keywords_the_most_alike_comes_first():
    rulebook = book(rule("价目", name="far"), rule("价格表", name="close"))
    assert [miss.rule for miss in nearest(rulebook, turn("价格"))] == ["close", "far"]


def test_slow_patterns_do_not_hold_it_up(monkeypatch):
    tried: list[str] = []

    class Counted(Pattern):
        def is_in(self, folded: str) -> bool:
            tried.append(self.text)
            return super().is_in(folded)

    monkeypatch.setattr(nearest_module, "Pattern", Counted)
    slow = [rule(f"(a+)+a{{0,{at}}}$", name=f"s{at}", match="regex") for at in range(50)]
    assert nearest(book(*slow, rule("b", name="b")), turn("a" * 1900 + "b"))[0].rule == "b"
    assert len(tried) == MAX_SLOW


def test_told_in_both_languages():
    found = nearest(book(rule("价", excepts=("格",)), rule("价格表", name="list")), turn("价格"))
    assert explain_nearest(found, "zh-CN") == [
        "最近   r 命中，但被排除词否决：格", "最近   list 差：价格表",
    ]  # fmt: skip
    assert explain_nearest(found, "en") == [
        "nearest r matched, vetoed by: 格", "nearest list missed: needs 价格表",
    ]  # fmt: skip
    assert explain_nearest((), "en") == []
    assert nearest(book(defaults=(DefaultSpec("x"),)), turn("价格")) == ()
