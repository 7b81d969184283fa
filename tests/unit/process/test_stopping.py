"""When the process stops, and how long it waits for peers on its way out."""

from __future__ import annotations

import asyncio
import os
from typing import Any, NamedTuple

import pytest

from scripted import Stand
from trunkline.clock import FakeClock
from trunkline.dev.simulate.loop import VirtualLoop
from trunkline.process.stopping import CLOSE_S, SLOW_PEERS_S, StopRequest, _links_closed


class Ended(BaseException):
    """What `os._exit` does here."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    def leave_at_once(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", leave_at_once)
    return FakeClock()


async def test_a_second_signal_ends_at_once_unless_it_is_the_first_one_again(
    clock: FakeClock,
) -> None:
    request = StopRequest(clock)
    request.ask()
    await request.wait()
    clock.advance(0.4)
    request.ask()
    clock.advance(0.2)
    with pytest.raises(Ended):
        request.ask()


async def test_a_process_that_lost_a_part_ends_at_the_first_signal(clock: FakeClock) -> None:
    request = StopRequest(clock)
    request.give_up()
    await request.wait()
    with pytest.raises(Ended):
        request.ask()


class Leaving(NamedTuple):
    """How one link was waited for."""

    waited_s: Any
    is_cut: bool
    unread: list[Any]  # what the log says of it


def leave(*, unread: bytes = b"", reads_after_s: float = 0.0, says_bye: bool = False) -> Leaving:
    """Close one link as a stop does, and wait for its peer."""
    stand = Stand()
    loop = VirtualLoop(stand.clock)
    cuts: list[bool] = []

    async def scenario() -> float:
        peer = stand.enter()
        near: Any = peer.near
        near.abort = lambda: cuts.append(True)
        near.is_stalled = bool(unread)
        near.send(unread)
        stand.line.close_links(1001, "server stops")
        if says_bye:
            loop.call_soon(peer.pump)
        if reads_after_s:
            loop.call_later(reads_after_s, lambda: (near.drain(), peer.pump()))
        began_s = loop.time()
        log: Any = stand.log
        await _links_closed({"core": stand.line}, began_s + SLOW_PEERS_S, stand.clock, log)
        return loop.time() - began_s

    try:
        waited_s = loop.run_until_complete(scenario())
    finally:
        loop.close()
    told = [fields for _, action, fields in stand.log.lines if action == "a peer did not read"]
    unread_bytes = [fields["unread_bytes"] for fields in told]
    return Leaving(pytest.approx(waited_s, abs=0.01), bool(cuts), unread_bytes)


def test_who_says_good_bye_is_not_waited_for() -> None:
    assert leave(says_bye=True) == (0.0, False, [])


def test_who_has_read_everything_and_says_nothing_is_cut_after_the_handshake() -> None:
    # The twin in memory hears of a close by its own `pump`: without it nobody says good-bye.
    assert leave() == (CLOSE_S, True, [])


def test_a_slow_peer_may_take_what_was_written_until_ten_seconds() -> None:
    assert leave(unread=b"answer", reads_after_s=7.0) == (7.0, False, [])


def test_a_peer_that_never_reads_is_named_and_cut() -> None:
    assert leave(unread=b"answer") == (SLOW_PEERS_S, True, [6])


def test_nobody_is_waited_for_without_a_link() -> None:
    stand = Stand()
    log: Any = stand.log
    asyncio.run(_links_closed({"core": stand.line}, 0.0, stand.clock, log))
