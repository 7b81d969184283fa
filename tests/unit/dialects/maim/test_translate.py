"""Segments both ways: what is read, how it degrades, what leaves unchanged."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maim_lines import core, delivery, message, receive
from maim_segments import SEGMENTS
from trunkline.dialects.contract import Transmit
from trunkline.dialects.maim.frames import Seg, SegOut
from trunkline.dialects.maim.translate import (
    CORE_ACCEPT,
    DEFAULT_ACCEPT,
    MAX_IMAGE_BYTES,
    RAW_KINDS,
    WARNINGS,
    to_parts,
    to_segments,
)
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

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(40))
PNG64 = base64.b64encode(PNG).decode()
EVERYTHING = CORE_ACCEPT | DEFAULT_ACCEPT | RAW_KINDS | {
    "video", "imageurl", "voiceurl", "videourl", "face", "hologram",
}  # fmt: skip


def read(kind: str, data: Any) -> tuple[Segment | None, list[str]]:
    odd: list[str] = []
    segments = to_segments([Seg(kind, data)], odd)
    assert set(odd) <= WARNINGS
    return (segments[0] if segments else None), odd


def write(segment: Segment, *accept: str) -> Any:
    """Return the one part as JSON, or None when nothing is left."""
    parts = to_parts((segment,), frozenset(accept))
    return json.loads(msgspec.json.encode(parts[0])) if parts else None


@pytest.mark.parametrize(
    ("kind", "data", "segment"),
    [
        ("text", "a", Text("a")),
        ("image", PNG64, Image(PNG)),
        ("emoji", PNG64, Sticker(PNG)),
        ("emoji", "😀", Sticker(text="😀")),
        ("emoji", "smile", Sticker(text="smile")),
        ("emoji", "👨‍👩‍👧" * 8, Sticker(text="👨‍👩‍👧" * 8)),
        ("voice", PNG64, Voice(PNG)),
        ("video", PNG64, Video(PNG)),
        ("imageurl", "https://e.org/a", Image(url="https://e.org/a")),
        ("voiceurl", "https://e.org/a", Voice(url="https://e.org/a")),
        ("videourl", "https://e.org/a", Video(url="https://e.org/a")),
        ("face", 14, Face("14")),
        ("at", 777, Mention("777")),
        ("at", {"target_user_id": 1, "user_nickname": "N"}, Mention("1", "N")),
        ("at", {"id": "1", "card": "C", "nickname": "N"}, Mention("1", "C")),
        ("reply", 5, Quote("5")),
        ("reply", {"message_id": "5"}, Quote("5")),
        ("music", "1", Raw("maim", "music", b'"1"')),
        ("dict", {"a": 1}, Raw("maim", "dict", b'{"a":1}')),
        ("file", "C:\\dir\\a.pdf", File(name="a.pdf", detail=b'"C:\\\\dir\\\\a.pdf"')),
        (
            "file",
            "https://e.org/a.pdf",
            File(name="a.pdf", url="https://e.org/a.pdf", detail=b'"https://e.org/a.pdf"'),
        ),
        (
            "file",
            {"name": "a", "size": 9, "base64": PNG64},
            File(name="a", data=PNG, size_bytes=9, detail=b'{"name":"a","size":9}'),
        ),
    ],
)
def test_read(kind: str, data: Any, segment: Segment) -> None:
    assert read(kind, data) == (segment, [])


def test_a_reply_to_a_notice_is_no_quote() -> None:
    assert read("reply", "notice") == (None, [])


@pytest.mark.parametrize(
    ("kind", "data", "segment", "odd"),
    [
        ("text", None, Text(""), "text_coerced"),
        ("text", True, Text("true"), "text_coerced"),
        ("text", {"a": 1}, Text('{"a":1}'), "text_coerced"),
        ("image", "%%%", Image(is_valid=False), "image_not_base64"),
        ("image", "", Image(is_valid=False), "image_not_base64"),
        ("image", 5, Image(is_valid=False), "image_not_base64"),
        ("image", "QQ", Image(is_valid=False), "image_not_base64"),
        ("emoji", "%" * 100, Sticker(is_valid=False), "emoji_not_base64"),
        ("voice", None, Voice(is_valid=False), "voice_not_base64"),
        ("video", "=", Video(is_valid=False), "video_not_base64"),
        ("at", {}, Raw("maim", "at", b"{}"), "odd_segment"),
        ("reply", None, Raw("maim", "reply", b"null"), "odd_segment"),
        ("face", [], Raw("maim", "face", b"[]"), "odd_segment"),
        ("file", 5, Raw("maim", "file", b"5"), "odd_segment"),
        ("imageurl", 5, Raw("maim", "imageurl", b"5"), "odd_segment"),
        ("hologram", {"x": 1}, Raw("maim", "hologram", b'{"x":1}'), "unknown_segment"),
    ],
)
def test_read_odd(kind: str, data: Any, segment: Segment, odd: str) -> None:
    assert read(kind, data) == (segment, [odd])


@pytest.mark.parametrize(
    "text",
    [
        f"base64://{PNG64}", f"data:image/png;base64,{PNG64}", "\n".join(PNG64), f" {PNG64}\r\n",
        f"base64://{PNG64[:10]} {PNG64[10:]}",
    ],
)  # fmt: skip
def test_prefixes_and_white_space_are_dropped(text: str) -> None:
    assert read("image", text) == (Image(PNG), [])


def test_a_picture_over_10_mib_is_not_decoded() -> None:
    big = base64.b64encode(bytes(MAX_IMAGE_BYTES + 1024)).decode()
    assert read("image", big) == (Image(is_valid=False), ["image_too_large"])
    assert read("emoji", big) == (Sticker(is_valid=False), ["emoji_too_large"])
    assert read("video", big)[1] == []


@pytest.mark.parametrize(
    ("segment", "kind", "data"),
    [
        (Text("a"), "text", "a"),
        (Image(PNG), "image", PNG64),
        (Image(url="u"), "imageurl", "u"),
        (Sticker(PNG), "emoji", PNG64),
        (Sticker(text="😀"), "emoji", "😀"),
        (Face("14"), "face", "14"),
        (Voice(PNG), "voice", PNG64),
        (Voice(url="u"), "voiceurl", "u"),
        (Video(PNG), "video", PNG64),
        (Video(url="u"), "videourl", "u"),
        (Mention("1", "N"), "at", "1"),
        (Quote("1"), "reply", "1"),
        (Raw("maim", "dict", b'{"a":1}'), "dict", {"a": 1}),
        (File(name="a", url="u", size_bytes=3), "file", {"name": "a", "url": "u", "size": "3"}),
        (File(name="a", data=PNG), "file", {"name": "a", "base64": PNG64, "size": "48"}),
        (File(name="a", detail=b'"p/a"'), "file", "p/a"),
    ],
)
def test_write_what_the_peer_takes(segment: Segment, kind: str, data: Any) -> None:
    assert write(segment, *EVERYTHING) == {"type": kind, "data": data}
    # What the peer did not list never leaves as that kind.
    degraded = write(segment, *(EVERYTHING - {kind}))
    assert degraded is None or degraded["type"] != kind or kind == "text"


@pytest.mark.parametrize(
    ("segment", "accept", "text"),
    [
        (Image(PNG), (), "[图片]"),
        (Image(is_valid=False), ("image",), "[图片]"),
        (Image(url="https://e.org/a"), ("image",), "[图片] https://e.org/a"),
        (Sticker(PNG), (), "[表情]"),
        (Sticker(text="😀"), (), "😀"),
        (Face("14"), (), "[表情]"),
        (Voice(PNG), (), "[语音]"),
        (Video(url="u"), (), "[视频] u"),
        (Mention("1", "N"), (), "@N "),
        (Mention("1"), (), "@1 "),
        (File(name="a.pdf", url="u"), (), "[文件] a.pdf u"),
        (File(), ("file",), "[文件]"),
        (Raw("maim", "music", b"1"), (), "[消息]"),
        (Raw("onebot11", "text", b"1"), ("text",), "[消息]"),
    ],
)
def test_write_degraded(segment: Segment, accept: tuple[str, ...], text: str) -> None:
    assert write(segment, *accept) == {"type": "text", "data": text}


def test_a_sticker_may_leave_as_a_picture() -> None:
    assert write(Sticker(PNG), "image") == {"type": "image", "data": PNG64}


def test_a_quote_that_the_peer_cannot_show_is_dropped() -> None:
    assert write(Quote("1"), "text") is None
    assert to_parts((Quote("1"), Text("a")), frozenset()) == [SegOut("text", "a")]


def test_a_command_goes_alone_or_not_at_all() -> None:
    command = Raw("maim", "command", b'{"name":"X","args":{}}')
    assert write(command, "command") == {"type": "command", "data": {"name": "X", "args": {}}}
    parts = to_parts((command, Text("a")), frozenset({"command"}))
    assert parts == [SegOut("text", "[消息]"), SegOut("text", "a")]


def test_a_200_kb_picture_comes_back_byte_for_byte() -> None:
    picture = bytes(range(256)) * 800
    session = core()
    encoded = base64.b64encode(picture).decode()
    event = receive(session, message({"type": "image", "data": encoded}))
    assert event.segments == (Image(picture),)
    transmit, _ = session.send(delivery(event.segments, event.chat, event.context))
    assert isinstance(transmit, Transmit)
    frame = json.loads(transmit.data)
    assert frame["message_segment"]["data"] == [{"type": "image", "data": encoded}]


@given(st.lists(SEGMENTS, max_size=5).map(tuple))
def test_what_a_peer_takes_it_gives_back_unchanged(segments: tuple[Segment, ...]) -> None:
    wire = msgspec.json.decode(msgspec.json.encode(to_parts(segments, EVERYTHING)))
    again = to_segments([Seg(part["type"], part["data"]) for part in wire], [])
    assert again == segments


@given(
    st.lists(SEGMENTS, max_size=5).map(tuple), st.frozensets(st.sampled_from(sorted(EVERYTHING)))
)
def test_nothing_leaves_that_the_peer_did_not_list(
    segments: tuple[Segment, ...], accept: frozenset[str]
) -> None:
    assert {part.type for part in to_parts(segments, accept)} <= accept | {"text"}
