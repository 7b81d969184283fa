"""The user's Python: a plugin's filters are data and are matched here; running it is asked for.

Only when some handler matches does the turn wait for an answer, so a plugin for one group costs the
other chats nothing but this look. The handlers are asked in the order of their priority, then of
their files and lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from trunkline.errors import ConfigError
from trunkline.model.address import Address, format_address
from trunkline.model.asking import Failed, HandlerSpec, Hit, PluginAnswer, PluginRequest
from trunkline.model.conversation import ConversationState

from .compiled import Handler, Rulebook, compile_scope
from .keywords import fold
from .notices import is_named
from .patterns import Pattern, RuleHealth, pattern_problem
from .stage import Answers, Found, ask, stop
from .turn import Reply, Source, Step, Turn, Verdict, VerdictKind

STAGE: Final = "plugins"
MAX_ANSWERS: Final = 15
_PREFIXES: Final = ("/", "！", "!", "／")


def compile_handlers(specs: Iterable[HandlerSpec]) -> tuple[Handler, ...]:
    """Compile the filters of all handlers, in the order in which they are asked.

    Raises:
        ConfigError: a pattern cannot be used.
    """
    return tuple(
        _compile(spec)
        for spec in sorted(specs, key=lambda one: -one.priority)  # stable
    )


def with_handlers(rulebook: Rulebook, handlers: tuple[Handler, ...]) -> Rulebook:
    """Return the rulebook with other plugins; its rules are not compiled again."""
    return msgspec.structs.replace(rulebook, handlers=handlers)


def plugins(
    state: ConversationState, turn: Turn, rulebook: Rulebook, answers: Answers, health: RuleHealth
) -> Found:
    """Ask the handlers that match; say what they answered."""
    if not rulebook.handlers:
        return None
    answer = answers.get(STAGE)
    if answer is None:
        hits = _hits(turn, rulebook.handlers, health)
        if not hits:
            return None
        request = PluginRequest(hits, turn.events, turn.text, turn.item, turn.dialect, turn.now_ms)
        return ask(state, STAGE, request)
    return _heed(state, turn, answer)


def _heed(state: ConversationState, turn: Turn, answer: object) -> Found:
    if type(answer) is not PluginAnswer:
        return Step(STAGE, "pass", _failure(answer))
    faults = tuple(word for name, fault in answer.faults for word in (f"failed {name}", fault))
    if answer.is_stopped:
        return stop(state, STAGE, "handler", answer.handler, *faults)
    if answer.replies:
        return _say(state, turn, answer, faults)
    return Step(STAGE, "pass", ("reason", "failed", *faults)) if faults else None


def _compile(spec: HandlerSpec) -> Handler:
    words: tuple[tuple[str, str], ...] = ()
    patterns: tuple[Pattern, ...] = ()
    if spec.kind == "pattern":
        for text in spec.words:
            if problem := pattern_problem(text):
                raise ConfigError([f"{spec.name}: pattern “{text[:40]}” {problem}"])
        patterns = tuple(Pattern(text) for text in spec.words)
    else:
        words = tuple((word, fold(word).strip()) for word in spec.words)
    return Handler(
        spec=spec,
        scope=compile_scope(spec.lines, ()),
        words=tuple(pair for pair in words if pair[1]),
        patterns=patterns,
    )


def _hits(turn: Turn, handlers: tuple[Handler, ...], health: RuleHealth) -> tuple[Hit, ...]:
    chat = turn.events[-1].chat
    folded = fold(turn.text)
    ref = ""
    hits: list[Hit] = []
    for handler in handlers:
        spec = handler.spec
        if (spec.kind == "notice") is not bool(turn.notice):
            continue
        if not handler.scope.holds_line(turn.line):
            continue
        if spec.dialects and turn.dialect not in spec.dialects:
            continue
        if spec.wheres and not _is_there(chat.kind, spec.wheres):
            continue
        if spec.chats:
            ref = ref or format_address(Address(turn.line, chat.kind, chat.id))
            if ref not in spec.chats:
                continue
        hit = _match(handler, turn, folded, health)
        if hit is not None:
            hits.append(hit)
    return tuple(hits)


def _is_there(kind: str, wheres: tuple[str, ...]) -> bool:
    return kind in wheres or ("private" in wheres and kind != "group")


def _match(handler: Handler, turn: Turn, folded: str, health: RuleHealth) -> Hit | None:
    ident, text = handler.spec.id, turn.text
    match handler.spec.kind:
        case "message":
            return Hit(ident, "", text)
        case "keyword":
            for word, needle in handler.words:
                if needle in folded:
                    return Hit(ident, word, text)
        case "command":
            return _match_command(handler, text)
        case "pattern":
            for pattern in handler.patterns:
                if _is_in(pattern, folded, health):
                    return Hit(ident, pattern.text, text)
        case "notice":
            name = is_named(handler.spec.words, turn.notice)
            return Hit(ident, name, "") if name else None
    return None


def _match_command(handler: Handler, text: str) -> Hit | None:
    """Match `/name rest`, where the slash may be left out."""
    said = text.strip()
    if said.startswith(_PREFIXES):
        said = said[1:]
    head, *rest = said.split(None, 1)[:2] or [""]
    name = fold(head)
    for word, needle in handler.words:
        if name == needle:
            return Hit(handler.spec.id, word, rest[0].strip() if rest else "")
    return None


def _is_in(pattern: Pattern, folded: str, health: RuleHealth) -> bool:
    if health.is_off(pattern.text):
        return False
    try:
        return pattern.is_in(folded)
    except TimeoutError:
        health.note_timeout(pattern.text)
        return False


def _failure(answer: object) -> tuple[str, ...]:
    if type(answer) is Failed:
        return ("reason", answer.reason, "detail", answer.detail)
    return ("reason", "unknown-answer")


def _say(
    state: ConversationState, turn: Turn, answer: PluginAnswer, faults: tuple[str, ...]
) -> Verdict:
    is_draft = turn.mode == "draft"
    kind = VerdictKind.DRAFT if is_draft else VerdictKind.REPLY
    replies = tuple(
        Reply(segments, Source.PLUGIN, answer.handler, is_draft)
        for segments in answer.replies[:MAX_ANSWERS]
    )
    step = Step(STAGE, kind.value, ("handler", answer.handler, *faults))
    return Verdict(kind, replies, (step,), state)
