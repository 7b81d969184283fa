"""A line without a token is open to this machine only (`guides 1`)."""

from __future__ import annotations

from pathlib import Path

from house import House
from trunkline.dialects.contract import Admit, Head, Refuse


async def test_an_open_machine_line_lets_in_this_machine_only(tmp_path: Path) -> None:
    """With a trusted proxy on loopback, anybody behind it came in without a token."""
    lines = {
        "open": {"dialect": "maim"},
        "closed": {"dialect": "maim", "path": "/closed", "token": "9f86d081884c7d659a2feaa0c55a"},
        "blog": {"dialect": "contact"},
    }
    async with House(tmp_path, lines=lines) as house:
        stranger, here = Head("/ws", peer="203.0.113.5"), Head("/ws", is_loopback=True)
        refused = house.lines["open"].admit(stranger)
        assert isinstance(refused, Refuse)
        assert refused.status == 403
        assert isinstance(house.lines["open"].admit(here), Admit)
        # A token decides by itself, and visitors need none.
        assert isinstance(house.lines["closed"].admit(stranger), Admit)
        assert isinstance(house.lines["blog"].admit(Head("/contact", peer="203.0.113.5")), Admit)
