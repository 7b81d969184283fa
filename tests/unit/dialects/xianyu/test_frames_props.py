"""Whatever arrives is a frame or malformed, and every entry is read without an exception."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.entries import read, read_history
from trunkline.dialects.xianyu.market import pack
from trunkline.dialects.xianyu.pushes import decode_entry, parse_package
from trunkline.dialects.xianyu.translate import split_text, to_event
from trunkline.errors import WireMalformed

KEYS = st.sampled_from([
    "1", "2", "3", "4", "5", "6", "10", "chatType", "operation", "content", "contentType",
    "extJson", "bizTag", "reminderContent", "reminderUrl", "redReminder", "senderUserId",
    "dxCard", "item", "main", "exContent", "button", "targetUrl", "text", "image", "pics",
    "custom", "data",
])  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from([
    "", "x@goofish", "1.PNM", '{"contentType":101,"custom":{"data":5}}', "[我已付款，等待你发货]",
    "fleamarket://x?itemId=1&peerUserId=2", "http://[", '{"messageId":1}', "\ud800",
])  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=8),
    max_leaves=25,
)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_malformed(data: bytes) -> None:
    with contextlib.suppress(WireMalformed):
        parse_package(frames.decode(data))
    frames.describe(data)


@given(VALUES)
def test_any_entry_is_read_and_translated(value: Any) -> None:
    entry = read(value, "1")
    to_event(entry, "1", "0.0", 1767225600000, has_key=True)
    if isinstance(value, dict):
        read_history(value, "1")


@given(st.text(max_size=200))
def test_any_text_is_an_entry_or_malformed(data: str) -> None:
    with contextlib.suppress(WireMalformed):
        read(decode_entry({"data": data}), "1")


@given(
    st.dictionaries(st.text("123", min_size=1, max_size=2), st.text(max_size=50)), st.integers(0, 3)
)
def test_every_form_of_an_entry_is_the_same_entry(entry: dict[str, str], nth: int) -> None:
    plain = json.loads(json.dumps(entry))
    clean = {
        str(int(key)): value.encode("utf-8", "replace").decode() for key, value in plain.items()
    }
    assert decode_entry(pack(clean, nth=nth)) == clean


@given(st.binary(max_size=60), st.integers(0, 2))
def test_padding_is_repaired(data: bytes, cut: int) -> None:
    text = base64.b64encode(b'{"a":1}' + b" " * len(data)).decode()
    assert decode_entry({"data": text.rstrip("=") + "=" * cut}) == {"a": 1}


@given(st.text("ab\n", min_size=1, max_size=12_000))
def test_pieces_are_bounded(text: str) -> None:
    pieces = split_text(text)
    assert len(pieces) <= 5
    assert all(len(piece) <= 2000 for piece in pieces)
    if len(text) <= 2000:
        assert pieces == [text]
