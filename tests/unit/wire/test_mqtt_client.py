"""The client's side: CONNECT, PUBACK in all its forms, keepalive, nothing acknowledged unasked."""

from __future__ import annotations

from typing import Any

import pytest

from boss_mqtt_vectors import CASES, ODD, data_of
from mqtt_pair import HELLO, LENIENT, errors, open_client, writes
from trunkline.errors import LinkTimeout, LocalProtocolError, RemoteProtocolError, WireMalformed
from trunkline.wire.mqtt_client import ClientFlow
from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_flow import (
    MAX_IN_FLIGHT,
    Accepted,
    Acknowledged,
    Granted,
    Oddity,
    Refused,
    State,
)  # fmt: skip
from trunkline.wire.mqtt_packets import (
    ConnAck,
    Connect,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Quirks,
    UnsubAck,
)  # fmt: skip
from trunkline.wire.mqtt_stream import Broken

PING = encode(PingReq())
PONG = encode(PingResp())
ODD_PUBACKS = [name for name in ODD if name.startswith("puback")]


def test_connect_is_the_browsers() -> None:
    said = CASES["connect_web"]["decoded"]
    connect = Connect(
        said["client_id"], 25, said["username"], said["password"].encode(), protocol="MQIsdp",
        level=3,
    )  # fmt: skip
    assert ClientFlow(connect).connect(0) == data_of(CASES["connect_web"])


def test_accepted() -> None:
    client = ClientFlow(HELLO)
    client.connect(0)
    assert client.receive(data_of(CASES["connack_ok"]), 5) == [Accepted(is_session_present=False)]
    assert client.state is State.OPEN


@pytest.mark.parametrize("name", ["connack_bad_credentials", "connack_not_authorized"])
def test_refused(name: str) -> None:
    client = ClientFlow(HELLO)
    client.connect(0)
    code = CASES[name]["decoded"]["return_code"]
    assert client.receive(data_of(CASES[name]) + PONG, 5) == [Refused(code)]
    assert client.state is State.ENDED
    assert client.wake_at_ms is None


def test_ids_begin_with_one_and_presence() -> None:
    client = open_client()
    assert client.publish("chat", b"p", 1, is_retained=True)[0] == 1
    packet_id, data = client.publish("chat", b"m", 2)
    assert packet_id == 2
    assert data == encode(Publish("chat", b"m", 1, 2))
    assert client.publish("chat", b"q", 2, qos=0) == (0, encode(Publish("chat", b"q")))
    assert list(client.in_flight) == [1, 2]


def test_the_vectors_of_what_a_client_sends() -> None:
    client = open_client()
    case = CASES["publish_presence_retain"]
    payload = bytes.fromhex(case["decoded"]["payload_hex"])
    assert client.publish("chat", payload, 1, is_retained=True) == (1, data_of(case))
    case = CASES["subscribe_chat_qos1"]
    assert open_client().subscribe((("chat", 1),), 0) == (1, data_of(case))


@pytest.mark.parametrize("name", ["puback_standard", *ODD_PUBACKS])
def test_each_puback_acknowledges_with_its_quirk(name: str) -> None:
    decoded = CASES[name]["decoded"]
    waiting = Publish("chat", b"m", 1, decoded["packet_id"])
    client = open_client(quirks=LENIENT, in_flight={waiting.packet_id: waiting})
    happened = client.receive(data_of(CASES[name]), 9)
    extra = bytes.fromhex(decoded["extra_hex"])
    assert happened[-1] == Acknowledged(waiting.packet_id, extra)
    odd = {it.kind for it in happened if isinstance(it, Oddity)}
    assert (ODD.get(name) in odd) is (name in ODD)
    assert not client.in_flight
    assert client.state is State.OPEN
    assert client.receive(data_of(CASES[name]), 9) == [  # told once, and nothing is in flight
        Oddity("unknown_packet_id", f"PUBACK {waiting.packet_id}")
    ]


@pytest.mark.parametrize("name", ODD_PUBACKS)
def test_each_odd_puback_is_an_error_without_its_quirk(name: str) -> None:
    packet_id = CASES[name]["decoded"]["packet_id"]
    waiting = Publish("chat", b"m", 1, packet_id)
    quirks = Quirks(**{field: field != ODD[name] for field in LENIENT.__struct_fields__})
    client = open_client(quirks=quirks, in_flight={packet_id: waiting})
    happened = client.receive(data_of(CASES[name]), 9)
    assert isinstance(happened[-1], Broken)
    error = happened[-1].error
    assert isinstance(error, WireMalformed)
    assert error.reason == ODD[name]
    assert client.state is State.ENDED
    assert dict(client.in_flight) == {packet_id: waiting}  # its fate is unclear


def test_a_puback_with_flags() -> None:
    client = open_client(quirks=LENIENT)
    client.publish("chat", b"m", 0)
    assert client.receive(bytes.fromhex("42020001"), 1) == [
        Oddity("nonzero_flags"), Acknowledged(1),
    ]  # fmt: skip


def test_nothing_is_acknowledged_before_we_say_so() -> None:
    client = open_client()
    happened = client.receive(data_of(CASES["publish_push_qos1"]), 1)
    assert [it.packet_id for it in happened if isinstance(it, Publish)] == [513]
    assert writes(happened) == b""
    assert writes(client.tick(15_000)) == b""
    assert client.unacknowledged == 1
    assert client.acknowledge(513, 2) == bytes.fromhex("40020201")
    assert client.unacknowledged == 0


def test_a_second_copy_is_delivered_and_answered_once_for_each_time_it_was_open() -> None:
    client = open_client()
    push, again = data_of(CASES["publish_push_qos1"]), data_of(CASES["publish_push_qos1_dup"])
    first, second = client.receive(push + again, 1)
    assert isinstance(first, Publish)
    assert isinstance(second, Publish)
    assert (first.is_dup, second.is_dup) == (False, True)
    assert client.acknowledge(513, 2) == encode(PubAck(513))
    # The second receipt must not hit a new message that the broker may send under this id.
    assert client.acknowledge(513, 2) == b""
    client.receive(again, 3)
    assert client.acknowledge(513, 4) == encode(PubAck(513))


def test_an_acknowledgement_does_not_outlive_its_connection() -> None:
    client = open_client()
    client.receive(data_of(CASES["publish_push_qos1"]), 1)
    client.disconnect()
    assert client.acknowledge(513, 2) == b""


def test_qos_0_has_nothing_to_acknowledge() -> None:
    client = open_client()
    assert client.receive(encode(Publish("chat", b"x")), 1) == [Publish("chat", b"x")]
    assert client.acknowledge(0, 1) == b""
    assert client.unacknowledged == 0


def test_qos_2_inbound() -> None:
    client = open_client()
    packet = Publish("chat", b"x", 2, 7)
    assert client.receive(encode(packet), 1) == [packet]
    assert client.receive(encode(packet), 1) == []  # a copy before our commit
    assert client.unacknowledged == 1
    assert client.acknowledge(7, 2) == encode(PubRec(7))
    assert client.unacknowledged == 0
    assert writes(client.receive(encode(packet), 3)) == encode(PubRec(7))  # and one after it
    assert client.acknowledge(7, 3) == b""
    assert writes(client.receive(encode(PubRel(7)), 4)) == encode(PubComp(7))
    assert writes(client.receive(encode(PubRel(7)), 4)) == encode(PubComp(7))
    assert client.receive(encode(packet), 5) == [packet]  # a new message


def test_a_release_before_our_commit_takes_nothing_away() -> None:
    client = open_client()
    client.receive(encode(Publish("chat", b"x", 2, 7)), 1)
    client.receive(encode(PubRel(7)), 1)
    assert client.acknowledge(7, 2) == encode(PubRec(7))


def test_redelivery_is_asked_for_and_marked() -> None:
    client = open_client()
    client.publish("chat", b"m", 0, is_retained=True)
    client.receive(PONG, 9_000)
    assert writes(client.tick(20_000)) == PING  # nothing is sent again by itself
    client.disconnect()
    later = open_client(in_flight=client.in_flight)
    assert later.publish("chat", b"new", 1)[0] == 2  # 1 is in flight
    wanted = Publish("chat", b"m", 1, 1, is_dup=True, is_retained=True)
    assert later.redeliver(1, 2) == encode(wanted)
    assert later.redeliver(1, 3) == encode(wanted)
    assert later.receive(encode(PubAck(1)), 4) == [Acknowledged(1)]
    with pytest.raises(LocalProtocolError):
        later.redeliver(1, 5)


def test_ids_skip_those_in_flight_and_zero() -> None:
    waiting = {number: Publish("t", b"", 1, number) for number in (65_535, 2, 3)}
    client = open_client(in_flight=waiting)
    assert client.publish("t", b"", 0)[0] == 1
    assert client.subscribe((("t", 0),), 0)[0] == 4
    assert client.publish("t", b"", 0)[0] == 5
    for _ in range(6, 65_535):
        packet_id, _data = client.publish("t", b"", 0)
        client.forget(packet_id)
    assert packet_id == 65_534
    assert client.publish("t", b"", 0)[0] == 6  # 65535, 1 to 5 are in use; 0 never is


def test_in_flight_is_bounded() -> None:
    client = open_client()
    for _ in range(MAX_IN_FLIGHT):
        client.publish("t", b"", 0)
    with pytest.raises(LocalProtocolError, match="in flight"):
        client.publish("t", b"", 0)
    with pytest.raises(LocalProtocolError, match="in flight"):
        client.subscribe((("t", 0),), 0)
    assert client.publish("t", b"", 0, qos=0)[0] == 0
    client.receive(encode(PubAck(5)), 1)
    assert client.publish("t", b"", 0)[0] == MAX_IN_FLIGHT + 1


def test_what_was_given_up_is_an_unknown_id() -> None:
    client = open_client()
    client.publish("t", b"", 0)
    client.forget(1)
    client.forget(1)
    assert client.receive(encode(PubAck(1)), 1) == [Oddity("unknown_packet_id", "PUBACK 1")]
    assert client.receive(encode(PubAck(0)), 1) == [Oddity("unknown_packet_id", "PUBACK 0")]


@pytest.mark.parametrize(
    ("name", "codes"), [("suback_ok", (0,)), ("suback_no_codes", ())],
)  # fmt: skip
def test_suback(name: str, codes: tuple[int, ...]) -> None:
    client = open_client(quirks=Quirks(suback_without_codes=True))
    client.subscribe((("chat", 0),), 0)
    assert client.receive(data_of(CASES[name]), 1)[-1] == Granted(1, codes)
    assert client.receive(data_of(CASES[name]), 1) == [Oddity("unknown_packet_id", "SUBACK 1")]


def test_a_missing_suback_is_no_error() -> None:
    client = open_client()
    client.subscribe((("chat", 0),), 0)
    assert client.publish("chat", b"", 0)[0] == 2
    assert client.receive(encode(PubAck(2)), 1) == [Acknowledged(2)]


# --- keepalive: 25 s, so a ping after 20 s of silence -------------------------------------------


def test_a_ping_is_due_when_nothing_was_sent() -> None:
    client = open_client(1_000)
    assert client.wake_at_ms == 21_000
    assert client.tick(20_999) == []
    assert writes(client.tick(21_000)) == PING
    assert client.receive(PONG, 21_500) == []
    assert client.wake_at_ms == 41_000


@pytest.mark.parametrize("how", ["publish", "acknowledge", "subscribe", "redeliver"])
def test_whatever_is_sent_puts_off_the_ping(how: str) -> None:
    client = open_client(in_flight={9: Publish("t", b"", 1, 9)})
    client.receive(encode(Publish("t", b"", 1, 1)), 15_000)
    verbs: dict[str, Any] = {
        "publish": lambda: client.publish("t", b"", 15_000, qos=0),
        "acknowledge": lambda: client.acknowledge(1, 15_000),
        "subscribe": lambda: client.subscribe((("t", 0),), 15_000),
        "redeliver": lambda: client.redeliver(9, 15_000),
    }
    verbs[how]()
    assert client.wake_at_ms == 35_000


def test_what_is_heard_alone_does_not_put_off_the_ping() -> None:
    client = open_client()
    client.receive(PONG, 19_000)
    assert client.wake_at_ms == 20_000


def test_one_who_only_sends_asks_whether_anybody_listens() -> None:
    client = open_client()
    for now_ms in range(0, 20_001, 5_000):
        client.publish("t", b"", now_ms, qos=0)
    assert client.wake_at_ms == 20_000
    assert writes(client.tick(20_000)) == PING


def test_no_answer_to_a_ping_is_the_end() -> None:
    client = open_client()
    client.tick(20_000)
    assert client.wake_at_ms == 30_000
    assert client.tick(29_999) == []
    (end,) = client.tick(30_000)
    assert isinstance(end, Broken)
    assert isinstance(end.error, LinkTimeout)
    assert client.state is State.ENDED
    assert client.tick(31_000) == []
    assert client.wake_at_ms is None


@pytest.mark.parametrize("sign", [PONG, b"\x32", encode(Publish("t", b""))])
def test_any_bytes_are_a_sign_of_life(sign: bytes) -> None:
    client = open_client()
    client.tick(20_000)
    client.receive(sign, 29_000)
    assert client.tick(30_000) == []
    assert client.wake_at_ms == 40_000


def test_an_empty_message_is_none() -> None:
    client = open_client()
    client.tick(20_000)
    client.receive(b"", 29_000)
    assert errors(client.tick(30_000)) == ["LinkTimeout"]


def test_short_keepalives_go_on_while_an_answer_is_awaited() -> None:
    # The broker has its own clock of 1.5 × 5 s; one ping in 10 s would not satisfy it.
    client = open_client(connect=Connect("c", 5))
    assert writes(client.tick(4_000)) == PING
    assert client.wake_at_ms == 8_000
    assert writes(client.tick(8_000)) == PING
    assert client.wake_at_ms == 12_000
    assert writes(client.tick(12_000)) == PING
    assert client.wake_at_ms == 14_000
    assert errors(client.tick(14_000)) == ["LinkTimeout"]


def test_without_keepalive_nothing_is_due() -> None:
    client = open_client(connect=Connect("c", 0))
    assert client.wake_at_ms is None
    assert client.tick(10**9) == []


def test_a_broker_that_says_nothing() -> None:
    client = ClientFlow(HELLO)
    assert client.wake_at_ms is None
    client.connect(1_000)
    assert client.wake_at_ms == 11_000
    client.receive(b"\x20\x02", 9_000)  # half a CONNACK is none
    assert client.tick(10_999) == []
    assert errors(client.tick(11_000)) == ["LinkTimeout"]


# --- what should not come -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet",
    [Connect("x"), ConnAck(), PingReq(), PubRec(1), PubComp(1), UnsubAck(1)],
    ids=lambda packet: type(packet).__name__,
)
def test_unexpected_packets_end_it_or_are_skipped(packet: Any) -> None:
    strict, lenient = open_client(), open_client(quirks=LENIENT)
    (end,) = strict.receive(encode(packet), 1)
    assert isinstance(end, Broken)
    assert isinstance(end.error, RemoteProtocolError)
    skipped = lenient.receive(encode(packet) + encode(Publish("t", b"")), 1)
    assert skipped == [
        Oddity("unexpected_packet", type(packet).__name__.upper()), Publish("t", b""),
    ]  # fmt: skip


def test_a_message_before_connack_is_not_taken() -> None:
    data = encode(Publish("t", b"", 1, 1))
    strict, lenient = ClientFlow(HELLO), ClientFlow(HELLO, quirks=LENIENT)
    strict.connect(0)
    lenient.connect(0)
    assert errors(strict.receive(data, 1)) == ["RemoteProtocolError"]
    assert lenient.receive(data, 1) == [Oddity("unexpected_packet", "PUBLISH")]
    lenient.receive(encode(ConnAck()), 1)
    assert lenient.acknowledge(1, 2) == b""


def test_reserved_types_are_told_once() -> None:
    client = open_client(quirks=LENIENT)
    assert client.receive(b"\xf0\x00\x00\x00", 1) == [Oddity("reserved_types")]
    assert client.receive(b"\xf0\x00", 1) == []


def test_oddities_come_before_the_end() -> None:
    client = open_client(quirks=LENIENT)
    happened = client.receive(b"\xf0\x00" + data_of(CASES["puback_too_short"]), 1)
    assert happened[0] == Oddity("reserved_types")
    assert isinstance(happened[1], Broken)
    assert client.receive(PONG, 2) == []


def test_misuse_changes_nothing() -> None:
    client = ClientFlow(HELLO)
    for verb in (
        lambda: client.publish("t", b"", 0),
        lambda: client.subscribe((("t", 0),), 0),
        lambda: client.redeliver(1, 0),
    ):
        with pytest.raises(LocalProtocolError):
            verb()
    client.connect(0)
    with pytest.raises(LocalProtocolError):
        client.connect(0)
    client.receive(encode(ConnAck()), 0)
    for topic, qos in (("", 1), ("t/#", 1), ("t", 2)):
        with pytest.raises(LocalProtocolError):
            client.publish(topic, b"", 0, qos=qos)
    with pytest.raises(LocalProtocolError):
        client.subscribe((), 0)
    assert not client.in_flight
    assert client.publish("t", b"", 0)[0] == 1


def test_leaving_in_order() -> None:
    client = open_client()
    client.publish("t", b"", 0)
    assert client.disconnect() == bytes.fromhex("e000")
    assert client.disconnect() == b""
    assert list(client.in_flight) == [1]
    assert client.receive(PONG, 1) == []
    assert ClientFlow(HELLO).disconnect() == b""
