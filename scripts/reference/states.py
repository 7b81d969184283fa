"""`states.md`: what states there are and how one follows another, as diagrams.

The states are those of the enums. Arrows come from the comments of the enums' members (`→ QUEUED
when a person approves`) and from the tables that the code decides by; the few that stand only in
statements are in `STATEMENTS`, each with the function that makes it, which must exist.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from trunkline.dialects.contact.session import MOVES
from trunkline.dialects.contract import LinkState
from trunkline.dialects.maim.session import TRANSITIONS
from trunkline.dialects.onebot11.session import TRANSITIONS as ONEBOT11_TRANSITIONS
from trunkline.exchange.sending import _STATES
from trunkline.lines.contract import LineState, LineStatus
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import InboxState
from trunkline.web.routes.deliveries import DISCARDED_FROM, REQUEUED_FROM

from .tables import attributes, code, head, table

_MEMBER: Final = re.compile(r"^\s+([A-Z]+) = [^#]*(?:#\s*(.*))?$", re.MULTILINE)
_CLAUSE: Final = re.compile(r"(?:→|·)\s*([A-Z]+(?:(?:, | or )[A-Z]+)*)\s*([^·→.]*)")
START: Final = "[*]"
# Written in a comment, but nothing makes it yet: turns that ask come with models.
UNMADE: Final = frozenset({("WAITING", "DEAD")})
PLAIN_WORDS: Final = {
    "draft": "waits for a person's word",
    "queued": "waits for its link, for its turn or for its due time",
    "sending": "handed to its link; what became of it is not noted yet",
}


class Arrow(NamedTuple):
    """From one state to another, and what makes it."""

    before: str
    after: str
    why: str


class Stated(NamedTuple):
    """An arrow that stands in a statement: `made_by` is `module:function` below `trunkline`."""

    before: str
    after: str
    why: str
    made_by: str


_ANSWER: Final = "exchange.answering:Answering.answer"
_NOTE: Final = "exchange.sending:Sender._note"
DELIVERY_STATEMENTS: Final = (
    Stated(START, "SENDING", "an answer, its link is ready", _ANSWER),
    Stated(START, "QUEUED", "sent by API, or no link is ready", _ANSWER),
    Stated(START, "DRAFT", "mode draft, or the rule asks", _ANSWER),
    Stated(START, "EXPIRED", "the visitor left", _ANSWER),
    Stated("SENDING", "UNCERTAIN", "a restart, or no proof came", "store.sqlite.starting:restart"),
    Stated("SENDING", "QUEUED", "nothing was written", _NOTE),
    Stated("SENDING", "EXPIRED", "the visitor left", _NOTE),
    Stated("QUEUED", "DEAD", "its media file is gone", "store.sqlite.outbox:queued"),
)
_TAKE: Final = "exchange.planning:Planner._take"
_DISCARD: Final = "web.routes.messages:discard_message"
INBOX_STATEMENTS: Final = (
    Stated(START, "WAITING", "debounce_s", _TAKE),
    Stated(START, "DONE", "decided at once", _TAKE),
    Stated(START, "DEAD", "cannot be stored or decided", _TAKE),
    Stated("WAITING", "DISCARDED", "by a person", _DISCARD),
    Stated("DEAD", "DISCARDED", "by a person", _DISCARD),
    Stated("DONE", "DISCARDED", "a request is dealt with", _DISCARD),
)
_INIT: Final = "lines.line:Line.__init__"
_RUN: Final = "lines.supervisor:Supervisor.run"
_ENTER: Final = "lines.line:Line.changed"
_GIVE_UP: Final = "lines.supervisor:Supervisor._give_up"
DIAL_STATEMENTS: Final = (
    Stated(START, "DISCONNECTED", "", _INIT),
    Stated("DISCONNECTED", "CONNECTING", "the first dial", _RUN),
    Stated("CONNECTING", "CONNECTED", "the link is open", _ENTER),
    Stated("CONNECTING", "RECONNECTING", "it failed, wait", _RUN),
    Stated("CONNECTED", "RECONNECTING", "the link ended, wait", _RUN),
    Stated("RECONNECTING", "CONNECTED", "the link is open", _ENTER),
    Stated("RECONNECTING", "FAILED", "parked, or more than max_failures", _GIVE_UP),
    Stated("CONNECTING", "FAILED", "parked", _GIVE_UP),
    Stated("CONNECTED", "FAILED", "parked", _GIVE_UP),
    Stated("FAILED", "CONNECTING", "reconnect, by a person", _RUN),
    Stated("RECONNECTING", "CONNECTING", "reconnect, by a person", _RUN),
    Stated("CONNECTED", "DISCONNECTED", "stop", _RUN),
)
_REFRESH: Final = "lines.line:Line._refresh"
LISTEN_STATEMENTS: Final = (
    Stated(START, "DISCONNECTED", "", _INIT),
    Stated("DISCONNECTED", "CONNECTED", "a peer is ready; contact: its path is served", _REFRESH),
    Stated("CONNECTED", "DISCONNECTED", "the last peer is gone; contact: not served", _REFRESH),
)


def render() -> str:
    """Return the page."""
    return "\n\n".join((
        head("States", "What the states of a row, a line and a session are called, everywhere."),
        "## Deliveries",
        "Rows of the outbox (`trunkline outbox`). *Held* means that a person is waited for: a "
        "`draft`, an `uncertain` one, or a `queued` one on a line that is paused or needs you.",
        _diagram(DeliveryState, delivery_arrows()),
        _meanings(DeliveryState),
        "## Inbox",
        "Rows of what came in (`trunkline inbox`).",
        _diagram(InboxState, inbox_arrows()),
        _meanings(InboxState),
        "## Lines",
        "A line that dials:",
        _diagram(LineState, _stated(DIAL_STATEMENTS)),
        "A line that listens:",
        _diagram(LineState, _stated(LISTEN_STATEMENTS), is_whole=False),
        f"Overlays: {attributes(LineStatus, 'Args')['overlays'].removeprefix('of ')} `deaf` is a "
        "word that nothing sets yet. The mode (`auto`, `draft`, `off`) is apart from all this.",
        "## Sessions",
        "One session runs on each link. Contact:",
        _diagram(LinkState, _moves(MOVES), is_whole=False),
        "maim:",
        _diagram(LinkState, _moves(TRANSITIONS), is_whole=False),
        "OneBot 11:",
        _diagram(LinkState, _moves(ONEBOT11_TRANSITIONS), is_whole=False),
    )) + "\n"  # fmt: skip


def delivery_arrows() -> list[Arrow]:
    """Return how a delivery's state may change."""
    arrows = [*_stated(DELIVERY_STATEMENTS), *_commented(DeliveryState)]
    arrows += [Arrow("SENDING", to.name, "by the session") for to in _STATES.values()]
    arrows += [Arrow(state.name, "QUEUED", "requeue, by a person") for state in REQUEUED_FROM]
    arrows += [Arrow(state.name, "DISCARDED", "by a person") for state in DISCARDED_FROM]
    return _once(arrows)


def inbox_arrows() -> list[Arrow]:
    """Return how an inbox row's state may change."""
    return _once([*_stated(INBOX_STATEMENTS), *_commented(InboxState)])


def _once(arrows: Iterable[Arrow]) -> list[Arrow]:
    """Keep the first arrow between two states: what is more exact is written first."""
    found: dict[tuple[str, str], Arrow] = {}
    for arrow in arrows:
        found.setdefault((arrow.before, arrow.after), arrow)
    return list(found.values())


def _stated(statements: Iterable[Stated]) -> list[Arrow]:
    arrows: list[Arrow] = []
    for before, after, why, made_by in statements:
        module, _, path = made_by.partition(":")
        found: object = importlib.import_module(f"trunkline.{module}")
        for name in path.split("."):
            found = getattr(found, name)
        # A function that is there but never names the state would be the wrong one.
        source = inspect.getsource(found)  # type: ignore[arg-type]  # it is a function
        if after not in source:
            raise SystemExit(f"{made_by} says nothing of {after}")
        arrows.append(Arrow(before, after, why))
    return arrows


def comments(states: type[Enum]) -> dict[str, str]:
    """Return the comment of each member of an enum, from its source."""
    found = {name: said or "" for name, said in _MEMBER.findall(inspect.getsource(states))}
    if list(found) != [state.name for state in states]:
        raise SystemExit(f"the members of {states.__name__} could not be read")
    return found


def _commented(states: type[Enum]) -> list[Arrow]:
    return [
        Arrow(before, after, why.strip())
        for before, said in comments(states).items()
        for names, why in _CLAUSE.findall(said)
        for after in names.replace(" or ", ", ").split(", ")
        if (before, after) not in UNMADE
    ]


def _meanings(states: type[Enum]) -> str:
    rows = [
        (code(name), _CLAUSE.sub("", said).strip(" .:") or PLAIN_WORDS[name])
        for name, said in ((one.lower(), said) for one, said in comments(states).items())
    ]
    return table(("state", "meaning"), rows)


def _moves(table_of_moves: Mapping[LinkState, frozenset[LinkState]]) -> list[Arrow]:
    arrows = [Arrow(START, LinkState.OPENING.name, "")]
    for before in LinkState:
        after = table_of_moves.get(before, frozenset[LinkState]())
        arrows += [Arrow(before.name, to.name, "") for to in LinkState if to in after]
    return arrows


def _diagram(states: type[Enum], arrows: list[Arrow], *, is_whole: bool = True) -> str:
    """Return a Mermaid diagram.

    Args:
        is_whole: every state of the enum must have an arrow.
    """
    names = {state.name for state in states}
    drawn = {name for arrow in arrows for name in (arrow.before, arrow.after)} - {START}
    if drawn - names or (is_whole and names - drawn):
        raise SystemExit(f"{states.__name__}: arrows and states differ: {drawn ^ names}")
    lines = ["```mermaid", "stateDiagram-v2"]
    for before, after, why in arrows:
        lines.append(f"    {before} --> {after}" + (f": {why}" if why else ""))
    return "\n".join([*lines, "```"])
