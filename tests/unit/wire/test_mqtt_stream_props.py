"""Properties of the MQTT stream: any split, any truncation, arbitrary bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from boss_mqtt_vectors import LENIENT
from mqtt_packets_drawn import PACKETS, STREAMS, cuts
from trunkline.errors import WireError
from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_packets import STRICT, Packet
from trunkline.wire.mqtt_stream import Broken, Reader

MAX_BYTES = 400
NOISE = st.binary(max_size=200) | st.lists(
    PACKETS.map(encode) | st.binary(max_size=6), max_size=5
).map(b"".join)


def said(packets: list[Packet | Broken]) -> list[object]:
    """What can be compared: errors by their text."""
    return [str(packet.error) if isinstance(packet, Broken) else packet for packet in packets]


@given(STREAMS, st.data())
def test_any_split_gives_the_same_packets(packets: list[Packet], data: st.DataObject) -> None:
    stream = b"".join(map(encode, packets))
    reader = Reader(LENIENT)
    found = [packet for piece in data.draw(cuts(stream)) for packet in reader.feed(piece)]
    assert found == packets
    assert reader.kept_bytes == 0


@given(STREAMS, PACKETS, st.data())
def test_a_truncated_packet_asks_for_more(
    packets: list[Packet], last: Packet, data: st.DataObject
) -> None:
    raw = encode(last)
    cut = data.draw(st.integers(0, len(raw) - 1))
    reader = Reader(LENIENT)
    assert reader.feed(b"".join(map(encode, packets)) + raw[:cut]) == packets
    assert reader.kept_bytes == cut
    assert reader.feed(raw[cut:]) == [last]


@given(NOISE, st.booleans(), st.data())
def test_any_bytes_cut_anyhow_end_the_same_way(
    noise: bytes,
    is_lenient: bool,
    data: st.DataObject,  # drawn
) -> None:
    quirks = LENIENT if is_lenient else STRICT
    whole = Reader(quirks, MAX_BYTES).feed(noise)
    reader = Reader(quirks, MAX_BYTES)
    found: list[Packet | Broken] = []
    for piece in data.draw(cuts(noise)):
        found += reader.feed(piece)
        assert reader.kept_bytes < MAX_BYTES
    assert said(found) == said(whole)
    for packet in found[:-1]:
        assert not isinstance(packet, Broken)
    if found and isinstance(found[-1], Broken):
        assert isinstance(found[-1].error, WireError)
