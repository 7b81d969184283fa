"""An embedded 闲鱼 account over real sockets, against the emulated marketplace.

Source: issue 8, Build 7; xianyu 3, 4, 9
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import trunkline
from trunkline import MessageReceived, NoticeReceived, Outcome, connect, plain_text
from trunkline.clock import SystemClock
from trunkline.dev.market import MarketPlace, MarketScript
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.http import LOGIN_API
from trunkline.errors import ChallengeRequired, CredentialsRejected
from trunkline.guides.xianyu import ConnectionState

ME = "2200000000001"
BUYER = "2200000000002"
ITEM = "900000000001"
COOKIES = f"unb={ME}; cookie2=right; _m_h5_tk=0123456789abcdef_1"


@asynccontextmanager
async def market(**script: Any) -> AsyncIterator[tuple[MarketPlace, dict[str, str]]]:
    """Open a marketplace; yield it and what a line is given to find it."""
    place = MarketPlace(0, SystemClock(), MarketScript(**{"pace_s": 3600.0, **script}))
    base = await place.start()
    where = {"url": "ws" + base.removeprefix("http") + "/", "http_url": base, "upload_url": base}
    try:
        async with asyncio.timeout(20):
            yield place, where
    finally:
        await place.stop()


async def heard(line: trunkline.EmbeddedLine) -> MessageReceived:
    """Return the next message of a buyer; own words may be pushed again over a new link."""
    while True:
        event = await line.receive()
        if isinstance(event, MessageReceived) and not event.is_own:
            return event
        assert isinstance(event, MessageReceived | NoticeReceived)


def says(place: MarketPlace, words: str) -> None:
    """A buyer says something; it is pushed with the next answer to the account, or replayed."""
    seller = place.world.market.seller(ME)
    talk = place.world.market.open_talk(seller, BUYER, ITEM)
    place.world.market.say(seller, talk, frames.text_payload(words), words, is_own=False)


async def test_buyers_are_heard_and_answered_with_proof() -> None:
    async with market(pace_s=0.05, messages=2, lines=("在吗",)) as (place, where):
        line = connect("xianyu", cookies=COOKIES, send_gap_s=0, **where)
        assert line.state is ConnectionState.DISCONNECTED
        async with line:
            assert line.state is ConnectionState.CONNECTED
            assert [peer.account for peer in line.peers] == [ME]
            for nth in range(2):
                event = await heard(line)
                assert (event.is_own, plain_text(event.segments)) == (False, f"在吗 #{nth}")
                fate = await line.send(event, f"re:在吗 #{nth}")
                assert fate.outcome is Outcome.CONFIRMED
                assert fate.peer_id.endswith(".PNM")
            fate = await line.send(f"user:{BUYER}?item={ITEM}", "先说一句")
            assert fate.outcome is Outcome.CONFIRMED
        assert line.state is ConnectionState.DISCONNECTED
        assert (place.tally["answered"], place.tally["errors"]) == (2, 0)
        talk = next(t for t in place.world.market.seller(ME).talks.values() if t.buyer == BUYER)
        assert talk.item == ITEM
        assert not place.world.market.violations


async def test_a_reconnect_resumes_where_the_queue_stands_and_asks_for_no_token() -> None:
    async with (
        market() as (place, where),
        connect(
            "xianyu", cookies=COOKIES, send_gap_s=0, reconnect_interval_s=0.01, **where
        ) as line,
    ):
        says(place, "first")
        await line.send(f"user:{BUYER}?item={ITEM}", "hello")  # its answer takes the push along
        assert plain_text((await heard(line)).segments) == "first"
        place._line.close_links(1000, "see you")
        says(place, "while away")
        assert plain_text((await heard(line)).segments) == "while away"
        calls = place.world.market.calls[LOGIN_API]
        assert calls == 1


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("dead", CredentialsRejected, "needs_new_cookies"),
        ("person", ChallengeRequired, "needs_person"),
    ],
)
async def test_a_platform_that_wants_a_person_is_an_error_at_once(
    fault: str, error: type[Exception], words: str
) -> None:
    async with market() as (place, where):
        place.world.market.fault = fault
        with pytest.raises(error, match=words):
            await connect("xianyu", cookies=COOKIES, **where).open()
        assert place.world.market.calls[LOGIN_API] == 1, "nothing is tried again"


async def test_one_who_is_parked_later_reads_the_error_and_may_reconnect() -> None:
    async with market() as (place, where):
        line = connect("xianyu", cookies=COOKIES, send_gap_s=0, reconnect_interval_s=0.01, **where)
        async with line:
            place.world.market.tokens.clear()  # refused at the next registration
            place.world.market.fault = "person"
            place._line.close_links(1000, "see you")
            with pytest.raises(ChallengeRequired):
                await line.receive()
            assert line.state is ConnectionState.FAILED
            place.world.market.fault = ""
            line.reconnect()
            says(place, "again")
            assert plain_text((await heard(line)).segments) == "again"
            assert line.state is ConnectionState.CONNECTED


def test_what_the_product_alone_does_is_said() -> None:
    for key in ("takeover_for_s", "max_in_work", "debounce_mode", "probe_s", "debounce_s"):
        with pytest.raises(trunkline.TrunklineError, match=f"{key}: .*trunkline serve"):
            connect("xianyu", cookies=COOKIES, **{key: 1})
