"""Patterns that people write: bounded in length, size and time.

`regex` lives in this file only: the standard `re` has no time-out, and 24 characters freeze it
(Source: measurements, "User-written patterns"). A pattern that is nothing but words joined by `|`
needs no engine: it goes to the automaton and costs linear time. Every other search may take 5 ms;
three time-outs switch the pattern off (Source: reliability 8, "Injection").
"""

from __future__ import annotations

import re
from typing import Any, Final
from unicodedata import normalize

MAX_PATTERN_CHARS: Final = 512
TIMEOUT_S: Final = 0.005
MAX_TIMEOUTS: Final = 3
MAX_REPEATS: Final = 100_000
_MAX_REMEMBERED: Final = 1_024

_META = re.compile(r"[\\.^$*+?{}\[\]()]")
_COUNT = re.compile(r"\{(\d{1,9})?(?:,(\d{1,9})?)?\}")
_WORD_SIGN = re.compile(r"\w")


class RuleHealth:
    """How often patterns were too slow. Owned by the caller of `decide`, who keeps it.

    It is keyed by the pattern and not by the rule: an edited pattern starts afresh, an unedited
    one stays off across reloads. At most 1,024 patterns are remembered, the oldest go first.
    """

    __slots__ = ("_timeouts",)

    def __init__(self) -> None:
        self._timeouts: dict[str, int] = {}

    def is_off(self, pattern: str) -> bool:
        """Whether three time-outs switched this pattern off."""
        return self._timeouts.get(pattern, 0) >= MAX_TIMEOUTS

    def note_timeout(self, pattern: str) -> None:
        """Count one time-out."""
        count = self._timeouts.pop(pattern, 0) + 1
        self._timeouts[pattern] = count
        if len(self._timeouts) > _MAX_REMEMBERED:
            del self._timeouts[next(iter(self._timeouts))]

    @property
    def off(self) -> tuple[str, ...]:
        """The patterns that are switched off, for `lines`, `check` and the log."""
        return tuple(text for text, count in self._timeouts.items() if count >= MAX_TIMEOUTS)


def split_words(pattern: str) -> tuple[str, ...] | None:
    """Return the words of a pattern that only lists words, else None."""
    if _META.search(pattern):
        return None
    words = tuple(pattern.split("|"))
    return words if all(words) else None


class Pattern:
    """One compiled pattern, searched in folded text without regard to case.

    Args:
        text: as it was written; `pattern_problem` has accepted it.
    """

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        import regex  # on first use: most rulebooks have no pattern, and it takes 60 ms

        self._compiled: Any = regex.compile(_fold_pattern(text), regex.IGNORECASE)

    def is_in(self, folded: str) -> bool:
        """Whether the pattern is found in `folded`.

        Raises:
            TimeoutError: it took longer than 5 ms.
        """
        return self._compiled.search(folded, timeout=TIMEOUT_S) is not None


def pattern_problem(text: str) -> str | None:
    """Return what is wrong with a pattern as half a sentence, or None."""
    if not text.strip():
        return "is empty"
    if len(text) > MAX_PATTERN_CHARS:
        return f"is longer than {MAX_PATTERN_CHARS} characters"
    repeats = 1
    for match in _COUNT.finditer(text):
        repeats *= max(int(match[1] or 1), int(match[2] or 1), 1)
        if repeats > MAX_REPEATS:
            # Nested counts are unrolled: a dozen characters would take minutes and gigabytes.
            return f"repeats more than {MAX_REPEATS:,} times in all"
    import regex

    try:
        regex.compile(_fold_pattern(text), regex.IGNORECASE)
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    return None


def _fold_pattern(text: str) -> str:
    r"""Fold the characters of a pattern as the texts are, without making operators of them.

    A wide question mark is a question mark in the folded text, so it must be `\?` here. ASCII
    stays as it is (`\S` is not `\s`): that is what IGNORECASE is for.
    """
    if text.isascii():
        return text
    parts: list[str] = []
    is_escaped = False
    for sign in text:
        folded = sign if sign.isascii() else normalize("NFKC", sign).casefold()
        if folded == sign or len(folded) > 1:
            parts.append(sign)  # longer foldings do not fit into a character class
        else:
            if is_escaped:
                parts.pop()  # the backslash before a wide sign must not come to mean its fold
            is_word = not folded.isascii() or _WORD_SIGN.match(folded)
            parts.append(folded if is_word else "\\" + folded)
        is_escaped = sign == "\\" and not is_escaped
    return "".join(parts)
