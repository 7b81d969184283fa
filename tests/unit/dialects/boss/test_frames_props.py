"""Payloads: any bytes are a frame or a named error, and what we write is what is read."""

from __future__ import annotations

import contextlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from boss_events import ME, NOW_MS, payload_of
from boss_schema import CASES
from trunkline.dialects.boss import frames
from trunkline.dialects.boss.describing import describe
from trunkline.dialects.boss.frames import Sender
from trunkline.dialects.boss.schema import built_in
from trunkline.dialects.boss.translate import Reading, to_event
from trunkline.errors import WireMalformed

WIDE = st.integers(0, (1 << 63) - 1)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=50)
READING = Reading(ME, lambda _uid, _source: None, NOW_MS)


def read(data: bytes) -> None:
    """Read bytes as the session does: every message becomes an event that can be stored."""
    with contextlib.suppress(WireMalformed):
        for message in frames.decode(built_in(), data).messages:
            msgspec.msgpack.encode(to_event(message, READING))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_a_named_error(data: bytes) -> None:
    read(data)


@given(st.sampled_from(sorted(CASES)), st.data())
def test_golden_payloads_with_damage_are_too(name: str, data: st.DataObject) -> None:
    payload = bytearray(payload_of(name))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload) - 1))
        payload[place] = data.draw(st.integers(0, 255))
    read(bytes(payload[: data.draw(st.integers(0, len(payload)))]))


@given(TEXTS, WIDE, WIDE, st.integers(1, 1 << 50), st.integers(0, 100), WIDE)
def test_a_text_is_read_as_it_was_written(
    text: str, cmid: int, time_ms: int, peer: int, source: int, quote: int
) -> None:
    sender = Sender(ME, peer, "key~", source)
    payload = frames.encode_text(built_in(), sender, text, cmid, time_ms, quote)
    frame = frames.decode(built_in(), payload)
    (message,) = frame.messages
    assert not frame.is_incomplete
    assert (message.mid, message.cmid, message.time_ms, message.quote) == (
        cmid, cmid, time_ms, quote,
    )  # fmt: skip
    assert (message.body.text, message.receiver.uid) == (text, peer)
    assert (message.receiver.source, message.sender.uid) == (source, ME)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_described(data: bytes) -> None:
    assert 0 < len(describe(data)) <= 200
