"""A scripted world of visitors on top of `platform`: they dial, say lines, and count what happens.

Pure: a person is a session like any other, so whoever opens links can drive thousands of them. What
a person hears is consumed and tallied; nothing of it leaves as an event. Chance is derived from the
seed, so a run can be repeated.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Unpack

import msgspec

from trunkline.dialects.contact.frames import ContactRequest, encode
from trunkline.dialects.contact.options import ContactOptions
from trunkline.dialects.contact.platform import VisitorSession
from trunkline.dialects.contact.session import Stamps
from trunkline.dialects.contact.translate import SITE
from trunkline.dialects.contract import (
    Actor,
    Changed,
    Effect,
    Effects,
    Hangup,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Park,
    Received,
    Settled,
    Transmit,
)
from trunkline.dialects.scripted import Script, ScriptedWorld
from trunkline.errors import TrunklineError
from trunkline.ids import DeliveryId
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import Event, MessageReceived
from trunkline.model.segment import Quote, Text

SCRIPT: Final = (
    "你好，在吗？",
    "这个多少钱？",
    "可以便宜一点吗？",
    "什么时候能回复我？",
    "Hello, is anybody there?",
    "谢谢！",
)
FAULTS: Final = frozenset({"double", "malformed", "cut"})
REQUEST_SHARE: Final = 0.25  # visitors whose page sends a contact request right after the greeting
REMEMBERED: Final = 256  # questions of one person that are remembered, to tell a second answer


class Tally(msgspec.Struct):
    """What the people of a world have seen, all together.

    Args:
        sent: messages said; a repeat by the fault `double` is not counted.
        acknowledged: messages the site confirmed.
        answered: messages with an answer.
        doubled: answers to what was answered before.
        misordered: answers that came before their acknowledgement or out of question order.
        errors: problems the site reported, and frames that could not be read.
        uncertain: messages without acknowledgement when their link died.
        requests: contact requests sent.
    """

    sent: int = 0
    acknowledged: int = 0
    answered: int = 0
    doubled: int = 0
    misordered: int = 0
    errors: int = 0
    uncertain: int = 0
    requests: int = 0


class World(ScriptedWorld):
    """Visitors with a script.

    Args:
        options: of the visitor line: `url` and the rest.
        how: the script of this run; its faults happen at each line: `double` sends the frame twice,
            `malformed` a broken one before it, `cut` hangs up instead.
    """

    def __init__(self, options: ContactOptions, **how: Unpack[Script]) -> None:
        super().__init__(SCRIPT, FAULTS, how)
        self.options = options
        self.tally = Tally()
        self._people = 0

    def person(self, opening: Opening) -> Person:
        """Make the next visitor, for one link."""
        self._people += 1
        return Person(self, self._people, opening)


class Person:
    """One simulated visitor: a visitor session with a script.

    Args:
        world: whose script and tally.
        number: from 1; with the seed it decides all chance.
        opening: role `visitor`; clock and ids.
    """

    def __init__(self, world: World, number: int, opening: Opening) -> None:
        self.wake_at: float | None = None
        self._world = world
        self._number = number
        self._clock = opening.clock
        self._ids = opening.ids
        self._stamps = Stamps(opening.clock)
        self._visitor = VisitorSession(world.options, opening)
        self._next_line_s: float | None = None
        self._chance = world.chance(number)
        self._said = 0
        self._unsettled = 0
        self._newest_answered = 0
        self._order: dict[DeliveryId, int] = {}  # said and not acknowledged → its number
        # acknowledged message id → (number, whether it is answered), oldest first
        self._asked: OrderedDict[str, tuple[int, bool]] = OrderedDict()
        self._waiting = 0  # acknowledged and not answered

    # -- verbs -----------------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Dial the site."""
        return self._watch(self._visitor.begin(kept))

    def linked(self, info: LinkInfo) -> Effects:
        """Wait for the greeting."""
        return self._watch(self._visitor.linked(info))

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Hear the site; leave when the script is over and everything is answered."""
        effects = self._watch(self._visitor.receive(data, is_text=is_text))
        return effects if not self._is_over() else (*effects, *self._leave())

    def answered(self, tag: object, answer: object) -> Effects:
        """Refuse: a visitor asks nothing."""
        return self._visitor.answered(tag, answer)

    def stored(self, receipt: object) -> Effects:
        """Do nothing: a person keeps no store."""
        return self._visitor.stored(receipt)

    def send(self, delivery: Delivery) -> Effects:
        """Say what somebody else puts into the person's mouth (a sandbox)."""
        return self._say(delivery)

    def tick(self) -> Effects:
        """Say the next line when its time has come; keep the connection alive."""
        effects = self._watch(self._visitor.tick())
        if self._next_line_s is None or self._clock.monotonic_s() < self._next_line_s:
            return effects
        line = self._next_line()
        self._refresh()
        return [*effects, *line]

    def finish(self) -> Effects:
        """Leave the site."""
        self._next_line_s = None
        return self._watch(self._visitor.finish())

    def lost(self, error: TrunklineError) -> Effects:
        """The link died."""
        self._next_line_s = None
        return self._watch(self._visitor.lost(error))

    # -- saying ----------------------------------------------------------------------------

    def _next_line(self) -> list[Effect]:
        world = self._world
        self._next_line_s = None
        if self._chance.happens("cut"):
            return self._watch(self._visitor.finish())
        broken = [Transmit(b'{"type":')] if self._chance.happens("malformed") else []
        line = world.script[(self._number + self._said) % len(world.script)]
        delivery = DeliveryId(self._ids.next())
        said = self._say(Delivery(delivery, SITE, Say((Text(line),)), at_ms=self._clock.now_ms()))
        if not world.has_said_all(self._said):
            self._plan()
        twice = [effect for effect in said if type(effect) is Transmit]
        return [*broken, *said, *(twice if self._chance.happens("double") else ())]

    def _say(self, delivery: Delivery) -> list[Effect]:
        self._said += 1
        self._unsettled += 1
        self._world.tally.sent += 1
        self._order[delivery.id] = self._said
        return self._watch(self._visitor.send(delivery))

    def _plan(self) -> None:
        """Plan the next line: half to one and a half times the pace from now."""
        wait_s = self._world.pause_s(self._chance.draw())
        self._next_line_s = self._clock.monotonic_s() + wait_s

    def _is_over(self) -> bool:
        is_through = self._world.has_said_all(self._said)
        return is_through and not self._unsettled and not self._waiting

    def _leave(self) -> Effects:
        closed = self._visitor.finish()
        self._refresh()
        return (Hangup(1000, "the script is over", Park("the script is over")),) if closed else ()

    # -- hearing ---------------------------------------------------------------------------

    def _watch(self, effects: Effects) -> list[Effect]:
        """Tally what is for a store, pass on what is for a link, plan the first line."""
        kept: list[Effect] = []
        for effect in effects:
            if type(effect) is Received:
                self._hear(effect.event)
            elif type(effect) is Settled:
                self._settle(effect)
            else:
                kept.append(effect)
                if type(effect) is Noticed and effect.kind != "unexpected-ack":
                    self._world.tally.errors += 1
                if type(effect) is Changed and effect.state is LinkState.READY:
                    kept += self._arrive()
        self._refresh()
        return kept

    def _refresh(self) -> None:
        times = [at for at in (self._visitor.wake_at, self._next_line_s) if at is not None]
        self.wake_at = min(times, default=None)

    def _arrive(self) -> list[Effect]:
        self._plan()
        if self._chance.draw() >= REQUEST_SHARE:
            return []
        self._world.tally.requests += 1
        request = ContactRequest(
            "请与我联系", self._stamps.now(), "trunkline emulator", name=f"访客 {self._number}"
        )
        return [Transmit(encode(request))]

    def _settle(self, settled: Settled) -> None:
        tally = self._world.tally
        number = self._order.pop(settled.delivery_id, 0)
        self._unsettled -= 1
        if settled.outcome is Outcome.UNCERTAIN:
            tally.uncertain += 1
        elif settled.outcome is Outcome.CONFIRMED:
            tally.acknowledged += 1
            self._waiting += 1
            self._asked[settled.peer_id] = (number, False)
            if len(self._asked) > REMEMBERED:
                self._forget()

    def _forget(self) -> None:
        _, (_, is_answered) = self._asked.popitem(last=False)
        if not is_answered:
            self._waiting -= 1

    def _hear(self, event: Event) -> None:
        """Count an answer. Words that answer nothing (a broadcast, a person) are not counted."""
        quoted = event.segments[0] if type(event) is MessageReceived else None
        if type(quoted) is not Quote:
            return
        tally = self._world.tally
        number, is_answered = self._asked.get(quoted.message, (0, False))
        if not number:
            tally.misordered += 1
        elif is_answered:
            tally.doubled += 1
        else:
            tally.answered += 1
            self._waiting -= 1
            self._asked[quoted.message] = (number, True)
            tally.misordered += number < self._newest_answered
            self._newest_answered = max(number, self._newest_answered)


class Cast:
    """Visitors for the crash harness: every other one opts in and keeps its session (`contact 9`).

    A plain visitor's chat ends with its link. Who opted in comes back to it and drops second copies
    by `message_id`.
    """

    lines = """\
[lines.blog]
dialect = "contact"
chat_burst = 0
"""
    path = "/contact"
    manners = frozenset({"redeliver-14", "reorder", "leave", "stop-reading", "late"})

    def actor(self, number: int) -> Actor:
        """Return the visitor of a number, from 0."""
        is_kept = number % 2 == 1
        fields = {"session": is_kept, "ping_interval_s": 2.0}
        return Actor("visitor", fields, ((SITE, b""),), is_brief=not is_kept, dedupes=is_kept)

    def echo(self, event: MessageReceived) -> None:
        """Return nothing: a visitor does not send the site's words back."""
        del event


CAST: Final = Cast()
