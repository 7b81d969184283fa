"""The marketplace's shell: HTTP and WebSocket on one real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from trunkline.clock import SystemClock
from trunkline.dev.market import MAX_BODY_BYTES, MarketPlace, MarketScript
from trunkline.dialects.contract import Fetch, Fetched
from trunkline.dialects.xianyu.http import (
    LOGIN_API,
    TokenFate,
    build_call,
    build_upload,
    merge_set_cookies,
    parse_token_answer,
    parse_upload,
    set_cookies_of,
    token_data,
)
from trunkline.lines.http import Fetcher

ME = "2200000000001"
HOSTS = frozenset({"127.0.0.1"})


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    fetcher = Fetcher()
    yield fetcher
    await fetcher.stop()


@pytest.fixture
async def place() -> AsyncIterator[MarketPlace]:
    place = MarketPlace(0, SystemClock(), MarketScript(login="right"))
    yield place
    await place.stop()


async def ask(fetcher: Fetcher, request: Fetch) -> Fetched:
    answered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    fetcher.fetch(request, HOSTS, answered.set_result)
    answer = await asyncio.wait_for(answered, 10)
    assert isinstance(answer, Fetched), answer
    return answer


async def test_a_token_is_given_to_the_right_login_alone(
    place: MarketPlace, fetcher: Fetcher
) -> None:
    base = await place.start()
    data = token_data(f"device-{ME}")

    def call(cookies: str) -> Fetch:
        return build_call(base, LOGIN_API, data, cookies, "test", SystemClock().now_ms())

    cookies = f"unb={ME}; cookie2=right"
    answer = await ask(fetcher, call(cookies))
    assert parse_token_answer(answer).fate is TokenFate.RESIGN
    cookies = merge_set_cookies(cookies, set_cookies_of(answer))  # both lines came through
    told = parse_token_answer(await ask(fetcher, call(cookies)))
    assert told.fate is TokenFate.OK
    assert told.token in place.world.market.tokens
    wrong = parse_token_answer(await ask(fetcher, call(cookies.replace("right", "wrong"))))
    assert wrong.fate is TokenFate.NEEDS_COOKIES


async def test_a_picture_is_taken_and_too_large_a_body_is_not(
    place: MarketPlace, fetcher: Fetcher
) -> None:
    base = await place.start()
    upload = build_upload(base, b"GIF89a", "a.gif", "b", f"unb={ME}", "test")
    assert parse_upload(await ask(fetcher, upload)) is not None
    large = Fetch("POST", f"{base}/api/upload.api", {}, b"x" * (MAX_BODY_BYTES + 1))
    assert (await ask(fetcher, large)).status == 413


async def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="explode"):
        MarketPlace(0, SystemClock(), MarketScript(faults={"explode": 1.0}))
