"""The verdict: what the peers know against what the data and the log say, when all is quiet.

- Every acknowledged message has one inbox row, and it is decided.
- Every decided message has one answer; it was seen once, or its row is UNCERTAIN. What waited for
  a visitor whose chat ended with the link is EXPIRED.
  So is what waited for longer than an automatic answer is of use, while that is a fifth at most.
- Every UNCERTAIN row is explained: the product died, or the peer's link ended, after the row was
  made, and the row became UNCERTAIN right then. Where the platform shows us our own messages, what
  it has is proven: none of those that were seen is UNCERTAIN still.
- Answers of a conversation came in the order of its inbox rows; those are in the order of asking,
  but for peers that shuffle.
- No row waits any more, the file is whole, the log has no traceback.
- The loop was not blocked. The product's watchdog says for how long it was blocked by itself, and
  where; no stall is armed, so nothing explains it. But a machine with more work than cores makes
  any thread late now and then, also in the middle of a call. So a stall counts when it is longer
  than `LONG_STALL_MS`, or the `SAME_PLACE`th of more than 50 ms in the same place; the others are
  only reported. What blocks by itself does so each time.

Source: reliability 1, 7
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from trunkline.exchange.answering import REPLY_LIFE_MS
from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.ids import DeliveryId, question_id
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text
from trunkline.store.contract import InboxState
from trunkline.store.sqlite.connection import Connection, connect_reader

from .ledger import Ended, Ledger
from .process import SAID

DATABASE: Final = "trunkline.db"
OPEN_STATES: Final = frozenset({DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DRAFT})
GONE_STATES: Final = frozenset({DeliveryState.EXPIRED, DeliveryState.UNCERTAIN})
# A row is UNCERTAIN at the restart after the kill, or when the link's end is noticed.
EXPLAINED_MS: Final = 60_000
_SLACK_MS: Final = 50
_TROUBLES: Final = (
    "Traceback (most recent call last)", "RuntimeWarning", "ResourceWarning", "never awaited",
)  # fmt: skip
LONG_STALL_MS: Final = 250
SAME_PLACE: Final = 3
TOLERATED: Final = 5  # of so many questions one answer may have come too late
# As `process/condition.py` logs it: the place is the innermost frame, `file:line function`.
_BLOCKED: Final = re.compile(r"event loop blocked.* ms=(\d+).* stack=\"?([^<\"\n]*)")
_SHOWN: Final = 20


class Verdict(msgspec.Struct, frozen=True):
    """What was found.

    Args:
        lost: acknowledged and not there, or decided and never seen.
        doubled: stored or seen twice.
        uncertain: rows in that state; each is explained, or among `unexplained`.
        out_of_order: answers that came before an earlier one of their conversation, and messages
            stored before one that was said earlier.
        stuck: rows that wait still.
        expired: answers that waited for longer than they are of use: the machine was too slow.
        stalls: times in which the loop came late by its own doing, for more than 50 ms.
        blocked: those of them that the loop was blocked in.
        problems: everything that is wrong, in words, the first of each kind.
        hits: how often the product died at each failpoint.
    """

    lost: int
    doubled: int
    uncertain: int
    unexplained: int
    out_of_order: int
    stuck: int
    expired: int
    stalls: int
    blocked: int
    messages: int
    acknowledged: int
    answers: int
    problems: tuple[str, ...]
    hits: Mapping[str, int] = {}
    kills: int = 0
    seed: int = 0
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.problems


class Reply(msgspec.Struct, frozen=True):
    """An outbox row."""

    words: str
    state: DeliveryState
    at_ms: int
    settled_ms: int
    reason: str


class Row(msgspec.Struct):
    """A message as it is stored, with its answers."""

    ident: int
    conversation: int
    state: InboxState
    answers: list[Reply] = []


class _Found:
    """Collects what is wrong, by kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []

    def add(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= _SHOWN:
            self.problems.append(f"{kind}: {text}")


def check(folder: Path, ledger: Ledger, *, proves: bool = False) -> Verdict:
    """Compare; the product is stopped.

    Args:
        proves: the platform shows us our own messages, so what was seen is not UNCERTAIN any more.
    """
    found = _Found()
    with contextlib.closing(connect_reader(folder / DATABASE)) as data:
        whole: str = data.execute("PRAGMA integrity_check").fetchone()[0]
        if whole != "ok":
            found.add("damaged", whole)
        rows = _read_rows(data, found)
    for stray in ledger.strays:
        found.add("stray", stray)
    _check_inbox(rows, ledger, found)
    _check_answers(rows, ledger, found)
    _check_order(rows, ledger, found)
    if found.counts["expired"] * TOLERATED > len(ledger.said):
        found.add("slow", f"{found.counts['expired']} answers waited for too long")
    uncertain = _check_uncertain(rows, ledger, found)
    if proves:
        _check_proofs(rows, ledger, found)
    stalls = _check_logs(folder, found)
    counts = found.counts
    return Verdict(
        lost=counts["lost"],
        doubled=counts["doubled"],
        uncertain=uncertain,
        unexplained=counts["unexplained"],
        out_of_order=counts["out of order"],
        stuck=counts["stuck"],
        expired=counts["expired"],
        stalls=stalls,
        blocked=counts["blocked"],
        messages=len(ledger.said),
        acknowledged=sum(said.is_acknowledged for said in ledger.said.values()),
        answers=len(ledger.answers),
        problems=tuple(found.problems),
    )


def _read_rows(data: Connection, found: _Found) -> dict[str, Row]:
    """Read the messages by their words; a second row with the same words is a problem."""
    rows: dict[str, Row] = {}
    by_id: dict[int, Row] = {}
    sentence = "SELECT id, conversation, state, body FROM inbox ORDER BY id"
    for ident, conversation, state, body in data.execute(sentence):
        event = decode_event(body)
        if type(event) is not MessageReceived:
            continue
        words = plain_text(event.segments)
        if words in rows:
            found.add("doubled", f"stored twice: {words}")
        rows[words] = by_id[ident] = Row(ident, conversation, InboxState(state))
    sentence = "SELECT id, state, at_ms, settled_ms, reason, body FROM outbox ORDER BY id"
    for ident, state, at_ms, settled_ms, reason, body in data.execute(sentence):
        what = decode_what(body)
        words = plain_text(what.segments) if type(what) is Say else repr(what)[:80]
        reply = Reply(words, DeliveryState(state), at_ms, settled_ms, reason)
        row = by_id.get(question_id(DeliveryId(ident)) or 0)
        if row is None:
            found.add("stray", f"an answer to no message: {words}")
        else:
            row.answers.append(reply)
    return rows


def _check_inbox(rows: Mapping[str, Row], ledger: Ledger, found: _Found) -> None:
    for words, said in ledger.said.items():
        if said.is_acknowledged and words not in rows:
            found.add("lost", f"acknowledged and not stored: {words}")
    for words, row in rows.items():
        if words not in ledger.said:
            found.add("stray", f"stored and never said: {words[:80]!r}")
        if row.state is InboxState.WAITING:
            found.add("stuck", f"not decided: {words}")
        elif row.state is not InboxState.DONE:
            found.add("lost", f"{row.state.name}: {words}")


def _check_answers(rows: Mapping[str, Row], ledger: Ledger, found: _Found) -> None:
    seen = Counter(answer.words for answer in ledger.answers if not answer.is_copy)
    for words, count in seen.items():
        if count > 1:
            found.add("doubled", f"seen {count} times: {words}")
        if words not in rows:
            found.add("lost", f"answered and not stored: {words}")
    for words, row in rows.items():
        if row.state is not InboxState.DONE:
            continue
        if len(row.answers) != 1 or row.answers[0].words != f"re:{words}":
            found.add("lost", f"decided with {[one.words for one in row.answers]}: {words}")
            continue
        state = row.answers[0].state
        said = ledger.said.get(words)
        expects = said is None or said.expects_answer
        allowed = {DeliveryState.UNCERTAIN} if expects else GONE_STATES
        if state in OPEN_STATES:
            found.add("stuck", f"{state.name}: the answer to {words}")
        elif state is DeliveryState.EXPIRED and _has_outlived(row.answers[0]):
            found.counts["expired"] += 1
        elif words not in seen and state not in allowed:
            found.add("lost", f"{state.name}, but never seen: the answer to {words}")


def _has_outlived(reply: Reply) -> bool:
    return reply.settled_ms - reply.at_ms >= REPLY_LIFE_MS


def _check_order(rows: Mapping[str, Row], ledger: Ledger, found: _Found) -> None:
    newest: dict[int, int] = {}
    for answer in ledger.answers:
        row = rows.get(answer.words)
        if row is None or answer.is_copy:
            continue
        if row.ident < newest.get(row.conversation, 0):
            found.add("out of order", f"the answer to {answer.words} came late")
        newest[row.conversation] = max(row.ident, newest.get(row.conversation, 0))
    newest.clear()
    for words, said in ledger.said.items():
        row = rows.get(words)
        if row is None or said.peer in ledger.shuffling:
            continue
        if row.ident < newest.get(row.conversation, 0):
            found.add("out of order", f"{words} was stored before what was said earlier")
        newest[row.conversation] = max(row.ident, newest.get(row.conversation, 0))


def _check_uncertain(rows: Mapping[str, Row], ledger: Ledger, found: _Found) -> int:
    count = 0
    for words, row in rows.items():
        for reply in row.answers:
            if reply.state is not DeliveryState.UNCERTAIN:
                continue
            count += 1
            peer = ledger.said[words].peer if words in ledger.said else ""
            if not _is_explained(reply, ledger.ends, ledger.cuts.get(peer, ())):
                found.add("unexplained", f"uncertain without a cut: {words} ({reply.reason})")
    return count


def _check_proofs(rows: Mapping[str, Row], ledger: Ledger, found: _Found) -> None:
    seen = {answer.words for answer in ledger.answers}
    for words, row in rows.items():
        for reply in row.answers:
            if reply.state is DeliveryState.UNCERTAIN and words in seen:
                found.add("unproven", f"seen, and uncertain still: the answer to {words}")


def count_unproven(folder: Path, ledger: Ledger) -> int:
    """Return how many answers were seen and are UNCERTAIN still; the product may run."""
    found = _Found()
    with contextlib.closing(connect_reader(folder / DATABASE)) as data:
        _check_proofs(_read_rows(data, found), ledger, found)
    return found.counts["unproven"]


def _is_explained(reply: Reply, ends: Sequence[Ended], cuts: Sequence[int]) -> bool:
    """Whether a cut lies between the row's making and its becoming UNCERTAIN, right before it."""
    if reply.reason.startswith("restart "):
        before = [one for one in ends if one.from_ms <= reply.settled_ms]
        # The last life that had ended by then must be one that knew the row and was killed.
        last = before[-1] if before else None
        return (
            last is not None
            and last.how != "stop"
            and reply.at_ms <= last.to_ms + _SLACK_MS
            and reply.settled_ms - last.to_ms <= EXPLAINED_MS
        )
    first, last_ms = reply.at_ms - _SLACK_MS, reply.settled_ms + EXPLAINED_MS
    return any(first <= at_ms <= last_ms for at_ms in cuts)


def _check_logs(folder: Path, found: _Found) -> int:
    """Look for tracebacks and blocked loops; return how many stalls there were."""
    places: Counter[str] = Counter()
    for text in _logs(folder):
        for trouble in _TROUBLES:
            for match in re.finditer(re.escape(trouble), text):
                found.add("log", text[max(0, match.start() - 200) : match.start() + 1500])
        for match in _BLOCKED.finditer(text):
            place = match[2].strip()
            places[place] += 1
            if int(match[1]) > LONG_STALL_MS or places[place] >= SAME_PLACE:
                found.add("blocked", f"{match[1]} ms in {place}")
    return places.total()


def _logs(folder: Path) -> Iterator[str]:
    for path in (folder / SAID, *sorted(folder.glob("trunkline.log*"))):
        if path.exists():
            yield path.read_text("utf-8", "replace")
