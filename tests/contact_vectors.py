"""Runs the contact vectors over whatever carries frames: in memory, or a real WebSocket.

    check(case, exchange_frames)            # a plain function carries the frames
    verify(case, await drive(case))         # or any other way, asynchronous too

Whoever carries the frames connects, reads the greeting, sends `outgoing(case)` without waiting in
between, reads `expected_count(case)` frames (or until the close), then, if the connection is open,
sends `PING` and reads one frame more. What it saw is a `Seen`.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

FILE = Path(__file__).parent / "vectors" / "contact" / "contact_vectors.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["vectors"]
EXTENSIONS: dict[str, dict[str, Any]] = {
    case["id"]: case for case in json.loads(FILE.read_text(encoding="utf-8"))["extension_vectors"]
}
# What only a real link does: sizes while reading, UTF-8 of TEXT, fragments.
WIRE_ONLY = frozenset({"B003", "B004", "B005"})
PING = '{"type":"ping"}'


@dataclass
class Out:
    """One message to send.

    `parts` are fragments (one unless the case fragments). A TEXT message is sent with opcode TEXT
    also when its bytes are not UTF-8 (B004).
    """

    parts: list[bytes]
    is_text: bool = True

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)


@dataclass
class Seen:
    """What the client saw.

    Attributes:
        greeting: the first frame.
        frames: the following ones, as text.
        after: the answer to the ping at the end, or None when the connection was closed.
        close: the close code, or None while open.
    """

    greeting: str
    frames: list[str] = field(default_factory=list)
    after: str | None = None
    close: int | None = None


def outgoing(case: dict[str, Any]) -> list[Out]:
    """Return the messages to send, in order."""
    return [_out(item) for item in case["send"]]


def _out(item: dict[str, Any]) -> Out:
    (how, value), *rest = item.items()
    assert not rest, item
    if how == "json":
        return Out([json.dumps(value, ensure_ascii=False).encode()])
    if how == "text":
        return Out([value.encode()])
    if how == "binary_base64":
        return Out([base64.b64decode(value)], is_text=False)
    if how == "text_repeat":
        body = value["prefix"] + value["char"] * value["count"] + value["suffix"]
        return Out([body.encode()])
    if how == "invalid_utf8_text_base64":
        return Out([base64.b64decode(value)])
    if how == "fragments":
        return Out([part.encode() for part in value])
    raise AssertionError(f"unknown way to send: {how}")


def expected_count(case: dict[str, Any]) -> int:
    """Return how many frames come after the greeting."""
    if "expect_multiset" in case:
        return sum(case["expect_multiset"].values())
    return len(case["expect"]) - (not case["greeting_consumed"])


def check(case: dict[str, Any], exchange_frames: Callable[[list[Out], int], Seen]) -> None:
    """Run one case: `exchange_frames(outgoing, expected count)` returns what was seen."""
    verify(case, exchange_frames(outgoing(case), expected_count(case)))


def verify(case: dict[str, Any], seen: Seen) -> None:
    """Compare what was seen with the case."""
    greeting = json.loads(seen.greeting)
    frames = [json.loads(frame) for frame in seen.frames]
    assert greeting["type"] == "connection_established"
    expected = case.get("expect")
    if expected is not None:
        got = frames if case["greeting_consumed"] else [greeting, *frames]
        assert len(got) == len(expected), got
        for one, pattern in zip(got, expected, strict=True):
            match(one, pattern)
    else:
        counts = Counter(frame["type"] for frame in frames)
        assert counts == Counter(case["expect_multiset"]), counts
        check_order(frames)
    if case["connection_after"] == "open":
        assert seen.close is None
        assert seen.after is not None
        assert json.loads(seen.after)["type"] == "pong"
    else:
        assert seen.close == case["connection_after"]["close"]


def check_order(frames: list[dict[str, Any]]) -> None:
    """The k-th acknowledgement comes before the k-th answer, and answers keep question order."""
    acks = [frame["message_id"] for frame in frames if frame["type"] == "chat_message_received"]
    kinds = [frame["type"] for frame in frames]
    answered = [frame["in_reply_to"] for frame in frames if frame["type"] == "chat_message"]
    assert answered == acks
    for nth in range(len(acks)):
        ack_at = [at for at, kind in enumerate(kinds) if kind == "chat_message_received"][nth]
        answer_at = [at for at, kind in enumerate(kinds) if kind == "chat_message"][nth]
        assert ack_at < answer_at


def check_rate_limit(frames: list[dict[str, Any]], sent: int = 30) -> None:
    """X006: at most 22 acknowledged, the rest refused with `rate_limited` and `retry_after`."""
    counts = Counter(frame["type"] for frame in frames)
    assert counts["chat_message_received"] <= 22
    assert counts["chat_message_received"] + counts["error"] == sent
    for frame in frames:
        if frame["type"] == "error":
            assert frame["code"] == "rate_limited"
            assert frame["retry_after"] > 0


def match(got: Any, pattern: Any) -> None:
    """Match one frame; extra fields are always allowed."""
    if isinstance(pattern, dict):
        assert isinstance(got, dict)
        for name, value in pattern.items():
            assert name in got, f"{name} is missing in {got}"
            match(got[name], value)
    elif pattern == "$text":
        assert isinstance(got, str)
        assert got.strip()
    elif pattern == "$uuid":
        assert str(UUID(got)) == got
    elif pattern == "$iso8601":
        assert datetime.fromisoformat(got).tzinfo is not None
    elif pattern != "$any":
        assert got == pattern
