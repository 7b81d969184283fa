"""Plain HTTP requests of a line: read, bounded, answered; everything else goes its way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from linkstand import Ear, StandDoor, standing, until
from rawsocket import RawSocket
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Head, HttpAnswer, HttpRequest, LinkInfo
from trunkline.errors import ConfigError
from trunkline.lines.listen import GateRules
from trunkline.lines.quota import QuotaRules
from trunkline.lines.requests import RequestLink
from trunkline.web import requests


class RequestStand(StandDoor):
    """A door that takes requests, and answers each with its body turned round."""

    def __init__(self, *paths: str, **changes: Any) -> None:
        super().__init__(**changes)
        self.request_paths = paths
        self.said: HttpAnswer | int = 100
        self.requests: list[HttpRequest] = []
        self.links: list[RequestLink] = []
        self.is_slow = False

    def admit_request(self, method: str, head: Head) -> HttpAnswer | int:
        return self.said

    def take_request(self, request: HttpRequest) -> HttpAnswer | RequestLink:
        self.requests.append(request)
        if request.body == b"no":
            return HttpAnswer(403, b"{}", (("X-Why", "no"),))
        link = RequestLink(LinkInfo(request.head, is_request=True))
        ear = Ear()
        link.attach(lambda _link: ear, request.body)
        self.links.append(link)
        if not self.is_slow:
            link.send(request.body[::-1])
        return link


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    is_framed = any(one.startswith(("Content-Length", "Transfer-Encoding")) for one in headers)
    if body and not is_framed:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(stand: Any, *parts: Any) -> Any:
    peer = await RawSocket.connect(stand.port)
    peer.write(request(*parts))
    response = await peer.read_response()
    await peer.close()
    return response


def opened(stand: Any, door: RequestStand) -> RequestStand:
    stand.gate.add("", "/ws", door)
    stand.gate.add_requests("", door)
    return door


async def test_paths_and_methods():
    async with standing() as stand:
        door = opened(stand, RequestStand("/ws", "/api/*"))
        response = await ask(stand, "POST", "/ws?a=1", b"abc")
        assert (response.status, response.text) == (200, "cba")
        assert response.headers["content-type"] == "application/json"
        assert door.requests[-1].head.query == {"a": "1"}
        assert door.requests[-1].head.is_loopback
        response = await ask(stand, "POST", "/ws")
        assert (response.status, response.body) == (204, b"")
        assert "content-type" not in response.headers
        assert (await ask(stand, "GET", "/ws")).status == 426, "a WebSocket path like before"
        for method in ("GET", "POST", "DELETE"):
            assert (await ask(stand, method, "/api/do")).status == 204
            assert (await ask(stand, method, "/api/do/")).status == 204
            assert door.requests[-1].method == method
        for path in ("/api", "/api/a/b", "/other"):
            assert (await ask(stand, "GET", path)).status == 404
        assert len(door.requests) == 8


async def test_a_websocket_still_opens_beside_requests():
    async with standing() as stand:
        opened(stand, RequestStand("/ws"))
        peer = await RawSocket.open(stand.port, "/ws")
        assert peer.response.status == 101
        await peer.close()


async def test_a_connection_serves_several_requests():
    async with standing() as stand:
        opened(stand, RequestStand("/ws"))
        peer = await RawSocket.connect(stand.port)
        for body in (b"12", b"34"):
            peer.write(request("POST", "/ws", body))
            assert (await peer.read_response()).body == body[::-1]
        await peer.close()


async def test_answers_without_a_session():
    async with standing() as stand:
        door = opened(stand, RequestStand("/ws"))
        response = await ask(stand, "POST", "/ws", b"no")
        assert (response.status, response.headers["x-why"]) == (403, "no")
        door.said = HttpAnswer(401, b"{}")
        assert (await ask(stand, "POST", "/ws", b"x")).status == 401
        assert len(door.requests) == 1


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        (("POST", "/ws", b"x" * 101), 413),
        (("POST", "/ws", b"", "Content-Length: 99999999999999999999"), 400),
        (("POST", "/ws", b"", "Content-Length: 101"), 413),
        (
            ("POST", "/ws", b"65\r\n%b\r\n0\r\n\r\n" % (b"x" * 101), "Transfer-Encoding: chunked"),
            413,
        ),
        (("POST", "/ws", b"", "Host: x", "Content-Length: 0"), 400),
        (("POST", "/ws", b"", "Sec-Fetch-Site: cross-site"), 403),
        (("POST", "/ws", b"", "Sec-Fetch-Site: same-site"), 403),
        (("POST", "/ws", b"", "Origin: https://example.org"), 403),
        (("POST", "/ws", b"", "X-Forwarded-For: 1.2.3.4"), 403),
        (("POST", "/ws", b"", "Sec-Fetch-Site: none"), 204),
    ],
)  # fmt: skip
async def test_who_is_refused_before_anything_is_read(parts, status):
    async with standing() as stand:
        door = opened(stand, RequestStand("/ws"))
        peer = await RawSocket.connect(stand.port)
        peer.write(request(*parts))
        assert (await peer.read_response()).status == status
        assert len(door.requests) == (status == 204)
        await peer.close()


async def test_a_name_that_is_not_ours_is_refused():
    async with standing() as stand:
        opened(stand, RequestStand("/ws"))
        peer = await RawSocket.connect(stand.port)
        peer.write(b"POST /ws HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n")
        assert (await peer.read_response()).status == 403
        await peer.close()


async def test_wrong_credentials_lock_an_address_out():
    rules = GateRules(trusted_proxies=("127.0.0.1",), quota=QuotaRules(failures_per_min=2))
    async with standing(clock=FakeClock(), rules=rules) as stand:
        door = opened(stand, RequestStand("/ws"))
        away = "X-Forwarded-For: 9.9.9.9"
        assert (await ask(stand, "POST", "/ws", b"no", away)).status == 403
        door.said = HttpAnswer(401)
        assert (await ask(stand, "POST", "/ws", b"", away)).status == 401
        door.said = 100
        response = await ask(stand, "POST", "/ws", b"", away)
        assert (response.status, response.headers["retry-after"]) == (429, "60")
        assert (await ask(stand, "POST", "/ws", b"", "X-Forwarded-For: 9.9.9.8")).status == 204
        assert (await ask(stand, "POST", "/ws", b"")).status == 204


async def test_a_slow_body_and_a_slow_answer_have_an_end(monkeypatch):
    monkeypatch.setattr(requests, "BODY_S", 0.02)
    monkeypatch.setattr(requests, "ANSWER_S", 0.02)
    async with standing() as stand:
        door = opened(stand, RequestStand("/ws"))
        peer = await RawSocket.connect(stand.port)
        peer.write(request("POST", "/ws", b"x", "Content-Length: 2"))
        assert (await peer.read_response()).status == 408
        await peer.close()
        assert door.requests == []
        door.is_slow = True
        assert (await ask(stand, "POST", "/ws", b"x")).status == 504
        assert not door.links[-1].is_open


async def test_so_many_at_once_and_no_more(monkeypatch):
    monkeypatch.setattr(requests, "MAX_OPEN", 1)
    async with standing() as stand:
        door = opened(stand, RequestStand("/ws"))
        door.is_slow = True
        first = asyncio.ensure_future(ask(stand, "POST", "/ws", b"ab"))
        await until(lambda: door.links)
        assert (await ask(stand, "POST", "/ws", b"x")).status == 503
        door.links[0].send(b"late")
        assert (await first).text == "late"
        door.is_slow = False
        assert (await ask(stand, "POST", "/ws", b"x")).status == 200


async def test_two_lines_want_requests_at_one_place():
    async with standing() as stand:
        door = opened(stand, RequestStand("/ws"))
        stand.gate.add_requests("", door)
        stand.gate.add_requests("own", RequestStand("/ws"))
        with pytest.raises(ConfigError, match="both want requests to '/ws'"):
            stand.gate.add_requests("", RequestStand("/ws"))
