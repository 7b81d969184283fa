"""Properties of the envelope: any input ends in an acknowledgement or a known reason."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maim_lines import api_adapter, api_core, delivery, envelope
from maim_segments import SEGMENTS
from trunkline.dialects.contract import Noticed, Received, Transmit
from trunkline.dialects.maim import envelope as codec
from trunkline.dialects.maim import frames
from trunkline.dialects.maim.translate import WARNINGS
from trunkline.model.address import Chat
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Segment

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["sys_std", "sys_x", "custom_a", "custom_", "weird", ""]) | JSON
KINDS = (
    {f"rejected:{reason}" for reason in codec.REJECTIONS | frames.REJECTIONS}
    | {f"warned:{word}" for word in WARNINGS}
)  # fmt: skip


@given(st.binary(max_size=200))
def test_any_bytes_are_dropped_with_a_known_reason(data: bytes) -> None:
    for effect in api_core().receive(data, is_text=True):
        assert isinstance(effect, Noticed)
        assert effect.kind in KINDS
    assert len(codec.describe(data)) <= 160


@given(TYPES, st.text("abc1", min_size=1, max_size=8), JSON | st.just(envelope()["payload"]), JSON)
def test_every_frame_with_an_id_is_acknowledged_exactly_once(
    kind: Any, ident: str, payload: Any, meta: Any
) -> None:
    session = api_core()
    frame = {"type": kind, "msg_id": ident, "payload": payload, "meta": meta}
    effects = list(session.receive(json.dumps(frame).encode(), is_text=True))
    receipts = {effect.receipt for effect in effects if isinstance(effect, Received)}
    for receipt in receipts:  # the exchange gives each back once
        effects += session.stored(receipt)
    acks = [json.loads(effect.data) for effect in effects if isinstance(effect, Transmit)]
    assert [ack["meta"]["acked_msg_id"] for ack in acks] == [ident]
    assert {effect.kind for effect in effects if isinstance(effect, Noticed)} <= KINDS


@given(st.lists(SEGMENTS, min_size=1, max_size=4).map(tuple), st.sampled_from(["private", "group"]))
def test_what_one_side_says_the_other_reads_the_same_as_on_the_classic_line(
    segments: tuple[Segment, ...], kind: str
) -> None:
    said = delivery(segments, Chat("qq", kind, "9", "名"))
    for sender, receiver in ((api_core(), api_adapter()), (api_adapter(), api_core())):
        effects = sender.send(said)
        transmit = effects[0]
        assert isinstance(transmit, Transmit)
        codec.check_message(codec.decode(transmit.data).payload)
        [received] = [
            effect
            for effect in receiver.receive(transmit.data, is_text=True)
            if isinstance(effect, Received)
        ]
        event = received.event
        assert isinstance(event, MessageReceived)
        assert (event.chat.account, event.chat.kind, event.chat.id) == ("qq", kind, "9")
        assert received.receipt == codec.decode(transmit.data).msg_id
