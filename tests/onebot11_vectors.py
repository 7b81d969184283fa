"""The golden cases of OneBot 11, and how our frames look in their normal form."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from trunkline.dialects.onebot11.segments import Seg, plain
from trunkline.dialects.onebot11.shapes import MessageFrame

FILE = Path(__file__).parent / "vectors" / "onebot11" / "onebot11_vectors.json"


def load(section: str) -> Any:
    """Return the cases of a section."""
    return json.loads(FILE.read_text(encoding="utf-8"))[section]


def frame_of(case: dict[str, Any]) -> bytes:
    """Return the frame of a malformed case."""
    if "frame_base64" in case:
        return base64.b64decode(case["frame_base64"])
    return case["frame"].encode()


def segs(items: list[dict[str, Any]]) -> list[Seg]:
    """Return segments as the vectors write them."""
    return [Seg(one["type"], one["data"] or {}) for one in items]


def plain_segs(segments: Any) -> list[dict[str, Any]]:
    """Return segments as the vectors write them."""
    return [{"type": one.type, "data": one.data} for one in segments]


def normal_form(frame: Any) -> dict[str, Any]:
    """Render an event in the normal form of the vectors (onebot11 10)."""
    form: dict[str, Any] = {"name": frame.name, "self_id": frame.self_id, "ts_ms": frame.at_ms}
    for key in ("user_id", "operator_id", "target_id", "message_id", "group_id"):
        if getattr(frame, key, ""):
            form[key] = getattr(frame, key)
    if isinstance(frame, MessageFrame):
        return form | _message_form(frame)
    form |= {"kind": frame.kind, "flags": list(frame.flags)}
    if frame.name == "meta_event.heartbeat":
        form |= {"online": frame.online, "good": frame.good, "interval_ms": frame.interval_ms}
    if frame.kind == "request":
        form |= {"flag": frame.flag, "comment": frame.comment}
    raw = json.loads(frame.data)
    if frame.kind == "notice":
        if "file" in raw:
            form["file"] = {key: raw["file"].get(key) for key in ("id", "name", "size")}
        if "duration" in raw:
            form["duration_s"] = raw["duration"]
        for key in ("honor_type", "card_old", "card_new"):
            if key in raw:
                form[key] = raw[key]
    return form


def _message_form(frame: MessageFrame) -> dict[str, Any]:
    kind, ident = frame.detail, frame.user_id
    if kind == "group":
        ident = frame.group_id
    elif frame.is_sent:
        ident = frame.target_id
    if frame.sub_type == "group" and kind == "private":
        kind = "temp"
    sender = frame.sender
    mentions = [one.data["qq"] for one in frame.segments if one.type == "at"]
    form: dict[str, Any] = {
        "kind": "message_sent" if frame.is_sent else "message",
        "chat": {"type": kind, "id": ident},
        "segments": plain_segs(frame.segments),
        "text": plain(frame.segments),
        "mentions": mentions,
        "mentions_self": frame.self_id in mentions,
        "sender": {"id": frame.user_id, "name": sender.name, "role": sender.role},
        "flags": list(frame.flags),
    }
    for one in frame.segments:
        if one.type == "reply":
            form["reply_to"] = one.data["id"]
    if frame.anonymous is not None:
        mask = frame.anonymous
        form["anonymous"] = {"id": mask.id, "name": mask.name, "flag": mask.flag}
    return form
