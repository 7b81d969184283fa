"""Builds frames and events of Boss直聘 for tests, from golden payloads or from bodies."""

from __future__ import annotations

from typing import Any

from boss_schema import CASES
from trunkline.dialects.boss import frames
from trunkline.dialects.boss.frames import ChatMessage, Frame
from trunkline.dialects.boss.http import Contact
from trunkline.dialects.boss.schema import built_in
from trunkline.dialects.boss.translate import Reading, to_event
from trunkline.model.event import DurableEvent

ME = 600_100_200
PEER = 700_300_400
NOW_MS = 1_791_470_010_000


def payload_of(name: str) -> bytes:
    """Return the bytes of a golden case."""
    return bytes.fromhex(CASES[name]["hex"])


def frame_of(name: str) -> Frame:
    """Return a golden case, decoded."""
    return frames.decode(built_in(), payload_of(name))


def message_of(body: dict[str, Any], **more: Any) -> ChatMessage:
    """Return a message with a body; from a person to the account unless said otherwise."""
    fields: dict[str, Any] = {
        "from": {"uid": PEER, "name": "测试HR", "source": 0}, "to": {"uid": ME}, "type": 1,
        "mid": 394_570_988_740_864, "time": NOW_MS - 1000, "body": {"templateId": 1, **body},
        **more,
    }  # fmt: skip
    schema = built_in()
    payload = schema.encode(schema.chat(type=1, messages=[fields]))
    (message,) = frames.decode(schema, payload).messages
    return message


def event_of(message: ChatMessage, *, contact: Contact | None = None, **more: Any) -> DurableEvent:
    """Return the event of a message."""
    return to_event(message, Reading(ME, lambda _uid, _source: contact, NOW_MS, **more))
