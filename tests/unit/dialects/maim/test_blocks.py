"""`message_info` as peers really send it: what becomes a value, what counts as absent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from maim_lines import group, message
from trunkline.dialects.maim.frames import ChatFrame, decode
from trunkline.errors import WireMalformed


def chat(data: bytes) -> ChatFrame:
    frame = decode(data)
    assert isinstance(frame, ChatFrame)
    return frame


@pytest.mark.parametrize(
    ("time", "at_ms", "warning"),
    [
        (1703123456.789, 1703123456789, None),
        (1703123456, 1703123456000, None),
        (1703123456789, 1703123456789, "time_in_ms"),
        (1e15, None, "time_from_receipt"),
        (0, None, "time_from_receipt"),
        (-1, None, "time_from_receipt"),
        (None, None, "time_from_receipt"),
        (True, None, "time_from_receipt"),
        ("soon", None, "time_from_receipt"),
        ([1], None, "time_from_receipt"),
        ("1703123456789", 1703123456789, "time_in_ms"),
        ("nan", None, "time_from_receipt"),
        (10**300, None, "time_from_receipt"),
    ],
)
def test_times(time: Any, at_ms: int | None, warning: str | None) -> None:
    frame = chat(message(time=time))
    assert frame.at_ms == at_ms
    found = set(frame.warnings) - {"time_coerced"}
    assert found == ({warning} if warning else set())


def test_a_time_beyond_every_float_is_none() -> None:
    data = message().replace(b"1703123456.5", b"1e999")
    assert chat(data).warnings == ("time_from_receipt",)


@pytest.mark.parametrize(
    ("ident", "expected"), [(5, "5"), (5.0, "5"), ("5", "5"), (True, None), ([], None), ("", None)]
)
def test_ids_become_strings(ident: Any, expected: str | None) -> None:
    frame = chat(message(user_info={"user_id": ident, "user_nickname": 7}))
    assert frame.info.user_info is not None
    assert (frame.info.user_info.user_id or None) == expected
    assert frame.info.user_info.user_nickname == "7"


def test_an_id_has_at_most_512_characters() -> None:
    assert chat(message(message_id="i" * 512)).info.message_id == "i" * 512
    for info in (
        {"message_id": "i" * 513},
        {"user_info": {"user_id": "i" * 513}},
        {"group_info": group("i" * 513)},
        {"sender_info": {"user_info": {"user_id": "i" * 513}}},
        {"user_info": {"user_id": 10**600}},
    ):
        with pytest.raises(WireMalformed, match="id_too_long"):
            decode(message(**info))


@pytest.mark.parametrize("block", [5, "x", [1], True])
def test_blocks_of_a_wrong_shape_count_as_absent(block: Any) -> None:
    frame = chat(
        message(user_info=block, group_info=block, format_info=block, sender_info=block,
                receiver_info=block)
    )  # fmt: skip
    info = frame.info
    assert info.user_info is info.group_info is info.format_info is None
    assert info.sender_info is info.receiver_info is None


def test_only_words_are_kept_of_accept_format() -> None:
    frame = chat(message(format_info={"accept_format": ["text", 5, None], "content_format": 3}))
    assert frame.info.format_info is not None
    assert frame.info.format_info.accept_format == ["text"]
    assert frame.info.format_info.content_format is None


def test_free_blocks_are_carried_as_they_came() -> None:
    config = {"allow_tts": True, "n": [1, {"a": None}]}
    for message_id in ("m", 5):  # both paths
        info = chat(message(additional_config=config, message_id=message_id)).info
        assert msgspec.json.decode(bytes(info.additional_config)) == config
