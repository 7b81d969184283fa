"""What was said, heard, stored and acknowledged: the truth that the promises are checked against.

Every message of a run holds a word of its own (`w000042` said by a peer, `p000042` by a program),
and answers say the words of their questions again. So one look at a text tells which messages it
is about, whatever the dialect wraps around it.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from trunkline.model.event import DurableEvent, MessageReceived
from trunkline.store.contract import Beat

from .storage import POISON
from .trace import Trace

WORD: Final = re.compile(r"[wp]\d{6}")
WORD_BYTES: Final = re.compile(rb"[wp]\d{6}")
MOST_BROKEN: Final = 20


class Said(msgspec.Struct):
    """Something that a peer said.

    Args:
        person, chat, link: who, where, and over which of its links, counted.
        nth: its place among all that was said.
        is_straight: written once over one link; repeats and second attempts are not.
        is_acked: the house has confirmed it.
        is_kept: its platform keeps it until it is acknowledged, so it must come.
    """

    person: str
    chat: str
    link: int
    nth: int
    is_straight: bool = True
    is_acked: bool = False
    is_kept: bool = False


class Book:
    """See the module. Belongs to the run, not to a life of the process."""

    def __init__(self, trace: Trace) -> None:
        self.broken: list[str] = []
        self.said: dict[str, Said] = {}
        self.posted: dict[str, str] = {}  # word → address, once the house has taken it
        self.heard: dict[str, dict[str, int]] = {}  # by person, in order: word → link
        self.sharing: set[str] = set()  # people whose seat others share
        self.poisoned: set[str] = set()
        self.refused = 0  # rows that cannot be stored and came to the store alone
        self.committed: dict[str, int] = {}  # word → inbox row
        self.decided: dict[int, int] = {}  # outbox row → its place among all decisions
        self.beats = 0
        self.deaths = 0
        self.stops = 0
        self._keys: set[bytes] = set()
        self._bodies: set[bytes] = set()
        self._told: set[bytes] = set()  # words that the house says
        self._trace = trace
        self._words = 0

    def word(self, kind: str) -> str:
        """Return a word that nobody has said yet."""
        self._words += 1
        return f"{kind}{self._words:06d}"

    def breaks(self, rule: str) -> None:
        """Note a promise that was broken."""
        self._trace.note("BROKEN", rule)
        if len(self.broken) < MOST_BROKEN and rule not in self.broken:
            self.broken.append(rule)

    def hear(self, person: str, link: int, text: str) -> None:
        """A peer hears something over one of its links: each word of it once."""
        heard = self.heard.setdefault(person, {})
        for word in WORD.findall(text):
            if word in heard:
                self.breaks(f"{person} hears {word} twice")
            heard[word] = link

    def confirm(self, word: str) -> None:
        """A peer is told that the house has what it said."""
        said = self.said[word]
        said.is_acked = True
        if word not in self.committed and word not in self.poisoned:
            self.breaks(f"{word} is confirmed and not stored")

    # -- what the store tells ----------------------------------------------------------------

    def store(self, beat: Beat) -> None:
        """A beat is durable."""
        self.beats += 1
        for row in beat.outbox:
            self.decided[row.id] = len(self.decided)
            self._told.update(WORD_BYTES.findall(row.body))
        for row in beat.inbox:
            if row.key is not None:
                self._keys.add(row.key)
            self._bodies.add(row.body)
            for found in WORD_BYTES.findall(row.body):
                word = found.decode()
                if word in self.committed:
                    self.breaks(f"{word} is stored twice")
                self.committed[word] = row.id
        self._trace.note(
            "commit",
            f"in {len(beat.inbox)} out {len(beat.outbox)} claims {len(beat.claims)}"
            f" ranges {len(beat.sent_ranges)} outcomes {len(beat.outcomes)}"
            f" done {len(beat.done)} turns {len(beat.turns)}",
            b"".join(row.body for row in (*beat.inbox, *beat.outbox)),
        )

    def refuse(self, events: int) -> None:
        """A beat cannot be stored; of one event alone that is final."""
        self.refused += events == 1

    def is_durable(self, event: DurableEvent) -> bool:
        """Whether an event of the house's own sessions is committed, or was before."""
        if event.key is not None and event.key in self._keys:
            return True
        body = msgspec.msgpack.encode(event)
        if type(event) is MessageReceived and event.is_own:
            # The platform shows our account what the house said: it is a row of the outbox.
            return self._told.issuperset(WORD_BYTES.findall(body))
        return body in self._bodies or POISON in body
