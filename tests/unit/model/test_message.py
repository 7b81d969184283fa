import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.model.message import parse_message, plain_text, storable, summary
from trunkline.model.segment import (
    Face,
    File,
    Image,
    Mention,
    Quote,
    Raw,
    Segment,
    Sticker,
    Text,
    Video,
    Voice,
)

ONE_OF_EACH = (
    Text("在吗"), Image(data=b"x"), Sticker(text="😀"), Sticker(data=b"x"), Face("14"), Voice(),
    Video(), File(), Mention("10", "小明"), Mention("10"), Quote("5"), Raw("qq", "poke", b"{}"),
)  # fmt: skip


def test_every_kind_has_a_summary():
    assert {type(part) for part in ONE_OF_EACH} == set(get_args(Segment))
    words = "在吗[图片]😀[表情][表情][语音][视频][文件]@小明 @10 [消息]"
    assert summary(ONE_OF_EACH) == words


def test_a_summary_is_one_bounded_line():
    assert summary((Text("a\n\n b\t"), Text("c"))) == "a b c"
    assert summary((Text("x" * 500),)) == "x" * 199 + "…"
    assert summary((Text("x" * 200),)) == "x" * 200
    assert summary((Text("abcdef"),), limit=3) == "ab…"
    assert summary(()) == ""


def test_plain_text_is_the_text_segments_only():
    assert plain_text((Text("a"),)) == "a"
    assert plain_text((Text("a"), Image(), Mention("1", "b"), Text("c"))) == "ac"
    assert plain_text((Image(),)) == ""
    assert plain_text(()) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("你好", (Text("你好"),)),
        (" \ud800 ", (Text(" � "),)),
        ([{"type": "text", "text": "a"}], (Text("a"),)),
        ([{"type": "text", "text": "a\udfff"}], (Text("a�"),)),
        ([{"type": "image", "data": "aGk="}], (Image(data=b"hi"),)),
        ([{"type": "quote", "message": "5"}, {"type": "text", "text": ""}], (Quote("5"), Text(""))),
    ],
)
def test_parse_message(value, expected):
    assert parse_message(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "empty"), (" \n", "empty"), ([], "empty"), ([{"type": "text", "text": " "}], "empty"),
        (None, "array"), (5, "array"), ({}, "array"), ([1], "object"), ([{}], "type"),
        ([{"type": "nope"}], "nope"), ([{"type": "image", "data": "!"}], "base64"),
        ([{"type": "text", "text": 5}], "str"), ([{"type": "text"}], "text"),
    ],
)  # fmt: skip
def test_what_is_no_message_says_why(value, words):
    with pytest.raises(ValueError, match=words):
        parse_message(value)


@given(st.text(st.characters()))
def test_storable_text_can_be_encoded_and_keeps_the_rest(text):
    stored = storable(text)
    stored.encode()
    merged = re.sub(
        "[\ud800-\udbff][\udc00-\udfff]",
        lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"),
        text,
    )
    assert stored == re.sub("[\ud800-\udfff]", "�", merged)
    assert storable(stored) == stored
