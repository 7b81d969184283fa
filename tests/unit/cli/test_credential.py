"""`lines credential`: against the real application on a real socket."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.cli.main import run
from trunkline.cli.output import ExitCode
from web_world import World, serving


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("LC_ALL", "LC_MESSAGES", "TRUNKLINE_URL", "TRUNKLINE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    with serving(tmp_path) as world:
        yield world


def give(world: World, monkeypatch: pytest.MonkeyPatch, line: str, text: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return run(["lines", "credential", line, "-c", str(world.config)])


def test_a_refused_one_says_why_and_the_command_for_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert give(world, monkeypatch, "blog", "cookie2=secret-x") == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "no unb is among them" in said
    assert "trunkline lines credential blog < FILE" in said
    assert "secret-x" not in said
    assert "openapi" not in said


def test_a_next_step_that_the_server_knows_stays(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert give(world, monkeypatch, "none", "unb=1") == ExitCode.USAGE
    assert "< FILE" not in capsys.readouterr().err
