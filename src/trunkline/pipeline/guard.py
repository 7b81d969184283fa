"""The first stage: what is never answered automatically.

Own messages, notices that nobody listens for and requests, a line that is switched off, messages
that are too old, and a conversation in which two machines seem to talk to each other.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.model.conversation import ConversationState
from trunkline.model.event import MessageReceived, NoticeReceived

from .compiled import Rulebook
from .notices import is_heard
from .patterns import RuleHealth
from .stage import Answers, Found, stop
from .turn import Step, Trace, Turn, Verdict, VerdictKind

# Source: reliability 8, "Model replies": > 5 automatic replies in 60 s to one peer → 10 min.
MAX_REPLIES: Final = 5
WINDOW_MS: Final = 60_000
PAUSE_MS: Final = 600_000

_NOTICE: Final = (Step("guard", "pass", ("reason", "notice")),)
# Source: xianyu 7.4 (3): a text that only looks like the platform's is shown and never acts.
_UNTRUSTED: Final = (Step("guard", "pass", ("reason", "untrusted")),)


def guard(
    state: ConversationState,
    turn: Turn,
    rulebook: Rulebook,
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
    if not is_message and (why := _why_unheard(rulebook, turn)) is not None:
        return Verdict(VerdictKind.PASS, (), why, state)
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


def _why_unheard(rulebook: Rulebook, turn: Turn) -> Trace | None:
    """Return why nothing acts on what is no message, None when something may."""
    if not is_heard(rulebook, turn):
        return _NOTICE
    event = turn.events[-1]
    return _UNTRUSTED if type(event) is NoticeReceived and not event.is_trusted else None


def account(
    state: ConversationState,
    turn: Turn,
    _rulebook: Rulebook,
    _answers: Answers,
    _health: RuleHealth,
) -> Found:
    """Stop when the account is switched off: nobody answers for it. Source: design 5"""
    return None if turn.is_enabled else stop(state, "guard", "reason", "disabled")


def note_reply(verdict: Verdict, before: ConversationState, now_ms: int) -> Verdict:
    """Remember an automatic reply; the sixth within 60 s pauses the conversation.

    Args:
        before: the state that was decided on.
    """
    state = verdict.state
    recent = state.recent
    paused_until_ms = 0
    if len(recent) >= MAX_REPLIES - 1:  # only now it matters which of them are of the last minute
        # What seems to come yet was said before the clock was set back: it is long over.
        recent = tuple(at for at in recent if 0 <= now_ms - at < WINDOW_MS)[-MAX_REPLIES:]
        paused_until_ms = now_ms + PAUSE_MS if len(recent) == MAX_REPLIES else 0
    recent = (*recent, now_ms)
    is_counted = (
        state is before and len(recent) < MAX_REPLIES and paused_until_ms == state.paused_until_ms
    )
    noted = msgspec.structs.replace(state, recent=recent, paused_until_ms=paused_until_ms)
    return Verdict(verdict.kind, verdict.replies, verdict.trace, noted, verdict.ask, is_counted)
