"""Templates: one pass over `{name}`, values as they are, nothing expanded twice.

Compiled once with the rulebook. Unknown names, lone braces, format specifications and attribute
access stay as text; `{{name}}` with a known name gives the literal `{name}`
(Source: reliability 8 "Injection", xianyu 14 "Placeholders"). Rendering never fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from trunkline.model.message import Segments
from trunkline.model.segment import Image, Text

from .turn import Turn

Field: TypeAlias = Callable[[Turn, int], str]

_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}|\{([a-z_]+)\}")


def _sender_name(turn: Turn, _offset_ms: int) -> str:
    sender = turn.sender
    # Not `shown`: a bare id (a visitor's UUID) is no way to address a person.
    return (sender.card or sender.name) if sender is not None else ""


def _sender_id(turn: Turn, _offset_ms: int) -> str:
    return turn.sender.id if turn.sender is not None else ""


def _message(turn: Turn, _offset_ms: int) -> str:
    return turn.text


def _item(turn: Turn, _offset_ms: int) -> str:
    return turn.item


def _time(turn: Turn, offset_ms: int) -> str:
    hours, minutes = divmod((turn.now_ms + offset_ms) // 60_000 % 1_440, 60)
    return f"{hours:02}:{minutes:02}"


FIELDS: Final[dict[str, Field]] = {
    "send_user_name": _sender_name,
    "send_user_id": _sender_id,
    "send_message": _message,
    "item_id": _item,
    "time": _time,
}


class Template(msgspec.Struct, frozen=True):
    """A reply ready to be filled.

    Args:
        parts: literal text and fields, in order.
        fixed: the finished segments when nothing has to be filled, else None.
        image: sent after the text.
        only: the field, when there is nothing else.
    """

    parts: tuple[str | Field, ...]
    fixed: Segments | None
    image: Image | None = None
    only: Field | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing, whoever asks."""
        return self.fixed == ()

    def text(self, turn: Turn, offset_ms: int) -> str:
        """Return the text with its placeholders filled.

        A name that is not known leaves nothing behind, and no blank at the beginning either.
        """
        parts = self.parts
        pieces = [part if isinstance(part, str) else part(turn, offset_ms) for part in parts]
        text = "".join(pieces)
        return text.lstrip(" ") if pieces and not pieces[0] else text

    def segments(self, turn: Turn, offset_ms: int) -> Segments:
        """Return what is said: the text, then the picture; empty when all values were empty."""
        fixed = self.fixed
        if fixed is not None:
            return fixed
        only, image = self.only, self.image
        text = only(turn, offset_ms) if only is not None else self.text(turn, offset_ms)
        if not text or text.isspace():
            return (image,) if image is not None else ()
        return (Text(text), image) if image is not None else (Text(text),)


def compile_template(text: str, image: Image | None = None) -> Template:
    """Compile a reply. A picture without bytes and address counts as none."""
    if image is not None and not (image.data or image.url):
        image = None
    parts: list[str | Field] = []
    literal = ""
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        escaped, name = match.groups()
        if escaped is not None:
            literal += match[0][1:-1] if escaped in FIELDS else match[0]
        elif name in FIELDS:
            if literal:
                parts.append(literal)
            literal = ""
            parts.append(FIELDS[name])
        else:
            literal += match[0]
    literal += text[end:]
    if literal:
        parts.append(literal)
    pictures: Segments = (image,) if image is not None else ()
    fixed: Segments | None = None
    if all(isinstance(part, str) for part in parts):
        fixed = (Text(literal), *pictures) if literal.strip() else pictures
    only = parts[0] if len(parts) == 1 and not isinstance(parts[0], str) else None
    return Template(tuple(parts), fixed, image, only)
