"""Callbacks: plain or async, with fewer arguments, and what they raise ends nothing."""

from __future__ import annotations

import asyncio

from trunkline.embed.callbacks import Callbacks


def test_plain_async_and_short_ones_are_called_in_order():
    seen: list[object] = []
    callbacks = Callbacks(seen.append)

    async def slow(what, more):
        await asyncio.sleep(0)
        seen.append(("async", what, more))

    callbacks.add("message", lambda what: seen.append(("plain", what)))
    callbacks.add("message", slow)
    callbacks.add("message", slow)
    callbacks.add("message", lambda: seen.append("none"))
    callbacks.add("message", lambda *all_of_it: seen.append(all_of_it))
    asyncio.run(callbacks.tell("message", 1, 2))
    assert seen == [("plain", 1), ("async", 1, 2), "none", (1, 2)]


def test_what_one_raises_goes_to_those_for_errors():
    seen: list[object] = []
    lost: list[BaseException] = []
    callbacks = Callbacks(lost.append)
    callbacks.add("connect", lambda: 1 / 0)
    asyncio.run(callbacks.tell("connect"))
    assert [type(error) for error in lost] == [ZeroDivisionError]
    callbacks.add("error", lambda error: seen.append(type(error)))
    callbacks.add("error", lambda: {}["x"])
    asyncio.run(callbacks.tell("connect"))
    assert seen == [ZeroDivisionError]
    assert [type(error) for error in lost] == [ZeroDivisionError, KeyError]
    assert not callbacks.has("message")
