"""The broker's side: who is let in, what it sends by itself, and idle clients."""

from __future__ import annotations

from typing import Any

import pytest

from boss_mqtt_vectors import CASES, data_of
from mqtt_pair import HELLO, LENIENT, errors, open_broker, writes
from trunkline.errors import LinkTimeout, LocalProtocolError
from trunkline.wire.mqtt_broker import BrokerFlow
from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_flow import Acknowledged, Left, Oddity, State
from trunkline.wire.mqtt_packets import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)  # fmt: skip
from trunkline.wire.mqtt_stream import Broken

WEB = data_of(CASES["connect_web"])


@pytest.mark.parametrize("name", ["connect_web", "connect_311"])
def test_both_versions_are_let_in(name: str) -> None:
    broker = BrokerFlow(0)
    (connect,) = broker.receive(data_of(CASES[name]), 1)
    assert isinstance(connect, Connect)
    assert connect.client_id == "ws-0123456789ABCDEF"
    assert broker.accept(1) == data_of(CASES["connack_ok"])
    assert broker.state is State.OPEN


def test_a_session_that_is_present() -> None:
    broker = BrokerFlow(0)
    broker.receive(WEB, 1)
    assert broker.accept(1, is_session_present=True) == bytes.fromhex("20020100")


@pytest.mark.parametrize("name", ["connack_bad_credentials", "connack_not_authorized"])
def test_refusing(name: str) -> None:
    broker = BrokerFlow(0)
    broker.receive(WEB, 1)
    assert broker.refuse(CASES[name]["decoded"]["return_code"]) == data_of(CASES[name])
    assert broker.state is State.ENDED
    assert broker.receive(encode(PingReq()), 2) == []
    assert broker.wake_at_ms is None


@pytest.mark.parametrize(
    ("connect", "code"),
    [
        (Connect("c", protocol="MQTT", level=5), 1),
        (Connect("c", protocol="MQIsdp", level=4), 1),
        (Connect("", protocol="MQIsdp", level=3), 2),
        (Connect("c" * 24, protocol="MQIsdp", level=3), 2),
        (Connect("", is_clean=False), 2),
    ],
)
def test_what_the_standard_refuses(connect: Connect, code: int) -> None:
    broker = BrokerFlow(0)
    happened = broker.receive(encode(connect) + encode(PingReq()), 1)
    assert writes(happened) == encode(ConnAck(code))
    assert errors(happened) == ["RemoteProtocolError"]
    assert len(happened) == 2


@pytest.mark.parametrize(
    "connect",
    [Connect("c" * 23, protocol="MQIsdp", level=3), Connect("c" * 24), Connect("")],
)
def test_what_the_standard_allows(connect: Connect) -> None:
    assert BrokerFlow(0).receive(encode(connect), 1) == [connect]


def test_the_first_packet_is_connect_and_only_the_first() -> None:
    assert errors(BrokerFlow(0).receive(encode(PingReq()), 1)) == ["RemoteProtocolError"]
    assert errors(BrokerFlow(0, quirks=LENIENT).receive(encode(Publish("t", b"")), 1)) == [
        "RemoteProtocolError"
    ]
    assert errors(open_broker().receive(WEB, 1)) == ["RemoteProtocolError"]


def test_a_client_need_not_wait_for_its_connack() -> None:
    broker = BrokerFlow(0)
    message = Publish("chat", b"early", 1, 1)
    connect, happened = broker.receive(WEB + encode(message), 1)
    assert isinstance(connect, Connect)
    assert happened == message
    broker.accept(1)
    assert broker.acknowledge(1, 2) == encode(PubAck(1))


def test_acknowledging_with_extra() -> None:
    broker = open_broker()
    broker.receive(data_of(CASES["publish_presence_retain"]) + encode(Publish("t", b"", 1, 2)), 1)
    assert broker.acknowledge(1, 2) == data_of(CASES["puback_standard"])
    case = CASES["puback_ext_ids"]
    extra = bytes.fromhex(case["decoded"]["extra_hex"])
    assert broker.acknowledge(2, 2, extra=extra) == data_of(case)
    assert broker.acknowledge(2, 2, extra=extra) == b""


def test_qos_2_inbound() -> None:
    broker = open_broker()
    packet = Publish("chat", b"x", 2, 7)
    assert broker.receive(encode(packet), 1) == [packet]
    assert broker.acknowledge(7, 2, extra=b"x") == encode(PubRec(7))  # only PUBACK has more
    assert writes(broker.receive(encode(PubRel(7)), 3)) == encode(PubComp(7))


def test_pushing() -> None:
    broker = open_broker()
    assert broker.publish("chat", b"one", 1) == (1, encode(Publish("chat", b"one", 1, 1)))
    assert broker.publish("chat", b"two", 1, qos=0) == (0, encode(Publish("chat", b"two")))
    assert broker.receive(encode(PubAck(1)), 2) == [Acknowledged(1)]
    assert broker.receive(encode(PubAck(1)), 2) == [Oddity("unknown_packet_id", "PUBACK 1")]


def test_pushing_again() -> None:
    broker = open_broker()
    broker.publish("chat", b"one", 1)
    assert broker.redeliver(1, 2) == encode(Publish("chat", b"one", 1, 1, is_dup=True))
    assert broker.redeliver(1, 2, is_dup=False) == encode(Publish("chat", b"one", 1, 1))
    broker.end()
    later = open_broker(in_flight=broker.in_flight)
    assert later.redeliver(1, 3) == encode(Publish("chat", b"one", 1, 1, is_dup=True))


def test_subscribing() -> None:
    broker = open_broker()
    asked = broker.receive(data_of(CASES["subscribe_chat_qos0"]), 1)
    assert asked == [Subscribe(1, (("chat", 0),))]
    assert broker.grant(1, (0,), 2) == data_of(CASES["suback_ok"])
    assert broker.grant(1, (), 2) == data_of(CASES["suback_no_codes"])
    assert broker.grant(1, (0x80,), 2) == encode(SubAck(1, (128,)))
    assert broker.receive(encode(Unsubscribe(2, ("chat",))), 3) == [Unsubscribe(2, ("chat",))]
    assert broker.drop(2, 4) == encode(UnsubAck(2))


def test_pings_are_answered_unless_stuck() -> None:
    broker = open_broker()
    assert writes(broker.receive(encode(PingReq()), 1)) == encode(PingResp())
    broker.answers_pings = False
    assert broker.receive(encode(PingReq()), 1) == []


def test_leaving() -> None:
    broker = open_broker()
    assert broker.receive(encode(Disconnect()) + encode(PingReq()), 1) == [Left()]
    assert broker.state is State.ENDED


def test_an_idle_client() -> None:
    broker = open_broker(1_000)  # keepalive 25
    assert broker.wake_at_ms == 38_500
    broker.receive(encode(PingReq()), 10_000)
    assert broker.wake_at_ms == 47_500
    broker.publish("t", b"", 40_000)  # what we send says nothing about the client
    assert broker.tick(47_499) == []
    (end,) = broker.tick(47_500)
    assert isinstance(end, Broken)
    assert isinstance(end.error, LinkTimeout)
    assert "37.5 s" in str(end.error)
    assert broker.tick(50_000) == []


def test_the_first_keepalive_begins_with_connect() -> None:
    broker = BrokerFlow(0)
    broker.receive(WEB, 9_000)
    assert broker.wake_at_ms == 46_500


def test_a_client_without_keepalive_has_a_minute() -> None:
    assert open_broker(connect=Connect("c", 0)).wake_at_ms == 60_000


def test_a_link_without_connect_ends() -> None:
    broker = BrokerFlow(1_000, quirks=LENIENT)
    broker.receive(b"\xf0\x00\x10", 9_000)  # neither is a CONNECT
    assert broker.wake_at_ms == 11_000
    assert broker.tick(10_999) == []
    assert errors(broker.tick(11_000)) == ["LinkTimeout"]


def test_half_a_packet_keeps_no_client() -> None:
    broker = open_broker()
    broker.receive(b"\x32", 30_000)
    assert broker.wake_at_ms == 37_500


@pytest.mark.parametrize(
    "packet", [ConnAck(), PingResp(), SubAck(1, (0,)), UnsubAck(1), PubRec(1), PubComp(1)],
    ids=lambda packet: type(packet).__name__,
)  # fmt: skip
def test_unexpected_packets(packet: Any) -> None:
    assert errors(open_broker().receive(encode(packet), 1)) == ["RemoteProtocolError"]
    assert open_broker(quirks=LENIENT).receive(encode(packet), 1) == [
        Oddity("unexpected_packet", type(packet).__name__.upper())
    ]


def test_misuse() -> None:
    broker = BrokerFlow(0)
    for verb in (
        lambda: broker.accept(0),
        lambda: broker.refuse(5),
        lambda: broker.publish("t", b"", 0),
    ):
        with pytest.raises(LocalProtocolError):
            verb()
    broker.receive(encode(HELLO), 0)
    with pytest.raises(LocalProtocolError):
        broker.refuse(0)
    broker.accept(0)
    with pytest.raises(LocalProtocolError):
        broker.accept(0)
