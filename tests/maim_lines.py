"""Makes maim sessions and frames for tests."""

from __future__ import annotations

import json
from typing import Any

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Head, LinkInfo, Noticed, Opening, Received
from trunkline.dialects.maim import MAIM
from trunkline.dialects.maim.api import ApiSession
from trunkline.dialects.maim.bot import CoreSession
from trunkline.dialects.maim.options import MaimOptions
from trunkline.dialects.maim.platform import AdapterSession
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Say
from trunkline.model.message import Segments
from trunkline.model.segment import Text

QQ = Head("/ws", {}, {"platform": "qq"}, "127.0.0.1", True)


def options(**keys: Any) -> MaimOptions:
    """Return options of a maim line."""
    return MaimOptions(dialect="maim", **keys)


def opening(role: str, clock: FakeClock | None = None, kind: str = "") -> Opening:
    """Return what a session is made from."""
    return Opening(role, kind or role, clock or FakeClock(), CountingIds())


def core(
    head: Head = QQ, clock: FakeClock | None = None, *, linked: bool = True, **keys: Any
) -> CoreSession:
    """Return a core session, by default with an open link."""
    session = MAIM.open(options(**keys), opening("core", clock))
    assert isinstance(session, CoreSession)
    session.begin(None)
    if linked:
        session.linked(LinkInfo(head))
    return session


def adapter(clock: FakeClock | None = None, *, linked: bool = True, **keys: Any) -> AdapterSession:
    """Return an adapter session of the platform `qq`, by default with an open link."""
    keys = {"role": "adapter", "link": "dial", "url": "ws://127.0.0.1/ws", "platform": "qq"} | keys
    session = MAIM.open(options(**keys), opening("adapter", clock))
    assert isinstance(session, AdapterSession)
    session.begin(None)
    if linked:
        session.linked(LinkInfo(Head("/ws"), is_dialled=True))
    return session


def api_core(clock: FakeClock | None = None, head: Head | None = None, **keys: Any) -> ApiSession:
    """Return a core session of the API-Server line with an open link: `qq` with the key K1."""
    session = MAIM.open(options(**keys), opening("core", clock, "api"))
    assert isinstance(session, ApiSession)
    assert session.begin(None) == []
    session.linked(LinkInfo(head or Head("/ws", {"api_key": "K1", "platform": "qq"})))
    return session


def api_adapter(clock: FakeClock | None = None, **keys: Any) -> ApiSession:
    """Return an adapter session of the API-Server line with an open link."""
    given = {"role": "adapter", "link": "dial", "url": "ws://127.0.0.1/ws", "platform": "qq"}
    keys = given | {"api": True, "api_key": "K1"} | keys
    session = MAIM.open(options(**keys), opening("adapter", clock, ""))
    assert isinstance(session, ApiSession)
    session.begin(None)
    session.linked(LinkInfo(Head("/ws"), is_dialled=True))
    return session


def envelope(
    words: str = "你好", ident: str | None = "m1", *, side: str = "sender", **more: Any
) -> dict[str, Any]:
    """Return a `sys_std` of 张三 in the group 42: as a client says it, or for `receiver`."""
    info: dict[str, Any] = {
        "platform": "qq", "message_id": "1", "time": 1703123456.5,
        f"{side}_info": {
            "group_info": {"platform": "qq", "group_id": "42"},
            "user_info": {"platform": "qq", "user_id": "10001", "user_nickname": "张三"},
        },
    }  # fmt: skip
    frame = {
        "ver": 1, "msg_id": ident, "type": "sys_std",
        "meta": {"sender_user": "K1", "platform": "qq", "timestamp": 1703123456.5},
        "payload": {
            "message_info": info,
            "message_segment": {"type": "seglist", "data": [{"type": "text", "data": words}]},
            "message_dim": {"api_key": "K1", "platform": "qq"},
        },
    }  # fmt: skip
    return {key: value for key, value in (frame | more).items() if value is not None}


def message(*segments: dict[str, Any], **info: Any) -> bytes:
    """Return a frame: by default a private message of 张三 with one text."""
    base: dict[str, Any] = {
        "platform": "qq",
        "message_id": "m1",
        "time": 1703123456.5,
        "user_info": {"platform": "qq", "user_id": "10001", "user_nickname": "张三"},
    }
    parts = list(segments) or [{"type": "text", "data": "你好"}]
    return json.dumps(
        {
            "message_info": {k: v for k, v in (base | info).items() if v is not ...},
            "message_segment": {"type": "seglist", "data": parts},
        }
    ).encode()


def group(ident: str = "42", name: str | None = "群") -> dict[str, Any]:
    """Return a `group_info`."""
    return {"platform": "qq", "group_id": ident, "group_name": name}


def receive(session: CoreSession | AdapterSession, data: bytes) -> Any:
    """Feed a TEXT frame and return the first event."""
    effects = session.receive(data, is_text=True)
    events = [effect.event for effect in effects if isinstance(effect, Received)]
    assert events, effects
    return events[0]


def kinds(effects: Any) -> list[str]:
    """Return the kinds of what was noticed."""
    return [effect.kind for effect in effects if isinstance(effect, Noticed)]


def delivery(
    words: str | Segments, chat: Chat | None = None, context: bytes = b"", ident: int = 17
) -> Delivery:
    """Return a delivery that says something."""
    segments = (Text(words),) if isinstance(words, str) else words
    return Delivery(
        DeliveryId(ident), chat or Chat("qq", "private", "10001"), Say(segments), context
    )


def strict_core_drops(frame: dict[str, Any]) -> str:
    """Return why the strictest deployed core would drop a frame, or "". Source: maim 4.2, 4.5"""
    info = frame["message_info"]
    user = info.get("user_info")
    if not isinstance(info.get("message_id"), str) or not info["message_id"]:
        return "message_id"
    if not isinstance(info.get("time"), int | float) or not info["time"]:
        return "time"
    if not isinstance(info.get("platform"), str) or not info["platform"]:
        return "platform"
    if not isinstance(user, dict):
        return "user_info"
    if not all(isinstance(user.get(key), str) for key in ("user_id", "user_nickname")):
        return "user_info fields"
    if "group_info" in info and not all(
        isinstance(info["group_info"].get(key), str) for key in ("group_id", "group_name")
    ):
        return "group_info fields"
    segment = frame["message_segment"]
    if segment["type"] != "seglist":
        return "not a seglist"
    allowed = {"text", "image", "emoji", "voice", "file", "at", "reply", "dict"}
    odd = {part["type"] for part in segment["data"]} - allowed
    return f"kinds {odd}" if odd else ""
