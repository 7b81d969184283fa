"""A person has a conversation: the rules of it, as values of one beat.

On a site the timer is a row: a visitor's message that waits for the person opens a turn `takeover`,
due when nobody has done anything for 120 s; then the automatic answers are back (`contact 9.3`).
Elsewhere a takeover lasts as long as it was said to. One begins by itself where our own account
says something that no delivery explains: then the owner writes in the app (`xianyu 11`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.exchange.extras import Mark
from trunkline.ids import ConversationId
from trunkline.model.conversation import ConversationState
from trunkline.model.history import TakeoverChanged
from trunkline.pipeline.turn import Verdict
from trunkline.store.contract import Beat, TurnRow

KIND: Final = "takeover"
ANSWER_WITHIN_MS: Final = 120_000  # Source: contact 9.3
SPOKEN_MS: Final = 600_000  # what a message of the person adds, as a takeover does
UNANSWERED: Final = "no answer within 120 s"
ANSWERED: Final = "a person has the conversation"
SAID_ELSEWHERE: Final = "the owner answered in the app"


def await_person(beat: Beat, state: ConversationState, verdict: Verdict, since_ms: int) -> None:
    """Open the timer when the takeover stage stopped a message; one that runs goes on."""
    if not verdict.trace or verdict.trace[-1].stage != KIND:
        return
    due_ms = since_ms + ANSWER_WITHIN_MS
    beat.turns.append(TurnRow(state.id, due_ms, since_ms, KIND, cap_ms=ANSWER_WITHIN_MS))


def attended(beat: Beat, conversation: ConversationId) -> None:
    """Note that a person deals with a conversation: what was handed over before is in her hands."""
    if beat.for_person:
        beat.for_person = [one for one in beat.for_person if one[1] != conversation]
    beat.attended.append(conversation)


def spoken(beat: Beat, state: ConversationState) -> ConversationState:
    """Extend a takeover by what the person said; nothing waits for her any more."""
    if state.taken_until_ms <= beat.now_ms:
        return state
    beat.turns_done.append(state.id)
    until_ms = max(state.taken_until_ms, beat.now_ms + SPOKEN_MS)
    return msgspec.structs.replace(state, taken_until_ms=until_ms, taken_ms=beat.now_ms)


def said_elsewhere(
    beat: Beat, state: ConversationState, said_ms: int | None, for_ms: int
) -> tuple[ConversationState, TakeoverChanged | None]:
    """Take for the owner, who wrote in the app; a longer takeover stays as long as it is.

    Args:
        said_ms: when she wrote, by the platform's clock: old words that are only told again take
            nothing.
    """
    until_ms = (beat.now_ms if said_ms is None else min(said_ms, beat.now_ms)) + for_ms
    if until_ms <= max(beat.now_ms, state.taken_until_ms):
        return state, None
    is_taken = state.taken_until_ms > beat.now_ms
    taken_by = state.taken_by if is_taken else ""
    taken = msgspec.structs.replace(
        state, taken_until_ms=until_ms, taken_by=taken_by, taken_ms=beat.now_ms
    )
    beat.withdrawn.append((state.id, ANSWERED))
    beat.answered.append((state.id, SAID_ELSEWHERE))
    return taken, None if is_taken else TakeoverChanged(state.chat, "")


def marked(
    beat: Beat, state: ConversationState, mark: Mark
) -> tuple[ConversationState, TakeoverChanged | None]:
    """Take or give back; return the new state, and what is told when it is another person's."""
    is_taken = state.taken_until_ms > beat.now_ms
    if mark.until_ms:
        taken = msgspec.structs.replace(
            state, taken_until_ms=mark.until_ms, taken_by=mark.name, taken_ms=beat.now_ms
        )
        if is_taken and state.taken_by == mark.name:
            return taken, None
        return taken, TakeoverChanged(state.chat, mark.name)
    if not is_taken:
        return state, None
    beat.turns_done.append(state.id)
    return _given_back(state, mark.reason)


def look(
    beat: Beat, state: ConversationState, turn: TurnRow
) -> tuple[ConversationState, TakeoverChanged | None]:
    """Give back what nobody answered; look again later when the person did something since."""
    if state.taken_until_ms <= beat.now_ms:
        return state, None
    due_ms = state.taken_ms + ANSWER_WITHIN_MS
    if due_ms > beat.now_ms:
        beat.turns.append(TurnRow(state.id, due_ms, turn.since_ms, KIND))
        return state, None
    return _given_back(state, UNANSWERED)


def _given_back(
    state: ConversationState, reason: str
) -> tuple[ConversationState, TakeoverChanged | None]:
    free = msgspec.structs.replace(state, taken_until_ms=0, taken_by="", taken_ms=0)
    return free, TakeoverChanged(state.chat, state.taken_by, is_taken=False, reason=reason)
