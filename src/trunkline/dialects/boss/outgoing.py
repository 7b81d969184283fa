"""What leaves: texts and pictures, one at a time in a chat, each with its fate.

A delivery becomes pieces. Before the first it may be asked who the peer is, before a picture it is
uploaded. A piece is *written*; the gateway's packet says that it is *acknowledged*; only its long
form, the pair of ids that is pushed, or our own echo say that it is *accepted*. Nothing is written
twice: what has no answer is told as uncertain, and `proofs` knows it when one comes after all.
Source: boss 6.2, 6.3, 6.4
"""

from __future__ import annotations

import struct
from collections import OrderedDict, deque
from typing import Final, Protocol

from trunkline.clock import Clock
from trunkline.dialects.boss import frames, http
from trunkline.dialects.boss.account import Account
from trunkline.dialects.boss.contacts import Contacts
from trunkline.dialects.boss.frames import ChatMessage, Sender
from trunkline.dialects.boss.http import Contact, Fate, Uploaded
from trunkline.dialects.boss.job import Job
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.proofs import Proofs
from trunkline.dialects.boss.schema import Schema
from trunkline.dialects.boss.translate import (
    KEY,
    USER,
    decode_context,
    parse_chat_id,
    quote_of,
    to_pieces,
)
from trunkline.dialects.contract import (
    Ask,
    Effect,
    Fetch,
    Fetched,
    Noticed,
    Settled,
)
from trunkline.errors import TrunklineError
from trunkline.ids import Ids
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.segment import Image

MAX_QUEUED: Final = 200
FULL_WAIT_S: Final = 5.0
CALL_WAIT_S: Final = 60.0  # after a call that the site refused: it must not be asked again soon
MAX_DOUBTS: Final = 20
MAX_PICTURE_BYTES: Final = 10 << 20  # reliability 2
RECEIPT: Final = struct.Struct(">QQ")  # our id, the server's id. Source: boss 2.5


class Publish(Protocol):
    """Writes a payload; `is_repeat` marks it as written before."""

    def __call__(self, payload: bytes, /, *, is_repeat: bool = False) -> tuple[int, list[Effect]]:
        """Return the packet's id and what is to be done."""
        ...


class Outgoing:
    """The messages of one link.

    Args:
        publish: how a payload leaves.
    """

    def __init__(
        self,
        options: BossOptions,
        schema: Schema,
        account: Account,
        contacts: Contacts,
        clock: Clock,
        ids: Ids,
        publish: Publish,
    ) -> None:
        self._options = options
        self._schema = schema
        self._account = account
        self._contacts = contacts
        self._clock = clock
        self._ids = ids
        self._publish = publish
        self._lanes: OrderedDict[str, deque[Job]] = OrderedDict()
        self._by_packet: dict[int, Job] = {}
        self._by_cmid: dict[int, Job] = {}
        self._proofs = Proofs(account)

    @property
    def wake_at(self) -> float | None:
        """When something is to be done."""
        heads = (lane[0] for lane in self._lanes.values())
        return min((job.due_s for job in heads if job.stage != "asking"), default=None)

    # -- in ----------------------------------------------------------------------------------

    def say(self, delivery: Delivery, what: Say) -> list[Effect]:
        """Take a message; it is settled now or later."""
        chat = delivery.chat
        if chat.kind not in (USER, KEY):
            return [refused(delivery, f"Boss直聘 has no {chat.kind!r} chats to send to")]
        if chat.kind == USER and not parse_chat_id(chat.id)[0]:
            return [refused(delivery, f"{chat.id[:40]!r} is not the number of a person")]
        pieces = to_pieces(what.segments)
        if not pieces:
            return [refused(delivery, "nothing in it that the platform could show")]
        if sum(map(len, self._lanes.values())) >= MAX_QUEUED:
            return [Settled(delivery.id, Outcome.LATER, wait_s=FULL_WAIT_S)]
        job = Job(delivery, pieces, quote_of(what.segments))
        self._lanes.setdefault(job.lane, deque()).append(job)
        return self.work()

    def work(self) -> list[Effect]:
        """Do what is due: begin the next piece of each chat, give up what has no answer."""
        effects: list[Effect] = []
        now_s = self._clock.monotonic_s()
        for lane in list(self._lanes.values()):
            while lane and lane[0].stage != "asking" and lane[0].due_s <= now_s:
                job = lane[0]
                effects += self._step(job) if job.stage == "queued" else self._overdue(job)
                if lane and lane[0] is job and job.stage == "queued" and job.due_s <= now_s:
                    break  # nothing moved; never round and round
        return effects

    # -- one piece ---------------------------------------------------------------------------

    def _step(self, job: Job) -> list[Effect]:
        """Write the next piece of a job, or ask what it needs first."""
        if job.sender is None and (effects := self._address(job)) is not None:
            return effects
        piece = job.pieces[0]
        if isinstance(piece, Image) and job.uploaded is None:
            return self._prepare(job, piece)
        return self._write(job, piece)

    def _address(self, job: Job) -> list[Effect] | None:
        """Find out how to address the peer; return effects when that takes longer."""
        chat = job.delivery.chat
        if chat.kind == KEY:
            job.sender = Sender(0, 0, chat.id)  # Source: boss 3 (minimal)
            job.contact = Contact(0, chat.id)
            return None
        uid, source = parse_chat_id(chat.id)
        contact = self._contacts.get(uid, source)
        if contact is None or not contact.key:
            context = decode_context(job.delivery.context)
            if context.key:
                contact = Contact(uid, context.key, context.security_id, source)
                self._contacts.know((contact,))
            elif not job.is_looked_up and self._options.side == "geek":
                # No source has the list of the recruiter's side. Source: boss 7
                job.is_looked_up = True
                call = self._account.caller.get(http.CONTACTS, friendIds=uid)
                return self._ask(job, "contact", call)
        # Nobody knows the key: the number alone must do, and the answer says whether it did.
        job.contact = contact or Contact(uid, source=source)
        job.sender = Sender(self._account.me, uid, job.contact.key, source)
        return None

    def _prepare(self, job: Job, picture: Image) -> list[Effect]:
        if not picture.data:
            fetch = Fetch("GET", picture.url, max_bytes=MAX_PICTURE_BYTES)
            return self._ask(job, "picture", fetch)
        if not http.picture_type(picture.data) or len(picture.data) > MAX_PICTURE_BYTES:
            return self._end(job, refused(job.delivery, "not a picture of at most 10 MiB"))
        contact = job.contact or Contact(0)
        if job.upload_id is None and contact.key and self._options.side == "geek":
            # The security id of uploads is another one than that of the chat. Source: boss 3
            call = http.peer_call(self._account.caller, contact)
            return self._ask(job, "peer", call)
        return self._quick(job, picture.data)

    def _quick(self, job: Job, data: bytes) -> list[Effect]:
        """Ask whether the platform has the picture already. Source: boss 6.4 (1)"""
        form = {
            "fileMd5": http.md5(data),
            "fileSize": len(data),
            "source": "chat_file",
            "securityId": _upload_id(job),
        }
        return self._ask(job, "quick", self._account.caller.post(http.QUICK_UPLOAD, form))

    def _upload(self, job: Job, data: bytes, name: str) -> list[Effect]:
        fields = {"securityId": _upload_id(job), "source": "chat_file"}
        picture = http.Picture(data, name)
        caller = self._account.caller
        return self._ask(
            job, "upload", caller.upload(http.UPLOAD, fields, picture, self._ids.token())
        )

    def _ask(self, job: Job, what: str, call: Fetch) -> list[Effect]:
        job.stage = "asking"
        return [Ask((what, job), call)]

    def _write(self, job: Job, piece: str | Image) -> list[Effect]:
        sender = job.sender or Sender(0, 0)
        kept = self._account.kept
        earlier = kept.unclear.get(str(job.delivery.id), 0) if not job.done else 0
        cmid = earlier or self._account.next_mid()
        now_ms = self._clock.now_ms()
        if isinstance(piece, str):
            quote = job.quote if not job.done else 0
            payload = frames.encode_text(self._schema, sender, piece, cmid, now_ms, quote)
        else:
            uploaded = job.uploaded or Uploaded(piece.url, piece.url, 1, 1)
            payload = frames.encode_picture(self._schema, sender, uploaded, cmid, now_ms)
        packet_id, effects = self._publish(payload, is_repeat=bool(earlier))
        job.stage = "written"
        job.cmid, job.packet_id, job.is_acked = cmid, packet_id, False
        job.due_s = self._clock.monotonic_s() + self._options.accept_timeout_s
        self._by_packet[packet_id] = job
        self._by_cmid[cmid] = job
        if earlier:
            left = {name: one for name, one in kept.unclear.items() if one != earlier}
            self._account.note(unclear=left)
        return effects

    # -- answers -----------------------------------------------------------------------------

    def fetched(self, what: str, job: Job, answer: Fetched | TrunklineError) -> list[Effect]:
        """Take the answer to what a job asked."""
        lane = self._lanes.get(job.lane)
        if not lane or lane[0] is not job or job.stage != "asking":
            return []
        job.stage = "queued"
        return [*self._take_fetched(what, job, answer), *self.work()]

    def _take_fetched(self, what: str, job: Job, answer: Fetched | TrunklineError) -> list[Effect]:
        if what == "picture":
            return self._take_picture(job, answer)
        told = http.parse_answer(answer)
        if told.fate in (Fate.LOGIN_OVER, Fate.RISK):
            later = Settled(job.delivery.id, Outcome.LATER, wait_s=CALL_WAIT_S)
            return self._end(job, later)  # nothing was written; the line parks
        if what == "contact":
            if told.fate is not Fate.OK:
                # Without the key the platform might refuse for good what was only asked too soon.
                wait_s = FULL_WAIT_S if told.fate is Fate.NETWORK else CALL_WAIT_S
                return self._end(job, Settled(job.delivery.id, Outcome.LATER, wait_s=wait_s))
            self._contacts.know(http.parse_contacts(told))
        elif what == "peer":
            job.upload_id = http.parse_upload_id(told)
        else:
            return self._take_uploaded(what, job, told)
        return self._step(job)

    def _take_uploaded(self, what: str, job: Job, told: http.Answer) -> list[Effect]:
        uploaded = http.parse_upload(told)
        if uploaded is not None:
            job.uploaded = uploaded
            return self._step(job)
        picture = job.pieces[0]
        if what == "quick" and isinstance(picture, Image):
            return self._upload(job, picture.data, picture.name)
        why = told.detail or "the platform did not take the picture"
        return self._end(job, refused(job.delivery, f"the picture: {why}"[:300]))

    def _take_picture(self, job: Job, answer: Fetched | TrunklineError) -> list[Effect]:
        picture = job.pieces[0]
        if not isinstance(answer, Fetched) or answer.status != 200:
            why = f"HTTP {answer.status}" if isinstance(answer, Fetched) else str(answer)
            return self._end(job, refused(job.delivery, f"the picture: {why}"[:300]))
        name = picture.name if isinstance(picture, Image) else ""
        job.pieces[0] = Image(data=answer.body, name=name)
        return (
            self._step(job)
            if answer.body
            else self._end(job, refused(job.delivery, "the picture: nothing at its address"))
        )

    def acknowledged(self, packet_id: int, extra: bytes) -> list[Effect]:
        """Take the gateway's acknowledgement of one of our packets. Source: boss 2.5"""
        job = self._by_packet.pop(packet_id, None)
        if job is None:
            cmid, mid = RECEIPT.unpack(extra) if len(extra) == RECEIPT.size else (0, 0)
            return self.accepted(cmid, mid) if mid else []  # too late, but a proof
        if len(extra) == RECEIPT.size:
            cmid, mid = RECEIPT.unpack(extra)
            if cmid == job.cmid:
                if mid:
                    return self.accepted(cmid, mid)
                self._forget(job)
                before = f"piece {job.done + 1}, earlier ones arrived: " if job.done else ""
                why = f"{before}the platform did not take it"
                return [*self._end(job, refused(job.delivery, why)), *self.work()]
            job.is_acked = True
            return [Noticed("foreign-receipt", "an acknowledgement names another message")]
        job.is_acked = True
        return []

    def accepted(self, cmid: int, mid: int) -> list[Effect]:
        """Take the server's id of one of our messages. Source: boss 6.3"""
        job = self._by_cmid.get(cmid)
        if job is not None:
            return [*self._arrived(job, mid), *self.work()]
        return self._proofs.prove(cmid, mid)

    def echo(self, message: ChatMessage) -> list[Effect] | None:
        """Return what an own message settles; None = this link did not write it."""
        cmid = message.cmid
        if not cmid or (cmid not in self._by_cmid and cmid not in self._proofs):
            return None
        if self._proofs.forget_unclear(cmid, message.mid):
            return None  # the exchange knows the row that it proves
        return self.accepted(cmid, message.mid) if message.mid > 1 else []

    def _arrived(self, job: Job, mid: int) -> list[Effect]:
        """A piece is there; the next of its job follows after the gap."""
        self._account.saw(mid)
        self._forget(job)
        self._proofs.note(job.cmid, mid)
        job.peer_id = str(mid)
        return self._next(job)

    def _next(self, job: Job) -> list[Effect]:
        job.pieces.pop(0)
        job.uploaded = None
        job.done += 1
        job.stage = "queued"
        if job.pieces:
            job.due_s = self._clock.monotonic_s() + self._options.send_gap_s
            return []
        outcome = Outcome.CONFIRMED if job.is_proven else Outcome.SENT
        return self._end(job, Settled(job.delivery.id, outcome, peer_id=job.peer_id))

    def _overdue(self, job: Job) -> list[Effect]:
        """Nobody said in time that a piece was accepted. Source: boss 6.2 (4, 5), design 5"""
        self._forget(job)
        self._proofs.note(job.cmid, 0)
        if job.is_acked:
            job.is_proven = False
            if len(job.pieces) == 1 and not job.done:
                self._proofs.note_sent(job.cmid, job.delivery)
            return self._next(job)
        self._note_unclear(job)
        return self._end(job, _unclear(job, "no answer; it is not sent again by itself"))

    def _note_unclear(self, job: Job) -> None:
        chat = job.delivery.chat
        if chat.kind == USER:
            doubts = self._account.kept.doubts | {str(job.cmid): chat.id}
            self._account.note(doubts=dict(list(doubts.items())[-MAX_DOUBTS:]))
        what = job.delivery.what
        if isinstance(what, Say):
            now_ms = self._clock.now_ms()
            self._proofs.note_unclear(job.cmid, chat, what.segments, now_ms)

    def _end(self, job: Job, settled: Settled) -> list[Effect]:
        lane = self._lanes.get(job.lane)
        if lane and lane[0] is job:
            lane.popleft()
            if not lane:
                del self._lanes[job.lane]
        return [settled]

    def _forget(self, job: Job) -> None:
        self._by_packet.pop(job.packet_id, None)
        self._by_cmid.pop(job.cmid, None)

    # -- the end -----------------------------------------------------------------------------

    def lost(self) -> list[Effect]:
        """Settle everything: what was written is unclear, the rest waits for the next link."""
        effects: list[Effect] = []
        unclear = dict(self._account.kept.unclear)
        for lane in self._lanes.values():
            effects += [self._settle_lost(job, unclear) for job in lane]
        self._lanes.clear()
        self._by_packet.clear()
        self._by_cmid.clear()
        self._account.note(unclear=dict(list(unclear.items())[-64:]))
        return effects

    def _settle_lost(self, job: Job, unclear: dict[str, int]) -> Settled:
        delivery = job.delivery
        if job.stage != "written" and not job.done:
            return Settled(delivery.id, Outcome.LATER)
        if job.stage == "written" and job.is_acked and len(job.pieces) == 1:
            return Settled(delivery.id, Outcome.SENT, peer_id=job.peer_id)
        if self._options.resend == "dup" and not job.done and not job.is_acked:
            unclear[str(delivery.id)] = job.cmid
            why = "the link ended before the answer; it is sent once more with the same id"
            return Settled(delivery.id, Outcome.UNCERTAIN, detail=why, is_repeatable=True)
        if job.stage == "written":
            self._note_unclear(job)
        return _unclear(job, "the link ended before the answer")


def _upload_id(job: Job) -> str:
    return job.upload_id or (job.contact.security_id if job.contact is not None else "")


def refused(delivery: Delivery, why: str) -> Settled:
    """Return that a delivery was refused, and why."""
    return Settled(delivery.id, Outcome.REFUSED, detail=why)


def _unclear(job: Job, why: str) -> Settled:
    before = f"piece {job.done + 1}, earlier ones arrived: " if job.done else ""
    return Settled(job.delivery.id, Outcome.UNCERTAIN, detail=before + why)
