"""Asks a platform for something over HTTP while no link is open (`Dialect.calls`)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from trunkline.lines.http import Fetcher

from .settings import read_settings


async def ask_aside(
    dialect: str, name: str, options: Mapping[str, object], /, **arguments: object
) -> Any:
    """Make the calls that it takes and return the value.

    Args:
        dialect, options: as for `connect`.
        name: of `Dialect.calls`.
        arguments: of that.

    Raises:
        ConfigError: the options have problems.
        TrunklineError: what went wrong; nothing was asked or the answer was no.
        KeyError: there is no such call.
    """
    settings = read_settings(dialect, "dial", options)
    talk = settings.dialect.calls[name](settings.options, **arguments)
    loop = asyncio.get_running_loop()
    fetcher = Fetcher()
    try:
        request = next(talk)
        while True:
            found: asyncio.Future[object] = loop.create_future()
            fetcher.fetch(request, settings.options.own_hosts, found.set_result)
            request = talk.send(await found)
    except StopIteration as end:
        return end.value
    finally:
        talk.close()
        await fetcher.stop()
