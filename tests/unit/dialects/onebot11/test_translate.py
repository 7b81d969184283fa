"""Segments of OneBot and of the model: every kind, both ways."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from trunkline.dialects.onebot11.segments import Seg, clean
from trunkline.dialects.onebot11.translate import DIALECT, to_segments, to_segs
from trunkline.model.segment import (
    Face,
    File,
    Image,
    Mention,
    Quote,
    Raw,
    Sticker,
    Text,
    Video,
    Voice,
)

PNG = b"\x89PNG body"
PNG64 = "base64://" + b64encode(PNG).decode()


def read(kind: str, **data: Any) -> Any:
    [segment] = to_segments(clean([{"type": kind, "data": data}], []))
    return segment


def raw(kind: str, **data: Any) -> Raw:
    return Raw(DIALECT, kind, json.dumps(data, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("kind", "data", "segment"),
    [
        ("text", {"text": "hi"}, Text("hi")),
        ("face", {"id": 178}, Face("178")),
        ("at", {"qq": 5, "name": "Ann"}, Mention("5", "Ann")),
        ("at", {"qq": "all"}, Mention("all")),
        ("reply", {"id": -7}, Quote("-7")),
        ("image", {"file": PNG64}, Image(PNG)),
        ("image", {"file": "A.jpg", "url": "http://h/a"}, Image(url="http://h/a", name="A.jpg")),
        ("image", {"file": "https://h/a"}, Image(url="https://h/a")),
        ("image", {"file": "A.jpg"}, Image(name="A.jpg")),
        ("image", {"file": "base64://?"}, Image(is_valid=False)),
        ("image", {"file": "A.jpg", "type": "flash"}, raw("image", file="A.jpg", type="flash")),
        ("image", {}, raw("image")),
        ("record", {"file": PNG64}, Voice(PNG)),
        ("record", {"file": "x.amr", "url": "http://h/x"}, Voice(url="http://h/x")),
        ("record", {"file": "x.amr"}, raw("record", file="x.amr")),
        ("record", {"file": "base64://?"}, Voice(is_valid=False)),
        ("video", {"file": "x", "url": "http://h/x"}, Video(url="http://h/x")),
        ("video", {"file": "x"}, raw("video", file="x")),
        ("video", {"file": "base64://?"}, Video(is_valid=False)),
        ("at", {}, raw("at")),
        ("face", {}, raw("face")),
        ("reply", {}, raw("reply")),
        ("dice", {}, raw("dice")),
        ("json", {"data": {"app": "x"}}, raw("json", data={"app": "x"})),
        ("node", {"user_id": 1, "content": []}, raw("node", user_id="1", content=[])),
    ],
)
def test_reading(kind: str, data: Any, segment: Any) -> None:
    assert read(kind, **data) == segment


def test_reading_a_file() -> None:
    found = read("file", file="a.zip", url="http://h/a", file_size="77")
    assert found == File(
        "a.zip", "http://h/a", b"", 77, b'{"file":"a.zip","url":"http://h/a","file_size":"77"}'
    )
    small = read("file", file=PNG64, name="a.png")
    assert (small.name, small.data, small.detail) == ("a.png", PNG, b'{"name":"a.png"}')
    assert read("file", file="base64://?") == raw("file", file="base64://?")


def test_a_picture_that_is_too_large_is_marked() -> None:
    big = "base64://" + b64encode(bytes((10 << 20) + 1)).decode()
    assert read("image", file=big) == Image(is_valid=False)


@pytest.mark.parametrize(
    ("segment", "seg"),
    [
        (Text("hi"), Seg("text", {"text": "hi"})),
        (Image(PNG), Seg("image", {"file": PNG64})),
        (Image(url="http://h/a", name="A"), Seg("image", {"file": "http://h/a"})),
        (Image(name="A"), Seg("image", {"file": "A"})),
        (Image(is_valid=False), Seg("text", {"text": "[图片]"})),
        (Sticker(PNG), Seg("image", {"file": PNG64})),
        (Sticker(text="😀"), Seg("text", {"text": "😀"})),
        (Face("1"), Seg("face", {"id": "1"})),
        (Voice(PNG), Seg("record", {"file": PNG64})),
        (Voice(), Seg("text", {"text": "[语音]"})),
        (Video(url="http://h/v"), Seg("video", {"file": "http://h/v"})),
        (Video(), Seg("text", {"text": "[视频]"})),
        (File("a", "http://h/a"), Seg("file", {"file": "http://h/a", "name": "a"})),
        (File("a"), Seg("text", {"text": "[文件] a"})),
        (Mention("5", "Ann"), Seg("at", {"qq": "5"})),
        (Quote("-7"), Seg("reply", {"id": "-7"})),
        (raw("dice"), Seg("dice", {})),
        (Raw(DIALECT, "x", b"[]"), Seg("text", {"text": "[消息]"})),
        (Raw("maim", "dict", b"{}"), Seg("text", {"text": "[消息]"})),
    ],
)
def test_writing(segment: Any, seg: Seg) -> None:
    assert to_segs((segment,)) == [seg]
    assert to_segs((segment, Text("."))) == [seg, Seg("text", {"text": "."})]


def test_empty_text_is_nothing() -> None:
    assert to_segs((Text(""),)) == to_segs((Text(""), Text(""))) == to_segs(()) == []


@pytest.mark.parametrize(
    "segment",
    [Text("a"), Face("1"), Mention("5"), Quote("7"), Image(PNG), Voice(PNG), raw("mface", key="k")],
)
def test_there_and_back(segment: Any) -> None:
    assert to_segments(to_segs((segment,))) == (segment,)
