"""What is said when nothing else answered: the default reply within its limit, else – on a site
that no framework hears – the offline notice.

A line has one default reply: the first that holds for it, those that name lines before those for
every line. Uses are counted in the conversation's state, in names that do not depend on the file,
so editing a text does not let it be said again. The name is the reply's own: a use whose message
was refused or never left is given back by it (Source: xianyu 14).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from trunkline.model.conversation import ConversationState

from .ai import apology
from .compiled import DefaultReply, Rulebook
from .patterns import RuleHealth
from .stage import Answers, Found, say, stop
from .turn import Source, Step, Turn

MAX_COUNTERS: Final = 64
DAY_MS: Final = 86_400_000
_WHOLE: Final = "default"  # of the whole conversation
_PREFIX: Final = "default@"
_DAY: Final = f"{_PREFIX}day:"
_USER: Final = f"{_PREFIX}user:"
_MAX_USER_CHARS: Final = 128


def default_reply(
    state: ConversationState, turn: Turn, rulebook: Rulebook, answers: Answers, _health: RuleHealth
) -> Found:
    """Say the default reply of the line, or on a site the model's apology or offline notice."""
    reason = ""
    for entry in rulebook.defaults:
        if entry.scope.holds_line(turn.line):
            found, reason = _use(state, turn, rulebook, entry)
            if found is not None:
                return found
            break
    if sorry := apology(turn, rulebook, answers):
        verdict = say(state, turn, sorry, Source.MODEL)
        step = Step("default_reply", verdict.kind.value, ("reason", "model-failed"))
        return msgspec.structs.replace(verdict, trace=(step,))
    if turn.is_site and turn.is_carried:
        # Somebody is there: that nobody is must not be said before her answer.
        return stop(state, "default_reply", "reason", reason or "carried")
    if turn.is_site:
        segments = rulebook.offline.segments(turn, rulebook.day_offset_ms)
        if segments:
            verdict = say(state, turn, segments, Source.OFFLINE)
            step = Step("default_reply", verdict.kind.value, ("reason", reason or "offline"))
            return msgspec.structs.replace(verdict, trace=(step,))
    return stop(state, "default_reply", "reason", reason) if reason else None


def _use(
    state: ConversationState, turn: Turn, rulebook: Rulebook, entry: DefaultReply
) -> tuple[Found, str]:
    """Use a default reply; without a verdict, the word why it was not used."""
    segments = entry.template.segments(turn, rulebook.day_offset_ms)
    if not segments:
        return None, "silent"
    if entry.limit:
        day = (turn.now_ms + rulebook.day_offset_ms) // DAY_MS
        name = _counter(entry, turn, day)
        used = state.counters.get(name, 0)
        if used >= entry.limit:
            return None, "used-up"
        counters = count(state.counters, name, day)
        state = msgspec.structs.replace(state, counters=counters)
        verdict = say(state, turn, segments, Source.DEFAULT)
        reply = msgspec.structs.replace(verdict.replies[0], name=name[len(_PREFIX) :])
        return msgspec.structs.replace(verdict, replies=(reply,)), ""
    return say(state, turn, segments, Source.DEFAULT), ""


def give_back(state: ConversationState, name: str) -> ConversationState:
    """Return the state with one use less: what was to be said was not said.

    Args:
        name: of the reply.
    """
    counter = f"{_PREFIX}{name}" if name else _WHOLE
    uses = state.counters.get(counter, 0)
    if not uses:
        return state
    counters = {key: value for key, value in state.counters.items() if key != counter}
    if uses > 1:
        counters[counter] = uses - 1
    return msgspec.structs.replace(state, counters=counters)


def _counter(entry: DefaultReply, turn: Turn, day: int) -> str:
    match entry.per:
        case "conversation":
            return _WHOLE
        case "day":
            return f"{_DAY}{day}"
        case "user":
            sender = turn.sender
            return f"{_USER}{sender.id[:_MAX_USER_CHARS] if sender is not None else ''}"


def count(counters: Mapping[str, int], name: str, day: int) -> dict[str, int]:
    """Return the counters with one more use of `name`, at most 64 of them.

    Past days are dropped at once; above the bound the users that were answered longest ago go.
    """
    today = f"{_DAY}{day}"
    kept = {
        key: uses
        for key, uses in counters.items()
        if key != name and (key == today or not key.startswith(_DAY))
    }
    kept[name] = counters.get(name, 0) + 1
    for key in list(kept):
        if len(kept) <= MAX_COUNTERS:
            break
        if key.startswith(_USER) and key != name:
            del kept[key]
    return kept
