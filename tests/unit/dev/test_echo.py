"""The echo server and its client measure each other."""

import asyncio

import pytest

from trunkline.dev.echo import measure_echo, serve_echo
from trunkline.errors import ConfigError


async def test_what_is_sent_comes_back():
    ready = asyncio.get_running_loop().create_future()
    troubles = []

    def on_trouble(where, error):
        troubles.append(error)

    serving = asyncio.create_task(serve_echo(0, ready.set_result, on_trouble))
    facts = await ready
    url = str(facts["url"]).replace("http", "ws")
    rate = await measure_echo(url, on_trouble, links=3, in_flight=2, seconds=0.05)
    assert rate.messages > 6
    assert rate.per_s == rate.messages / rate.seconds
    with pytest.raises(ConfigError, match="already in use"):
        await serve_echo(int(url.rpartition(":")[2]), ready.set_result, on_trouble)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert troubles == []
