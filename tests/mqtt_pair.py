"""An MQTT client and a broker in memory: our two flows with a cable that can be cut."""

from __future__ import annotations

from typing import Any

from boss_mqtt_vectors import LENIENT
from trunkline.wire.mqtt_broker import BrokerFlow
from trunkline.wire.mqtt_client import ClientFlow
from trunkline.wire.mqtt_flow import Happening, Write
from trunkline.wire.mqtt_packets import STRICT, Connect, Quirks
from trunkline.wire.mqtt_stream import Broken

HELLO = Connect("ws-0123456789ABCDEF", 25, "AbCdEfGhIjKlMnOp|0", b"wt2", protocol="MQIsdp", level=3)


def open_client(
    now_ms: int = 0, quirks: Quirks = STRICT, connect: Connect = HELLO, **more: Any
) -> ClientFlow:
    """A client that has its CONNACK."""
    client = ClientFlow(connect, quirks=quirks, **more)
    client.connect(now_ms)
    client.receive(b"\x20\x02\x00\x00", now_ms)
    return client


def open_broker(
    now_ms: int = 0, quirks: Quirks = STRICT, connect: Connect = HELLO, **more: Any
) -> BrokerFlow:
    """A broker that has let a client in."""
    broker = BrokerFlow(now_ms, quirks=quirks, **more)
    assert broker.receive(ClientFlow(connect).connect(now_ms), now_ms) == [connect]
    broker.accept(now_ms)
    return broker


def errors(happenings: list[Happening]) -> list[str]:
    """What ended the connection, if anything did."""
    return [type(it.error).__name__ for it in happenings if isinstance(it, Broken)]


def writes(happenings: list[Happening]) -> bytes:
    """What has to be written."""
    return b"".join(it.data for it in happenings if isinstance(it, Write))


__all__ = ["HELLO", "LENIENT", "errors", "open_broker", "open_client", "writes"]
