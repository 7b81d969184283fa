"""A message is a tuple of segments; its text is what rules read."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from trunkline.model.segment import (
    Face,
    File,
    Image,
    Mention,
    Quote,
    Raw,
    Segment,
    Sticker,
    Text,
    Video,
    Voice,
)  # fmt: skip

Segments: TypeAlias = tuple[Segment, ...]

_LABELS: dict[type, str] = {
    Image: "[图片]", Sticker: "[表情]", Face: "[表情]", Voice: "[语音]", Video: "[视频]",
    File: "[文件]", Quote: "", Raw: "[消息]",
}  # fmt: skip


def plain_text(segments: Segments) -> str:
    """Return the text segments joined: what rules match."""
    if len(segments) == 1 and type(segments[0]) is Text:
        return segments[0].text
    return "".join(part.text for part in segments if type(part) is Text)


def summary(segments: Segments, limit: int = 200) -> str:
    """Return one line for lists: text, and a bracketed word for everything else."""
    words: list[str] = []
    for part in segments:
        if isinstance(part, Text):
            words.append(part.text)
        elif isinstance(part, Mention):
            words.append(f"@{part.name or part.user} ")
        elif isinstance(part, Sticker) and part.text:
            words.append(part.text)
        else:
            words.append(_LABELS[type(part)])
    line = " ".join("".join(words).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def storable(text: str) -> str:
    """Replace lone surrogates by U+FFFD, so that every text can be stored (`reliability 1`)."""
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def parse_message(value: Any) -> Segments:
    """Parse what the API takes: a string, or a list of segments as JSON objects.

    Raises:
        ValueError: which part is wrong, and why.
    """
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("the message is empty")
        return (Text(storable(value)),)
    try:
        segments = msgspec.convert(value, Segments)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if all(type(part) is Text and not part.text.strip() for part in segments):
        raise ValueError("the message is empty")
    return tuple(Text(storable(part.text)) if type(part) is Text else part for part in segments)
