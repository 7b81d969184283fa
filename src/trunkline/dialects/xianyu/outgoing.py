"""What leaves: one send at a time, at least a gap apart, each with its fate.

A delivery becomes pieces (texts and pictures). Before the first there may be a chat to make, before
a picture an upload. The fate of a piece is the platform's answer, or the echo of our own message;
an answer that says nothing leaves it open until the echo comes or its time is over. Whatever the
owner writes elsewhere matches no piece. Source: xianyu 8, 11
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Final, Literal, TypeVar

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Ask, Effect, Fetch, Fetched, Settled, Transmit
from trunkline.dialects.xianyu.entries import ChatEntry
from trunkline.dialects.xianyu.frames import (
    CREATE_CHAT,
    MARK_READ,
    PNM,
    RECALL,
    SEND,
    Fields,
    Frame,
    Uuids,
    build_request,
    create_chat_body,
    image_payload,
    parse_chat_id,
    parse_send_answer,
    refusal,
    send_body,
    text_payload,
)
from trunkline.dialects.xianyu.http import build_upload, parse_upload, picture_type
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.session import Requests
from trunkline.dialects.xianyu.tokens import Account
from trunkline.dialects.xianyu.translate import decode_context, to_pieces
from trunkline.errors import TrunklineError
from trunkline.ids import Ids
from trunkline.model.delivery import Act, Delivery, Outcome, Say
from trunkline.model.segment import Image

MAX_QUEUED: Final = 200  # Source: xianyu 8 (pace)
FULL_WAIT_S: Final = 5.0
ECHO_WINDOW_S: Final = 120.0  # Source: xianyu 11
REMEMBERED: Final = 512  # registrations, ids seen, partners known
PICTURE_HOSTS: Final = ("alicdn.com", "goofish.com")  # Source: xianyu 8
MAX_PICTURE_BYTES: Final = 10 << 20  # reliability 2
SEND_PURPOSE: Final = "send"
CHAT_PURPOSE: Final = "chat"
ACT_PURPOSE: Final = "act"
K = TypeVar("K")
V = TypeVar("V")
Stage = Literal["queued", "asking", "written", "doubtful"]


class _Act(msgspec.Struct, frozen=True):
    message: str = ""


_act_decoder = msgspec.json.Decoder(_Act)
_ACTS: Final[Mapping[str, str]] = {"read": MARK_READ, "recall": RECALL}


class Job:
    """A delivery on its way.

    Args:
        delivery: what.
        pieces: what is left to send; the first is the one at work.
    """

    __slots__ = (
        "chat", "delivery", "done", "due_s", "item", "partner", "payload", "peer_id", "pieces",
        "stage",
    )  # fmt: skip

    def __init__(self, delivery: Delivery, pieces: list[str | Image]) -> None:
        self.delivery = delivery
        self.pieces = pieces
        self.stage: Stage = "queued"
        self.chat = ""
        self.partner = ""
        self.item = ""
        self.payload: Fields | None = None
        self.peer_id = ""
        self.done = 0
        self.due_s = 0.0


class _Registered:
    """A piece that is written: its own echo will come. Source: xianyu 11"""

    __slots__ = ("at_s", "chat", "job", "words")

    def __init__(self, chat: str, words: str, at_s: float, job: Job | None) -> None:
        self.chat = chat
        self.words = words
        self.at_s = at_s
        self.job = job


class Outgoing:
    """The deliveries of one link."""

    def __init__(
        self, options: XianyuOptions, account: Account, requests: Requests, clock: Clock, ids: Ids
    ) -> None:
        self._options = options
        self._account = account
        self._requests = requests
        self._clock = clock
        self._ids = ids
        self._uuids = Uuids()
        self._queue: deque[Job] = deque()
        self._current: Job | None = None
        self._doubtful: list[Job] = []
        self._free_at_s = 0.0
        self._registered: deque[_Registered] = deque(maxlen=REMEMBERED)
        self._own_ids: OrderedDict[str, None] = OrderedDict()
        self._partners: OrderedDict[str, str] = OrderedDict()
        self._chats: OrderedDict[tuple[str, str], str] = OrderedDict()

    @property
    def wake_at(self) -> float | None:
        """When something is to be done."""
        times = [job.due_s for job in self._doubtful]
        if self._current is None and self._queue:
            times.append(self._free_at_s)
        return min(times, default=None)

    # -- in ----------------------------------------------------------------------------------

    def take(self, delivery: Delivery) -> list[Effect]:
        """Take a delivery; it is settled now or later."""
        what = delivery.what
        if type(what) is Act:
            return self._act(delivery, what)
        if type(what) is not Say:
            return [_refused(delivery, "闲鱼 cannot carry this")]
        if delivery.chat.kind not in ("chat", "user"):
            return [_refused(delivery, f"闲鱼 has no {delivery.chat.kind!r} chats to send to")]
        pieces = to_pieces(what.segments)
        if not pieces:
            return [_refused(delivery, "nothing in it that the platform could show")]
        if len(self._queue) >= MAX_QUEUED:
            return [Settled(delivery.id, Outcome.LATER, wait_s=FULL_WAIT_S)]
        self._queue.append(Job(delivery, pieces))
        return self.work()

    def know(self, chat: str, partner: str) -> None:
        """Remember who is on the other side of a chat."""
        if chat and partner:
            _remember(self._partners, chat, partner)

    def work(self) -> list[Effect]:
        """Do what is due, and begin the next piece when the gap is over."""
        effects: list[Effect] = []
        now_s = self._clock.monotonic_s()
        for job in [job for job in self._doubtful if job.due_s <= now_s]:
            self._doubtful.remove(job)
            self._forget(job)
            effects.append(_unclear(job, "no answer, and its echo did not come"))
        while self._current is None and self._queue and self._free_at_s <= now_s:
            self._current = self._queue.popleft()
            effects += self._step(self._current)
        return effects

    # -- one piece ---------------------------------------------------------------------------

    def _step(self, job: Job) -> list[Effect]:
        """Send the next piece of the current job, or do what it needs first."""
        if not job.chat and (effects := self._address(job)) is not None:
            return effects
        piece = job.pieces[0]
        if job.payload is None:
            if isinstance(piece, str):
                job.payload = text_payload(piece)
            elif (effects := self._prepare(job, piece)) is not None:
                return effects
        payload = job.payload or {}
        now_s = self._clock.monotonic_s()
        about = (job, job.done)
        mid = self._requests.begin(SEND_PURPOSE, self._options.request_timeout_s, about)
        kind = self._options.picture_type if isinstance(piece, Image) else 1
        me = self._account.me
        uuid = self._uuids.make(self._clock.now_ms())
        body = send_body(job.chat, job.partner, me, uuid, payload, kind)
        job.stage = "written"
        self._registered.append(_Registered(job.chat, _words_of(payload), now_s, job))
        self._free_at_s = now_s + self._options.send_gap_s
        return [Transmit(build_request(SEND, body, mid))]

    def _address(self, job: Job) -> list[Effect] | None:
        """Find chat and partner; return effects when that takes longer, or ends it."""
        chat = job.delivery.chat
        context = decode_context(job.delivery.context)
        if chat.kind == "chat":
            partner = context.partner or self._partners.get(chat.id, "")
            if not partner:
                return self._end(_refused(job.delivery, "who is in this chat is not known yet"))
            job.chat, job.partner = chat.id, partner
            return None
        # `shop/user:1?item=9` is a conversation of its own.
        job.partner, _, item = chat.id.partition("?item=")
        job.item = item or context.item
        known = self._chats.get((job.partner, job.item))
        if known is not None:
            job.chat = known
            return None
        if not job.item:
            why = "a chat is about an item: write user:ID?item=ITEM"
            return self._end(_refused(job.delivery, why))
        job.stage = "asking"
        mid = self._requests.begin(CHAT_PURPOSE, self._options.request_timeout_s, job)
        body = create_chat_body(job.partner, self._account.me, job.item)
        return [Transmit(build_request(CREATE_CHAT, body, mid))]

    def _prepare(self, job: Job, picture: Image) -> list[Effect] | None:
        if not picture.data and _is_on_platform(picture.url):
            job.payload = image_payload(picture.url, 800, 600)
            return None
        job.stage = "asking"
        if not picture.data:
            return [Ask(("picture", job), Fetch("GET", picture.url, max_bytes=MAX_PICTURE_BYTES))]
        return self._upload(job, picture.data, picture.name)

    def _upload(self, job: Job, data: bytes, name: str) -> list[Effect]:
        if not picture_type(data) or len(data) > MAX_PICTURE_BYTES:
            return self._end(_refused(job.delivery, "not a picture of at most 10 MiB"))
        options, account = self._options, self._account
        fetch = build_upload(
            options.upload_url, data, name, self._ids.token(), account.kept.cookies,
            options.user_agent,
        )  # fmt: skip
        return [Ask(("upload", job), fetch)]

    # -- answers -----------------------------------------------------------------------------

    def fetched(self, what: str, job: Job, answer: Fetched | TrunklineError) -> list[Effect]:
        """Take a picture that was fetched, or the answer to its upload."""
        if job is not self._current:
            return []
        return [*self._take_fetched(what, job, answer), *self.work()]

    def _take_fetched(self, what: str, job: Job, answer: Fetched | TrunklineError) -> list[Effect]:
        if not isinstance(answer, Fetched):
            return self._end(_refused(job.delivery, f"the picture: {answer}"[:300]))
        picture = job.pieces[0]
        if what == "picture":
            if answer.status != 200:
                return self._end(_refused(job.delivery, f"the picture: HTTP {answer.status}"))
            name = picture.name if isinstance(picture, Image) else ""
            return self._upload(job, answer.body, name)
        uploaded = parse_upload(answer)
        if uploaded is None:
            why = "the platform did not take the picture; the cookies may be dead"
            return self._end(_refused(job.delivery, why))
        job.payload = image_payload(uploaded.url, uploaded.width, uploaded.height)
        return self._step(job)

    def made(self, job: Job, frame: Frame | None) -> list[Effect]:
        """Take the chat that was made. Nothing of the message is written yet."""
        if job is not self._current:
            return []
        return [*self._take_made(job, frame), *self.work()]

    def _take_made(self, job: Job, frame: Frame | None) -> list[Effect]:
        if frame is None:
            return self._end(Settled(job.delivery.id, Outcome.LATER, wait_s=FULL_WAIT_S))
        chat = parse_chat_id(frame.body)
        why = refusal(frame)
        if why or not chat:
            said = why or frame.header_error or f"code {frame.code}"
            return self._end(_refused(job.delivery, f"no chat: {said}"))
        job.chat = chat
        _remember(self._chats, (job.partner, job.item), chat)
        self.know(chat, job.partner)
        return self._step(job)

    def answered(self, job: Job, nth: int, frame: Frame | None) -> list[Effect]:
        """Take the answer to a send of the `nth` piece; None = there was none in time."""
        if job is not self._current or job.stage != "written" or job.done != nth:
            return []  # its echo was faster
        return [*self._take_answer(job, frame), *self.work()]

    def _take_answer(self, job: Job, frame: Frame | None) -> list[Effect]:
        told = parse_send_answer(frame) if frame is not None else None
        if told is not None and told.outcome == "rejected":
            self._forget(job)
            before = f"piece {job.done + 1}, earlier ones arrived: " if job.done else ""
            return self._end(_refused(job.delivery, before + told.detail))
        if told is not None and told.outcome == "accepted":
            return self._arrived(job, told.pnm)
        # The message may have arrived: its echo can still say so. Source: xianyu 8
        job.stage = "doubtful"
        job.due_s = self._clock.monotonic_s() + self._options.echo_wait_s
        self._doubtful.append(job)
        self._current = None
        return []

    def echo(self, entry: ChatEntry) -> list[Effect] | None:
        """Return what an own message settles, or None when a person wrote it elsewhere.

        Source: xianyu 11 (echo_matching)
        """
        ident = entry.pnm or entry.message_id
        found = self._find(entry)
        if ident and ident in self._own_ids:
            if found is not None and found.job is None:
                self._registered.remove(found)
            return []
        if found is None:
            return None
        self._registered.remove(found)
        if ident:
            _remember(self._own_ids, ident, None)
        job = found.job
        if job is None:
            return []
        if job in self._doubtful:
            self._doubtful.remove(job)
        return [*self._arrived(job, ident), *self.work()]

    def _find(self, entry: ChatEntry) -> _Registered | None:
        oldest_s = self._clock.monotonic_s() - ECHO_WINDOW_S
        words = entry.content.text
        if entry.content.images:
            words = entry.content.images[0].url
        for one in self._registered:
            if one.at_s > oldest_s and one.chat == entry.chat and one.words == words:
                return one
        return None

    def _arrived(self, job: Job, pnm: str) -> list[Effect]:
        """A piece is there; the next of its job goes first, after the gap."""
        if pnm:
            _remember(self._own_ids, pnm, None)
        for one in self._registered:
            if one.job is job:
                one.job = None  # its echo is still to come, and settles nothing
        job.pieces.pop(0)
        job.payload = None
        job.done += 1
        job.peer_id = pnm or job.peer_id
        if job is self._current:
            self._current = None
        if not job.pieces:
            return [Settled(job.delivery.id, Outcome.CONFIRMED, peer_id=job.peer_id)]
        job.stage = "queued"
        self._queue.appendleft(job)
        return []

    def _end(self, settled: Settled) -> list[Effect]:
        self._current = None
        return [settled]

    def _forget(self, job: Job) -> None:
        for one in [one for one in self._registered if one.job is job]:
            self._registered.remove(one)

    # -- the rest ----------------------------------------------------------------------------

    def _act(self, delivery: Delivery, act: Act) -> list[Effect]:
        """Mark as read or recall: `{"message": PNM id}`. Source: xianyu 8"""
        lwp = _ACTS.get(act.name)
        try:
            message = _act_decoder.decode(act.data).message
        except msgspec.DecodeError:
            message = ""
        if lwp is None or not message.endswith(PNM):
            return [_refused(delivery, f"闲鱼 has no action {act.name!r} with this data")]
        mid = self._requests.begin(ACT_PURPOSE, self._options.request_timeout_s)
        body = [[message]] if lwp == MARK_READ else [message]
        return [Transmit(build_request(lwp, body, mid)), Settled(delivery.id, Outcome.SENT)]

    def lost(self) -> list[Effect]:
        """Settle everything: what was written is unclear, the rest waits for the next link."""
        effects: list[Effect] = []
        jobs = [*self._doubtful, *([self._current] if self._current else []), *self._queue]
        self._doubtful, self._current = [], None
        self._queue.clear()
        for job in jobs:
            if job.done or job.stage in ("written", "doubtful"):
                effects.append(_unclear(job, "the link ended before the answer"))
            else:
                effects.append(Settled(job.delivery.id, Outcome.LATER))
        return effects


def _words_of(payload: Fields) -> str:
    if payload.get("contentType") == 1:
        return payload["text"]["text"]
    return payload["image"]["pics"][0]["url"]


def _is_on_platform(url: str) -> bool:
    host = url.partition("://")[2].partition("/")[0].partition(":")[0].lower()
    return any(host == name or host.endswith("." + name) for name in PICTURE_HOSTS)


def _remember(known: OrderedDict[K, V], key: K, value: V) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)


def _refused(delivery: Delivery, why: str) -> Settled:
    return Settled(delivery.id, Outcome.REFUSED, detail=why)


def _unclear(job: Job, why: str) -> Settled:
    return Settled(job.delivery.id, Outcome.UNCERTAIN, peer_id=job.peer_id, detail=why)
