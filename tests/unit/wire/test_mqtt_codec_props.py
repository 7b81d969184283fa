"""Properties of MQTT packets: what is written is read, and arbitrary bytes do no harm."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from boss_mqtt_vectors import LENIENT
from mqtt_packets_drawn import PACKETS
from trunkline.errors import WireMalformed
from trunkline.wire.mqtt_codec import decode, encode
from trunkline.wire.mqtt_packets import STRICT, Packet, Tolerance, describe
from trunkline.wire.mqtt_stream import Reader

DOCUMENTED = {
    "reserved_types", "nonzero_flags", "long_puback", "suback_without_codes", "too_short",
    "too_long", "bad_text", "bad_topic", "bad_qos", "bad_packet_id", "bad_connect",
}  # fmt: skip


@given(PACKETS, st.booleans())
def test_what_is_written_is_read(packet: Packet, is_long: bool) -> None:  # drawn
    assert Reader(LENIENT).feed(encode(packet, has_long_length=is_long)) == [packet]


@given(st.integers(0, 255), st.binary(max_size=80), st.booleans())
def test_any_body_is_a_packet_or_a_documented_refusal(
    first: int,
    body: bytes,
    is_lenient: bool,  # drawn
) -> None:
    tolerance = Tolerance(LENIENT if is_lenient else STRICT)
    refusal = ""
    try:
        assert len(describe(decode(first, body, tolerance))) <= 120
    except WireMalformed as error:
        refusal = error.reason
    assert not refusal or refusal in DOCUMENTED
    if not is_lenient:
        assert not tolerance.used


@given(PACKETS, st.data())
def test_a_byte_changed_does_no_harm(packet: Packet, data: st.DataObject) -> None:
    raw = bytearray(encode(packet))
    at = data.draw(st.integers(2, len(raw))) - 2
    raw[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireMalformed):
        decode(raw[0], bytes(raw[2:]), Tolerance(LENIENT))


@given(PACKETS)
def test_what_is_read_strictly_is_written_as_it_was(packet: Packet) -> None:
    raw = encode(packet)
    again = Reader(LENIENT).feed(raw)[0]
    assert encode(again) == raw  # type: ignore[arg-type]  # a packet, as the first property says
