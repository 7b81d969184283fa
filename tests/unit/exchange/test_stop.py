"""What a framework was told `async` is stored before the process ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from house import House, chat, visitor

LINES = {
    "blog": {"dialect": "contact", "mode": "off"},
    "bot": {
        "dialect": "onebot11", "role": "implementation", "self_id": "1", "carries": "blog",
        "heartbeat_interval_s": 0,
    },
    "alone": {"dialect": "onebot11", "role": "implementation", "self_id": "2", "path": "/alone"},
}  # fmt: skip


def call(user: int, number: int) -> dict[str, Any]:
    params = {"user_id": user, "message": f"m{number}"}
    return {"action": "send_private_msg_rate_limited", "params": params, "echo": number}


@pytest.mark.parametrize("line", ["bot", "alone"])
async def test_limited_calls_are_stored_by_a_stop(tmp_path: Path, line: str) -> None:
    """28 of 30 were gone: sessions heard of the stop when the store was about to close."""
    async with House(tmp_path, lines=LINES) as house:
        guest, bot = visitor(house), house.connect(line)
        guest.say(chat("hi"))
        await house.quiet()
        shown = [one for one in bot.frames() if one.get("message_type") == "private"]
        user = shown[-1]["user_id"] if shown else 8
        bot.say(*(call(user, number) for number in range(5)))
        assert [one["retcode"] for one in bot.frames()] == [1] * 5
        for one in house.lines.values():
            one.halt()
        house.core.stop()
        async with asyncio.timeout(10):
            await house._tasks[0]  # the beat
        table = "outbox where source = 'carry:bot'" if line == "bot" else "inbox"
        assert house.rows(f"select count(*) from {table}") == [(5 if line == "bot" else 6,)]
