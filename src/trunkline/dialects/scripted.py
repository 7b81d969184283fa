"""What the scripted worlds of the dialects share: chance from a seed, a script, a tally.

An `emulator.py` is such a world on top of its dialect's `platform.py`. Either its people dial by
themselves, each a session of its own (`ScriptedWorld`), or accounts dial a platform on which people
talk to them (`PeopledWorld`, with a `Cue` for each link). Pure: it knows no dialect, and a run can
be repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Generic, NotRequired, TypedDict, TypeVar

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import (
    Changed,
    Effect,
    Effects,
    Hangup,
    Noticed,
    Received,
    Settled,
    Transmit,
)
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text

REMEMBERED: Final = 256  # lines of one chat that wait for an answer
_DIGEST_BYTES: Final = 8
_PASSED: Final = frozenset({Changed, Hangup, Noticed, Settled, Transmit})

Account = TypeVar("Account", int, str)


class Tally(msgspec.Struct):
    """What the people of a world have seen, all together.

    Args:
        sent: messages said; repeats by faults are not counted.
        answered: messages with an answer.
        doubled: answers that came again, or although nothing was left to answer.
        misordered: answers to a line while an earlier one of the same chat had none.
        errors: what of the other side could not be read or was repaired, and rules that it broke.
    """

    sent: int = 0
    answered: int = 0
    doubled: int = 0
    misordered: int = 0
    errors: int = 0


class Chance:
    """Draws that depend on a name alone: the same name draws the same numbers.

    Args:
        faults: probability by name. Looked up at each draw, so who empties it ends all faults.
        name: whose chance it is, a seed first.
    """

    __slots__ = ("_draws", "_faults", "_name")

    def __init__(self, faults: Mapping[str, float], *name: int) -> None:
        self._faults = faults
        self._name = "".join(f"{part}:" for part in name)
        self._draws = 0

    def draw(self) -> float:
        """Draw the next number within 0 … 1."""
        self._draws += 1
        name = f"{self._name}{self._draws}".encode()
        digest = blake2b(name, digest_size=_DIGEST_BYTES).digest()
        return int.from_bytes(digest, "big") / 2 ** (8 * _DIGEST_BYTES)

    def happens(self, fault: str) -> bool:
        """Decide whether a fault happens now; what never happens draws nothing."""
        chance = self._faults.get(fault, 0.0)
        return chance > 0.0 and self.draw() < chance


class Script(TypedDict):
    """How the people of a world behave.

    Attributes:
        seed: the same seed gives the same people.
        pace_s: mean seconds between two lines of one person or account (> 0).
        messages: lines for each of them; 0 = no end.
        script: the lines, said in turn; without it the dialect's own.
        faults: probability by name, see the world's `FAULTS`.
    """

    seed: int
    pace_s: float
    messages: NotRequired[int]
    script: NotRequired[tuple[str, ...]]
    faults: NotRequired[Mapping[str, float] | None]


class ScriptedWorld:
    """People with a script.

    Args:
        lines: what they say without a `script`.
        possible: the faults that there are.
        how: the script of this run.

    Raises:
        ValueError: a fault that there is not, no pace, or no line.
    """

    def __init__(self, lines: tuple[str, ...], possible: frozenset[str], how: Script) -> None:
        faults = dict(how.get("faults") or {})
        unknown = sorted(set(faults) - possible)
        if unknown:
            raise ValueError(f"unknown faults {unknown}; there are {sorted(possible)}")
        self.seed = how["seed"]
        self.pace_s = how["pace_s"]
        self.messages = how.get("messages", 0)
        self.script = how.get("script", lines)
        if self.pace_s <= 0 or not self.script:
            raise ValueError("a world needs a pace above 0 and at least one line")
        self.faults = faults

    def chance(self, *name: int) -> Chance:
        """Return the chance of one person, or of all."""
        return Chance(self.faults, self.seed, *name)

    def pause_s(self, drawn: float) -> float:
        """Return for how long somebody is silent, by what was drawn: half to one and a half times
        the pace.
        """
        return self.pace_s * (0.5 + drawn)

    def has_said_all(self, said: int) -> bool:
        """Whether somebody who has said so many lines is through."""
        return bool(self.messages) and said >= self.messages


class PeopledWorld(ScriptedWorld, Generic[Account]):
    """A platform that accounts dial; people there say lines to them.

    Args:
        lines: what they say without a `script`.
        possible: the faults that there are.
        how: the script of this run.
        is_scripted: False = people say nothing by themselves, somebody lets them (`send` of a
            link's session) and is shown what the account says.
    """

    def __init__(
        self, lines: tuple[str, ...], possible: frozenset[str], how: Script, *, is_scripted: bool
    ) -> None:
        super().__init__(lines, possible, how)
        self.is_scripted = is_scripted
        self.tally = Tally()
        self.said: dict[Account, int] = {}  # lines of an account's people
        # (account, chat) → lines without an answer
        self.asked: dict[tuple[Account, str], deque[str]] = {}
        self._chance = self.chance()

    def happens(self, fault: str) -> bool:
        """Decide whether a fault happens now."""
        return self._chance.happens(fault)

    def draw(self) -> float:
        """Draw the next number within 0 … 1."""
        return self._chance.draw()

    def calm(self) -> None:
        """Let nothing go wrong any more; what a person must see to stays so."""
        self.faults.clear()

    def is_through(self, account: Account) -> bool:
        """Whether everything is said to an account."""
        return self.has_said_all(self.said.get(account, 0))

    def is_over(self, account: Account) -> bool:
        """Whether the script of an account is over and everything is answered."""
        waits = any(lines for (who, _), lines in self.asked.items() if who == account)
        return self.is_through(account) and not waits

    def next_line(self, account: Account) -> str:
        """Return what is said to an account next; its number tells it from a repeat."""
        said = self.said.get(account, 0)
        return f"{self.script[said % len(self.script)]} #{said}"

    def note_line(self, account: Account, chat: str, words: str) -> None:
        """Note that a line was said in a chat, and waits for its answer."""
        self.said[account] = self.said.get(account, 0) + 1
        self.tally.sent += 1
        self.asked.setdefault((account, chat), deque(maxlen=REMEMBERED)).append(words)

    def hear(self, account: Account, event: MessageReceived) -> None:
        """Count what an account says as an answer."""
        waiting = self.asked.get((account, event.chat.id))
        if waiting:
            count_answer(waiting, plain_text(event.segments), self.tally)
        else:
            self.hear_more(account, event.chat.id)

    def hear_more(self, account: Account, chat: str) -> None:
        """Count what is said where nothing is left to answer; a world may know a reason for it."""
        del account, chat
        self.tally.doubled += 1


class Cue(Generic[Account]):
    """When people speak next over one link, and what they hear there.

    Args:
        world: whose script and tally.
        clock: of the link's session.
    """

    def __init__(self, world: PeopledWorld[Account], clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._at_s: float | None = None

    def plan(self, account: Account) -> None:
        """Plan the next line to an account, unless all is said."""
        world = self._world
        if world.is_scripted and not world.is_through(account):
            self._at_s = self._clock.monotonic_s() + world.pause_s(world.draw())

    def take(self) -> bool:
        """Whether the next line is due; then nothing is planned any more."""
        if self._at_s is None or self._clock.monotonic_s() < self._at_s:
            return False
        self._at_s = None
        return True

    def drop(self) -> None:
        """Say nothing more: the link died."""
        self._at_s = None

    def before(self, wake_at: float | None) -> float | None:
        """Return when to be woken: for the next line, or before it."""
        times = (at_s for at_s in (self._at_s, wake_at) if at_s is not None)
        return min(times, default=None)

    def watch(self, account: Account, effects: Effects) -> list[Effect]:
        """Hear what an account says, and pass on what is for its link."""
        world = self._world
        if not world.is_scripted:
            return list(effects)

        kept: list[Effect] = []
        for effect in effects:
            if type(effect) is Received and type(effect.event) is MessageReceived:
                world.hear(account, effect.event)
            elif type(effect) in _PASSED:
                kept.append(effect)
                world.tally.errors += type(effect) is Noticed
        return kept


def count_answer(waiting: deque[str], said: str, tally: Tally) -> None:
    """Count an answer to one of the lines that wait for it, and wait for that one no more.

    Nothing on the wire says what it answers: its words may.
    """
    nth = next((nth for nth, words in enumerate(waiting) if words and words in said), 0)
    tally.answered += 1
    tally.misordered += nth > 0
    del waiting[nth]
