import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import WireMalformed
from trunkline.pipeline.rulebook import DefaultSpec
from trunkline.pipeline.stage import NAMES, ask
from trunkline.pipeline.trace import decode_trace, encode_trace, explain
from trunkline.pipeline.turn import Step
from turns import NOW_MS, STATE, book, judge, message, notice, rule, turn

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
STEPS = st.builds(
    Step,
    stage=st.sampled_from([*NAMES, "model"]) | WORDS,
    verdict=st.sampled_from(["reply", "draft", "person", "stop", "ask", "pass"]) | WORDS,
    detail=st.lists(
        WORDS | st.sampled_from(["reason", "own", "rule", "matched", "until_ms", "99", "slow"]),
        max_size=7,
    ).map(tuple),
)
TRACES = st.lists(STEPS, max_size=5).map(tuple)


@given(TRACES)
def test_a_trace_survives_its_encoding(trace):
    assert decode_trace(encode_trace(trace)) == trace


@given(TRACES, st.sampled_from(["zh", "zh-CN", "en", "", "de"]))
def test_any_trace_can_be_told(trace, language):
    lines = explain(trace, language)
    assert bool(lines) == bool(trace)
    assert all(isinstance(line, str) for line in lines)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_trace_or_malformed(data):
    try:
        trace = decode_trace(data)
    except WireMalformed:
        return
    assert all(isinstance(step, Step) for step in trace)


def test_what_is_no_trace_is_malformed():
    with pytest.raises(WireMalformed, match="bad_trace"):
        decode_trace(b"\xc1")


def test_nothing_is_an_empty_trace():
    assert decode_trace(b"") == ()
    assert explain((), "en") == []


def test_the_blob_is_compact():
    blob = encode_trace(judge(book(rule("多少钱", name="price"))).trace)
    assert len(blob) < 50
    assert msgspec.msgpack.decode(blob) == [
        ["rules", "reply", ["rule", "price", "matched", "多少钱"]]
    ]


TAKEN = msgspec.structs.replace(STATE, taken_until_ms=NOW_MS + 5 * 60_000)
PAUSED = msgspec.structs.replace(STATE, paused_until_ms=NOW_MS + 5 * 60_000)
USED = msgspec.structs.replace(STATE, counters={"default": 1})
RULES = book(
    rule("多少钱", name="price"), rule("刀", name="bargain", then="person"),
    rule("广告", name="ads", reply=""), rule("急", name="late", then="draft"),
)  # fmt: skip
DEFAULT = book(defaults=(DefaultSpec("稍等", limit=1), DefaultSpec("x", items=("7",))))
SILENT = book(defaults=(DefaultSpec(""), DefaultSpec("", items=("7",))))


@pytest.mark.parametrize(
    ("rulebook", "asked", "state", "zh", "en"),
    [
        (
            RULES, turn("多少钱"), STATE,
            ("自动回复：规则 price 命中「多少钱」",
             "守卫 通过 → 接管 无 → 规则 price 命中「多少钱」"),
            ("answered: rule price matched “多少钱”",
             "guard passed → takeover nobody → rule price matched “多少钱”"),
        ),
        (
            RULES, turn("能刀吗"), STATE,
            ("没有自动回复，转人工：规则 bargain 命中「刀」", "→ 规则 bargain 命中「刀」"),
            ("no automatic answer, a person is asked: rule bargain matched “刀”", "bargain"),
        ),
        (
            RULES, turn("广告"), STATE,
            ("没有自动回复：规则 ads 命中「广告」，按要求沉默", "按要求沉默"),
            ("no automatic answer: rule ads matched “广告”, silent on purpose", "silent"),
        ),
        (
            RULES, turn("急"), STATE,
            ("已写草稿，等待确认：规则 late 命中「急」", "late"),
            ("drafted, waits for a person: rule late matched “急”", "late"),
        ),
        (
            RULES, turn("在吗"), STATE,
            ("没有自动回复：没有规则或默认回复适用",
             "守卫 通过 → 接管 无 → 规则 没有命中 → 商品回复 无 → 默认回复 没有规则或默认回复适用"),
            ("no automatic answer: no rule and no default reply applies", "item reply none →"),
        ),
        (
            RULES, turn("在吗", is_site=True), STATE,
            ("自动回复：离线提示，没有别的回复", "默认回复 离线提示"),
            ("answered: offline notice, nothing else answered", "default reply offline notice"),
        ),
        (
            DEFAULT, turn(), STATE,
            ("自动回复：默认回复", "商品回复 无 → 默认回复 使用"),
            ("answered: default reply", "default reply used"),
        ),
        (
            DEFAULT, turn(item="7"), STATE,
            ("自动回复：商品回复", "规则 没有命中 → 商品回复 使用"),
            ("answered: item reply", "item reply used"),
        ),
        (
            DEFAULT, turn(), USED,
            ("没有自动回复：默认回复次数已用完", "已用完"),
            ("no automatic answer: the default reply is used up", "used up"),
        ),
        (
            SILENT, turn(), STATE,
            ("没有自动回复：默认回复为空，按要求沉默", "沉默"), ("on purpose", "on purpose"),
        ),
        (
            SILENT, turn(item="7"), STATE,
            ("没有自动回复：商品回复为空，按要求沉默", "沉默"), ("on purpose", "on purpose"),
        ),
        (
            RULES, turn(), TAKEN,
            ("没有自动回复：人工已接管会话（到 00:05 UTC）", "守卫 通过 → 接管 人工"),
            ("a person has the conversation (until 00:05 UTC)", "guard passed → takeover a person"),
        ),
        (
            RULES, turn(loop_guard=True), PAUSED,
            ("没有自动回复：一分钟内", "守卫 一分钟内"), ("two robots", "guard more than 5"),
        ),
        (
            RULES, turn(mode="off"), STATE,
            ("没有自动回复：线路的自动回复已关闭", "守卫"), ("off on this line", "guard"),
        ),
        (
            RULES, turn(age_ms=9, stale_after_ms=1), STATE,
            ("没有自动回复：消息太旧", "守卫"), ("too old", "guard"),
        ),
        (
            RULES, turn(events=(message("x", is_own=True),)), STATE,
            ("没有自动回复：是自己账号发出的消息", "守卫"), ("our own account", "guard"),
        ),
        (
            RULES, turn(events=(notice(),)), STATE,
            ("没有自动回复：通知和请求不自动回复", "守卫"), ("are not answered", "guard"),
        ),
    ],
)  # fmt: skip
def test_every_verdict_is_told_in_both_languages(rulebook, asked, state, zh, en):
    trace = decode_trace(encode_trace(judge(rulebook, asked, state).trace))
    for language, label, (result, way) in (("zh-CN", "结果", zh), ("en", "result", en)):
        lines = explain(trace, language)
        assert len(lines) == 2
        assert lines[0].startswith(label)
        assert result in lines[0]
        assert way in lines[1]


def test_what_went_wrong_with_patterns_is_told():
    rulebook = book(rule("(a+)+$", name="slow", match="regex"), rule("b", name="next"))
    lines = explain(judge(rulebook, turn("a" * 1900 + "b")).trace, "zh")
    assert lines[2:] == ["注意   规则 slow：表达式超过 5 毫秒，已跳过"]
    notes = Step("rules", "pass", ("off", "a", "skipped", "b", "unknown", "c", "odd"))
    assert explain((notes, Step("rules", "reply")), "en")[2:] == [
        "note    rule a: its pattern is switched off after three time-outs",
        "note    rule b: not tried: the patterns before it were too slow",
    ]


def test_an_asking_stage_of_a_newer_version_is_told():
    lines = explain(ask(STATE, "model", None).trace, "en")
    assert lines[0] == "result  waits for an answer from outside: model"
    assert lines[1].endswith("→ model used")
