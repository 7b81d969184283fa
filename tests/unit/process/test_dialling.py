"""The bound of all links, seen from the ones that we open."""

from __future__ import annotations

import socket

import pytest

from scripted import Stand
from trunkline.dialects.contract import Dial
from trunkline.errors import LinkError
from trunkline.lines.contract import Link, LinkUser
from trunkline.lines.listen import Gate
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.process.dialling import Dialling


def dialling(stand: Stand, max_links: int) -> Dialling:
    commons = Commons(PingSweep(stand.clock), Budget(), lambda where, error: None)
    return Dialling(Gate(commons, stand.clock), [stand.line], commons, max_links)


def nobody(link: Link) -> LinkUser:
    raise AssertionError("nothing was opened")


async def test_an_open_link_takes_a_place_and_a_request_takes_none() -> None:
    stand = Stand()
    out = dialling(stand, max_links=1)
    peer = stand.enter()
    with pytest.raises(LinkError, match="max_connections"):
        await out.dial(stand.line, Dial("ws://127.0.0.1:1/ws"), nobody)
    calls = Dial("http://127.0.0.1:1", is_request=True)
    link = await out.dial(stand.line, calls, lambda link: stand.enter().driver)
    assert link.info.is_request
    peer.cut()


async def test_a_dial_that_fails_gives_its_place_back() -> None:
    stand = Stand()
    out = dialling(stand, max_links=1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        target = Dial(f"ws://127.0.0.1:{taken.getsockname()[1]}/ws")
        for _ in range(2):
            with pytest.raises(LinkError) as failure:
                await out.dial(stand.line, target, nobody)
            assert "max_connections" not in str(failure.value)
