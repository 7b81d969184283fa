"""What a model may not promise: discounts beyond the limits, prices below the floor."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.model.asking import ModelAnswer, ModelSpec
from trunkline.pipeline.bargain import Limits
from trunkline.pipeline.decide import RuleHealth, compile_rulebook, decide
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec
from trunkline.pipeline.turn import Source, VerdictKind
from turns import STATE, detail, said, turn

# 10 % of 100 are 10: the floor is 90.
LIMITS = Limits(10, 50, {"9": 100.0})


@pytest.mark.parametrize(
    "text",
    [
        "给你 80 元吧", "80块拿走", "八十块卖你", "￥89.9 可以", "¥ 1", "最低 85", "降到80",
        "到手价：八十五", "60包邮", "便宜 11 元", "优惠你十五块", "打8折", "八五折", "8.5折给你",
        "减20%", "20% off", "立减30", "全场１折", "只要 8 元", "一口价五十",
        "给您就算89吧", "99 不行，88 出", "1,0元", "半价给你", "对半砍",
        "那就砍半", "打对折吧", "一半价",
        "便宜一半", "那就八十吧", "80成交", "就80", "按八十算", "捌拾元", "8️⃣0️⃣元", "80￥",
        "100-20=80",
        "100减20等于80", "打个8折", "打到八折", "八点五折", "七折半", "八成价出", "便宜两成",
        "优惠百分之二十", "折后80", "打折到80", "给你砍二十",
    ],
)  # fmt: skip
def test_a_promise_beyond_the_limits_is_found(text: str) -> None:
    assert LIMITS.breach(text, "9")


@pytest.mark.parametrize(
    "text",
    [
        "页面价 100 元", "最低 90 元了", "便宜 5 元，95 给你", "打九折", "9.5折", "优惠10%",
        "3 天内发货", "用了2年，成色95新", "运费 10 元", "快递费8块，您自付", "共 2 件，尺寸 38 号",
        "给您 3 天考虑", "100块拿走", "一百元", "一千二百块", "1,200 元", "不能再便宜了", "",
        "我们一块去取", "九点五折", "优惠百分之五", "让利5元", "一百二给你", "100-5=95", "八成新",
        "周一吧", "星期三吧", "一定给您好价", "不打折哦",
    ],
)  # fmt: skip
def test_what_is_no_promise_or_within_the_limits_is_said(text: str) -> None:
    assert LIMITS.breach(text, "9") == ""


@pytest.mark.parametrize(
    "text",
    [
        "八十可以", "行，80", "好的，八十", "100-20", "100 - 20 啊", "80 行", "80，不能再少", "80k",
        "fifty yuan", "几块给你", "⑧⑩", "骨折价给你", "白送你了", "半价",
    ],
)  # fmt: skip
def test_in_an_answer_about_the_price_a_bare_number_is_one_and_a_riddle_is_too_low(
    text: str,
) -> None:
    assert LIMITS.breach(text, "9", is_about_price=True)
    if text != "半价":
        assert LIMITS.breach(text, "9") == ""
        assert LIMITS.breach(text, "8", is_about_price=True) == ""  # nobody has set its price


@pytest.mark.parametrize(
    "text",
    [
        "页面价 100 元", "便宜 5 元，95 给你", "打九折", "3 天内发货", "3-5天到", "3到5天到",
        "用了2年，成色95新",
        "95 元，运费 10 元", "快递费8块，您自付", "共 2 件，尺码 38", "iPhone 13 成色很好",
        "128g 的", "24小时内发",
        "8点前发货", "第2个问题", "不能再砍了，95 是底价", "100-5=95", "十分感谢",
        "千万别错过", "多少元都不行", "已经是最低价了", "这块没问题",
    ],
)  # fmt: skip
def test_in_an_answer_about_the_price_what_is_counted_is_no_price(text: str) -> None:
    assert LIMITS.breach(text, "9", is_about_price=True) == ""


@pytest.mark.parametrize(
    ("said", "floor"),
    [
        ("一百二元", 120),
        ("一百零二元", 102),
        ("一千二百元", 1200),
        ("两万三元", 23_000),
        ("佰伍拾元", 150),
    ],
)
def test_chinese_numbers_are_read_as_they_are_said(said: str, floor: int) -> None:
    assert Limits(0, 0, {"9": floor}).breach(said, "9") == ""
    assert Limits(0, 0, {"9": floor + 1}).breach(said, "9") == said


def test_without_a_price_only_discounts_are_known() -> None:
    assert LIMITS.breach("给你 1 元", "8") == ""
    assert LIMITS.breach("打5折", "8") == "5折"
    assert LIMITS.breach("便宜 60", "8") == "便宜 60"
    assert LIMITS.breach("便宜 50", "8") == ""
    assert LIMITS.breach("便宜 50", "9") == "便宜 50"  # 10 % are less


@given(st.text(alphabet="便宜降到减打折元块给你1280.,%八十百千万¥ off") | st.text())
def test_nothing_that_a_model_says_is_an_error(text: str) -> None:
    assert isinstance(LIMITS.breach(text, "9"), str)
    assert isinstance(LIMITS.breach(text, "9", is_about_price=True), str)


@given(st.integers(1, 99_999), st.sampled_from(["{}元", "¥{}", "最低{}", "{}包邮", "卖你{}"]))
def test_every_price_in_digits_is_judged_by_its_value(price: int, form: str) -> None:
    assert bool(LIMITS.breach(form.format(price), "9")) is (price < 90)


# -- in the model stage -------------------------------------------------------------------------


def judged(text: str, answer: str | None = None, item: str = "9", state: Any = STATE):
    model = ModelSpec(max_bargain_rounds=3, prices={"9": 100.0})
    spec = RulebookSpec(defaults=(DefaultSpec("页面价就是到手价"),), model=model)
    answers = {} if answer is None else {"model": ModelAnswer(answer)}
    return decide(state, turn(text, item=item), compile_rulebook(spec), answers, RuleHealth())


def test_an_answer_that_gives_too_much_is_not_said_and_not_counted() -> None:
    verdict = judged("最低多少", "亲，60 元给你")
    assert (said(verdict), verdict.replies[0].source) == ("页面价就是到手价", Source.DEFAULT)
    assert detail(verdict.trace[0]) == {"reason": "price", "detail": "60 元"}
    assert verdict.state.counters == {}
    good = judged("最低多少", "亲，95 元给你")
    assert (said(good), good.state.counters) == ("亲，95 元给你", {"bargain": 1})


def test_once_a_chat_bargains_every_answer_is_about_the_price() -> None:
    assert said(judged("八十行不行", "可以，八十")) == "可以，八十"
    bargained = msgspec.structs.replace(STATE, counters={"bargain": 1})
    for text, state in (("八十行不行", bargained), ("八十，最低了吧", STATE)):
        verdict = judged(text, "可以，八十", state=state)
        assert said(verdict) == "页面价就是到手价"
        assert detail(verdict.trace[0]) == {"reason": "price", "detail": "八十"}


def test_numbers_are_no_matter_where_there_are_no_goods() -> None:
    assert said(judged("你好", "60 元给你", item="")) == "60 元给你"


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("能便宜点吗", "price"),
        ("这个怎么用", "tech"),
        ("便宜的怎么用", "price"),
        ("在吗", "default"),
    ],
)
def test_the_model_is_told_what_it_is_about(text: str, intent: str) -> None:
    verdict = judged(text)
    assert verdict.kind is VerdictKind.ASK
    assert verdict.ask is not None
    request = verdict.ask[1]
    assert (request.text, request.intent) == (text, intent)
    assert "100 元" in request.about
    assert "最多 3 次" in request.about
    other = judged(text, item="")
    assert other.ask is not None
    assert (other.ask[1].intent, other.ask[1].about) == ("", "")
