"""One peer of the product, with its memory.

A peer runs a fresh session of its dialect on each link and keeps across links what a platform
keeps: what was not acknowledged, what it has seen, and the state that its session asked it to
keep. Everything that it is told goes to the ledger before it acts on it.

What a peer sends again has the id and the time of the first copy. A dialect without receipts
takes the answer for one. After `REPEATS` links it gives a question up, as platforms do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

from trunkline.dialects.contract import (
    Actor,
    Changed,
    Effects,
    Hangup,
    Keep,
    LinkState,
    Received,
    Session,
    Settled,
    Transmit,
)  # fmt: skip
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say, What
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text
from trunkline.model.segment import Text

from .bare import BareLink, Cut
from .ledger import Answer
from .stage import Plan, Question, StampedClock
from .ways import Way

REPLY: Final = "re:"
MANNERS: Final = frozenset({
    "redeliver-14", "reorder", "leave", "stop-reading", "late", "echo-own",
})  # fmt: skip
WINDOW: Final = 4  # questions of one chat without an answer on one link
REPEATS: Final = 6
STEP_S: Final = 0.25  # a peer looks at the stage at least so often
LATE_S: Final = 0.3
STOP_READING_S: Final = 0.6
LEAVE_S: Final = 5.0  # by then the product has noticed that the peer has left
CUT: Final = 1006  # ends without a word
_FOURTEEN: Final = 14  # a platform was seen to deliver so often (reliability 7)


class Peer:
    """One peer.

    Args:
        name: begins all that it says; none begins another's.
        way: how it comes to its links.
        chance: of this peer alone, so that a seed repeats what it wants to do.
        manners: what it does besides talking.
        clock: that of its sessions.
        echo: what it sends back for a message, with the manner `echo-own`.
    """

    def __init__(
        self,
        name: str,
        actor: Actor,
        plan: Plan,
        chance: random.Random,
        *,
        way: Way,
        manners: frozenset[str],
        clock: StampedClock,
        echo: Callable[[MessageReceived], What | None],
    ) -> None:
        self.name = name
        self.way = way
        self._actor = actor
        self._plan = plan
        self._chance = chance
        self.manners = manners
        self._clock = clock
        self._echo = echo
        self._rate = actor.rate or plan.rate
        self._kept: bytes | None = None
        self._said = 0
        self._next_chat = 0
        self._life = 0
        self._said_in_life = 0
        self._next_s = 0.0
        self._open: dict[DeliveryId, Question] = {}  # not acknowledged or not answered
        self._of_words: dict[str, Question] = {}
        self._seen: set[str] = set()
        self._last: list[Question] = []
        self._link: BareLink | None = None
        self._session: Session | None = None
        self._held: list[bytes] = []
        self._receipts: list[Any] = []
        self._echoes: list[tuple[Chat, What]] = []
        self._is_ready = False
        self._leaves_after = 0

    async def run(self) -> None:
        """Talk until the stage closes and everything is finished."""
        stage = self._plan.stage
        await stage.wait(0)
        while True:
            life = stage.life
            try:
                await self._visit()
            except Cut:
                pass
            else:
                return
            if self.way.dials and stage.life == life and not await self._is_served():
                await stage.wait(life)

    async def _is_served(self) -> bool:
        """Whether the product that cut us listens still."""
        try:
            address = self._plan.stage.url.removeprefix("ws://").rpartition(":")
            _, writer = await asyncio.open_connection(address[0], int(address[2] or 0))
        except (OSError, ValueError):
            return False
        writer.close()
        await asyncio.sleep(0.05)  # it is stopping perhaps: then it answers no upgrade
        return True

    # -- one link ----------------------------------------------------------------------------

    async def _visit(self) -> None:
        """Be on one link, to the end of all talk or of the link.

        Raises:
            Cut: the link is gone.
        """
        self._is_ready = False
        self._receipts.clear()
        self._echoes.clear()
        self._held.clear()
        link, session, info = await self.way.meet(self._kept)
        self._link, self._session = link, session
        try:
            self._apply(session.linked(info))
            self._release()
            await self._talk(link, session)
        finally:
            self._plan.ledger.sync()
            self._plan.ledger.cut(self.name)
            self._end_link()
            link.close()

    def _end_link(self) -> None:
        self._is_ready = False
        for question in list(self._open.values()):
            question.links += 1
            if self._actor.is_brief:
                self._plan.ledger.said[question.words].expects_answer = False
            if self._actor.is_brief or question.links > REPEATS:
                self._close(question)
        if self._actor.is_brief:
            self._last.clear()

    async def _talk(self, link: BareLink, session: Session) -> None:
        while True:
            for data, is_text in link.take():
                self._apply(session.receive(data, is_text=is_text))
            # What was told is on disk before anything is answered or acknowledged.
            self._plan.ledger.sync()
            self._release()
            self._acknowledge(session)
            if session.wake_at is not None and session.wake_at <= self._clock.monotonic_s():
                self._apply(session.tick())
            if self._is_ready:
                self._speak()
            self._release()
            if self._is_ready:
                if self._is_done():
                    return
                if self._leaves_after and self._said >= self._leaves_after:
                    await self._leave(link, session)
            await link.wait(self._pause_s())
            if "late" in self.manners:
                await asyncio.sleep(LATE_S * self._chance.random())
            if "stop-reading" in self.manners and self._chance.random() < 0.02:
                link.pause()
                await asyncio.sleep(STOP_READING_S * self._chance.random())
                link.resume()

    def _pause_s(self) -> float:
        until_s = self._next_s - self._clock.monotonic_s()
        return min(STEP_S, until_s) if until_s > 0 else STEP_S

    async def _leave(self, link: BareLink, session: Session) -> None:
        """Leave in the middle; what was written to us before that is noticed still arrives.

        Raises:
            Cut: always.
        """
        self._leaves_after = 0
        link.leave()
        until_s = self._clock.monotonic_s() + LEAVE_S
        while self._clock.monotonic_s() < until_s:
            for data, is_text in link.take():
                self._apply(session.receive(data, is_text=is_text))
            self._plan.ledger.sync()
            self._held.clear()
            await link.wait(until_s - self._clock.monotonic_s())
        self._plan.ledger.stray(f"{self.name} left, and {LEAVE_S:.0f} s later was still linked")
        raise Cut("left")

    # -- saying ------------------------------------------------------------------------------

    def _get_ready(self) -> None:
        """Send again what is open, first of all; the manner `reorder` shuffles it."""
        self._is_ready = True
        self._next_s = self._clock.monotonic_s()
        stage = self._plan.stage
        if self._life != stage.life:
            self._life = stage.life
            self._said_in_life = 0
        open_now = () if self._actor.remembers else self._open.values()
        again = [one for one in open_now if not one.is_acknowledged]
        if "reorder" in self.manners:
            self._chance.shuffle(again)
        for question in again:
            self._send(question)
        if "leave" in self.manners and not stage.closing and self._chance.random() < 0.7:
            self._leaves_after = self._said + self._chance.randint(1, 60)

    def _speak(self) -> None:
        plan, now_s = self._plan, self._clock.monotonic_s()
        if plan.stage.closing:
            if not self._last and not self._actor.is_brief:
                count = len(self._actor.chats)
                chats = range(min(count, self._actor.most_open or count))
                self._last = [self._ask(chat) for chat in chats]
            return
        if plan.most and self._said_in_life >= plan.most:
            return
        busy = [0] * len(self._actor.chats)
        unanswered = 0
        for question in self._open.values():
            unanswered += not question.is_answered
            if not question.links and not question.is_answered:
                busy[question.chat] += 1
        most = self._actor.most_open
        room = most - unanswered if most else WINDOW * len(busy)
        # Round them all, so that no chat of an account with many says more than the others.
        first = self._next_chat
        for chat in (*range(first, len(busy)), *range(first)):
            while busy[chat] < WINDOW and self._next_s <= now_s and room > 0:
                self._ask(chat)
                busy[chat] += 1
                room -= 1
                self._next_chat = (chat + 1) % len(busy)
                self._next_s = max(self._next_s, now_s - 0.1) + 1 / self._rate

    def _ask(self, nth: int) -> Question:
        words = f"{self.name}{nth}.{self._said}"
        self._said += 1
        self._said_in_life += 1
        chat, context = self._actor.chats[nth]
        ident = DeliveryId(self._plan.ids.next())
        delivery = Delivery(ident, chat, Say((Text(words),)), context, self._clock.now_ms())
        question = Question(nth, words, delivery)
        self._open[ident] = self._of_words[words] = question
        self._plan.ledger.say(self.name, words)
        self._send(question)
        return question

    def _send(self, question: Question) -> None:
        session = self._session
        if session is None:
            raise RuntimeError("a question needs a link")
        self._clock.at_ms = question.delivery.at_ms
        try:
            effects = session.send(question.delivery)
        finally:
            self._clock.at_ms = 0
        self._apply(effects)
        if question.links and "redeliver-14" in self.manners:
            copies = [one for one in effects if type(one) is Transmit]
            for _ in range(_FOURTEEN - 1):
                self._apply(copies)

    def _acknowledge(self, session: Session) -> None:
        receipts, self._receipts = self._receipts, []
        for receipt in receipts:
            self._apply(session.stored(receipt))
        echoes, self._echoes = self._echoes, []
        for chat, what in echoes if self._is_ready else ():
            ident = DeliveryId(self._plan.ids.next())
            self._apply(session.send(Delivery(ident, chat, what, at_ms=self._clock.now_ms())))

    # -- hearing -----------------------------------------------------------------------------

    def _apply(self, effects: Effects) -> None:
        for effect in effects:
            if type(effect) is Transmit:
                self._held.append(effect.data)
            elif type(effect) is Received:
                self._receive(effect)
            elif type(effect) is Settled:
                self._settle(effect)
            elif type(effect) is Keep:
                self._kept = effect.state
            elif type(effect) is Hangup:
                self._hang_up(effect)
            elif type(effect) is Changed and effect.state is LinkState.READY:
                self._get_ready()

    def _hang_up(self, hangup: Hangup) -> None:
        """End the link, behind what was said before.

        Raises:
            Cut: always.
        """
        self._plan.ledger.sync()
        self._release()
        if self._link is not None and hangup.code != CUT:
            self._link.hang_up(hangup.code, hangup.reason)
        raise Cut(hangup.reason)

    def _release(self) -> None:
        """Write what was held until the ledger knew why."""
        link, held = self._link, self._held
        if link is not None:
            self._held = []
            for data in held:
                link.send(data, is_text=not self._plan.is_binary)

    def _receive(self, received: Received) -> None:
        if received.receipt is not None:
            self._receipts.append(received.receipt)
        if type(received.event) is MessageReceived:
            self._hear(received.event)

    def _settle(self, settled: Settled) -> None:
        question = self._open.get(settled.delivery_id)
        if question is None:
            return
        if settled.outcome is Outcome.CONFIRMED:
            question.is_acknowledged = True
            self._plan.ledger.acknowledge(question.words)
            if question.is_answered:
                self._close(question)
        elif settled.outcome is Outcome.SENT:
            question.has_no_receipt = True
        elif settled.outcome is Outcome.REFUSED:
            self._plan.ledger.stray(f"refused: {question.words}: {settled.detail}")
            self._close(question)

    def _hear(self, event: MessageReceived) -> None:
        text = plain_text(event.segments)
        words = text.removeprefix(REPLY)
        if words == text or words not in self._plan.ledger.said or not words.startswith(self.name):
            self._plan.ledger.stray(f"{self.name} heard {text[:80]!r}")
            return
        is_copy = self._actor.dedupes and event.peer_id in self._seen
        self._seen.add(event.peer_id)
        self._plan.ledger.answer(Answer(words, event.peer_id, is_copy))
        if "echo-own" in self.manners and (what := self._echo(event)) is not None:
            self._echoes.append((event.chat, what))
        question = self._of_words.get(words)
        if question is None:
            return
        question.is_answered = True
        if question.is_acknowledged or question.has_no_receipt:
            self._close(question)

    def _close(self, question: Question) -> None:
        self._open.pop(question.delivery.id, None)
        self._of_words.pop(question.words, None)

    def _is_done(self) -> bool:
        if not self._plan.stage.closing:
            return False
        if self._actor.is_brief:
            return not self._open
        return self.is_served and not self._plan.stage.is_proving

    @property
    def is_served(self) -> bool:
        """Whether its last questions are asked and answered."""
        return bool(self._last) and all(one.is_answered for one in self._last)
