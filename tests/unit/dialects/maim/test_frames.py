"""Frames: what is repaired, what is refused, and that both paths end in the same values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from maim_lines import group, message
from trunkline.dialects.maim.blocks import MessageInfo, UserInfo
from trunkline.dialects.maim.frames import (
    MAX_SEGMENT_DEPTH,
    MAX_SEGMENTS,
    REJECTIONS,
    ChatFrame,
    CustomFrame,
    Seg,
    SegOut,
    decode,
    describe,
    encode_chat,
    encode_custom,
    fingerprint,
)
from trunkline.dialects.maim.translate import to_segments
from trunkline.errors import WireMalformed


def chat(data: bytes) -> ChatFrame:
    frame = decode(data)
    assert isinstance(frame, ChatFrame)
    return frame


def nested(depth: int) -> dict[str, Any]:
    segment: dict[str, Any] = {"type": "text", "data": "x"}
    for _ in range(depth):
        segment = {"type": "seglist", "data": [segment]}
    return segment


def framed(segment: Any, **info: Any) -> bytes:
    base = {"platform": "qq", "message_id": "1", "time": 1703123456.5}
    return json.dumps({"message_info": base | info, "message_segment": segment}).encode()


@pytest.mark.parametrize("message_id", ["1", 1], ids=["typed", "tolerant"])
def test_lists_nest_32_deep_and_no_deeper(message_id: Any) -> None:
    deepest = chat(framed(nested(MAX_SEGMENT_DEPTH), message_id=message_id))
    assert deepest.parts == (Seg("text", "x"),)
    with pytest.raises(WireMalformed, match="segment_too_deep"):
        decode(framed(nested(MAX_SEGMENT_DEPTH + 1), message_id=message_id))


@pytest.mark.parametrize("count", [100, 5_000, 200_000])
def test_any_depth_is_refused_without_a_crash(count: int) -> None:
    deep = b'{"type":"seglist","data":[' * count + b"]}" * count
    with pytest.raises(WireMalformed, match="too_deep"):
        decode(b'{"message_info":{"platform":"qq"},"message_segment":' + deep + b"}")
    with pytest.raises(WireMalformed, match="too_deep"):
        decode(b"[" * (2 * count))


def test_too_many_segments_are_refused() -> None:
    part = {"type": "text", "data": "x"}
    assert len(chat(message(*[part] * MAX_SEGMENTS)).parts) == MAX_SEGMENTS
    with pytest.raises(WireMalformed, match="too_many_segments"):
        decode(message(*[part] * (MAX_SEGMENTS + 1)))


def test_a_message_without_free_blocks_is_encoded_without_them() -> None:
    for message_id in ("m", 5):
        frame = chat(message(message_id=message_id))
        again = encode_chat(frame.info, [SegOut(part.type, part.data) for part in frame.parts])
        assert b"additional_config" not in again
        assert chat(again) == frame


def test_a_byte_order_mark_and_lone_surrogates_are_tolerated() -> None:
    assert chat(b"\xef\xbb\xbf" + message()).parts == (Seg("text", "你好"),)
    assert chat(message().replace(b"\\u4f60", b"\\ud800")).parts == (Seg("text", "\ufffd好"),)


def test_a_forward_keeps_what_only_looks_like_segments() -> None:
    forward = [{"type": "id", "data": "1", "weight": 2}]
    frame = chat(message({"type": "forward", "data": forward}))
    assert frame.parts == (Seg("forward", forward),)


def test_numbers_keep_their_kind() -> None:
    frame = chat(message(*[{"type": "text", "data": value} for value in (12, 12.5, True)]))
    assert [repr(part.data) for part in frame.parts] == ["12", "12.5", "True"]


@pytest.mark.parametrize("flag", [1, "yes", None, False])
def test_only_true_makes_a_message_custom(flag: Any) -> None:
    data = json.loads(message()) | {"is_custom_message": flag, "message_type_name": "other"}
    assert isinstance(decode(json.dumps(data).encode()), ChatFrame)


def test_older_peers_send_well_known_names_without_the_flag() -> None:
    frame = decode(b'{"message_type_name":"message_id_echo","content":{"echo":"a"}}')
    assert frame == CustomFrame("message_id_echo", "", b'{"echo":"a"}')
    with pytest.raises(WireMalformed, match="missing_message_info"):
        decode(b'{"message_type_name":"unheard","content":{}}')


def test_custom_round_trip() -> None:
    data = encode_custom("wave", "qq", b'{"a":[1,null]}', 3.5)
    assert json.loads(data) == {
        "platform": "qq", "message_type_name": "wave", "content": {"a": [1, None]},
        "timestamp": 3.5, "is_custom_message": True,
    }  # fmt: skip
    assert decode(data) == CustomFrame("wave", "qq", b'{"a":[1,null]}')


def test_custom_without_content_has_an_empty_one_and_a_name_is_cut() -> None:
    name = "n" * 500
    frame = decode(json.dumps({"message_type_name": name, "is_custom_message": True}).encode())
    assert frame == CustomFrame(name[:128], "", b"{}")


def test_what_stands_alone_and_what_does_not() -> None:
    info = MessageInfo(platform="qq")
    command = SegOut("command", {"name": "X"})
    assert json.loads(encode_chat(info, [command]))["message_segment"]["type"] == "command"
    both = json.loads(encode_chat(info, [command, SegOut("text", "a")]))["message_segment"]
    assert both["type"] == "seglist"
    one = json.loads(encode_chat(info, [SegOut("text", "a")]))["message_segment"]
    assert one == {"type": "seglist", "data": [{"type": "text", "data": "a"}]}


def test_nulls_are_left_out() -> None:
    info = MessageInfo(platform="qq", user_info=UserInfo("qq", "1", "N"))
    assert b"null" not in encode_chat(info, [SegOut("text", "a")])


def test_a_fingerprint_says_nothing_of_the_body() -> None:
    text = fingerprint(b"secret words")
    assert text.startswith("12 bytes, sha256 ")
    assert "secret" not in text
    assert fingerprint(b"x" * (5 << 20)).startswith("5242880 bytes")


def test_frames_are_described_in_one_short_line() -> None:
    line = describe(message(group_info=group()))
    assert line == "qq/group:42 10001 m1 ['你好']"
    assert describe(message(user_info=...)) == "qq/private - m1 ['你好']"
    big = describe(
        message({"type": "image", "data": "A" * 5000}, {"type": "text", "data": "t" * 999})
    )
    assert "image 5000 chars" in big
    assert describe(message({"type": "at", "data": "7"}, {"type": "face"})).endswith(
        "[at 7 face None]"
    )
    assert len(big) <= 160
    assert describe(encode_custom("wave", "qq", b'{"a":1}', 0)) == 'custom wave {"a":1}'
    assert describe(b"{nope").startswith("! not_json, 5 bytes")


def test_reasons_are_a_closed_set() -> None:
    assert {"not_json", "bad_segment", "custom_without_name", "binary_frame"} <= REJECTIONS


@pytest.mark.parametrize("digits", [19, 30, 4000, 6000])
def test_numbers_of_any_length_do_not_raise(digits: int) -> None:
    number = b"1" * digits
    for field in (b'"data": "\\u4f60\\u597d"', b'"message_id": "m1"', b'"time": 1703123456.5'):
        name = field.partition(b":")[0]
        data = message().replace(field, name + b": " + number)
        assert number in data
        assert reading(data) in {"", "not_json", "id_too_long"}


def reading(data: bytes) -> str:
    try:
        frame = chat(data)
    except WireMalformed as error:
        return error.reason
    to_segments(frame.parts, [])
    return ""
