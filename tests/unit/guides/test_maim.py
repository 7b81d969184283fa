"""Guide 004's names: the package's classes over our line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from trunkline.errors import ConfigError, DeliveryRefused, UnsafeConfig
from trunkline.guides.maim import MessageServer, RouteConfig, Router, TargetConfig


class Base:
    """As the package's `MessageBase`: an object with `to_dict`."""

    def __init__(self, frame: dict[str, Any]) -> None:
        self._frame = frame

    def to_dict(self) -> dict[str, Any]:
        return self._frame


def frame(text: str, platform: str = "qq", **info: Any) -> dict[str, Any]:
    user = {"platform": platform, "user_id": "u1", "user_nickname": "Ana"}
    group = {"platform": platform, "group_id": "g1", "group_name": "G"}
    block = {"platform": platform, "message_id": text, "time": 1.5, "user_info": user}
    data = [{"type": "text", "data": text}, {"type": "odd", "data": {"x": 1}}]
    return {
        "message_info": {**block, "group_info": group, **info},
        "message_segment": {"type": "seglist", "data": data},
        "raw_message": "raw " + text,
    }


def story(work):
    async def bounded():
        async with asyncio.timeout(15):
            await work()

    asyncio.run(bounded(), debug=True)


class Ear(list[dict[str, Any]]):
    """A handler that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.rung = asyncio.Event()

    async def __call__(self, message: dict[str, Any]) -> None:
        self.append(message)
        self.rung.set()

    async def next(self) -> dict[str, Any]:
        await self.rung.wait()
        self.rung.clear()
        return self[-1]


async def connected(router: Router, *platforms: str) -> None:
    while not all(map(router.check_connection, platforms)):
        await asyncio.sleep(0)


def test_frames_pass_unchanged_both_ways_and_custom_ones_have_their_own_handler():
    async def work():
        server = MessageServer(host="127.0.0.1", port=0)
        at_core, at_adapter, custom = Ear(), Ear(), Ear()
        server.register_message_handler(at_core)
        server.register_message_handler(at_core)
        server.register_custom_message_handler("my", custom)
        await server.start_server()
        router = Router(RouteConfig({"qq": TargetConfig(server.url)}))
        router.register_class_handler(at_adapter)
        running = asyncio.ensure_future(router.run())
        await connected(router, "qq")
        assert await router.send_message(frame("up"))
        assert await at_core.next() == frame("up")
        assert await server.send_message(Base(frame("down")))
        assert await at_adapter.next() == frame("down")
        await server.broadcast_message(frame("all"))
        assert await at_adapter.next() == frame("all")
        assert await router.send_custom_message("qq", "my", {"n": 1})
        assert (await custom.next())["content"] == {"n": 1}
        assert len(at_core) == 1
        assert not await server.send_message(frame("x", platform="tg"))
        assert router.get_target_url(frame("x")) == server.url
        with pytest.raises(ValueError, match="no target"):
            await router.send_message(frame("x", platform="tg"))
        with pytest.raises(ValueError, match=r"message_info\.platform"):
            await router.send_message({})
        with pytest.raises(DeliveryRefused):
            await server.broadcast_to_platform("qq", {"no": "frame"})
        await router.stop()
        await running
        await server.stop()

    story(work)


def test_tokens_and_a_handler_that_raises():
    async def work():
        server = MessageServer(host="127.0.0.1", port=0, enable_token=True)
        server.add_valid_token("good")
        server.add_valid_token("old")
        server.remove_valid_token("old")
        ear = Ear()
        server.register_message_handler(lambda _message: 1 / 0)
        server.register_message_handler(ear)
        assert await server.verify_token("good")
        assert not await server.verify_token("old")
        running = asyncio.ensure_future(server.run())
        while server.server is None or not server.server.urls:
            await asyncio.sleep(0)
        router = Router(RouteConfig({"qq": TargetConfig(server.url, token="good")}))
        await router.connect("qq")
        await connected(router, "qq")
        await router.send_message(frame("x"))
        assert await ear.next() == frame("x")
        await router.stop()
        await server.stop()
        await running

    story(work)


def test_platforms_come_and_go():
    async def work():
        server = MessageServer(host="127.0.0.1", port=0)
        await server.start_server()
        router = Router(RouteConfig({"a": TargetConfig(server.url)}))
        running = asyncio.ensure_future(router.run())
        await connected(router, "a")
        await router.add_platform("b", TargetConfig(server.url))
        await connected(router, "a", "b")
        await router.remove_platform("a")
        assert not router.check_connection("a")
        target = {"url": server.url, "token": None, "ssl_verify": None, "more": 1}
        await router.update_config({"route_config": {"c": target}})
        await connected(router, "c")
        assert list(router.clients) == ["c"]
        with pytest.raises(ValueError, match="no target"):
            await router.connect("nowhere")
        await router.stop()
        await running
        await server.stop()

    story(work)


def test_what_a_server_cannot_be():
    with pytest.raises(UnsafeConfig, match="8090"):
        MessageServer(host="0.0.0.0", port=8090, mode="ws")
    MessageServer(host="0.0.0.0", port=8090, mode="ws", allow_open=True)
    with pytest.raises(ConfigError) as caught:
        MessageServer(host="127.0.0.1", mode="tcp", app=object())
    assert len(caught.value.problems) == 2


def test_configurations_go_round():
    config = RouteConfig({"qq": TargetConfig("ws://h/ws", "t", "c.crt")})
    assert RouteConfig.from_dict(config.to_dict()) == config
    assert TargetConfig.from_dict({"url": None}) == TargetConfig()
