"""paho-mqtt 2.2 as a client of our broker role, over WebSockets on a production listener.

It also shows what the nonstandard PUBACK of Boss does to a strict library: it hangs up, and sends
the message again. Source: boss 2.5
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from boss_mqtt_vectors import CASES, data_of
from mqtt_links import WAIT_S, BrokerDoor, BrokerEar, brokering, now_ms, pass_on
from trunkline.wire.mqtt_flow import Acknowledged, Left
from trunkline.wire.mqtt_packets import Connect, Publish

pytestmark = pytest.mark.real

PROGRAM = Path(__file__).with_name("mqtt_paho.py")


class Paho:
    """The child process: orders in, what happens out."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._in, self._out = child.stdin, child.stdout
        self.seen: list[dict[str, Any]] = []

    def order(self, **order: Any) -> None:
        """Give an order."""
        self._in.write(json.dumps(order).encode() + b"\n")

    async def until(self, what: str, **fields: Any) -> dict[str, Any]:
        """Read until something happens; return it."""
        async with asyncio.timeout(WAIT_S):
            while line := await self._out.readline():
                event = json.loads(line)
                self.seen.append(event)
                if event.items() >= ({"what": what} | fields).items():
                    return event
        raise AssertionError(f"paho ended; it said {self.seen}")


@contextlib.asynccontextmanager
async def paho(python: str, url: str, **more: Any) -> AsyncIterator[Paho]:
    """Start it, connected."""
    child = await asyncio.create_subprocess_exec(
        python, str(PROGRAM), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    peer = Paho(child)
    hello = {"level": 4, "client_id": "ws-0123456789ABCDEF", "keepalive_s": 30}
    try:
        peer.order(port=int(url.rpartition(":")[2].strip("/")), **(hello | more))
        assert (await peer.until("connected"))["code"] == "Success"
        yield peer
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        # Its pipes have to be read to their end, or their transports outlive the loop.
        await child.communicate()


@pytest.mark.parametrize("level", [3, 4])
async def test_a_conversation(paho_python: str, level: int) -> None:
    door = BrokerDoor()
    async with brokering(door) as url, paho(paho_python, url, level=level) as peer:
        peer.order(do="subscribe", topic="chat", qos=2)
        assert (await peer.until("subscribed"))["codes"] == [1]
        for qos in (0, 1, 2):
            peer.order(do="publish", topic="chat", text=f"消息 {qos}", qos=qos)
            await peer.until("published")
        while sum(event["what"] == "message" for event in peer.seen) < 3:
            await peer.until("message")
        echoes = [event for event in peer.seen if event["what"] == "message"]
        assert [(it["text"], it["qos"], it["dup"]) for it in echoes] == [
            ("消息 0", 0, False), ("消息 1", 1, False), ("消息 2", 1, False),
        ]  # fmt: skip
        [ear] = door.flows
        await ear.next(Acknowledged, 1)  # paho confirmed both of QoS 1
        assert not ear.flow.in_flight
        assert [it.qos for it in door.messages] == [0, 1, 2]
        peer.order(do="unsubscribe", topic="chat")
        await peer.until("unsubscribed")
        assert not door.subscribers
        peer.order(do="disconnect")
        await ear.next(Left)
        (hello,) = ear.all(Connect)
        assert (hello.level, hello.username, hello.password) == (
            level,
            "AbCdEfGhIjKlMnOp|0",
            b"wt2",
        )
        assert len(ear.happened) > 0
        assert not [event for event in peer.seen if event["what"] == "disconnected"]


async def test_pings_are_answered_and_a_stuck_broker_is_left(paho_python: str) -> None:
    door = BrokerDoor()
    async with brokering(door) as url, paho(paho_python, url, keepalive_s=2) as peer:
        await peer.until("log", text="Sending PINGREQ")
        await peer.until("log", text="Received PINGRESP")
        door.flows[-1].flow.answers_pings = False
        assert (await peer.until("disconnected"))["code"] == "Keep alive timeout"


async def test_what_paho_does_not_get_acknowledged_comes_again(paho_python: str) -> None:
    """It is cut before PUBACK, comes back, and sends the same id with DUP: we see and say so."""

    def cut_first(ear: BrokerEar, message: Publish) -> None:
        if len(ear.door.messages) == 1:
            ear.link.abort()
        else:
            pass_on(ear, message)

    door = BrokerDoor(cut_first)
    async with brokering(door) as url, paho(paho_python, url, is_clean=False) as peer:
        peer.order(do="publish", topic="chat", text="once", qos=1)
        await peer.until("disconnected")
        await peer.until("published")
        first, second = door.messages
        assert (first.is_dup, second.is_dup) == (False, True)
        assert (first.packet_id, first.payload) == (second.packet_id, second.payload)


async def test_our_redelivery_reaches_paho_with_dup(paho_python: str) -> None:
    def keep(ear: BrokerEar, message: Publish) -> None:
        ear.acknowledge(message.packet_id)

    door = BrokerDoor(keep)
    async with brokering(door) as url, paho(paho_python, url) as peer:
        peer.order(do="subscribe", topic="chat", qos=1)
        await peer.until("subscribed")
        [ear] = door.flows
        packet_id, _lost = ear.flow.publish("chat", b"push", now_ms())
        ear.write(ear.flow.redeliver(packet_id, now_ms()))
        message = await peer.until("message")
        assert (message["text"], message["dup"]) == ("push", True)
        assert await ear.next(Acknowledged) == Acknowledged(packet_id)


@pytest.mark.parametrize("name", ["puback_ext_ids", "puback_one_extra", "puback_too_short"])
async def test_an_odd_puback_drives_a_strict_library_away(paho_python: str, name: str) -> None:
    """Why this codec is our own: paho hangs up and sends the message a second time."""

    def answer_oddly(ear: BrokerEar, _message: Publish) -> None:
        ear.write(data_of(CASES[name]))

    door = BrokerDoor(answer_oddly)
    async with brokering(door) as url, paho(paho_python, url, is_clean=False) as peer:
        peer.order(do="publish", topic="chat", text="once?", qos=1)
        assert (await peer.until("disconnected"))["code"] == "Protocol error"
        await peer.until("connected")
        await peer.until("disconnected")
        assert [it.is_dup for it in door.messages[:2]] == [False, True]
        assert not [event for event in peer.seen if event["what"] == "published"]
