"""The golden cases of maim, and how our events look in their normal form.

`load` gives the cases, `frame_of` the bytes of one, `meaning_of` renders what a session said about
it: both a session in memory and a real socket can be held against `expect`.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from trunkline.dialects.maim.identity import UNKNOWN_ID, decode_context
from trunkline.dialects.maim.translate import RAW_KINDS
from trunkline.model.event import MessageReceived, NoticeReceived
from trunkline.model.message import plain_text
from trunkline.model.segment import (
    Face,
    File,
    Image,
    Mention,
    Quote,
    Raw,
    Sticker,
    Text,
    Video,
    Voice,
)

FILE = Path(__file__).parent / "vectors" / "maim" / "maim_vectors.json"


def load(section: str = "vectors") -> list[dict[str, Any]]:
    """Return the cases of a section."""
    return json.loads(FILE.read_text(encoding="utf-8"))[section]


def frame_of(case: dict[str, Any]) -> tuple[bytes, bool]:
    """Return the frame of a case and whether it is TEXT."""
    if "frame_base64" in case:
        return base64.b64decode(case["frame_base64"]), case["opcode"] == "text"
    text = case.get("frame_text")
    if text is None:
        text = json.dumps(case["frame_json"], ensure_ascii=False)
    return text.encode(), case["opcode"] == "text"


def meaning_of(event: Any, warnings: list[str]) -> dict[str, Any]:
    """Render an event in the normal form of the vectors."""
    if isinstance(event, NoticeReceived) and event.name.startswith("custom:"):
        return {
            "kind": "custom",
            "name": event.name.removeprefix("custom:"),
            "platform": event.chat.account,
            "content": json.loads(event.data),
        }
    assert isinstance(event, MessageReceived | NoticeReceived)
    context = decode_context(event.context)
    chat: dict[str, Any] = {"type": event.chat.kind, "id": event.chat.id}
    if event.chat.kind == "group":
        chat["name"] = event.chat.name
    elif context.user is None and event.chat.id == UNKNOWN_ID:
        chat["id"] = None
    sender = event.sender
    segments = (
        (Raw("maim", "notify", event.data),)
        if isinstance(event, NoticeReceived)
        else event.segments
    )
    meaning: dict[str, Any] = {
        "kind": "message",
        "platform": context.platform or event.chat.account,
        "message_id": event.peer_id or None,
        "time": event.at_ms / 1000 if event.at_ms is not None else None,
        "chat": chat,
        "sender": sender
        and {"id": sender.id, "nickname": sender.name or None, "cardname": sender.card or None},
        "parts": [_part(segment) for segment in segments],
        "text": plain_text(segments),
    }
    if warnings:
        meaning["warnings"] = warnings
    return meaning


def _part(segment: Any) -> dict[str, Any]:
    match segment:
        case Text():
            return {"kind": "text", "text": segment.text}
        case Mention():
            return {"kind": "at", "user_id": segment.user}
        case Quote():
            return {"kind": "reply", "message_id": segment.message}
        case Face():
            return {"kind": "face", "id": segment.id}
        case File():
            return {"kind": "file", "data": json.loads(segment.detail)}
        case Raw():
            assert segment.dialect == "maim"
            data = json.loads(segment.data)
            if segment.kind in RAW_KINDS:
                return {"kind": segment.kind, "data": data}
            return {"kind": "unknown", "type": segment.kind, "data": data}
        case Sticker() if segment.text:
            return {"kind": "emoji", "text": segment.text}
        case Image() | Voice() | Video() if segment.url:
            return {"kind": f"{type(segment).__name__.lower()}url", "url": segment.url}
    kind = {Image: "image", Sticker: "emoji", Voice: "voice", Video: "video"}[type(segment)]
    if not segment.is_valid:
        return {"kind": kind, "invalid": True}
    return {"kind": kind, "bytes": len(segment.data)}
