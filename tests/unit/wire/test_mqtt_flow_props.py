"""Our client against our broker, over a cable that cuts bytes anywhere and itself now and then.

What must hold: nothing is confirmed that the other side has not committed, nothing is confirmed
twice, nothing arrives a second time that was not redelivered, and when the last cable holds
everything is confirmed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from boss_mqtt_vectors import LENIENT
from mqtt_pair import HELLO, open_broker, open_client
from trunkline.wire.mqtt_broker import BrokerFlow
from trunkline.wire.mqtt_client import ClientFlow
from trunkline.wire.mqtt_flow import (
    Accepted,
    Acknowledged,
    Flow,
    Happening,
    Oddity,
    State,
    Write,
)  # fmt: skip
from trunkline.wire.mqtt_packets import STRICT, Connect, Publish
from trunkline.wire.mqtt_stream import Broken

EXTRA = bytes(16)


class Side:
    """One end: its flow, what it wrote, and what it knows about its messages."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.out = bytearray()
        self.sent: dict[bytes, int] = {}  # payload → how often it was written
        self.confirmed: Counter[bytes] = Counter()
        self.arrived: Counter[bytes] = Counter()
        self.committed: set[bytes] = set()
        self.receipts: list[tuple[Flow, Publish]] = []
        self.by_id: dict[int, bytes] = {}

    def push(self, payload: bytes, now_ms: int) -> None:
        packet_id, data = self.flow.publish("chat", payload, now_ms)
        assert packet_id not in self.by_id
        self.by_id[packet_id] = payload
        self.sent[payload] = 1
        self.out += data

    def repeat(self, packet_id: int, now_ms: int) -> None:
        self.out += self.flow.redeliver(packet_id, now_ms)
        self.sent[self.by_id[packet_id]] += 1

    def take(self, happenings: list[Happening]) -> None:
        for it in happenings:
            assert not isinstance(it, Broken), it.error
            if isinstance(it, Write):
                self.out += it.data
            elif isinstance(it, Publish):
                self.arrived[it.payload] += 1
                self.receipts.append((self.flow, it))
            elif isinstance(it, Acknowledged):
                self.confirmed[self.by_id.pop(it.packet_id)] += 1


class Pair(RuleBasedStateMachine):
    """A client, a broker and their cable."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.count = 0
        self.client = Side(ClientFlow(HELLO))
        self.broker = Side(BrokerFlow(0))

    @initialize()
    def begin(self) -> None:
        self.connect()

    def connect(self) -> None:
        """Lay a new cable; both carry on what was in flight."""
        client = ClientFlow(HELLO, quirks=LENIENT, in_flight=self.client.flow.in_flight)
        broker = BrokerFlow(self.now_ms, in_flight=self.broker.flow.in_flight)
        self.client.flow, self.broker.flow = client, broker
        self.client.out.clear()
        self.broker.out.clear()
        (hello,) = broker.receive(client.connect(self.now_ms), self.now_ms)
        assert isinstance(hello, Connect)
        (answer,) = client.receive(broker.accept(self.now_ms), self.now_ms)
        assert isinstance(answer, Accepted)

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.client, self.broker

    def both(self, is_client: bool) -> tuple[Side, Side]:
        return (self.client, self.broker) if is_client else (self.broker, self.client)

    @rule(is_client=st.booleans())
    def publish(self, is_client: bool) -> None:
        self.count += 1
        self.both(is_client)[0].push(b"%d" % self.count, self.now_ms)

    @rule(is_client=st.booleans(), share=st.integers(1, 100))
    def carry(self, is_client: bool, share: int) -> None:
        sender, receiver = self.both(is_client)
        size = -(-len(sender.out) * share // 100)
        piece = bytes(sender.out[:size])
        del sender.out[:size]
        receiver.take(receiver.flow.receive(piece, self.now_ms))

    @rule(is_client=st.booleans(), data=st.data())
    def commit(self, is_client: bool, data: st.DataObject) -> None:
        side = self.both(is_client)[0]
        if side.receipts:
            at = data.draw(st.integers(0, len(side.receipts) - 1))
            self.settle(side, *side.receipts.pop(at))

    def settle(self, side: Side, flow: Flow, message: Publish) -> None:
        """Commit, then acknowledge, even when the link is another one by now."""
        side.committed.add(message.payload)
        if isinstance(flow, BrokerFlow):
            data = flow.acknowledge(message.packet_id, self.now_ms, extra=EXTRA)
        else:
            assert isinstance(flow, ClientFlow)
            data = flow.acknowledge(message.packet_id, self.now_ms)
        if flow is side.flow:
            side.out += data
        else:
            assert data == b"", "an id of an old connection reached the new one"

    @rule(is_client=st.booleans())
    def redeliver(self, is_client: bool) -> None:
        side = self.both(is_client)[0]
        for packet_id in side.flow.in_flight:
            side.repeat(packet_id, self.now_ms)

    @rule(leave=st.booleans())
    def cut(self, leave: bool) -> None:
        client, broker = self.client.flow, self.broker.flow
        assert isinstance(client, ClientFlow)
        assert isinstance(broker, BrokerFlow)
        if leave:
            client.disconnect()
        client.state = State.ENDED
        broker.end()
        self.connect()

    @precondition(lambda self: not any(side.out for side in self.sides))
    @rule(wait_ms=st.integers(1, 60_000))
    def wait(self, wait_ms: int) -> None:
        """Let time pass; each side is woken when it wants to be."""
        until_ms = self.now_ms + wait_ms
        while self.now_ms < until_ms:
            flows = [side.flow for side in self.sides]
            due = [flow.wake_at_ms for flow in flows if isinstance(flow, ClientFlow | BrokerFlow)]
            self.now_ms = min(until_ms, *(at for at in due if at is not None))
            for side in self.sides:
                side.take(side.flow.tick(self.now_ms))
            self.flush()

    def flush(self) -> None:
        """Carry everything that is under way, both ways."""
        while any(side.out for side in self.sides):
            self.carry(is_client=True, share=100)
            self.carry(is_client=False, share=100)

    @invariant()
    def nothing_is_confirmed_too_early_or_twice(self) -> None:
        for is_client in (True, False):
            sender, receiver = self.both(is_client)
            assert set(sender.confirmed) <= receiver.committed
            assert all(times == 1 for times in sender.confirmed.values())
            assert set(sender.by_id) == set(sender.flow.in_flight)
            for payload, times in receiver.arrived.items():
                assert times <= sender.sent[payload]

    def teardown(self) -> None:
        self.cut(leave=False)
        for side in self.sides:
            for packet_id in side.flow.in_flight:
                side.repeat(packet_id, self.now_ms)
        self.flush()
        for side in self.sides:
            while side.receipts:
                self.settle(side, *side.receipts.pop())
        self.flush()
        for sender, receiver in (self.sides, self.sides[::-1]):
            assert not sender.flow.in_flight
            assert set(sender.confirmed) == set(sender.sent) == receiver.committed


TestPair = Pair.TestCase
TestPair.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def _noise(make: Callable[[], Flow], noise: list[bytes]) -> list[Happening]:
    flow = make()
    happened: list[Happening] = []
    for number, piece in enumerate(noise):
        happened += flow.receive(piece, number)
    if any(isinstance(it, Broken) for it in happened):
        assert isinstance(happened[-1], Broken), "the end is the last thing that happens"
        assert flow.state is State.ENDED
    return happened


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans(), st.booleans())
def test_any_bytes_end_a_flow_or_do_not(
    noise: list[bytes], is_client: bool, is_lenient: bool
) -> None:
    quirks = LENIENT if is_lenient else STRICT
    make = (
        (lambda: open_client(quirks=quirks)) if is_client else (lambda: open_broker(quirks=quirks))
    )
    apart = _noise(make, noise)
    whole = _noise(make, [b"".join(noise)])
    # Oddities are told once a call, in front of what happened in it: their place may differ.
    plain = [[repr(it) for it in found if not isinstance(it, Oddity)] for found in (apart, whole)]
    assert plain[0] == plain[1]
    kinds = [sorted(it.kind for it in found if isinstance(it, Oddity)) for found in (apart, whole)]
    assert kinds[0] == kinds[1]
