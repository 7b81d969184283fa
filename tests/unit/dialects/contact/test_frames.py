from __future__ import annotations

import json

import pytest

from trunkline.dialects.contact.extension import (
    EXTENSION_TYPES,
    Hello,
    HelloAck,
    HistoryOut,
    HistoryRequest,
    ItemOut,
    Read,
    Resume,
    Typing,
)
from trunkline.dialects.contact.frames import (
    ChatMessage,
    ChatOut,
    ContactRequest,
    Ping,
    Problem,
    Rejected,
    decode_client,
    decode_extension,
    decode_server,
    describe,
    encode,
)
from trunkline.errors import WireMalformed

CHAT = {"type": "chat_message", "message": "hi", "timestamp": "t"}
REQUEST = {"type": "contact_request", "message": "hi", "timestamp": "t", "userAgent": "UA"}


def client(value: object, *, is_text: bool = True) -> object:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return decode_client(raw, is_text=is_text)


def test_client_frames() -> None:
    assert client({"type": "ping", "x": [1]}) == Ping()
    assert client(CHAT) == ChatMessage("hi", "t")
    assert client({**CHAT, "client_message_id": "c"}) == ChatMessage("hi", "t", "c")
    assert client({**REQUEST, "email": "e"}) == ContactRequest("hi", "t", "UA", email="e")


@pytest.mark.parametrize("kind", ["chat_message", "contact_request"])
@pytest.mark.parametrize("field", ["message", "timestamp", "userAgent"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "missing_field"),
        (5, "invalid_field"),
        ({"a": 1}, "invalid_field"),
        (True, "invalid_field"),
        ("", "invalid_field"),
    ],
)
def test_required_fields(kind: str, field: str, value: object, code: str) -> None:
    frame = dict(REQUEST, type=kind)
    frame[field] = value  # type: ignore[assignment]  # a wrong value is the point
    expected: object = Rejected(code, field)  # type: ignore[arg-type]  # from the table above
    if kind == "chat_message" and field == "userAgent":
        expected = ChatMessage("hi", "t")
    assert client(frame) == expected
    del frame[field]
    if type(expected) is Rejected:
        assert client(frame) == Rejected("missing_field", field)


@pytest.mark.parametrize("blank", [" ", "\n\t ", "\u3000", "\u00a0"])
def test_a_blank_message_is_invalid_on_both_paths(blank: str) -> None:
    for more in ({}, {"x": "\ud800"}):
        frame = {**CHAT, "message": blank, "client_message_id": "c", **more}
        expected = Rejected("invalid_field", "message", client_message_id="c")
        assert client(frame) == expected
    assert client({**REQUEST, "message": blank}) == Rejected("invalid_field", "message")


@pytest.mark.parametrize("ident", ["", 5, ["x"], "x" * 129])
def test_a_client_message_id_of_a_wrong_kind(ident: object) -> None:
    rejected = client({**CHAT, "client_message_id": ident})
    assert rejected == Rejected("invalid_field", "client_message_id")


def test_a_null_client_message_id_is_none() -> None:
    assert client({**CHAT, "client_message_id": None}) == ChatMessage("hi", "t")


def test_the_client_message_id_of_a_rejected_frame_is_told_when_it_can_be_read() -> None:
    assert client({"type": "chat_message", "client_message_id": "c"}) == Rejected(
        "missing_field", "message", client_message_id="c"
    )


def test_optional_data_of_a_wrong_kind_does_not_lose_the_request() -> None:
    frame = {**REQUEST, "phone": 110, "name": {"first": "A"}, "email": "e", "page": None}
    assert client(frame) == ContactRequest("hi", "t", "UA", email="e")


def test_what_strict_json_refuses_is_repaired() -> None:
    bom = b"\xef\xbb\xbf" + json.dumps(CHAT).encode()
    assert client(bom) == ChatMessage("hi", "t")
    assert client({**CHAT, "message": "a\ud83d b"}) == ChatMessage("a\ufffd b", "t")
    assert client({"type": "ping", "x": "\ud800"}) == Ping()


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"x", b'{"type":"ping"} x', b'{"type":"ping","x":NaN}', b"[" * 5000,
     b'{"type":' * 70 + b"1" + b"}" * 70, b'{"type":"ping"', b"\xff"],
)  # fmt: skip
def test_not_json(raw: bytes) -> None:
    assert decode_client(raw, is_text=True) == Rejected("invalid_json")
    assert decode_client(raw, is_text=False) == Rejected("unsupported_frame")


def test_binary_with_invalid_utf8_in_a_field_nobody_reads() -> None:
    raw = b'{"type":"ping","x":"\xff"}'
    assert decode_client(raw, is_text=False) == Rejected("unsupported_frame")


def test_binary_with_json_counts_as_text() -> None:
    assert client({**CHAT, "message": "你"}, is_text=False) == ChatMessage("你", "t")
    assert client(b"[1]", is_text=False) == Rejected("not_an_object")


def test_the_offending_type_is_cut() -> None:
    assert client({"type": "x" * 100}) == Rejected("unknown_type", name="x" * 64)


@pytest.mark.parametrize("kind", ["Ping", "pong", "error", "hello", "connection_established", ""])
def test_unknown_types(kind: str) -> None:
    assert client({"type": kind}) == Rejected("unknown_type", name=kind)


def test_server_frames_of_other_makers() -> None:
    assert decode_server(b'{"type":"chat_message","message":"hi","html":1}') == ChatOut("hi")
    assert decode_server(b'{"type":"error","message":"no"}') == Problem("no")
    assert decode_server(b'{"type":"typing","active":true}') is None


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"type":7}', b'{"type":"chat_message","message":5}', b"null"]
)
def test_server_frames_that_cannot_be_read(raw: bytes) -> None:
    with pytest.raises(WireMalformed):
        decode_server(raw)


def test_optional_fields_that_are_not_known_are_left_out() -> None:
    assert json.loads(encode(Problem("m", "t", "invalid_json"))) == {
        "type": "error",
        "message": "m",
        "timestamp": "t",
        "code": "invalid_json",
    }


def test_describe_is_one_short_line() -> None:
    assert describe(b'{"type":"ping"}') == '{"type":"ping"}'
    assert describe("好".encode() * 100) == "好" * 74 + "…"
    assert describe(b"a\nb\x1b[0m\xff") == "a\\u000ab\\u001b[0m\ufffd"
    assert len(describe(b"\x00" * 1000)) == 75


def test_describe_masks_tokens() -> None:
    for frame in (
        {"type": "hello_ack", "session_token": "s3cr3t"},
        {"type": "auth", "token": 's3"cr3t'},
        {"type": "resume", "session_token": "s3cr3t\n", "last_message_id": "m"},
    ):
        line = describe(json.dumps(frame).encode())
        assert "cr3t" not in line
        assert "***" in line
    assert "cr3t" not in describe(b'{"token" : "s3cr3t')
    assert "cr3t" not in describe(b'{"session_token":"s3cr3t' + b"x" * 4000)


@pytest.mark.parametrize(
    ("frame", "decoded"),
    [
        ({"type": "hello"}, Hello()),
        ({"type": "hello", "v": 2, "features": ["a"], "x": 1}, Hello(2, ("a",))),
        ({"type": "resume", "session_token": "t"}, Resume("t")),
        ({"type": "history_request", "before": None}, HistoryRequest()),
        ({"type": "typing", "active": False}, Typing(False)),
        ({"type": "read", "message_id": "m"}, Read("m")),
        ({"type": "read", "message_id": ""}, Rejected("invalid_field", "message_id")),
        ({"type": "read", "message_id": "x" * 129}, Rejected("invalid_field", "message_id")),
        ({"type": "read"}, Rejected("missing_field", "message_id")),
        ({"type": "typing", "active": 1}, Rejected("invalid_field", "active")),
        ({"type": "hello", "features": ["a"] * 33}, Rejected("invalid_field", "features")),
    ],
)
def test_extension_frames(frame: object, decoded: object) -> None:
    assert decode_extension(json.dumps(frame).encode()) == decoded


def test_extension_frames_are_known_by_their_type() -> None:
    kinds = {json.loads(encode(frame))["type"] for frame in (
        Hello(), Resume("t"), HistoryRequest(), Typing(active=True), Read("m"),
    )}  # fmt: skip
    assert kinds == EXTENSION_TYPES


def test_a_site_that_grants_a_session_is_understood() -> None:
    ack = HelloAck("t", ("session",), {"x": 1}, "c", "s", "tok", False, 25.0)
    assert decode_server(encode(ack)) == ack
    history = HistoryOut((ItemOut("m", "user", "hi", "t", 7),), True, "t")
    assert decode_server(encode(history)) == history
