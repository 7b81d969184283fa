"""What a framework says on the line that its own line carries.

It names chats, people and messages by number; here they become those of the carried line again.
What it says is a delivery there like any other, and it is told what became of that: proof, doubt or
refusal; after 10 s that it is stored and leaves later. A person who has the conversation silences
bots too.

Bound: 256 sends under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from trunkline.dialects.contract import DoCarry
from trunkline.errors import LocalProtocolError, StoreError, StoreUnavailable, TrunklineError
from trunkline.exchange.carried import carried_line, chat_meant
from trunkline.exchange.carrying import SOURCE, Carrying
from trunkline.exchange.contract import LineFacts, Origin, Router
from trunkline.exchange.conversations import Key, chat_of
from trunkline.exchange.extras import REFUSED, Post
from trunkline.exchange.numbering import (
    EVERYBODY,
    MESSAGE,
    chat_behind,
    message_key,
    parse_number,
    peer_id_behind,
    with_ids,
)  # fmt: skip
from trunkline.exchange.watching import Watchers
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.carrying import Carried
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState, Outcome
from trunkline.model.message import Segments
from trunkline.model.segment import Mention, Quote, Segment, Text
from trunkline.store.contract import Number, Store

CARRIES: Final = 256
CARRY_S: Final = 10.0
TAKEN: Final = "a person has this conversation; automatic answers wait until it is given back"
DRAFTED: Final = "accepted; a person must approve it before it leaves"
ACCEPTED: Final = "accepted; it is stored and leaves later"
UNREACHABLE: Final = "nobody is there to be reached"
_OUTCOMES: Final[Mapping[DeliveryState, Outcome]] = {
    DeliveryState.SENT: Outcome.SENT,
    DeliveryState.CONFIRMED: Outcome.CONFIRMED,
    DeliveryState.UNCERTAIN: Outcome.UNCERTAIN,
    DeliveryState.DRAFT: Outcome.LATER,
    DeliveryState.REFUSED: Outcome.REFUSED,
    DeliveryState.EXPIRED: Outcome.REFUSED,
    DeliveryState.DEAD: Outcome.REFUSED,
    DeliveryState.DISCARDED: Outcome.REFUSED,
}


class Posting(Protocol):
    """What of `doing` is needed here: one way for all that answers nothing."""

    async def find(self, key: Key) -> ConversationState | None:
        """Return a conversation."""
        ...

    def nudge(self) -> None:
        """Say that a send has come into a beat, or will not: a stop may wait for it."""
        ...

    def begin_post(self, key: Key, segments: Segments, source: str, *, number: int = 0) -> Post:
        """Put a message into the next beat."""
        ...


class Carriage:
    """Takes what frameworks say.

    Args:
        doing: what posts messages.
        watchers: tell of settled deliveries.
        spawn: starts an owned task.
        later: `(delay_s, call)`, the loop's timer.
    """

    def __init__(  # noqa: PLR0913 - its collaborators, each by its name
        self,
        *,
        doing: Posting,
        carrying: Carrying,
        store: Store,
        facts: Mapping[str, LineFacts],
        router: Router,
        watchers: Watchers,
        spawn: Callable[[Any], object],
        later: Callable[[float, Callable[[], None]], object],
        on_trouble: Callable[[str, BaseException | None], None],
    ) -> None:
        self._doing = doing
        self._carrying = carrying
        self._store = store
        self._facts = facts
        self._router = router
        self._watchers = watchers
        self._spawn = spawn
        self._later = later
        self._on_trouble = on_trouble
        self._carries = 0
        self.beginning = 0  # sends that are in no beat yet
        self._lanes: dict[tuple[str, str], _Lane] = {}

    # -- saying something --------------------------------------------------------------------

    def carry(self, origin: Origin, request: DoCarry, answer: Callable[[object], None]) -> None:
        """Say something on the carried line; answer once, with its fate or after 10 s."""
        if self._carries >= CARRIES:
            answer(StoreUnavailable("too many sends wait for their fate"))
            return
        self._carries += 1
        self.beginning += 1
        wait = _Wait(answer, self._ended)
        self._spawn(self._carry(origin, request, wait))

    def _ended(self) -> None:
        self._carries -= 1

    async def _carry(self, origin: Origin, request: DoCarry, wait: _Wait) -> None:
        try:
            begun = await self._begun(origin, request)
            if isinstance(begun, Carried):
                wait.end(begun)
                return
            ident = await begun.done
            if ident == REFUSED:
                wait.end(Carried(Outcome.REFUSED, 0, TAKEN))
                return
        except TrunklineError as error:
            wait.end(error)
        except Exception as error:  # noqa: BLE001 - the edge "asking": the peer is told, we log
            self._on_trouble("carry a message", error)
            wait.end(LocalProtocolError("the request failed here"))
        else:
            accepted = Carried(Outcome.LATER, begun.number, ACCEPTED)
            self._later(CARRY_S, lambda: wait.end(accepted))
            await self._look(ident, begun, wait)

    async def _begun(self, origin: Origin, request: DoCarry) -> Post | Carried:
        """Begin, and say so: a stop waits for it, since a framework may have been told `async`."""
        try:
            return await self._begin(origin, request)
        finally:
            self.beginning -= 1
            self._doing.nudge()

    async def _begin(self, origin: Origin, request: DoCarry) -> Post | Carried:
        """Find out what is meant and put it into the next beat, in the order of one chat."""
        line = carried_line(self._facts, origin)
        where = (origin.line, request.chat.id)
        lane = self._lanes.setdefault(where, _Lane())
        lane.users += 1
        try:
            async with lane.lock:
                segments = request.segments
                if request.quote:
                    segments = (Quote(str(request.quote)), *segments)
                key, segments = await self._resolve(origin, line, request.chat, segments)
                if not await self._is_reachable(key):
                    return Carried(Outcome.REFUSED, 0, UNREACHABLE)
                number = self._carrying.numbers.new()
                if not number:
                    return Carried(Outcome.REFUSED, 0, "no message number is left")
                source = f"{SOURCE}:{origin.line}"
                return self._doing.begin_post(key, segments, source, number=number)
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[where]

    async def _is_reachable(self, key: Key) -> bool:
        facts = self._facts[key[0]]
        if not facts.has_brief_seats or self._router.find(key[0], facts.seat_of(chat_of(key))):
            return True
        state = await self._doing.find(key)
        return state is not None and not state.is_brief

    async def _look(self, ident: DeliveryId, post: Post, wait: _Wait) -> None:
        """Answer when the fate is known, else look again when it changes."""
        changed = self._watchers.wait(ident)  # before the look: nothing happens in between
        try:
            found = await self._store.delivery(ident)
            if found is not None and found.row.peer_id:
                named = Number(post.number, *message_key(post.key, found.row.peer_id), ident)
                await self._store.put_numbers([named])
        except StoreError:
            found = None
        state = found.row.state if found is not None else DeliveryState.QUEUED
        outcome = _OUTCOMES.get(state)
        if found is not None and outcome is not None:
            changed.cancel()
            reason = DRAFTED if state is DeliveryState.DRAFT else found.row.reason
            wait.end(Carried(outcome, post.number, reason))
        elif wait.is_over:
            changed.cancel()
        else:
            wait.changed = changed
            changed.add_done_callback(
                lambda done: done.cancelled() or self._spawn(self._look(ident, post, wait))
            )

    # -- numbers → what they stand for -------------------------------------------------------

    async def _resolve(
        self, origin: Origin, line: str, chat: Chat, segments: Segments
    ) -> tuple[Key, Segments]:
        """Return the carried chat, and the message with the platform's ids.

        Raises:
            RemoteProtocolError: there is no such chat.
        """
        named = [part.user for part in segments if type(part) is Mention]
        named += [part.message for part in segments if type(part) is Quote]
        idents = [parse_number(text) for text in (chat.id, *named)]
        numbers = await self._store.numbers(idents)
        key = chat_meant(numbers[0], self._facts[line], chat)
        known = dict(zip(idents[1:], numbers[1:], strict=True))
        peer_ids = {
            ident: await self._peer_id(one, line) for ident, one in known.items() if one is not None
        }
        account = self._facts[origin.line].account

        def person(part: Mention) -> Segment:
            if part.user == EVERYBODY:
                return part
            if account and part.user == account and key[1]:
                return Mention(key[1], part.name)
            behind = chat_behind(known.get(parse_number(part.user)), line)
            if behind is None:
                return Text(f"@{part.name or part.user} ")
            return Mention(behind[3], part.name)

        def message(part: Quote) -> Segment | None:
            peer_id = peer_ids.get(parse_number(part.message), "")
            return Quote(peer_id) if peer_id else None

        return key, with_ids(segments, person, message)

    async def _peer_id(self, number: Number, line: str) -> str:
        """Return the platform's id of a message; of one that we sent, the row may know it."""
        peer_id = peer_id_behind(number, line)
        if peer_id or number.line != line or number.kind != MESSAGE:
            return peer_id
        found = await self._store.delivery(DeliveryId(number.row))
        return found.row.peer_id if found is not None else ""


class _Lane:
    """The sends of one chat, one after the other until they are in a beat."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class _Wait:
    """One answer that is owed: the first one counts.

    Args:
        ended: called once, when it is given.
    """

    def __init__(self, answer: Callable[[object], None], ended: Callable[[], None]) -> None:
        self._answer = answer
        self._ended = ended
        self.is_over = False
        self.changed: asyncio.Future[None] | None = None

    def end(self, value: object) -> None:
        """Answer, unless that is done."""
        if self.is_over:
            return
        self.is_over = True
        if self.changed is not None:
            self.changed.cancel()
        self._ended()
        self._answer(value)
