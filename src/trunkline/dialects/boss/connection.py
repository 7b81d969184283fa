"""The MQTT flow of one link: how the gateway departs from the standard, what we publish, the clock.

Everything of ours leaves here, on the one topic: presence, messages, requests, acknowledgements.
What the gateway's packets mean for the account is `bot`. Source: boss 2
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trunkline.clock import Clock
from trunkline.dialects.boss import frames
from trunkline.dialects.boss.account import Account
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.contract import Effect, Transmit
from trunkline.wire.mqtt_client import ClientFlow
from trunkline.wire.mqtt_flow import Happening
from trunkline.wire.mqtt_packets import Quirks

# How the gateway departs from the standard. Source: boss 2.3, 2.5, 2.8
QUIRKS: Final = Quirks(
    long_puback=True,
    suback_without_codes=True,
    nonzero_flags=True,
    nonminimal_length=True,
    reserved_types=True,
)
EXPECTED: Final = frozenset({"long_puback", "suback_without_codes", "nonminimal_length"})
MAX_IN_FLIGHT: Final = 512


class Connection:
    """The flow of one link.

    Args:
        account: who logs in; its password is known only when the link opens.
    """

    def __init__(self, options: BossOptions, account: Account, clock: Clock) -> None:
        self._options = options
        self._account = account
        self._clock = clock
        self._flow = self._new_flow()

    def _new_flow(self) -> ClientFlow:
        connect = self._account.connect()
        return ClientFlow(connect, quirks=QUIRKS, max_bytes=self._options.max_message_bytes)

    def _now_ms(self) -> int:
        return round(self._clock.monotonic_s() * 1000)

    @property
    def wake_at(self) -> float | None:
        """When something is to be done."""
        wake_ms = self._flow.wake_at_ms
        return wake_ms / 1000 if wake_ms is not None else None

    def open(self) -> Transmit:
        """Log in. Source: boss 2.1"""
        self._flow = self._new_flow()
        return Transmit(self._flow.connect(self._now_ms()))

    def receive(self, data: bytes) -> Sequence[Happening]:
        """Take the next bytes of the stream. Source: boss 2.8"""
        return self._flow.receive(data, self._now_ms())

    def tick(self) -> Sequence[Happening]:
        """Ping, or give the gateway up."""
        return self._flow.tick(self._now_ms())

    def announce(self, payload: bytes) -> tuple[int, Transmit]:
        """Publish our presence; return its packet's id too. Source: boss 2.3, 6.1"""
        now_ms, qos = self._now_ms(), self._options.subscribe
        packet_id, data = self._flow.publish(frames.TOPIC, payload, now_ms, qos=1, is_retained=True)
        if qos != "none":
            data += self._flow.subscribe(((frames.TOPIC, qos),), now_ms)[1]
        return packet_id, Transmit(data)

    def publish(self, payload: bytes, *, is_repeat: bool = False) -> tuple[int, list[Effect]]:
        """Write a message of ours; `is_repeat` marks it as written before. Source: boss 2.4"""
        flow, now_ms = self._flow, self._now_ms()
        while len(flow.in_flight) >= MAX_IN_FLIGHT:
            flow.forget(next(iter(flow.in_flight)))
        retain = self._options.retain
        packet_id, data = flow.publish(frames.TOPIC, payload, now_ms, qos=1, is_retained=retain)
        if is_repeat:
            data = flow.redeliver(packet_id, now_ms)
        return packet_id, [Transmit(data)]

    def request(self, payload: bytes) -> list[Effect]:
        """Write what is no message; nobody waits for its acknowledgement."""
        _, effects = self.publish(payload)
        return effects

    def acknowledge(self, packet_id: int) -> bytes:
        """Return what acknowledges a push."""
        return self._flow.acknowledge(packet_id, self._now_ms())

    def disconnect(self) -> bytes:
        """Return the good-bye, empty when there is none to say. Source: boss 2.6"""
        return self._flow.disconnect()
