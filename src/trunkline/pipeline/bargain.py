"""What an answer may promise: no discount beyond the limits, no price below the floor.

The model is asked by strangers, so what it says about money is checked and not trusted: numbers in
digits and in Chinese, with a currency or beside a word of selling, and words like 半价. Elsewhere a
number is left alone (days, sizes, pieces). In an answer about the price it is the other way round:
there a number is a price unless something else is counted, and a price that cannot be read is one
that breaks the limits. `docs/rules.md` tells what is recognised.
Source: xianyu 15 ("number check on the output")
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from unicodedata import category, normalize

import msgspec

_DIGITS: Final = (
    {sign: nth for nth, sign in enumerate("零一二三四五六七八九")}
    | {sign: nth for nth, sign in enumerate("〇壹贰叁肆伍陆柒捌玖")}
    | {"两": 2}
)
_UNITS: Final = {
    "十": 10, "百": 100, "千": 1000, "万": 10_000, "拾": 10, "佰": 100, "仟": 1000,
}  # fmt: skip
_DIGIT: Final = "".join(_DIGITS)
_HAN: Final = "".join((*_DIGITS, *_UNITS))
_FIGURES: Final = r"\d[\d,]*+(?:\.\d++)?+"
# Whole or not at all: of 80 折 the 8 is no number.
_NUMBER: Final = rf"(?<![\d{_HAN}])(?<!\d[.,])({_FIGURES}|[{_HAN}]++(?:点[{_DIGIT}]++)?+)"
# Alone, only what can be nothing else: 八十, 一百二, not the 一 of 一定 or the 十 of 十分; and not
# what belongs to a word (iPhone 13), a date or a day of the week.
_ALONE: Final = (
    rf"(?<![\d{_HAN}a-z第周期月年:/])(?<!\d[.,])(?<![a-z] )"
    rf"({_FIGURES}|[{_DIGIT}]++[{''.join(_UNITS)}][{_HAN}]*+|[十拾][{_DIGIT}]++)"
)
_COUNTED: Final = (
    r"(?!\s*(?:[%折天日号个件月年次台部只条双套张位名款代寸码单斤克米层楼点岁版人本瓶盒箱星周分秒新]"
    r"|成(?!交)|小时|公斤|公里|英寸|厘米|毫米|厘|[:/]))"
    r"(?!\s*[-~到至]\s*\d+\s*[天日小个件月年周码])(?!\s?(?![rkw]\b)[a-z])"
)
_MONEY: Final = r"(?:元|块(?!儿|去|来)|圆|rmb|yuan)"
_LESS: Final = r"(?:便宜|优惠|立减|减免|减|降价?|让利?|少收?|抹|砍)"
# Not "降到 80": that is a price, and "减 20%" is a share.
_AMOUNT_OFF: Final = re.compile(
    rf"{_LESS}(?!到|至|成)[你您个了掉]{{0,2}}\s*{_NUMBER}(?!\s*[%折]|成|分之)(?:\s*{_MONEY})?"
)
_PERCENT_OFF: Final = re.compile(
    rf"{_LESS}\D{{0,3}}?{_NUMBER}\s*%|{_NUMBER}\s*%\s*off|{_LESS}[你您了个掉]{{0,2}}百分之{_NUMBER}"
)
_TENTHS_OFF: Final = re.compile(rf"{_LESS}[你您个了掉]{{0,2}}\s*{_NUMBER}\s*成(?!交)")
_TENTHS: Final = re.compile(rf"{_NUMBER}\s*(?:折|成(?=价|出|卖|给))")
_HALF: Final = re.compile(
    rf"半价|半折|对半|对折|砍半|减半|腰斩|{_LESS}[你您个了掉]{{0,2}}一?半|一半的?价|价[格钱]?的?一半"
)
_PRICES: Final = (
    re.compile(rf"[¥￥]\s*{_NUMBER}"),
    re.compile(rf"{_NUMBER}\s*(?:{_MONEY}|[¥￥])"),
    re.compile(
        rf"(?:降到|降至|减到|减至|折到|折后价?|到手价?|卖|给|只要|最低|一口价|算|收|价格?|=|等于)"
        rf"[你您是为就的：: ]{{0,4}}{_NUMBER}"
        r"(?!\s*[%折天日小个件月年次号])"
    ),
    re.compile(rf"{_NUMBER}\s*(?:包邮|拿走|拿去|拿下|带走|给[你您]|卖[你您]|出|成交)"),
    re.compile(rf"{_ALONE}\s*(?:吧|好了)"),
    re.compile(rf"(?:那就|按|就)\s*{_ALONE}{_COUNTED}"),
)
_FEE: Final = re.compile(r"(?:运费|邮费|快递费?|押金)\D{0,4}$")
# In an answer about the price only.
_BARE: Final = re.compile(rf"{_ALONE}{_COUNTED}")
_MINUS: Final = re.compile(rf"{_NUMBER}\s*[-−–—]\s*{_NUMBER}{_COUNTED}")
_MEASURE: Final = re.compile(
    r"(?:尺寸|尺码|码数|型号|身高|体重|库存|内存|版本|电池|健康度?|成色)\D{0,3}$"
)
_UNREADABLE: Final = re.compile(
    r"(?<!多少)(?<![这那一美])(?:元(?!旦)|块(?!儿|去|来)|圆|[¥￥]|rmb|yuan)"
    r"|成本价|骨折|跳楼价|白菜价|白送"
)
_KEYCAP: Final = {0xFE0F: None, 0x20E3: None}  # the box around a digit
MAX_CHARS: Final = 4_000
MAX_LABEL_CHARS: Final = 10  # longer than any label with what may stand behind it


class Limits(msgspec.Struct, frozen=True):
    """How far prices may be given way.

    Args:
        percent, amount: of a discount; neither may be exceeded.
        prices: of goods, by item id.
    """

    percent: float
    amount: float
    prices: Mapping[str, float] = {}

    def floor(self, item: str) -> float | None:
        """Return the lowest price of an item, None when its price is not known."""
        price = self.prices.get(item)
        return None if price is None else price - min(price * self.percent / 100, self.amount)

    def breach(self, text: str, item: str, *, is_about_price: bool = False) -> str:
        """Return the words of an answer that promise too much, "" when none do.

        Args:
            is_about_price: it answers a message about the price, so that its numbers are prices
                unless something else is counted, and a price that cannot be read is too low.
        """
        text = text[:MAX_CHARS].translate(_KEYCAP)
        sign = next((one for one in text if category(one) == "No"), "")  # ⑧⑩ are not 810
        text = normalize("NFKC", text).lower()
        spans: list[tuple[int, int]] = []
        for match, percent, amount in _discounts(text):
            spans.append(match.span())
            if percent > self.percent or amount > self._most(item):
                return match[0]
        floor = self.floor(item)
        if floor is None:
            return ""
        for match, value in _offers(text, spans, is_about_price=is_about_price):
            spans.append(match.span())
            if value < floor:
                return match[0]
        if is_about_price:
            for match in _UNREADABLE.finditer(text):
                if not _is_within(match, spans):
                    return match[0]
        return sign if is_about_price else ""

    def _most(self, item: str) -> float:
        """Return the largest discount in money."""
        price = self.prices.get(item)
        return self.amount if price is None else min(self.amount, price * self.percent / 100)


def _discounts(text: str) -> Iterator[tuple[re.Match[str], float, float]]:
    """Yield every discount: its words, per cent and amount; the one that it is not is 0."""
    for match in _HALF.finditer(text):
        yield match, 50.0, 0.0
    for match in _TENTHS_OFF.finditer(text):
        yield match, _value(match[1]) * 10, 0.0
    for match in _TENTHS.finditer(text):
        if (value := _tenths(match[1])) is not None:
            yield match, 100 - value, 0.0
    for match in _PERCENT_OFF.finditer(text):
        yield match, _value(match[1] or match[2] or match[3]), 0.0
    for match in _AMOUNT_OFF.finditer(text):
        yield match, 0.0, _value(match[1])


def _offers(
    text: str, discounts: list[tuple[int, int]], *, is_about_price: bool
) -> Iterator[tuple[re.Match[str], float]]:
    """Yield every price: its words and its value. Fees are yielded as no price at all."""
    known = list(discounts)
    if is_about_price:
        for match in _MINUS.finditer(text):
            first, second = _value(match[1]), _value(match[2])
            if first > second and not _is_within(match, known):
                known.append(match.span())
                yield match, first - second
    patterns = (*_PRICES, _BARE) if is_about_price else _PRICES
    for pattern in patterns:
        for match in pattern.finditer(text):
            if _is_within(match, known):
                continue
            before = text[max(0, match.start() - MAX_LABEL_CHARS) : match.start()]
            if _FEE.search(before):
                known.append(match.span())
                yield match, float("inf")
            elif pattern is not _BARE or not _MEASURE.search(before):
                yield match, _value(match[1])


def _is_within(match: re.Match[str], spans: list[tuple[int, int]]) -> bool:
    """Whether a match overlaps what was read already."""
    return any(begin < match.end() and match.start() < end for begin, end in spans)


def _tenths(said: str) -> float | None:
    """Return the per cent that are paid: 8 折 and 八折 are 80, 85 折 and 八五折 are 85."""
    digits = "".join(str(_DIGITS[sign]) if sign in _DIGITS else sign for sign in said)
    try:
        value = float(digits.replace("点", "."))
    except ValueError:
        return None
    return value * 10 if value <= 10 else value


def _value(said: str) -> float:
    """Read a number in digits, or in Chinese up to 万."""
    if said[0].isdecimal():
        return float(said.replace(",", ""))
    whole, _, rest = said.partition("点")
    total = part = digit = last = 0
    for sign in whole:
        unit = _UNITS.get(sign, 0)
        if not unit:
            digit = digit * 10 + _DIGITS[sign] if digit else _DIGITS[sign]
            last = last // 10 if sign not in "零〇" else 0
        elif unit == _UNITS["万"]:
            total, part, digit, last = (total + part + digit) * unit, 0, 0, unit
        else:
            part, digit, last = part + (digit or 1) * unit, 0, unit
    # 一百二 is 120: what follows a unit directly is a tenth of it.
    if digit and 1 < last < 10_000 and digit < 10 and len(whole) > 1:
        digit *= last
    value = float(total + part + digit)
    return value + float("0." + "".join(str(_DIGITS[sign]) for sign in rest)) if rest else value
