"""What is wrong with a rulebook: all of it at once, each with its table and key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from trunkline.model.message import storable

from .keywords import MAX_CHARS, fold
from .patterns import pattern_problem
from .rulebook import DefaultSpec, Match, Per, RulebookSpec, RuleSpec, Then

MAX_RULES: Final = 20_000
MAX_KEYWORDS: Final = 100_000
MAX_REPLY_CHARS: Final = 10_000


def lint_rulebook(spec: RulebookSpec) -> list[str]:
    """Return one sentence per problem, in file order; empty when it can be compiled.

    Disabled entries are checked too, so that switching one on never breaks a running rulebook.
    """
    problems: list[str] = []
    for rule in spec.rules:
        table = f"[[rules]] {rule.order + 1}" + (f" “{rule.name}”" if rule.name else "")
        problems += (f"{table}: {text}" for text in _rule_problems(rule))
    for default in spec.defaults:
        table = f"[[default_replies]] {default.order + 1}"
        problems += (f"{table}: {text}" for text in _default_problems(default))
    if len(spec.rules) > MAX_RULES:
        problems.append(f"[[rules]]: {len(spec.rules):,} rules; at most {MAX_RULES:,} are kept")
    keywords = sum(len(rule.keywords) for rule in spec.rules)
    if keywords > MAX_KEYWORDS:
        problems.append(f"[[rules]]: {keywords:,} keywords; at most {MAX_KEYWORDS:,} are kept")
    return problems


def _rule_problems(rule: RuleSpec) -> Iterator[str]:
    if rule.match not in get_args(Match):
        yield f"match = “{rule.match}” is none of {', '.join(get_args(Match))}"
    if rule.then not in get_args(Then):
        yield f"then = “{rule.then}” is none of {', '.join(get_args(Then))}"
    if rule.notices:
        yield from _notice_problems(rule)
    elif rule.match != "any" and not rule.keywords:
        yield f"keywords: match = “{rule.match}” needs at least one"
    for word in rule.keywords:
        problem = pattern_problem(word) if rule.match == "regex" else _word_problem(word)
        problem = problem or _text_problem(word)
        if problem is not None:
            yield f"keywords: {_shown(word)} {problem}"
    for word in rule.excepts:
        problem = _word_problem(word) or _text_problem(word)
        if problem is not None:
            yield f"except: {_shown(word)} {problem}"
    yield from _scope_problems(rule.lines, rule.items)
    yield from _reply_problems(rule.reply)
    if _text_problem(rule.name):
        yield "name: cannot be stored: it holds half a character"


def _notice_problems(rule: RuleSpec) -> Iterator[str]:
    if rule.keywords or rule.excepts or rule.match != "contains":
        yield "notice: such a rule answers what nobody said: keywords, except and match are unused"
    for name in rule.notices:
        if problem := _word_problem(name) or _text_problem(name):
            yield f"notice: {_shown(name)} {problem}"


def _default_problems(default: DefaultSpec) -> Iterator[str]:
    if default.per not in get_args(Per):
        yield f"per = “{default.per}” is none of {', '.join(get_args(Per))}"
    if default.limit < 0:
        yield f"limit = {default.limit} is negative; 0 means no limit"
    if default.limit and default.items:
        yield "limit: a reply with items is not counted; remove limit or items"
    yield from _scope_problems(default.lines, default.items)
    yield from _reply_problems(default.reply)


def _word_problem(word: str) -> str | None:
    if not fold(word).strip():
        return "is empty and would match nothing"
    if len(word) > MAX_CHARS or len(fold(word)) >= MAX_CHARS:
        return f"has {MAX_CHARS:,} characters or more and would match nothing"
    return None


def _text_problem(text: str) -> str | None:
    return None if storable(text) == text else "cannot be stored: it holds half a character"


def _scope_problems(lines: tuple[str, ...], items: tuple[str, ...]) -> Iterator[str]:
    if not all(line.strip() for line in lines):
        yield "lines: an empty name holds for no line; leave the key out for every line"
    if not all(item.strip() for item in items):
        yield "items: an empty id holds for no item; leave the key out for any item"


def _reply_problems(reply: str) -> Iterator[str]:
    if len(reply) > MAX_REPLY_CHARS:
        yield f"reply: has {len(reply):,} characters; at most {MAX_REPLY_CHARS:,}"
    if _text_problem(reply):
        yield "reply: cannot be stored: it holds half a character"


def _shown(word: str) -> str:
    return f"“{word[:40]}{'…' if len(word) > 40 else ''}”"
