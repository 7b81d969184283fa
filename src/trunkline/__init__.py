"""trunkline keeps chat accounts connected over WebSocket and answers what they receive.

The way of a message is straight: a link hands bytes to a protocol session (`dialects`), the
session's events go to the exchange, which decides with the pure pipeline and commits once a beat;
only then are platforms acknowledged and answers written.

A plugin imports its names from here: `from trunkline import Message, Router`; a program that embeds
a line `from trunkline import connect, listen`. They are imported on first use, so that naming the
version costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trunkline.embed import (
        EmbeddedLine,
        EmbeddedServer,
        Fate,
        Peer,
        connect,
        listen,
        setup_logging,
    )
    from trunkline.errors import TrunklineError
    from trunkline.model.address import Chat
    from trunkline.model.delivery import Outcome
    from trunkline.model.event import (
        Fleeting,
        MessageReceived,
        NoticeReceived,
        Person,
        RequestReceived,
    )
    from trunkline.model.message import plain_text
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
    from trunkline.plugins.router import Line, Message, Notice, Reply, Router, Stop
    from trunkline.plugins.services import Conversation, Log, Now, Store

__version__ = "0.1.0"

_HOMES: Final = {
    **dict.fromkeys(
        ("EmbeddedLine", "EmbeddedServer", "Fate", "Peer", "connect", "listen", "setup_logging"),
        "embed",
    ),
    "TrunklineError": "errors",
    "Chat": "model.address",
    "Outcome": "model.delivery",
    **dict.fromkeys(
        ("Fleeting", "MessageReceived", "NoticeReceived", "Person", "RequestReceived"),
        "model.event",
    ),
    "plain_text": "model.message",
    **dict.fromkeys(("Line", "Message", "Notice", "Reply", "Router", "Stop"), "plugins.router"),
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
    "Chat", "Conversation", "EmbeddedLine", "EmbeddedServer", "Face", "Fate", "File", "Fleeting",
    "Image", "Line", "Log", "Mention", "Message", "MessageReceived", "Notice", "NoticeReceived",
    "Now", "Outcome", "Peer", "Person", "Quote", "Reply", "RequestReceived", "Router", "Segment",
    "Sticker", "Stop", "Store", "Text", "TrunklineError", "Video", "Voice", "__version__",
    "connect", "listen", "plain_text", "setup_logging",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is used first."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
