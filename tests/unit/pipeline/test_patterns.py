import pytest

from trunkline.pipeline.keywords import fold
from trunkline.pipeline.patterns import (
    MAX_PATTERN_CHARS,
    MAX_TIMEOUTS,
    Pattern,
    RuleHealth,
    pattern_problem,
    split_words,
)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("刀|便宜|最低", ("刀", "便宜", "最低")), ("刀", ("刀",)), (" a|b ", (" a", "b ")),
        ("a|", None), ("|", None), ("", None), ("a.b", None), ("a\\|b", None), ("[ab]", None),
        ("^a", None), ("a$", None), ("(a|b)", None), ("a?", None), ("a{2}", None),
    ],
)  # fmt: skip
def test_split_words(pattern, words):
    assert split_words(pattern) == words


@pytest.mark.parametrize(
    ("pattern", "text", "hits"),
    [
        (r"ＡＢＣ\d", "abc7", True), (r"[Ａ-Ｃ]$", "b", True), ("真的？", "真的?", True),
        ("真的？", "真的", False), (r"真的\？", "真的?", True), (r"\ｄ", "d", True),
        (r"\ｄ", "7", False), (r"\\？", "\\?", True), (r"\\？", "\\", False), ("[？！]", "!", True),
        (r"\S+", "  ", False), (r"\bHello\b", "say HELLO", True), ("ß", "SS", False),
        ("（包邮）", "(包邮)", True), ("（包邮）", "包邮", False), ("价。", "价。", True),
    ],
)  # fmt: skip
def test_patterns_are_folded_as_texts_are(pattern, text, hits):
    assert pattern_problem(pattern) is None
    assert Pattern(pattern).is_in(fold(text)) is hits


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "empty"), ("  ", "empty"), ("(", "not a regular expression"), ("a**", "not a regular"),
        ("[z-a]", "not a regular"), (r"\L<x>", "not a regular"), (r"(?<=a", "not a regular"),
        ("x" * (MAX_PATTERN_CHARS + 1), "longer than 512"),
        ("(a{1000}){1000}", "repeats"), ("((a{0,1000}){0,1000}){0,1000}", "repeats"),
        ("(a{１０００}){１０００}", "repeats"), ("a{999999999}", "repeats"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_pattern(pattern, words):
    assert words in (pattern_problem(pattern) or "fine")


@pytest.mark.parametrize(
    "pattern", ["x" * MAX_PATTERN_CHARS, r"\d{4}年\d{2}月", "a{2,}b{,3}", "{}"]
)
def test_what_is_right(pattern):
    assert pattern_problem(pattern) is None


def test_a_search_ends_in_time():
    with pytest.raises(TimeoutError):
        Pattern("(a+)+$").is_in("a" * 1900 + "b")


def test_three_time_outs_switch_off():
    health = RuleHealth()
    for _ in range(MAX_TIMEOUTS):
        assert not health.is_off("x")
        health.note_timeout("x")
    assert health.is_off("x")
    assert health.off == ("x",)
    assert not health.is_off("y")


def test_what_is_remembered_is_bounded():
    health = RuleHealth()
    for _ in range(MAX_TIMEOUTS):
        health.note_timeout("kept")
        health.note_timeout("old")
    for nth in range(1022):
        health.note_timeout(f"p{nth}")
    health.note_timeout("kept")  # again: the latest
    health.note_timeout("one more")
    assert health.off == ("kept",)
