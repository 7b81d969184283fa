"""Drives one protocol session, or two that talk to each other, in memory and without a loop.

A `Pump` plays driver, link and exchange for a `bot` session and (optionally) a `platform` session:
it applies effects in order, carries frames between the two, commits what was received, hands back
deliveries, and breaks what can break: cut, drop, double, reorder. It checks what every driver may
rely on: a delivery is settled once, nothing is written to a closed link, nothing is pending after
`lost`. It knows `dialects/contract.py` and no dialect.

    pump = Pump(bot, platform, clock=clock, answer=lambda event: [text("hi")])
    pump.start()                       # begin, dial, linked
    pump.deliver(pump.platform, say)   # hand a delivery to a session
    pump.run()                         # carry frames until all is quiet
    pump.bot.inbox                     # events committed, duplicates left out

Without a platform the test is the peer: `pump.inject(b"…")` is a frame from it and `pump.take()`
returns the frames that the bot has sent to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    Allowance,
    Ask,
    Changed,
    Dial,
    Effects,
    Hangup,
    Head,
    Keep,
    LinkInfo,
    LinkState,
    Noticed,
    Received,
    Seat,
    Session,
    Settled,
    Transmit,
)
from trunkline.errors import LinkLost, TrunklineError
from trunkline.ids import CountingIds, DeliveryId, InboxId, answer_id
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import DurableEvent, Fleeting
from trunkline.model.message import Segments
from trunkline.model.segment import Text

Commit = Literal["at_once", "by_hand"]
Answer = Callable[[DurableEvent], Sequence[Segments]]
Allow = Callable[[Allowance], bool | float]
FINAL = frozenset({Outcome.CONFIRMED, Outcome.REFUSED, Outcome.UNCERTAIN})
MAX_STEPS = 100_000


def text(words: str) -> Segments:
    """Return a message of one text segment."""
    return (Text(words),)


class End:
    """One session with everything it has said so far.

    Attributes:
        effects: every effect, oldest first.
        sent: every frame it transmitted, also those that were lost on the way.
        wire: (frame, is_text) on their way to the peer, oldest first.
        waiting: what was received and is not committed yet; the first `orphans` of it came over a
            link that is gone: it is committed, but neither acknowledged nor answered.
        inbox: events committed, without duplicates; `duplicates` counts those.
        fleeting: events that are never stored.
        settled: the last word on each delivery; `history` has every word.
        pending: deliveries handed in and not settled.
        acknowledged: receipts given back by `stored`, oldest first.
        asks: open tags with their request.
        hangup: how the session closed the link, if it did.
    """

    def __init__(self, name: str, session: Session) -> None:
        self.name = name
        self.session = session
        self.effects: list[Any] = []
        self.sent: list[bytes] = []
        self.wire: deque[tuple[bytes, bool]] = deque()
        self.waiting: deque[Received] = deque()
        self.orphans = 0
        self.inbox: list[DurableEvent] = []
        self.duplicates = 0
        self.fleeting: list[Fleeting] = []
        self.settled: dict[DeliveryId, Settled] = {}
        self.history: list[Settled] = []
        self.pending: dict[DeliveryId, Delivery] = {}
        self.acknowledged: list[Any] = []
        self.asks: dict[Any, Any] = {}
        self.noticed: list[Noticed] = []
        self.kept: bytes | None = None
        self.state = LinkState.OPENING
        self.seat: Seat | None = None
        self.dial: Dial | None = None
        self.hangup: Hangup | None = None
        self.is_linked = False
        self.keys: set[tuple[bytes, str, str, str]] = set()

    def kinds(self) -> list[str]:
        """Return the kinds of everything noticed, oldest first."""
        return [notice.kind for notice in self.noticed]


class Pump:
    """Driver, link and exchange for one session or a pair.

    Args:
        bot: the session under test.
        platform: its peer, or None when the test plays the peer itself.
        clock: the clock that the sessions were made with; `advance` moves it and calls `tick`.
        commit: `at_once` commits after every verb; `by_hand` waits for `commit()`, which a test
            may never call.
        answer: what the bot answers to an event, decided at its commit (an empty list = nothing).
        allow: the answer to `Ask(…, Allowance)`; any other `Ask`, and all when `asks_wait` is
            set, stays open until `answer_ask`.
        find: the answer to every other `Ask`, when given.
        head: of the link, as the bot sees it; by default made from the peer's `Dial`.
        is_text: the opcode of what the sessions transmit (`Traits.is_binary` says otherwise).
    """

    def __init__(
        self,
        bot: Session,
        platform: Session | None = None,
        *,
        clock: FakeClock | None = None,
        commit: Commit = "at_once",
        answer: Answer | None = None,
        allow: Allow = lambda _allowance: True,
        find: Callable[[Any], Any] | None = None,
        head: Head | None = None,
        is_text: bool = True,
    ) -> None:
        self.clock = clock or FakeClock()
        self.bot = End("bot", bot)
        self.platform = End("platform", platform) if platform is not None else None
        self.commit_mode: Commit = commit
        self.answer = answer
        self.allow = allow
        self.find = find
        self.asks_wait = False
        self.head = head
        self.is_text = is_text
        self.ids = CountingIds()
        self._busy = False

    # -- the link --------------------------------------------------------------------------

    def start(self) -> None:
        """Begin both sessions and open the link, the accepting side first."""
        for end in self.ends:
            self._do(end, end.session.begin(end.kept))
        self.link()

    def link(self) -> None:
        """Open the link (again, after `cut` and `replace`)."""
        ends = sorted(self.ends, key=lambda end: end.dial is not None)
        for end in ends:
            end.is_linked = True
        for end in ends:
            if end.is_linked:
                info = LinkInfo(self._head(end), is_dialled=end.dial is not None)
                self._do(end, end.session.linked(info))

    def replace(self, end: End, session: Session) -> None:
        """Put a fresh session in the place of one that was lost; the store is kept."""
        assert not end.is_linked, "cut first"
        end.session = session
        end.state = LinkState.OPENING
        end.seat = end.dial = end.hangup = None
        self._do(end, session.begin(end.kept))

    def cut(self, error: TrunklineError | None = None) -> None:
        """Cut the link: what is on the way is gone, both sessions are told."""
        for end in self.ends:
            end.wire.clear()
        for end in self.ends:
            self._lose(end, error or LinkLost())

    def finish(self, end: End | None = None) -> None:
        """Ask a session to stop."""
        end = end or self.bot
        self._do(end, end.session.finish())

    # -- frames ----------------------------------------------------------------------------

    def inject(self, data: bytes | str, *, is_text: bool = True, into: End | None = None) -> None:
        """Hand a frame of the test's own to a session."""
        end = into or self.bot
        assert end.is_linked, f"{end.name} has no link"
        raw = data.encode() if isinstance(data, str) else data
        self._do(end, end.session.receive(raw, is_text=is_text))

    def take(self, end: End | None = None) -> list[bytes]:
        """Take what a session has put on the wire."""
        end = end or self.bot
        frames = [data for data, _ in end.wire]
        end.wire.clear()
        return frames

    def step(self) -> bool:
        """Carry one frame, the platform's first; return whether there was one."""
        return any(self.carry(end) for end in reversed(self.ends))

    def carry(self, end: End) -> bool:
        """Carry the oldest frame of `end` to its peer; return whether there was one."""
        peer = self.peer(end)
        if peer is None or not end.wire:
            return False
        data, is_text = end.wire.popleft()
        if peer.is_linked:
            self._do(peer, peer.session.receive(data, is_text=is_text))
        return True

    def run(self) -> None:
        """Carry frames until all is quiet."""
        for _ in range(MAX_STEPS):
            if not self.step():
                return
        raise AssertionError("the two sessions never become quiet")

    def drop(self, end: End, nth: int = 0) -> None:
        """Lose the `nth` frame of `end` on the way."""
        del end.wire[nth]

    def double(self, end: End, nth: int = 0) -> None:
        """Deliver the `nth` frame of `end` twice."""
        end.wire.insert(nth, end.wire[nth])

    def reorder(self, end: End, nth: int = 0) -> None:
        """Let the `nth` frame of `end` be overtaken by the one behind it."""
        end.wire[nth], end.wire[nth + 1] = end.wire[nth + 1], end.wire[nth]

    # -- time ------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping wherever a session wants to wake up."""
        until_s = self.clock.monotonic_s() + seconds
        for _ in range(MAX_STEPS):
            due = [
                end
                for end in self.ends
                if end.session.wake_at is not None and end.session.wake_at <= until_s
            ]
            if not due:
                self.clock.advance(max(0.0, until_s - self.clock.monotonic_s()))
                return
            end = min(due, key=lambda one: one.session.wake_at or 0.0)
            wait_s = (end.session.wake_at or 0.0) - self.clock.monotonic_s()
            self.clock.advance(max(0.0, wait_s))
            self._do(end, end.session.tick())
        raise AssertionError("a session's wake_at never moves on")

    # -- the exchange ----------------------------------------------------------------------

    def commit(self, end: End | None = None, count: int | None = None) -> int:
        """Commit what `end` received (at most `count`), acknowledge it, then send the answers."""
        end = end or self.bot
        size = len(end.waiting) if count is None else min(count, len(end.waiting))
        group = [end.waiting.popleft() for _ in range(size)]
        orphans = min(end.orphans, size)
        end.orphans -= orphans
        for received in group[:orphans]:
            self._is_new(end, received.event)  # stored, but nobody is there to be told
        group = group[orphans:]
        fresh = [received.event for received in group if self._is_new(end, received.event)]
        for received in group:
            if received.receipt is not None and end.is_linked:
                end.acknowledged.append(received.receipt)
                self._do(end, end.session.stored(received.receipt))
        if self.answer is not None and end is self.bot:
            for event in fresh:
                inbox = InboxId(self.ids.next())
                for nth, segments in enumerate(self.answer(event)):
                    self.deliver(
                        end,
                        Delivery(
                            answer_id(inbox, nth),
                            event.chat,
                            Say(segments),
                            getattr(event, "context", b""),
                            self.clock.now_ms(),
                        ),
                    )
        return size

    def deliver(self, end: End, delivery: Delivery) -> None:
        """Hand a delivery to a session, if it has a link (else nothing happens)."""
        if not end.is_linked:
            return
        assert delivery.id not in end.pending, "handed in twice"
        end.pending[delivery.id] = delivery
        self._do(end, end.session.send(delivery))

    def say(self, end: End, chat: Chat, words: str | Segments, context: bytes = b"") -> DeliveryId:
        """Hand a message of a person to a session; return its delivery id."""
        ident = DeliveryId(self.ids.next())
        segments = text(words) if isinstance(words, str) else words
        self.deliver(end, Delivery(ident, chat, Say(segments), context, self.clock.now_ms()))
        return ident

    def answer_ask(self, end: End, tag: Any, answer: Any) -> None:
        """Answer an open `Ask`."""
        end.asks.pop(tag)
        self._do(end, end.session.answered(tag, answer))

    # -- inside ----------------------------------------------------------------------------

    @property
    def ends(self) -> list[End]:
        """The sessions: bot, then platform."""
        return [self.bot] if self.platform is None else [self.bot, self.platform]

    def peer(self, end: End) -> End | None:
        """Return the other end, or None."""
        return self.platform if end is self.bot else self.bot

    def _head(self, end: End) -> Head:
        if end is self.bot and self.head is not None:
            return self.head
        dial = next((one.dial for one in self.ends if one.dial is not None), None)
        if dial is None:
            return Head("/", peer="127.0.0.1", is_loopback=True)
        url = urlsplit(dial.url)
        headers = {name.lower(): value for name, value in dial.headers.items()}
        return Head(url.path or "/", dict(parse_qsl(url.query)), headers, "127.0.0.1", True)

    def _do(self, end: End, effects: Effects) -> None:
        """Apply effects in order; commit afterwards, as a beat comes after its reads."""
        for effect in effects:
            end.effects.append(effect)
            self._apply(end, effect)
        if self._busy:
            return
        self._busy = True
        try:
            while self._answer_asks() or self._commit_all():
                pass
        finally:
            self._busy = False

    def _answer_asks(self) -> bool:
        if self.asks_wait:
            return False
        for end in self.ends:
            for tag, request in end.asks.items():
                if type(request) is Allowance:
                    self.answer_ask(end, tag, self.allow(request))
                    return True
                if self.find is not None:
                    self.answer_ask(end, tag, self.find(request))
                    return True
        return False

    def _commit_all(self) -> bool:
        if self.commit_mode != "at_once":
            return False
        return any(self.commit(end) for end in self.ends if end.waiting)

    def _apply(self, end: End, effect: Any) -> None:
        match effect:
            case Transmit():
                assert end.is_linked, f"{end.name} writes to a closed link"
                end.sent.append(effect.data)
                end.wire.append((effect.data, self.is_text))
            case Received():
                if isinstance(effect.event, Fleeting):
                    assert effect.receipt is None, "a fleeting event has no receipt"
                    end.fleeting.append(effect.event)
                else:
                    end.waiting.append(effect)
            case Settled():
                self._settle(end, effect)
            case Changed():
                end.state = effect.state
                end.seat = effect.seat or end.seat
                assert effect.state is not LinkState.READY or end.seat is not None
            case Noticed():
                end.noticed.append(effect)
            case Keep():
                assert len(effect.state) <= 65_536
                end.kept = effect.state
            case Ask():
                assert effect.tag not in end.asks, "a tag is open once"
                end.asks[effect.tag] = effect.request
            case Dial():
                end.dial = effect
            case Hangup():
                assert len(effect.reason.encode()) <= 123
                end.hangup = effect
                self._hang_up(end, effect)
            case _:
                raise AssertionError(f"not an effect: {effect!r}")

    def _settle(self, end: End, settled: Settled) -> None:
        end.history.append(settled)
        before = end.settled.get(settled.delivery_id)
        if settled.delivery_id in end.pending:
            del end.pending[settled.delivery_id]
        else:  # only a late proof may follow, once
            assert before is not None, f"{end.name} settles what it was never given"
            assert before.outcome is Outcome.SENT, f"settled twice: {before} {settled}"
            assert settled.outcome is Outcome.CONFIRMED
        end.settled[settled.delivery_id] = settled

    def _is_new(self, end: End, event: Any) -> bool:
        if event.key is not None:
            key = (event.key, event.chat.account, event.chat.kind, event.chat.id)
            if key in end.keys:
                end.duplicates += 1
                return False
            end.keys.add(key)
        end.inbox.append(event)
        return True

    def _hang_up(self, end: End, effect: Hangup) -> None:
        """A closing handshake: what was written before still arrives, then both are told."""
        peer = self.peer(end)
        while peer is not None and peer.is_linked and end.wire:
            self.carry(end)
        if peer is not None:
            peer.wire.clear()
        error = LinkLost(effect.code, effect.reason)
        self._lose(end, error)
        if peer is not None:
            self._lose(peer, error)

    def _lose(self, end: End, error: TrunklineError) -> None:
        if not end.is_linked:
            return
        end.is_linked = False
        end.orphans = len(end.waiting)
        for tag in list(end.asks):
            self.answer_ask(end, tag, error)
        self._do(end, end.session.lost(error))
        assert not end.pending, f"{end.name} leaves deliveries unsettled: {end.pending}"
