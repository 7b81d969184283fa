"""What sessions and people have done and look up: say, take over, release, broadcast, find.

A session asks for chats of its own line only: a request names a chat, and the line is its own.
Every request is answered on the loop, with a value or with an error of the house as a value.

Bounds: 256 requests under way, 10,000 chats in one broadcast.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import (
    DoAnswer,
    DoBroadcast,
    DoCarry,
    DoRelease,
    DoSend,
    DoTakeOver,
    DoWatch,
    FindCarried,
    FindCarriedChats,
    FindCarriedMembers,
    FindCarriedMessage,
    FindChat,
    FindChats,
    FindHistory,
    FindUnclear,
    UnclearChat,
)  # fmt: skip
from trunkline.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    StoreFull,
    StoreUnavailable,
    TrunklineError,
)
from trunkline.exchange.carriage import Carriage
from trunkline.exchange.carried import Lookups
from trunkline.exchange.carrying import Carrying
from trunkline.exchange.contract import Broadcast, LineFacts, Origin, Router
from trunkline.exchange.conversations import Conversations, Key, chat_of, key_of
from trunkline.exchange.extras import Mark, Post
from trunkline.exchange.items import BROADCAST, person_source, read_items
from trunkline.exchange.telling import Telling
from trunkline.exchange.watching import Watchers
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState
from trunkline.model.history import ChatFacts, History
from trunkline.model.message import Segments
from trunkline.store.contract import Store

ASKS: Final = 256
POSTS: Final = 256
BROADCAST_CHATS: Final = 10_000
BROADCAST_BATCH: Final = 256
SETTLE_S: Final = 10.0  # a link that has not taken it by then counts as failed
POST_LIFE_MS: Final = 86_400_000  # reliability 3: API sends are tried for 24 h
UNREAD_ROWS: Final = 20
MAX_HISTORY: Final = 200
SITE_KIND: Final = "visitor"  # Source: contact 5.3
LOOK_S: Final = 0.25
ALLOWED: Final = "allowed"  # source of what a line says by itself
_OPEN: Final = frozenset({DeliveryState.QUEUED, DeliveryState.SENDING})
_GOT: Final = frozenset({DeliveryState.SENT, DeliveryState.CONFIRMED})

_encode = msgspec.msgpack.Encoder().encode


class Beating(Protocol):
    """The beat, as this file needs it."""

    conversations: Conversations
    watchers: Watchers
    carrying: Carrying
    is_disk_low: bool
    spawn: Callable[[Any], object]

    def post(self, post: Post) -> None:
        """Put a delivery that answers nothing into the next beat."""
        ...

    def nudge(self) -> None:
        """Look again whether there is something to do."""
        ...

    def mark(self, mark: Mark) -> None:
        """Put a takeover or a release into the next beat."""
        ...


class Doing:
    """Answers requests of sessions, and does what people ask at the desk.

    Args:
        core: the beat.
        later: `(delay_s, call)`, the loop's timer.
        on_trouble: told when answering failed by our fault.
    """

    def __init__(
        self,
        *,
        core: Beating,
        store: Store,
        clock: Clock,
        facts: Mapping[str, LineFacts],
        router: Router,
        later: Callable[[float, Callable[[], None]], object],
        on_trouble: Callable[[str, BaseException | None], None],
    ) -> None:
        self._core = core
        self._store = store
        self._clock = clock
        self._facts = facts
        self._router = router
        self._on_trouble = on_trouble
        self._asks = 0
        self._posts = 0
        self.telling = Telling(clock=clock, facts=facts, router=router)
        self._carriage = Carriage(
            doing=self,
            carrying=core.carrying,
            store=store,
            facts=facts,
            router=router,
            watchers=core.watchers,
            spawn=core.spawn,
            later=later,
            on_trouble=on_trouble,
        )
        lookups = Lookups(store=store, carrying=core.carrying, facts=facts)
        self._answers: Mapping[type, Callable[[Origin, Any], Awaitable[object]]] = {
            FindChat: self._find_chat,
            FindHistory: self._find_history,
            FindChats: self._find_chats,
            FindUnclear: self._find_unclear,
            DoSend: self._do_send,
            DoAnswer: self._do_answer,
            DoTakeOver: self._do_take_over,
            DoRelease: self._do_release,
            DoBroadcast: self._do_broadcast,
            FindCarried: lookups.find_chat,
            FindCarriedChats: lookups.find_chats,
            FindCarriedMembers: lookups.find_members,
            FindCarriedMessage: lookups.find_message,
        }

    @property
    def is_beginning(self) -> bool:
        """Whether something that was said is in no beat yet."""
        return self._carriage.beginning > 0

    def nudge(self) -> None:
        """Have the beat look again whether it may stop."""
        self._core.nudge()

    # -- what sessions ask -------------------------------------------------------------------

    def ask(self, origin: Origin, request: object, answer: Callable[[object], None]) -> None:
        """Answer a session's request, at once or when the store has spoken."""
        if type(request) is DoWatch:
            answer(self.telling.watch(origin, request))
            return
        if type(request) is DoCarry:
            self._carriage.carry(origin, request, answer)
            return
        serve = self._answers.get(type(request))
        if serve is None:
            answer(LocalProtocolError(f"{type(request).__name__} is not served here"))
        elif self._asks >= ASKS:
            answer(StoreUnavailable("too many requests wait for the store"))
        else:
            self._asks += 1
            self._core.spawn(self._serve(lambda: serve(origin, request), answer))

    async def _serve(
        self, work: Callable[[], Awaitable[object]], answer: Callable[[object], None]
    ) -> None:
        value: object
        try:
            value = await work()  # made here: a task that is cancelled unbegun leaves none behind
        except TrunklineError as error:
            value = error
        except (LookupError, ValueError) as error:
            value = RemoteProtocolError(str(error.args[0] if error.args else error))
        except Exception as error:  # noqa: BLE001 - the edge "asking": the peer is told, we log
            self._on_trouble("answer request", error)
            value = LocalProtocolError("the request failed here")
        finally:
            self._asks -= 1
        answer(value)

    async def _find_chat(self, origin: Origin, request: FindChat) -> ChatFacts:
        key = key_of(origin.line, request.chat)
        state = await self.find(key)
        if state is None:
            return ChatFacts(request.chat, is_online=self._is_online(key))
        return await self._facts_of(key, state)

    async def _find_history(self, origin: Origin, request: FindHistory) -> History:
        state = await self.find(key_of(origin.line, request.chat))
        if state is None:
            return History()
        limit = min(max(request.limit, 1), MAX_HISTORY)
        rows = await self._store.history(state.id, request.before, limit + 1)
        items = await read_items(self._store, rows[:limit])
        return History(tuple(reversed(items)), has_more=len(rows) > limit)

    async def _find_chats(self, origin: Origin, request: FindChats) -> tuple[ChatFacts, ...]:
        limit = min(max(request.limit, 1), MAX_HISTORY)
        page = await self._store.conversations(line=origin.line, cursor="", limit=limit)
        found: list[ChatFacts] = []
        for stored, _ in page.rows:
            key = (stored.line, stored.account, stored.kind, stored.peer)
            state = self._core.conversations.get(key) or stored
            found.append(await self._facts_of(key, state))
        return tuple(found)

    async def _find_unclear(self, origin: Origin, request: FindUnclear) -> tuple[UnclearChat, ...]:
        limit = min(max(request.limit, 1), MAX_HISTORY)
        states = (DeliveryState.UNCERTAIN,)
        page = await self._store.deliveries(states=states, line=origin.line, cursor="", limit=limit)
        found: dict[Chat, int] = {}
        for queued in page.rows:
            row = queued.row
            if row.settled_ms >= request.since_ms:
                found[queued.conversation.chat] = row.at_ms  # the oldest comes last
        return tuple(UnclearChat(chat, at_ms) for chat, at_ms in found.items())

    async def _facts_of(self, key: Key, state: ConversationState) -> ChatFacts:
        rows = await self._store.history(state.id, 0, UNREAD_ROWS)
        last = await read_items(self._store, rows[:1])
        is_taken = state.taken_until_ms > self._clock.now_ms()
        return ChatFacts(
            state.chat,
            exists=True,
            last_ms=rows[0].at_ms if rows else 0,
            last=last[0] if last else None,
            taken_until_ms=state.taken_until_ms if is_taken else 0,
            taken_by=state.taken_by if is_taken else "",
            unread=self.telling.unread(key, rows),
            is_online=self._is_online(key),
        )

    def _is_online(self, key: Key) -> bool:
        facts = self._facts[key[0]]
        return bool(self._router.find(key[0], facts.seat_of(chat_of(key))))

    async def _do_send(self, origin: Origin, request: DoSend) -> DeliveryId:
        key = key_of(origin.line, request.chat)
        if not self._is_online(key):
            state = await self.find(key)
            if state is None or state.is_brief:
                raise LookupError(f"{request.chat.kind} {request.chat.id} cannot be reached")
        self.telling.look(key)
        return await self.post(
            key,
            request.segments,
            person_source(request.name),
            context=_encode({"operator": request.name}),
        )

    async def _do_answer(self, origin: Origin, request: DoAnswer) -> DeliveryId:
        """Say what the line's owner allowed, once for each key. Source: guides 6 (drafts)"""
        key = key_of(origin.line, request.chat)
        dedupe = f"{origin.line}:{request.key}"
        earlier = await self._store.delivery_by_dedupe(dedupe)
        if earlier is not None:
            return earlier
        state = await self.find(key)
        if self._facts[origin.line].mode == "off":
            raise LookupError(f"line {origin.line} answers nothing by itself")
        if state is not None and state.taken_until_ms > self._clock.now_ms():
            raise LookupError(f"a person has {request.chat.kind} {request.chat.id}")
        return await self.post(key, request.segments, ALLOWED, dedupe=dedupe)

    async def _do_take_over(self, origin: Origin, request: DoTakeOver) -> bool:
        key = key_of(origin.line, request.chat)
        self.telling.look(key)
        await self.take_over(key, request.name, request.for_s)
        return True

    async def _do_release(self, origin: Origin, request: DoRelease) -> bool:
        await self.release(key_of(origin.line, request.chat))
        return True

    async def _do_broadcast(self, origin: Origin, request: DoBroadcast) -> tuple[int, int]:
        done = await self.broadcast(origin.line, request.segments, BROADCAST)
        return done.delivered, done.failed

    # -- what people ask (`desk`) ------------------------------------------------------------

    async def find(self, key: Key) -> ConversationState | None:
        """Return a conversation, from memory or from the store."""
        state = self._core.conversations.get(key)
        if state is None:
            (state,) = await self._store.find_conversations([key])
        return state

    async def post(
        self, key: Key, segments: Segments, source: str, *, dedupe: str = "", context: bytes = b""
    ) -> DeliveryId:
        """Queue a message durably; return its id.

        Raises:
            StoreUnavailable: nothing was stored.
        """
        return await self.begin_post(key, segments, source, dedupe=dedupe, context=context).done

    def begin_post(
        self,
        key: Key,
        segments: Segments,
        source: str,
        *,
        dedupe: str = "",
        context: bytes = b"",
        number: int = 0,
        body: bytes = b"",
    ) -> Post:
        """Put a message into the next beat; its `done` must be awaited.

        Args:
            body: what is written, when it is more than the segments.

        Raises:
            StoreUnavailable: nothing is stored.
        """
        if self._core.is_disk_low:
            raise StoreFull
        if self._posts >= POSTS:
            raise StoreUnavailable("too many sends wait for the store")
        post = self._make_post(key, segments, source, dedupe=dedupe, context=context)
        post.number, post.body = number, body
        self._posts += 1
        post.done.add_done_callback(self._posted)
        self._core.post(post)
        return post

    def _posted(self, _: object) -> None:
        self._posts -= 1

    def _make_post(
        self, key: Key, segments: Segments, source: str, *, dedupe: str = "", context: bytes = b""
    ) -> Post:
        facts = self._facts[key[0]]
        seat = next(
            (one.seat for one in self._router.find(key[0], facts.seat_of(chat_of(key)))), None
        )
        return Post(
            key, segments, source, dedupe, self._clock.now_ms() + POST_LIFE_MS,
            asyncio.get_running_loop().create_future(), context,
            is_brief=seat is not None and seat.is_brief,
        )  # fmt: skip

    async def take_over(self, key: Key, name: str, for_s: float) -> int:
        """Give a conversation to a person; return until when.

        Raises:
            LookupError: there is no such conversation.
        """
        until_ms = self._clock.now_ms() + max(1, round(for_s * 1000))
        return await self._mark(key, until_ms, name, "")

    async def release(self, key: Key, reason: str = "") -> None:
        """Give a conversation back; when nobody has it, nothing changes."""
        await self._mark(key, 0, "", reason)

    async def _mark(self, key: Key, until_ms: int, name: str, reason: str) -> int:
        state = await self.find(key)
        if state is None:
            raise LookupError(f"there is no conversation {key[2]}:{key[3]} on line {key[0]}")
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._core.mark(Mark(key, until_ms, name, reason, done))
        return await done

    async def broadcast(self, line: str, segments: Segments, source: str) -> Broadcast:
        """Say something in every open chat of a contact line; see `contract.Desk.broadcast`.

        Raises:
            LookupError: no such line.
            ValueError: the line is no contact line.
        """
        facts = self._facts.get(line)
        if facts is None:
            raise LookupError(f"there is no line {line!r}; lines: {', '.join(self._facts)}")
        if not facts.traits.is_site:
            raise ValueError(f"line {line} is no contact line: only those broadcast")
        if self._core.is_disk_low:
            raise StoreFull
        seats = self._open_seats(line)
        deadline_s = self._clock.monotonic_s() + SETTLE_S
        waits = await self._say_to_all(line, seats[:BROADCAST_CHATS], segments, source)
        delivered = 0
        while waits:
            # In slices: what expires because its visitor went wakes nobody.
            await asyncio.wait(waits.values(), timeout=LOOK_S)
            is_over = self._clock.monotonic_s() >= deadline_s
            for ident in list(waits):
                found = await self._store.delivery(ident)
                if is_over or found is None or found.row.state not in _OPEN:
                    waits.pop(ident).cancel()
                    delivered += found is not None and found.row.state in _GOT
                elif waits[ident].done():
                    waits[ident] = self._core.watchers.wait(ident)
        return Broadcast(delivered, len(seats) - delivered)

    async def _say_to_all(
        self, line: str, seats: Sequence[str], segments: Segments, source: str
    ) -> dict[DeliveryId, asyncio.Future[None]]:
        """Queue a message for each seat; return what was stored, with what waits for its fate."""
        waits: dict[DeliveryId, asyncio.Future[None]] = {}
        context = _encode({"broadcast": True})
        for start in range(0, len(seats), BROADCAST_BATCH):
            posts = [
                self._make_post((line, "", SITE_KIND, key), segments, source, context=context)
                for key in seats[start : start + BROADCAST_BATCH]
            ]
            for post in posts:
                self._core.post(post)
            for ident in await asyncio.gather(
                *(post.done for post in posts), return_exceptions=True
            ):
                if not isinstance(ident, BaseException):
                    waits[ident] = self._core.watchers.wait(ident)
        return waits

    def _open_seats(self, line: str) -> list[str]:
        seats: list[str] = []
        for _, seat_key in self._router.seats(line):
            sitter = next(iter(self._router.find(line, seat_key)), None)
            seat = sitter.seat if sitter is not None else None
            if seat is not None and not seat.is_staff:
                seats.append(seat_key)
        return seats
