"""The link that a played gateway has with an account: packets in and out, pushes, what is put off.

It holds the flow and the faults of a world (silence, pieces, cuts), and knows nothing of what an
account publishes: that is `platform`. Source: boss 10.4, 10.6
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any, Final

from trunkline.dialects.boss.gateway import Account, Gateway, Stored
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.pushing import Pushes
from trunkline.dialects.boss.schema import built_in
from trunkline.dialects.contract import (
    Changed,
    Effect,
    Effects,
    Hangup,
    LinkState,
    Noticed,
    Opening,
    Settled,
    Tag,
    Transmit,
)
from trunkline.errors import LocalProtocolError, TrunklineError
from trunkline.ids import DeliveryId
from trunkline.model.delivery import Outcome
from trunkline.wire.mqtt_broker import BrokerFlow
from trunkline.wire.mqtt_flow import Acknowledged, Left, Oddity, State, Write
from trunkline.wire.mqtt_packets import Connect, Publish, Subscribe, Unsubscribe
from trunkline.wire.mqtt_stream import Broken

_READY: Final = LinkState.READY


class GatewayLink(ABC):
    """One account's connection.

    Args:
        options: of the line.
        opening: clock and ids.
        gateway: shared by all links of a world; without one the link has a gateway of its own.
    """

    def __init__(
        self, options: BossOptions, opening: Opening, gateway: Gateway | None = None
    ) -> None:
        self.wake_at: float | None = None
        self.is_silent = False  # a fault: nothing leaves any more, the link stays open
        self.piece_bytes = 0  # a fault: what is written is cut into pieces of this size, 0 = none
        self._options = options
        self._clock = opening.clock
        self._schema = built_in()
        self.gateway = gateway or Gateway(opening.clock, opening.ids)
        self.account = Account(0, "")
        self.state = LinkState.OPENING
        self._is_present = False
        self._packets = 0
        self._flow = BrokerFlow(self._flow_ms())
        self._pushes = self._new_pushes()
        self._due: deque[tuple[float, Callable[[], list[Effect]]]] = deque()
        # What people said and the account has not acknowledged, by the server's id.
        self.unproven: dict[int, DeliveryId] = {}
        self._happened: dict[type, Callable[[Any], list[Effect]]] = {
            Connect: self._connect,
            Publish: self._take,
            Acknowledged: lambda one: self._acknowledged(one.packet_id),
            Subscribe: self._subscribe,
            Unsubscribe: lambda one: [Transmit(self._flow.drop(one.packet_id, self._flow_ms()))],
            Write: lambda one: [Transmit(one.data)],
            Oddity: self._odd,
            Left: lambda _one: self.close(1000, ""),
            Broken: lambda one: self._broken(one.error),
        }

    def _new_pushes(self) -> Pushes:
        return Pushes(self._flow, self.gateway, self._schema, self._clock)

    def _open(self, account: Account) -> None:
        """Begin the flow of an account that may connect."""
        self.account = account
        self._flow = BrokerFlow(self._flow_ms())
        self._pushes = self._new_pushes()
        self.state = _READY
        self._plan()

    # -- verbs -------------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Do nothing: accounts dial."""
        return ()

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Serve the account."""
        if self.state is not _READY:
            return ()
        effects: list[Effect] = []
        for happening in self._flow.receive(data, self._flow_ms()):
            effects += self._happened[type(happening)](happening)
            self._packets += 1
            if self.state is _READY and self._packets == self.gateway.rules.cuts_after:
                effects += self.close(1006, "")
            if self.state is not _READY:
                break
        return self._out(effects)

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Refuse: the gateway asks nothing."""
        raise LocalProtocolError("a gateway session asks nothing")

    def stored(self, receipt: Any) -> Effects:
        """Do nothing: messages are answered at once."""
        return ()

    def tick(self) -> Effects:
        """Do what was put off, and push again what nobody acknowledged. Source: boss 10.4 (16)"""
        now_s = self._clock.monotonic_s()
        effects: list[Effect] = []
        while self._due and self._due[0][0] <= now_s and self.state is _READY:
            effects += self._due.popleft()[1]()
        if self.state is _READY:
            for happening in self._flow.tick(self._flow_ms()):
                effects += self._happened[type(happening)](happening)
        if self.state is _READY and self._flow.state is State.OPEN:
            effects += self._pushes.again()
        return self._out(effects)

    def finish(self) -> Effects:
        """Close."""
        return () if self.state is LinkState.CLOSED else self.close(1001, "going away")

    def lost(self, error: TrunklineError) -> Effects:
        """Close; what was not acknowledged is delivered again over the next link."""
        self.wake_at = None
        self._due.clear()
        effects: list[Effect] = [
            Settled(one, Outcome.SENT, detail="not acknowledged") for one in self.unproven.values()
        ]
        self.unproven.clear()
        if self.state is LinkState.CLOSED:
            return effects
        self.state = LinkState.CLOSED
        return [*effects, Changed(LinkState.CLOSED)]

    # -- for a world -------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> list[Effect]:
        """Hang up on the account; 1006 ends the stream without a word. Source: boss 10.6"""
        self.state = LinkState.CLOSED
        self.wake_at = None
        self._due.clear()
        return [Changed(LinkState.CLOSED), Hangup(code, reason)]

    def later(self, seconds: float, do: Callable[[], list[Effect]]) -> None:
        """Put something off."""
        due = [*self._due, (self._clock.monotonic_s() + seconds, do)]
        self._due = deque(sorted(due, key=lambda one: one[0]))
        self._plan()

    @property
    def can_push(self) -> bool:
        """Whether pushes reach the account now."""
        is_open = self.state is _READY and self._flow.state is State.OPEN
        return is_open and (self._is_present or self.gateway.rules.is_push_early)

    def push_new(self) -> list[Effect]:
        """Push what is stored and was not pushed yet, in batches."""
        if not self.can_push:
            return []
        newest = takewhile(lambda one: not one.was_pushed, reversed(self.account.stored.values()))
        return self._push_stored(list(newest)[::-1], is_offline=False)

    def push_stored(self, one: Stored) -> list[Effect]:
        """Push a message once more, in a push of its own."""
        return self._push_stored([one], is_offline=False) if self.can_push else []

    def push_payload(self, payload: bytes, stored: Sequence[Stored] = ()) -> list[Effect]:
        """Push any payload; watched until it is acknowledged."""
        return [self._pushes.payload(payload, stored)]

    def push_fields(self, **fields: Any) -> list[Effect]:
        """Push an envelope."""
        return self.push_payload(self._schema.encode(self._schema.chat(**fields)))

    # -- packets -----------------------------------------------------------------------------

    @abstractmethod
    def _connect(self, packet: Connect) -> list[Effect]:
        """Check a login."""

    @abstractmethod
    def _take(self, packet: Publish) -> list[Effect]:
        """Take what the account publishes."""

    def _subscribe(self, packet: Subscribe) -> list[Effect]:
        how = self.gateway.rules.suback
        if how == "none":
            return []
        codes = tuple(qos for _, qos in packet.filters) if how == "standard" else ()
        return [Transmit(self._flow.grant(packet.packet_id, codes, self._flow_ms()))]

    def _acknowledge(self, packet: Publish, extra: bytes = b"") -> list[Effect]:
        if not packet.packet_id:
            return []
        data = self._flow.acknowledge(packet.packet_id, self._flow_ms(), extra=extra)
        return [Transmit(data)] if data else []

    def _push_stored(self, missed: Iterable[Stored], *, is_offline: bool) -> list[Effect]:
        return self._pushes.messages(missed, is_offline=is_offline)

    def _acknowledged(self, packet_id: int) -> list[Effect]:
        acked = self._pushes.acknowledged(packet_id)
        said = (self.unproven.pop(one.mid, None) for one in acked)
        return [Settled(one, Outcome.CONFIRMED) for one in said if one is not None]

    def _broken(self, error: TrunklineError) -> list[Effect]:
        self.gateway.violations["stream"] += 1
        return [Noticed("broken-stream", str(error)[:120]), *self.close(1006, "")]

    def _odd(self, oddity: Oddity) -> list[Effect]:
        # An acknowledgement of what was given up is nothing that a client does wrong.
        if oddity.kind != "unknown_packet_id":
            self.gateway.violations[oddity.kind] += 1
        return []

    # -- inside ------------------------------------------------------------------------------

    def _out(self, effects: Effects) -> list[Effect]:
        """Leave out what a silent gateway would say, cut the rest into pieces."""
        self._plan()
        kept: list[Effect] = []
        for effect in effects:
            if type(effect) is not Transmit:
                kept.append(effect)
            elif self.is_silent:
                continue
            elif self.piece_bytes:
                size = self.piece_bytes
                data = effect.data
                kept += [Transmit(data[at : at + size]) for at in range(0, len(data), size)]
            else:
                kept.append(effect)
        return kept

    def _flow_ms(self) -> int:
        return round(self._clock.monotonic_s() * 1000)

    def _now_ms(self) -> int:
        return self._clock.now_ms()

    def _plan(self) -> None:
        if self.state is not _READY:
            self.wake_at = None
            return
        wake_ms = self._flow.wake_at_ms
        times = (
            self._pushes.wake_at,
            self._due[0][0] if self._due else None,
            wake_ms / 1000 if wake_ms is not None else None,
        )
        self.wake_at = min((at_s for at_s in times if at_s is not None), default=None)
