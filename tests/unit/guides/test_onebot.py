"""Guide 002's names: the client over our line, against a server of ours and one that is not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.server import serve

from trunkline import MessageReceived, listen, plain_text
from trunkline.dialects.onebot11.frames import decode
from trunkline.errors import ConfigError, LinkError
from trunkline.guides.onebot import WebSocketClient

HERE = "127.0.0.1:0"
NOWHERE = "ws://127.0.0.1:1/ws/"


def story(work):
    async def bounded():
        async with asyncio.timeout(15):
            await work()

    asyncio.run(bounded(), debug=True)


async def message(server: Any) -> MessageReceived:
    while not isinstance(event := await server.receive(), MessageReceived):
        pass
    return event


class Peer:
    """A server that is not ours: keeps what it hears, says what a test wants."""

    def __init__(self, *says: str) -> None:
        self.says = says
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.headers: Any = None

    async def __call__(self, socket: Any) -> None:
        self.headers = socket.request.headers
        for words in self.says:
            await socket.send(words)
        async for data in socket:
            self.heard.put_nowait(json.loads(data))


def test_everything_that_is_sent_is_answered():
    async def work():
        async with listen("onebot11", bind=HERE, path="/ws/") as server:
            client = WebSocketClient(server.url)
            answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            client.on_message(answers.put_nowait)
            assert await client.connect()
            assert await client.connect(), "it is connected already"
            assert await client.send_text("Hello!", "private", target_id=67890)
            event = await message(server)
            assert (event.chat.kind, event.chat.id, event.is_own) == ("private", "67890", False)
            await server.send(event, "back")
            answer = await answers.get()
            assert answer["action"] == "send_private_msg"
            assert answer["params"]["user_id"] == 67890
            assert await client.send_text("[all] & one", "group", group_id=123456)
            event = await message(server)
            assert (event.chat.kind, event.chat.id, event.is_own) == ("group", "123456", False)
            assert plain_text(event.segments) == "[all] & one"
            await client.disconnect()
            assert not client.is_connected
            assert not await client.send_text("late", "private", 1)

    story(work)


def test_connect_first_and_a_call_that_holds_no_event_reaches_the_handler():
    async def work():
        peer = Peer('{"action":"get_login_info","echo":[1]}', '{"odd":1}')
        async with serve(peer, "127.0.0.1", 0) as stand:
            port = stand.sockets[0].getsockname()[1]
            client = WebSocketClient(f"ws://127.0.0.1:{port}/ws/", bot_id=77, token="t")
            heard: asyncio.Queue[Any] = asyncio.Queue()

            async def handle(data: Any) -> None:
                heard.put_nowait(data)

            client.on_message(lambda _data: pytest.fail("another one was set after this"))
            client.on_message(handle)
            connected: asyncio.Queue[str] = asyncio.Queue()
            client.on_connect(lambda: connected.put_nowait("up"))
            gone: asyncio.Queue[Any] = asyncio.Queue()
            client.on_disconnect(gone.put_nowait)
            running = asyncio.ensure_future(client.run())
            assert await connected.get() == "up"
            assert peer.headers["X-Self-ID"] == "77"
            assert peer.headers["Authorization"] == "Bearer t"
            first = await peer.heard.get()
            assert first | {"time": 0} == client.create_connect_event() | {"time": 0}
            response = await peer.heard.get()
            assert (response["data"]["user_id"], response["echo"]) == (77, [1])
            assert await heard.get() == {"action": "get_login_info", "echo": [1]}
            assert await heard.get() == {"odd": 1}
            await peer.heard.get()  # the answer to the odd one
            odd = {"post_type": "x", "n": 2**70}
            assert await client.send_message(odd)
            assert await peer.heard.get() == odd
            assert await client.send_message('{"a": [1]}')
            assert await peer.heard.get() == {"a": [1]}
            with pytest.raises(ValueError, match="no JSON object"):
                await client.send_message("[1]")
            await client.disconnect()
            await running
            assert isinstance(await gone.get(), LinkError)

    story(work)


def test_each_failed_attempt_is_told_and_the_last_one_ends_it():
    async def work():
        client = WebSocketClient(NOWHERE, reconnect_interval=0.01, max_reconnect_attempts=2)
        errors: list[Any] = []
        client.on_error(errors.append)
        assert not await client.connect()
        assert len(errors) == 3, "two attempts and the end"
        assert "gave up after 2 attempts" in str(errors[-1])
        with pytest.raises(LinkError, match="gave up after 2 attempts"):
            await client.run()

    story(work)


def test_who_waits_for_a_server_hears_of_each_attempt_meanwhile():
    async def work():
        client = WebSocketClient(NOWHERE, reconnect_interval=0.01)
        errors: asyncio.Queue[Any] = asyncio.Queue()
        client.on_error(errors.put_nowait)
        waiting = asyncio.ensure_future(client.connect())
        for _ in range(3):
            assert isinstance(await errors.get(), LinkError)
        assert not waiting.done()
        await client.disconnect()
        assert await waiting is False

    story(work)


def test_a_handler_that_raises_is_told_to_on_error():
    async def work():
        peer = Peer('{"n":1}', '{"n":2}')
        async with serve(peer, "127.0.0.1", 0) as stand:
            client = WebSocketClient(f"ws://127.0.0.1:{stand.sockets[0].getsockname()[1]}/")
            errors: asyncio.Queue[Any] = asyncio.Queue()
            client.on_error(errors.put_nowait)
            client.on_message(lambda data: 1 / (data["n"] - 1))
            await client.connect()
            assert isinstance(await errors.get(), ZeroDivisionError)
            await client.disconnect()

    story(work)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (("hi [x] &", "private", 67890), "message.private.friend"),
        (("hi [x] &", "group", None, 123456), "message.group.normal"),
        (("hi [x] &", "group", 5, 123456), "message.group.normal"),
    ],
)
def test_messages_are_complete(form, name):
    """Source: onebot11 5.1, 12"""
    client = WebSocketClient()
    made = client.create_text_message(*form)
    frame: Any = decode(json.dumps(made).encode())
    assert (frame.name, frame.flags, frame.is_minimal) == (name, (), False)
    assert 0 < made["message_id"] < 1 << 31
    assert made["raw_message"] == "hi &#91;x&#93; &amp;"
    assert frame.user_id == str(form[2] or 80_000_000)
    assert {"font", "sender", "sub_type", "message_format"} <= made.keys()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (("x", "private", None, 3), "needs target_id"),
        (("x", "group", 3), "needs group_id"),
        (("x", "channel", 3), "private or group"),
    ],
)
def test_a_message_that_is_none_is_refused(form, words):
    with pytest.raises(ValueError, match=words):
        WebSocketClient().create_text_message(*form)


def test_what_cannot_work_is_said_at_once():
    with pytest.raises(ConfigError, match="above 0"):
        WebSocketClient(bot_id=0)
    with pytest.raises(ConfigError, match="ws://"):
        WebSocketClient("nowhere")


def test_events_of_the_guide():
    client = WebSocketClient(bot_id=9)
    connect, beat = client.create_connect_event(), client.create_heartbeat_event()
    assert (connect["sub_type"], connect["self_id"]) == ("connect", 9)
    assert beat["status"] == {"online": True, "good": True}
    assert beat["interval"] == 30_000
    assert beat["meta_event_type"] == "heartbeat"
