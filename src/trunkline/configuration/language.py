"""Which of the two languages a person reads. Imports nothing of the house."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["zh", "en"]


def language_of(env: Mapping[str, str]) -> Language:
    """Return the language that the locale variables ask for.

    Args:
        env: the environment; `LC_ALL` wins over `LC_MESSAGES`, that over `LANG`.
    """
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := env.get(name, ""):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"
