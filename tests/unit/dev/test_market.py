"""The marketplace's shell: HTTP and WebSocket on one real port."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import pytest

from trunkline.clock import SystemClock
from trunkline.dev.market import MAX_BODY_BYTES, VERIFY_PATH, MarketPlace, MarketScript
from trunkline.dialects.boss import http as boss
from trunkline.dialects.boss.emulator import World
from trunkline.dialects.contract import Fetch, Fetched
from trunkline.dialects.xianyu.http import (
    LOGIN_API,
    TokenFate,
    build_call,
    build_upload,
    parse_token_answer,
    parse_upload,
    set_cookies_of,
    token_data,
)
from trunkline.lines.http import Fetcher
from trunkline.wire.cookies import merge_set_cookies

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


async def test_a_gateway_answers_beside_its_websocket_and_knows_its_logins(
    fetcher: Fetcher,
) -> None:
    place = MarketPlace(0, SystemClock(), MarketScript(login="right"), "boss")
    base = await place.start()
    try:
        assert place.path == "/chatws"
        right = boss.Caller(base, "wt=right; bst=token", "test")
        user = boss.parse_user(boss.parse_answer(await ask(fetcher, right.get(boss.USER_INFO))))
        assert user is not None
        told = boss.parse_answer(await ask(fetcher, right.get(boss.GET_WT)))
        assert len(told.fields["wt2"]) == 89
        wrong = boss.Caller(base, "wt=wrong", "test")
        over = boss.parse_answer(await ask(fetcher, wrong.get(boss.USER_INFO)))
        assert over.fate is boss.Fate.LOGIN_OVER
        picture = boss.Picture(b"GIF89a" + b"x" * 20, "a.gif")
        upload = right.upload(boss.UPLOAD, {"source": "chat_file"}, picture, "B")
        refused = boss.parse_answer(await ask(fetcher, upload))
        assert refused.fate is boss.Fate.ILLEGAL  # no conversation is named
    finally:
        await place.stop()


@pytest.mark.parametrize("dialect", ["boss", "xianyu"])
async def test_a_person_at_the_emulator_does_what_the_platform_demanded(
    fetcher: Fetcher, dialect: str
) -> None:
    place = MarketPlace(0, SystemClock(), MarketScript(), dialect)
    base = await place.start()
    try:
        user = boss.Caller(base, "wt=a; bst=t", "test").get(boss.USER_INFO)

        async def is_let_in() -> bool:
            if dialect == "boss":
                return boss.parse_user(boss.parse_answer(await ask(fetcher, user))) is not None
            call = build_call(base, LOGIN_API, "{}", f"unb={ME}", "test", SystemClock().now_ms())
            fate = parse_token_answer(await ask(fetcher, call)).fate
            assert fate in (TokenFate.RESIGN, TokenFate.NEEDS_PERSON)
            return fate is TokenFate.RESIGN

        if dialect == "boss":
            place.world.gateway.faults[boss.USER_INFO] = deque(["37"] * 4)
        else:
            place.world.market.fault = "person"
        assert not await is_let_in()
        verify = f"{base}{VERIFY_PATH}"
        assert (await ask(fetcher, Fetch("GET", verify, {}, b""))).status == 405
        assert not await is_let_in()
        assert (await ask(fetcher, Fetch("POST", verify, {}, b""))).status == 200
        assert await is_let_in()
    finally:
        await place.stop()


async def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="explode"):
        MarketPlace(0, SystemClock(), MarketScript(faults={"explode": 1.0}))


@pytest.mark.parametrize(("asked", "expected"), [(1, 1), (3, 3), (0, 8)])
async def test_as_many_recruiters_talk_as_were_asked_for(asked: int, expected: int) -> None:
    place = MarketPlace(0, SystemClock(), MarketScript(people=asked), "boss")
    assert isinstance(place.world, World)
    assert place.world.people == expected
