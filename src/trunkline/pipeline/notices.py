"""Notices: what happened and nobody said. One is answered only where a rule or a plugin names it.

A name is `kind` or `kind:what`; both are the dialect's words (`ban`, `order:paid`). Who listens
names it whole, by its kind alone, or with `*`.
"""

from __future__ import annotations

from collections.abc import Iterable

from .compiled import Rule, Rulebook, is_like
from .turn import Turn


def is_named(names: Iterable[str], notice: str) -> str:
    """Return the name by which a notice is listened for, "" when it is not.

    `order` means every notice of the kind `order`, `order:*` and `*` are patterns.
    """
    kind = notice.partition(":")[0]
    for name in names:
        if name in (notice, kind) or ("*" in name and is_like(notice, tuple(name.split("*")))):
            return name
    return ""


def find_rule(rulebook: Rulebook, turn: Turn) -> tuple[Rule, str] | None:
    """Return the best rule that names the notice and holds for it, and how it names it."""
    for rule in rulebook.notices:
        name = is_named(rule.spec.notices, turn.notice)
        if name and rule.scope.holds(turn.line, turn.item):
            return rule, name
    return None


def is_heard(rulebook: Rulebook, turn: Turn) -> bool:
    """Whether some rule or some plugin may have something to say to a notice."""
    if not turn.notice:
        return False
    if find_rule(rulebook, turn) is not None:
        return True
    return any(
        handler.spec.kind == "notice" and is_named(handler.spec.words, turn.notice)
        for handler in rulebook.handlers
    )
