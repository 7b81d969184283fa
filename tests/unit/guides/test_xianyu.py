"""Guide 001's names: the small client, against a server that is not ours (`xianyu 17`)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.server import serve

from trunkline.embed.plain import UNREAD_MESSAGES
from trunkline.guides import xianyu
from trunkline.guides.xianyu import ConnectionState, Message, WebSocketClient

NOWHERE = "ws://127.0.0.1:1/"


def story(work):
    async def bounded():
        async with asyncio.timeout(15):
            await work()

    asyncio.run(bounded(), debug=True)


class Peer:
    """A server: says what a test wants, keeps what it hears, hangs up when it is told."""

    def __init__(self, *says: str | bytes) -> None:
        self.says = says
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.came: asyncio.Queue[Any] = asyncio.Queue()

    async def __call__(self, socket: Any) -> None:
        self.came.put_nowait(socket)
        for words in self.says:
            await socket.send(words)
        async for data in socket:
            if data == "bye":
                return
            self.heard.put_nowait(data)


def address(stand: Any) -> str:
    return f"ws://127.0.0.1:{stand.sockets[0].getsockname()[1]}/"


def test_text_goes_both_ways_under_the_headers():
    async def work():
        peer = Peer('{"lwp":"/s/sync"}', b"two")
        async with serve(peer, "127.0.0.1", 0, ping_interval=None) as stand:
            headers = {"Authorization": "Bearer t", "Cookie": "unb=1"}
            client = WebSocketClient(address(stand), headers)
            assert not client.is_connected
            assert client.websocket is None
            assert await client.receive() is None
            assert await client.send("early") is False
            assert await client.connect() is True
            assert client.is_connected
            assert client.websocket is not None
            socket = await peer.came.get()
            assert socket.request.headers["Authorization"] == "Bearer t"
            assert socket.request.headers["Cookie"] == "unb=1"
            assert await client.receive() == '{"lwp":"/s/sync"}'
            assert await client.receive() == "two"
            assert await client.send("你好") is True
            assert await peer.heard.get() == "你好"
            await client.disconnect()
            assert (client.is_connected, client.websocket) == (False, None)
            await socket.wait_closed()
            assert socket.close_code == 1000

    story(work)


def test_an_end_is_none_and_a_reconnect_waits_first(monkeypatch):
    waits: list[float] = []

    async def work():
        peer = Peer("hello")
        async with serve(peer, "127.0.0.1", 0) as stand:
            client = WebSocketClient(address(stand))
            assert client.reconnect_delay == 5
            assert await client.connect()
            assert await client.connect(), "it is connected already"
            assert peer.came.qsize() == 1
            assert await client.send("bye")
            assert await client.receive() == "hello", "what came before the end is read first"
            assert await client.receive() is None
            assert not client.is_connected
            assert await client.send("late") is False
            wait = client._wait

            async def note() -> None:
                waits.append(client.reconnect_delay)
                client.reconnect_delay = 0
                await wait()

            monkeypatch.setattr(client, "_wait", note)
            assert await client.reconnect() is True
            assert waits == [5]
            await client.disconnect()
        assert await client.reconnect() is False, "nobody is there any more"

    story(work)


def test_run_hands_over_dials_again_and_survives_its_handler():
    async def work():
        peer = Peer('{"lwp":"/s/sync","headers":{"mid":"1 0"}}')
        async with serve(peer, "127.0.0.1", 0) as stand:
            heard: asyncio.Queue[Message] = asyncio.Queue()

            async def handle(message: Message) -> None:
                heard.put_nowait(message)
                raise RuntimeError("the handler's own affair")

            client = WebSocketClient(address(stand), {}, handle)
            client.reconnect_delay = 0
            running = asyncio.ensure_future(client.run())
            first = await heard.get()
            assert json.loads(first)["lwp"] == first["lwp"] == "/s/sync"
            assert client.is_connected, "an error of the handler costs no connection"
            assert await client.send("bye")
            await heard.get()
            assert peer.came.qsize() == 2
            plain: asyncio.Queue[Message] = asyncio.Queue()
            client.on_message = plain.put_nowait
            assert await client.send("bye")
            assert (await plain.get()).get("lwp") == "/s/sync"
            await client.disconnect()
            await running
            assert not client.is_connected

    story(work)


def test_disconnect_ends_the_wait_for_the_next_attempt():
    async def work():
        client = WebSocketClient(NOWHERE, {}, print)
        client.reconnect_delay = 3600
        assert await client.connect() is False
        assert await WebSocketClient("http-less").connect() is False
        running = asyncio.ensure_future(client.run())
        while not client._over._waiters:  # it waits for the next attempt
            await asyncio.sleep(0)
        await client.disconnect()
        await running

    story(work)


def test_a_flood_stops_the_reading_and_loses_nothing():
    async def work():
        words = [f"{nth}" * 1000 for nth in range(500)]
        peer = Peer(*words)
        async with serve(peer, "127.0.0.1", 0) as stand:
            client = WebSocketClient(address(stand))
            assert await client.connect()
            socket = client.websocket
            assert socket is not None
            while not socket._is_paused:
                await asyncio.sleep(0)
            assert len(socket._unread) <= UNREAD_MESSAGES
            assert [await client.receive() for _ in words] == words
            await client.disconnect()

    story(work)


def test_a_message_is_text_and_object():
    message = Message('{"code": 200, "headers": {"mid": "1"}}')
    assert json.loads(message) == dict(message) == dict(message.items())
    assert (message["code"], message.get("body", 7)) == (200, 7)
    assert list(message.keys()) == ["code", "headers"]
    assert message[0] == "{"
    for broken in ("", "[1]", "{", "plain"):
        assert Message(broken).data == {}
        assert Message(broken) == broken


def test_the_five_states():
    """Source: guide 001, xianyu 9"""
    assert [state.name for state in ConnectionState] == [
        "DISCONNECTED", "CONNECTING", "CONNECTED", "RECONNECTING", "FAILED",
    ]  # fmt: skip
    assert set(xianyu.__all__) == {"ConnectionState", "Message", "WebSocketClient"}
