"""The gateway's side of a link: an account logs in, people's words are pushed to it.

What the account sends is checked as strictly as the rules of the world say (`checking`), stored,
and told to it in every form that was seen or feared (`receipts`). What is pushed is watched until
it is acknowledged (`pushing`); the link itself is `gatelink`. Source: boss 10.3 … 10.6
"""

from __future__ import annotations

from typing import Final

from trunkline.dialects.boss import checking, frames, receipts
from trunkline.dialects.boss.frames import ChatMessage, Frame, IqAnswer
from trunkline.dialects.boss.gatelink import GatewayLink
from trunkline.dialects.boss.gateway import STORED, Peer, own_party, peer_party
from trunkline.dialects.boss.http import Fields
from trunkline.dialects.boss.schema import to_json
from trunkline.dialects.boss.translate import parse_chat_id, to_pieces, to_segments
from trunkline.dialects.contract import (
    Changed,
    Effect,
    Effects,
    LinkInfo,
    LinkState,
    Noticed,
    Received,
    Seat,
    Settled,
    Sharing,
    Transmit,
)
from trunkline.errors import WireMalformed
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived, Person
from trunkline.wire.mqtt_packets import Connect, Publish

BYE_S: Final = 0.15  # Source: boss 10.5


class GatewaySession(GatewayLink):
    """One account's connection, as the gateway has it; made as a `GatewayLink` is."""

    _offered = ""  # the subprotocol of the upgrade

    # -- verbs -------------------------------------------------------------------------------

    def linked(self, info: LinkInfo) -> Effects:
        """Note the upgrade; the login is checked by the first packet."""
        headers = info.head.headers
        self.gateway.upgrades.append(dict(headers))
        self._offered = headers.get("sec-websocket-protocol", info.subprotocol or "")
        account = self.gateway.account(headers.get("cookie", ""))
        if account is None:
            return self.close(1008, "no login")
        self._open(account)
        me = str(account.uid)
        return (Changed(LinkState.READY, Seat(me, me, sharing=Sharing.EACH)),)

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

    # -- login -------------------------------------------------------------------------------

    def _connect(self, packet: Connect) -> list[Effect]:
        """Check a login as the gateway does. Source: boss 10.4 (7)"""
        gateway, violations = self.gateway, self.gateway.violations
        if not checking.is_client_id(packet.client_id):
            violations["client-id"] += 1
            return [Transmit(self._flow.refuse(2)), *self.close(1000, "client id")]
        allowed = ("", "mqtt", checking.password_of(packet))
        if gateway.rules.is_wt2_offered and self._offered not in allowed:
            violations["subprotocol"] += 1
        if not checking.is_login(gateway, self.account, packet):
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
        wrong, peer = checking.broken_rule(
            self.gateway, account, message, self._now_ms(), has_source=has_source
        )
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

    def echo(self, packet: Publish, mid: int) -> list[Effect]:
        """Push what the account sent back to it. Source: boss 6.3"""
        chat = self._schema.decode(packet.payload).message
        for message in chat.messages:
            message.mid = mid
        return self.push_payload(self._schema.encode(chat))

    def _receipt(self, packet: Publish, cmid: int, mid: int) -> list[Effect]:
        """Acknowledge a message in the form that the rules say. Source: boss 2.5, 10.4 (11)"""
        how, ident = self.gateway.rules.puback, packet.packet_id
        pair = receipts.pack_pair(cmid, mid)
        if how == "none":
            return []
        if how == "late":
            wait_s = self.gateway.rules.late_ms / 1000
            self.later(wait_s, lambda: self._acknowledge(packet, pair))
            return []
        odd = receipts.odd_packets(how, ident, pair)
        if odd is not None:
            self._flow.acknowledge(ident, self._flow_ms())
            return [Transmit(data) for data in odd]
        return self._acknowledge(packet, receipts.extra_of(how, pair))

    def _violated(self, packet: Publish, message: ChatMessage) -> list[Effect]:
        how = self.gateway.rules.on_violation
        if how == "bye":
            self.later(BYE_S, lambda: self.close(1000, "Bye"))
            return []
        if how == "none":
            return []
        return self._acknowledge(packet, receipts.pack_pair(message.cmid, 0))
