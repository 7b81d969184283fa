"""An account that connects twice where the older connection keeps its seat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from house import House
from onebot11_lines import message

LINES = {"qq": {"dialect": "onebot11", "handshake": "off", "duplicate": "reject"}}


async def test_a_second_connection_of_an_account_is_refused_and_not_heard(tmp_path: Path) -> None:
    async with House(tmp_path, lines=LINES) as house:
        older, newer = house.connect("qq"), house.connect("qq")
        older.say(_said(1))
        newer.say(_said(2))
        newer.say(_said(3))
        await house.quiet()
        closed: Any = newer.closed_with
        assert (closed.code, closed.reason) == (1008, "duplicate self_id")
        assert older.closed_with is None
        assert house.rows("select count(*) from inbox") == [(1,)]
        older.cut()
        again = house.connect("qq")
        again.say(_said(4))
        await house.quiet()
        assert again.closed_with is None
        assert house.rows("select count(*) from inbox") == [(2,)]


def _said(number: int) -> dict[str, Any]:
    return message(message_id=number)
