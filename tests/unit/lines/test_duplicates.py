"""An account that connects twice where the older connection may keep its seat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from house import House, Peer
from onebot11_lines import CONNECT, message
from trunkline.pipeline.rulebook import RuleSpec

LINES = {"qq": {"dialect": "onebot11", "handshake": "off", "duplicate": "reject"}}
PROBE = {"qq": {"dialect": "onebot11", "duplicate": "probe"}}
ECHO = RuleSpec(name="echo", match="any", reply="{send_message}")


async def test_a_second_connection_of_an_account_is_refused_and_not_heard(tmp_path: Path) -> None:
    async with House(tmp_path, lines=LINES) as house:
        older, newer = house.connect("qq"), house.connect("qq")
        older.say(_said(1))
        newer.say(_said(2))
        newer.say(_said(3))
        await house.quiet()
        assert _end(newer) == (1008, "duplicate self_id")
        assert older.closed_with is None
        assert house.rows("select count(*) from inbox") == [(1,)]
        older.cut()
        again = house.connect("qq")
        again.say(_said(4))
        await house.quiet()
        assert again.closed_with is None
        assert house.rows("select count(*) from inbox") == [(2,)]


# -- the older one is asked whether it is there ---------------------------------------------------


async def test_an_older_connection_that_answers_the_ping_keeps_its_seat(tmp_path: Path) -> None:
    async with House(tmp_path, lines=PROBE, rules=[ECHO]) as house:
        older, newer = _greet(house), _greet(house)
        newer.say(_said(1))
        assert newer.closed_with is None  # nobody knows yet
        older.pump()
        newer.pump()
        assert _end(newer) == (1008, "duplicate self_id")
        house.advance(2)
        older.say(_said(2))
        await house.quiet()
        assert older.closed_with is None
        assert [frame["action"] for frame in older.frames()] == ["send_private_msg"]
        assert house.rows("select count(*) from inbox") == [(1,)]


async def test_any_frame_is_as_good_as_a_pong(tmp_path: Path) -> None:
    async with House(tmp_path, lines=PROBE) as house:
        older = _greet(house)
        older.far.is_mute = True
        newer = _greet(house)
        house.advance(0.9)
        older.say(_said(1))
        newer.pump()
        assert _end(newer) == (1008, "duplicate self_id")
        house.advance(1)
        assert older.closed_with is None


async def test_a_silent_one_goes_after_a_second_and_nothing_said_is_lost(tmp_path: Path) -> None:
    async with House(tmp_path, lines=PROBE, rules=[ECHO]) as house:
        older = _greet(house)
        older.far.is_mute = True
        newer = _greet(house)
        newer.say(_said(1))
        newer.say(_said(2))
        house.advance(0.99)
        await house.quiet()
        older.pump()
        assert older.closed_with is None
        assert house.rows("select count(*) from inbox") == [(0,)]
        house.advance(0.02)
        await house.quiet()
        older.pump()
        assert _end(older) == (1000, "replaced by a newer connection")
        newer.say(_said(3))
        await house.quiet()
        said = house.rows("select key from inbox order by id")
        assert [key.rpartition(b":")[2] for (key,) in said] == [b"1", b"2", b"3"]
        (call,) = newer.frames()  # the next of the chat waits for its response
        assert call["action"] == "send_private_msg"
        assert newer.closed_with is None


async def test_deliveries_go_to_the_older_one_until_it_is_decided(tmp_path: Path) -> None:
    async with House(tmp_path, lines=PROBE, rules=[ECHO]) as house:
        older = _greet(house)
        older.far.is_mute = True
        older.say(_said(1))  # answered when it is committed: the newer one is there by then
        newer = _greet(house)
        status = house.lines["qq"].status()
        assert (len(status.seats), status.links) == (1, 2)
        await house.quiet()
        assert [frame["action"] for frame in older.frames()] == ["send_private_msg"]
        assert (newer.frames(), newer.closed_with) == ([], None)
        house.advance(1)
        older.pump()
        assert _end(older)[0] == 1000


@pytest.mark.parametrize("who", ["older", "newer"])
async def test_the_end_of_one_ends_the_question(tmp_path: Path, who: str) -> None:
    async with House(tmp_path, lines=PROBE) as house:
        older = _greet(house)
        older.far.is_mute = True
        newer = _greet(house)
        if who == "older":
            older.cut()  # the newer one has the seat at once
            newer.say(_said(1))
        else:
            newer.cut()
            house.advance(5)
            older.say(_said(1))
        await house.quiet()
        assert house.rows("select count(*) from inbox") == [(1,)]
        winner = newer if who == "older" else older
        winner.far.is_mute = False
        assert winner.closed_with is None
        again = _greet(house)  # nothing is left of the question: another one begins
        winner.pump()
        again.pump()
        assert _end(again) == (1008, "duplicate self_id")


async def test_an_older_one_that_says_good_bye_is_no_rival(tmp_path: Path) -> None:
    """Its close frame comes after our ping: that is its end, and no sign of life."""
    async with House(tmp_path, lines=PROBE) as house:
        older, newer = _greet(house), _greet(house)
        older.far.close(1000, "moving")
        older.pump()
        newer.say(_said(1))
        await house.quiet()
        assert newer.closed_with is None
        assert house.rows("select count(*) from inbox") == [(1,)]


async def test_a_second_newcomer_is_refused_at_once(tmp_path: Path) -> None:
    async with House(tmp_path, lines=PROBE) as house:
        older = _greet(house)
        older.far.is_mute = True
        second, third = _greet(house), _greet(house)
        assert _end(third) == (1008, "duplicate self_id")
        house.advance(1)
        older.pump()
        second.pump()
        assert (_end(older)[0], second.closed_with) == (1000, None)


async def test_the_halves_of_a_pair_wait_side_by_side(tmp_path: Path) -> None:
    async with House(tmp_path, lines=PROBE) as house:
        event, api = _half(house, "Event"), _half(house, "API")
        assert (event.closed_with, api.closed_with) == (None, None)
        event.far.is_mute = api.far.is_mute = True
        newer_event, newer_api = _half(house, "Event"), _half(house, "API")
        house.advance(1)
        for peer in (event, api, newer_event, newer_api):
            peer.pump()
        assert [_end(one)[0] for one in (event, api)] == [1000, 1000]
        assert (newer_event.closed_with, newer_api.closed_with) == (None, None)


async def test_half_of_a_pair_takes_the_place_of_a_silent_whole(tmp_path: Path) -> None:
    async with House(tmp_path, lines=PROBE) as house:
        whole = _greet(house)
        whole.far.is_mute = True
        api = _half(house, "API")
        house.advance(1)
        whole.pump()
        assert (_end(whole)[0], api.closed_with) == (1000, None)


async def test_one_answer_of_a_pair_keeps_a_whole_connection_out(tmp_path: Path) -> None:
    async with House(tmp_path, lines=PROBE) as house:
        event, api = _half(house, "Event"), _half(house, "API")
        event.far.is_mute = True
        whole = _greet(house)
        event.pump()
        whole.pump()
        assert whole.closed_with is None
        api.pump()
        whole.pump()
        assert _end(whole)[0] == 1008
        assert (event.closed_with, api.closed_with) == (None, None)


async def test_when_the_process_stops_nobody_takes_a_seat_any_more(tmp_path: Path) -> None:
    async with House(tmp_path, lines=PROBE) as house:
        older = _greet(house)
        older.far.is_mute = True
        newer = _greet(house)
        line = house.lines["qq"]
        line.halt()
        house.advance(2)
        assert older.closed_with is None
        line.finish()
        older.pump()
        newer.pump()
        assert (_end(older)[0], _end(newer)[0]) == (1001, 1001)


def _greet(house: House) -> Peer:
    """Connect without pumping any other link: nobody answers a ping yet."""
    peer = house.connect("qq")
    peer.say(CONNECT)
    return peer


def _half(house: House, role: str) -> Peer:
    peer = house.connect("qq", headers={"x-client-role": role, "x-self-id": "12345"})
    if role == "Event":
        peer.say(CONNECT)
    return peer


def _end(peer: Peer) -> tuple[int, str]:
    error: Any = peer.closed_with
    return error.code, error.reason


def _said(number: int) -> dict[str, Any]:
    return message(message_id=number)
