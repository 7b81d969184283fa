"""`proto import|diff`: pasted texts, real child processes, a real data folder."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest

from boss_schema import TEXT, bare, changed, with_two_more
from trunkline.cli.main import run
from trunkline.config import load_config, schemas_of
from trunkline.errors import ConfigError

CONFIG = """\
[lines.job]
dialect = "boss"
cookies = "wt2=a"
"""
NAMED = 'schema = "own.proto"\n'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    path = tmp_path / "trunkline.toml"
    path.write_text(CONFIG, "utf-8")
    path.chmod(0o600)
    (tmp_path / "same.txt").write_text(json.dumps(bare()), "utf-8")
    (tmp_path / "more.txt").write_text(with_two_more(), "utf-8")
    (tmp_path / "moved.txt").write_text(
        changed("optional int64 cmid = 11;", "optional int64 cmid = 41;"), "utf-8"
    )
    (tmp_path / "wrong.txt").write_text(TEXT.replace("uid = 1;", "uid 1;", 1), "utf-8")
    return tmp_path


def call(capsys, *args):
    code = run(["proto", *args])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


def in_use(here) -> bytes:
    return schemas_of(load_config(here / "trunkline.toml", os.environ)).get("job", b"")


def test_diff_shows_what_is_new_and_writes_nothing(here, capsys):
    code, out, _ = call(capsys, "diff", "more.txt")
    assert code == 0
    assert out.splitlines() == [
        "2 new, 0 gone, 0 changed",
        "  + AtInfo.color = 7 (optional string)",
        "  + TechwolfMessage.mood = 21 (optional int32)",
    ]
    assert not (here / "schemas").exists()
    assert in_use(here) == b""


def test_import_is_used_after_a_restart(here, capsys):
    code, out, _ = call(capsys, "import", "more.txt")
    assert code == 0
    assert "lines use it after a restart" in out
    assert b"mood" in in_use(here)
    code, out, _ = call(capsys, "diff", "more.txt")
    assert out == "the same as the one in use\n"
    _, out, _ = call(capsys, "diff", "same.txt")
    assert out.startswith("0 new, 2 gone, 0 changed\n  - AtInfo.color")


def test_the_way_back(here, capsys):
    call(capsys, "import", "more.txt")
    assert call(capsys, "import", "--built-in")[0] == 0
    assert in_use(here) == b""
    assert call(capsys, "import", "--built-in", "--json")[1].strip().startswith("{")


def test_json_has_it_all(capsys):
    code, out, _ = call(capsys, "import", "more.txt", "--json")
    shown = json.loads(out)
    assert code == 0
    assert (shown["is_usable"], shown["is_written"], shown["in_use"]) == (True, True, "")
    assert shown["dialect"] == "boss"
    assert [one["name"] for one in shown["changes"]["added"]] == ["color", "mood"]
    again = json.loads(call(capsys, "diff", "more.txt", "--json")[1])
    assert (again["in_use"], again["is_written"]) == (shown["sha256"], False)


@pytest.mark.parametrize("command", ["import", "diff"])
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("moved.txt", "number, name or type has changed: TechwolfMessage.cmid = 11"),
        ("wrong.txt", "line 52, column 22: Missing field number: required int64 uid 1;"),
    ],
)
def test_what_cannot_be_used_changes_nothing(here, capsys, command, file, words):
    call(capsys, "import", "more.txt")
    code, out, err = call(capsys, command, file)
    assert (code, out) == (1, "")
    assert "nothing was changed" in err
    assert words in err
    assert b"mood" in in_use(here)


def test_a_fault_names_its_line_in_both_languages(capsys, monkeypatch):
    line = next(n for n, text in enumerate(TEXT.splitlines(), 1) if "uid = 1;" in text)
    code, out, _ = call(capsys, "import", "wrong.txt", "--json")
    (fault, *_) = json.loads(out)["faults"]
    assert (code, fault["reason"], fault["line"]) == (1, "syntax", line)
    assert fault["text"].startswith(f"line {line}, ")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    _, _, err = call(capsys, "import", "wrong.txt")
    assert f"第 {line} 行" in err
    assert "没有任何改动" in err


def test_stdin_and_what_is_cut_off(here, capsys, monkeypatch):
    for text, code, words in (
        (with_two_more(), 0, "2 new"),
        (bare()[:3000] + "…", 1, "use copy(window.__PROTO_FILE_VAR__)"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        found, out, err = call(capsys, "import", "-")
        assert found == code
        assert words in out + err
    assert b"mood" in in_use(here)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["import"], 2),
        (["import", "same.txt", "--built-in"], 2),
        (["import", "absent.txt"], 2),
        (["diff", "latin.txt"], 1),
        (["diff", "big.txt"], 1),
        (["diff"], 2),
    ],
)
def test_what_is_no_file_is_told(here, capsys, args, code):
    (here / "latin.txt").write_bytes(b"\xff\x00\xff")
    (here / "big.txt").write_bytes(b"x" * (5 << 20))
    assert call(capsys, *args)[0] == code


def test_a_line_that_names_its_own_file_goes_on_with_that(here, capsys):
    (here / "trunkline.toml").write_text(CONFIG + NAMED, "utf-8")
    (here / "own.proto").write_text(TEXT, "utf-8")
    code, _, err = call(capsys, "import", "more.txt")
    assert code == 0
    assert "line job" in err
    assert b"mood" not in in_use(here)


def test_check_tells_what_is_wrong_with_a_named_file(here, capsys):
    (here / "trunkline.toml").write_text(CONFIG + NAMED, "utf-8")
    (here / "own.proto").write_text(TEXT.replace("uid = 1;", "uid 1;", 1), "utf-8")
    assert run(["check"]) == 2
    assert "[lines.job] schema" in capsys.readouterr().err
    assert run(["check", "--json"]) == 2
    assert "schema" in json.loads(capsys.readouterr().out)["problems"][0]
    with pytest.raises(ConfigError):
        in_use(here)


@pytest.mark.parametrize("harm", ["gone", "damaged", "unreadable"])
def test_a_schema_in_use_that_was_harmed_is_told(here, capsys, harm):
    call(capsys, "import", "more.txt")
    folder = here / "schemas" / "boss"
    (file,) = folder.glob("*.binpb")
    if harm == "gone":
        file.unlink()
    elif harm == "damaged":
        file.write_bytes(b"\xff" * 20)
    else:
        (folder / "current").write_text("latest", "utf-8")
    code, out, err = call(capsys, "diff", "more.txt")
    assert (code, out.splitlines()[0]) == (0, "2 new, 0 gone, 0 changed")
    assert "is damaged or gone: compared with the built-in one" in err
    code, _, err = call(capsys, "import", "more.txt")
    assert code == 0
    assert b"mood" in in_use(here)
    assert call(capsys, "diff", "more.txt")[2] == ""


def test_cookies_that_were_pasted_by_mistake_are_not_shown(here, capsys):
    (here / "cookies.txt").write_text("bst=SECRETVALUE99; wt2=abc", "utf-8")
    code, out, err = call(capsys, "import", "cookies.txt")
    assert code == 1
    assert "line 1" in err
    assert "SECRET" not in out + err
