"""Our MQTT client with Debian's mosquitto, over production links on its WebSocket listener.

The broker is started here, on loopback. A plain listener comes first and the other one names its
socket domain, or it would bind every interface; it knows no subprotocol but `mqtt`.
Source: measurements 5
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from boss_mqtt_vectors import CASES, LENIENT, data_of
from mqtt_links import ClientEar, Clients, now_ms
from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_flow import Accepted, Acknowledged, Granted, Refused, Write
from trunkline.wire.mqtt_packets import Connect, PubComp, Publish, Will

pytestmark = pytest.mark.real

TOPIC = "trunkline/chat"
VERSIONS = [("MQIsdp", 3), ("MQTT", 4)]


def _free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as two:
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in (one, two)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, mosquitto: str) -> Iterator[str]:
    """A broker; its WebSocket address."""
    folder = tmp_path_factory.mktemp("mosquitto")
    plain, ws = _free_ports()
    config = folder / "mosquitto.conf"
    config.write_text(
        ("user root\n" if os.getuid() == 0 else "")
        + "allow_anonymous true\npersistence false\nlog_dest stderr\nlog_type information\n"
        f"listener {plain} 127.0.0.1\n"
        f"listener {ws} 127.0.0.1\nprotocol websockets\nsocket_domain ipv4\n",
        "utf-8",
    )
    with _running(mosquitto, config):
        yield f"ws://127.0.0.1:{ws}/mqtt"


@contextlib.contextmanager
def _running(mosquitto: str, config: Path) -> Iterator[None]:
    log = config.with_name("log")
    with log.open("w") as out:
        child = subprocess.Popen(
            [mosquitto, "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stderr is not None
        try:
            for line in child.stderr:
                out.write(line)
                if line.rstrip().endswith(" running"):
                    break
            else:
                raise AssertionError(f"mosquitto did not start:\n{log.read_text()}")
            yield
        finally:
            child.terminate()
            said = child.communicate(timeout=10)[1]
            out.write(said)
    assert "Assertion" not in said, said


def hello(name: str, *, keepalive_s: int = 30, is_clean: bool = True) -> Connect:
    return Connect(name, keepalive_s, is_clean=is_clean)


async def listening(clients: Clients, name: str, qos: int = 1) -> ClientEar:
    """A client that has subscribed."""
    ear = await clients.accepted(hello(name))
    ear.subscribe(TOPIC, qos)
    await ear.next(Granted)
    return ear


@pytest.fixture
async def clients(broker: str) -> AsyncIterator[Clients]:
    """Clients that are gone when the test is over."""
    async with Clients(broker) as made:
        yield made


@pytest.mark.parametrize(("protocol", "level"), VERSIONS)
@pytest.mark.parametrize("piece_bytes", [0, 1, 5])
async def test_connect_to_puback(
    clients: Clients, protocol: str, level: int, piece_bytes: int
) -> None:
    connect = Connect("ws-0123456789ABCDEF", 25, protocol=protocol, level=level)
    ear = await clients.accepted(connect, piece_bytes=piece_bytes)
    granted = ear.subscribe(TOPIC, 1)
    assert await ear.next(Granted) == Granted(granted, (1,))
    packet_id = ear.publish(TOPIC, "你好".encode() * 100)
    assert await ear.next(Acknowledged) == Acknowledged(packet_id, b"")
    echo = await ear.next(Publish)
    assert (echo.topic, echo.payload, echo.qos) == (TOPIC, "你好".encode() * 100, 1)
    ear.acknowledge(echo.packet_id)
    ear.publish(TOPIC, b"at most once", qos=0)
    assert (await ear.next(Publish, 1)).qos == 0
    ear.write(ear.flow.disconnect())
    await ear.end()


async def test_the_bytes_of_the_vectors_are_understood(clients: Clients) -> None:
    """What they say is not only what our own reader takes."""
    ear = await clients.connected(hello("vectors"))
    await ear.next(Accepted)
    for name in ("subscribe_chat_qos1", "publish_presence_retain"):
        ear.write(data_of(CASES[name]))
    presence = CASES["publish_presence_retain"]["decoded"]["payload_hex"]
    assert (await ear.next(Publish)).payload == bytes.fromhex(presence)
    ear.write(encode(Publish("chat", b"", is_retained=True)))  # the broker forgets it
    assert (await ear.next(Publish, 1)).payload == b""


async def test_a_version_that_is_unknown_is_refused(clients: Clients) -> None:
    ear = await clients.connected(Connect("x", 10, protocol="MQTT", level=9))
    assert await ear.next(Refused) == Refused(1)


async def test_no_quirk_is_needed(clients: Clients) -> None:
    """Whatever it sends is read as the standard says; ids ascend and are confirmed in order."""
    ear = await clients.accepted(hello("strict"), quirks=LENIENT)
    ear.subscribe(TOPIC, 1)
    for number in range(50):
        ear.publish(TOPIC, b"%d" % number)
    for number in range(50):
        message = await ear.next(Publish, number)
        assert message.payload == b"%d" % number
        ear.acknowledge(message.packet_id)
    await ear.next(Acknowledged, 49)
    assert [it.packet_id for it in ear.all(Acknowledged)] == list(range(2, 52))
    assert {type(it) for it in ear.happened} == {Accepted, Granted, Acknowledged, Publish}


async def test_a_cut_before_puback_is_redelivered_with_dup(clients: Clients) -> None:
    watcher = await listening(clients, "watcher")
    ear = await clients.accepted(hello("sender", is_clean=False))
    ear.link.pause()  # its PUBACK is never read
    packet_id = ear.publish(TOPIC, b"once")
    assert (await watcher.next(Publish)).payload == b"once"  # so the broker has it
    await ear.cut()
    assert list(ear.flow.in_flight) == [packet_id]

    again = await clients.accepted(hello("sender", is_clean=False), in_flight=ear.flow.in_flight)
    assert again.all(Accepted) == [Accepted(is_session_present=True)]
    assert again.publish(TOPIC, b"new") == packet_id + 1  # the other id is in flight
    await again.next(Acknowledged)
    assert (await watcher.next(Publish, 1)).payload == b"new"  # nothing was sent by itself
    again.write(again.flow.redeliver(packet_id, now_ms()))
    assert await again.next(Acknowledged, 1) == Acknowledged(packet_id)
    assert not again.flow.in_flight
    assert (await watcher.next(Publish, 2)).payload == b"once"
    await (await clients.accepted(hello("sender"))).cut()  # clean: the broker forgets it


async def test_what_we_did_not_acknowledge_comes_again(clients: Clients) -> None:
    ear = await clients.accepted(hello("reader", is_clean=False))
    ear.subscribe(TOPIC, 1)
    await ear.next(Granted)
    ear.publish(TOPIC, b"not committed")
    first = await ear.next(Publish)
    assert not first.is_dup
    await ear.cut()

    again = await clients.accepted(hello("reader", is_clean=False))
    assert again.all(Accepted) == [Accepted(is_session_present=True)]
    second = await again.next(Publish)
    assert (second.payload, second.is_dup) == (b"not committed", True)
    again.acknowledge(second.packet_id)
    again.publish(TOPIC, b"a sign that the acknowledgement was read")
    await again.next(Acknowledged)
    await again.cut()

    last = await clients.accepted(hello("reader", is_clean=False))
    assert (await last.next(Publish)).payload.startswith(b"a sign")
    last.acknowledge(last.all(Publish)[0].packet_id)
    last.write(last.flow.disconnect())
    await last.end()
    await (await clients.accepted(hello("reader"))).cut()  # clean: the broker forgets it


async def test_qos_2_inbound_is_taken_once(clients: Clients) -> None:
    ear = await listening(clients, "twice", qos=2)
    assert ear.all(Granted) == [Granted(1, (2,))]
    will = Connect("dying", 30, will=Will(TOPIC, b"gone", 2))
    await (await clients.accepted(will)).cut()
    message = await ear.next(Publish)
    assert (message.payload, message.qos) == (b"gone", 2)
    ear.acknowledge(message.packet_id)
    ear.publish(TOPIC, b"next")
    following = await ear.next(Publish, 1)
    ear.acknowledge(following.packet_id)
    await ear.next(Acknowledged)
    assert [it.payload for it in ear.all(Publish)] == [b"gone", b"next"]
    await ear.next(Write)  # PUBREL was answered
    assert ear.all(Write)[0].data == encode(PubComp(message.packet_id))


async def test_pings_keep_the_connection(clients: Clients) -> None:
    """Without them the broker cuts it after 1.5 × 2 s; with them it lives, and answers each."""
    silent = await clients.accepted(hello("silent", keepalive_s=2), is_ticking=False)
    ear = await clients.accepted(hello("pinging", keepalive_s=2))
    await silent.end()
    await ear.until(lambda: ear.pings >= 3)  # 4.8 s
    assert ear.ended is None
    ear.publish(TOPIC, b"still here")
    await ear.next(Acknowledged)


async def test_it_is_reached_on_loopback_only(broker: str) -> None:
    port = int(broker.rpartition(":")[2].partition("/")[0])
    lines = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
    bound = [line.split()[1] for line in lines.splitlines()[1:] if line.split()[3] == "0A"]
    assert f"0100007F:{port:04X}" in bound
    assert f"00000000:{port:04X}" not in bound
