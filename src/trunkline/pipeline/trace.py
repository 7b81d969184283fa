"""The *why* record: small on disk, and told to people in their language.

A trace holds only the stages that had a say; the others are known from their order. `explain`
reads nothing but the trace, so it also tells about decisions of last week.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from trunkline.errors import WireMalformed

from .stage import NAMES
from .turn import Step, Trace

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Trace)


def encode_trace(trace: Trace) -> bytes:
    """Encode a trace as compact msgpack: arrays without names."""
    return _encoder.encode(trace)


def decode_trace(data: bytes) -> Trace:
    """Decode what `encode_trace` gave; nothing gives an empty trace.

    Raises:
        WireMalformed: `bad_trace`.
    """
    if not data:
        return ()
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireMalformed("bad_trace", str(error)) from error


class Both(NamedTuple):
    """One sentence in the two languages."""

    zh: str
    en: str

    def of(self, language: str) -> str:
        """Return the sentence in `language`: Chinese for `zh…`, English otherwise."""
        return self.zh if language.lower().startswith("zh") else self.en


# What a stage is called, and what it says when it let the turn pass.
_STAGES: Final[dict[str, tuple[Both, Both]]] = {
    "guard": (Both("守卫", "guard"), Both("通过", "passed")),
    "takeover": (Both("接管", "takeover"), Both("无", "nobody")),
    "rules": (Both("规则", "rules"), Both("没有命中", "none matched")),
    "item_reply": (Both("商品回复", "item reply"), Both("无", "none")),
    "default_reply": (Both("默认回复", "default reply"), Both("无", "none")),
}
_REASONS: Final[dict[tuple[str, str], Both]] = {
    ("guard", "notice"): Both("通知和请求不自动回复", "notices and requests are not answered"),
    ("guard", "own"): Both("是自己账号发出的消息", "our own account said it"),
    ("guard", "off"): Both("线路的自动回复已关闭", "automatic answers are off on this line"),
    ("guard", "stale"): Both("消息太旧", "the message is too old"),
    ("guard", "loop"): Both(
        "一分钟内自动回复超过 5 次，疑似机器人互聊，暂停 10 分钟",
        "more than 5 automatic answers in a minute look like two robots: paused 10 minutes",
    ),
    ("takeover", ""): Both("人工已接管会话", "a person has the conversation"),
    ("item_reply", "silent"): Both(
        "商品回复为空，按要求沉默", "the item reply is empty on purpose"
    ),
    ("default_reply", "silent"): Both(
        "默认回复为空，按要求沉默", "the default reply is empty on purpose"
    ),
    ("default_reply", "used-up"): Both("默认回复次数已用完", "the default reply is used up"),
    ("default_reply", "offline"): Both("没有别的回复", "nothing else answered"),
}
_VERDICTS: Final[dict[str, Both]] = {
    "reply": Both("自动回复", "answered"),
    "draft": Both("已写草稿，等待确认", "drafted, waits for a person"),
    "person": Both("没有自动回复，转人工", "no automatic answer, a person is asked"),
    "stop": Both("没有自动回复", "no automatic answer"),
    "pass": Both("没有自动回复", "no automatic answer"),
    "ask": Both("等待外部回答", "waits for an answer from outside"),
}
_NOTES: Final[dict[str, Both]] = {
    "slow": Both("表达式超过 5 毫秒，已跳过", "its pattern took more than 5 ms and was skipped"),
    "off": Both("表达式三次超时，已停用", "its pattern is switched off after three time-outs"),
    "skipped": Both("前面的表达式太慢，未尝试", "not tried: the patterns before it were too slow"),
}
_NOTHING: Final = Both("没有规则或默认回复适用", "no rule and no default reply applies")
_USED: Final = Both("使用", "used")
_OFFLINE: Final = Both("离线提示", "offline notice")


def explain(trace: Trace, language: str) -> list[str]:
    """Return the record as lines: the result, the way to it, and what went wrong with patterns.

    Args:
        trace: of one verdict; an empty one gives no line.
        language: `zh-CN`, `en` …; see `Both.of`.
    """
    if not trace:
        return []
    last = trace[-1]
    verdict = _VERDICTS.get(last.verdict, Both(last.verdict, last.verdict)).of(language)
    colon, arrow = Both("：", ": ").of(language), " → "
    result = f"{verdict}{colon}{_reason(last, language)}"
    lines = [
        f"{Both('结果   ', 'result  ').of(language)}{result}",
        f"{Both('经过   ', 'way     ').of(language)}{arrow.join(_way(last, language))}",
    ]
    label = Both("注意   ", "note    ").of(language)
    lines += (f"{label}{note}" for step in trace[:-1] for note in _notes(step, language))
    return lines


def _way(last: Step, language: str) -> Iterator[str]:
    """Tell each stage up to the last one, in the order of the pipeline."""
    for name in NAMES:
        title, passed = _STAGES[name]
        if name == last.stage:
            break
        yield f"{title.of(language)} {passed.of(language)}"
    else:
        # A stage of a newer version: shown by its own name.
        title = Both(last.stage, last.stage)
    shown, reason = title.of(language), _reason(last, language)
    if last.stage == "rules":
        yield reason  # it names the rule itself
    else:
        yield f"{shown} {reason if reason != shown else _USED.of(language)}"


def _reason(step: Step, language: str) -> str:
    detail = _pairs(step)
    if "rule" in detail:
        return _rule_reason(detail, step.verdict, language)
    if step.stage == "default_reply" and step.verdict == "pass":
        return _NOTHING.of(language)
    known = _REASONS.get((step.stage, detail.get("reason", "")))
    if known is None:
        return _STAGES[step.stage][0].of(language) if step.stage in _STAGES else step.stage
    text = known.of(language)
    if step.stage == "default_reply" and step.verdict in {"reply", "draft"}:
        text = f"{_OFFLINE.of(language)}{Both('，', ', ').of(language)}{text}"
    until = detail.get("until_ms", "")
    if until.isdecimal():
        text += Both(f"（到 {_clock(int(until))}）", f" (until {_clock(int(until))})").of(language)
    return text


def _rule_reason(detail: dict[str, str], verdict: str, language: str) -> str:
    rule, word = detail["rule"], detail.get("matched", "")
    text = Both(f"规则 {rule}", f"rule {rule}").of(language)
    if word:
        text += Both(f" 命中「{word}」", f" matched “{word}”").of(language)
    if verdict == "stop":
        text += Both("，按要求沉默", ", silent on purpose").of(language)
    return text


def _notes(step: Step, language: str) -> Iterator[str]:
    detail = step.detail
    for kind, rule in zip(detail[::2], detail[1::2], strict=False):
        known = _NOTES.get(kind)
        if known is not None:
            name = Both(f"规则 {rule}", f"rule {rule}").of(language)
            yield f"{name}{Both('：', ': ').of(language)}{known.of(language)}"


def _pairs(step: Step) -> dict[str, str]:
    return dict(zip(step.detail[::2], step.detail[1::2], strict=False))


def _clock(at_ms: int) -> str:
    minutes = at_ms // 60_000 % 1_440
    return f"{minutes // 60:02}:{minutes % 60:02} UTC"
