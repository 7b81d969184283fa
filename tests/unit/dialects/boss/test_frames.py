"""Payloads: every golden case is read, every form that we send is written byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from boss_events import ME, PEER, frame_of, message_of, payload_of
from boss_schema import CASES
from trunkline.dialects.boss import frames
from trunkline.dialects.boss.frames import Device, Sender
from trunkline.dialects.boss.http import Uploaded
from trunkline.dialects.boss.schema import built_in
from trunkline.errors import WireMalformed

KEY = "0a1b2c3d4e5f60718dV40tm9E1BS"
CMID = 396_362_458_744_565
TIME_MS = 1_791_470_007_797
FULL = Sender(ME, PEER, KEY)
GOOD = sorted(name for name, case in CASES.items() if case.get("expect") != "decode_error")


@pytest.mark.parametrize("name", GOOD)
def test_every_golden_case_is_read(name: str) -> None:
    told = CASES[name]["message"]
    frame = frame_of(name)
    assert frame.type == told["type"]
    assert len(frame.messages) == len(told.get("messages", ()))
    assert len(frame.pairs) == len(told.get("messageSync", ()))
    assert len(frame.marks) == len(told.get("messageRead", ()))
    assert (frame.iq is not None) == ("iq" in told or "iqResponse" in told)
    for message, wanted in zip(frame.messages, told.get("messages", ()), strict=True):
        assert str(message.mid) == wanted.get("mid", "0")
        assert str(message.cmid) == wanted.get("cmid", "0")
        assert str(message.sender.uid) == wanted.get("from", {}).get("uid", "0")
        assert message.body.text == wanted.get("body", {}).get("text", "")
        assert message.body.type == wanted.get("body", {}).get("type", 0)


@pytest.mark.parametrize("name", GOOD)
def test_a_history_answer_reads_as_the_push_of_the_same_message(name: str) -> None:
    for message, told in zip(
        frame_of(name).messages, CASES[name]["message"].get("messages", ()), strict=True
    ):
        assert frames.read_json(json.loads(json.dumps(told))) == message


def test_a_corrupt_payload_is_told_by_its_reason() -> None:
    with pytest.raises(WireMalformed) as found:
        frame_of("corrupt_payload")
    assert found.value.reason == "not_protobuf"


def test_missing_fields_make_a_frame_incomplete_and_no_error() -> None:
    frame = frame_of("missing_required")
    assert frame.is_incomplete
    assert not frame.messages[0].is_whole
    assert not frame_of("text_in").is_incomplete
    picture = frame_of("image_out_no_size")
    assert picture.is_incomplete
    assert picture.messages[0].is_whole
    assert picture.messages[0].body.urls == ("https://img.example.invalid/o.jpg",)


WHOLE = {
    "from": {"uid": 1}, "to": {"uid": 2}, "body": {"type": 1, "templateId": 1, "text": "hi"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "is_incomplete"),
    [
        ({}, False),
        # Nobody reads it of a text, and asking for it would cost as much as decoding.
        ({"body": {"type": 1, "text": "hi"}}, False),
        ({"body": {"type": 1, "templateId": 1}}, False),
        ({"body": {"text": "hi", "templateId": 1}}, True),
        ({"body": {"type": 3, "text": "hi"}}, True),
        ({"from": {"name": "nobody"}}, True),
        ({"to": {"name": "nobody"}}, True),
        ({"type": None}, True),
    ],
)
def test_what_is_missing_is_looked_for_unless_a_text_is_all_there(
    change: dict[str, Any], is_incomplete: bool
) -> None:
    schema = built_in()
    said: dict[str, Any] = {**WHOLE, "type": 1, **change}
    fields = {key: value for key, value in said.items() if value is not None}
    whole = {**WHOLE, "type": 1}
    payload = schema.encode(schema.chat(type=1, messages=[fields]))
    assert frames.decode(schema, payload).is_incomplete is is_incomplete
    beside = schema.encode(schema.chat(type=1, messages=[whole, fields]))
    assert frames.decode(schema, beside).is_incomplete is is_incomplete


def test_a_lone_surrogate_is_refused_and_never_stored() -> None:
    """Texts of a payload are taken as they are, because the runtime has looked at them."""
    schema = built_in()
    body = {"type": 1, "templateId": 1, "text": "xyz"}
    message = {"from": {"uid": 1, "name": "abc"}, "to": {"uid": 2}, "type": 1, "body": body}
    payload = schema.encode(schema.chat(type=1, messages=[message]))
    for text in (b"xyz", b"abc"):
        with pytest.raises(WireMalformed, match="not_protobuf"):
            frames.decode(schema, payload.replace(text, b"\xed\xa0\x80"))


SENT: list[tuple[str, Any]] = [
    ("text_out_full", lambda s: frames.encode_text(
        s, FULL, "您好，请问岗位还在招人吗？", CMID, TIME_MS)),
    ("text_out_ascii_short", lambda s: frames.encode_text(s, FULL, "a", CMID, TIME_MS)),
    ("text_out_minimal", lambda s: frames.encode_text(
        s, Sender(0, 0, KEY), "hello", TIME_MS, TIME_MS)),
    ("text_out_quote", lambda s: frames.encode_text(
        s, FULL, "好的", CMID, TIME_MS, 394_570_988_736_768)),
    ("image_out", lambda s: frames.encode_picture(
        s, FULL,
        Uploaded(
            "https://img.example.invalid/r.png.webp?auth_key=1-0-x",
            "https://img.example.invalid/r_s.png.webp?auth_key=1-0-x", 1700, 2200),
        CMID, TIME_MS)),
    ("message_read_out", lambda s: frames.encode_read(
        s, PEER, 394_570_988_740_864, TIME_MS, 0)),
    ("presence_out", lambda s: frames.encode_presence(
        s, ME, Device("00112233445566778899aabbccddeeff", "198.51.100.7", "4.92"), 0)),
    ("iq_out_suggest", lambda s: frames.encode_iq(s, "/message/suggest", {
        "action": "query", "from_id": str(ME), "to_id": str(PEER), "friend_source": "0",
        "chat_type": "1", "msg_id": "", "resident": ""})),
]  # fmt: skip


@pytest.mark.parametrize(("name", "encode"), SENT, ids=[name for name, _ in SENT])
def test_what_we_send_is_byte_for_byte_what_the_web_client_sends(name: str, encode: Any) -> None:
    assert encode(built_in()) == payload_of(name)


def test_a_number_beyond_32_bits_goes_into_the_wide_field() -> None:
    schema, me = built_in(), 1 << 31
    payload = frames.encode_presence(schema, me, Device("d", "a", "v"), 5)
    presence = frames.decode(schema, payload).presence
    assert (presence["uid"], presence["userId"]) == (0, str(me))


def test_without_a_key_the_number_alone_is_the_address() -> None:
    payload = frames.encode_text(built_in(), Sender(ME, PEER), "a", CMID, TIME_MS)
    (message,) = frames.decode(built_in(), payload).messages
    assert (message.receiver.uid, message.receiver.name) == (PEER, "")


@pytest.mark.parametrize(
    ("body", "urls"),
    [
        ({"type": 2, "sound": {"url": "https://a/v"}}, ("https://a/v",)),
        ({"type": 2}, ()),
        (
            {"type": 27, "multiImage": {"images": [
                {"url": "https://a/1", "width": 1, "height": 1},
                {"url": "https://a/2", "width": 1, "height": 1},
            ]}},
            ("https://a/1", "https://a/2"),
        ),
        (
            {"type": 20, "sticker": {"sid": 1, "image": {"tinyImage": {
                "url": "https://a/s", "width": 1, "height": 1}}}},
            ("https://a/s",),
        ),
        ({"type": 3, "image": {"originImage": {"url": "", "width": 1, "height": 1}}}, ()),
    ],
)  # fmt: skip
def test_addresses_of_what_is_shown_or_heard(body: dict[str, Any], urls: tuple[str, ...]) -> None:
    assert message_of(body).body.urls == urls


def test_an_unknown_kind_keeps_its_bytes() -> None:
    body = message_of({"type": 21, "text": "?"}).body
    assert (body.type, body.text) == (21, "?")
    assert body.raw
    assert body.fields == {}


@pytest.mark.parametrize("value", [None, 5, "x", [], {"body": 5}, {"from": "x", "to": []}])
def test_json_of_any_shape_is_a_message(value: Any) -> None:
    told = value if isinstance(value, dict) else {}
    assert frames.read_json(told).sender.uid == 0
