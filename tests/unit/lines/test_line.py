"""One configured line as its door, its drivers and its people see it."""

from __future__ import annotations

import asyncio
from typing import Any

from scripted import DIAL, Stand
from trunkline.dialects.contract import (
    Ask,
    Changed,
    Fetch,
    Hangup,
    Head,
    LinkState,
    Noticed,
    Refuse,
    Seat,
    Sharing,
)  # fmt: skip
from trunkline.errors import LocalProtocolError
from trunkline.lines.contract import LineState
from trunkline.lines.line import ACCOUNTS, SHOWN_SEATS


async def test_a_listening_line_is_connected_with_a_ready_link() -> None:
    stand = Stand()
    line = stand.line
    line.serve(is_on=True, where=("ws://127.0.0.1:1/ws",))
    assert line.status().state is LineState.DISCONNECTED
    peer = stand.enter(peer="192.0.2.7")
    status = line.status()
    assert status.state is LineState.CONNECTED
    assert status.links == 1
    assert [(seat.account, seat.peer) for seat in status.seats] == [("qq", "192.0.2.7")]
    assert "open" in status.overlays
    peer.cut()
    assert line.status().state is LineState.DISCONNECTED
    assert line.status().links == 0
    assert line.accounts == {"qq": None}  # known by name further on


async def test_a_line_that_is_switched_off_lets_nobody_in() -> None:
    line = Stand(enabled=False).line
    answer = line.admit(Head("/ws"))
    assert isinstance(answer, Refuse)
    assert answer.status == 404


async def test_the_names_of_accounts_are_bounded_the_latest_stay() -> None:
    """Peers choose their names: one that reconnected under new ones filled the memory."""
    stand = Stand()
    names = iter(range(ACCOUNTS + 2))
    stand.script["receive"] = lambda data: (
        Changed(LinkState.READY, Seat(name := f"p{next(names)}", name)),
    )
    peer = stand.enter()
    peer.say(b"x")
    for _ in range(ACCOUNTS):
        peer.say(b"x")
    assert len(stand.line.accounts) == ACCOUNTS
    assert f"p{ACCOUNTS}" in stand.line.accounts
    assert "p0" not in stand.line.accounts


async def test_status_counts_and_dates_traffic() -> None:
    stand = Stand()
    assert stand.line.status().last_ms == 0
    peer = stand.enter()
    stand.clock.advance(5)
    peer.say(b"x", b"y")
    stand.clock.advance(2)
    status = stand.line.status()
    assert status.received == 2
    assert stand.clock.now_ms() - status.last_ms == 2000
    assert stand.clock.now_ms() - status.seats[0].since_ms == 7000
    assert stand.clock.now_ms() - status.seats[0].last_ms == 2000


async def test_status_shows_the_first_seats_only() -> None:
    names = iter(range(1000))
    stand = Stand({"linked": lambda info: (Changed(LinkState.READY, Seat(str(next(names)))),)})
    for _ in range(SHOWN_SEATS + 5):
        stand.enter()
    status = stand.line.status()
    assert (status.links, len(status.seats)) == (SHOWN_SEATS + 5, SHOWN_SEATS)


async def test_a_failed_login_is_counted_for_the_address() -> None:
    stand = Stand({"linked": (Noticed("auth-failed"), Hangup(1008, "no"))})
    peer = stand.enter(peer="192.0.2.7")
    peer.pump()
    assert stand.failed_addresses == ["192.0.2.7"]
    assert stand.counts.oddities == ["auth-failed"]
    assert peer.near.close_code == 1008


async def test_what_the_house_cannot_ask_yet_is_answered_with_an_error() -> None:
    stand = Stand({"receive": (Ask("t", Fetch("GET", "http://127.0.0.1/")),)})
    peer = stand.enter()
    peer.say(b"x")
    ((tag, answer),) = [arg for verb, arg in peer.session.calls if verb == "answered"]
    assert tag == "t"
    assert isinstance(answer, LocalProtocolError)


async def test_waiting_for_the_last_link() -> None:
    seat = Seat("qq", "qq", sharing=Sharing.EACH)
    stand = Stand({
        "linked": (Changed(LinkState.READY, seat),),
        "finish": (Hangup(1001, "server stops"),),
    })  # fmt: skip
    await stand.line.wait_empty()  # nobody is here
    one, two = stand.enter(), stand.enter()
    waiting = asyncio.create_task(stand.line.wait_empty())
    stand.line.finish()
    one.pump()
    await asyncio.sleep(0)
    assert not waiting.done()
    two.pump()
    await waiting
    assert one.near.close_code == two.near.close_code == 1001


async def test_closing_every_link_spares_who_has_none_yet() -> None:
    stand = Stand({"begin": (DIAL,)})
    stand.line.new_driver("")
    peer = stand.enter()
    stand.line.close_links(1012, "reconnect")
    peer.pump()
    assert peer.near.close_code == 1012
    assert len(stand.line.drivers) == 1


async def test_the_life_of_a_machine_line_is_told_and_not_what_is_said() -> None:
    stand = Stand()
    peer = stand.enter()
    peer.say(b"secret words")
    peer.cut()
    assert stand.actions() == ["peer ready", "link closed"]
    told: list[Any] = [fields for _, _, fields in stand.log.lines]
    assert "secret words" not in repr(told)


async def test_a_session_is_given_the_schema_of_its_line() -> None:
    stand = Stand()
    stand.line.new_driver("")
    stand.line.schema = b"imported"
    stand.line.new_driver("")
    assert [opening.schema for opening in stand.openings] == [b"", b"imported"]
