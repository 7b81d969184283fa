"""What people may do with lines."""

from __future__ import annotations

import pytest

from scripted import Stand
from trunkline.dialects.contract import Noticed
from trunkline.lines.fleet import NodeFleet


class Redialler:
    def __init__(self) -> None:
        self.count = 0

    def reconnect(self) -> None:
        self.count += 1


def fleet_of(stand: Stand, resumed: list[str] | None = None, supervisor: Redialler | None = None):
    supervisors = {"core": supervisor} if supervisor else {}
    return NodeFleet(
        {"core": stand.line},
        supervisors,  # type: ignore[arg-type]  # the part of it that matters
        (resumed if resumed is not None else []).append,
    )


async def test_pause_and_resume() -> None:
    stand, resumed = Stand(), []
    fleet = fleet_of(stand, resumed)
    fleet.pause("core")
    assert stand.line.facts.is_paused
    assert "paused" in fleet.statuses()[0].overlays
    assert resumed == []
    fleet.resume("core")
    assert not stand.line.facts.is_paused
    assert resumed == ["core"]


async def test_a_mode_is_one_of_three() -> None:
    stand = Stand()
    fleet = fleet_of(stand)
    fleet.set_mode("core", "draft")
    assert fleet.status("core").mode == "draft"
    with pytest.raises(ValueError, match="auto, draft, off"):
        fleet.set_mode("core", "loud")
    assert fleet.status("core").mode == "draft"


async def test_oddities_are_those_of_the_line() -> None:
    stand = Stand({"receive": (Noticed("rejected:not_json", "9 bytes"),)})
    fleet = fleet_of(stand)
    stand.enter().say(b"x", b"y")
    (one,) = fleet.oddities("core")
    assert (one.kind, one.detail, one.times) == ("rejected:not_json", "9 bytes", 2)
    assert fleet.oddities("none") == ()


async def test_reconnect_dials_or_sends_the_peers_back_to_their_door() -> None:
    stand, redialler = Stand(), Redialler()
    peer = stand.enter()
    fleet_of(stand, supervisor=redialler).reconnect("core")
    assert (redialler.count, peer.near.is_open) == (1, True)
    fleet_of(stand).reconnect("core")
    assert peer.near.close_code == 1012


async def test_unknown_lines_are_none() -> None:
    fleet = fleet_of(Stand())
    assert fleet.status("nope") is None
    assert fleet.accounts("nope") == []


async def test_frames_are_shown_described_until_stopped() -> None:
    stand = Stand()
    peer = stand.enter()
    seen: list[tuple[str, str, str]] = []
    stop = fleet_of(stand).watch_frames("core", lambda *told: seen.append(told))
    peer.say(b'{"message_info": {}}')
    stop()
    stop()
    peer.say(b"{}")
    ((direction, seat, words),) = seen
    assert (direction, seat) == ("<", "qq")
    assert words == stand.dialect.describe(b'{"message_info": {}}')
    assert fleet_of(stand).accounts("core") == ["qq"]
