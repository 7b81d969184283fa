"""What we say in a carried chat is shown to the lines that carry it and want to know.

Whoever said it – a rule, a model, a person, a framework –, it is told when it has left: what was
refused was never said. It goes through the queue of the carrying line, behind the question that it
answers, and only where somebody is there; what does not reach them within seconds expires.

Bound: 1,000 messages wait for their fate; beyond, the oldest is not reported. What had no fate when
the process ended is not reported either.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from trunkline.errors import StoreError
from trunkline.exchange.bodies import encode_what
from trunkline.exchange.carrying import SHORTEST_MS, SOURCE, Carrying
from trunkline.exchange.contract import LineFacts, Router
from trunkline.exchange.conversations import Key, chat_of
from trunkline.exchange.extras import Post, SentRange
from trunkline.exchange.numbering import (
    EVERYBODY,
    MESSAGE,
    chat_key,
    kind_shown,
    message_key,
    message_number,
    person_key,
    with_ids,
)
from trunkline.exchange.plans import Plan
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.event import Person
from trunkline.model.message import Segments
from trunkline.model.segment import Mention, Segment, Text
from trunkline.store.contract import Number, Outcome, Store

WAITING: Final = 1_000
_LEFT: Final = frozenset({DeliveryState.SENT, DeliveryState.CONFIRMED})
_OVER: Final = frozenset({
    DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.DEAD, DeliveryState.DISCARDED,
})  # fmt: skip


class _Said(msgspec.Struct, frozen=True):
    """One message of ours.

    Args:
        row: of the outbox.
        number: that carrying lines know it by, 0 = none yet.
        peer_id: the platform's name of it, "" = none.
    """

    row: int
    key: Key
    segments: Segments
    number: int
    peer_id: str = ""


class Posting(Protocol):
    """What of `doing` is needed here."""

    def begin_post(self, key: Key, segments: Segments, source: str, *, body: bytes = b"") -> Post:
        """Put a message into the next beat."""
        ...


class Reporting:
    """Remembers what was said on carried lines until it has left.

    Args:
        doing: what posts messages.
        carrying: who carries whom, and numbers.
        now_ms: the time.
        spawn: starts an owned task.
    """

    def __init__(
        self,
        *,
        doing: Posting,
        carrying: Carrying,
        store: Store,
        router: Router,
        now_ms: Callable[[], int],
        spawn: Callable[[Any], object],
        on_trouble: Callable[[str, BaseException | None], None],
    ) -> None:
        self._doing = doing
        self._carrying = carrying
        self._store = store
        self._router = router
        self._now_ms = now_ms
        self._spawn = spawn
        self._on_trouble = on_trouble
        self._waiting: OrderedDict[int, _Said] = OrderedDict()
        self._due: list[_Said] = []
        self._is_telling = False

    def committed(self, plan: Plan) -> None:
        """Remember what a beat wrote on lines of which somebody wants to know it."""
        reporters = self._carrying.reporters
        if not reporters:
            return
        numbers = {one.row: one.id for one in plan.beat.numbers if one.kind == MESSAGE}
        for row, state, segments in plan.said:
            if state.line in reporters and row.state not in _OVER:
                key = (state.line, state.account, state.kind, state.peer)
                number = numbers.get(row.id, 0)
                self._waiting[row.id] = _Said(row.id, key, segments, number)
                if len(self._waiting) > WAITING:
                    self._waiting.popitem(last=False)

    def settled(self, outcomes: Sequence[Outcome], ranges: Sequence[SentRange]) -> None:
        """Report what has left, and forget what never will."""
        if not self._waiting:
            return
        for outcome in outcomes:
            if outcome.state in _LEFT:
                self._left(outcome.id, outcome.peer_id)
            elif outcome.state in _OVER:
                self._waiting.pop(outcome.id, None)
        for sent in ranges:
            for ident in sent.ids:
                self._left(ident)
        if self._due and not self._is_telling:
            self._is_telling = True  # one at a time: so the order stays
            self._spawn(self._report())

    def _left(self, ident: int, peer_id: str = "") -> None:
        said = self._waiting.pop(ident, None)
        if said is not None:
            self._due.append(msgspec.structs.replace(said, peer_id=peer_id))

    async def _report(self) -> None:
        try:
            while self._due:
                due, self._due = self._due, []
                posts = [
                    self._post(facts, said, chat, number)
                    for said, chat, number in await self._numbered(due)
                    for facts in self._carrying.reporters.get(said.key[0], ())
                ]
                committed = [post.done for post in posts if post is not None]
                await asyncio.gather(*committed, return_exceptions=True)
        except Exception as error:  # noqa: BLE001 - the edge "asking": nobody was promised this
            self._due.clear()
            self._on_trouble("report what was said", error)
        finally:
            self._is_telling = False

    async def _numbered(self, due: Sequence[_Said]) -> list[tuple[_Said, int, int]]:
        """Return each with the numbers of its chat and of itself; without those, not at all."""
        chats = await self._carrying.ensure([chat_key(said.key) for said in due])
        found = [
            (said, chats[chat_key(said.key)], said.number or self._carrying.numbers.new())
            for said in due
        ]
        fresh = [_named(said, number) for said, _, number in found if number and not said.number]
        if fresh:
            await self._store.put_numbers(fresh)
        return [one for one in found if one[1] and one[2]]

    def _post(self, facts: LineFacts, said: _Said, chat_number: int, number: int) -> Post | None:
        """Put it into the queue of the carrying line, behind what its chat holds already."""
        kind = kind_shown(said.key[2])
        key = (facts.name, facts.account, kind, str(chat_number))
        if not self._router.find(facts.name, facts.seat_of(chat_of(key))):
            return None
        now_ms = self._now_ms()
        segments = self._shown(said, facts.account)
        say = Say(segments, Person(facts.account), number, now_ms, is_own=True)
        source = f"{SOURCE}:{said.key[0]}"
        try:
            post = self._doing.begin_post(key, segments, source, body=encode_what(say))
        except StoreError:
            return None  # it has no room for what somebody waits for, either
        post.expires_ms = now_ms + SHORTEST_MS
        return post

    def _shown(self, said: _Said, account: str) -> Segments:
        """Return the message with numbers for people; what it quotes is left out."""
        line, own = said.key[0], said.key[1]

        def person(part: Mention) -> Segment:
            if part.user == EVERYBODY:
                return part
            if part.user and part.user == own:
                return Mention(account, part.name)
            number = self._carrying.numbers.get(person_key(line, own, part.user))
            return Mention(str(number), part.name) if number else Text(f"@{part.name or part.user}")

        return with_ids(said.segments, person, lambda _: None)


def _named(said: _Said, number: int) -> Number:
    """Return the number of a message, by the platform's name of it: then quotes of it are known."""
    if said.peer_id:
        return Number(number, *message_key(said.key, said.peer_id), said.row)
    return message_number(number, said.key[0], said.row)
