"""What is said on a line reaches those that carry it: outbox rows, written with the message itself.

A line that carries another shows each of its chats under a number. The row is QUEUED and leaves by
the queue of its seat like any other: a process that is killed right after the commit still has it,
and it is written exactly once, because it is written with its question or not at all. While nobody
carries anything, a beat asks once whether somebody does, and that is all.

Bound: 1,000 messages wait for one line; beyond, the oldest expire, visibly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from trunkline.clock import Clock
from trunkline.exchange.bodies import encode_what
from trunkline.exchange.contract import LineFacts, Router
from trunkline.exchange.conversations import Key
from trunkline.exchange.numbering import (
    EVERYBODY,
    GROUP,
    MESSAGE,
    QUOTE,
    Numbers,
    chat_key,
    kind_shown,
    message_key,
    message_number,
    person_key,
    with_ids,
)  # fmt: skip
from trunkline.exchange.planning import Planner
from trunkline.exchange.plans import Item, Plan
from trunkline.ids import DeliveryId, Ids, InboxId
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import Segments
from trunkline.model.segment import Mention, Quote
from trunkline.store.contract import Number, NumberKey, OutboxRow, Store

SOURCE: Final = "carry"
KEPT: Final = 1_000  # messages that wait for one line. Source: onebot11 5.6, bounded by count
TRIMMED: Final = 500
SHORTEST_MS: Final = 10_000  # the way through the queue of a link that is there takes a moment
AWAY: Final = "nobody was on the line"


class Loaded(msgspec.Struct):
    """What is known before a beat is planned.

    Args:
        found: numbers, those of chats complete.
        chats: the chats of the carrying lines, as conversations are kept.
    """

    found: dict[NumberKey, int] = {}
    chats: list[Key] = []


class Carrying:
    """Plans what carrying lines are shown, and gives numbers.

    Args:
        facts: by line name; read by `learn`.
        on_trouble: told once when no number is left.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        facts: Mapping[str, LineFacts],
        router: Router,
        on_trouble: Callable[[str, BaseException | None], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._facts = facts
        self._router = router
        self._on_trouble = on_trouble
        self._carriers: Mapping[str, Sequence[LineFacts]] = {}
        self._grown: set[str] = set()
        self._is_used_up = False
        self.numbers = Numbers()
        # By carried line: who wants to know what we say there.
        self.reporters: Mapping[str, Sequence[LineFacts]] = {}

    async def learn(self) -> None:
        """Read who carries whom, and which number is next. Before the first link."""
        carriers: dict[str, list[LineFacts]] = {}
        for facts in self._facts.values():
            if facts.carries:
                carriers.setdefault(facts.carries, []).append(facts)
        self._carriers = carriers
        wanting = {
            line: [one for one in some if one.reports_own] for line, some in carriers.items()
        }
        self.reporters = {line: some for line, some in wanting.items() if some}
        if carriers:
            self.numbers.start_at(await self._store.next_number())
            self._grown = {facts.name for some in carriers.values() for facts in some}

    def __bool__(self) -> bool:
        """Whether any line carries another."""
        return bool(self._carriers)

    def is_heard(self, line: str) -> bool:
        """Whether somebody who is there now is shown what is said on this line."""
        find = self._router.find
        return any(find(facts.name, facts.account) for facts in self._carriers.get(line, ()))

    # -- before a beat is planned ------------------------------------------------------------

    async def load(self, items: Sequence[Item]) -> Loaded:
        """Look up the numbers that a beat needs, in one go; chats without one get it promised."""
        loaded = Loaded()
        found, numbers = loaded.found, self.numbers
        chats: dict[Key, NumberKey] = {}
        wanted: dict[NumberKey, None] = {}
        for item in items:
            if item.key[0] in self._carriers and type(item.event) is MessageReceived:
                chats[item.key] = chat_key(item.key)
                for key in (chats[item.key], *_named(item.key, item.event)):
                    if number := numbers.get(key):
                        found[key] = number
                    else:
                        wanted[key] = None
        if wanted:
            known = [one for one in await self._store.find_numbers(list(wanted)) if one is not None]
            numbers.written(known)
            found.update((one.key, one.id) for one in known)
        for key, number_key in chats.items():
            number = found.get(number_key) or numbers.promise(number_key)
            found[number_key] = number
            for facts in self._carriers[key[0]]:
                loaded.chats.append((facts.name, facts.account, kind_shown(key[2]), str(number)))
        return loaded

    # -- the plan ----------------------------------------------------------------------------

    def plan(self, planner: Planner, plan: Plan, items: Sequence[Item], loaded: Loaded) -> None:
        """Add to a plan what the carrying lines are shown of its messages."""
        work = _Work(plan, self.numbers, loaded.found)
        for position, row in zip(plan.index, plan.beat.inbox, strict=True):
            item = items[position]
            event = item.event
            carriers = self._carriers.get(item.key[0])
            if carriers and type(event) is MessageReceived and not event.is_own:
                self._carry(planner, work, item.key, event, row.id, carriers)
        if self.numbers.is_used_up and not self._is_used_up:
            self._is_used_up = True
            self._on_trouble("numbers used up, nothing is carried any more", None)

    def _carry(
        self,
        planner: Planner,
        work: _Work,
        key: Key,
        event: MessageReceived,
        row: InboxId,
        carriers: Sequence[LineFacts],
    ) -> None:
        chat = work.number(chat_key(key))
        sender = event.sender
        if kind_shown(key[2]) != GROUP:
            known = sender or Person("")
            sender = Person(str(chat), known.name or event.chat.name, known.card)
        elif sender is not None:
            number = work.number(person_key(key[0], key[1], sender.id))
            sender = Person(str(number), sender.name, sender.card)
        number = work.message(key, event, row)
        if not (chat and number):
            return
        name = event.chat.name
        if not name and sender is not None and kind_shown(key[2]) != GROUP:
            name = sender.name
        at_ms = event.at_ms or work.plan.beat.now_ms
        for facts in carriers:
            segments = work.shown(key, event, row, facts.account)
            say = Say(segments, sender, number, at_ms)
            state = self._chat(planner, work.plan, facts, (kind_shown(key[2]), str(chat)), name)
            self._write(work.plan, facts, state, say, key[0])

    def _chat(
        self, planner: Planner, plan: Plan, facts: LineFacts, chat: tuple[str, str], name: str
    ) -> ConversationState:
        """Return the chat of the carrying line, with its name."""
        key = (facts.name, facts.account, *chat)
        state = planner.answering.state_of(plan, key, None)
        if name and name != state.name:
            state = msgspec.structs.replace(state, name=name)
            planner.answering.note(plan, key, state)
        return state

    def _write(
        self, plan: Plan, facts: LineFacts, state: ConversationState, say: Say, line: str
    ) -> None:
        """Write the row: QUEUED, or EXPIRED where nothing waits and nobody is there."""
        now_ms = plan.beat.now_ms
        seat_key = facts.seat_of(state.chat)
        replay_ms = facts.replay_ms
        is_late = replay_ms == 0 and not self._router.find(facts.name, seat_key)
        row = OutboxRow(
            DeliveryId(self._ids.next()), state.id,
            DeliveryState.EXPIRED if is_late else DeliveryState.QUEUED, now_ms, encode_what(say),
            f"{SOURCE}:{line}",
            expires_ms=0 if replay_ms is None else now_ms + max(replay_ms, SHORTEST_MS),
            reason=AWAY if is_late else "",
        )  # fmt: skip
        plan.beat.outbox.append(row)
        plan.said.append((row, state, say.segments))
        if not is_late:
            plan.seats.add((facts.name, seat_key))
            self._grown.add(facts.name)

    # -- after the commit, and beside it -----------------------------------------------------

    def committed(self, numbers: Sequence[Number]) -> None:
        """Remember what a beat wrote."""
        self.numbers.written(numbers)

    async def trim(self) -> list[DeliveryId]:
        """Expire the oldest of what waits beyond 1,000 messages; return some of them at a time."""
        gone: list[DeliveryId] = []
        for name in list(self._grown):
            self._grown.discard(name)  # before: what grows meanwhile is looked at again
            why = f"more than {KEPT} messages wait for line {name}"
            try:
                now_ms = self._clock.now_ms()
                some = await self._store.expire_carried(name, KEPT, why, now_ms, TRIMMED)
            except BaseException:
                self._grown.add(name)
                raise
            gone += some
            if len(some) == TRIMMED:
                self._grown.add(name)
        return gone

    async def ensure(self, keys: Sequence[NumberKey]) -> dict[NumberKey, int]:
        """Return the numbers of chats; those without one get it. 0 when none is left."""
        found: dict[NumberKey, int] = {}
        numbers = self.numbers
        unknown = [key for key in dict.fromkeys(keys) if not numbers.get(key)]
        if unknown:
            known = await self._store.find_numbers(unknown)
            numbers.written([one for one in known if one is not None])
        fresh: list[Number] = []
        for key in dict.fromkeys(keys):
            number = numbers.promise(key)
            found[key] = number
            if number and not numbers.is_written(key):
                fresh.append(Number(number, *key))
        if fresh:
            await self._store.put_numbers(fresh)
            numbers.written(fresh)
        return found

    async def copies(self, key: Key) -> list[Key]:
        """Return where a chat of a carried line is shown."""
        carriers = self._carriers.get(key[0], ())
        (known,) = await self._store.find_numbers([chat_key(key)]) if carriers else (None,)
        if known is None:
            return []
        kind = kind_shown(key[2])
        return [(facts.name, facts.account, kind, str(known.id)) for facts in carriers]


class _Work:
    """The numbers of one plan: what it finds, and what it gives."""

    def __init__(self, plan: Plan, numbers: Numbers, found: dict[NumberKey, int]) -> None:
        self.plan = plan
        self._numbers = numbers
        self._found = found
        self._given: dict[NumberKey, int] = {}

    def number(self, key: NumberKey) -> int:
        """Return a chat's number; one that the store does not have is written with this beat."""
        given = self._given.get(key)
        if given is not None:
            return given
        number = self._found.get(key) or self._numbers.promise(key)
        self._given[key] = number
        if number and not self._numbers.is_written(key):
            self.plan.beat.numbers.append(Number(number, *key))
        return number

    def message(self, key: Key, event: MessageReceived, row: InboxId) -> int:
        """Return a new number for a message."""
        number = self._numbers.new()
        if number and event.peer_id:
            of_peer = message_key(key, event.peer_id)
            self._given[of_peer] = number
            self.plan.beat.numbers.append(Number(number, *of_peer, row))
        elif number:
            self.plan.beat.numbers.append(message_number(number, key[0], row))
        return number

    def shown(self, key: Key, event: MessageReceived, row: InboxId, account: str) -> Segments:
        """Return the message with numbers for people and for what it quotes.

        Args:
            account: of the carrying line: what our own account is shown as.
        """
        return with_ids(
            event.segments,
            lambda part: self._mention(key, part, account),
            lambda part: self._quote(key, part, row),
        )

    def _mention(self, key: Key, part: Mention, account: str) -> Mention:
        if part.user == EVERYBODY:
            return part
        if account and part.user and part.user == key[1]:
            return Mention(account, part.name)
        return Mention(str(self.number(person_key(key[0], key[1], part.user))), part.name)

    def _quote(self, key: Key, part: Quote, row: InboxId) -> Quote | None:
        if not part.message:
            return None
        for kind in (MESSAGE, QUOTE):
            of_peer = message_key(key, part.message, kind)
            number = self._given.get(of_peer) or self._found.get(of_peer, 0)
            if number:
                return Quote(str(number))
        number = self._numbers.new()
        if not number:
            return None
        heard = message_key(key, part.message, QUOTE)
        self._given[heard] = number
        self.plan.beat.numbers.append(Number(number, *heard, row))
        return Quote(str(number))


def _named(key: Key, event: MessageReceived) -> list[NumberKey]:
    """Return the keys of who speaks, who is mentioned and what is quoted."""
    line, account = key[0], key[1]
    keys: list[NumberKey] = []
    if event.sender is not None and kind_shown(key[2]) == GROUP:
        keys.append(person_key(line, account, event.sender.id))
    for part in event.segments:
        if type(part) is Mention and part.user != EVERYBODY:
            keys.append(person_key(line, account, part.user))
        elif type(part) is Quote and part.message:
            keys += [message_key(key, part.message, kind) for kind in (MESSAGE, QUOTE)]
    return keys
