"""The client's side of an MQTT connection: CONNECT, keepalive, SUBSCRIBE.

Imports nothing of the house but its errors. Source: MQTT 3.1.1 chapter 3; boss 2
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trunkline.errors import LinkTimeout

from .mqtt_codec import encode
from .mqtt_flow import ANSWER_MS, Accepted, Flow, Granted, Happening, Oddity, Refused, State, Write
from .mqtt_packets import (
    STRICT,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Publish,
    PubRel,
    Quirks,
    Reserved,
    SubAck,
    Subscribe,
)
from .mqtt_stream import MAX_PACKET_BYTES


class ClientFlow(Flow):
    """The side that connects.

    Args:
        connect: the first packet; its keepalive is kept from then on.
        quirks: what the broker may do against the standard.
        max_bytes: the largest packet that is taken.
        in_flight: what an earlier connection left behind, to be redelivered or forgotten.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        quirks: Quirks = STRICT,
        max_bytes: int = MAX_PACKET_BYTES,
        in_flight: Mapping[int, Publish] = MappingProxyType({}),
    ) -> None:
        super().__init__(quirks, max_bytes, in_flight)
        self._connect = connect
        self._due_ms = connect.keepalive_s * 800  # 0.8 of it. Source: boss 2.6
        self._counts_bytes = True  # Source: boss 2.6

    @property
    def wake_at_ms(self) -> int | None:
        """When `tick` has something to do; None = nothing is due, ever."""
        if self.state is State.OPENING:
            return self._deadline_ms
        if self.state is not State.OPEN:
            return None
        due = self._ping_at_ms()
        if self._deadline_ms is None or due is None:
            return due
        return min(due, self._deadline_ms)

    def connect(self, now_ms: int) -> bytes:
        """Return CONNECT; `Accepted`, `Refused` or `Broken` follows within 10 s of `tick`.

        Raises:
            LocalProtocolError: called before, or a field that no packet can carry.
        """
        self._require(State.NEW)
        data = encode(self._connect)
        self.state = State.OPENING
        self._sent_ms = self._heard_ms = now_ms
        self._deadline_ms = now_ms + ANSWER_MS
        return data

    def subscribe(self, filters: tuple[tuple[str, int], ...], now_ms: int) -> tuple[int, bytes]:
        """Ask for topics; `Granted` may follow or not. Source: boss 2.3

        Returns:
            The packet id and the bytes to write.

        Raises:
            LocalProtocolError: not open, or no such filter.
        """
        self._require(State.OPEN)
        packet_id = self._peek_id()
        data = encode(Subscribe(packet_id, filters))
        self._last_id = packet_id
        self._asked.add(packet_id)
        self._sent_ms = now_ms
        return packet_id, data

    def tick(self, now_ms: int) -> list[Happening]:
        """Do what is due: a ping, or the end of a connection that does not answer."""
        out: list[Happening] = []
        if self._deadline_ms is not None and now_ms >= self._deadline_ms:
            if self.state is State.OPENING:
                self._break(out, LinkTimeout(f"no CONNACK for {ANSWER_MS // 1000} s"))
            elif self.state is State.OPEN:
                self._break(out, LinkTimeout(f"no answer to a ping for {ANSWER_MS // 1000} s"))
            return out
        due = self._ping_at_ms() if self.state is State.OPEN else None
        if due is not None and now_ms >= due:
            self._sent_ms = now_ms
            if self._deadline_ms is None:
                self._deadline_ms = now_ms + ANSWER_MS
            out.append(Write(encode(PingReq())))
        return out

    def disconnect(self) -> bytes:
        """Leave in order: return DISCONNECT, after which the link is closed with 1000.

        Nothing when the connection is not open. `in_flight` stays readable.
        """
        was_open = self.state is State.OPEN
        self.state = State.ENDED
        return encode(Disconnect()) if was_open else b""

    def _ping_at_ms(self) -> int | None:
        if not self._due_ms:
            return None
        # One who only sends would never learn that nobody listens: silence is a reason as well.
        # While a ping is unanswered only our own silence counts, as the broker has its clock too.
        since = self._sent_ms
        if self._deadline_ms is None:
            since = min(since, self._heard_ms)
        return since + self._due_ms

    def _take(self, packet: Packet, out: list[Happening], now_ms: int) -> None:
        if type(packet) is Reserved:
            return  # the quirk that let it pass was reported
        if self.state is State.OPENING:
            if type(packet) is ConnAck:
                self._answered(packet, out, now_ms)
            else:
                self._unexpected(packet, out)
        elif type(packet) is PubRel:
            self._released(packet, out, now_ms)
        elif type(packet) is SubAck:
            self._granted(packet, out)
        elif type(packet) is not PingResp:
            self._unexpected(packet, out)

    def _granted(self, packet: SubAck, out: list[Happening]) -> None:
        if packet.packet_id in self._asked:
            self._asked.discard(packet.packet_id)
            out.append(Granted(packet.packet_id, packet.codes))
        else:
            out.append(Oddity("unknown_packet_id", f"SUBACK {packet.packet_id}"))

    def _answered(self, packet: ConnAck, out: list[Happening], now_ms: int) -> None:
        if packet.code:
            self.state = State.ENDED
            out.append(Refused(packet.code))
            return
        self.state = State.OPEN
        self._is_talking = True
        self._heard_ms = now_ms
        self._deadline_ms = None
        out.append(Accepted(packet.is_session_present))
