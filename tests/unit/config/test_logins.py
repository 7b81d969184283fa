"""No two enabled lines log in as the same account."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.config import load_config
from trunkline.errors import ConfigError


def problems_of(folder: Path, text: str, language: str = "C") -> list[str]:
    path = folder / "trunkline.toml"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    try:
        load_config(path, {"LC_ALL": language})
    except ConfigError as error:
        return error.problems
    return []


def two(dialect: str, first: str, second: str, more: str = "") -> str:
    return (
        f'[lines.a]\ndialect = "{dialect}"\ncookies = "{first}"\n'
        f'[lines.b]\ndialect = "{dialect}"\ncookies = "{second}"\n{more}\n'
    )


@pytest.mark.parametrize(
    ("dialect", "first", "second"),
    [
        ("xianyu", "unb=2200000000001; cookie2=one", "cookie2=two; unb=2200000000001"),
        ("boss", "wt=secret; bst=x", "bst=x; wt=secret"),
    ],
)
def test_two_lines_of_one_account_are_refused_in_one_sentence(
    tmp_path: Path, dialect: str, first: str, second: str
) -> None:
    (problem,) = problems_of(tmp_path, two(dialect, first, second))
    assert problem.startswith("trunkline.toml:6 [lines.b] cookies: lines b and a log in as")
    assert "secret" not in problem
    assert "2200000000001" not in problem
    (problem,) = problems_of(tmp_path, two(dialect, first, second), "zh_CN.UTF-8")
    assert "线路 b 与线路 a 登录的是同一个账号" in problem


@pytest.mark.parametrize(
    ("second", "more"),
    [
        ("unb=2; x=y", ""),
        ("unb=1; x=y", "enabled = false"),
        ("unb=1; x=y", 'http_url = "http://127.0.0.1:9"'),
    ],
)
def test_others_may_stand_beside_it(tmp_path: Path, second: str, more: str) -> None:
    assert problems_of(tmp_path, two("xianyu", "unb=1; x=y", second, more)) == []


def test_what_is_switched_off_logs_in_nowhere(tmp_path: Path) -> None:
    text = two("xianyu", "unb=1; x=y", "unb=1; x=z")
    off = text.replace("[lines.b]", "enabled = false\n[lines.b]")
    assert problems_of(tmp_path, off) == []


def test_lines_whose_account_nobody_knows_are_let_be(tmp_path: Path) -> None:
    text = '[lines.a]\ndialect = "maim"\n[lines.b]\ndialect = "maim"\npath = "/b"\n'
    assert problems_of(tmp_path, text) == []
