"""What a plugin author writes with: `Router`, `Message`, `Notice`, `Reply`, `Stop`.

Decorators only take notes; nothing runs until a message matches. What is wrong with an option is
said at the line that has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from trunkline.model.asking import HandlerKind
from trunkline.model.event import Person
from trunkline.model.message import Segments, storable
from trunkline.model.segment import Image, Quote, Segment, Text

Function: TypeAlias = Callable[..., Any]
F = TypeVar("F", bound=Function)
Words: TypeAlias = str | Iterable[str]

WITHIN_S: Final = 5.0
MAX_WITHIN_S: Final = 30.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}


class Line(msgspec.Struct, frozen=True):
    """The configured line that a message came over."""

    name: str
    dialect: str


class ChatView(msgspec.Struct, frozen=True):
    """The chat of a message; `ref` is what `lines` and `send` call it (`qq/group:20001`)."""

    ref: str
    kind: str
    id: str
    name: str
    account: str


class Message(msgspec.Struct, frozen=True):
    """What somebody said; several messages when debounce joined them.

    Args:
        text: all text, one line per message.
        segments: everything, pictures included, in order.
        rest: what follows the command, else the whole text.
        word: the keyword, command or pattern that matched.
        id: the platform's id of the last message, "" when it has none.
        item: what the chat is about (a shop's goods), or "".
        at_ms: when it is answered, wall time.
    """

    text: str
    segments: Segments
    sender: Person
    chat: ChatView
    line: Line
    rest: str
    word: str
    id: str
    item: str
    at_ms: int

    def copy(self, *, prefix: str = "") -> Segments:
        """Return the segments, with a text before them."""
        return (Text(prefix), *self.segments) if prefix else self.segments


class Notice(msgspec.Struct, frozen=True):
    """What happened and nobody said: an order was paid, somebody was banned.

    Args:
        name: the dialect's word (`order:paid`).
        data: what the dialect tells of it (`status`, `order_id` …).
        sender: whom it is about, with an empty id when nobody.
        id: the platform's id of it, "" when it has none.
        item: what it is about (a shop's goods), or "".
        at_ms: when it is answered, wall time.
    """

    name: str
    data: Mapping[str, Any]
    sender: Person
    chat: ChatView
    line: Line
    id: str
    item: str
    at_ms: int


class Reply(msgspec.Struct, frozen=True):
    """One answer that is more than a text.

    Args:
        image: a picture's bytes, or the address of one.
        segments: said after text and picture.
        quote: answers the message by quoting it, where the dialect can.
    """

    text: str = ""
    image: bytes | str = b""
    segments: tuple[Segment, ...] = ()
    quote: bool = False


class Stop(msgspec.Struct, frozen=True):
    """Silence on purpose: no later stage answers."""


class Registered(msgspec.Struct, frozen=True):
    """One decorated function with its filters."""

    function: Function
    kind: HandlerKind
    words: tuple[str, ...]
    lines: tuple[str, ...]
    dialects: tuple[str, ...]
    wheres: tuple[str, ...]
    chats: tuple[str, ...]
    priority: int
    within_s: float


class Router:
    """Collects handlers; any number of them in a file."""

    def __init__(self) -> None:
        self.handlers: list[Registered] = []

    def message(self, function: Function | None = None, /, **options: Any) -> Any:
        """Handle every message that the options let through.

        Args:
            function: given when the decorator stands without brackets.
            **options: see `options_of`.
        """
        add = self._adder("message", (), options)
        return add if function is None else add(function)

    def keyword(self, *words: str, **options: Any) -> Callable[[F], F]:
        """Handle messages that hold one of the words, whatever their case and width."""
        return self._adder("keyword", _named("keyword", words), options)

    def command(self, *names: str, **options: Any) -> Callable[[F], F]:
        """Handle `/name rest` and `name rest`; `rest` is in `msg.rest`."""
        return self._adder("command", _named("command", names), options)

    def pattern(self, regex: str, **options: Any) -> Callable[[F], F]:
        """Handle messages in which the regular expression is found."""
        return self._adder("pattern", _named("pattern", (regex,)), options)

    def notice(self, *names: str, **options: Any) -> Callable[[F], F]:
        """Handle what happened and nobody said, by its name.

        Args:
            *names: `order:paid`; `order` for all of the kind; `*` for everything.
            **options: see `options_of`.
        """
        return self._adder("notice", _named("notice", names), options)

    def _adder(
        self, kind: HandlerKind, words: tuple[str, ...], options: dict[str, Any]
    ) -> Callable[[F], F]:
        values = options_of(**options)

        def add(function: F) -> F:
            if not callable(function):
                raise TypeError(f"@router.{kind} must stand before a function")
            self.handlers.append(Registered(function=function, kind=kind, words=words, **values))
            return function

        return add


def options_of(
    *,
    lines: Words = (),
    dialect: Words = (),
    where: Words = (),
    chat: Words = (),
    priority: int = 0,
    within: str | float = WITHIN_S,
) -> dict[str, Any]:
    """Check the options that every decorator takes.

    Args:
        lines: names of lines, `shop-*` works.
        dialect: `contact`, `maim` …
        where: `private` (every chat that is no group), `group`, `visitor`; `"private|group"` works.
        chat: `line/kind:id`.
        priority: higher is asked first.
        within: the time limit, at most 30 s.
    """
    within_s = duration_s(within)
    if not 0 < within_s <= MAX_WITHIN_S:
        raise ValueError(f"within = {within!r}: between 0 and {MAX_WITHIN_S:g}s")
    return {
        "lines": _words("lines", lines),
        "dialects": _words("dialect", dialect),
        "wheres": _words("where", where),
        "chats": _words("chat", chat),
        "priority": priority,
        "within_s": within_s,
    }


def duration_s(value: str | float) -> float:
    """Parse `"5s"`, `"500ms"`, `"1d"` or seconds.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int | float):
        return float(value)
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is not a duration such as 5s")
    return float(match[1]) * _SECONDS[match[2]]


def to_replies(value: object, message: Message) -> Segments | Stop | None:
    """Turn what a handler returned into one answer; None = not mine.

    Raises:
        TypeError: it is nothing that can be said.
    """
    if value is None or isinstance(value, Stop):
        return value
    if isinstance(value, Reply):
        return _said((*_quote(value, message), *_parts(value))) or None
    if isinstance(value, str | Segment):
        return _said((value,)) or None
    if isinstance(value, list | tuple):
        return _said(value) or None  # pyright: ignore[reportUnknownArgumentType] - checked there
    raise TypeError(
        f"returned {type(value).__name__}; a handler returns str, Reply, segments, None or Stop()"
    )


def _quote(reply: Reply, message: Message) -> Segments:
    return (Quote(message.id),) if reply.quote and message.id else ()


def _parts(reply: Reply) -> Iterable[str | Segment]:
    if reply.text:
        yield reply.text
    if isinstance(reply.image, str):
        yield Image(url=reply.image)
    elif reply.image:
        yield Image(data=reply.image)
    yield from reply.segments


def _said(parts: Iterable[object]) -> Segments:
    said: list[Segment] = []
    for part in parts:
        if isinstance(part, Text):
            said.append(Text(storable(part.text)))
        elif isinstance(part, str):
            said.append(Text(storable(part)))
        elif isinstance(part, Segment):
            said.append(part)
        else:
            raise TypeError(f"returned a list with {type(part).__name__}; segments are expected")
    if all(isinstance(part, Text) and not part.text.strip() for part in said):
        return ()
    return tuple(said)


def _words(option: str, value: Words) -> tuple[str, ...]:
    words = value.split("|") if isinstance(value, str) else list(value)
    if not all(isinstance(word, str) and word.strip() for word in words):  # pyright: ignore[reportUnnecessaryIsInstance] - written by people
        raise ValueError(f"{option} = {value!r}: names are expected")
    return tuple(word.strip() for word in words)


def _named(decorator: str, words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not all(isinstance(word, str) and word.strip() for word in words):  # pyright: ignore[reportUnnecessaryIsInstance] - written by people
        raise ValueError(f"@router.{decorator}(…) needs at least one word")
    return words
