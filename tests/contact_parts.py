"""Contact sessions for tests: a site and a visitor on one fake clock."""

from __future__ import annotations

import json
from typing import Any

from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.contact.options import ContactOptions
from trunkline.dialects.contract import Head, Opening, Session
from trunkline.ids import CountingIds

URL = "ws://127.0.0.1:8080/contact"
STRANGER = Head("/contact", peer="192.0.2.7")


def options(**keys: Any) -> ContactOptions:
    return ContactOptions(dialect="contact", url=URL, **keys)


def site(clock: FakeClock, *, ids: CountingIds | None = None, **keys: Any) -> Session:
    opening = Opening("site", "visitor", clock, ids or CountingIds())
    return CONTACT.open(options(**keys), opening)


def visitor(clock: FakeClock, **keys: Any) -> Session:
    return CONTACT.open(options(**keys), Opening("visitor", "", clock, CountingIds(1 << 20)))


def echo(event: Any) -> Any:
    """Answer a message with its words; leave everything else alone."""
    return [text(f"收到：{event.segments[-1].text}")] if hasattr(event, "segments") else []


def served(*, answer: Any = echo, head: Head = STRANGER, **keys: Any) -> Pump:
    """Return a started site without a peer, its greeting taken off the wire."""
    pump_keys = {name: keys.pop(name) for name in ("commit", "allow", "find") if name in keys}
    clock = FakeClock()
    pump = Pump(site(clock, **keys), clock=clock, answer=answer, head=head, **pump_keys)
    pump.start()
    pump.take()
    return pump


def replies(pump: Pump) -> list[dict[str, Any]]:
    """Take what the site has sent, decoded."""
    return [json.loads(frame) for frame in pump.take()]


def ask(pump: Pump, frame: Any) -> list[dict[str, Any]]:
    """Send one frame of the visitor, as text, and take the answers."""
    pump.inject(frame if isinstance(frame, str) else json.dumps(frame))
    return replies(pump)


def chat(words: str = "你好", **more: Any) -> dict[str, Any]:
    return {"type": "chat_message", "message": words, "timestamp": "2025-01-01T12:00:00", **more}


def request(words: str = "hi", **more: Any) -> dict[str, Any]:
    return {
        "type": "contact_request",
        "message": words,
        "timestamp": "2025-01-01T12:00:00",
        "userAgent": "UA",
        **more,
    }
