"""Frames as short texts."""

from __future__ import annotations

import json

import pytest

from onebot11_lines import CONNECT, message
from trunkline.dialects.onebot11.describing import MAX_CHARS, describe


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (CONNECT, "meta_event.lifecycle.connect"),
        (json.dumps(message()).encode(), "message.private.friend 10001 7 hi"),
        (
            json.dumps(message(message_type="group", sub_type="normal", group_id=2)).encode(),
            "message.group.normal group:2 10001 7 hi",
        ),
        (
            b'{"action":"send_msg","params":{"user_id":1,"message":"x"}}',
            "call send_msg user_id=1 message=x",
        ),
        (b'{"status":"ok","retcode":0,"data":{"message_id":5}}', "response ok 0 message_id=5"),
        (b'{"status":"ok","retcode":0,"data":{"cookies":"secret"}}', "response ok 0 cookies=***"),
        (b'{"post_type":"notice","notice_type":"friend_add"}', "notice.friend_add"),
    ],
)
def test_frames(frame: bytes, text: str) -> None:
    assert describe(frame) == text


def test_bad_frames_are_named_and_never_shown() -> None:
    assert describe(b'{"secret":').startswith("! not_json, 10 bytes, sha256 ")


def test_long_ones_are_cut() -> None:
    long = json.dumps(message(raw_message="x" * 999, user_id="u" * 99)).encode()
    assert len(describe(long)) <= MAX_CHARS
    assert describe(long).endswith("…")
