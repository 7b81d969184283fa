"""The golden cases of 闲鱼, and how an entry looks in their normal form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trunkline.dialects.xianyu.entries import ChatEntry, Entry, OrderEntry, read
from trunkline.dialects.xianyu.frames import Frame, decode
from trunkline.dialects.xianyu.pushes import decode_entry, parse_package
from trunkline.errors import WireMalformed

FILE = Path(__file__).parent / "vectors" / "xianyu" / "xianyu_vectors.json"
ME = "2200000000001"
BUYER = "2200000000002"
CHAT = "50000000001"
ITEM = "900000000001"


def load(section: str) -> Any:
    """Return a section."""
    return json.loads(FILE.read_text(encoding="utf-8"))[section]


def frame_case(name: str) -> dict[str, Any]:
    """Return one case of the section `frames`."""
    return next(case for case in load("frames") if case["name"] == name)


def push_case(name: str) -> dict[str, Any]:
    """Return one case of the section `push_packages`."""
    return next(case for case in load("push_packages") if case["name"] == name)


def to_frame(case: dict[str, Any]) -> Frame:
    """Decode the frame of a case."""
    return decode(json.dumps(case["frame"], ensure_ascii=False).encode())


def meanings(frame: Frame, me: str = ME) -> list[dict[str, Any]]:
    """Render every entry of a push."""
    found: list[dict[str, Any]] = []
    for entry in parse_package(frame).entries:
        try:
            found.append(meaning_of(read(decode_entry(entry), me)))
        except WireMalformed as error:
            found.append({"kind": "error", "reason": error.reason})
    return found


def meaning_of(entry: Entry) -> dict[str, Any]:
    """Render an entry in the normal form of the vectors: an absent id is None."""
    if isinstance(entry, ChatEntry):
        return {
            "kind": "chat",
            "direction": "out" if entry.is_own else "in",
            "chat_id": entry.chat or None,
            "sender_id": entry.sender or None,
            "sender_name": entry.name,
            "item_id": entry.item or None,
            "message_id": entry.message_id or None,
            "pnm_id": entry.pnm or None,
            "created_ms": entry.created_ms,
            "content": {
                "type": entry.content.type,
                "text": entry.content.text,
                "images": [
                    {"url": pic.url, "width": pic.width, "height": pic.height}
                    for pic in entry.content.images
                ],
            },
            "session_type": entry.session_type,
            "auto_reply_eligible": entry.is_eligible,
        }
    if isinstance(entry, OrderEntry):
        return {
            "kind": "order",
            "event": entry.event,
            "status": entry.status,
            "order_id": entry.order or None,
            "chat_id": entry.chat or None,
            "buyer_id": entry.buyer or None,
            "item_id": entry.item or None,
            "text": entry.text,
            "created_ms": entry.created_ms,
            "message_id": entry.message_id or None,
            "pnm_id": entry.pnm or None,
            "trusted": entry.is_trusted,
            "delivery_trigger": entry.is_trigger,
            "auto_reply_eligible": False,
        }
    fields: dict[str, Any] = {"kind": entry.kind}
    if entry.reason:
        fields["reason"] = entry.reason
    if entry.kind in ("typing", "read", "notice"):
        fields["chat_id"] = entry.chat or None
    if entry.kind == "notice":
        fields["pnm_id"] = entry.pnm
    if entry.kind in ("read", "notice"):
        fields["created_ms"] = entry.created_ms
    if entry.kind == "read":
        fields["message_ids"] = list(entry.message_ids)
    return fields
