"""trunkline keeps chat accounts connected over WebSocket and answers what they receive.

The way of a message is straight: a link hands bytes to a protocol session (`dialects`), the
session's events go to the exchange, which decides with the pure pipeline and commits once a beat;
only then are platforms acknowledged and answers written.

A plugin imports its names from here: `from trunkline import Message, Router`. They are imported on
first use, so that naming the version costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trunkline.model.event import Person
    from trunkline.model.segment import (
        Face,
        File,
        Image,
        Mention,
        Quote,
        Segment,
        Sticker,
        Text,
        Video,
        Voice,
    )
    from trunkline.plugins.router import Line, Message, Reply, Router, Stop
    from trunkline.plugins.services import Conversation, Log, Now, Store

__version__ = "0.1.0"

_HOMES: Final = {
    "Person": "model.event",
    **dict.fromkeys(("Line", "Message", "Reply", "Router", "Stop"), "plugins.router"),
    **dict.fromkeys(("Conversation", "Log", "Now", "Store"), "plugins.services"),
    **dict.fromkeys(
        (
            "Face", "File", "Image", "Mention", "Quote", "Segment", "Sticker", "Text", "Video",
            "Voice",
        ),
        "model.segment",
    ),
}  # fmt: skip

__all__ = [
    "Conversation", "Face", "File", "Image", "Line", "Log", "Mention", "Message", "Now", "Person",
    "Quote", "Reply", "Router", "Segment", "Sticker", "Stop", "Store", "Text", "Video", "Voice",
    "__version__",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is used first."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
