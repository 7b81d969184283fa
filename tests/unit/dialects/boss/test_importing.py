"""Pasted text: every form that a console gives it, and what two schemas differ in.

Compiling is done in a child process elsewhere (`tests/unit/config/test_schemas.py`); here a
compiler's words are given.
"""

from __future__ import annotations

import json

import pytest
from google.protobuf import descriptor_pb2

from boss_schema import TEXT, bare
from trunkline.dialects.boss.importing import MAX_CHARS, SYNTAX, check, clean, compare, explain
from trunkline.dialects.boss.schema import built_in
from trunkline.dialects.schemas import SchemaFault

FILE = descriptor_pb2.FileDescriptorSet.FromString(built_in().descriptor_set)
SHORT = 'option java_package = "a.b";message A {optional string b = 1;}'
ESCAPED = SHORT.replace('"', '\\"').replace(";", ";\\n")
LINES = SHORT.replace(";", ";\n")


@pytest.mark.parametrize(
    ("pasted", "expected"),
    [
        (SHORT, SYNTAX + SHORT),
        ("\ufeff" + SHORT, SYNTAX + SHORT),
        (f"  \n{SHORT}\n", SYNTAX + SHORT),
        ('syntax = "proto2";\n' + SHORT, 'syntax = "proto2";\n' + SHORT),
        ("syntax='proto2';" + SHORT, "syntax='proto2';" + SHORT),
        ('// syntax = "x";\n' + SHORT, SYNTAX + '// syntax = "x";\n' + SHORT),
        ('// a\n/* b */ syntax = "proto2";' + SHORT, '// a\n/* b */ syntax = "proto2";' + SHORT),
        ("message syntax {}", SYNTAX + "message syntax {}"),
        (json.dumps(LINES), SYNTAX + LINES.strip()),
        ("\ufeff" + json.dumps(SHORT), SYNTAX + SHORT),
        (f"'{SHORT}'", SYNTAX + SHORT),
        (f"'{SHORT}';", SYNTAX + SHORT),
        (f"`{LINES}`", SYNTAX + LINES.strip()),
        (f'"{SHORT}"', SYNTAX + SHORT),
        (f"'{ESCAPED}'", SYNTAX + LINES.strip()),
        (ESCAPED, SYNTAX + LINES.strip()),
        (
            "message A {\\n\\t// \\u4e2d\\x41\\ud83d\\ude00\\n}",
            SYNTAX + "message A {\n\t// 中A😀\n}",
        ),
        ("message A {} // \\ud83d\\n", SYNTAX + "message A {} // �"),
        (f'"{SHORT.replace(chr(34), chr(92) + chr(34))[:40]}…', SYNTAX + SHORT[:38] + "…"),
    ],
)
def test_a_text_is_cleaned(pasted, expected):
    assert clean(pasted) == expected


def test_a_backslash_in_a_literal_is_its_own():
    text = 'message A {optional string b = 1 [default = "x\\ny"]; /* a\\b */}'
    assert clean(text) == SYNTAX + text


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", '""', "' '"])
def test_nothing_is_no_schema(text):
    assert clean(text) == SchemaFault("empty")


def test_a_text_has_its_bound():
    assert clean("x" * (MAX_CHARS + 1)) == SchemaFault(
        "too-large", f"{MAX_CHARS + 1} > {MAX_CHARS}"
    )


def said(line: int, column: int, words: str = 'Expected ";".') -> str:
    return f"schema.proto:{line}:{column}: {words}\n"


def test_a_fault_has_its_place_in_the_text_that_was_pasted():
    source = SYNTAX + "message A {\n\toptional int32 a = 1\n  optional int32 b = 2;\n}"
    (fault,) = explain(said(3, 3), source)
    assert fault == SchemaFault("syntax", 'Expected ";"', 3, 3, "optional int32 b = 2;")
    (fault,) = explain(said(1, len(SYNTAX) + 9), source)
    assert (fault.line, fault.column, fault.excerpt) == (1, 9, "message A {")
    (fault,) = explain(said(2, 9), source)
    assert fault.excerpt == "optional int32 a = 1"


def test_one_long_line_is_shown_around_the_fault():
    source = SYNTAX + "a " * 250 + "cmid" + " b" * 250
    (fault,) = explain(said(1, len(SYNTAX) + 501), source)
    assert "cmid" in fault.excerpt
    assert len(fault.excerpt) in (79, 80)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("optional int64 cmid = 11;", "optional int64 cmid = 11;"),
        ("required TechwolfUser from = 2;", "required TechwolfUser from = 2;"),
        ("bst=abcdef; wt2=a-b_c%2Bd; 13800138000", "•••=•••; •••=•••; •••"),
        ("cmidcmid = 1234;", "••• = •••;"),
        ("x" * 200, "•••"),
    ],
)
def test_an_excerpt_hides_what_no_schema_is_known_to_have(line, expected):
    (fault,) = explain(said(1, len(SYNTAX) + 1), SYNTAX + line)
    assert fault.excerpt == expected


def test_a_secret_that_is_cut_by_the_excerpt_is_hidden_whole():
    source = SYNTAX + "a " * 30 + "SECRETcmid" + "; b" * 90
    for column in range(60, 110):
        (fault,) = explain(said(1, len(SYNTAX) + column), source)
        assert "SEC" not in fault.excerpt
        assert "cmid" not in fault.excerpt


@pytest.mark.parametrize(
    ("source", "place", "reason"),
    [
        ("message A {\n  optional int3…", (2, 16), "truncated"),
        ("message A { ... }", (1, 13), "truncated"),
        ("message A {\n  optional int32 a", (2, 19), "truncated"),
        ("message A { optional int32 a = 1;", (1, 34), "truncated"),
        ("message A { // gif, png ...\n a a a; }", (2, 4), "syntax"),
        ("message A {}\n}", (2, 1), "syntax"),
        ("message A {\n b\n}", (3, 1), "syntax"),
    ],
)
def test_a_cut_text_is_told_from_a_wrong_one(source, place, reason):
    line, column = place
    (fault,) = explain(said(line, column + (len(SYNTAX) if line == 1 else 0)), SYNTAX + source)
    assert fault.reason == reason
    assert (fault.line, fault.column) == place


def test_every_fault_is_told_and_what_is_none_is_not():
    noise = "W0000 00:00:17.92 12 parser.cc:659] No edition: schema.proto\n"
    found = explain(noise + said(1, 1, "a") + said(2, 1, "b"), "x\ny\nz")
    assert [fault.detail for fault in found] == ["a", "b"]
    assert explain("no place at all", "x") == [SchemaFault("syntax", "no place at all")]


def edited(message: str, field: str = "", **changes: object) -> bytes:
    """Return the built-in schema with a field changed; without a name, with it taken out."""
    files = descriptor_pb2.FileDescriptorSet()
    files.CopyFrom(FILE)
    kind = next(one for one in files.file[0].message_type if one.name == message)
    one = next((one for one in kind.field if one.name == field), None)
    if one is None:
        kind.field.add(**changes)
    elif changes:
        for key, value in changes.items():
            setattr(one, key, value)
    else:
        kind.field.remove(one)
    return files.SerializeToString()


FIELD = descriptor_pb2.FieldDescriptorProto
NEW = {"name": "mood", "number": 40, "type": FIELD.TYPE_INT32, "label": FIELD.LABEL_OPTIONAL}


def test_the_same_is_the_same():
    assert compare(built_in().descriptor_set, built_in().descriptor_set) == compare(b"", b"")


def test_what_is_new_and_gone_is_told():
    changes = compare(built_in().descriptor_set, edited("TechwolfUser", **NEW))
    assert [(one.message, one.number, one.name, one.type) for one in changes.added] == [
        ("TechwolfUser", 40, "mood", "optional int32")
    ]
    assert changes.gone + changes.changed == ()
    back = compare(edited("TechwolfUser", **NEW), built_in().descriptor_set)
    assert back.gone == changes.added


@pytest.mark.parametrize(
    ("changes", "is_refused"),
    [
        ({"number": 77}, True),
        ({"name": "other"}, True),
        ({"type": FIELD.TYPE_STRING}, True),
        ({"label": FIELD.LABEL_REPEATED}, True),
        ({"label": FIELD.LABEL_OPTIONAL}, False),
    ],
)
def test_a_change_is_told_and_refused_where_bytes_would_be_read_differently(changes, is_refused):
    found = compare(built_in().descriptor_set, edited("TechwolfUser", "uid", **changes))
    ((before, after),) = found.changed
    assert (before.name, before.number, before.type) == ("uid", 1, "required int64")
    assert after != before
    assert found.refused == (found.changed if is_refused else ())
    assert found.added + found.gone == ()


def test_a_number_and_a_name_that_swap_places_are_two_changes():
    data = edited("TechwolfKVEntry", "key", number=2)
    files = descriptor_pb2.FileDescriptorSet.FromString(data)
    kind = next(one for one in files.file[0].message_type if one.name == "TechwolfKVEntry")
    kind.field[1].number = 1
    found = compare(built_in().descriptor_set, files.SerializeToString())
    assert len(found.refused) == 4
    assert found.added + found.gone == ()


def test_nested_messages_are_compared_too():
    files = descriptor_pb2.FileDescriptorSet()
    files.CopyFrom(FILE)
    files.file[0].message_type[0].nested_type.add(name="Inner").field.add(**NEW)
    (added,) = compare(built_in().descriptor_set, files.SerializeToString()).added
    assert added.message == "TechwolfChatProtocol.Inner"


def test_the_built_in_schema_is_good():
    assert check(built_in().descriptor_set) == []
    assert "TechwolfChatProtocol" in bare()
    assert TEXT.count("message ") > 48


def test_a_schema_without_what_a_chat_needs_is_refused():
    without = edited("TechwolfMessage", "cmid")
    assert check(without) == [SchemaFault("incomplete", "TechwolfMessage.cmid = 11")]
    files = descriptor_pb2.FileDescriptorSet.FromString(built_in().descriptor_set)
    del files.file[0].message_type[0]
    assert check(files.SerializeToString()) == [SchemaFault("incomplete", "TechwolfChatProtocol")]


def test_a_field_that_no_chat_needs_may_be_gone():
    assert check(edited("TechwolfMessage", "quoteId")) == []


@pytest.mark.parametrize("syntax", ["proto3", "editions"])
def test_another_language_is_refused(syntax):
    files = descriptor_pb2.FileDescriptorSet()
    files.CopyFrom(FILE)
    files.file[0].syntax = syntax
    (fault,) = check(files.SerializeToString())
    assert (fault.reason, fault.detail) == ("unsupported", syntax)


def test_what_is_no_schema_is_told():
    assert check(b"\xff")[0].reason == "incomplete"
    broken = edited("TechwolfUser", name="x", number=50, type=FIELD.TYPE_MESSAGE,
                    type_name=".Nowhere", label=FIELD.LABEL_OPTIONAL)  # fmt: skip
    (fault,) = check(broken)
    assert fault.reason == "incomplete"
    assert "Nowhere" in fault.detail
