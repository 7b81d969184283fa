"""New credentials for a line that is open: the next link has them, and it is dialled at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import serve

from trunkline import connect
from trunkline.errors import ConfigError


def line(url: str) -> Any:
    return connect("onebot11", role="implementation", url=url, self_id="1", headers={"X-A": "old"})


def test_other_headers_are_used_at_once():
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def peer(socket: Any) -> None:
        seen.put_nowait(socket.request.headers["X-A"])
        await socket.wait_closed()

    async def work() -> None:
        async with asyncio.timeout(15), serve(peer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with line(f"ws://127.0.0.1:{port}/ws/") as one:
                assert await seen.get() == "old"
                one.renew(headers={"X-A": "new"})
                assert await seen.get() == "new"
                assert "new" not in repr(one.settings)

    asyncio.run(work(), debug=True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "ws://127.0.0.1:2/"}, "url cannot be changed"),
        ({"headers": "geheim"}, "headers: cannot be used"),
        ({"headers": {"a": ["geheim"]}}, "headers: cannot be used"),
    ],
)
def test_what_cannot_be_used_changes_nothing(given, words):
    one = line("ws://127.0.0.1:1/ws/")
    with pytest.raises(ConfigError) as caught:
        one.renew(**given)
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_a_line_that_is_not_open_has_nothing_to_renew():
    with pytest.raises(RuntimeError):
        line("ws://127.0.0.1:1/ws/").renew(headers={})
