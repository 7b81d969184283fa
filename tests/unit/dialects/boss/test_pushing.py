"""Pushes of a played gateway: in batches, again until acknowledged, and in order."""

from __future__ import annotations

from boss_house import NOW_MS, QUIRKS
from trunkline.clock import FakeClock
from trunkline.dialects.boss.gateway import BATCH, Gateway, Stored
from trunkline.dialects.boss.pushing import PUSH_AGAIN_S, PUSHES, Pushes
from trunkline.dialects.boss.schema import built_in
from trunkline.dialects.contract import Transmit
from trunkline.ids import CountingIds
from trunkline.wire.mqtt_broker import BrokerFlow
from trunkline.wire.mqtt_client import ClientFlow
from trunkline.wire.mqtt_packets import Connect, Publish
from trunkline.wire.mqtt_stream import Reader


class Stand:
    def __init__(self) -> None:
        self.clock = FakeClock(NOW_MS)
        self.gateway = Gateway(self.clock, CountingIds())
        self.flow = BrokerFlow(self.now_ms())
        client = ClientFlow(Connect("c"))
        self.flow.receive(client.connect(self.now_ms()), self.now_ms())
        self.flow.accept(self.now_ms())
        self.pushes = Pushes(self.flow, self.gateway, built_in(), self.clock)

    def now_ms(self) -> int:
        return round(self.clock.monotonic_s() * 1000)

    def again(self) -> list[Publish]:
        data = b"".join(one.data for one in self.pushes.again() if isinstance(one, Transmit))
        return [one for one in Reader(QUIRKS).feed(data) if isinstance(one, Publish)]


def message(mid: int) -> Stored:
    side = {"uid": mid, "source": 0}
    body = {"type": 1, "templateId": 1, "text": "x"}
    return Stored(mid, {"from": side, "to": side, "type": 1, "mid": mid, "time": 1, "body": body})


def test_messages_leave_in_batches_and_are_known_by_their_packet() -> None:
    stand = Stand()
    stored = [message(mid) for mid in range(1, BATCH + 2)]
    assert len(stand.pushes.messages(stored, is_offline=False)) == 2
    assert all(one.was_pushed for one in stored)
    first, second = stand.flow.in_flight
    assert list(stand.pushes.messages_of(first)) == stored[:BATCH]
    assert list(stand.pushes.acknowledged(second)) == stored[BATCH:]
    assert [one.is_acked for one in stored] == [False] * BATCH + [True]


def test_an_acknowledgement_out_of_turn_is_counted() -> None:
    stand = Stand()
    for mid in (1, 2):
        stand.pushes.messages([message(mid)], is_offline=False)
    first, second = stand.flow.in_flight
    stand.pushes.acknowledged(second)
    assert stand.gateway.violations == {"ack-order": 1}
    stand.pushes.acknowledged(first)
    assert stand.gateway.violations == {"ack-order": 1}
    assert stand.pushes.acknowledged(first) == ()


def test_what_nobody_acknowledges_is_pushed_again_some_times() -> None:
    stand = Stand()
    stand.pushes.payload(b"x")
    assert stand.again() == []
    times = 0
    for _ in range(PUSHES + 2):
        stand.clock.advance(PUSH_AGAIN_S)
        again = stand.again()
        assert all(one.is_dup for one in again)
        times += len(again)
    assert times == PUSHES - 1


def test_nobody_waits_for_what_leaves_with_qos_0() -> None:
    stand = Stand()
    stand.gateway.rules.push_qos = 0
    one = message(1)
    stand.pushes.messages([one], is_offline=False)
    assert one.is_acked
    assert stand.pushes.wake_at is None
