"""Guide 003's names: the service, its three methods, its clients."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

import pytest

import peers
from trunkline.guides.contact import FALLBACK, ContactServer, run_contact_server


class Mine(ContactServer):
    def __init__(self, **options: Any) -> None:
        super().__init__(port=0, **options)
        self.saved: list[tuple[str, str]] = []
        self.hold = asyncio.Event()

    async def generate_ai_response(self, message: str) -> str:
        if message == "fail":
            raise ValueError("no model")
        if message == "slow":
            await self.hold.wait()
        return "" if message == "silent" else message.upper()

    async def save_chat_message(self, client_id: str, message: str, sender: str) -> None:
        self.saved.append((sender, message))


def story(check):
    async def work():
        server = Mine()
        async with asyncio.timeout(15), server.server:
            answering = asyncio.ensure_future(server.answer())
            async with peers.dial(server.url) as socket:
                greeting = await peers.receive(socket)
                await check(server, socket, str(greeting["client_id"]))
            server.stop()
            await answering

    asyncio.run(work(), debug=True)


async def ask(socket, text: str) -> str:
    await socket.send(json.dumps(peers.chat(text)))
    while (frame := await peers.receive(socket))["type"] != "chat_message":
        pass
    return str(frame["message"])


def test_messages_are_saved_and_answered_and_a_failure_is_covered():
    async def check(server, socket, client_id):
        assert await ask(socket, "hello") == "HELLO"
        assert await ask(socket, "fail") == FALLBACK
        await socket.send(json.dumps(peers.chat("silent")))
        assert await ask(socket, "end") == "END"
        while len(server.saved) < 7:
            await asyncio.sleep(0)
        assert server.saved == [
            ("user", "hello"), ("assistant", "HELLO"), ("user", "fail"), ("assistant", FALLBACK),
            ("user", "silent"), ("user", "end"), ("assistant", "END"),
        ]  # fmt: skip

    story(check)


def test_one_visitor_keeps_its_order_and_holds_up_nobody_else():
    async def check(server, socket, client_id):
        await socket.send(json.dumps(peers.chat("slow")))
        await socket.send(json.dumps(peers.chat("next")))
        async with peers.dial(server.url) as other:
            assert await ask(other, "quick") == "QUICK"
        server.hold.set()
        said = []
        while len(said) < 2:
            frame = await peers.receive(socket)
            if frame["type"] == "chat_message":
                said.append(frame["message"])
        assert said == ["SLOW", "NEXT"]

    story(check)


def test_broadcast_and_the_guides_way_to_do_it():
    async def check(server, socket, client_id):
        await server.broadcast_message({"type": "chat_message", "message": "to all"})
        assert (await peers.receive(socket))["message"] == "to all"
        assert list(server.connected_clients) == [client_id]
        for client in server.connected_clients.values():
            await client.send(json.dumps({"type": "chat_message", "message": "to each"}))
        assert (await peers.receive(socket))["message"] == "to each"
        client = server.connected_clients[client_id]
        with pytest.raises(ValueError, match="chat_message"):
            await server.broadcast_message({"type": "pong"})
        await socket.close()
        while server.connected_clients:
            await asyncio.sleep(0)
        with pytest.raises(ConnectionError):
            await client.say("anybody?")

    story(check)


def test_the_signatures_are_the_guides():
    assert str(inspect.signature(run_contact_server)) == (
        "(host: 'str' = '127.0.0.1', port: 'int' = 8080) -> 'None'"
    )
    names = {
        name: list(inspect.signature(getattr(ContactServer, name)).parameters)
        for name in ("generate_ai_response", "save_chat_message", "broadcast_message")
    }
    assert names == {
        "generate_ai_response": ["self", "message"],
        "save_chat_message": ["self", "client_id", "message", "sender"],
        "broadcast_message": ["self", "message"],
    }
