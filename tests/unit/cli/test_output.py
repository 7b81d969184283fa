"""What commands print: tables that line up, one `ready` line, languages by locale."""

import json
import os

import pytest

from trunkline.cli.output import format_table, print_json, print_ready, text, width
from trunkline.configuration.language import language_of


@pytest.mark.parametrize(
    ("env", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LC_MESSAGES": "zh_TW", "LANG": "en_US"}, "zh"),
        ({"LC_ALL": "", "LANG": "ZH"}, "zh"),
    ],
)
def test_language(env, language):
    assert language_of(env) == language


def test_text_follows_the_language(monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert text("好", "good") == "好"
    monkeypatch.setenv("LC_ALL", "C")
    assert text("好", "good") == "good"


def test_the_ready_line(capsys):
    print_ready(url="http://127.0.0.1:5", core="ws://127.0.0.1:6/ws")
    word, _, rest = capsys.readouterr().out.rstrip("\n").partition(" ")
    assert word == "ready"
    facts = json.loads(rest)
    assert list(facts) == ["url", "pid", "core"]
    assert facts["pid"] == os.getpid()


def test_json_is_readable_and_keeps_chinese(capsys):
    print_json({"name": "小明", "n": [1]})
    shown = capsys.readouterr().out
    assert "小明" in shown
    assert json.loads(shown) == {"name": "小明", "n": [1]}


def test_chinese_takes_two_columns():
    assert (width("ab"), width("小明"), width("e\u0301")) == (2, 4, 1)
    assert format_table(["LINE", "X"], [["店", "1"], ["blog", "22"]]) == [
        "LINE  X", "店    1", "blog  22",
    ]  # fmt: skip
    assert format_table(["A"], []) == ["A"]
