"""Each bound of `docs/bounds.md` has its constant in the code and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("bounds.md", "bounds.zh-CN.md")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
CONSTANT = re.compile(r"`([\w/]+\.py)`((?: `\w+`,?)+)")


def rows(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text("utf-8")
    return [line for line in text.splitlines() if line.startswith("| ")][2:]


def names_of(path: Path, *, is_deep: bool) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree) if is_deep else tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def faults(row: str) -> list[str]:
    tests = TEST.findall(row)
    found = [] if tests else [f"no test: {row[:60]}"]
    for file, name in tests:
        if not (ROOT / file).is_file() or name not in names_of(ROOT / file, is_deep=False):
            found.append(f"no such test: {file}::{name}")
    for file, names in CONSTANT.findall(row.replace("tests/", "")):
        path = ROOT / "src" / "trunkline" / file
        known = names_of(path, is_deep=False) if path.is_file() else set[str]()
        found += [f"no {name} in {file}" for name in re.findall(r"\w+", names) if name not in known]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_bound_has_a_constant_and_a_test(page: str):
    lines = rows(page)
    assert len(lines) > 20
    assert [fault for row in lines for fault in faults(row)] == []


def test_both_languages_have_the_same_bounds():
    english, chinese = ([sorted(TEST.findall(row)) for row in rows(page)] for page in PAGES)
    assert english == chinese


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| a | b | `lines/driver.py` `PENDING_EVENTS` | c | none |", "no test"),
        ("| a | b | `lines/driver.py` `GONE` | c | `tests/unit/test_bounds.py::rows` |", "no GONE"),
        ("| a | b | – | c | `tests/unit/test_bounds.py::test_gone` |", "no such test"),
        ("| a | b | – | c | `tests/unit/test_gone.py::test_x` |", "no such test"),
    ],
)
def test_what_is_caught(row: str, fault: str):
    assert fault in faults(row)[0]
