"""Properties of the codec: any input ends in a frame or a known reason; two paths, one meaning."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.maim.blocks import FormatInfo, GroupInfo, MessageInfo, Party, UserInfo
from trunkline.dialects.maim.frames import (
    REJECTIONS,
    ChatFrame,
    CustomFrame,
    SegOut,
    decode,
    describe,
    encode_chat,
)
from trunkline.errors import WireMalformed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WORD = st.none() | TEXT.filter(bool)
USERS = st.builds(UserInfo, WORD, WORD, WORD, WORD)
GROUPS = st.builds(GroupInfo, WORD, WORD, WORD)
PARTIES = st.builds(Party, st.none() | GROUPS, st.none() | USERS)
INFOS = st.builds(
    MessageInfo,
    platform=WORD,
    message_id=WORD,
    time=st.none() | st.floats(0.001, 1e11),
    user_info=st.none() | USERS,
    group_info=st.none() | GROUPS,
    format_info=st.none() | st.builds(FormatInfo, st.none(), st.lists(TEXT, max_size=3)),
    sender_info=st.none() | PARTIES,
    receiver_info=st.none() | PARTIES,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(["text", "image", "emoji", "at", "reply", "face", "file", "hologram"])
PARTS = st.lists(st.builds(SegOut, KINDS, TEXT), max_size=4)


def read(data: bytes) -> str:
    """Return why a frame is refused, or ""."""
    try:
        assert isinstance(decode(data), ChatFrame | CustomFrame)
    except WireMalformed as error:
        return error.reason
    return ""


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_known_reason(data: bytes) -> None:
    assert read(data) in REJECTIONS | {""}
    assert len(describe(data)) <= 160


BLOCKS = (
    "platform", "message_id", "time", "user_info", "group_info", "format_info", "sender_info",
    "receiver_info", "template_info", "additional_config",
)  # fmt: skip
PAIRS = st.fixed_dictionaries({}, optional=dict.fromkeys(("user_info", "group_info"), JSON))
INFO = st.fixed_dictionaries({}, optional=dict.fromkeys(BLOCKS, JSON | PAIRS))
SEGMENT = st.fixed_dictionaries({"type": KINDS | st.just("seglist"), "data": JSON})
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "message_info": INFO | JSON,
        "message_segment": SEGMENT | JSON,
        "is_custom_message": JSON,
        "message_type_name": JSON,
        "content": JSON,
    },
)


@given(FIELDS)
def test_any_object_is_a_frame_or_a_known_reason(fields: Any) -> None:
    assert read(json.dumps(fields).encode()) in REJECTIONS | {""}


@given(INFOS, PARTS)
def test_what_is_encoded_is_decoded_again(info: MessageInfo, parts: list[SegOut]) -> None:
    frame = decode(encode_chat(info, parts))
    assert isinstance(frame, ChatFrame)
    assert frame.info == info
    assert [(p.type, p.data) for p in frame.parts] == [(p.type, p.data) for p in parts]


@given(INFOS, PARTS)
def test_both_paths_end_in_the_same_values(info: MessageInfo, parts: list[SegOut]) -> None:
    data = encode_chat(info, parts)
    # A byte order mark is what the typed decoder refuses and the tolerant path drops.
    typed, repaired = decode(data), decode(b"\xef\xbb\xbf" + data)
    assert typed == repaired


TREES = st.recursive(
    st.builds(lambda text: {"type": "text", "data": text}, TEXT),
    lambda inner: st.lists(inner, max_size=3).map(lambda data: {"type": "seglist", "data": data}),
    max_leaves=12,
)


@given(TREES, st.sampled_from(["1", 1]))
def test_nested_lists_come_out_in_reading_order(tree: Any, message_id: Any) -> None:
    def words(segment: Any) -> list[str]:
        if segment["type"] == "text":
            return [segment["data"]]
        return [word for inner in segment["data"] for word in words(inner)]

    frame = decode(
        json.dumps(
            {"message_info": {"message_id": message_id}, "message_segment": tree}
        ).encode()
    )  # fmt: skip
    assert isinstance(frame, ChatFrame)
    assert [part.data for part in frame.parts] == words(tree)
