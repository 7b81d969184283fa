"""The pages: generated ones fit the code, links lead somewhere, names and samples are real.

Each check is a function of a text and shown below to catch what it is for.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.cli.main import COMMANDS, NOT_BUILT
from trunkline.config import check_listening, load_config
from trunkline.errors import ConfigError

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "trunkline"
SCRIPT = ROOT / "scripts" / "docs.py"
PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md")])
TWINS = [(ROOT / "README.md", ROOT / "README.zh-CN.md"),
         (ROOT / "docs/operate.md", ROOT / "docs/operate.zh-CN.md"),
         (ROOT / "docs/onebot11.md", ROOT / "docs/onebot11.zh-CN.md"),
         (ROOT / "docs/nginx.md", ROOT / "docs/nginx.zh-CN.md")]  # fmt: skip
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
COMMAND = re.compile(r"(?:^|\s)trunkline ([a-z]+)")


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def prose(text: str) -> str:
    """A page without its code blocks: a `#` in them begins no heading."""
    return BLOCK.sub("", text)


def blocks(text: str, *languages: str) -> list[str]:
    return [body for language, body in BLOCK.findall(text) if language in languages]


def anchors(text: str) -> set[str]:
    """The anchors that headings get: lower case, spaces as dashes, other marks dropped."""
    kept = (re.sub(r"[^\w\- ]", "", title).lower() for _, title in HEADING.findall(prose(text)))
    return {title.replace(" ", "-") for title in kept}


def link_faults(page: Path, text: str) -> Iterator[str]:
    for link in LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists():
            yield f"{page.name}: {link} leads nowhere"
        elif anchor and anchor not in anchors(target.read_text("utf-8") if path else text):
            yield f"{page.name}: {link}: no such heading"


def commands(text: str) -> list[str]:
    """What the console blocks run, comments apart."""
    lines = (line for body in blocks(text, "console") for line in body.splitlines())
    return [line.partition("#")[0].rstrip() for line in lines if line.startswith("$ ")]


def settings(text: str) -> list[object]:
    """What the TOML blocks say."""
    return [tomllib.loads(body) for body in blocks(text, "toml")]


def twin_faults(one: str, other: str) -> Iterator[str]:
    levels = [[len(marks) for marks, _ in HEADING.findall(prose(text))] for text in (one, other)]
    if levels[0] != levels[1]:
        yield f"headings differ: {levels[0]} and {levels[1]}"
    if commands(one) != commands(other):
        yield f"commands differ: {commands(one)} and {commands(other)}"
    if settings(one) != settings(other):
        yield "TOML differs"
    for language in ("ini", "nginx", "yaml"):
        if blocks(one, language) != blocks(other, language):
            yield f"{language} differs"


def command_faults(text: str) -> Iterator[str]:
    said = [*CODE.findall(prose(text)), *commands(text)]
    for name in {name for line in said for name in COMMAND.findall(line)} - COMMANDS.keys():
        yield f"trunkline {name}: {'not built yet' if name in NOT_BUILT else 'no such command'}"


def members() -> set[str]:
    """Every `Class.method` and function of the source."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            if isinstance(node, ast.ClassDef):
                methods = (ast.FunctionDef, ast.AsyncFunctionDef)
                found |= {
                    f"{node.name}.{one.name}" for one in node.body if isinstance(one, methods)
                }
    return found


def name_faults(text: str, known: set[str]) -> Iterator[str]:
    """Names in backticks that look like ours and are not: `Class.method`, `room/file.py`."""
    for name in CODE.findall(prose(text)):
        if re.fullmatch(r"[A-Z]\w+\.[a-z_]\w*", name) and name not in known:
            yield f"{name} is no method"
        is_path = re.fullmatch(r"([a-z_]+/)+[a-z_]+\.(py|sql)", name)
        if is_path and not any((base / name).exists() for base in (SOURCE, ROOT)):
            yield f"{name} is no path"


def sample_faults(folder: Path, body: str) -> list[str]:
    """What `check` finds in a sample, its files given."""
    for name in ("core.token", "mai.token"):
        (folder / name).write_text("0123456789abcdef0123456789abcdef"[::-1] + "\n", "utf-8")
    (folder / "shop.cookies").write_text("unb=2200000000001; cookie2=c\n", "utf-8")
    (folder / "job.cookies").write_text("wt=c; bst=d\n", "utf-8")
    for name in ("server.crt", "server.key"):
        (folder / name).write_text("", "utf-8")
    path = folder / "trunkline.toml"
    path.write_text(body, "utf-8")
    for file in folder.iterdir():
        file.chmod(0o600)
    try:
        return check_listening(load_config(path, {}))
    except ConfigError as error:
        return error.problems


# -- the pages -------------------------------------------------------------------------------


def test_the_generated_pages_fit_the_code() -> None:
    done = generate("--check")
    assert done.returncode == 0, done.stderr


def test_a_page_that_does_not_fit_is_named_and_left_alone(tmp_path: Path) -> None:
    assert generate("--into", str(tmp_path)).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "options.md", "errors.md", "states.md", "metrics.md", "http.md",
    }  # fmt: skip
    (tmp_path / "http.md").unlink()
    page = tmp_path / "options.md"
    page.write_text(page.read_text("utf-8").replace("`8080`", "`8081`"), "utf-8")
    done = generate("--check", "--into", str(tmp_path))
    assert done.returncode == 1
    assert "not up to date: options.md, http.md" in done.stderr
    assert "8081" in page.read_text("utf-8")
    assert not (tmp_path / "http.md").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_commands_and_names(page: Path) -> None:
    text = page.read_text("utf-8")
    faults = [*link_faults(page, text), *command_faults(text)]
    assert faults + list(name_faults(text, members())) == []


@pytest.mark.parametrize(("one", "other"), TWINS, ids=lambda page: page.name)
def test_both_languages_say_the_same(one: Path, other: Path) -> None:
    assert list(twin_faults(one.read_text("utf-8"), other.read_text("utf-8"))) == []
    assert commands(one.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configuration_samples_pass_check(page: Path, tmp_path: Path) -> None:
    for body in blocks(page.read_text("utf-8"), "toml"):
        assert sample_faults(tmp_path, body) == [], body


def test_the_house_names_every_room() -> None:
    text = (ROOT / "docs/house.md").read_text("utf-8")
    table = re.findall(r"^\| `([^`]+)` \|", text.partition("## Who may import")[0], re.MULTILINE)
    rooms = {path.name + "/" for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    files = {path.name for path in SOURCE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert set(table) == rooms | files


# -- the checks catch what they are for --------------------------------------------------------


def test_what_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "# A title: here\n[a](gone.md) [b](#a-title-here) [c](#other) [d](https://example.org)\n"
    page.write_text(text, "utf-8")
    assert [fault.split()[1] for fault in link_faults(page, text)] == ["gone.md", "#other:"]
    assert len(list(command_faults("`trunkline frobnicate` and `trunkline lines`"))) == 1
    assert "not built" in next(command_faults("```console\n$ trunkline doctor  # x\n```\n"))
    known = {"Gate.knock"}
    assert (
        len(list(name_faults("`Gate.knock` `Gate.ring` `lines/listen.py` `lines/x.py`", known)))
        == 2
    )
    assert sample_faults(tmp_path, '[server]\nhots = "127.0.0.1"\n')
    assert sample_faults(tmp_path, '[server]\nhost = "0.0.0.0"\n')


@pytest.mark.parametrize(
    "other",
    [
        "# A\n```console\n$ make demo\n```\n",
        "# A\n## B\n```console\n$ make test  # other words\n```\n",
        "# A\n## B\n```console\n$ make demo\n```\n```toml\nx = 1\n```\n",
        "# A\n## B\n```console\n$ make demo\n```\n```nginx\nx\n```\n",
    ],
)
def test_twins_that_differ(other: str) -> None:
    one = "# A\n## B\n```console\n$ make demo   # words\n```\n"
    assert len(list(twin_faults(one, other))) == 1
    assert list(twin_faults(one, one.replace("words", "话"))) == []
