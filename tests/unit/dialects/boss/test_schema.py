"""The schema: every golden case, what is unknown, missing, damaged or too deep."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, json_format

from boss_schema import CASES, TEXT
from trunkline.dialects.boss import schema as schemas
from trunkline.dialects.boss.schema import MAX_DEPTH, Schema, built_in, load, to_json
from trunkline.errors import WireMalformed

GOOD = {name: case for name, case in CASES.items() if name != "corrupt_payload"}
INCOMPLETE = ("missing_required", "image_out_no_size")
FIELD = descriptor_pb2.FieldDescriptorProto


def compiled(*messages: descriptor_pb2.DescriptorProto, syntax: str = "proto2") -> bytes:
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", syntax=syntax, message_type=messages)
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()


def message(name: str, *fields: tuple[str, int, str]) -> descriptor_pb2.DescriptorProto:
    """`(name, number, type)`; a type with a capital is a message."""
    found = descriptor_pb2.DescriptorProto(name=name)
    for field, number, kind in fields:
        one = found.field.add(name=field, number=number, label=FIELD.LABEL_OPTIONAL)
        if kind[0].isupper():
            one.type, one.type_name = FIELD.TYPE_MESSAGE, f".{kind}"
        else:
            one.type = getattr(FIELD, f"TYPE_{kind.upper()}")
    return found


ENVELOPE = message("TechwolfChatProtocol", ("type", 1, "int32"))


def test_all_cases_are_there():
    assert len(CASES) == 39


@pytest.mark.parametrize("name", GOOD)
def test_a_case_is_read_and_written(name):
    case = GOOD[name]
    payload = bytes.fromhex(case["hex"])
    found = built_in().decode(payload)
    assert to_json(found.message) == case["message"]
    written = case.get("reserialized_hex", case["hex"])
    assert built_in().encode(found.message).hex() == written
    assert found.incomplete is (name in INCOMPLETE)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "unknown_fields_preserved"])
def test_a_case_is_written_from_its_values(name):
    case = GOOD[name]
    chat = json_format.ParseDict(case["message"], built_in().chat())
    assert built_in().encode(chat).hex() == case["hex"]


def test_a_damaged_payload_is_an_error_of_the_wire():
    with pytest.raises(WireMalformed, match="not_protobuf"):
        built_in().decode(bytes.fromhex(CASES["corrupt_payload"]["hex"]))


def test_text_that_is_not_utf8_is_no_text():
    assert built_in().decode(b"\x08\x01\x12\x02ok").message.version == "ok"
    with pytest.raises(WireMalformed, match="not_protobuf"):
        built_in().decode(b"\x08\x01\x12\x02\xff\xfe")


def test_a_message_is_made_of_plain_values():
    schema = built_in()
    made = schema.chat(type=1, messages=[{"from": {"uid": 7}, "body": {"text": "x"}}])
    assert to_json(made) == {"type": 1, "messages": [{"from": {"uid": "7"}, "body": {"text": "x"}}]}
    assert schema.decode(schema.encode(made)).incomplete
    with pytest.raises(ValueError, match="nothing"):
        schema.chat(nothing=1)
    assert schema.new("TechwolfUser", uid=3).uid == 3


def test_numbers_that_json_has_no_form_for_are_text():
    info = built_in().new("TechwolfClientInfo", longitude=float("nan"), latitude=1.5)
    assert to_json(info) == {"longitude": "nan", "latitude": 1.5}
    secret = built_in().new("TechwolfMessage", encryptedBody=b"\xff")
    assert json.loads(json.dumps(to_json(secret))) == {"encryptedBody": "/w=="}


def test_the_compiled_file_is_made_of_the_text_beside_it():
    path = Path(__file__).parents[4] / "scripts" / "schema.py"
    spec = importlib.util.spec_from_file_location("scripts_schema", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.compiled() == built_in().descriptor_set


def test_the_text_has_what_the_specification_counts():
    files = descriptor_pb2.FileDescriptorSet.FromString(built_in().descriptor_set).file
    assert [file.package for file in files] == [""]
    kinds = files[0].message_type
    assert (len(kinds), sum(len(kind.field) for kind in kinds)) == (48, 332)  # Source: boss 4
    assert 'syntax = "proto2";' in TEXT


@pytest.mark.parametrize("data", [b"\xff", compiled(message("Other", ("a", 1, "int32")))])
def test_what_is_no_schema_is_refused(data):
    with pytest.raises(WireMalformed, match="bad_schema"):
        Schema(data)


def test_nothing_imported_is_the_built_in_one():
    assert load(b"") is built_in()
    assert load(bytes(bytearray(built_in().descriptor_set))) is load(built_in().descriptor_set)


def test_an_imported_schema_keeps_what_the_code_reads():
    chat = message("TechwolfChatProtocol", ("type", 1, "int32"), ("mood", 77, "string"))
    schema = load(compiled(chat))
    made = schema.chat(type=1, mood="x", messages=[{"type": 1, "body": {"text": "y"}}])
    again = schema.decode(schema.encode(made))
    assert (again.message.mood, again.message.messages[0].body.text) == ("x", "y")


def test_what_the_platform_no_longer_has_makes_nothing_incomplete():
    user = message("TechwolfUser", ("name", 2, "string"))
    schema = load(compiled(ENVELOPE, user))
    assert schema.new("TechwolfUser", name="x").IsInitialized()
    assert not built_in().new("TechwolfUser", name="x").IsInitialized()


def test_an_imported_set_of_two_files_or_of_none_is_refused():
    files = descriptor_pb2.FileDescriptorSet.FromString(compiled(ENVELOPE))
    files.file.add(name="y.proto")
    for data in (files.SerializeToString(), b"\xff"):
        with pytest.raises(WireMalformed, match="bad_schema"):
            load(data)


def nested(depth: int) -> bytes:
    payload = b""
    for _ in range(depth - 1):
        size = len(payload)
        head = b"\x12" + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7]))
        payload = head + payload
    return payload


def test_depth_is_bounded_where_a_schema_lets_it_grow():
    chat = message(
        "TechwolfChatProtocol", ("type", 1, "int32"), ("child", 2, "TechwolfChatProtocol")
    )
    schema = Schema(compiled(chat))
    assert schema.decode(nested(MAX_DEPTH)).message.HasField("child")
    with pytest.raises(WireMalformed, match="too_deep"):
        schema.decode(nested(MAX_DEPTH + 1))
    with pytest.raises(WireMalformed, match="not_protobuf"):
        schema.decode(nested(120))


@pytest.mark.parametrize("is_message", [False, True])
def test_maps_are_shown_and_looked_into(is_message):
    entry = message("ThingsEntry", ("key", 1, "int64"),
                    ("value", 2, "TechwolfChatProtocol" if is_message else "int64"))  # fmt: skip
    entry.options.map_entry = True
    chat = message("TechwolfChatProtocol", ("type", 1, "int32"))
    chat.nested_type.append(entry)
    chat.field.add(name="things", number=5, label=FIELD.LABEL_REPEATED, type=FIELD.TYPE_MESSAGE,
                   type_name=".TechwolfChatProtocol.ThingsEntry")  # fmt: skip
    schema = Schema(compiled(chat))
    made = schema.chat(type=1)
    if is_message:
        made.things[4].type = 9
    else:
        made.things[4] = 9
    found = schema.decode(schema.encode(made)).message
    assert to_json(found) == {"type": 1, "things": {"4": {"type": 9} if is_message else "9"}}


def test_groups_and_packed_fields_keep_their_wire_form():
    chat = message("TechwolfChatProtocol", ("type", 1, "int32"), ("inner", 2, "Inner"))
    chat.field[1].type = FIELD.TYPE_GROUP
    for number, is_packed in ((3, True), (4, False)):
        one = chat.field.add(name=f"n{number}", number=number, type=FIELD.TYPE_INT32,
                             label=FIELD.LABEL_REPEATED)  # fmt: skip
        one.options.packed = is_packed
    schema = Schema(compiled(chat, message("Inner", ("a", 1, "int32"))))
    made = schema.chat(inner={"a": 1}, n3=[1, 2], n4=[1, 2])
    assert schema.encode(made).hex() == "130801141a02010220012002"


def test_a_schema_of_its_own_language_is_left_as_it_is():
    schema = Schema(compiled(ENVELOPE, syntax="proto3"))
    assert schema.decode(b"\x08\x01").message.type == 1


def test_a_package_without_its_data_says_so(monkeypatch):
    monkeypatch.setattr(schemas, "BUILT_IN", "schema.proto")
    monkeypatch.setattr(schemas.pkgutil, "get_data", lambda *_: None)
    with pytest.raises(WireMalformed, match="bad_schema"):
        built_in.__wrapped__()
