"""What comes in: pushes, each acknowledged after its commit and in the order in which they came.

Every element of a payload is read. What needs nobody's commit is acknowledged at once, but never
before an earlier push. A payload that is none is acknowledged too, and reported with its bytes.
Source: boss 2.8, 6.3, 6.5, MQTT 3.1.1 4.6
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.boss import frames
from trunkline.dialects.boss.account import Account
from trunkline.dialects.boss.asking import Asking
from trunkline.dialects.boss.contacts import Contacts
from trunkline.dialects.boss.frames import ChatMessage, Frame
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.outgoing import Outgoing
from trunkline.dialects.boss.schema import Schema
from trunkline.dialects.boss.session import encode_kept
from trunkline.dialects.boss.translate import Reading, is_own, to_event, to_read
from trunkline.dialects.contract import Ask, DoAnswer, Effect, Keep, Noticed, Received, Transmit
from trunkline.errors import TrunklineError, WireMalformed
from trunkline.model.event import Fleeting, NoticeReceived, RequestReceived
from trunkline.model.segment import Image
from trunkline.wire.mqtt_packets import Publish

PULL: Final = "/message/pull"  # the server's own, after the presence. Source: boss 6.1
MAX_RAW_BYTES: Final = 65_536
ANSWER: Final = "answer"


class Push:
    """A message of the gateway's that waits for its acknowledgement.

    Args:
        packet_id: 0 = nobody waits.
    """

    __slots__ = ("answers", "is_done", "packet_id")

    def __init__(self, packet_id: int) -> None:
        self.packet_id = packet_id
        self.is_done = False
        self.answers: list[DoAnswer] = []  # what the owner allowed to be said to it


class Receiving:
    """The pushes of one link.

    Args:
        acknowledge: `(packet id) → the bytes that acknowledge it`.
    """

    def __init__(
        self,
        *,
        options: BossOptions,
        schema: Schema,
        account: Account,
        contacts: Contacts,
        outgoing: Outgoing,
        asking: Asking,
        clock: Clock,
        acknowledge: Callable[[int], bytes],
    ) -> None:
        self._options = options
        self._schema = schema
        self._account = account
        self._contacts = contacts
        self._outgoing = outgoing
        self._asking = asking
        self._clock = clock
        self._acknowledge = acknowledge
        self._pushes: deque[Push] = deque()  # bounded: the link pauses at 64 events

    def stored(self, push: Push) -> list[Effect]:
        """Acknowledge a push: everything in it is committed. Source: reliability 1"""
        if push.answers:
            # What the owner allowed is durable before the push is: a crash between repeats both.
            return [Ask((ANSWER, (push, one.key)), one) for one in push.answers]
        return self.done(push)

    def past(self, messages: Sequence[ChatMessage]) -> list[Effect]:
        """Take messages of a history answer; nobody waits for an acknowledgement."""
        push = Push(0)
        effects: list[Effect] = []
        for message in messages:
            effects += self._take_message(message, push, is_pushed=False)
        return self._with_receipt(effects, push) if effects else []

    def push(self, packet: Publish) -> list[Effect]:
        """Take a push: every element in order, one acknowledgement. Source: boss 6.5"""
        push = Push(packet.packet_id)
        if packet.packet_id:
            self._pushes.append(push)
        try:
            frame = frames.decode(self._schema, packet.payload)
        except WireMalformed as error:
            effects = self._undecodable(packet.payload, error.reason)
        else:
            effects = self._take_frame(frame, push)
        return self._with_receipt(effects, push)

    def _with_receipt(self, effects: list[Effect], push: Push) -> list[Effect]:
        """Have the last event that is stored carry the receipt; none is: it leaves now.

        Events are committed in order, so with the last one all are.
        """
        for nth in range(len(effects) - 1, -1, -1):
            effect = effects[nth]
            if type(effect) is Received and type(effect.event) is not Fleeting:
                effects[nth] = Received(effect.event, push)
                return effects
        return [*effects, *self.done(push)]

    def done(self, push: Push) -> list[Effect]:
        """Acknowledge what is committed, in the order in which it came. Source: MQTT 3.1.1 4.6"""
        push.is_done = True
        data = b""
        while self._pushes and self._pushes[0].is_done:
            data += self._acknowledge(self._pushes.popleft().packet_id)
        return [Transmit(data)] if data else []

    def _take_frame(self, frame: Frame, push: Push) -> list[Effect]:
        effects: list[Effect] = []
        if frame.is_incomplete:
            effects.append(Noticed("rejected:missing_field", f"payload type {frame.type}"))
        mid = self._account.kept.mid
        for message in frame.messages:
            effects += self._take_message(message, push)
        for pair in frame.pairs:
            effects += self._outgoing.accepted(pair.client_mid, pair.server_mid)
        effects += [Received(to_read(mark, self._account.me)) for mark in frame.marks]
        if frame.iq is not None:
            settled = self._asking.answered(frame.iq)
            if settled is None and frame.iq.query != PULL:
                settled = [Noticed("server-call", frame.iq.query[:75])]
            effects += settled or ()
        if frame.data_sync:
            data = msgspec.json.encode({"type": frame.data_sync})
            effects.append(Received(Fleeting(self._account.own_chat, "data-sync", data)))
        if not frames.MESSAGES <= frame.type <= frames.DATA_SYNC:
            effects.append(Noticed("unknown-payload", f"type {frame.type}"))
        if self._account.kept.mid > mid and any(type(one) is Received for one in effects):
            effects.append(
                Keep(encode_kept(self._account.kept))
            )  # in the same commit as the events
        return effects

    def _take_message(
        self, message: ChatMessage, push: Push, *, is_pushed: bool = True
    ) -> list[Effect]:
        account = self._account
        if message.mid > 1:
            account.saw(message.mid)
        if not message.is_whole:
            return []  # nobody knows from whom it is, to whom, or what
        if is_own(message, account.me):
            settled = self._outgoing.echo(message)
            if settled is not None:
                return settled
        if is_pushed and message.mid > account.kept.mid and account.is_believable(message.mid):
            # What history brings may be ahead of a push that is still to come.
            account.note(mid=message.mid)
        options, now_ms = self._options, self._clock.now_ms()
        event = to_event(
            message, Reading(account.me, self._contacts.get, now_ms, has_key=options.dedupe)
        )
        if isinstance(event, RequestReceived) and (answer := self._allowed(event)) is not None:
            push.answers.append(answer)
        return [Received(event)]

    def _allowed(self, event: RequestReceived) -> DoAnswer | None:
        """Return what the owner allowed to be said at once to a request. Source: guides 6"""
        options = self._options
        picture = options.picture
        if not options.send_resume_image or event.name != "resume" or not picture:
            return None
        now_ms = self._clock.now_ms()
        age_ms = now_ms - (event.at_ms or now_ms)
        if options.stale_after_s and age_ms > options.stale_after_s * 1000:
            return None
        key = f"resume:{event.chat.id}:{event.peer_id or event.at_ms}"
        return DoAnswer(event.chat, (Image(data=picture, name=options.resume_image),), key)

    def said(self, about: tuple[Push, str], answer: Any) -> list[Effect]:
        """What was allowed is queued, or cannot be; then the push is done."""
        push, key = about
        push.answers = [one for one in push.answers if one.key != key]
        failed = isinstance(answer, TrunklineError)
        notice = [Noticed("not-answered", str(answer)[:200])] if failed else []
        return [*notice, *(self.done(push) if not push.answers else ())]

    def _undecodable(self, payload: bytes, reason: str) -> list[Effect]:
        """Report a payload that is none, with its bytes. Source: boss 2.8"""
        raw = base64.b64encode(payload[:MAX_RAW_BYTES]).decode()
        data = msgspec.json.encode({"reason": reason, "bytes": len(payload), "raw": raw})
        key = b"x" + hashlib.blake2b(payload, digest_size=16).hexdigest().encode()
        event = NoticeReceived(self._account.own_chat, "decode-error", data=data, key=key)
        return [Noticed(f"rejected:{reason}", f"{len(payload)} bytes"), Received(event)]
