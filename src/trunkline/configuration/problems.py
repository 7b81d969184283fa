"""What is wrong with a configuration: collected, put in file order, said in one sentence each.

Knows how a key is named to a person: `trunkline.toml:12 [lines.blog] pth: …`, or the environment
variable that the value came from. Imports pydantic for its error records only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

from pydantic_core import ErrorDetails

from .language import Language

KeyPath: TypeAlias = tuple[str | int, ...]
Wording: TypeAlias = tuple[str, str]  # Chinese, English

_EXPECTED: Final[Mapping[str, Wording]] = {
    "int": ("整数", "a whole number"),
    "float": ("数字", "a number"),
    "bool": ("true 或 false", "true or false"),
    "string": ("文字", "text"),
    "tuple": ("列表", "a list"),
    "list": ("列表", "a list"),
    "dict": ("表", "a table"),
    "model": ("表", "a table"),
}
_GIVEN: Final[Mapping[type, Wording]] = {
    str: ("文字", "text"),
    bool: ("true/false", "true/false"),
    int: ("整数", "a whole number"),
    float: ("小数", "a number"),
    list: ("列表", "a list"),
    dict: ("表", "a table"),
}
_BOUNDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "greater_than_equal": ("ge", "至少 {}", "must be at least {}"),
    "greater_than": ("gt", "须大于 {}", "must be more than {}"),
    "less_than_equal": ("le", "至多 {}", "must be at most {}"),
    "less_than": ("lt", "须小于 {}", "must be less than {}"),
    "too_long": ("max_length", "至多 {} 个", "must have at most {}"),
    "too_short": ("min_length", "至少 {} 个", "must have at least {}"),
    "string_too_long": ("max_length", "至多 {} 个字符", "must have at most {} characters"),
    "string_too_short": ("min_length", "至少 {} 个字符", "must have at least {} characters"),
}


class Problems:
    """Problems and warnings of one configuration.

    Args:
        language: what they are said in.
        file: the file's name as people know it.
    """

    def __init__(self, language: Language, file: str = "trunkline.toml") -> None:
        self.language: Language = language
        self.file = file
        self.line_numbers: Mapping[KeyPath, int] = {}
        self.variables: Mapping[KeyPath, str] = {}
        self._problems: list[tuple[int, int, str]] = []
        self._warnings: list[tuple[int, int, str]] = []
        self._paths: set[KeyPath] = set()

    def add(self, path: KeyPath, zh: str, en: str) -> None:
        """Note a problem at `path` (table, then key)."""
        self._paths.add(path)
        self._note(self._problems, path, zh, en)

    def has(self, path: KeyPath) -> bool:
        """Whether a problem was noted at exactly this key."""
        return path in self._paths

    def warn(self, path: KeyPath, zh: str, en: str) -> None:
        """Note something that works but should be looked at."""
        self._note(self._warnings, path, zh, en)

    def texts(self) -> list[str]:
        """Return the problems in file order."""
        return [text for _, _, text in sorted(self._problems)]

    def warnings(self) -> tuple[str, ...]:
        """Return the warnings in file order."""
        return tuple(text for _, _, text in sorted(self._warnings))

    def __len__(self) -> int:
        return len(self._problems)

    def say(self, zh: str, en: str) -> str:
        """Return the wording in the language of this report."""
        return zh if self.language == "zh" else en

    def _note(self, notes: list[tuple[int, int, str]], path: KeyPath, zh: str, en: str) -> None:
        variable = self.variables.get(path) or self.variables.get(path[:-1])
        line = 0 if variable else self._line_of(path)
        where = variable or f"{self.file}:{line} {format_path(path)}".strip()
        if not line and not variable:
            where = f"{self.file} {format_path(path)}".strip()
        # Problems without a line (environment, cross checks) come after those of the file.
        notes.append((line or 1 << 30, len(notes), f"{where}: {self.say(zh, en)}"))

    def _line_of(self, path: KeyPath) -> int:
        for size in range(len(path), 0, -1):
            if found := self.line_numbers.get(path[:size]):
                return found
        return 0


def format_path(path: KeyPath) -> str:
    """Format a key's place as the file shows it: `[lines.blog] path`, `[[rules]] #2 match`."""
    if not path:
        return ""
    table, rest = f"[{path[0]}]", path[1:]
    if rest and isinstance(rest[0], int):
        table, rest = f"[{table}] #{rest[0] + 1}", rest[1:]
    elif rest and path[0] == "lines":
        table, rest = f"[lines.{rest[0]}]", rest[1:]
    return " ".join([table, ".".join(map(str, rest))]).strip()


def nearest(word: str, known: Iterable[str]) -> Wording:
    """Return how to suggest the nearest known word, or two empty texts."""
    names = list(known)
    found = difflib.get_close_matches(word.lower(), names, 1, cutoff=0.6)
    if found:
        return f"；是不是 {found[0]}？", f'; did you mean "{found[0]}"?'
    return "", ""


def word_error(error: ErrorDetails) -> Wording:
    """Put a pydantic error into words. Never shows the value, which may be a secret."""
    kind = error["type"]
    context = cast("Mapping[str, Any]", error.get("ctx", {}))
    if kind in _BOUNDS:
        name, zh, en = _BOUNDS[kind]
        return zh.format(context.get(name)), en.format(context.get(name))
    if kind == "missing":
        return "必须填写", "is required"
    if kind == "literal_error":
        expected = str(context.get("expected", ""))
        return f"须为 {expected.replace(' or ', '、')} 之一", f"must be {expected}"
    if kind == "value_error":
        detail = str(context.get("error", error["msg"]))
        zh, _, en = detail.partition(" | ")
        return (zh, en) if en else (detail, detail)
    expected = _EXPECTED.get(kind.partition("_")[0])
    if expected is None:
        return error["msg"], error["msg"]
    return word_type(expected, error["input"])


def word_type(expected: Wording, given: object) -> Wording:
    """Word "expects this, not that"."""
    got = _GIVEN.get(type(given))
    if got is None or got == expected:
        return f"需要{expected[0]}", f"expects {expected[1]}"
    return f"需要{expected[0]}，而不是{got[0]}", f"expects {expected[1]}, not {got[1]}"


def mistyped(given: object, result: object) -> Wording | None:
    """Return the complaint when a value only fits because it was converted, else None.

    Pydantic reads `"8080"` as a number and 1 as true; a file shall say what it means.
    """
    types: dict[type, str] = {bool: "bool", int: "int", float: "float"}
    expected = types.get(type(result))
    if expected is None or type(given) is type(result):
        return None
    if type(given) is int and expected == "float":
        return None
    return word_type(_EXPECTED[expected], given)
