from __future__ import annotations

import asyncio

import pytest

from asgi import call
from trunkline.web.app import make_app
from trunkline.web.body import MAX_BODY_BYTES, UPLOADS, BodyLimit
from web_stand import TOKEN, OneDesk, make_services

UPLOAD_BYTES = UPLOADS["/api/v1/messages"]
JSON = {"content-type": "application/json"}


async def post(chunks: list[bytes], headers: dict[str, str] | None = None, token: str = TOKEN):
    desk = OneDesk()
    app = make_app(make_services(desk=desk))
    answer = await call(
        app, "POST", "/api/v1/messages", headers=JSON | (headers or {}), chunks=chunks, token=token
    )
    return answer, desk


def body_of(size: int) -> bytes:
    head, tail = b'{"to":"blog/visitor:1","message":"', b'"}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


async def test_a_body_of_exactly_the_limit_passes_in_pieces() -> None:
    body = body_of(UPLOAD_BYTES)
    answer, desk = await post([body[:100], body[100:5000], b"", body[5000:]])
    assert answer.status == 202
    assert len(desk.sent[0][1][0].text) == UPLOAD_BYTES - 36  # type: ignore[union-attr]


async def test_one_byte_more_is_413_whatever_the_header_says() -> None:
    body = body_of(UPLOAD_BYTES + 1)
    for headers in ({}, {"content-length": "10"}):
        answer, desk = await post([body[:1000], body[1000:]], headers)
        assert (answer.status, answer.json()["code"]) == (413, "too-large")
        assert answer.headers["connection"] == "close"
        assert desk.sent == []


@pytest.mark.parametrize("length", [str(MAX_BODY_BYTES + 1), "9" * 400, "-1", "1e3", "x"])
async def test_a_length_that_is_too_large_or_none_is_refused_before_reading(length: str) -> None:
    async def receive() -> dict[str, object]:
        raise AssertionError("it was read")

    seen: list[int] = []

    async def send(message: dict[str, object]) -> None:
        seen.append(message.get("status", 0))  # type: ignore[arg-type]

    scope = {
        "type": "http",
        "path": "/api/v1/lines",
        "headers": [(b"content-length", length.encode())],
    }
    await BodyLimit(None)(scope, receive, send)  # type: ignore[arg-type]
    assert seen[0] == 413


async def test_only_messages_may_be_larger_than_one_mib() -> None:
    app = make_app(make_services())
    answer = await call(
        app, "POST", "/api/v1/lines/blog/mode", headers=JSON, token=TOKEN,
        chunks=[b"x" * (MAX_BODY_BYTES + 1)],
    )  # fmt: skip
    assert answer.status == 413


async def test_a_stranger_cannot_make_us_read_a_body() -> None:
    answer, _ = await post([b"x" * MAX_BODY_BYTES, b"x"], token="")
    assert answer.status == 401


async def test_a_body_that_does_not_arrive_in_time_is_408() -> None:
    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    seen: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        seen.append(message)

    await BodyLimit(None, timeout_s=0)({"type": "http", "path": "/", "headers": []}, receive, send)  # type: ignore[arg-type]
    assert seen[0]["status"] == 408


async def test_a_caller_who_goes_away_reaches_no_route() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    await BodyLimit(None)({"type": "http", "path": "/", "headers": []}, receive, None)  # type: ignore[arg-type]
