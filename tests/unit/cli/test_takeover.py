"""`takeover`: against the real application on a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.cli.main import run
from trunkline.cli.output import CommandFailed, ExitCode
from trunkline.cli.takeover import parse_span
from trunkline.model.address import Address
from web_world import World, serving

WHERE = "blog/visitor:v-1"
AT = Address("blog", "visitor", "v-1")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("LC_ALL", "LC_MESSAGES", "TRUNKLINE_URL", "TRUNKLINE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    with serving(tmp_path) as world:
        yield world


def cli(world: World, *words: str) -> int:
    return run(["takeover", *words, "-c", str(world.config)])


def test_it_is_taken_and_given_back(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(world, WHERE, "--for", "30m", "--name", "Mei") == 0
    assert capsys.readouterr().out.startswith(f"{WHERE}: taken over until ")
    assert world.desk.takeovers == [(AT, "Mei", 1800.0)]
    assert cli(world, WHERE, "--release") == 0
    assert capsys.readouterr().out == f"{WHERE}: given back, answered automatically\n"
    assert world.desk.released == [AT]


def test_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(world, WHERE, "--json") == 0
    assert json.loads(capsys.readouterr().out)["address"] == WHERE
    assert world.desk.takeovers == [(AT, "", 600.0)]  # how long is the line's to say


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((WHERE, "--for", "soon"), "is no span of time"),
        ((WHERE, "--for", "0"), "is no span of time"),
        ((WHERE, "--for", "2d"), "wrong"),
        ((WHERE, "--for", "1h", "--release"), "exclude each other"),
        (("blog/visitor:none",), "no conversation"),
        (("nonsense",), "A conversation is"),
    ],
)
def test_what_cannot_be_done_is_2(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert cli(world, *words) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert world.desk.takeovers == []


def test_no_next_step_is_the_interface_of_programs(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    cli(world, WHERE, "--for", "2d")
    said = capsys.readouterr().err
    assert "openapi" not in said
    assert "--help" in said
    cli(world, "--help")
    assert "at most 24h" in " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "span_s"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("30 min", 1800), ("1.5h", 5400), ("1D", 86_400)],
)
def test_spans(words: str, span_s: float) -> None:
    assert parse_span(words) == span_s


@pytest.mark.parametrize("words", ["", "m", "-5", "1w", "１h２", "9" * 9])
def test_what_is_no_span(words: str) -> None:
    with pytest.raises(CommandFailed):
        parse_span(words)
