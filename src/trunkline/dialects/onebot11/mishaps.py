"""What can go wrong with the frames of an emulated account, and the frames that it makes wrong.

Pure, like the account itself (`emulator`): what is late is held here until its time.
Source: onebot11 11
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.contract import Transmit

LATE_S: Final = 3.0  # longer than a chat waits for the response before it (`pending.PATIENCE_S`)
REORDER_S: Final = 1.0  # so long at most a response waits to be overtaken
SILENT_S: Final = 60.0  # so long a silent socket stays open when nobody closes it
KICKED_S: Final = 8.0  # until a kicked account is back
HEARTBEAT_S: Final = 5.0  # of emulated accounts, as go-cqhttp and Lagrange have it
KICKED_WORDS: Final = "the account is offline"

MALFORMED: Final = b'{"post_type":"message","message_type":'
FAULTS: Final = frozenset({
    "cut", "double", "kick", "late", "malformed", "odd", "reorder", "silent",
})  # fmt: skip
# Chats whose ids only fit where ids are text: wider than a double, negative. Source: onebot11 11.1
ODD_CHATS: Final = (
    ("private", "9007199254740993", "宽号"),
    ("group", "-20002", "桥接群"),
    ("private", "-10009", "Bridge"),
)

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class Held:
    """Frames that leave later than they should, in the order of their times."""

    def __init__(self) -> None:
        self._late: list[tuple[float, Transmit]] = []
        self._overtaken: list[tuple[float, Transmit]] = []

    def delay(self, frame: Transmit, now_s: float) -> None:
        """Hold a frame back for `LATE_S`."""
        self._late.append((now_s + LATE_S, frame))

    def let_pass(self, frame: Transmit, now_s: float) -> None:
        """Hold a frame back until another one has overtaken it."""
        self._overtaken.append((now_s + REORDER_S, frame))

    def behind(self) -> list[Transmit]:
        """Return what has been overtaken now."""
        frames = [frame for _, frame in self._overtaken]
        self._overtaken.clear()
        return frames

    def due(self, now_s: float) -> list[Transmit]:
        """Return what is to leave now."""
        frames: list[Transmit] = []
        for queue in (self._late, self._overtaken):
            while queue and queue[0][0] <= now_s:
                frames.append(queue.pop(0)[1])
        return frames

    @property
    def wake_at(self) -> float | None:
        """When the next one is due, None = there is none."""
        return min((queue[0][0] for queue in (self._late, self._overtaken) if queue), default=None)

    def drop(self) -> None:
        """Forget all."""
        self._late.clear()
        self._overtaken.clear()


def make_odd(frame: bytes, form: int) -> bytes:
    """Write an event as some deployed implementation does; its meaning is the same.

    Source: onebot11 11.1, 11.3

    Args:
        form: which of the forms; any number.
    """
    event = _decode(frame)
    match form % 4:
        case 0:  # ids as text, time in milliseconds as text
            for name in ("user_id", "group_id", "message_id", "self_id", "target_id"):
                if name in event:
                    event[name] = str(event[name])
            event["time"] = str(event["time"] * 1000)
        case 1:  # a signed message id, floats for ids, no optional field
            event["message_id"] = -event["message_id"]
            event["user_id"] = _as_float(event["user_id"])
            for name in ("font", "message_format", "raw_message", "target_id"):
                event.pop(name, None)
        case 2:  # the sender is null, a segment has numbers and nulls
            event["sender"] = None
            if isinstance(event["message"], list):
                event["message"].append({"type": "mface", "data": {"id": 7, "key": None}})
        case _:  # no sub_type, keys that nobody knows
            event.pop("sub_type", None)
            event |= {"real_seq": "7", "message_seq": 7, "emoji_likes_list": [], "raw": {"a": [1]}}
    return _encode(event)


def _as_float(ident: int | str) -> float | int | str:
    """Return `10001.0`; an id that a double cannot hold stays as it is."""
    return float(ident) if isinstance(ident, int) and abs(ident) < 1 << 53 else ident


def heartbeat(account: int | str, now_ms: int, *, is_online: bool) -> bytes:
    """Encode a heartbeat that says whether the account is there. Source: onebot11 3.2"""
    return _encode({
        "time": now_ms // 1000, "self_id": account, "post_type": "meta_event",
        "meta_event_type": "heartbeat", "interval": round(HEARTBEAT_S * 1000),
        "status": {"online": is_online, "good": is_online},
    })  # fmt: skip
