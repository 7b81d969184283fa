import pytest

from trunkline.model.segment import Image
from trunkline.pipeline.lint import MAX_KEYWORDS, MAX_REPLY_CHARS, MAX_RULES, lint_rulebook
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec
from turns import rule


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (rule("x", match="fuzzy"), "match = “fuzzy” is none of contains, exact, regex, any"),
        (rule("x", then="shout"), "then = “shout” is none of"),
        (rule(), "keywords: match = “contains” needs at least one"),
        (rule(match="regex"), "needs at least one"),
        (rule("x", ""), "keywords: “” is empty"),
        (rule(" \n "), "is empty"),
        (
            rule("x" * 2000),
            "“xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…” has 2,000 characters or more",
        ),
        (rule("ﷺ" * 150), "has 2,000 characters or more"),
        (rule("(", match="regex"), "“(” is not a regular expression"),
        (rule("x" * 513, match="regex"), "is longer than 512"),
        (rule("x", excepts=("",)), "except: “” is empty"),
        (rule("x", excepts=("\ud800",)), "except: “\ud800” cannot be stored"),
        (rule("\udfff"), "cannot be stored"),
        (rule("[\udfff]", match="regex"), "cannot be stored"),
        (rule("x", lines=("",)), "lines: an empty name"),
        (rule("x", items=(" ",)), "items: an empty id"),
        (rule("x", reply="x" * (MAX_REPLY_CHARS + 1)), "reply: has 10,001 characters"),
        (rule("x", reply="\ud800"), "reply: cannot be stored"),
        (rule("x", name="\ud800"), "name: cannot be stored"),
        (rule("x", "", is_enabled=False), "is empty"),
    ],
)
def test_a_rule(spec, words):
    (problem,) = lint_rulebook(RulebookSpec((spec,)))
    assert problem.startswith("[[rules]] 1 “")
    assert words in problem


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (DefaultSpec("x", per="hour"), "per = “hour” is none of conversation, user, day"),
        (DefaultSpec("x", limit=-1), "limit = -1 is negative"),
        (DefaultSpec("x", limit=1, items=("7",)), "is not counted"),
        (DefaultSpec("x", lines=("",)), "lines: an empty name"),
        (DefaultSpec("x", items=("",)), "items: an empty id"),
        (DefaultSpec("x" * (MAX_REPLY_CHARS + 1)), "reply: has 10,001"),
    ],
)
def test_a_default_reply(spec, words):
    (problem,) = lint_rulebook(RulebookSpec(defaults=(spec,)))
    assert problem.startswith("[[default_replies]] 1: ")
    assert words in problem


def test_all_at_once_in_file_order():
    spec = RulebookSpec(
        (rule("", "(", match="regex", name=""), rule(match="odd", then="odd", order=1)),
        (DefaultSpec("x", limit=-1), DefaultSpec("x", per="odd", order=1)),
    )
    problems = lint_rulebook(spec)
    assert [text.split(":")[0] for text in problems] == [
        "[[rules]] 1", "[[rules]] 1", "[[rules]] 2 “r”", "[[rules]] 2 “r”", "[[rules]] 2 “r”",
        "[[default_replies]] 1", "[[default_replies]] 2",
    ]  # fmt: skip


def test_bounds():
    many = tuple(rule("x", order=at) for at in range(MAX_RULES + 1))
    assert lint_rulebook(RulebookSpec(many)) == ["[[rules]]: 20,001 rules; at most 20,000 are kept"]
    wide = (rule(*["x"] * (MAX_KEYWORDS + 1)),)
    assert lint_rulebook(RulebookSpec(wide)) == [
        "[[rules]]: 100,001 keywords; at most 100,000 are kept"
    ]


def test_what_is_right():
    rules = (
        rule("多少钱", "价格", lines=("shop-*",), items=("1",), excepts=("批发",), priority=-1),
        rule(match="any", reply="", image=Image(url="https://x/y")),
        rule("刀|便宜", r"^\d+$", match="regex", then="person", reply=""),
        rule("x", reply=""),
    )
    defaults = (DefaultSpec(""), DefaultSpec("x", items=("7",)), DefaultSpec("x", limit=1))
    assert lint_rulebook(RulebookSpec(rules, defaults)) == []
    assert lint_rulebook(RulebookSpec()) == []
