"""What a decision is made from and what comes out of it: turns and verdicts."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias, final

import msgspec

from trunkline.model.conversation import ConversationState
from trunkline.model.event import DurableEvent, Person
from trunkline.model.message import Segments


class Turn(msgspec.Struct, frozen=True):
    """The events of one conversation that are answered together, and when and where.

    Args:
        events: oldest first; one unless debounce joined several.
        text: what rules read: the texts joined by newlines, or the last one (`debounce_mode`).
        item: what the chat is about, or "".
        sender: of the last event.
        now_ms: wall time of the decision.
        mode: of the line: `auto`, `draft`, `off`.
        age_ms: of the newest event, as the dialect counts age: how long it was on its way, or how
            long it has been here, whichever is more.
        stale_after_ms: older events get no automatic answer; 0 = any age does.
        is_enabled: false = the line is switched off.
        is_site, loop_guard: the dialect's traits.
        dialect: its name, for the filters of plugins.
        is_carried: a framework on a line that carries this one hears it, and may answer.
        notice: the name of the notice that this turn is (`order:paid`), "" for everything else.
    """

    events: tuple[DurableEvent, ...]
    text: str
    item: str
    sender: Person | None
    now_ms: int
    line: str
    mode: str = "auto"
    age_ms: int = 0
    stale_after_ms: int = 0
    is_enabled: bool = True
    is_site: bool = False
    loop_guard: bool = False
    dialect: str = ""
    notice: str = ""
    is_carried: bool = False


class Source(Enum):
    """Who wrote a reply."""

    RULE = "rule"
    ITEM = "item"
    DEFAULT = "default"
    OFFLINE = "offline"
    KNOWLEDGE = "knowledge"
    MODEL = "model"
    PLUGIN = "plugin"
    PERSON = "person"
    API = "api"


class Reply(msgspec.Struct, frozen=True):
    """One message to be said.

    Args:
        source: who wrote it.
        name: the rule's name, of a default reply what its use was counted as, or "".
        is_draft: a person must approve it first.
    """

    segments: Segments
    source: Source
    name: str = ""
    is_draft: bool = False


class VerdictKind(Enum):
    """What the pipeline decided."""

    REPLY = "reply"
    DRAFT = "draft"
    PERSON = "person"
    STOP = "stop"
    ASK = "ask"
    PASS = "pass"  # noqa: S105


@final
class Step(msgspec.Struct, frozen=True, array_like=True):
    """One stage in the *why* record: `stage`, `verdict`, and detail as flat strings."""

    stage: str
    verdict: str
    detail: tuple[str, ...] = ()


Trace: TypeAlias = tuple[Step, ...]


class Verdict(msgspec.Struct, frozen=True):
    """The decision on one turn.

    Args:
        kind: what to do.
        replies: at most 15, in order.
        trace: one step per stage that had a say.
        state: the conversation's state after it; the same object when nothing changed.
        ask: (stage, request) when kind is ASK.
        is_counted: the state differs from what it was only by the count of answers, which decides
            nothing yet. It needs no row: that would be one for every answer (measured: 5 µs of 85).
            A restart forgets at most four answers of the last minute.
    """

    kind: VerdictKind
    replies: tuple[Reply, ...]
    trace: Trace
    state: ConversationState
    ask: tuple[str, Any] | None = None
    is_counted: bool = False
