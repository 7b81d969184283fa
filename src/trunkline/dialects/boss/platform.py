"""The gateway's side of a link: an account logs in, people's words are pushed to it.

What the account sends is checked as strictly as the rules of the world say, stored, and told to it
in every form that was seen or feared. Every push is watched until it is acknowledged, and pushed
again when it is not. Source: boss 10.3 … 10.6
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any, Final

from trunkline.dialects.boss import frames
from trunkline.dialects.boss.frames import ChatMessage, Frame, IqAnswer
from trunkline.dialects.boss.gateway import (
    BATCH,
    STORED,
    Account,
    Gateway,
    Peer,
    Stored,
    own_party,
    peer_party,
)
from trunkline.dialects.boss.http import Fields
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.schema import built_in, to_json
from trunkline.dialects.boss.translate import parse_chat_id, to_pieces, to_segments
from trunkline.dialects.contract import (
    Changed,
    Effect,
    Effects,
    Hangup,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Received,
    Seat,
    Settled,
    Sharing,
    Tag,
    Transmit,
)
from trunkline.errors import LocalProtocolError, TrunklineError, WireMalformed
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, Person
from trunkline.wire.mqtt_broker import BrokerFlow
from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_flow import Acknowledged, Left, Oddity, State, Write
from trunkline.wire.mqtt_packets import Connect, PubAck, Publish, Subscribe, Unsubscribe
from trunkline.wire.mqtt_stream import Broken

PUSH_AGAIN_S: Final = 8.0
PUSHES: Final = 3
BYE_S: Final = 0.15  # Source: boss 10.5
CLIENT_ID_CHARS: Final = 19  # `ws-` and 16. Source: boss 2.1
_PAIR: Final = struct.Struct(">QQ")
_READY: Final = LinkState.READY


class GatewaySession:
    """One account's connection, as the gateway has it.

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
        self._offered = ""
        self._flow = BrokerFlow(self._flow_ms())
        self._pushed: dict[int, tuple[Sequence[Stored], float, int]] = {}  # id → what, when, times
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

    # -- the nine verbs ----------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Do nothing: accounts dial."""
        return ()

    def linked(self, info: LinkInfo) -> Effects:
        """Note the upgrade; the login is checked by the first packet."""
        headers = info.head.headers
        self.gateway.upgrades.append(dict(headers))
        self._offered = headers.get("sec-websocket-protocol", info.subprotocol or "")
        account = self.gateway.account(headers.get("cookie", ""))
        if account is None:
            return self.close(1008, "no login")
        self.account = account
        self._flow = BrokerFlow(self._flow_ms())
        self.state = _READY
        self._plan()
        me = str(account.uid)
        return (Changed(_READY, Seat(me, me, sharing=Sharing.EACH)),)

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

    def send(self, delivery: Delivery) -> Effects:
        """Let somebody say something: `user:NUMBER` is who."""
        what, chat = delivery.what, delivery.chat
        uid, source = parse_chat_id(chat.id)
        if type(what) is not Say or not uid:
            return (Settled(delivery.id, Outcome.REFUSED, detail="people only talk"),)
        peer = self.account.peer(uid, chat.name, source)
        mid = 0
        for piece in to_pieces(what.segments):
            if isinstance(piece, str):
                body: Fields = {"type": frames.TEXT, "templateId": 1, "text": piece}
            else:
                image = {"url": piece.url, "width": 800, "height": 600}
                body = {
                    "type": frames.PICTURE,
                    "templateId": 1,
                    "image": {"originImage": image, "tinyImage": image},
                }
            mid = self.gateway.say(self.account, peer, body)
        if not mid or not self.gateway.rules.push_qos:  # nobody acknowledges QoS 0
            return self._out([*self.push_new(), Settled(delivery.id, Outcome.SENT)])
        self.unproven[mid] = delivery.id  # of its last piece: pushes are acknowledged in order
        effects = self.push_new()
        if len(self.unproven) > STORED:
            effects.append(Settled(self.unproven.pop(next(iter(self.unproven))), Outcome.SENT))
        return self._out(effects)

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
            effects += self._push_again(now_s)
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
        qos = self.gateway.rules.push_qos
        packet_id, data = self._flow.publish(frames.TOPIC, payload, self._flow_ms(), qos=qos)
        if packet_id:
            due_s = self._clock.monotonic_s() + PUSH_AGAIN_S
            self._pushed[packet_id] = (stored, due_s, 1)
        else:
            _mark_acked(stored)  # nobody acknowledges QoS 0
        return [Transmit(data)]

    def push_fields(self, **fields: Any) -> list[Effect]:
        """Push an envelope."""
        return self.push_payload(self._schema.encode(self._schema.chat(**fields)))

    def echo(self, packet: Publish, mid: int) -> list[Effect]:
        """Push what the account sent back to it. Source: boss 6.3"""
        chat = self._schema.decode(packet.payload).message
        for message in chat.messages:
            message.mid = mid
        return self.push_payload(self._schema.encode(chat))

    # -- login -------------------------------------------------------------------------------

    def _connect(self, packet: Connect) -> list[Effect]:
        """Check a login as the gateway does. Source: boss 10.4 (7)"""
        gateway, violations = self.gateway, self.gateway.violations
        password = (packet.password or b"").decode("utf-8", "replace")
        if len(packet.client_id) != CLIENT_ID_CHARS or not packet.client_id.startswith("ws-"):
            violations["client-id"] += 1
            return [Transmit(self._flow.refuse(2)), *self.close(1000, "client id")]
        if gateway.rules.is_wt2_offered and self._offered not in ("", "mqtt", password):
            violations["subprotocol"] += 1
        is_named = packet.username == f"{self.account.token}|0"
        if not is_named or gateway.refuse_password(self.account, password):
            return self._bad_login()
        return [Transmit(self._flow.accept(self._flow_ms()))]

    def _bad_login(self) -> list[Effect]:
        """Refuse, in the way that the rules say. Source: boss 2.2, 10.4 (7)"""
        how = self.gateway.rules.bad_wt2
        if how == "silent":
            self.is_silent = True
            return []
        if how == "close":
            return self.close(1006, "")
        code = 4 if how == "connack4" else 5
        return [Transmit(self._flow.refuse(code)), *self.close(1000, "login")]

    def _subscribe(self, packet: Subscribe) -> list[Effect]:
        how = self.gateway.rules.suback
        if how == "none":
            return []
        codes = tuple(qos for _, qos in packet.filters) if how == "standard" else ()
        return [Transmit(self._flow.grant(packet.packet_id, codes, self._flow_ms()))]

    def _broken(self, error: TrunklineError) -> list[Effect]:
        self.gateway.violations["stream"] += 1
        return [Noticed("broken-stream", str(error)[:120]), *self.close(1006, "")]

    def _odd(self, oddity: Oddity) -> list[Effect]:
        # An acknowledgement of what was given up is nothing that a client does wrong.
        if oddity.kind != "unknown_packet_id":
            self.gateway.violations[oddity.kind] += 1
        return []

    # -- what the account publishes ----------------------------------------------------------

    def _take(self, packet: Publish) -> list[Effect]:
        violations = self.gateway.violations
        if packet.topic != frames.TOPIC:
            violations["topic"] += 1
        try:
            frame = frames.decode(self._schema, packet.payload)
        except WireMalformed as error:
            violations["payload"] += 1
            return [Noticed(f"rejected:{error.reason}"), *self._acknowledge(packet)]
        if not self._is_present and frame.type != frames.PRESENCE:
            violations["presence-first"] += 1
        if frame.type == frames.PRESENCE:
            return [*self._acknowledge(packet), *self._presence(frame)]
        if frame.type == frames.READ:
            for mark in frame.marks:
                self.account.reads.append((mark.uid, mark.mid))
            return self._acknowledge(packet)
        if frame.type == frames.IQ and frame.iq is not None:
            return [*self._acknowledge(packet), *self._answer(frame.iq)]
        if frame.type == frames.MESSAGES and len(frame.messages) == 1:
            return self._message(packet, frame.messages[0])
        violations["envelope"] += 1
        return self._acknowledge(packet)

    def _acknowledge(self, packet: Publish, extra: bytes = b"") -> list[Effect]:
        if not packet.packet_id:
            return []
        data = self._flow.acknowledge(packet.packet_id, self._flow_ms(), extra=extra)
        return [Transmit(data)] if data else []

    def _presence(self, frame: Frame) -> list[Effect]:
        """Deliver what the account has not got. Source: boss 10.4 (9)"""
        self._is_present = True
        last = int(frame.presence.get("lastMessageId", "0"))
        effects = self.push_fields(
            type=frames.IQ_ANSWER,
            iqResponse={
                "qid": 1, "query": "/message/pull", "results": [{"key": "type", "value": "1"}],
            },
        )  # fmt: skip
        missed = [
            one
            for one in self.account.stored.values()
            if one.mid > last or (one.was_pushed and not one.is_acked)
        ]
        return [*effects, *self._push_stored(missed, is_offline=True)]

    def _push_stored(self, missed: Iterable[Stored], *, is_offline: bool) -> list[Effect]:
        waiting = list(missed)
        effects: list[Effect] = []
        for at in range(0, len(waiting), BATCH):
            batch = waiting[at : at + BATCH]
            messages = [one.fields | {"offline": is_offline} for one in batch]
            chat = self._schema.chat(type=frames.MESSAGES, messages=messages, version="")
            for one in batch:
                one.was_pushed = True
            effects += self.push_payload(self._schema.encode(chat), batch)
        return effects

    def _answer(self, iq: IqAnswer) -> list[Effect]:
        results = [{"key": name, "value": value} for name, value in iq.results.items()]
        answer = {"qid": 1, "query": iq.query, "results": results}
        return self.push_fields(type=frames.IQ_ANSWER, iqResponse=answer)

    # -- messages ----------------------------------------------------------------------------

    def _message(self, packet: Publish, message: ChatMessage) -> list[Effect]:
        """Check a message, store it, and answer. Source: boss 10.4 (11), 10.5"""
        account = self.account
        raw = self._schema.decode(packet.payload).message.messages[0]
        has_source = getattr(raw, "from").HasField("source") and raw.to.HasField("source")
        wrong, peer = self._check(message, has_source=has_source)
        if wrong or peer is None:
            self.gateway.violations[f"message-{wrong}"] += 1
            return self._violated(packet, message)
        if self.refuse(message):
            return self._receipt(packet, message.cmid, 0)
        if packet.is_dup and self.gateway.rules.dedupes_cmid and message.cmid in account.cmids:
            return self._receipt(packet, message.cmid, account.cmids[message.cmid])
        mid = self._keep(packet, message, peer)
        chat = Chat(str(account.uid), "user", str(peer.uid), peer.name)
        words = to_segments(message.body)
        event = MessageReceived(
            chat, Person(str(account.uid)), words, str(mid).encode(), str(mid), self._now_ms()
        )
        return [Received(event), *self.accept(packet, message.cmid, mid)]

    def _keep(self, packet: Publish, message: ChatMessage, peer: Peer) -> int:
        account = self.account
        body: Fields = {"type": message.body.type, "templateId": 1}
        if message.body.type in frames.SPEECH:
            body = to_json(self._schema.decode(packet.payload).message.messages[0].body)
        mid = self.gateway.store(
            account, peer, own_party(account), peer_party(peer), body,
            is_delivered=self.gateway.rules.shows_own, cmid=message.cmid, status=1,
        )  # fmt: skip
        account.cmids[message.cmid] = mid
        account.copies[message.cmid] += 1
        if len(account.cmids) > 10_000:
            account.cmids.popitem(last=False)
        said = message.body.text or (message.body.urls[0] if message.body.urls else "")
        account.heard.append((peer.uid, said))
        return mid

    def refuse(self, message: ChatMessage) -> bool:
        """Whether the platform takes no such message; a world says which."""
        return "######" in message.body.text

    def accept(self, packet: Publish, cmid: int, mid: int) -> list[Effect]:
        """Answer an accepted message; a world may do otherwise. Source: boss 6.3"""
        effects = self._receipt(packet, cmid, mid)
        order = self.gateway.rules.sync
        if order != "off":
            pair = [{"clientMid": cmid, "serverMid": mid}]
            sync = self.push_fields(type=frames.SYNC, messageSync=pair, domain=1)
            effects = [*sync, *effects] if order == "sync_first" else [*effects, *sync]
        if self.gateway.rules.is_echoed_here:
            effects = [*effects, *self.echo(packet, mid)]
        return [*effects, *self.push_new()]

    def _receipt(self, packet: Publish, cmid: int, mid: int) -> list[Effect]:
        """Acknowledge a message in the form that the rules say. Source: boss 2.5, 10.4 (11)"""
        how, ident = self.gateway.rules.puback, packet.packet_id
        pair = _PAIR.pack(cmid, mid)
        if how == "none":
            return []
        if how == "late":
            wait_s = self.gateway.rules.late_ms / 1000
            self.later(wait_s, lambda: self._acknowledge(packet, pair))
            return []
        if how in _ODD:
            self._flow.acknowledge(ident, self._flow_ms())
            return [Transmit(data) for data in _ODD[how](ident, pair)]
        extra = _EXTRAS.get(how, lambda pair: pair)(pair)
        return self._acknowledge(packet, extra)

    def _violated(self, packet: Publish, message: ChatMessage) -> list[Effect]:
        how = self.gateway.rules.on_violation
        if how == "bye":
            self.later(BYE_S, lambda: self.close(1000, "Bye"))
            return []
        if how == "none":
            return []
        return self._acknowledge(packet, _PAIR.pack(message.cmid, 0))

    def _check(self, message: ChatMessage, *, has_source: bool) -> tuple[str, Peer | None]:
        """Return the rule that a message breaks, and whom it is for."""
        rules, account, to = self.gateway.rules, self.account, message.receiver
        is_minimal = not message.sender.uid and not to.uid
        peer = account.find_key(to.name) if is_minimal else account.peers.get((to.uid, to.source))
        now_ms = self._now_ms()
        recent = sum(at > now_ms - 60_000 for at in account.sent_at_ms)
        account.sent_at_ms.append(now_ms)
        highest = max((one["mid"] for one in peer.messages), default=0) if peer is not None else 0
        broken = (
            ("ids", message.mid != message.cmid or message.cmid <= 0),
            ("source", rules.needs_source and not is_minimal and not has_source),
            ("minimal", is_minimal and not rules.allows_minimal),
            ("sender", not is_minimal and message.sender.uid != account.uid),
            ("self", rules.rejects_self and to.uid == account.uid),
            ("peer", peer is None),
            ("key", not is_minimal and peer is not None and to.name not in ("", peer.key)),
            ("mid", rules.needs_mid_above and message.mid <= highest),
            ("empty", rules.rejects_empty and message.body.type == 1 and not message.body.text),
            ("rate", 0 < rules.max_per_minute <= recent),
        )
        return next((name for name, is_broken in broken if is_broken), ""), peer

    # -- pushes ------------------------------------------------------------------------------

    def _acknowledged(self, packet_id: int) -> list[Effect]:
        found = self._pushed.pop(packet_id, None)
        if found is None:
            return []
        # MQTT 3.1.1 4.6: acknowledgements come in the order of the messages.
        if any(ident < packet_id for ident in self._pushed):
            self.gateway.violations["ack-order"] += 1
        _mark_acked(found[0])
        said = (self.unproven.pop(one.mid, None) for one in found[0])
        return [Settled(one, Outcome.CONFIRMED) for one in said if one is not None]

    def _push_again(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        is_dup = self.gateway.rules.marks_dup
        for packet_id, (stored, due_s, times) in list(self._pushed.items()):
            if due_s > now_s or packet_id not in self._flow.in_flight:
                continue
            if times >= PUSHES:
                self._pushed[packet_id] = (stored, now_s + 3600.0, times)
                continue
            self._pushed[packet_id] = (stored, now_s + PUSH_AGAIN_S, times + 1)
            effects.append(
                Transmit(self._flow.redeliver(packet_id, self._flow_ms(), is_dup=is_dup))
            )
        return effects

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
        times = [due_s for _, due_s, _ in self._pushed.values()]
        if self._due:
            times.append(self._due[0][0])
        wake_ms = self._flow.wake_at_ms
        if wake_ms is not None:
            times.append(wake_ms / 1000)
        self.wake_at = min(times, default=None)


def _mark_acked(stored: Sequence[Stored]) -> None:
    for one in stored:
        one.is_acked = True


# What stands behind the packet id. Source: boss 2.5
_EXTRAS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "standard": lambda _pair: b"",
    "one_extra": lambda _pair: b"\x00",
    "two_extra": lambda _pair: b"\x00\x00",
    "ext_protobuf": lambda pair: b"\x08" + pair[:6] + b"\x10" + pair[8:14],
    "ext_zero_mid": lambda pair: pair[:8] + bytes(8),
}
# Packets that no flow writes. Source: boss 10.4 (11)
_ODD: Final[dict[str, Callable[[int, bytes], tuple[bytes, ...]]]] = {
    "ext_nonminimal": lambda ident, pair: (encode(PubAck(ident, pair), has_long_length=True),),
    "wrong_id": lambda ident, pair: (encode(PubAck(ident % 65_535 + 7, pair)),),
    "duplicate": lambda ident, pair: (encode(PubAck(ident, pair)), encode(PubAck(ident, pair))),
    "too_short": lambda _ident, _pair: (b"\x40\x01\x00",),
}
PUBACKS: Final = ("ext", "late", "none", *_EXTRAS, *_ODD)
