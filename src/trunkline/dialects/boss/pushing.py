"""What a played gateway pushes over one link: watched until acknowledged, else pushed again.

Messages leave in batches, everything else in a push of its own. Source: boss 10.4 (9, 16)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.boss import frames
from trunkline.dialects.boss.gateway import BATCH, Gateway, Stored
from trunkline.dialects.boss.schema import Schema
from trunkline.dialects.contract import Effect, Transmit
from trunkline.wire.mqtt_broker import BrokerFlow

PUSH_AGAIN_S: Final = 8.0
PUSHES: Final = 3
_GIVEN_UP_S: Final = 3600.0


class Push(msgspec.Struct):
    """A push that nobody has acknowledged.

    Args:
        stored: the messages in it.
        times: how often it was written.
    """

    stored: Sequence[Stored]
    due_s: float
    times: int = 1


class Pushes:
    """The pushes of one link.

    Args:
        flow: of the link.
        gateway: whose rules say how, and where a wrong acknowledgement is counted.
    """

    def __init__(self, flow: BrokerFlow, gateway: Gateway, schema: Schema, clock: Clock) -> None:
        self._flow = flow
        self._gateway = gateway
        self._schema = schema
        self._clock = clock
        self._open: dict[int, Push] = {}  # by packet id

    @property
    def wake_at(self) -> float | None:
        """When something is pushed again."""
        return min((push.due_s for push in self._open.values()), default=None)

    def payload(self, payload: bytes, stored: Sequence[Stored] = ()) -> Transmit:
        """Push any payload."""
        qos = self._gateway.rules.push_qos
        packet_id, data = self._flow.publish(frames.TOPIC, payload, self._flow_ms(), qos=qos)
        if packet_id:
            self._open[packet_id] = Push(stored, self._clock.monotonic_s() + PUSH_AGAIN_S)
        else:
            _mark_acked(stored)  # nobody acknowledges QoS 0
        return Transmit(data)

    def messages(self, missed: Iterable[Stored], *, is_offline: bool) -> list[Effect]:
        """Push messages, in batches."""
        waiting = list(missed)
        effects: list[Effect] = []
        for at in range(0, len(waiting), BATCH):
            batch = waiting[at : at + BATCH]
            messages = [one.fields | {"offline": is_offline} for one in batch]
            chat = self._schema.chat(type=frames.MESSAGES, messages=messages, version="")
            for one in batch:
                one.was_pushed = True
            effects.append(self.payload(self._schema.encode(chat), batch))
        return effects

    def messages_of(self, packet_id: int) -> Sequence[Stored]:
        """Return the messages of a push that nobody has acknowledged."""
        push = self._open.get(packet_id)
        return push.stored if push is not None else ()

    def acknowledged(self, packet_id: int) -> Sequence[Stored]:
        """Take an acknowledgement; return the messages that the account has now."""
        push = self._open.pop(packet_id, None)
        if push is None:
            return ()
        # MQTT 3.1.1 4.6: acknowledgements come in the order of the messages.
        if any(ident < packet_id for ident in self._open):
            self._gateway.violations["ack-order"] += 1
        _mark_acked(push.stored)
        return push.stored

    def again(self) -> list[Effect]:
        """Push again what nobody acknowledged, some times."""
        effects: list[Effect] = []
        now_s, is_dup = self._clock.monotonic_s(), self._gateway.rules.marks_dup
        for packet_id, push in self._open.items():
            if push.due_s > now_s or packet_id not in self._flow.in_flight:
                continue
            if push.times >= PUSHES:
                push.due_s = now_s + _GIVEN_UP_S
                continue
            push.due_s = now_s + PUSH_AGAIN_S
            push.times += 1
            data = self._flow.redeliver(packet_id, self._flow_ms(), is_dup=is_dup)
            effects.append(Transmit(data))
        return effects

    def _flow_ms(self) -> int:
        return round(self._clock.monotonic_s() * 1000)


def _mark_acked(stored: Sequence[Stored]) -> None:
    for one in stored:
        one.is_acked = True
