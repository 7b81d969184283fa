"""MQTT packets: the vectors of Boss, each refusal by its reason, our own misuse."""

from __future__ import annotations

from typing import Any

import pytest

from boss_mqtt_vectors import CASES, LENIENT, ODD, data_of, expected, meaning, stated
from trunkline.errors import LocalProtocolError, WireMalformed
from trunkline.wire.mqtt_codec import encode, encode_ack
from trunkline.wire.mqtt_packets import (
    STRICT,
    ConnAck,
    Connect,
    PingReq,
    PubAck,
    Publish,
    Quirks,
    Reserved,
    SubAck,
    Subscribe,
    Unsubscribe,
    Will,
    describe,
)  # fmt: skip
from trunkline.wire.mqtt_stream import Broken, Reader

GOOD = [case for case in CASES.values() if "error" not in case["decoded"]]
OFF = dict.fromkeys(LENIENT.__struct_fields__, False)


def read(data: bytes, quirks: Quirks = STRICT) -> Any:
    """The only packet of `data`; its error is raised."""
    (packet,) = Reader(quirks).feed(data)
    if isinstance(packet, Broken):
        raise packet.error
    return packet


def reason(data: bytes, quirks: Quirks = STRICT) -> str:
    """Why `data` is refused."""
    with pytest.raises(WireMalformed) as caught:
        read(data, quirks)
    return caught.value.reason


def all_quirks_but(name: str) -> Quirks:
    values = {field: field != name for field in LENIENT.__struct_fields__}
    return Quirks(**values)


def test_all_vectors_are_here() -> None:
    assert len(CASES) == 33


@pytest.mark.parametrize("case", GOOD, ids=[case["name"] for case in GOOD])
def test_vectors_are_read(case: dict[str, Any]) -> None:
    packets = Reader(LENIENT).feed(data_of(case))
    wanted = expected(case)
    assert len(packets) == len(wanted)
    for packet, decoded in zip(packets, wanted, strict=True):
        assert not isinstance(packet, Broken)
        said = stated(decoded, packet)
        assert set(said) >= {"packet"}
        assert {name: value for name, value in meaning(packet).items() if name in said} == said


@pytest.mark.parametrize("case", GOOD, ids=[case["name"] for case in GOOD])
def test_vectors_are_written(case: dict[str, Any]) -> None:
    is_long = case["name"] == "puback_ext_nonminimal_length"
    packets = Reader(LENIENT).feed(data_of(case))
    written = b"".join(
        encode(packet, has_long_length=is_long)
        for packet in packets
        if not isinstance(packet, Broken)
    )
    assert written == data_of(case)


def test_the_presence_vector_is_a_whole_publish() -> None:
    packet = read(data_of(CASES["publish_presence_retain"]))
    payload = bytes.fromhex(CASES["publish_presence_retain"]["decoded"]["payload_hex"])
    assert packet == Publish("chat", payload, 1, 1, is_retained=True)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_packet_needs_its_quirk(name: str) -> None:
    data, quirk = data_of(CASES[name]), ODD[name]
    assert reason(data, all_quirks_but(quirk)) == quirk
    assert reason(data) in LENIENT.__struct_fields__
    reader = Reader(LENIENT)
    assert not any(isinstance(packet, Broken) for packet in reader.feed(data))
    assert quirk in reader.used


@pytest.mark.parametrize("case", GOOD, ids=[case["name"] for case in GOOD])
def test_what_is_not_odd_needs_no_quirk(case: dict[str, Any]) -> None:
    packets = Reader().feed(data_of(case))
    assert any(isinstance(packet, Broken) for packet in packets) is (case["name"] in ODD)


@pytest.mark.parametrize("quirks", [STRICT, LENIENT])
def test_a_puback_without_an_id_is_refused_whatever_is_forgiven(quirks: Quirks) -> None:
    assert reason(data_of(CASES["puback_too_short"]), quirks) == "too_short"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("42020001", "nonzero_flags"),
        ("60020001", "nonzero_flags"),
        ("8009000100046368617401", "nonzero_flags"),
        ("c100", "nonzero_flags"),
        ("3806000463686174", "nonzero_flags"),  # DUP with QoS 0
        ("20020200", "nonzero_flags"),
        ("20020105", "nonzero_flags"),  # a session beside a refusal
        ("10 10 00044d515454 04 03 0000 0004 61626364", "nonzero_flags"),
        ("0000", "reserved_types"),
        ("f0020102", "reserved_types"),
    ],
)
def test_reserved_bits_and_types(data: str, why: str) -> None:
    assert reason(bytes.fromhex(data)) == why
    assert reason(bytes.fromhex(data), all_quirks_but(why)) == why
    reader = Reader(LENIENT)
    assert not isinstance(reader.feed(bytes.fromhex(data))[0], Broken)
    assert reader.used == {why}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("3000", "too_short"),
        ("300100", "too_short"),
        ("30020001", "too_short"),
        ("30020000", "bad_topic"),
        ("3005000361 2b62", "bad_topic"),
        ("30050003612f23", "bad_topic"),
        ("3003000100", "bad_text"),
        ("30030001ff", "bad_text"),
        ("30050003eda080", "bad_text"),  # a surrogate
        ("3603000161", "bad_qos"),
        ("3203000161", "too_short"),
        ("320400016101", "too_short"),
        ("32050001610000", "bad_packet_id"),
        ("5003000100", "too_long"),
        ("500100", "too_short"),
        ("c00100", "too_long"),
        ("2003000000", "too_long"),
        ("200100", "too_short"),
        ("820400010061", "too_short"),
        ("8206000000016100", "bad_packet_id"),
        ("82020001", "too_short"),  # no filter at all
        ("8206000100016103", "bad_qos"),
        ("82080001000361236200", "bad_topic"),
        ("8207000100026123 00", "bad_topic"),
        ("820500010000 00", "bad_topic"),
        ("a2020001", "too_short"),
        ("9003000103", "bad_qos"),
        ("10 10 00044d515454 04 40 0000 0004 61626364", "bad_connect"),  # password, no user
        ("10 10 00044d515454 04 08 0000 0004 61626364", "bad_connect"),  # will QoS, no will
        ("10 10 00044d515454 04 1e 0000 0004 61626364", "bad_connect"),  # will QoS 3
        ("10 0f 00044d515454 04 02 0000 0004 616263", "too_short"),
        ("10 11 00044d515454 04 02 0000 0004 6162636465", "too_long"),
    ],
)
def test_fields_that_no_quirk_forgives(data: str, why: str) -> None:
    assert reason(bytes.fromhex(data)) == why
    assert reason(bytes.fromhex(data), LENIENT) == why


def test_the_topic_bound() -> None:
    longest = Publish("t" * 1024, b"")
    assert read(encode(longest)) == longest
    with pytest.raises(LocalProtocolError):
        encode(Publish("t" * 1025, b""))
    body = (1025).to_bytes(2, "big") + b"t" * 1025
    assert reason(b"\x30\x83\x08" + body) == "bad_topic"


def test_wildcards_stand_where_they_mean_something() -> None:
    filters = (("#", 0), ("+", 1), ("a/+/b/#", 2), ("/", 0), ("$SYS/#", 1))
    packet = Subscribe(5, filters)
    assert read(encode(packet)) == packet
    for text in ("a#", "#/a", "a+", "+a/b", ""):
        with pytest.raises(LocalProtocolError):
            encode(Unsubscribe(5, (text,)))


def test_a_byte_order_mark_is_a_character() -> None:
    assert read(encode(Publish("\ufeffa", b""))).topic == "\ufeffa"


def test_another_protocol_is_named_and_not_read() -> None:
    five = bytes.fromhex("1011 0004 4d515454 05 02 003c 03210014 000161")
    assert read(five) == Connect("", protocol="MQTT", level=5)


def test_a_whole_connect() -> None:
    packet = Connect(
        "", 65535, "user", b"\x00\xff", is_clean=False, protocol="MQIsdp", level=3,
        will=Will("gone", b"\x00", 2, is_retained=True),
    )  # fmt: skip
    assert read(encode(packet)) == packet


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_the_edges_of_the_remaining_length(size: int) -> None:
    packet = Publish("t", bytes(max(0, size - 3)))
    if size < 3:
        packet = Publish("t", b"")
    data = encode(packet)
    assert Reader(max_bytes=1 << 22).feed(data) == [packet]


@pytest.mark.parametrize(
    "packet",
    [
        Publish("", b""),
        Publish("a/#", b""),
        Publish("a\0", b""),
        Publish("\ud800", b""),
        Publish("a", b"", 1, 0),
        Publish("a", b"", 1, 65536),
        Publish("a", b"", 3, 1),
        Connect("x" * 65536),
        Connect("x", 65536),
        Connect("x", password=b"alone"),
        Subscribe(1, ()),
        Subscribe(1, (("a", 3),)),
        Subscribe(0, (("a", 1),)),
        Unsubscribe(1, ()),
    ],
)
def test_what_we_must_not_write(packet: Any) -> None:
    with pytest.raises(LocalProtocolError):
        encode(packet)


def test_a_packet_larger_than_any_length_is_not_written() -> None:
    with pytest.raises(LocalProtocolError, match="a packet of"):
        encode(Publish("t", bytes(268_435_455)))


def test_our_acknowledgement_is_the_standard_one() -> None:
    assert encode_ack(513) == bytes.fromhex("40020201") == encode(PubAck(513))


def test_credentials_stay_out_of_what_is_said() -> None:
    packet = read(data_of(CASES["connect_web"]))
    said = describe(packet) + repr(packet)
    assert packet.username is not None
    assert packet.username not in said
    assert "fake.wt2" not in said


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (Publish("chat", b"abc", 1, 5, is_dup=True), "PUBLISH 'chat' qos 1 id 5 dup 3 bytes"),
        (Publish("chat", b"", is_retained=True), "PUBLISH 'chat' qos 0 retain 0 bytes"),
        (PubAck(2, bytes(16)), "PUBACK id 2 +16 bytes"),
        (PubAck(2), "PUBACK id 2"),
        (ConnAck(5), "CONNACK 5"),
        (SubAck(1, (0,)), "SUBACK id 1"),
        (Reserved(0xF3, b"ab"), "RESERVED 0xf3 2 bytes"),
        (PingReq(), "PINGREQ"),
    ],
)
def test_describe(packet: Any, said: str) -> None:
    assert describe(packet) == said


@pytest.mark.parametrize("case", GOOD, ids=[case["name"] for case in GOOD])
def test_what_is_said_is_short(case: dict[str, Any]) -> None:
    for packet in Reader(LENIENT).feed(data_of(case)):
        assert not isinstance(packet, Broken)
        assert 0 < len(describe(packet)) <= 120
