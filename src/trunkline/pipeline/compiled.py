"""A rulebook ready to be searched: everything that can be worked out before a message comes.

A rule's rank is static: rules with items come before rules with lines, these before global ones,
then priority, then the order of the file (Source: design 5). So the best rule is the one with the
smallest rank among those that match and hold for the turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from trunkline.errors import ConfigError
from trunkline.model.asking import HandlerSpec, ModelSpec
from trunkline.model.message import Segments
from trunkline.model.segment import Text

from .bargain import Limits
from .keywords import Automaton, fold
from .lint import lint_rulebook
from .patterns import Pattern, split_words
from .render import Template, compile_template
from .rulebook import DefaultSpec, Per, RulebookSpec, RuleSpec, Then
from .turn import Reply, Source, Step, Trace, VerdictKind

NO_RANK: Final = 1 << 60
_KINDS: Final[dict[Then, VerdictKind]] = {
    "reply": VerdictKind.REPLY,
    "send": VerdictKind.REPLY,
    "draft": VerdictKind.DRAFT,
    "person": VerdictKind.PERSON,
}


class Scope(msgspec.Struct, frozen=True):
    """Which lines and items something holds for.

    Args:
        names: exact line names.
        globs: line patterns, cut at their `*`.
        items: item ids; empty = any item.
        is_everywhere: neither lines nor items were named.
    """

    names: frozenset[str]
    globs: tuple[tuple[str, ...], ...]
    items: frozenset[str]
    is_everywhere: bool

    def holds(self, line: str, item: str) -> bool:
        """Whether it holds for a turn on `line` about `item`."""
        if self.is_everywhere:
            return True
        if self.items and item not in self.items:
            return False
        return self.holds_line(line)

    def holds_line(self, line: str) -> bool:
        """Whether it holds for `line`, whatever the item."""
        if not self.names and not self.globs:
            return True
        return line in self.names or any(is_like(line, parts) for parts in self.globs)


class Rule(msgspec.Struct, frozen=True):
    """One enabled rule.

    Args:
        rank: the smaller the better.
        excepts: folded words that veto it.
        is_plain: whoever asks, nothing but its keywords has to be checked.
        kind: what it decides on a line in mode `auto`.
        is_at_once: leaves at once also on a draft line.
        ready: the reply when nothing has to be filled.
        traces: the finished trace of `kind` by matched keyword, as typed.
    """

    rank: int
    name: str
    scope: Scope
    excepts: tuple[str, ...]
    is_plain: bool
    template: Template
    kind: VerdictKind
    is_at_once: bool
    ready: tuple[Reply, ...] | None
    traces: dict[str, Trace]
    spec: RuleSpec

    def holds(self, line: str, item: str, folded: str) -> bool:
        """Whether line and item fit and no exception is in the text."""
        if not self.scope.holds(line, item):
            return False
        return not any(word in folded for word in self.excepts)

    def other_trace(self, word: str, kind: VerdictKind) -> Trace:
        """Build the trace of a hit by `word` that led to `kind`, which is not the rule's own."""
        return (_hit(self.name, word, kind),)


class Posting(msgspec.Struct, frozen=True):
    """The rules of one keyword, by rank.

    Args:
        best: the smallest rank of all.
        is_plain: the rule of that rank holds for every turn.
        by_line: rules that name their lines exactly; so a thousand accounts with the same keyword
            do not look at each other's rules.
        anywhere: all others.
        words: by rank, the keyword as that rule typed it.
    """

    best: int
    is_plain: bool
    by_line: dict[str, tuple[int, ...]]
    anywhere: tuple[int, ...]
    words: dict[int, str]


class Patterned(msgspec.Struct, frozen=True):
    """A rule whose patterns need the engine."""

    rank: int
    patterns: tuple[Pattern, ...]


class DefaultReply(msgspec.Struct, frozen=True):
    """One enabled default or item reply."""

    scope: Scope
    template: Template
    limit: int
    per: Per
    order: int


class Handler(msgspec.Struct, frozen=True):
    """A plugin handler's filters, ready to be matched.

    Args:
        words: as written, and folded; of keywords and commands.
        patterns: of patterns.
    """

    spec: HandlerSpec
    scope: Scope
    words: tuple[tuple[str, str], ...] = ()
    patterns: tuple[Pattern, ...] = ()


class Model(msgspec.Struct, frozen=True):
    """The assistant, as far as deciding goes.

    Args:
        price_words, tech_words: folded.
    """

    scope: Scope
    apology: Segments
    max_bargain_rounds: int
    refusal: Segments
    price_words: tuple[str, ...]
    tech_words: tuple[str, ...]
    limits: Limits


class Rulebook(msgspec.Struct, frozen=True):
    """Everything `decide` needs besides the turn.

    Args:
        rules: by rank.
        notices: those of them that answer notices, by rank; no other index has them.
        contains: the postings of the automaton's words, by their position.
        automaton: None when no rule uses `contains`.
        exact: by the folded, trimmed text.
        anything: rules that match everything.
        patterned: by rank.
        item_replies, defaults: the ones that name lines first, then in file order.
        model: None when no assistant is configured.
        handlers: of all plugins, in the order in which they are asked; see `plugins.with_handlers`.
    """

    spec: RulebookSpec
    rules: tuple[Rule, ...]
    automaton: Automaton | None
    contains: tuple[Posting, ...]
    exact: Mapping[str, Posting]
    anything: Posting | None
    patterned: tuple[Patterned, ...]
    item_replies: tuple[DefaultReply, ...]
    defaults: tuple[DefaultReply, ...]
    offline: Template
    day_offset_ms: int
    model: Model | None = None
    handlers: tuple[Handler, ...] = ()
    notices: tuple[Rule, ...] = ()


def compile_rulebook(spec: RulebookSpec) -> Rulebook:
    """Compile a rulebook.

    Raises:
        ConfigError: with every problem that `lint_rulebook` finds.
    """
    problems = lint_rulebook(spec)
    if problems:
        raise ConfigError(problems)
    ordered = sorted((rule for rule in spec.rules if rule.is_enabled), key=_precedence)
    rules = tuple(_rule(rank, rule) for rank, rule in enumerate(ordered))
    contains: dict[str, dict[int, str]] = {}
    exact: dict[str, dict[int, str]] = {}
    anything: dict[int, str] = {}
    patterned: list[Patterned] = []
    for rule in rules:
        if rule.spec.notices:
            continue
        match rule.spec.match:
            case "contains":
                _post(contains, rule.rank, fold_keywords(rule.spec.keywords))
            case "exact":
                _post(exact, rule.rank, fold_keywords(rule.spec.keywords))
            case "any":
                anything[rule.rank] = ""
            case "regex":
                if engine := _post_patterns(contains, rule):
                    patterned.append(Patterned(rule.rank, engine))
    replies = sorted((one for one in spec.defaults if one.is_enabled), key=_default_precedence)
    return Rulebook(
        spec=spec,
        rules=rules,
        automaton=Automaton(list(contains)) if contains else None,
        contains=tuple(_posting(rules, found) for found in contains.values()),
        exact={word: _posting(rules, found) for word, found in exact.items()},
        anything=_posting(rules, anything) if anything else None,
        patterned=tuple(patterned),
        item_replies=tuple(_default(one) for one in replies if one.items),
        defaults=tuple(_default(one) for one in replies if not one.items),
        offline=compile_template(spec.offline_notice),
        day_offset_ms=spec.day_offset_ms,
        model=None if spec.model is None else _model(spec.model),
        notices=tuple(rule for rule in rules if rule.spec.notices),
    )


def split_keywords(keywords: Iterable[str]) -> tuple[str, ...]:
    """Return keywords trimmed; one that holds several lines is several (Source: xianyu 14)."""
    return tuple(
        trimmed for word in keywords for line in word.splitlines() if (trimmed := line.strip())
    )


def fold_keywords(keywords: Iterable[str]) -> dict[str, str]:
    """Return each keyword as typed with its folded form, which is trimmed again."""
    return {word: fold(word).strip() for word in split_keywords(keywords)}


def shown_name(spec: RuleSpec) -> str:
    """Return what a rule is called in traces: its name, or its number in the file."""
    return spec.name or f"#{spec.order + 1}"


def compile_scope(lines: tuple[str, ...], items: tuple[str, ...]) -> Scope:
    """Compile the lines and items that something holds for."""
    return Scope(
        names=frozenset(line for line in lines if "*" not in line),
        globs=tuple(tuple(line.split("*")) for line in lines if "*" in line),
        items=frozenset(items),
        is_everywhere=not lines and not items,
    )


def _model(spec: ModelSpec) -> Model:
    return Model(
        compile_scope(spec.lines, ()),
        _said(spec.fallback),
        spec.max_bargain_rounds,
        _said(spec.refusal),
        _folded(spec.price_words),
        _folded(spec.tech_words),
        Limits(spec.max_discount_percent, spec.max_discount_amount, spec.prices),
    )


def _folded(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(folded for word in words if (folded := fold(word).strip()))


def _said(text: str) -> Segments:
    return (Text(text),) if text.strip() else ()


def is_like(name: str, parts: tuple[str, ...]) -> bool:
    """Match a name with a pattern cut at its `*`: first and last fixed, the rest in order."""
    head, *middle, tail = parts
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return False
    start, end = len(head), len(name) - len(tail)
    for part in middle:
        found = name.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


def _tier(lines: tuple[str, ...], items: tuple[str, ...]) -> int:
    return 0 if items else 1 if lines else 2


def _precedence(spec: RuleSpec) -> tuple[int, int, int]:
    return (_tier(spec.lines, spec.items), -spec.priority, spec.order)


def _default_precedence(spec: DefaultSpec) -> tuple[int, int]:
    return (0 if spec.lines else 1, spec.order)


def _hit(name: str, word: str, kind: VerdictKind) -> Step:
    return Step("rules", kind.value, ("rule", name, "matched", word))


def _rule(rank: int, spec: RuleSpec) -> Rule:
    template = compile_template(spec.reply, spec.image)
    scope = compile_scope(spec.lines, spec.items)
    excepts = tuple(fold_keywords(spec.excepts).values())
    kind = _KINDS[spec.then]
    if template.is_silent and kind is not VerdictKind.PERSON:
        kind = VerdictKind.STOP
    name = shown_name(spec)
    ready: tuple[Reply, ...] | None = None
    if template.fixed and kind in (VerdictKind.REPLY, VerdictKind.DRAFT):
        ready = (Reply(template.fixed, Source.RULE, name, kind is VerdictKind.DRAFT),)
    words: tuple[str, ...] = (
        *split_keywords(spec.keywords), *spec.keywords, *spec.notices, "",
    )  # fmt: skip
    if spec.match == "regex":
        words += tuple(word for text in spec.keywords for word in split_words(text) or ())
    return Rule(
        rank=rank,
        name=name,
        scope=scope,
        excepts=excepts,
        is_plain=scope.is_everywhere and not excepts,
        template=template,
        kind=kind,
        is_at_once=spec.then == "send",
        ready=ready,
        traces={word: (_hit(name, word, kind),) for word in words},
        spec=spec,
    )


def _default(spec: DefaultSpec) -> DefaultReply:
    return DefaultReply(
        scope=compile_scope(spec.lines, spec.items),
        template=compile_template(spec.reply),
        limit=spec.limit,
        per=spec.per,
        order=spec.order,
    )


def _post(index: dict[str, dict[int, str]], rank: int, words: Mapping[str, str]) -> None:
    for word, folded in words.items():
        index.setdefault(folded, {}).setdefault(rank, word)


def _post_patterns(index: dict[str, dict[int, str]], rule: Rule) -> tuple[Pattern, ...]:
    """Post the patterns that are but words; return those that need the engine."""
    engine: list[Pattern] = []
    for text in rule.spec.keywords:
        words = split_words(text)
        if words is None:
            engine.append(Pattern(text))
        else:
            _post(index, rule.rank, {word: fold(word) for word in words})
    return tuple(engine)


def _posting(rules: tuple[Rule, ...], found: dict[int, str]) -> Posting:
    by_line: dict[str, list[int]] = {}
    anywhere: list[int] = []
    for rank in sorted(found):
        scope = rules[rank].scope
        if scope.names and not scope.globs:
            for name in scope.names:
                by_line.setdefault(name, []).append(rank)
        else:
            anywhere.append(rank)
    best = min(found)
    return Posting(
        best=best,
        is_plain=rules[best].is_plain,
        by_line={name: tuple(ranks) for name, ranks in by_line.items()},
        anywhere=tuple(anywhere),
        words=dict(found),
    )
