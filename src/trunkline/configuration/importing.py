"""Keyword tables into the rules of a configuration file, and back.

Only plain rules can be rows of a table: words that are contained, one text, at most one item, one
line or none, nothing else. Pictures, patterns, exceptions and priorities stay in the file, and an
import never touches them. The file keeps its comments and its form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias, cast

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from trunkline.errors import ConfigError
from trunkline.pipeline.compiled import fold_keywords, split_keywords
from trunkline.pipeline.rulebook import RuleSpec

from .sheets import SheetRow

Key: TypeAlias = tuple[str, frozenset[str]]  # item, folded keywords
_RULES: Final = "rules"


class Changes(msgspec.Struct, frozen=True):
    """What an import would do.

    Args:
        added: rows that become rules.
        changed: (rule, the row with its new reply).
        removed: rules that no row stands for.
        same: how many rows say what the file says already.
    """

    added: tuple[SheetRow, ...]
    changed: tuple[tuple[RuleSpec, SheetRow], ...]
    removed: tuple[RuleSpec, ...]
    same: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not (self.added or self.changed or self.removed)


def is_plain(rule: RuleSpec, line: str) -> bool:
    """Whether a rule of a line (`""`: of every line) can be a row of a table."""
    bare = RuleSpec(
        name=rule.name,
        keywords=rule.keywords,
        reply=rule.reply,
        lines=(line,) if line else (),
        items=rule.items[:1],
        order=rule.order,
    )
    return rule == bare


def to_rows(rules: Iterable[RuleSpec], line: str) -> list[SheetRow]:
    """Return the plain rules of a line as rows, in the order of the file."""
    return [
        SheetRow("\n".join(split_keywords(rule.keywords)), "".join(rule.items), rule.reply)
        for rule in rules
        if is_plain(rule, line)
    ]


def compare(
    rules: Iterable[RuleSpec], rows: Sequence[SheetRow], line: str, *, is_replacing: bool
) -> Changes:
    """Work out what an import would change; rule and row are the same by item and keywords.

    Args:
        is_replacing: plain rules of the line that no row stands for are removed.

    Raises:
        ConfigError: two rows are the same.
    """
    known = {
        _key(rule.keywords, "".join(rule.items)): rule for rule in rules if is_plain(rule, line)
    }
    added: list[SheetRow] = []
    changed: list[tuple[RuleSpec, SheetRow]] = []
    seen: dict[Key, int] = {}
    problems: list[str] = []
    same = 0
    for row in rows:
        key = _key((row.keyword,), row.item)
        first = seen.setdefault(key, row.place)
        if first != row.place:
            problems.append(
                f"第 {row.place} 行与第 {first} 行重复 | row {row.place} repeats row {first}"
            )
            continue
        rule = known.get(key)
        if rule is None:
            added.append(row)
        elif rule.reply == row.reply:
            same += 1
        else:
            changed.append((rule, row))
    if problems:
        raise ConfigError(problems)
    removed = [rule for key, rule in known.items() if key not in seen] if is_replacing else []
    return Changes(tuple(added), tuple(changed), tuple(removed), same)


def apply_to_rules(rules: Sequence[RuleSpec], changes: Changes, line: str) -> tuple[RuleSpec, ...]:
    """Return the rules as they would be, so that they can be looked at before."""
    replies = {rule.order: row.reply for rule, row in changes.changed}
    gone = {rule.order for rule in changes.removed}
    kept = [
        msgspec.structs.replace(rule, reply=replies.get(rule.order, rule.reply))
        for rule in rules
        if rule.order not in gone
    ]
    start = max((rule.order for rule in rules), default=-1) + 1
    added = [
        RuleSpec(
            name=f"+{row.place}",
            keywords=split_keywords((row.keyword,)),
            reply=row.reply,
            lines=(line,) if line else (),
            items=(row.item,) if row.item else (),
            order=start + nth,
        )
        for nth, row in enumerate(changes.added)
    ]
    return (*kept, *added)


def apply_to_text(text: str, changes: Changes, line: str) -> str:
    """Return the configuration file with the changes in it.

    Raises:
        ConfigError: the rules of the file are not written as `[[rules]]`.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError([f"{error}"]) from error
    found: Any = cast("dict[str, Any]", document).get(_RULES)  # its own types are partial
    if found is None:
        found = tomlkit.aot()
    elif not isinstance(found, AoT):
        raise ConfigError([
            "rules: 请先改写成 [[rules]] 的形式 | write the rules as [[rules]] tables first"
        ])  # fmt: skip
    tables = cast("list[Any]", found)
    for rule, row in changes.changed:
        tables[rule.order]["reply"] = _text_item(row.reply)
    for order in sorted((rule.order for rule in changes.removed), reverse=True):
        del tables[order]
    for row in changes.added:
        tables.append(_table(row, line))
    if _RULES not in document and changes.added:
        document[_RULES] = found
    return tomlkit.dumps(document)


def _table(row: SheetRow, line: str) -> Any:
    table = tomlkit.table()
    if line:
        table["lines"] = [line]
    if row.item:
        table["items"] = [row.item]
    table["keywords"] = list(split_keywords((row.keyword,)))
    table["reply"] = _text_item(row.reply)
    table.add(tomlkit.nl())
    return table


def _text_item(text: str) -> Any:
    return tomlkit.string(text, multiline="\n" in text)


def _key(keywords: Iterable[str], item: str) -> Key:
    return item, frozenset(fold_keywords(keywords).values())
