from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from contact_parts import replies, served
from trunkline.dialects.contact import frames
from trunkline.dialects.contact.frames import (
    ChatAck,
    ChatMessage,
    ChatOut,
    Code,
    ContactRequest,
    Established,
    Ping,
    Pong,
    Problem,
    Rejected,
    RequestAck,
    decode_client,
    decode_extension,
    decode_server,
    describe,
    encode,
)
from trunkline.dialects.contact.operator_frames import decode_operator
from trunkline.errors import WireMalformed

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
shown = words.filter(lambda text: not text.isspace())
maybe = st.none() | words
client_frames = st.one_of(
    st.just(Ping()),
    st.builds(ChatMessage, shown, words, maybe),
    st.builds(ContactRequest, shown, words, words, maybe, maybe, maybe, maybe, maybe, maybe),
)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
server_frames = st.one_of(
    st.builds(Established, anything, anything, anything),
    st.builds(RequestAck, anything, anything, anything, anything),
    st.builds(ChatAck, anything, anything, anything, anything),
    st.builds(ChatOut, anything, anything, anything, anything, anything),
    st.builds(Pong, anything),
    st.builds(Problem, anything, anything, anything, anything, st.floats(0, 1e6), anything),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
names = st.sampled_from(
    ["type", "message", "timestamp", "userAgent", "client_message_id", "name", "page"]
)
kinds = st.sampled_from(["ping", "chat_message", "contact_request", "pong"])
# Objects that are nearly right, so that every check is reached.
nearly = st.builds(
    lambda fields, kind: json.dumps({**fields, "type": kind}).encode(),
    st.dictionaries(names, values | words, max_size=7),
    kinds | values,
)


@given(client_frames)
def test_client_frames_come_back(frame: Any) -> None:
    assert decode_client(encode(frame), is_text=True) == frame


@given(server_frames)
def test_server_frames_come_back(frame: Any) -> None:
    assert decode_server(encode(frame)) == frame


@given(st.one_of(st.binary(max_size=64), nearly))
def test_the_fast_and_the_slow_path_agree(raw: bytes) -> None:
    """What the typed decoder takes, the explaining path takes too, with the same values."""
    fast = decode_client(raw, is_text=True)
    if type(fast) is not Rejected:
        assert frames._explain(raw, is_text=True) == fast


@given(st.one_of(st.binary(max_size=64), nearly))
def test_server_bytes_give_a_frame_or_wire_malformed(raw: bytes) -> None:
    with suppress(WireMalformed):
        decode_server(raw)
    line = describe(raw)
    assert len(line) <= 75
    assert line.isprintable()


@settings(max_examples=200)
@given(st.lists(st.tuples(st.one_of(st.binary(max_size=64), nearly, words.map(str.encode)),
                          st.booleans()), min_size=1, max_size=6))  # fmt: skip
def test_whatever_a_visitor_sends_gets_exactly_one_answer(messages: list[Any]) -> None:
    pump = served(answer=None)
    for raw, is_text in messages:
        valid = is_text and _is_utf8(raw)  # the link closes 1007 before a session would see it
        pump.inject(raw, is_text=valid)
        (answer,) = replies(pump)
        refused = [notice for notice in pump.bot.noticed if notice.kind.startswith("rejected:")]
        assert (answer["type"] == "error") == bool(refused)
        assert [f"rejected:{answer['code']}"] == pump.bot.kinds() if refused else True
        pump.bot.noticed.clear()
    assert pump.bot.hangup is None


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


extension_shapes = st.fixed_dictionaries(
    {"type": st.sampled_from(["hello", "resume", "history_request", "typing", "read", "watch"])},
    optional={
        name: st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=140)
        | st.lists(st.text())
        for name in ("v", "features", "session_token", "before", "limit", "active", "message_id")
    },
)


@given(extension_shapes | values)
def test_frames_of_opted_in_clients_and_operators_are_taken_or_rejected(value: Any) -> None:
    raw = json.dumps(value).encode()
    for frame in (decode_extension(raw), decode_operator(raw)):
        if isinstance(frame, Rejected):
            assert frame.code in get_args(Code)
        else:
            assert json.loads(encode(frame))["type"] == value["type"]


@given(st.binary(max_size=40))
def test_any_bytes_are_no_trouble_for_the_decoders_of_extensions(raw: bytes) -> None:
    decode_extension(raw)
    decode_operator(raw)
