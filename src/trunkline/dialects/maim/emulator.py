"""A scripted world of platforms on top of `platform`: their people say lines, answers are counted.

Pure: one *person* here is one adapter connection, with a few people in private chats and a group.
Every connection has a platform name of its own, since a core lets the newest of a name replace the
older ones. What is heard is tallied; nothing of it leaves as an event. Chance is derived from the
seed, so a run can be repeated.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Unpack

import msgspec

from trunkline.dialects.contract import (
    Actor,
    Changed,
    Dial,
    Effect,
    Effects,
    Hangup,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Park,
    Received,
    Transmit,
)
from trunkline.dialects.maim.blocks import UserInfo
from trunkline.dialects.maim.identity import Context, encode_context
from trunkline.dialects.maim.options import MaimOptions
from trunkline.dialects.maim.platform import AdapterSession
from trunkline.dialects.maim.session import ECHO
from trunkline.dialects.scripted import Script, ScriptedWorld, Tally, count_answer
from trunkline.errors import TrunklineError
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Say
from trunkline.model.event import Event, MessageReceived
from trunkline.model.message import plain_text
from trunkline.model.segment import Text

SCRIPT: Final = (
    "大家好",
    "今天天气怎么样？",
    "多少钱？",
    "What can you do?",
    "讲个笑话吧",
    "晚安 🌙",
)
FAULTS: Final = frozenset({"double", "malformed", "cut"})
PEOPLE: Final = ("小明", "小红", "Alice")
GROUP: Final = ("20001", "测试群")
REMEMBERED: Final = 64  # lines of one chat that wait for an answer; answers that are remembered


class World(ScriptedWorld):
    """Platforms with a script.

    Args:
        options: of the adapter line: `url`, `token`, `platform`. The first connection has that
            platform, further ones have a number behind it.
        how: the script of this run; its faults happen at each line: `double` sends the frame twice,
            `malformed` a broken one before it, `cut` hangs up instead.
    """

    def __init__(self, options: MaimOptions, **how: Unpack[Script]) -> None:
        super().__init__(SCRIPT, FAULTS, how)
        self.options = options
        self.tally = Tally()
        self._made = 0
        self._present: set[int] = set()

    def person(self, opening: Opening) -> Person:
        """Make the next connection. It takes the name of one that has left, if there is any."""
        self._made += 1
        seat = next(n for n in range(1, len(self._present) + 2) if n not in self._present)
        self._present.add(seat)
        name = self.options.platform if seat == 1 else f"{self.options.platform}.{seat}"
        return Person(self, self._made, seat, opening, name)

    def leave(self, seat: int) -> None:
        """Give the name of a connection back."""
        self._present.discard(seat)


class Person:
    """One simulated platform: an adapter session with a script.

    Args:
        world: whose script and tally.
        number: from 1; with the seed it decides all chance.
        seat: which of the world's names this one has.
        opening: role `adapter`; clock and ids.
        platform: the name.
    """

    def __init__(
        self, world: World, number: int, seat: int, opening: Opening, platform: str
    ) -> None:
        self.wake_at: float | None = None
        self._world = world
        self._number = number
        self._seat = seat
        self._clock = opening.clock
        self._ids = opening.ids
        self._platform = platform
        options = world.options.model_copy(update={"platform": platform})
        self._adapter = AdapterSession(options, opening)
        self._chance = world.chance(number)
        self._said = 0
        self._asked: dict[tuple[str, str], deque[str]] = {}  # chat → lines without an answer
        self._heard: deque[str] = deque(maxlen=REMEMBERED)  # message ids of answers

    # -- verbs -----------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Dial the core."""
        return self._watch(self._adapter.begin(kept))

    def linked(self, info: LinkInfo) -> Effects:
        """Be there; the first line comes at its time."""
        effects = self._watch(self._adapter.linked(info))
        self._plan()
        return effects

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Hear the core; leave when the script is over and everything is answered."""
        effects = self._watch(self._adapter.receive(data, is_text=is_text))
        return effects if not self._is_over() else (*effects, *self._leave())

    def answered(self, tag: object, answer: object) -> Effects:
        """Refuse: an adapter asks nothing."""
        return self._adapter.answered(tag, answer)

    def stored(self, receipt: object) -> Effects:
        """Do nothing: a person keeps no store."""
        return self._adapter.stored(receipt)

    def send(self, delivery: Delivery) -> Effects:
        """Say what somebody else puts into a person's mouth (a sandbox)."""
        return self._say(delivery)

    def tick(self) -> Effects:
        """Say the next line when its time has come."""
        if self.wake_at is None or self._clock.monotonic_s() < self.wake_at:
            return ()
        self.wake_at = None
        world = self._world
        if self._chance.happens("cut"):
            return self._watch(self._adapter.finish())
        broken = [Transmit(b'{"message_info":')] if self._chance.happens("malformed") else []
        said = self._say(self._next_line())
        if not world.has_said_all(self._said):
            self._plan()
        twice = [effect for effect in said if type(effect) is Transmit]
        return [*broken, *said, *(twice if self._chance.happens("double") else ())]

    def finish(self) -> Effects:
        """Leave the core."""
        self.wake_at = None
        return self._watch(self._adapter.finish())

    def lost(self, error: TrunklineError) -> Effects:
        """The link died."""
        self.wake_at = None
        self._world.leave(self._seat)
        return self._watch(self._adapter.lost(error))

    # -- saying ----------------------------------------------------------------------------

    def _next_line(self) -> Delivery:
        world, platform = self._world, self._platform
        line = world.script[(self._number + self._said) % len(world.script)]
        nth = int(self._chance.draw() * len(PEOPLE))
        who = UserInfo(platform, str(10001 + nth), PEOPLE[nth])
        chat = Chat(platform, "private", str(10001 + nth), PEOPLE[nth])
        if self._chance.draw() < 0.5:
            chat = Chat(platform, "group", *GROUP)
        return Delivery(
            DeliveryId(self._ids.next()),
            chat,
            Say((Text(line),)),
            encode_context(Context(user=who)),
            self._clock.now_ms(),
        )

    def _say(self, delivery: Delivery) -> list[Effect]:
        effects = self._watch(self._adapter.send(delivery))
        self._said += 1
        self._world.tally.sent += 1
        words = plain_text(delivery.what.segments) if type(delivery.what) is Say else ""
        chat = (delivery.chat.kind, delivery.chat.id)
        self._asked.setdefault(chat, deque(maxlen=REMEMBERED)).append(words)
        return effects

    def _plan(self) -> None:
        """Plan the next line: half to one and a half times the pace from now."""
        wait_s = self._world.pause_s(self._chance.draw())
        self.wake_at = self._clock.monotonic_s() + wait_s

    def _is_over(self) -> bool:
        return self._world.has_said_all(self._said) and not any(self._asked.values())

    def _leave(self) -> Effects:
        self._adapter.finish()
        self.wake_at = None
        return (
            Changed(LinkState.CLOSED),
            Hangup(1000, "the script is over", Park("the script is over")),
        )

    # -- hearing ---------------------------------------------------------------------------

    def _watch(self, effects: Effects) -> list[Effect]:
        """Tally what is for a store, pass on what is for a link."""
        kept: list[Effect] = []
        for effect in effects:
            if type(effect) is Received:
                self._hear(effect.event)
            elif type(effect) in _PASSED:
                kept.append(effect)
                self._world.tally.errors += type(effect) is Noticed
        return kept

    def _hear(self, event: Event) -> None:
        """Count an answer. The classic line does not say what it answers: its words may."""
        if type(event) is not MessageReceived:
            return
        tally = self._world.tally
        waiting = self._asked.get((event.chat.kind, event.chat.id))
        if event.peer_id in self._heard or not waiting:
            tally.doubled += 1
            return
        self._heard.append(event.peer_id)
        count_answer(waiting, plain_text(event.segments), tally)


_PASSED = frozenset({Changed, Hangup, Noticed, Transmit, Dial})


class Cast:
    """Adapters for the crash harness: every other one speaks the API-Server line (`maim 9`).

    The classic line acknowledges nothing in either direction. On the other one both sides do, and
    the adapter drops second copies.
    """

    lines = """\
[lines.core]
dialect = "maim"
role = "core"
link = "listen"
path = "/ws"
token = "torture"
"""
    path = "/ws"
    manners = frozenset({
        "redeliver-14", "reorder", "leave", "stop-reading", "late", "echo-own",
    })  # fmt: skip

    def actor(self, number: int) -> Actor:
        """Return the adapter of a number, from 0, with a private chat and a group."""
        platform, is_api = f"p{number}", number % 2 == 1
        fields = {"platform": platform, "token": "torture", "api": is_api}
        context = encode_context(Context(user=UserInfo(platform, "u", "U")))
        chats = (Chat(platform, "private", "u", "U"), Chat(platform, "group", "g", "G"))
        spoken = [(chat, context) for chat in chats]
        return Actor("adapter", fields, spoken, dedupes=is_api)

    def echo(self, event: MessageReceived) -> Act:
        """Return what tells the core which id its message has on the platform (`maim 5.2`)."""
        data = {"echo": event.peer_id, "actual_id": f"p-{event.peer_id}"}
        return Act(ECHO, msgspec.json.encode(data))


CAST: Final = Cast()
