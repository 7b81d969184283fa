"""Frames against anything: documented words only, and one meaning whichever way is taken."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.onebot11 import frames
from trunkline.dialects.onebot11.calls import BadCall, decode_call
from trunkline.dialects.onebot11.frames import decode
from trunkline.dialects.onebot11.shapes import FLAGS, REJECTIONS, MessageFrame, Response
from trunkline.errors import WireMalformed

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
ID = st.one_of(st.integers(-5, 1 << 70), st.sampled_from(["a:1", "7", "", 2.0, None, True, 0]))
SEGMENT = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "at", "image", "x", ""])},
    optional={
        "data": st.one_of(
            st.none(),
            st.dictionaries(
                st.sampled_from(["text", "qq", "id", "k"]),
                st.one_of(st.text(max_size=4), st.integers(), st.none()),
                max_size=3,
            ),
        )
    },
)
MESSAGE: Any = st.fixed_dictionaries(
    {
        "post_type": st.just("message"),
        "message_type": st.sampled_from(["private", "group", "guild"]),
        "self_id": ID,
        "user_id": ID,
        "time": st.one_of(st.integers(0, 1 << 42), st.just("5")),
        "message": st.one_of(st.text(max_size=9), st.lists(SEGMENT, max_size=3), JSON),
    },
    optional={
        "sub_type": st.sampled_from(["friend", "normal", "group", "", None]),
        "group_id": ID,
        "message_id": ID,
        "target_id": ID,
        "raw_message": st.text(max_size=4),
        "anonymous": st.one_of(st.none(), JSON),
        "sender": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {},
                optional={
                    "nickname": st.one_of(st.none(), st.text(max_size=4)),
                    "card": st.text(max_size=3),
                    "role": st.sampled_from(["owner", None]),
                    "group_id": st.one_of(st.none(), st.integers(0, 9)),
                },
            ),
        ),
        "retcode": st.integers(0, 1),
        "echo": JSON,
    },
)


def outcome(call: Any) -> Any:
    try:
        return call()
    except WireMalformed as error:
        return error.reason


@given(MESSAGE, st.sampled_from(["", "1", "7"]))
def test_both_ways_mean_the_same(raw: dict[str, Any], self_id: str) -> None:
    data = json.dumps(raw).encode()
    quick = outcome(lambda: decode(data, self_id))
    assert not isinstance(quick, str) or quick in REJECTIONS
    assert quick == outcome(lambda: frames._read(data, self_id))
    if isinstance(quick, MessageFrame):
        assert set(quick.flags) <= FLAGS


@given(
    st.fixed_dictionaries(
        {"retcode": st.one_of(st.integers(0, 2), st.just("0"), st.none())},
        optional={
            "status": st.sampled_from(["ok", "failed", "async", 1, {}]),
            "data": JSON,
            "echo": JSON,
            "message": st.text(max_size=3),
            "wording": JSON,
        },
    )
)
def test_both_ways_mean_the_same_response(raw: dict[str, Any]) -> None:
    data = json.dumps(raw).encode()
    quick, slow = decode(data), frames._read(data, "")
    assert isinstance(quick, Response)
    assert isinstance(slow, Response)
    assert json.loads(quick.data) == json.loads(slow.data)
    assert (quick.is_ok, quick.is_async, quick.retcode, quick.error, quick.echo) == (
        slow.is_ok,
        slow.is_async,
        slow.retcode,
        slow.error,
        slow.echo,
    )


@given(st.one_of(st.binary(max_size=40), JSON.map(lambda value: json.dumps(value).encode())))
def test_anything_is_a_frame_or_a_documented_word(data: bytes) -> None:
    for read in (decode, frames.decode_response):
        found = outcome(lambda read=read: read(data))
        assert not isinstance(found, str) or found in REJECTIONS
    call = decode_call(data)
    if isinstance(call, BadCall):
        assert call.reason in REJECTIONS
