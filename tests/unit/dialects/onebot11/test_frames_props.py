"""Frames against anything: documented words only, and one meaning whichever way is taken."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from onebot11_lines import read_ordinary
from trunkline.clock import FakeClock
from trunkline.dialects.onebot11 import frames, ordinary
from trunkline.dialects.onebot11.asking import say, settle, settle_done
from trunkline.dialects.onebot11.calls import BadCall, decode_call, encode_call
from trunkline.dialects.onebot11.events import is_own, to_message, to_number
from trunkline.dialects.onebot11.frames import decode
from trunkline.dialects.onebot11.pending import Pending
from trunkline.dialects.onebot11.shapes import FLAGS, REJECTIONS, MessageFrame, Response
from trunkline.errors import WireMalformed
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Say
from trunkline.model.segment import Face, Text

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
# One that the short way takes, as often as not.
ORDINARY: Any = st.fixed_dictionaries(
    {
        "post_type": st.just("message"),
        "message_type": st.sampled_from(["private", "group"]),
        "sub_type": st.sampled_from(["friend", "normal", "group"]),
        "self_id": st.sampled_from([1, 7]),
        "user_id": st.integers(1, 9),
        "group_id": st.sampled_from([None, 0, 5]),
        "time": st.integers(0, 1 << 38),
        "message_id": st.integers(-9, 9),
        "message": st.one_of(st.text(max_size=9), st.lists(SEGMENT, max_size=3)),
        "sender": st.fixed_dictionaries(
            {"nickname": st.sampled_from(["", "甲", "n" * 513])},
            optional={"card": st.text(max_size=3), "group_id": st.integers(0, 9)},
        ),
    }
)


def outcome(call: Any) -> Any:
    try:
        return call()
    except WireMalformed as error:
        return error.reason


@given(st.one_of(MESSAGE, ORDINARY), st.sampled_from(["1", "7"]))
def test_the_short_way_says_what_the_rules_say(raw: dict[str, Any], self_id: str) -> None:
    data = json.dumps(raw).encode()
    frame = outcome(lambda: decode(data, self_id))
    assert not isinstance(frame, str) or frame in REJECTIONS
    if isinstance(frame, MessageFrame):
        assert set(frame.flags) <= FLAGS
    wire = read_ordinary(data)
    event = ordinary.to_message(wire, self_id, has_key=True) if wire is not None else None
    if event is not None:
        assert isinstance(frame, MessageFrame)
        assert not is_own(frame, ignored=False)
        assert not frame.flags
        assert event == to_message(frame, FakeClock(), has_key=True, is_own=False)


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
def test_the_short_way_settles_as_the_rules_do(raw: dict[str, Any]) -> None:
    data = json.dumps(raw).encode()
    response, wire = decode(data), read_ordinary(data)
    assert isinstance(response, Response)
    if wire is not None and ordinary.is_done(wire):
        assert response.is_ok
        call = Pending(DeliveryId(1), ("private", "1"), "1", b"")
        short, long = settle_done(call, wire.data), settle(call, response)
        assert json.loads(short.data) == json.loads(long.data)
        assert msgspec.structs.replace(short, data=b"") == msgspec.structs.replace(long, data=b"")


@given(st.one_of(st.binary(max_size=40), JSON.map(lambda value: json.dumps(value).encode())))
def test_anything_is_a_frame_or_a_documented_word(data: bytes) -> None:
    for read in (decode, frames.decode_response):
        found = outcome(lambda read=read: read(data))
        assert not isinstance(found, str) or found in REJECTIONS
    call = decode_call(data)
    if isinstance(call, BadCall):
        assert call.reason in REJECTIONS


@given(
    st.sampled_from(["private", "group"]),
    st.one_of(st.integers(0, 1 << 63).map(str), st.sampled_from(["a:1", "-7", "007"])),
    st.lists(st.one_of(st.text(max_size=9).map(Text), st.just(Face("1"))), max_size=2),
)
def test_the_short_way_calls_as_the_long_one_does(
    kind: str, peer: str, segments: list[Text | Face]
) -> None:
    what = Say(tuple(segments))
    delivery = Delivery(DeliveryId(16), Chat("1", kind, peer), what)
    short = ordinary.encode_text(delivery, what, "16.1")
    if short is not None:
        assert short == encode_call(*say(delivery, what, as_text=False), "16.1")
    else:
        assert (
            len(segments) != 1
            or type(segments[0]) is Face
            or not segments[0].text
            or type(to_number(peer)) is str
        )
