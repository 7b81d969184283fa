"""`rules lint|import|export`: real files, no server."""

from __future__ import annotations

import json
import stat

import pytest

from trunkline.cli.main import run
from trunkline.cli.rules import _apply
from trunkline.config import load_config
from trunkline.configuration.importing import compare
from trunkline.configuration.sheets import SheetRow
from trunkline.errors import ConfigError

HEAD = """\
# 我的店
[lines.shop]
dialect = "maim"
bind = "127.0.0.1:8090"

[lines.shop2]
dialect = "maim"
bind = "127.0.0.1:8091"
"""
RULES = """
[[rules]]
name = "picture"        # 图片
lines = ["shop"]
keywords = ["照片"]
image = "https://img.example/a.jpg"

[[rules]]
name = "price"
lines = ["shop"]
keywords = ["价格", "多少钱"]
reply = "页面价"  # 不议价

[[rules]]
lines = ["shop"]
items = ["1"]
keywords = ["发货"]
reply = "今天"
"""
TABLE = '关键词,商品ID,回复\n"多少钱\n价格",,九折\n发货,1,今天\n你好,,您好\n'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return tmp_path


@pytest.fixture
def file(here):
    path = here / "trunkline.toml"
    path.write_text(HEAD + RULES, "utf-8")
    path.chmod(0o600)
    (here / "t.csv").write_text(TABLE, "utf-8")
    return path


def call(capsys, *args):
    code = run(list(args))
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


def rules_of(path):
    return [
        (rule.lines, rule.items, rule.keywords, rule.reply) for rule in load_config(path, {}).rules
    ]


def test_a_preview_writes_nothing(file, capsys):
    before = file.read_bytes()
    code, out, _ = call(capsys, "rules", "import", "t.csv", "--line", "shop")
    assert code == 0
    assert out.splitlines() == [
        "1 new, 1 changed, 0 removed, 1 the same",
        "  + 你好 → 您好",
        "  ~ 多少钱 价格: 页面价 → 九折",
        "nothing is written; add --yes to write it",
    ]
    assert file.read_bytes() == before


def test_an_import_changes_what_differs_and_nothing_else(file, capsys):
    code, out, _ = call(capsys, "rules", "import", "t.csv", "--line", "shop", "--yes")
    assert (code, out.splitlines()[-1]) == (0, f"written to {file}")
    assert rules_of(file) == [
        (("shop",), (), ("照片",), ""),
        (("shop",), (), ("价格", "多少钱"), "九折"),
        (("shop",), ("1",), ("发货",), "今天"),
        (("shop",), (), ("你好",), "您好"),
    ]
    text = file.read_text("utf-8")
    assert text.startswith(HEAD)  # comments and all
    assert "# 图片" in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.with_name("trunkline.toml.bak").read_text("utf-8") == HEAD + RULES
    code, out, _ = call(capsys, "rules", "import", "t.csv", "--line", "shop", "--yes")
    assert (code, out) == (0, "0 new, 0 changed, 0 removed, 3 the same\n")


def test_replacing_removes_plain_rules_and_keeps_pictures(file, here, capsys):
    (here / "t.csv").write_text("你好,,您好\n", "utf-8")
    code, out, _ = call(capsys, "rules", "import", "t.csv", "--line", "shop", "--replace", "--yes")
    assert code == 0
    assert "1 new, 0 changed, 2 removed, 0 the same" in out
    assert [keywords for _, _, keywords, _ in rules_of(file)] == [("照片",), ("你好",)]


def test_another_line_and_global_rules_are_apart(file, capsys):
    call(capsys, "rules", "import", "t.csv", "--line", "shop2", "--yes")
    call(capsys, "rules", "import", "t.csv", "--yes")
    lines = [lines for lines, _, _, _ in rules_of(file)]
    assert lines == [("shop",)] * 3 + [("shop2",)] * 3 + [()] * 3


def test_rules_are_added_to_a_file_that_has_none(file, capsys):
    file.write_text(HEAD, "utf-8")
    assert call(capsys, "rules", "import", "t.csv", "--yes")[0] == 0
    assert len(rules_of(file)) == 3


def test_what_a_new_rule_would_shadow_is_in_the_preview(file, here, capsys):
    (here / "t.csv").write_text("价,,便宜\n价格表,,见页面\n", "utf-8")
    code, out, _ = call(capsys, "rules", "import", "t.csv", "--line", "shop", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["is_written"] is False
    assert [one["keyword"] for one in told["added"]] == ["价", "价格表"]
    assert [(one["rule"], one["word"], one["by"]) for one in told["shadows"]] == [
        ("+2", "价格表", "price")
    ]


def test_what_cannot_be_loaded_is_not_written(file, here, capsys):
    before = file.read_bytes()
    (here / "t.csv").write_text("a,,{}\n".format("x" * 10_001), "utf-8")
    code, _, err = call(capsys, "rules", "import", "t.csv", "--yes")
    assert code == 2
    assert "reply" in err
    assert call(capsys, "rules", "import", "t.csv")[0] == 2  # and the preview knows
    assert file.read_bytes() == before
    assert not list(here.glob(".trunkline*"))
    assert not list(here.glob("*.bak"))


def test_a_table_that_does_not_fit_is_told_by_the_preview(file, here, capsys):
    rows = "".join(f"词{nth},{'好' * 200}\n" for nth in range(2_000))
    (here / "t.csv").write_text(f"关键词,回复\n{rows}", "utf-8")
    for more in ((), ("--yes",)):
        code, out, err = call(capsys, "rules", "import", "t.csv", *more)
        assert (code, out.splitlines()[0]) == (2, "2000 new, 0 changed, 0 removed, 0 the same")
        assert f"it does not fit: {file} would have 1." in err
        assert "leave rows out" in err
        assert ".trunkline" not in err
    assert file.read_text("utf-8") == HEAD + RULES


def test_a_formula_without_its_result_is_told_where_it_stands(file, here, capsys):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["关键词", "回复"])
    book.active.append(["价格", "=1+1"])
    book.save(here / "t.xlsx")
    code, _, err = call(capsys, "rules", "import", "t.xlsx")
    assert code == 2
    assert "t.xlsx:B2: a formula without its result" in err


def test_a_preview_is_shown_where_nothing_can_be_written(file, capsys, monkeypatch):
    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    assert call(capsys, "rules", "import", "t.csv")[:1] == (0,)
    assert call(capsys, "rules", "import", "t.csv", "--yes")[0] == 1


def test_a_file_that_was_broken_meanwhile_is_named_as_people_know_it(file):
    loaded = load_config(file, {})
    file.write_text(HEAD + "dayly = 1\n", "utf-8")
    changes = compare(loaded.rules, [SheetRow("你好", "", "您好", 1)], "", is_replacing=False)
    with pytest.raises(ConfigError) as caught:
        _apply(loaded, changes, "", is_written=True)
    assert caught.value.problems[0].startswith("trunkline.toml:9 [lines.shop2] dayly")
    assert file.read_text("utf-8") == HEAD + "dayly = 1\n"


def test_silence_is_named_in_the_preview(file, here, capsys, monkeypatch):
    (here / "t.csv").write_text("广告,,\n发货,1,\n", "utf-8")
    out = call(capsys, "rules", "import", "t.csv", "--line", "shop")[1]
    assert "  + 广告 → (silence)" in out
    assert "  ~ 发货 [1]: 今天 → (silence)" in out
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "  + 广告 → （不回复）" in call(capsys, "rules", "import", "t.csv")[1]


@pytest.mark.parametrize(
    ("table", "args", "said"),
    [
        ("a,,b\nA ,,c\n", (), "row 2 repeats row 1"),
        (",,b\n", (), "no keyword"),
        ("a,,b\n", ("--line", "none"), "no line 'none'"),
    ],
)
def test_what_is_wrong_is_told_in_one_language(file, here, capsys, table, args, said):
    (here / "t.csv").write_text(table, "utf-8")
    code, _, err = call(capsys, "rules", "import", "t.csv", *args)
    assert code == 2
    assert said in err
    assert " | " not in err


def test_export_and_import_again_change_nothing(file, capsys):
    code, out, _ = call(capsys, "rules", "export", "out.csv", "--line", "shop")
    assert code == 0
    assert out.splitlines() == [
        "out.csv: 2 rules",
        "  1 more have pictures, patterns, exceptions …: these live in the file only",
    ]
    again = call(capsys, "rules", "import", "out.csv", "--line", "shop", "--replace")
    assert again[1] == "0 new, 0 changed, 0 removed, 2 the same\n"


def test_lint_names_the_shadowed_and_ends_with_1(file, capsys):
    assert call(capsys, "rules", "lint")[:2] == (0, "3 rules, none is shadowed\n")
    with file.open("a", encoding="utf-8") as out:
        out.write(
            '\n[[rules]]\nname = "late"\nlines = ["shop"]\nkeywords = ["价格表"]\nreply = "x"\n'
        )
    code, out, _ = call(capsys, "rules", "lint")
    assert code == 1
    assert out == (
        "  ! rule late, “价格表”: rule price always answers first, by “价格”"
        " (the whole rule never answers)\n"
    )
    code, out, _ = call(capsys, "rules", "lint", "--json")
    assert json.loads(out)["shadows"][0]["is_whole"] is True
