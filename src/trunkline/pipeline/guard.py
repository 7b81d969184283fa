"""The first stage: what is never answered automatically.

Own messages, notices and requests, a line that is switched off, messages that are too old, and a
conversation in which two machines seem to talk to each other.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.model.conversation import ConversationState
from trunkline.model.event import MessageReceived

from .compiled import Rulebook
from .patterns import RuleHealth
from .stage import Answers, Found, stop
from .turn import Step, Turn, Verdict, VerdictKind

# Source: reliability 8, "Model replies": > 5 automatic replies in 60 s to one peer → 10 min.
MAX_REPLIES: Final = 5
WINDOW_MS: Final = 60_000
PAUSE_MS: Final = 600_000

_NOTICE: Final = (Step("guard", "pass", ("reason", "notice")),)


def guard(
    state: ConversationState,
    turn: Turn,
    _rulebook: Rulebook,
    _answers: Answers,
    _health: RuleHealth,
) -> Found:
    """Stop what must not be answered."""
    events = turn.events
    if len(events) == 1:
        event = events[0]
        is_message = type(event) is MessageReceived
        is_own = type(event) is MessageReceived and event.is_own
    else:
        messages = [event for event in events if type(event) is MessageReceived]
        is_message = bool(messages)
        is_own = any(event.is_own for event in messages)
    if not is_message:
        return Verdict(VerdictKind.PASS, (), _NOTICE, state)
    if is_own:
        return stop(state, "guard", "reason", "own")
    if turn.mode == "off" or not turn.is_enabled:
        return stop(state, "guard", "reason", "off" if turn.is_enabled else "disabled")
    if turn.age_ms > turn.stale_after_ms > 0:
        return stop(state, "guard", "reason", "stale", "age_ms", str(turn.age_ms))
    # The wall clock may go back; a pause never waits longer than its own length again.
    if turn.loop_guard and 0 < state.paused_until_ms - turn.now_ms <= PAUSE_MS:
        return stop(state, "guard", "reason", "loop", "until_ms", str(state.paused_until_ms))
    return None


def account(
    state: ConversationState,
    turn: Turn,
    _rulebook: Rulebook,
    _answers: Answers,
    _health: RuleHealth,
) -> Found:
    """Stop when the account is switched off: nobody answers for it. Source: design 5"""
    return None if turn.is_enabled else stop(state, "guard", "reason", "disabled")


def note_reply(state: ConversationState, now_ms: int) -> ConversationState:
    """Remember an automatic reply; the sixth within 60 s pauses the conversation."""
    recent = (*(at for at in state.recent if now_ms - at < WINDOW_MS), now_ms)[-MAX_REPLIES - 1 :]
    paused_until_ms = now_ms + PAUSE_MS if len(recent) > MAX_REPLIES else 0
    return msgspec.structs.replace(state, recent=recent, paused_until_ms=paused_until_ms)
