"""Where keys stand in a file, and what a variable's name means."""

import pytest

from trunkline.configuration.problems import Problems
from trunkline.configuration.source import locate, overlay


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1", ("a",), 1),
        ("[t]\n\nk = 1", ("t", "k"), 3),
        ("[lines.'my blog']\npath = 1", ("lines", "my blog", "path"), 2),
        ('[lines."a.b"]\n"c d" = 1', ("lines", "a.b", "c d"), 2),
        ("[t]\na.b = 1", ("t", "a", "b"), 2),
        ("[[r]]\nk = 1\n[[r]]\nk = 2", ("r", 1, "k"), 4),
        ("[[r]]\n[t]\n[[r]]", ("r", 1), 3),
        ("x = '''\n[t]\n'''\n[t]", ("t",), 4),
        ('x = """one line"""\ny = 1', ("y",), 2),
        ("# [t]\n[t] # here", ("t",), 2),
    ],
)
def test_places(text, path, line):
    assert locate(text)[path] == line


def test_odd_text_has_no_places_and_no_error():
    assert locate("[[[\n= 1\n[]\n[a.]\n'") == {}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("TRUNKLINE__SERVER__PORT", ("server", "port")),
        ("TRUNKLINE__LINES__MY_BLOG__PATH", ("lines", "My-Blog", "path")),
        ("TRUNKLINE__LINES__NEW__PATH", ("lines", "new", "path")),
        ("TRUNKLINE__RULES", ("rules",)),
    ],
)
def test_which_key_a_variable_means(name, path):
    table = {"lines": {"My-Blog": {}}}
    assert overlay(table, {name: "x"}, Problems("en")) == {path: name}
    for key in path:
        table = table[key]
    assert table == "x"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8080", "8080"), ("true", "true"), ("[1, 2]", [1, 2]), ('{"env": "X"}', {"env": "X"}),
        ('"quoted"', "quoted"), ("[::1]:1", "[::1]:1"), ("{x}", "{x}"), ("", ""),
    ],
)  # fmt: skip
def test_plain_or_json(text, value):
    table = {}
    overlay(table, {"TRUNKLINE__A__B": text}, Problems("en"))
    assert table == {"a": {"b": value}}


@pytest.mark.parametrize("name", ["TRUNKLINE__", "TRUNKLINE__A____B", "TRUNKLINE__A__B__C"])
def test_a_variable_that_names_no_key_is_a_problem(name):
    problems = Problems("en")
    overlay({"a": {"b": 1}}, {name: "x"}, problems)
    assert f"{name} names no key" in problems.texts()[0]


def test_other_variables_are_not_ours():
    table = {}
    assert overlay(table, {"TRUNKLINE_URL": "x", "PATH": "y"}, Problems("en")) == {}
    assert table == {}
