"""Loads `queries.sql`: named sentences, one each, read once at import."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from typing import Final, TypeAlias

SIZES: Final = (32, 16, 8, 4, 2, 1)  # rows per INSERT; 32 saves 10 % over one (measurements.md)
Shapes: TypeAlias = tuple[tuple[int, str], ...]  # how many values a text takes, and the text
_VALUES: Final = re.compile(r"VALUES\s*(\([^)]*\))")


def load() -> Mapping[str, str]:
    """Return the sentences by name."""
    text = resources.files("trunkline.store.sqlite").joinpath("queries.sql").read_text("utf-8")
    found: dict[str, str] = {}
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        lines = (line for line in body.splitlines() if not line.startswith("--"))
        found[name.strip()] = "\n".join(lines).strip().removesuffix(";")
    return found


def repeated(sentence: str) -> Shapes:
    """Return an INSERT for several rows at a time, the largest first."""
    values = _VALUES.search(sentence)
    if values is None:
        raise ValueError("the sentence has no VALUES (…)")
    each = values[1].count("?")
    return tuple(
        (size * each, f"{sentence[: values.end(1)]}{f', {values[1]}' * (size - 1)}"
         f"{sentence[values.end(1) :]}")
        for size in SIZES
    )  # fmt: skip


SQL: Final = load()
