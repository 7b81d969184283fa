"""How rows look in a terminal: times, states, marks; control characters never reach it raw."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any, Final

from .output import text

LINE_STATES: Final = {
    "CONNECTED": ("●", "已连接", "connected"),
    "CONNECTING": ("◔", "连接中", "connecting"),
    "RECONNECTING": ("◑", "重连中", "reconnecting"),
    "DISCONNECTED": ("○", "未连接", "disconnected"),
    "FAILED": ("✕", "连接失败", "failed"),
}
OVERLAYS: Final = {
    "paused": ("已暂停", "paused"),
    "needs-you": ("! 需要你处理", "! needs you"),
    "deaf": ("◍ 已连接但无消息", "◍ connected but silent"),
    "open": ("无令牌", "open"),
}
MODES: Final = {"auto": ("自动", "auto"), "draft": ("草稿", "draft"), "off": ("关闭", "off")}
DELIVERY_STATES: Final = {
    "draft": ("草稿，等待批准", "draft, waits for approval"),
    "queued": ("已入发件箱", "queued"),
    "sending": ("发送中", "sending"),
    "sent": ("已发送", "sent"),
    "confirmed": ("平台已确认", "confirmed"),
    "uncertain": ("不确定是否送达", "uncertain"),
    "refused": ("平台拒绝", "refused"),
    "expired": ("已过期", "expired"),
    "dead": ("无法发送", "dead"),
    "discarded": ("已丢弃", "discarded"),
}
INBOX_STATES: Final = {
    "waiting": ("等待处理", "waiting"),
    "done": ("已处理", "done"),
    "dead": ("无法处理", "dead"),
    "discarded": ("已丢弃", "discarded"),
}
KINDS: Final = {
    "message": ("消息", "message"),
    "notice": ("通知", "notice"),
    "request": ("请求", "request"),
}
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_RESTART: Final = re.compile(r"restart \d+")
_JOINER: Final = "\u200d"


def word(table: dict[str, tuple[str, str]], key: str) -> str:
    """Return the wording of a state, or the state itself when it is new to us."""
    zh, en = table.get(key, (key, key))
    return text(zh, en)


def escape(value: str) -> str:
    """Return text that is safe to print: strangers write it.

    Escape sequences, line ends and marks that turn the direction of writing are spelled out.
    """
    return "".join(
        char
        if char == _JOINER or unicodedata.category(char) not in _UNSAFE
        else char.encode("unicode_escape").decode()
        for char in value
    )


def clean(value: str, limit: int = 200) -> str:
    """Return one safe line of at most `limit` characters."""
    shown = " ".join(value[: limit * 4].split())
    return escape(shown if len(shown) <= limit else shown[: limit - 1] + "…")


def local_time(at: str | None, *, with_day: bool = False) -> str:
    """Return an instant of the API as local time, or `–`."""
    if not at:
        return "–"
    moment = datetime.fromisoformat(at).astimezone()
    return moment.strftime("%m-%d %H:%M:%S" if with_day else "%H:%M:%S")


def ago(at: str | None, now: datetime | None = None) -> str:
    """Return how long ago an instant of the API was, in the largest whole unit, or `–`."""
    if not at:
        return "–"
    seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(at)).total_seconds())
    for size, zh, en in ((86400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min")):
        if seconds >= size:
            return text(f"{seconds // size} {zh}前", f"{seconds // size} {en} ago")
    return text(f"{max(0, seconds)} 秒前", f"{max(0, seconds)} s ago")


def pace_word(line: dict[str, Any]) -> str:
    """Return how many left today and how many may, or `–` for a line without a pace."""
    pace = line.get("pace")  # an older server does not say
    if not pace:
        return "–"
    return f"{pace['sent_today']}/{pace['daily'] or '–'}"


def pace_line(line: dict[str, Any]) -> str:
    """Return one line about a line's pace; "" = it sends as fast as it can."""
    pace = line.get("pace")
    if not pace:
        return ""
    parts = [text("节奏", "pace")]
    if pace["every_s"]:
        parts.append(text(f"每 {pace['every_s']:g} 秒一条", f"one every {pace['every_s']:g} s"))
    if pace["daily"]:
        sent = f"{pace['sent_today']}/{pace['daily']}"
        parts.append(text(f"今天已发 {sent}", f"sent today {sent}"))
    if pace["next"]:
        at = local_time(pace["next"], with_day=True)
        parts.append(text(f"下一条不早于 {at}", f"next not before {at}"))
    return " · ".join(parts)


def pace_wait(delivery: dict[str, Any]) -> str:
    """Return what a delivery waits for because of its line's pace, or ""."""
    until = delivery.get("paced_until")
    if not until:
        return ""
    if behind := delivery.get("paced_behind"):  # an older server does not say
        others = "other" if behind == 1 else "others"
        return text(f"按节奏排在 {behind} 条之后", f"waits for pace, after {behind} {others}")
    at = local_time(until, with_day=True)
    return text(f"按节奏等到 {at}", f"waits for pace until {at}")


def line_state(line: dict[str, Any]) -> str:
    """Return a line's state with its sign, what overlays it, and why."""
    sign, zh, en = LINE_STATES.get(line["state"], ("?", line["state"], line["state"]))
    parts = [f"{sign} {text(zh, en)}"]
    if line["links"] > 1 or (line["links"] and line["link"] == "listen"):
        parts.append(text(f"{line['links']} 个连接", f"{line['links']} links"))
    if line["retry_in_s"]:
        wait = f"{line['retry_in_s']:.0f}"
        parts.append(text(f"{wait} 秒后重试", f"again in {wait} s"))
    parts += [word(OVERLAYS, overlay) for overlay in line["overlays"]]
    if line.get("carries"):  # an older server does not say
        carried = clean(line["carries"], 64)
        parts.append(text(f"呈现 {carried}", f"carries {carried}"))
    if line["error"]:
        parts.append(clean(line["error"], 60))
    return " · ".join(parts)


def reason_words(reason: str, limit: int) -> str:
    """Return why a delivery is in its state; the name of a restart stays, `--group` takes it."""
    shown = clean(reason, limit)
    if _RESTART.fullmatch(shown):
        return text(f"重启时正在发送（{shown}）", f"was being sent at {shown}")
    return shown


def delivery_line(delivery: dict[str, Any]) -> str:
    """Return one line about a delivery's fate."""
    parts = [delivery["id"], word(DELIVERY_STATES, delivery["state"])]
    if delivery["peer_id"]:
        parts.append(f"id={clean(delivery['peer_id'], 60)}")
    if late_s := delivery.get("late_s"):  # an older server does not say
        parts.append(text(f"迟到 {late_s:.0f} 秒", f"{late_s:.0f} s late"))
    if delivery["reason"]:
        parts.append(reason_words(delivery["reason"], 120))
    return "  ".join(parts)
