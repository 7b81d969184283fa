"""OneBot 11 lines and sessions for tests: made, linked, and fed with what peers send."""

from __future__ import annotations

import json
from typing import Any

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Hangup, Head, LinkInfo, Noticed, Opening, Received, Transmit
from trunkline.dialects.onebot11 import ONEBOT11, ordinary
from trunkline.dialects.onebot11.frames import FAULTS
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Say
from trunkline.model.message import Segments
from trunkline.model.segment import Text

ACCOUNT = "12345"
CONNECT = json.dumps(
    {
        "time": 1640995200,
        "self_id": 12345,
        "post_type": "meta_event",
        "meta_event_type": "lifecycle",
        "sub_type": "connect",
    }
).encode()
ANN = Chat(ACCOUNT, "private", "10001")
CLUB = Chat(ACCOUNT, "group", "20001")
DIALLED = LinkInfo(Head("/"), is_dialled=True)


def options(**keys: Any) -> OneBotOptions:
    """Return options of a OneBot line."""
    return OneBotOptions(dialect="onebot11", **keys)


def opening(role: str, clock: FakeClock, kind: str = "") -> Opening:
    """Return what a session is made from."""
    return Opening(role, kind, clock, CountingIds())


def framework(
    clock: FakeClock | None = None, kind: str = "universal", *, headers: Any = None, **keys: Any
) -> Any:
    """Return a framework that listens, linked, the connect event not yet heard."""
    session = ONEBOT11.open(
        options(role="framework", **keys), opening("framework", clock or FakeClock(), kind)
    )
    session.begin(None)
    session.linked(LinkInfo(Head("/ws/", {}, headers or {})))
    return session


def greeted(clock: FakeClock | None = None, **keys: Any) -> Any:
    """Return a framework that is ready."""
    session = framework(clock, **keys)
    session.receive(CONNECT, is_text=True)
    return session


def implementation(clock: FakeClock | None = None, kind: str = "", **keys: Any) -> Any:
    """Return an implementation that dials, linked and ready."""
    given = {
        "role": "implementation",
        "link": "dial",
        "url": "ws://127.0.0.1/ws/",
        "self_id": ACCOUNT,
    } | keys
    session = ONEBOT11.open(options(**given), opening("implementation", clock or FakeClock(), kind))
    session.begin(None)
    session.linked(DIALLED if given["link"] == "dial" else LinkInfo(Head("/")))
    return session


def feed(session: Any, frame: Any) -> Any:
    """Hand a frame to a session; return its effects."""
    data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    return list(session.receive(data, is_text=True))


def written(effects: Any) -> list[Any]:
    """Return what was written, as objects."""
    return [json.loads(one.data) for one in effects if isinstance(one, Transmit)]


def heard(effects: Any) -> list[Any]:
    """Return the events."""
    return [one.event for one in effects if isinstance(one, Received)]


def noticed(effects: Any) -> list[str]:
    """Return the kinds of what was noticed."""
    return [one.kind for one in effects if isinstance(one, Noticed)]


def closed(effects: Any) -> tuple[int, str] | None:
    """Return the close code and reason, if any."""
    return next(((one.code, one.reason) for one in effects if isinstance(one, Hangup)), None)


def message(**more: Any) -> dict[str, Any]:
    """Return a complete private message of Ann."""
    return {
        "time": 1640995200,
        "self_id": 12345,
        "post_type": "message",
        "message_type": "private",
        "sub_type": "friend",
        "message_id": 7,
        "user_id": 10001,
        "message": [{"type": "text", "data": {"text": "hi"}}],
        "raw_message": "hi",
        "font": 0,
        "sender": {"user_id": 10001, "nickname": "Ann", "sex": "female", "age": 20},
    } | more


def heartbeat(interval: Any = 5000, **status: Any) -> dict[str, Any]:
    """Return a heartbeat."""
    return {
        "time": 1640995200,
        "self_id": 12345,
        "post_type": "meta_event",
        "meta_event_type": "heartbeat",
        "interval": interval,
        "status": {"online": True, "good": True} | status,
    }


def say(
    words: str | Segments, chat: Chat = ANN, ident: int = 17, context: bytes = b"", attempt: int = 1
) -> Delivery:
    """Return a delivery that says something."""
    segments = (Text(words),) if isinstance(words, str) else words
    return Delivery(DeliveryId(ident), chat, Say(segments), context, 1_767_225_600_000, attempt)


def act(name: str, data: Any = None, ident: int = 18, context: bytes = b"") -> Delivery:
    """Return a delivery that does something."""
    return Delivery(DeliveryId(ident), ANN, Act(name, json.dumps(data or {}).encode()), context)


def read_ordinary(data: bytes) -> Any:
    """Read a frame by the short way; None = the rules have to be asked."""
    try:
        return ordinary.decode(data)
    except FAULTS:
        return None
