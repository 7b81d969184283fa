"""One piece of a message. A closed union; what no kind fits is kept whole as `Raw`."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Text(msgspec.Struct, frozen=True, gc=False, tag="text", omit_defaults=True):
    """Plain text."""

    text: str


class Image(msgspec.Struct, frozen=True, gc=False, tag="image", omit_defaults=True):
    """A picture, by its bytes or by a URL. `is_valid` is false when its bytes could not be read."""

    data: bytes = b""
    url: str = ""
    name: str = ""
    is_valid: bool = True


class Sticker(msgspec.Struct, frozen=True, gc=False, tag="sticker", omit_defaults=True):
    """An emoji of the platform: a picture, or the Unicode text of one."""

    data: bytes = b""
    text: str = ""
    is_valid: bool = True


class Face(msgspec.Struct, frozen=True, gc=False, tag="face", omit_defaults=True):
    """A numbered emoji of the platform."""

    id: str


class Voice(msgspec.Struct, frozen=True, gc=False, tag="voice", omit_defaults=True):
    """Recorded speech."""

    data: bytes = b""
    url: str = ""
    is_valid: bool = True


class Video(msgspec.Struct, frozen=True, gc=False, tag="video", omit_defaults=True):
    """A film."""

    data: bytes = b""
    url: str = ""
    is_valid: bool = True


class File(msgspec.Struct, frozen=True, gc=False, tag="file", omit_defaults=True):
    """Any file: by URL, bytes or the platform's own id. `detail` is its JSON as it came."""

    name: str = ""
    url: str = ""
    data: bytes = b""
    size_bytes: int = 0
    detail: bytes = b""


class Mention(msgspec.Struct, frozen=True, gc=False, tag="mention", omit_defaults=True):
    """Someone is addressed by id; `all` addresses everybody."""

    user: str
    name: str = ""


class Quote(msgspec.Struct, frozen=True, gc=False, tag="quote", omit_defaults=True):
    """An answer to an earlier message, by the platform's id of that message."""

    message: str


class Raw(msgspec.Struct, frozen=True, gc=False, tag="raw", omit_defaults=True):
    """A piece that the model has no kind for.

    Args:
        dialect: whose piece it is; only that dialect may send it again as it came.
        kind: the dialect's own word for it.
        data: its JSON bytes.
    """

    dialect: str
    kind: str
    data: bytes


Segment: TypeAlias = Text | Image | Sticker | Face | Voice | Video | File | Mention | Quote | Raw
