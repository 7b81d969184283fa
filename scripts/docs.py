"""Writes the pages of `docs/` that are made from the code; `--check` tells whether they still fit.

    .venv/bin/python scripts/docs.py           write them
    .venv/bin/python scripts/docs.py --check   write nothing; end with 1 when one is not up to date

A page is a function of the code alone: what it says of keys, codes, states, metrics and routes is
read from the tables, enums and docstrings that the program itself uses. Where a docstring is
silent, `reference/` has the sentence, and a key without one ends the run.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from reference import counters, faults, options, rest, states

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "options.md": options.render,
    "errors.md": faults.render,
    "states.md": states.render,
    "metrics.md": counters.render,
    "http.md": rest.render,
}
SHOWN_LINES: Final = 20


def main() -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    parser.add_argument("--into", type=Path, default=DOCS, help="another folder than docs/")
    wanted = parser.parse_args()
    stale = [name for name, make in PAGES.items() if not settle(wanted, name, make())]
    if stale:
        tell(f"not up to date: {', '.join(stale)}; run scripts/docs.py")
    return 1 if stale else 0


def settle(wanted: argparse.Namespace, name: str, text: str) -> bool:
    """Write a page, or compare it; return whether it is as it should be now."""
    path: Path = wanted.into / name
    old = path.read_text("utf-8") if path.is_file() else ""
    if old == text:
        return True
    if not wanted.check:
        path.write_text(text, "utf-8")
        tell(f"wrote {name}")
        return True
    changes = difflib.unified_diff(old.splitlines(), text.splitlines(), name, "the code", "", "", 0)
    tell("\n".join(line for line, _ in zip(changes, range(SHOWN_LINES), strict=False)))
    return False


def tell(text: str) -> None:
    """Say something on stderr."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
