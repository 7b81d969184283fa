"""The MQTT byte stream: pieces of any size, one bound, and one last thing to say."""

from __future__ import annotations

from typing import Any

import pytest

from boss_mqtt_vectors import CASES, LENIENT, data_of, meaning
from trunkline.errors import WireMalformed, WireTooLarge
from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_packets import PingReq, PingResp, PubAck, Publish, Reserved
from trunkline.wire.mqtt_stream import Broken, Reader

PUSH = CASES["publish_push_qos1"]


def broken(packets: list[Any]) -> Exception:
    """The error that ends `packets`."""
    assert isinstance(packets[-1], Broken)
    return packets[-1].error


def test_two_packets_in_one_message() -> None:
    ack, sync = Reader(LENIENT).feed(data_of(CASES["two_packets_one_ws_message"]))
    assert ack == PubAck(2, bytes.fromhex("0001687d538e46f5000166dc379f9100"))
    assert isinstance(sync, Publish)
    assert sync.packet_id == 514


def test_one_packet_in_three_messages() -> None:
    reader = Reader()
    *early, last = [
        bytes.fromhex(part) for part in CASES["one_packet_three_ws_messages"]["hex_parts"]
    ]
    assert [reader.feed(part) for part in early] == [[], []]
    (packet,) = reader.feed(last)
    assert not isinstance(packet, Broken)
    assert meaning(packet)["payload_hex"] == PUSH["decoded"]["payload_hex"]
    assert reader.kept_bytes == 0


def test_messages_of_one_topic_are_read_as_each_alone() -> None:
    """The second one of a topic takes a shorter way; nothing of it may get lost there."""
    said = [
        Publish("chat", b"one", 1, 1),
        Publish("chat", b"two", 1, 0xFFFE),
        Publish("chat", b"", 1, 3),
        Publish("chat", b"again", 1, 3, is_dup=True),
        Publish("chat", b"kept", 1, 4, is_retained=True),
        Publish("chat", b"twice", 2, 5),
        Publish("chat", b"none"),
        Publish("chats", b"longer", 1, 6),
        Publish("chat", b"x" * 300, 1, 7),
        Publish("\u804a\u5929", b"other", 1, 8),
        Publish("\u804a\u5929", b"same", 1, 9),
    ]
    assert Reader().feed(b"".join(map(encode, said))) == said


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (b"\x32\x09\x00\x04chat\x00\x00x", "bad_packet_id"),
        (b"\x32\x07\x00\x04chat\x00", "too_short"),
        (b"\x32\x06\x00\x04chat", "too_short"),
        (b"\x32\x04\x00\x04ch", "too_short"),
    ],
)
def test_what_is_wrong_with_the_second_message_of_a_topic_is_said(
    second: bytes, reason: str
) -> None:
    reader = Reader()
    more = encode(Publish("chat", b"behind it", 1, 2))
    good, *ended = reader.feed(encode(Publish("chat", b"x", 1, 1)) + second + more)
    assert isinstance(good, Publish)
    error = broken(ended)
    assert isinstance(error, WireMalformed)
    assert (len(ended), error.reason) == (1, reason)


def test_an_empty_message_is_nothing() -> None:
    reader = Reader()
    assert reader.feed(b"") == []
    reader.feed(b"\xc0")
    assert reader.feed(b"") == []
    assert reader.feed(b"\x00") == [PingReq()]


def test_every_single_byte_is_enough_of_a_piece() -> None:
    data = data_of(PUSH) + b"\xd0\x00" + data_of(CASES["publish_long_remaining_length"])
    whole = Reader().feed(data)
    reader = Reader()
    found = [packet for at in range(len(data)) for packet in reader.feed(data[at : at + 1])]
    assert found == whole
    assert len(found) == 3


def test_a_packet_is_there_with_its_last_byte() -> None:
    """However its header was cut, and whatever was awaited before it."""
    reader = Reader(LENIENT)
    assert [reader.feed(piece) for piece in (b"\xc0", b"\x80", b"\x00")] == [[], [], [PingReq()]]
    long = encode(Publish("t", bytes(200)))
    assert reader.feed(long[:50]) == []
    assert reader.feed(long[50:] + b"\xd0") == [Publish("t", bytes(200))]
    assert reader.feed(b"\x00") == [PingResp()]


def test_a_large_packet_is_refused_before_its_body_comes() -> None:
    reader = Reader(max_bytes=1000)
    limit = encode(Publish("t", bytes(994)))
    assert len(limit) == 1000
    assert reader.feed(limit) == [Publish("t", bytes(994))]
    error = broken(reader.feed(encode(Publish("t", bytes(995)))[:3]))
    assert isinstance(error, WireTooLarge)
    assert "1001 bytes" in str(error)
    assert reader.kept_bytes == 0


def test_a_megabyte_is_the_bound_unless_said_otherwise() -> None:
    assert Reader().feed(bytes.fromhex("30fcff3f")) == []  # 1 MiB with its header
    assert isinstance(broken(Reader().feed(bytes.fromhex("30fdff3f"))), WireTooLarge)


@pytest.mark.parametrize("tail", ["", "00"])
def test_a_length_of_five_bytes_is_refused(tail: str) -> None:
    error = broken(Reader(LENIENT).feed(bytes.fromhex("30ffffffff" + tail)))
    assert isinstance(error, WireMalformed)
    assert error.reason == "bad_length"


def test_good_packets_come_before_the_end_and_nothing_behind_it() -> None:
    reader = Reader()
    first, end = reader.feed(b"\xc0\x00" + data_of(CASES["puback_too_short"]) + b"\xc0\x00")
    assert first == PingReq()
    assert isinstance(end, Broken)
    assert reader.feed(b"\xc0\x00") == []


def test_reserved_types_are_skipped_by_their_length() -> None:
    packets = Reader(LENIENT).feed(bytes.fromhex("f003010203 0000 d000"))
    assert packets == [Reserved(0xF0, b"\x01\x02\x03"), Reserved(0, b""), PingResp()]


def test_what_was_needed_is_known_and_nothing_else() -> None:
    reader = Reader(LENIENT)
    reader.feed(data_of(PUSH))
    assert reader.used == set()
    reader.feed(data_of(CASES["puback_ext_nonminimal_length"]))
    assert reader.used == {"long_puback", "nonminimal_length"}
    reader.feed(data_of(CASES["suback_no_codes"]))
    assert reader.used == {"long_puback", "nonminimal_length", "suback_without_codes"}
