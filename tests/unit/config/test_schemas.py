"""Schemas that people import: pasted texts compiled for real, kept by hash, found by lines."""

from __future__ import annotations

import json
import stat
from typing import Any

import msgspec
import pytest

from boss_schema import TEXT, bare, changed, with_two_more
from trunkline.clock import FakeClock
from trunkline.configuration.problems import Problems
from trunkline.configuration.schemas import (
    Made,
    Schemas,
    decode_text,
    make_schema,
    read_schemas,
    word_fault,
)
from trunkline.dialects.boss import BOSS
from trunkline.dialects.boss.frames import Sender, encode_text
from trunkline.dialects.boss.importing import SCHEMA
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.schema import load
from trunkline.dialects.contract import Opening
from trunkline.dialects.maim import MAIM
from trunkline.dialects.schemas import SchemaFault
from trunkline.ids import CountingIds

DIALECTS = {"boss": msgspec.structs.replace(MAIM, name="boss", schema=SCHEMA), "maim": MAIM}


@pytest.mark.parametrize(
    "pasted",
    [
        bare(),
        "\ufeff" + bare(),
        TEXT,
        json.dumps(bare()),
        "'" + bare() + "'",
        json.dumps(TEXT),
        json.dumps(TEXT)[1:-1],
        bare().replace("; ", ";\n\t"),
        bare().replace("}", "   }   "),
    ],
    ids=[
        "original", "mark", "syntax", "json", "quotes", "escapes", "bare-escapes", "tabs", "blanks",
    ],
)  # fmt: skip
def test_every_form_of_the_original_is_the_built_in_one(pasted):
    made = make_schema(SCHEMA, pasted)
    assert made.faults == ()
    assert SCHEMA.compare(SCHEMA.built_in(), made.data) == SCHEMA.compare(b"", b"")


def test_two_added_fields_are_told_and_usable():
    made = make_schema(SCHEMA, with_two_more())
    changes = SCHEMA.compare(SCHEMA.built_in(), made.data)
    assert [(one.message, one.name, one.number) for one in changes.added] == [
        ("AtInfo", "color", 7),
        ("TechwolfMessage", "mood", 21),
    ]
    schema = load(made.data)
    said = schema.encode(schema.chat(type=1, messages=[{"mood": 5}]))
    assert schema.decode(said).message.messages[0].mood == 5


def faults(pasted: str) -> list[tuple[str, int]]:
    made = make_schema(SCHEMA, pasted)
    assert made.data == b""
    return [(fault.reason, fault.line) for fault in made.faults]


def test_a_syntax_error_is_told_with_its_line():
    lines = TEXT.splitlines()
    number = next(i for i, line in enumerate(lines, 1) if "required int64 uid = 1" in line)
    lines[number - 1] = "  required int64 uid 1;"
    assert faults("\n".join(lines))[0] == ("syntax", number)
    assert faults(json.dumps("\n".join(lines)))[0] == ("syntax", number)


@pytest.mark.parametrize(
    "pasted",
    [
        bare()[:5000] + "…",
        '"' + bare()[:5000].replace('"', '\\"') + "…",
        bare()[:4000] + "…" + bare()[-1000:],
        bare()[:5000] + "...",
        bare()[:5000],
        TEXT[: TEXT.index("message TechwolfUser") + 60],
    ],
)
def test_a_truncated_text_is_told_as_one(pasted):
    found = make_schema(SCHEMA, pasted)
    assert found.data == b""
    assert found.faults[0].reason == "truncated"
    assert "copy(" in word_fault(found.faults[0])[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("optional int64 cmid = 11;", "optional int64 cmid = 41;"),
        ("optional int64 cmid = 11;", "optional string cmid = 11;"),
        ("optional int64 cmid = 11;", "repeated int64 cmid = 11;"),
        ("optional int64 cmid = 11;", "optional int64 clientMid = 11;"),
        ("repeated TechwolfMessage messages = 3;", "optional TechwolfMessage messages = 3;"),
        ("required TechwolfMessageBody body = 6;", "required TechwolfNotify body = 6;"),
    ],
)
def test_a_changed_number_name_or_type_is_refused(before, after):
    found = make_schema(SCHEMA, changed(before, after))
    assert found.data == b""
    assert {fault.reason for fault in found.faults} <= {"changed", "incomplete"}


def test_required_may_become_optional():
    made = make_schema(
        SCHEMA, changed("required int64 clientMid = 1;", "optional int64 clientMid = 1;")
    )
    assert made.faults == ()


@pytest.mark.parametrize(
    ("pasted", "reason"),
    [
        ("", "empty"),
        ("x" * (1 << 21), "too-large"),
        ("message A { optional int32 b = 1; }", "incomplete"),
        ('syntax = "proto3"; message TechwolfChatProtocol { int32 type = 1; }', "unsupported"),
        ("{}", "syntax"),
        ("中文", "syntax"),
    ],
)
def test_what_is_no_schema_of_this_dialect_is_told(pasted, reason):
    assert faults(pasted)[0][0] == reason


def test_without_a_compiler_the_way_to_it_is_told(tmp_path, monkeypatch):
    (tmp_path / "grpc_tools.py").write_text("raise ModuleNotFoundError('grpc_tools')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (fault,) = make_schema(SCHEMA, bare()).faults
    assert "trunkline[boss]" in word_fault(fault)[0]


def test_a_fault_is_a_sentence_in_both_languages():
    fault = SchemaFault("syntax", 'Expected ";".', 3, 7, "a {b}")
    assert word_fault(fault) == (
        '第 3 行第 7 列：Expected ";".：a {b}',
        'line 3, column 7: Expected ";".: a {b}',
    )
    assert word_fault(SchemaFault("incomplete", "X"))[1] == "X is missing"


def test_marks_of_editors_and_shells_are_read():
    assert decode_text(b"\xef\xbb\xbfa") == decode_text("a".encode("utf-16")) == "a"
    with pytest.raises(UnicodeDecodeError):
        decode_text(b"\xff\x00\xff")


def test_a_session_reads_with_what_was_imported():
    made = make_schema(SCHEMA, with_two_more())
    opening = Opening("account", "", FakeClock(), CountingIds(), made.data)
    session: Any = BOSS.open(job(), opening)
    fields = session._schema.new("TechwolfMessage").DESCRIPTOR.fields_by_name
    assert "mood" in fields
    assert "quoteId" in fields


# -- kept ------------------------------------------------------------------------------------

GOOD = Made("text", SCHEMA.built_in())


def test_nothing_is_imported_at_first(tmp_path):
    kept = Schemas(tmp_path / "data", "boss")
    assert (kept.current_name(), kept.current(), kept.find("0" * 64)) == ("", b"", None)
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_is_found_and_private(tmp_path):
    kept = Schemas(tmp_path / "data", "boss")
    kept.keep(GOOD)
    assert kept.current_name() == GOOD.sha256
    assert kept.current() == kept.find(GOOD.sha256) == GOOD.data
    assert Schemas(tmp_path / "data", "other").current() == b""
    paths = list((tmp_path / "data").rglob("*"))
    assert {path.name for path in paths if path.is_file()} == {
        f"{GOOD.sha256}.proto", f"{GOOD.sha256}.binpb", "current",
    }  # fmt: skip
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_the_newest_is_used_and_the_way_back_is_open(tmp_path):
    kept = Schemas(tmp_path, "boss")
    kept.keep(GOOD)
    kept.keep(Made("other", SCHEMA.built_in()))
    assert kept.current_name() == Made("other").sha256
    kept.keep(GOOD)
    assert kept.current_name() == GOOD.sha256
    kept.forget()
    kept.forget()
    assert kept.current() == b""
    assert kept.find(GOOD.sha256) == GOOD.data


def test_a_file_that_says_nothing_is_nothing(tmp_path):
    kept = Schemas(tmp_path, "boss")
    kept.keep(GOOD)
    (kept.folder / "current").write_bytes(b"../../etc/passwd\xff")
    assert kept.current_name() == ""
    assert kept.current() is None  # somebody imported something: the built-in one is no answer


def test_too_deep_is_no_truncated_text():
    for nested in ("message A {" * 5000 + "}" * 5000, "message A {\n" * 100 + "}\n" * 100):
        (fault,) = make_schema(SCHEMA, nested).faults
        assert "recursion limit" in word_fault(fault)[1]
        assert "truncated" not in word_fault(fault)[1]


@pytest.mark.parametrize(
    "pasted",
    [
        "bst=abcDEF123; wt2=SECRETVALUE99; __zp_stoken__=foo%2Bbar",
        '{"cookies": "bst=SECRETVALUE99"}',
        "# Netscape\n.zhipin.com\tTRUE\t/\tFALSE\t0\twt2\tSECRETVALUE99",
        '"bst=SECRETVALUE99; x=…',
        "message A { optional int32 a = 1; } bst=SECRETVALUE99",
        "x" * 60 + "SECRETVALUE99" + " = 13800138000;",
    ],
)
def test_what_was_pasted_by_mistake_is_not_shown(pasted):
    faults = make_schema(SCHEMA, pasted).faults
    assert faults
    for zh, en in map(word_fault, faults):
        for hidden in ("SECRET", "VALUE", "abcDEF", "foo", "13800138000"):
            assert hidden not in zh + en
        assert "line 1" in en


def test_what_a_newer_schema_requires_is_used_and_our_own_messages_lack_it():
    """A field that only the site knows cannot be filled: without the import it would lack too."""
    quote, cmid = "optional int64 quoteId = 20;", "optional int64 cmid = 11;"
    pasted = changed(quote, f"{quote} required int32 mood = 91;")
    pasted = pasted.replace(cmid, cmid.replace("optional", "required"))
    made = make_schema(SCHEMA, pasted)
    assert made.faults == ()
    schema = load(made.data)
    data = schema.encode(schema.chat(type=1, messages=[{"mid": 5}]))
    assert schema.decode(data).message.messages[0].mid == 5
    assert schema.decode(data).incomplete
    mine = encode_text(schema, Sender(1, 2), "hello", 7, 8)
    assert schema.decode(mine).message.messages[0].body.text == "hello"


# -- found by lines --------------------------------------------------------------------------


def job(**keys: object) -> BossOptions:
    return BossOptions.model_validate({"dialect": "boss", "cookies": "a=b", **keys})


def found(tmp_path, **keys: object) -> tuple[dict[str, bytes], list[str]]:
    problems = Problems("en")
    lines = {"job": job(**keys), "core": MAIM.options(dialect="maim")}
    data = tmp_path / "data"
    schemas = read_schemas(lines, DIALECTS, base=tmp_path, data=data, problems=problems)
    return schemas, problems.texts()


def test_without_anything_lines_use_the_built_in_one(tmp_path):
    assert found(tmp_path) == ({}, [])


def test_lines_use_what_was_imported(tmp_path):
    made = make_schema(SCHEMA, with_two_more())
    Schemas(tmp_path / "data", "boss").keep(made)
    assert found(tmp_path) == ({"job": made.data}, [])
    assert found(tmp_path, enabled=False) == ({}, [])
    problems = Problems("en")
    assert read_schemas({"job": job()}, DIALECTS, base=tmp_path, data=None, problems=problems) == {}


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_an_import_that_was_harmed_is_told(tmp_path, harm):
    kept = Schemas(tmp_path / "data", "boss")
    kept.keep(GOOD)
    file = kept.folder / f"{GOOD.sha256}.binpb"
    file.unlink() if harm == "gone" else file.write_bytes(b"\xff" * 20)
    schemas, problems = found(tmp_path)
    assert schemas == {}
    assert "run trunkline proto import again" in problems[0]


def test_a_line_may_name_a_file(tmp_path):
    (tmp_path / "t.proto").write_text(with_two_more(), "utf-8")
    Schemas(tmp_path / "data", "boss").keep(GOOD)
    schemas, problems = found(tmp_path, schema="t.proto")
    assert problems == []
    assert b"mood" in schemas["job"]


def test_a_named_file_that_was_imported_needs_no_compiler(tmp_path, monkeypatch):
    (tmp_path / "t.proto").write_text(with_two_more(), "utf-8")
    Schemas(tmp_path / "data", "boss").keep(make_schema(SCHEMA, json.dumps(with_two_more())))
    (tmp_path / "grpc_tools.py").write_text("raise ModuleNotFoundError('grpc_tools')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    schemas, problems = found(tmp_path, schema="t.proto")
    assert (b"mood" in schemas["job"], problems) == (True, [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read"),
        (b"\xff\x00\xff", "is not UTF-8"),
        (b"message A {\n b }", "line 2, column"),
        (b"", "there is nothing in it"),
    ],
)
def test_a_named_file_that_cannot_be_used_is_a_problem_of_its_line(tmp_path, content, words):
    if content is not None:
        (tmp_path / "t.proto").write_bytes(content)
    schemas, problems = found(tmp_path, schema="t.proto")
    assert schemas == {}
    assert "[lines.job] schema" in problems[0]
    assert words in problems[0]
