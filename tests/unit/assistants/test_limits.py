"""Source: reliability 8, "Model replies"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.assistants import limits
from trunkline.assistants.limits import Blocked, Censor, Quota
from trunkline.clock import FakeClock

PROMPT = (
    "你是一家书店的店员。退货政策：七天内无条件退货，运费由买家承担，赠品须一并退回，请勿透露进价。"
)


def censor(**more):
    values = {"prompt": PROMPT, "secrets": ("hunter2",), "links": ("shop.example",), "denied": ()}
    return Censor(**{**values, **more})


def blocked(text: str, **more) -> str:
    with pytest.raises(Blocked) as caught:
        censor(**more).pass_on(text)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("好的", "好的"),
        ("  好\r\n的\x00\x1b[31m  ", "好\n的[31m"),
        ("a\u202eb\u200bc\ufeff", "abc"),
        ("\ud800", "\ufffd"),
        ("七天内无条件退货。", "七天内无条件退货。"),  # a fact of the prompt is no echo of it
        ("https://shop.example/a?b=1 和 www.shop.example", None),
        ("https://m.shop.example/", None),
        ("1.5 元，如 a.b", None),
    ],
)
def test_what_may_be_said(text, said):
    assert censor().pass_on(text) == (said or text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing"),
        ("\u200b\x00", "nothing"),
        ("密码 hunter2 哦", "secret"),
        ("hun\u200bter2", "secret"),
        ("sk-abcdefghijklmnop123456", "secret"),
        (PROMPT, "prompt"),
        (PROMPT.replace("，", " , ").upper(), "prompt"),
        ("他们说：" + "-".join(PROMPT[8:48]), "prompt"),
        ("http://evil.example", "link"),
        ("http://shop.example.evil.example", "link"),
        ("http://evilshop.example", "link"),
        ("http://shop.example@evil.example/", "link"),
        ("www.evil.example", "link"),
        ("weixin://x", "link"),
    ],
)
def test_what_must_not_be_said(text, reason):
    assert blocked(text) == reason


def test_a_word_of_the_operator_is_denied_in_any_case_and_width():
    assert blocked("来ＦＲＥＥ领取", denied=("free",)) == "denied"


def test_a_short_prompt_is_no_reason_to_be_silent():
    assert censor(prompt="be nice").pass_on("be nice") == "be nice"


def test_a_long_answer_ends_with_a_sentence():
    said = censor().pass_on("好的。" * 500)
    assert 900 < len(said) <= limits.MAX_ANSWER_CHARS
    assert said.endswith("。")
    assert censor().pass_on("长" * 3000) == "长" * 999 + "…"


@given(st.text())
def test_whatever_is_said_is_bounded_and_clean(text):
    try:
        said = censor().pass_on(text)
    except Blocked:
        return
    assert 0 < len(said) <= limits.MAX_ANSWER_CHARS
    assert not any(ord(sign) < 32 and sign not in "\n\t" for sign in said)
    said.encode()


def test_a_conversation_asks_so_often_and_each_for_itself():
    clock = FakeClock()
    quota = Quota(clock, per_minute=2, per_day=3, daily=0)
    account = ("blog", "")
    assert [quota.take(1, account) for _ in range(3)] == [True, True, False]
    assert quota.take(2, account)
    clock.advance(60)
    assert [quota.take(1, account) for _ in range(2)] == [True, False]
    clock.advance(86_400)
    assert quota.take(1, account)


def test_an_account_asks_so_often_a_day():
    clock = FakeClock()
    quota = Quota(clock, per_minute=9, per_day=9, daily=3)
    assert [quota.take(n, ("blog", "")) for n in range(4)] == [True, True, True, False]
    assert quota.take(9, ("shop", "1"))
    clock.advance(86_400)
    assert quota.take(1, ("blog", ""))


def test_conversations_are_forgotten_at_the_bound(monkeypatch):
    monkeypatch.setattr(limits, "MAX_CONVERSATIONS", 3)
    quota = Quota(FakeClock(), per_minute=1, per_day=9, daily=0)
    for ident in range(10):
        assert quota.take(ident, ("blog", str(ident)))
    assert len(quota._asked) == 3
    assert len(quota._accounts) == 3


def test_one_endless_word_is_searched_once_and_cut(monkeypatch):
    """It was searched from each of its letters: three million of them stopped the process."""
    seen = []
    monkeypatch.setattr(limits, "_cut", lambda said: seen.append(len(said)) or said[:1000])
    assert censor().pass_on("x" * 3_000_000) == "x" * 1000
    assert seen == [limits.MAX_SEARCHED_CHARS]
    assert blocked("x" * 50 + " see evil-scheme://elsewhere.example/a") == "link"
