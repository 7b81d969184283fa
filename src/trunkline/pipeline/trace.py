"""The *why* record: small on disk, and told to people in their language.

A trace holds only the stages that had a say; the others are known from their order. `explain`
reads nothing but the trace, so it also tells about decisions of last week.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from trunkline.errors import WireMalformed

from .stage import NAMES
from .turn import Step, Trace

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Trace)


# A trace as compact msgpack: arrays without names.
encode_trace: Final[Callable[[Trace], bytes]] = _encoder.encode


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
    "plugins": (Both("插件", "plugins"), Both("无", "none answered")),
    "rules": (Both("规则", "rules"), Both("没有命中", "none matched")),
    "model": (Both("模型", "model"), Both("未回答", "did not answer")),
    "item_reply": (Both("商品回复", "item reply"), Both("无", "none")),
    "default_reply": (Both("默认回复", "default reply"), Both("无", "none")),
}
_REASONS: Final[dict[tuple[str, str], Both]] = {
    ("guard", "notice"): Both("通知和请求不自动回复", "notices and requests are not answered"),
    ("guard", "untrusted"): Both(
        "这条通知不能确定出自平台，不据此行动",
        "the platform may not have said this itself, so nothing acts on it",
    ),
    ("rules", "notice"): Both("没有规则回复这条通知", "no rule answers this notice"),
    ("guard", "own"): Both("是自己账号发出的消息", "our own account said it"),
    ("guard", "disabled"): Both("线路已停用", "the line is switched off"),
    ("guard", "off"): Both("线路的自动回复已关闭", "automatic answers are off on this line"),
    ("guard", "stale"): Both("消息太旧", "the message is too old"),
    ("guard", "loop"): Both(
        "一分钟内自动回复超过 5 次，疑似机器人互聊，暂停 10 分钟",
        "more than 5 automatic answers in a minute look like two robots: paused 10 minutes",
    ),
    ("takeover", ""): Both("人工已接管会话", "a person has the conversation"),
    ("default_reply", "model-failed"): Both(
        "模型没有回答，按配置致歉", "the model did not answer, so its apology was said"
    ),
    ("model", "bargain-over"): Both(
        "讲价次数已到上限，按配置婉拒", "bargained often enough, so the refusal was said"
    ),
    ("item_reply", "silent"): Both(
        "商品回复为空，按要求沉默", "the item reply is empty on purpose"
    ),
    ("default_reply", "silent"): Both(
        "默认回复为空，按要求沉默", "the default reply is empty on purpose"
    ),
    ("default_reply", "used-up"): Both("默认回复次数已用完", "the default reply is used up"),
    ("default_reply", "carried"): Both(
        "由呈现此线路的框架回复", "left to the framework on the line that carries this one"
    ),
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
_ASKED: Final = frozenset({"plugins", "model"})
_FAILED: Final = "failed "
_FAILURES: Final[dict[str, Both]] = {
    "ai_overload": Both("等待的提问太多", "too many questions wait"),
    "attempts": Both("问了三次都没有结果", "asked three times without a result"),
    "timeout": Both("超时", "took too long"),
    "unreachable": Both("连接不上", "cannot be reached"),
    "throttled": Both("对方限流 (429)", "was throttled (429)"),
    "refused": Both("被拒绝", "refused"),
    "server": Both("对方出错", "had an error of its own"),
    "nonsense": Both("回答无法理解", "answered nonsense"),
    "nothing": Both("没有回答", "answered nothing"),
    "breaker": Both("连续失败，暂停提问", "failed too often and is not asked for a while"),
    "quota": Both("本会话提问次数已满", "was asked often enough in this chat"),
    "price": Both(
        "回答的价格超出让价上限，已拦截", "gave way on the price beyond the limits, blocked"
    ),
    "secret": Both("回答含有密钥，已拦截", "let out a secret, blocked"),
    "prompt": Both("回答复述了提示词，已拦截", "repeated its prompt, blocked"),
    "link": Both("回答含有未允许的链接，已拦截", "named a link that is not allowed, blocked"),
    "denied": Both("回答含有禁用词，已拦截", "said a word that is not allowed, blocked"),
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
        f"{Both('经过   ', 'way     ').of(language)}{arrow.join(_way(trace, language))}",
    ]
    label = Both("注意   ", "note    ").of(language)
    noted = trace if last.stage in _ASKED else trace[:-1]
    lines += (f"{label}{note}" for step in noted for note in _notes(step, language))
    return lines


def _way(trace: Trace, language: str) -> Iterator[str]:
    """Tell each stage up to the last one, in the order of the pipeline.

    Plugins and model are told of when they had a say: most people have neither.
    """
    last = trace[-1]
    asked = {step.stage for step in trace} & _ASKED
    for name in NAMES:
        title, passed = _STAGES[name]
        if name in _ASKED and name not in asked:
            continue
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
    if "handler" in detail:
        return _handler_reason(detail["handler"], step.verdict, language)
    if "rule" in detail:
        return _rule_reason(detail, step.verdict, language)
    if step.stage == "default_reply" and step.verdict == "pass":
        return _NOTHING.of(language)
    known = _REASONS.get((step.stage, detail.get("reason", "")))
    if known is None:
        return _STAGES[step.stage][0].of(language) if step.stage in _STAGES else step.stage
    text = known.of(language)
    is_notice = step.stage == "default_reply" and detail.get("reason") != "model-failed"
    if is_notice and step.verdict in {"reply", "draft"}:
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
    if step.stage in _ASKED:
        yield from _faults(step, language)
        return
    for kind, rule in zip(detail[::2], detail[1::2], strict=False):
        known = _NOTES.get(kind)
        if known is not None:
            name = Both(f"规则 {rule}", f"rule {rule}").of(language)
            yield f"{name}{Both('：', ': ').of(language)}{known.of(language)}"


def _handler_reason(handler: str, verdict: str, language: str) -> str:
    text = Both(f"插件 {handler}", f"plugin {handler}").of(language)
    if verdict == "stop":
        text += Both("，按要求沉默", ", silent on purpose").of(language)
    return text


def _faults(step: Step, language: str) -> Iterator[str]:
    """Tell what went wrong with a model or with plugins, in their own words."""
    detail = _pairs(step)
    title = _STAGES[step.stage][0].of(language)
    colon = Both("：", ": ").of(language)
    for name, fault in detail.items():
        if name.startswith(_FAILED):
            yield f"{title} {name.removeprefix(_FAILED)}{colon}{fault}"
    reason = detail.get("reason", "")
    if reason and reason != "failed":
        known = _FAILURES.get(reason, Both(reason, reason)).of(language)
        more = detail.get("detail", "")
        yield f"{title}{colon}{known}" + (f" ({more})" if more else "")


def _pairs(step: Step) -> dict[str, str]:
    return dict(zip(step.detail[::2], step.detail[1::2], strict=False))


def _clock(at_ms: int) -> str:
    minutes = at_ms // 60_000 % 1_440
    return f"{minutes // 60:02}:{minutes % 60:02} UTC"
