"""A stop reads nothing more, and loses nothing that was read."""

from __future__ import annotations

from pathlib import Path

from house import ECHO, House, kinds, maim, texts, visitor
from trunkline.dialects.contract import Head, Refuse


async def test_what_was_read_is_served_and_nothing_else(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines={"core": {"dialect": "maim"}}) as house:
        peer = house.connect("core", headers={"platform": "qq"})
        peer.say(maim("before", "m1"))
        house.lines["core"].halt()
        peer.say(maim("after", "m2"))
        await house.quiet()
        assert texts(peer.frames()) == ["收到：before"]
        assert house.rows("select count(*) from inbox") == [(1,)]
        assert len(peer.near.waiting()) == 1


async def test_nobody_comes_in_while_a_line_stops(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        peer = visitor(house)
        house.lines["blog"].halt()
        refused = house.lines["blog"].admit(Head("/contact", is_loopback=True))
        assert isinstance(refused, Refuse)
        assert refused.status == 503
        house.lines["blog"].finish()
        assert kinds(peer.frames()) == []
        assert peer.closed_with is not None
