"""Rules that never decide, because a better one always matches first: told, never refused.

A rule is shadowed for one of its keywords when a rule of smaller rank holds wherever it holds, has
no exceptions, and matches whenever that keyword is there. Patterns are not compared: what one
matches nobody can list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from .compiled import Rule, Rulebook, fold_keywords


class Shadow(msgspec.Struct, frozen=True):
    """A keyword that never decides.

    Args:
        rule: whose keyword it is.
        word: as typed; "" for a rule that matches everything.
        by: the rule that decides instead.
        by_word: its keyword, as typed; "" when it matches everything.
        is_whole: all keywords of `rule` are shadowed, so the rule never decides.
    """

    rule: str
    word: str
    by: str
    by_word: str
    is_whole: bool = False


def find_shadows(rulebook: Rulebook) -> list[Shadow]:
    """Return every shadowed keyword, in the order in which the rules are tried."""
    found: list[Shadow] = []
    for rule in rulebook.rules:
        words = _words(rule)
        shadows = [one for word in words.items() if (one := _shadow(rulebook, rule, *word))]
        is_whole = bool(words) and len(shadows) == len(words)
        found += (msgspec.structs.replace(one, is_whole=is_whole) for one in shadows)
    return found


def _words(rule: Rule) -> dict[str, str]:
    match rule.spec.match:
        case "contains" | "exact":
            return fold_keywords(rule.spec.keywords)
        case "any":
            return {"": ""}
        case "regex":
            return {}


def _shadow(rulebook: Rulebook, rule: Rule, word: str, folded: str) -> Shadow | None:
    best = min(
        (
            (rank, by_word)
            for rank, by_word in _hits(rulebook, rule, folded)
            if rank < rule.rank and _covers(rulebook.rules[rank], rule)
        ),
        default=None,
    )
    if best is None:
        return None
    return Shadow(rule.name, word, rulebook.rules[best[0]].name, best[1])


def _hits(rulebook: Rulebook, rule: Rule, folded: str) -> Iterator[tuple[int, str]]:
    """Yield (rank, keyword) of every rule that matches a text with this keyword in it."""
    if rulebook.anything is not None:
        yield from rulebook.anything.words.items()
    if rule.spec.match == "any":
        return
    if rulebook.automaton is not None:
        for position in rulebook.automaton.hits(folded):
            yield from rulebook.contains[position].words.items()
    if rule.spec.match == "exact" and folded in rulebook.exact:
        yield from rulebook.exact[folded].words.items()


def _covers(better: Rule, rule: Rule) -> bool:
    """Whether a rule holds wherever another one does."""
    if better.excepts:
        return False
    mine, theirs = rule.scope, better.scope
    if theirs.items and not (mine.items and mine.items <= theirs.items):
        return False
    if not theirs.names and not theirs.globs:
        return True
    is_some_line = bool(mine.names or mine.globs)
    return (
        is_some_line and _hold(theirs.globs, mine.globs) and all(map(theirs.holds_line, mine.names))
    )


def _hold(globs: Iterable[tuple[str, ...]], wanted: Iterable[tuple[str, ...]]) -> bool:
    return set(wanted) <= set(globs)
