"""The rules that people write: the best one that matches decides.

Words are found by one pass of the automaton, whatever their number; patterns are tried only where
their rule would beat what the words found, and only while their time allows it.
"""

from __future__ import annotations

from typing import Final

from trunkline.model.conversation import ConversationState

from .compiled import NO_RANK, Posting, Rule, Rulebook
from .keywords import MAX_CHARS, fold
from .notices import find_rule
from .patterns import RuleHealth
from .stage import Answers, Found
from .turn import Reply, Source, Step, Turn, Verdict, VerdictKind

# Each time-out costs 5 ms of everybody's time: after so many in one decision the remaining
# patterns are skipped, which the record shows.
MAX_SLOW: Final = 4

# Reading a member off its enum costs 0.09 µs; a name of the module a tenth of it.
_REPLY: Final = VerdictKind.REPLY
_DRAFT: Final = VerdictKind.DRAFT
_STOP: Final = VerdictKind.STOP
_RULE: Final = Source.RULE
_UNHEARD: Final = (Step("rules", "pass", ("reason", "notice")),)


def rules(
    state: ConversationState, turn: Turn, rulebook: Rulebook, _answers: Answers, health: RuleHealth
) -> Found:
    """Let the best matching rule decide."""
    if turn.notice:
        return _answer_notice(state, turn, rulebook)
    if not rulebook.rules:
        return None
    folded = fold(turn.text)
    rank, word = find_words(rulebook, turn, folded)
    note: Step | None = None
    if rulebook.patterned and rulebook.patterned[0].rank < rank:
        rank, word, note = _find_pattern(rulebook, turn, folded, health, (rank, word))
    if rank == NO_RANK:
        return note
    return _decide(state, turn, rulebook, (rulebook.rules[rank], word, note))


def _answer_notice(state: ConversationState, turn: Turn, rulebook: Rulebook) -> Verdict:
    """Let the best rule that names a notice decide; no later stage answers what nobody said."""
    found = find_rule(rulebook, turn)
    if found is None:
        return Verdict(VerdictKind.PASS, (), _UNHEARD, state)
    return _decide(state, turn, rulebook, (*found, None))


def find_words(rulebook: Rulebook, turn: Turn, folded: str) -> tuple[int, str]:
    """Return the rank of the best rule that matches without a pattern, and its keyword as typed.

    Returns:
        `(NO_RANK, "")` when none does.
    """
    best = NO_RANK
    found: Posting | None = None
    if rulebook.automaton is not None:
        postings = rulebook.contains
        for position in rulebook.automaton.hits(folded):
            posting = postings[position]
            if posting.best < best:
                rank = posting.best if posting.is_plain else _first(rulebook, posting, turn, folded)
                if rank < best:
                    best, found = rank, posting
    exact = None
    if rulebook.exact and len(turn.text) <= MAX_CHARS:
        exact = rulebook.exact.get(folded.strip())
    for posting in (exact, rulebook.anything):
        if posting is not None and posting.best < best:
            rank = posting.best if posting.is_plain else _first(rulebook, posting, turn, folded)
            if rank < best:
                best, found = rank, posting
    return best, "" if found is None else found.words[best]


def _first(rulebook: Rulebook, posting: Posting, turn: Turn, folded: str) -> int:
    """Return the smallest rank of a posting's rules that hold for the turn, or NO_RANK."""
    best = _first_of(rulebook, posting.anywhere, NO_RANK, turn, folded)
    if posting.by_line:
        best = _first_of(rulebook, posting.by_line.get(turn.line, ()), best, turn, folded)
    return best


def _first_of(
    rulebook: Rulebook, ranks: tuple[int, ...], best: int, turn: Turn, folded: str
) -> int:
    table = rulebook.rules
    for rank in ranks:
        if rank >= best:
            break
        rule = table[rank]
        if rule.is_plain or rule.holds(turn.line, turn.item, folded):
            return rank
    return best


def _find_pattern(
    rulebook: Rulebook, turn: Turn, folded: str, health: RuleHealth, found: tuple[int, str]
) -> tuple[int, str, Step | None]:
    """Try the patterns of better rules than the one found, best first."""
    best, word = found
    detail: list[str] = []
    slow = 0
    for entry in rulebook.patterned:
        if entry.rank >= best:
            break
        rule = rulebook.rules[entry.rank]
        if not rule.is_plain and not rule.holds(turn.line, turn.item, folded):
            continue
        for pattern in entry.patterns:
            if health.is_off(pattern.text):
                detail += ("off", rule.name)
            elif slow >= MAX_SLOW:
                detail += ("skipped", rule.name)
            else:
                try:
                    if pattern.is_in(folded):
                        return entry.rank, pattern.text, _note(detail)
                except TimeoutError:
                    slow += 1
                    health.note_timeout(pattern.text)
                    detail += ("slow", rule.name)
    return best, word, _note(detail)


def _note(detail: list[str]) -> Step | None:
    return Step("rules", "pass", tuple(detail)) if detail else None


def _decide(
    state: ConversationState, turn: Turn, rulebook: Rulebook, hit: tuple[Rule, str, Step | None]
) -> Verdict:
    rule, word, note = hit
    kind = rule.kind
    replies: tuple[Reply, ...] = ()
    if kind is _REPLY or kind is _DRAFT:
        if turn.mode == "draft" and not rule.is_at_once:
            kind = _DRAFT
        if rule.ready is not None and kind is rule.kind:
            replies = rule.ready
        else:
            segments = rule.template.segments(turn, rulebook.day_offset_ms)
            if segments:
                replies = (Reply(segments, _RULE, rule.name, kind is _DRAFT),)
            else:
                kind = _STOP  # every value was empty: there is nothing to say
    trace = rule.traces[word] if kind is rule.kind else rule.other_trace(word, kind)
    return Verdict(kind, replies, trace if note is None else (note, *trace), state)
