"""Which rules nearly decided, and what kept them: for `why` and `try`, never on the hot path."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from .compiled import Rulebook, compile_scope, fold_keywords, shown_name
from .keywords import fold
from .patterns import Pattern, split_words
from .rulebook import RuleSpec
from .trace import Both
from .turn import Turn

MAX_NEAREST: Final = 3
MAX_SLOW: Final = 4  # time-outs of 5 ms each, after which patterns are left out

Missed: TypeAlias = Literal["lower", "except", "disabled", "item", "line", "keyword"]

# Nearest first; a rule that would also match comes before one that matched but must not.
_ORDER: Final[tuple[Missed, ...]] = ("lower", "except", "disabled", "item", "line", "keyword")
_TEXTS: Final[dict[Missed, Both]] = {
    "lower": Both("也会命中，但排在后面：", "would also match, ranked lower: "),
    "except": Both("命中，但被排除词否决：", "matched, vetoed by: "),
    "disabled": Both("命中，但已停用：", "matched, but is disabled: "),
    "item": Both("命中，但只用于商品：", "matched, but only for item: "),
    "line": Both("命中，但只用于线路：", "matched, but only on line: "),
    "keyword": Both("差：", "missed: needs "),
}


class NearMiss(msgspec.Struct, frozen=True):
    """A rule that did not decide.

    Args:
        missed: what kept it.
        words: the keywords that matched or are missing, or the lines, items, exceptions.
    """

    rule: str
    missed: Missed
    words: tuple[str, ...] = ()


def nearest(rulebook: Rulebook, turn: Turn, decided: str = "") -> tuple[NearMiss, ...]:
    """Return at most three rules that came nearest, the nearest first.

    Args:
        decided: the name of the rule that decided, which is no near miss.
    """
    folded = fold(turn.text)
    found: list[tuple[int, float, int, NearMiss]] = []
    slow = 0
    for spec in rulebook.spec.rules:
        if (decided and shown_name(spec) == decided) or (
            spec.match == "regex" and slow >= MAX_SLOW
        ):
            continue
        try:
            miss, likeness = _miss(spec, turn, folded)
        except TimeoutError:
            slow += 1
            continue
        if miss is not None:
            found.append((_ORDER.index(miss.missed), -likeness, spec.order, miss))
    found.sort(key=lambda entry: entry[:3])
    return tuple(entry[3] for entry in found[:MAX_NEAREST])


def explain_nearest(found: tuple[NearMiss, ...], language: str) -> list[str]:
    """Return one line per near miss."""
    label = Both("最近   ", "nearest ").of(language)
    return [
        f"{label}{miss.rule} {_TEXTS[miss.missed].of(language)}{' | '.join(miss.words)}"
        for miss in found
    ]


def _miss(spec: RuleSpec, turn: Turn, folded: str) -> tuple[NearMiss | None, float]:
    name = shown_name(spec)
    matched = _matched(spec, folded)
    if not matched:
        words = fold_keywords(spec.keywords)
        likeness = max((_likeness(key, folded) for key in words.values()), default=0.0)
        miss = NearMiss(name, "keyword", tuple(words)[:4]) if likeness > 0 else None
        return miss, likeness
    scope = compile_scope(spec.lines, spec.items)
    vetoes = tuple(word for word, key in fold_keywords(spec.excepts).items() if key in folded)
    if not scope.holds_line(turn.line):
        return NearMiss(name, "line", spec.lines), 1.0
    if not scope.holds(turn.line, turn.item):
        return NearMiss(name, "item", spec.items), 1.0
    if vetoes:
        return NearMiss(name, "except", vetoes), 1.0
    return NearMiss(name, "lower" if spec.is_enabled else "disabled", matched[:4]), 1.0


def _matched(spec: RuleSpec, folded: str) -> tuple[str, ...]:
    words = fold_keywords(spec.keywords)
    match spec.match:
        case "any":
            return ("*",)
        case "exact":
            whole = folded.strip()
            return tuple(word for word, key in words.items() if key == whole)
        case "contains":
            return tuple(word for word, key in words.items() if key in folded)
        case "regex":
            return tuple(text for text in spec.keywords if _is_in(text, folded))


def _is_in(text: str, folded: str) -> bool:
    words = split_words(text)
    if words is not None:
        return any(fold(word) in folded for word in words)
    return Pattern(text).is_in(folded)


def _likeness(word: str, folded: str) -> float:
    """Return which share of a word's neighbouring pairs (its one character) is in the text."""
    pairs = [word[at : at + 2] for at in range(len(word) - 1)] or [word]
    shared = sum(pair in folded for pair in pairs) / len(pairs)
    # A single character in common says something in Chinese: "便宜" is near "宜家价".
    signs = {sign for sign in word if not sign.isascii()}
    near = sum(sign in folded for sign in signs) / len(signs) if signs else 0.0
    return max(shared, near / 2)
