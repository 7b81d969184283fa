"""Sessions' HTTP calls: what is sent, and where none may go."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from trunkline.dialects.contract import Fetch, Fetched
from trunkline.errors import LinkError, LinkTimeout
from trunkline.lines.http import RUNNING, WAITING, Fetcher, is_public

PUBLIC = "93.184.216.34"


class Web:
    """A web server in memory, and names in memory.

    Args:
        answer: to every request.
        addresses: of every name.
    """

    def __init__(
        self, answer: Callable[[httpx2.Request], Any] | None = None, *addresses: str
    ) -> None:
        self.requests: list[httpx2.Request] = []
        self.names: list[str] = []
        self._answer = answer or (lambda _request: httpx2.Response(200, content=b"ok"))
        self._addresses = list(addresses or (PUBLIC,))
        self.fetcher = Fetcher(self._resolve, httpx2.MockTransport(self._serve))

    async def _resolve(self, host: str, port: int) -> list[str]:
        self.names.append(host)
        if not self._addresses[0]:
            raise OSError(2, "unknown name")
        return self._addresses

    async def _serve(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._answer(request)
        return await answer if asyncio.iscoroutine(answer) else answer

    async def get(self, url: str, own: str = "", **more: Any) -> object:
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        fetch = Fetch("GET", url, **more)
        self.fetcher.fetch(fetch, frozenset({own} - {""}), done.set_result)
        async with asyncio.timeout(5):
            return await done


async def test_a_call_goes_to_the_checked_address_under_its_name() -> None:
    web = Web(
        lambda _request: httpx2.Response(
            201, headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], content=b"body"
        )
    )
    told = await web.get("https://h.example:8443/p?q=1", headers={"cookie": "c=3"}, body=b"x")
    assert isinstance(told, Fetched)
    assert (told.status, told.body) == (201, b"body")
    assert [value for name, value in told.headers if name == "set-cookie"] == ["a=1", "b=2"]
    (request,) = web.requests
    assert str(request.url) == f"https://{PUBLIC}:8443/p?q=1"
    assert request.headers["host"] == "h.example:8443"
    assert request.extensions["sni_hostname"] == "h.example"
    assert request.headers["cookie"] == "c=3"
    await web.get("https://h.example/")
    assert "cookie" not in web.requests[1].headers  # what the first answer set is not remembered
    await web.fetcher.stop()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
     "0.0.0.0", "::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
     "2002:7f00:1::"],
)  # fmt: skip
async def test_private_addresses_are_refused_unless_the_owner_wrote_the_host(address: str) -> None:
    assert not is_public(address)
    web = Web(None, PUBLIC, address)
    assert isinstance(await web.get("http://h.example/"), LinkError)
    assert web.requests == []
    assert isinstance(await web.get("http://h.example/", own="h.example"), Fetched)
    await web.fetcher.stop()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/", "http://", "nonsense"])
async def test_other_schemes_are_refused(url: str) -> None:
    web = Web()
    assert isinstance(await web.get(url), LinkError)
    assert web.names == []


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    web = Web(lambda _request: httpx2.Response(302, headers={"location": "http://127.0.0.1/"}))
    told = await web.get("http://h.example/")
    assert isinstance(told, Fetched)
    assert told.status == 302
    assert len(web.requests) == 1
    await web.fetcher.stop()


async def test_what_goes_wrong_is_an_error_without_the_address() -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(f"no way to {request.url}")

    told = await Web(fail).get("http://h.example/?secret=1")
    assert isinstance(told, LinkError)
    assert "secret" not in str(told)
    assert isinstance(await Web(None, "").get("http://h.example/"), LinkError)
    big = await Web(lambda _r: httpx2.Response(200, content=b"x" * 11)).get(
        "http://h.example/", max_bytes=10
    )
    assert isinstance(big, LinkError)


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async def hang(_request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    web = Web(hang)
    assert isinstance(await web.get("http://h.example/", timeout_s=0.01), LinkTimeout)


async def test_calls_are_bounded_and_a_stop_ends_them() -> None:
    async def hang(_request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    web = Web(hang)
    answers: list[object] = []
    for _ in range(RUNNING + WAITING + 1):
        web.fetcher.fetch(Fetch("GET", "http://h.example/"), frozenset(), answers.append)
    assert len(answers) == 1
    assert isinstance(answers[0], LinkError)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(web.requests) == RUNNING
    await web.fetcher.stop()
    assert len(answers) == 1


async def test_a_prepared_client_is_the_one_that_calls() -> None:
    """The first call loads nothing any more: that stopped the loop for 150 ms."""
    web = Web(lambda _request: httpx2.Response(200))
    await web.fetcher.prepare()
    client = web.fetcher._client
    assert client is not None
    assert "anyio._backends._asyncio" in sys.modules
    await web.get("https://h.example/")
    assert web.fetcher._client is client
    await web.fetcher.stop()
