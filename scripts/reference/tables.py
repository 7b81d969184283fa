"""Markdown that all pages share: tables, the first lines of a page, and what docstrings say."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

_ENTRY = re.compile(r"([a-z_][\w, ]*): (.*)")


def head(title: str, *paragraphs: str) -> str:
    """Return the beginning of a page."""
    note = "*Made from the code by `scripts/docs.py`: change the code, not this page.*"
    return "\n\n".join((f"# {title}", note, *paragraphs))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; bars and line ends in cells are taken care of."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def code(text: str) -> str:
    """Return text in backticks, also when it holds one."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def first_line(thing: object) -> str:
    """Return the first sentence of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def attributes(thing: type, section: str = "Attributes") -> dict[str, str]:
    """Return what a class docstring says of each name in a section; one entry may have several."""
    doc = inspect.getdoc(thing) or ""
    _, found, body = doc.partition(f"{section}:\n")
    said: dict[str, str] = {}
    names: list[str] = []
    for line in body.splitlines() if found else ():
        if not line.strip() or not line.startswith("    "):
            break
        entry = None if line.startswith("     ") else _ENTRY.fullmatch(line.strip())
        if entry is None:
            for name in names:
                said[name] += " " + line.strip()
        else:
            names = [name.strip() for name in entry[1].split(",")]
            said.update(dict.fromkeys(names, entry[2]))
    return said


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
