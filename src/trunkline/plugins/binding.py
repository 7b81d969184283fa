"""A handler's parameters are filled by their annotations.

What a parameter wants is worked out once, when its file is loaded, so a wrong annotation is told
there and not at the first message.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, Final

import msgspec

from trunkline.clock import Clock
from trunkline.model.asking import HandlerKind, HandlerSpec, Hit, PluginRequest
from trunkline.model.conversation import ConversationState
from trunkline.model.event import MessageReceived, NoticeReceived, Person
from trunkline.model.message import Segments

from .router import ChatView, Line, Message, Notice, Registered
from .services import Conversation, Log, Logger, Now, Store

_NOBODY: Final = Person("")


class Around(msgspec.Struct, frozen=True):
    """What services are made of.

    Args:
        folder: where plugins keep what they keep.
        offset_ms: added to UTC for `Now`.
    """

    clock: Clock
    log: Logger
    folder: Path
    offset_ms: int


class Call(msgspec.Struct, frozen=True):
    """One call of one handler: everything that a parameter may want."""

    around: Around
    state: ConversationState
    request: PluginRequest
    message: Message
    log: Log
    store: Store


class Bound(msgspec.Struct, frozen=True):
    """A handler that can be called.

    Args:
        plugin: the file's name without its ending.
        wants: by parameter, how its value is made.
    """

    spec: HandlerSpec
    plugin: str
    function: Callable[..., Any]
    within_s: float
    wants: Mapping[str, Callable[[Call], object]]
    log: Log
    store: Store

    def arguments(self, call: Call) -> dict[str, object]:
        """Return the values of the parameters."""
        return {name: make(call) for name, make in self.wants.items()}


def _now(call: Call) -> Now:
    zone = timezone(timedelta(milliseconds=call.around.offset_ms))
    return Now.fromtimestamp(call.request.now_ms / 1000, zone)


def _conversation(call: Call) -> Conversation:
    state = call.state
    return Conversation(
        id=state.id,
        ref=call.message.chat.ref,
        name=state.name,
        is_taken=state.taken_until_ms > call.request.now_ms,
    )


def _notice(call: Call) -> Notice:
    event, message = call.request.events[-1], call.message
    if not isinstance(event, NoticeReceived):
        raise TypeError("there is no notice in this turn")
    sender = message.sender
    if sender.id and not sender.name:  # a platform that names only ids: the chat has the name
        sender = Person(sender.id, message.chat.name)
    return Notice(
        name=event.name,
        data=json.loads(event.data),
        sender=sender,
        chat=message.chat,
        line=message.line,
        id=message.id,
        item=message.item,
        at_ms=message.at_ms,
    )


_MAKERS: Final[Mapping[object, Callable[[Call], object]]] = {
    Notice: _notice,
    Message: lambda call: call.message,
    Person: lambda call: call.message.sender,
    Line: lambda call: call.message.line,
    Conversation: _conversation,
    Now: _now,
    Log: lambda call: call.log,
    Store: lambda call: call.store,
}


def wants_of(
    function: Callable[..., Any], kind: HandlerKind = "message"
) -> dict[str, Callable[[Call], object]]:
    """Work out what a handler's parameters want.

    Args:
        kind: of the handler; only `notice` has a `Notice`.

    Raises:
        TypeError: a parameter without default wants something unknown.
        NameError: an annotation names what the file does not have.
    """
    wants: dict[str, Callable[[Call], object]] = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        annotation: object = parameter.annotation
        if annotation is parameter.empty and not wants and parameter.default is parameter.empty:
            # The first parameter of a handler that names no types.
            annotation = Notice if kind == "notice" else Message
        if annotation is Notice and kind != "notice":
            raise TypeError(f"parameter {name} of {_name_of(function)}: only @router.notice has it")
        maker = _MAKERS.get(annotation) if _is_hashable(annotation) else None
        if maker is not None:
            wants[name] = maker
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            known = ", ".join(sorted(kind.__name__ for kind in _MAKERS if isinstance(kind, type)))
            raise TypeError(f"parameter {name} of {_name_of(function)}: known are {known}")
    return wants


def bind(registered: Registered, nth: int, plugin: str, around: Around, store: Store) -> Bound:
    """Make a decorated function callable.

    Args:
        nth: its place among the handlers of its file.
        store: of the plugin.
    """
    function = registered.function
    name = f"{plugin}.py:{_name_of(function)}"
    spec = HandlerSpec(
        id=f"{name}#{nth}",
        name=name,
        kind=registered.kind,
        words=registered.words,
        lines=registered.lines,
        dialects=registered.dialects,
        wheres=registered.wheres,
        chats=registered.chats,
        priority=registered.priority,
    )
    return Bound(
        spec=spec,
        plugin=plugin,
        function=function,
        within_s=registered.within_s,
        wants=wants_of(function, registered.kind),
        log=Log(around.log, plugin),
        store=store,
    )


def message_of(state: ConversationState, request: PluginRequest, hit: Hit) -> Message:
    """Build what a handler reads."""
    said = [event for event in request.events if isinstance(event, MessageReceived)]
    segments: Segments = tuple(part for event in said for part in event.segments)
    last = request.events[-1]
    chat = last.chat
    return Message(
        text=request.text,
        segments=segments,
        sender=last.sender or _NOBODY,
        chat=ChatView(
            ref=f"{state.line}/{chat.kind}:{chat.id}",
            kind=chat.kind,
            id=chat.id,
            name=chat.name or state.name,
            account=chat.account,
        ),
        line=Line(state.line, request.dialect),
        rest=hit.rest,
        word=hit.word,
        id=last.peer_id,
        item=request.item,
        at_ms=request.now_ms,
    )


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
