"""Asking outside – plugins, models – while nothing else waits.

A turn whose verdict is ASK is committed as WAITING rows plus a turn of kind `asking`; then whoever
is asked runs outside any transaction, and the beat decides again from the start with the answer
and the state of then. So a takeover meanwhile is seen by the same code, and a crash leaves a turn
that is due again. Later messages of the conversation wait behind an open turn and are decided one
by one, in order; other conversations never notice.

At most `max_in_work` turns of one account are under way at once; one more waits as a row and is
taken up when there is room, so no account can fill the lanes of all others.

The attempts of a turn are counted in the commit before it is asked, so no message can end the
process again and again: after three the stage has failed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from trunkline.clock import Clock
from trunkline.errors import StoreError
from trunkline.exchange.contract import LineFacts, Origin, Router
from trunkline.exchange.conversations import Key
from trunkline.exchange.extras import DueTurn
from trunkline.exchange.recall import recall
from trunkline.exchange.turns import due_turn, readable, together
from trunkline.ids import ConversationId, InboxId
from trunkline.model.address import Chat
from trunkline.model.asking import Answer, Failed, ModelRequest, PluginRequest, Question
from trunkline.model.conversation import ConversationState
from trunkline.store.contract import Store, TurnRow

MAX_RUNNING = 16  # reliability 2: model calls, per kind
MAX_WAITING = 256
MAX_ATTEMPTS = 3  # reliability 1: then the message is poison for this stage
# After a restart an open turn is due again this long after it was committed. While this process
# asks, the turn is held and its due time does not count.
AGAIN_MS = 5_000
LEARNED = 100_000
_FAR_MS = 1 << 62
_OVERLOADS: Mapping[str, str] = {"model": "ai_overload"}  # reliability 2

Who: TypeAlias = tuple[str, str]  # line, account
NOBODY: Final[Who] = ("", "")


class Asker(msgspec.Struct, frozen=True):
    """Who is asked for a stage.

    Args:
        ask: answers, or raises; both may take long.
        timeout_s: then it is given up whatever it does, as long as it gives way to the loop.
        wants_past: it is told what was said in the conversation before.
    """

    ask: Callable[[Question], Awaitable[Answer]]
    timeout_s: float
    wants_past: bool = False


class Asked(msgspec.Struct):
    """A turn that waits for an answer.

    Args:
        turn: as committed, with the attempts counted.
        answers: of the stages asked before, by stage.
    """

    turn: TurnRow
    key: Key
    state: ConversationState
    rows: tuple[InboxId, ...]
    stage: str
    request: PluginRequest | ModelRequest
    answers: Mapping[str, Answer]


class Changes(msgspec.Struct):
    """What one beat changes about open turns; takes effect with its commit.

    Args:
        asked: turns to be asked now.
        behind: conversations that got a message behind their open turn.
        closed: conversations without an open turn from now on.
        follows: turns that go on with the next message.
        planned: how many are asked, by stage.
        begun: how many turns this beat takes under way, by (line, account).
        parked: turns that wait until their account has room.
    """

    asked: dict[ConversationId, Asked] = {}
    behind: set[ConversationId] = set()
    closed: list[ConversationId] = []
    follows: list[TurnRow] = []
    planned: dict[str, int] = {}
    begun: dict[Who, int] = {}
    parked: dict[ConversationId, TurnRow] = {}


class _Lane:
    """The askings of one stage: at most 16 run, at most 256 wait."""

    def __init__(self, asker: Asker) -> None:
        self.asker = asker
        self.waiting: deque[Asked] = deque()
        self.running = 0


class Asking:
    """Open turns, and who is asked for them.

    Args:
        spawn: starts an owned task; at most 16 per stage run.
        hand_over: takes an answered turn into the next beat.
        on_trouble: told when asking failed for a reason that is our fault.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        facts: Mapping[str, LineFacts],
        router: Router,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        hand_over: Callable[[Sequence[DueTurn]], None],
        on_trouble: Callable[[str, BaseException | None], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._facts = facts
        self._router = router
        self._spawn = spawn
        self._hand_over = hand_over
        self._on_trouble = on_trouble
        self._lanes: dict[str, _Lane] = {}
        self._open: dict[ConversationId, TurnRow] = {}
        self._held: dict[ConversationId, Who] = {}
        self._in_work: dict[Who, int] = {}  # accounts with turns under way only
        self._behind: set[ConversationId] = set()

    def use(self, askers: Mapping[str, Asker]) -> None:
        """Say who is asked, by stage. What is under way goes on with who was asked."""
        for stage, asker in askers.items():
            lane = self._lanes.get(stage)
            if lane is None:
                self._lanes[stage] = _Lane(asker)
            else:
                lane.asker = asker

    async def learn(self) -> None:
        """Read the turns that a stop left open. Before the first link: messages wait behind."""
        turns = await self._store.due_turns(_FAR_MS, LEARNED)
        self._open = {turn.conversation: turn for turn in turns if turn.kind == "asking"}

    # -- what a beat asks while it is planned ------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self._open)

    def open_turn(self, conversation: ConversationId) -> TurnRow | None:
        """Return the open turn that a message of this conversation waits behind."""
        return self._open.get(conversation)

    def is_behind(self, conversation: ConversationId) -> bool:
        """Whether messages came behind its open turn since that was taken up."""
        return conversation in self._behind

    def is_held(self, conversation: ConversationId) -> bool:
        """Whether its turn is under way here: nobody else shall take it up."""
        return conversation in self._held

    def hold(self, conversation: ConversationId, who: Who = NOBODY) -> None:
        """Take a turn under way: from its hand-over until a commit ends it or asks for it."""
        if conversation in self._held:
            return
        self._held[conversation] = who
        if who[1]:
            self._in_work[who] = self._in_work.get(who, 0) + 1

    def is_full(self, who: Who, begun: int = 0) -> bool:
        """Whether an account has as many turns under way as it may; visitors have no account.

        Args:
            begun: turns of the account that the present beat adds already.
        """
        facts = self._facts.get(who[0])
        if facts is None or not facts.max_in_work or not who[1]:
            return False
        return self._in_work.get(who, 0) + begun >= facts.max_in_work

    @property
    def full(self) -> tuple[Who, ...]:
        """The accounts without room: their turns need not be looked for."""
        return tuple(who for who in self._in_work if self.is_full(who))

    @property
    def held(self) -> int:
        """How many turns are under way."""
        return len(self._held)

    def refusal(self, stage: str, planned: int) -> Failed | None:
        """Return why a stage cannot be asked now, None when it can.

        Args:
            planned: turns of this stage that the present beat adds already.
        """
        lane = self._lanes.get(stage)
        if lane is None:
            return Failed("not-configured")
        if lane.running + len(lane.waiting) + planned >= MAX_RUNNING + MAX_WAITING:
            return Failed(_OVERLOADS.get(stage, "overload"))
        return None

    def sitter(self, facts: LineFacts, chat: Chat) -> Origin | None:
        """Return a link that an answer in this chat can leave by, None when there is none."""
        return next(iter(self._router.find(facts.name, facts.seat_of(chat))), None)

    # -- after a commit ----------------------------------------------------------------------

    def committed(self, changes: Changes) -> None:
        """Take what a committed beat changed: ask, go on with the next message, or rest."""
        for conversation in changes.closed:
            self.forget(conversation)
        for conversation, asked in changes.asked.items():
            self._open[conversation] = asked.turn
            self.hold(conversation, asked.key[:2])
            self._start(asked)
        self._open.update(changes.parked)
        for conversation in changes.behind:
            if conversation in self._open:
                self._behind.add(conversation)
        for turn in changes.follows:
            self._open[turn.conversation] = turn
            self.hold(turn.conversation)
            self._behind.discard(turn.conversation)
            self._spawn(self._follow(turn))

    def forget(self, conversation: ConversationId) -> None:
        """Let go of a turn; if its row is still there, it is taken up when it is due."""
        self._open.pop(conversation, None)
        who = self._held.pop(conversation, NOBODY)
        left = self._in_work.get(who, 0) - 1
        if left > 0:
            self._in_work[who] = left
        else:
            self._in_work.pop(who, None)
        self._behind.discard(conversation)

    # -- asking ------------------------------------------------------------------------------

    def _start(self, asked: Asked) -> None:
        lane = self._lanes[asked.stage]
        if lane.running < MAX_RUNNING:
            lane.running += 1
            self._spawn(self._run(lane, asked))
        else:
            lane.waiting.append(asked)

    async def _run(self, lane: _Lane, asked: Asked) -> None:
        """Ask one after another until nothing waits in this lane."""
        try:
            while True:
                answer = await self._ask(lane.asker, asked)
                await self._answered(asked, answer)
                if not lane.waiting:
                    return
                asked = lane.waiting.popleft()
        finally:
            lane.running -= 1

    async def _ask(self, asker: Asker, asked: Asked) -> Answer:
        try:
            async with asyncio.timeout(asker.timeout_s):
                past = ()
                if asker.wants_past:
                    facts = self._facts.get(asked.key[0])
                    # Where only the last words are read, the ones before them are the past.
                    nth = -1 if facts is not None and facts.is_last_only else 0
                    past = await recall(self._store, asked.turn.conversation, asked.rows[nth])
                return await asker.ask(Question(asked.state, asked.request, past))
        except TimeoutError:
            return Failed("timeout")
        except Exception as error:  # noqa: BLE001 - the edge "asking": the stage failed, not the turn
            self._on_trouble(f"ask {asked.stage}", error)
            return Failed("error", type(error).__name__)

    async def _answered(self, asked: Asked, answer: Answer) -> None:
        """Hand the turn over with its answer, without rows that a person dropped meanwhile."""
        answers = {**asked.answers, asked.stage: answer}
        conversation = asked.turn.conversation
        self._behind.discard(conversation)  # what comes from here on is noted again
        try:
            state, waiting = await self._store.waiting(conversation)
            mine = [row for row in waiting if row.id in asked.rows]
            due = due_turn(
                asked.turn, state or asked.state, mine, answers, has_more=len(mine) < len(waiting)
            )
        except StoreError:
            self.forget(conversation)  # its row is there still, and is asked again once due
            return
        except Exception as error:  # noqa: BLE001 - the edge "asking": a row that cannot be read
            self._on_trouble("read an asked turn", error)
            self.forget(conversation)
            return
        self._hand_over((due,))

    async def _follow(self, turn: TurnRow) -> None:
        """Take up the next message of a conversation."""
        conversation = turn.conversation
        try:
            state, rows = await self._store.waiting(conversation)
            if state is None:
                self.forget(conversation)
                return
            rows = await readable(self._store, rows)
            facts = self._facts.get(state.line)
            taken = together(facts, rows)
            due = due_turn(turn, state, taken, {}, has_more=len(taken) < len(rows))
        except StoreError:
            self.forget(conversation)
            return
        except Exception as error:  # noqa: BLE001 - the edge "asking": a row that cannot be read
            self._on_trouble("read a waiting turn", error)
            self.forget(conversation)
            return
        self._hand_over((due,))
