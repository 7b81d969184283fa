"""Visitors over real sockets: many at once, every error, the rate limit."""

from __future__ import annotations

import asyncio
import json

import pytest

from peers import chat, closing, visiting
from product import Product

VISITORS = 200
QUESTIONS = 3


async def _converse(url: str, number: int) -> tuple[str, list[dict]]:
    async with visiting(url) as visitor:
        for nth in range(QUESTIONS):
            await visitor.send(chat(f"v{number} q{nth}"))
        await visitor.until("chat_message", QUESTIONS)
        return visitor.client_id, visitor.frames


async def test_two_hundred_visitors_each_get_their_own_answers_in_order(site: Product) -> None:
    url = site.socket("/contact")
    results = await asyncio.gather(*(_converse(url, number) for number in range(VISITORS)))
    assert len({client_id for client_id, _ in results}) == VISITORS
    for number, (_, frames) in enumerate(results):
        answers = [f["message"] for f in frames if f["type"] == "chat_message"]
        assert answers == [f"收到：v{number} q{nth}" for nth in range(QUESTIONS)]
        kinds = [f["type"] for f in frames]
        for nth in range(QUESTIONS):  # contact 5.2: the k-th receipt precedes the k-th answer
            receipt = [i for i, kind in enumerate(kinds) if kind == "chat_message_received"][nth]
            answer = [i for i, kind in enumerate(kinds) if kind == "chat_message"][nth]
            assert receipt < answer
        assert len(frames) == 2 * QUESTIONS, kinds
        stamps = [f["timestamp"] for f in frames]
        assert stamps == sorted(stamps)


REJECTED: dict[str, tuple[str | bytes, dict]] = {
    "invalid_json": ("{nope", {}),
    "not_an_object": ("[1]", {}),
    "missing_type": ("{}", {}),
    "unknown_type": ('{"type":"teleport"}', {}),
    "missing_field": (json.dumps({"type": "chat_message", "message": "x"}), {"field": "timestamp"}),
    "invalid_field": (json.dumps(chat("  ")), {"field": "message"}),
    "message_too_long": (json.dumps(chat("x" * 10_001)), {}),
    "unsupported_frame": (b"\x00\xff\xfe\x01", {}),
}


@pytest.mark.parametrize("code", REJECTED)
async def test_every_error_code_leaves_the_connection_usable(site: Product, code: str) -> None:
    frame, more = REJECTED[code]
    async with visiting(site.socket("/contact")) as visitor:
        await visitor.send(frame)
        error = await visitor.next()
        assert error["type"] == "error"
        assert error["code"] == code
        assert error["message"]
        assert error.items() >= more.items()
        assert await visitor.is_usable()
        await visitor.send(chat("still here"))
        assert [f["message"] for f in await visitor.until("chat_message")] == ["收到：still here"]


async def test_thirty_messages_at_once_meet_the_rate_limit(site: Product) -> None:
    """X006 of the contact vectors."""
    async with visiting(site.socket("/contact")) as visitor:
        for nth in range(30):
            await visitor.send(chat(f"m{nth}"))
        receipts = errors = 0
        while receipts + errors < 30:
            frame = await visitor.next()
            receipts += frame["type"] == "chat_message_received"
            if frame["type"] == "error":
                errors += 1
                assert frame["code"] == "rate_limited"
                assert frame["retry_after"] > 0
        assert 20 <= receipts <= 22
        answers = sum(f["type"] == "chat_message" for f in visitor.frames)
        await visitor.until("chat_message", receipts - answers)
        assert await visitor.is_usable()


async def test_twenty_rejected_frames_end_the_connection(site: Product) -> None:
    """Contact 5.1: 20 rejected frames within 60 s → close 1008."""
    async with visiting(site.socket("/contact")) as visitor:
        for _ in range(20):
            await visitor.send("x")
        assert (await closing(visitor.socket))[0] == 1008


async def test_aliases_serve_the_same_service(site: Product) -> None:
    for path in ("/websocket/", "/websocket/contact"):
        async with visiting(site.socket(path)) as visitor:
            await visitor.send(chat("hi"))
            assert (await visitor.until("chat_message"))[0]["message"] == "收到：hi"


async def test_a_visitor_who_leaves_before_the_answer_harms_nobody(site: Product) -> None:
    url = site.socket("/contact")
    async with visiting(url) as other:
        for _ in range(20):
            async with visiting(url) as visitor:
                await visitor.send(chat("bye"))
                visitor.socket.transport.abort()
        await other.send(chat("me"))
        assert (await other.until("chat_message"))[0]["message"] == "收到：me"
