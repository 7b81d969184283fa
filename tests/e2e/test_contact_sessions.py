"""Sessions of visitors and operators in the running program: reload, kill, two tabs, takeover."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import contact_vectors
import product
from peers import Visitor, chat, closing, dial, receive, visiting
from product import Product

TOKEN = "kBz7Qe2m-Vt5xLw9-RnJ4cYd8"
CONFIG = f"""\
[lines.blog]
dialect = "contact"
operator_token = "{TOKEN}"

[[rules]]
name = "echo"
match = "any"
reply = "收到：{{send_message}}"
"""
OPERATORS = "/contact/operator"


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product.serving(tmp_path_factory.mktemp("blog"), CONFIG) as running:
        yield running


def back(site: Product, visitor: Visitor, last: str = "") -> Any:
    token = visitor.greeting["session_token"]
    query = f"?v=2&session={token}" + (f"&last_message_id={last}" if last else "")
    return visiting(site.socket("/contact" + query))


@contextlib.asynccontextmanager
async def operating(site: Product) -> AsyncIterator[Visitor]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with dial(site.socket(OPERATORS), headers) as socket:
        assert (await receive(socket))["type"] == "auth_ok"
        yield Visitor(socket, {"client_id": "operator"})


async def ask(operator: Visitor, kind: str, **fields: Any) -> dict[str, Any]:
    """Send a request; return its answer, whatever was shown in between."""
    await operator.send({"type": kind, **fields})
    while True:
        frame = await operator.next()
        if frame["type"] in ("ok", "error", "sessions", "broadcast_result", "history"):
            return frame


async def say(visitor: Visitor, words: str, **more: Any) -> dict[str, Any]:
    """Say something and return the answer."""
    await visitor.send(chat(words, **more))
    (answer,) = await visitor.until("chat_message")
    return answer


async def history(visitor: Visitor) -> list[str]:
    (frame,) = await visitor.until("history")
    return [item["message"] for item in frame["messages"]]


async def test_a_reload_does_not_empty_the_chat(blog: Product) -> None:
    async with visiting(blog.socket("/contact?v=2")) as visitor:
        answer = await say(visitor, "一")
        await say(visitor, "二")
    async with back(blog, visitor) as again:
        assert again.greeting["resumed"] is True
        assert again.greeting["session_id"] == visitor.greeting["session_id"]
        assert again.client_id != visitor.client_id
        assert await history(again) == ["一", "收到：一", "二", "收到：二"]
    async with back(blog, visitor, last=answer["message_id"]) as again:
        assert await history(again) == ["二", "收到：二"]
        assert await again.is_usable()


async def test_a_repeat_after_a_reload_is_no_second_question(blog: Product) -> None:
    async with visiting(blog.socket("/contact?v=2")) as visitor:
        await visitor.send(chat("一", client_message_id="c-1"))
        (first,) = await visitor.until("chat_message_received")
    async with back(blog, visitor) as again:
        await again.until("history")
        await again.send(chat("一", client_message_id="c-1"))
        (second,) = await again.until("chat_message_received")
        assert second["message_id"] == first["message_id"]
        assert await again.is_usable()
    async with back(blog, visitor) as again:
        assert await history(again) == ["一", "收到：一"]


async def test_two_tabs_with_one_token(blog: Product) -> None:
    async with visiting(blog.socket("/contact?v=2")) as first:
        await say(first, "一")
        async with back(blog, first) as second:
            assert await history(second) == ["一", "收到：一"]
            answer = await say(first, "二", client_message_id="c-2")
            frames = await second.until("chat_message", 2)
            copy, words = sorted(frames, key=lambda frame: frame["sender"])
            assert (words["sender"], words["message"]) == ("user", "二")
            assert words["message_id"] == answer["in_reply_to"]
            assert words["client_message_id"] == "c-2"
            assert copy["message_id"] == answer["message_id"]
            assert await first.is_usable()  # own words are not repeated to who said them


async def test_a_kill_loses_and_doubles_nothing(tmp_path: Path) -> None:
    site = product.start(tmp_path, CONFIG)
    try:
        async with visiting(site.socket("/contact?v=2")) as visitor:
            await say(visitor, "一", client_message_id="c-1")
            await visitor.send(chat("二", client_message_id="c-2"))
            site.kill()
            await closing(visitor.socket)
        site = product.start(tmp_path, None, "-c", "trunkline.toml")
        async with back(site, visitor) as again:
            assert again.greeting["resumed"] is True
            seen = await history(again)
            assert seen[:2] == ["一", "收到：一"]
            await again.send(chat("二", client_message_id="c-2"))
            await again.until("chat_message_received")
        async with back(site, visitor) as again:
            shown = await history(again)
            while len(shown) < 4:
                shown.append((await again.next())["message"])
            assert shown == ["一", "收到：一", "二", "收到：二"]
        site.stop()
    finally:
        site.kill()


async def test_an_operator_takes_over_answers_and_releases(blog: Product) -> None:
    async with visiting(blog.socket("/contact?v=2")) as visitor, operating(blog) as operator:
        session = visitor.greeting["session_id"]
        await say(visitor, "一")
        listed = await ask(operator, "sessions")
        (mine,) = [one for one in listed["sessions"] if one["session_id"] == session]
        assert (mine["state"], mine["last_text"]) == ("online", "收到：一")
        assert (await ask(operator, "watch", session_id=session))["type"] == "ok"
        assert (await ask(operator, "takeover", session_id=session, name="Ann"))["type"] == "ok"
        (joined,) = await visitor.until("operator_joined")
        assert joined["name"] == "Ann"
        await visitor.send(chat("人工"))
        await visitor.until("chat_message_received")
        shown = (await operator.until("chat_message"))[-1]
        assert (shown["session_id"], shown["sender"], shown["message"]) == (session, "user", "人工")
        done = await ask(operator, "operator_message", session_id=session, message="在", name="Ann")
        (answer,) = await visitor.until("chat_message")
        assert (answer["sender"], answer["sender_name"]) == ("operator", "Ann")
        assert (answer["message"], answer["message_id"]) == ("在", done["message_id"])
        await ask(operator, "release", session_id=session)
        await visitor.until("operator_left")
        assert (await say(visitor, "二"))["message"] == "收到：二"
        assert [frame["type"] for frame in visitor.frames].count("chat_message") == 3
    async with back(blog, visitor) as again:
        assert await history(again) == ["一", "收到：一", "人工", "在", "二", "收到：二"]


async def test_typing_reaches_the_other_side(blog: Product) -> None:
    async with visiting(blog.socket("/contact?v=2")) as visitor, operating(blog) as operator:
        session = visitor.greeting["session_id"]
        await say(visitor, "一")
        await ask(operator, "watch", session_id=session)
        await visitor.send({"type": "typing", "active": True})
        (shown,) = await operator.until("typing")
        assert (shown["session_id"], shown["sender"]) == (session, "user")
        await operator.send({"type": "typing", "session_id": session, "active": True})
        (typing,) = await visitor.until("typing")
        assert (typing["sender"], typing["active"]) == ("operator", True)


async def test_a_broadcast_reaches_plain_and_opted_in_visitors_once(blog: Product) -> None:
    url = blog.socket("/contact")
    async with visiting(url) as plain, visiting(url + "?v=2") as visitor, operating(blog) as person:
        await say(visitor, "一")
        result = await ask(person, "broadcast", message="M")
        for one in (plain, visitor):
            (frame,) = await one.until("chat_message")
            contact_vectors.match(frame, contact_vectors.EXTENSIONS["X005"]["expect"][0])
            assert await one.is_usable()
        assert result["delivered"] >= 2
        assert result["failed"] == 0  # operators are no visitors


async def test_an_operator_answers_a_plain_visitor_and_closes_its_chat(blog: Product) -> None:
    async with visiting(blog.socket("/contact")) as visitor, operating(blog) as operator:
        await say(visitor, "一")
        await ask(operator, "operator_message", session_id=visitor.client_id, message="在")
        (answer,) = await visitor.until("chat_message")
        assert (answer["sender"], answer["message"]) == ("operator", "在")
        done = await ask(operator, "close_session", session_id=visitor.client_id)
        assert done["closed"] == 1
        assert (await closing(visitor.socket))[0] == 1000


async def test_wrong_operator_tokens(blog: Product) -> None:
    case = contact_vectors.EXTENSIONS["X004"]
    async with dial(blog.socket(case["path"])) as socket:
        await socket.send(json.dumps(case["send"][0]["json"]))
        assert (await closing(socket))[0] == case["connection_after"]["close"]
    async with dial(blog.socket(OPERATORS)) as socket:
        await socket.send(json.dumps({"type": "auth", "token": TOKEN}))
        assert (await receive(socket))["type"] == "auth_ok"
    with pytest.raises(Exception, match="401"):
        async with (
            asyncio.timeout(15),
            dial(blog.socket(OPERATORS), {"Authorization": "Bearer wrong"}),
        ):
            pass
    assert TOKEN not in blog.log()
