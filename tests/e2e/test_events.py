"""The event stream over cuts, restarts and kills: nothing lost, nothing shown twice.

Source: ux 5, reliability 1
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any

import product
from peers import chat, visiting
from sse import Event, Listener

SITE = """\
[lines.blog]
dialect = "contact"

[lines.core]
dialect = "maim"
path = "/ws"

[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""


async def _ask(running: product.Product, *words: str) -> None:
    """Say something as a new visitor and hear every answer."""
    async with visiting(running.socket("/contact")) as visitor:
        for word in words:
            await visitor.send(chat(word))
        await visitor.until("chat_message", len(words))


def _all(running: product.Product, path: str, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = running.get(f"{path}?limit=200&cursor={cursor}")
        found += page[key]
        cursor = page["cursor"]
        if not cursor:
            return found


def _is_complete(running: product.Product, events: list[Event]) -> str:
    """Return what the stream and the lists disagree on, "" when nothing."""
    shown = {event.data["id"]: event.data for event in events if event.name == "message"}
    stored = {row["id"]: row for row in _all(running, "/api/v1/messages", "messages")}
    if shown.keys() != stored.keys():
        return f"messages: {len(shown)} shown, {len(stored)} stored"
    fates = {event.data["id"]: event.data["state"] for event in events if event.name == "delivery"}
    rows = {row["id"]: row["state"] for row in _all(running, "/api/v1/deliveries", "deliveries")}
    return "" if fates == rows else f"deliveries: {fates.items() ^ rows.items()}"


async def _complete(running: product.Product, listener: Listener) -> None:
    """Wait until the stream has told all that the lists hold."""
    wrong = "nothing yet"
    for _ in range(200):
        wrong = await asyncio.to_thread(_is_complete, running, list(listener.events))
        if not wrong:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(wrong)


def _assert_each_once(events: list[Event]) -> None:
    """No position twice, none backwards; no message twice; no delivery twice in one state."""
    positions = [int(event.seq) for event in events if event.seq]
    assert positions == sorted(set(positions))
    messages = [event.data["id"] for event in events if event.name == "message"]
    assert len(messages) == len(set(messages))
    states: dict[str, list[str]] = defaultdict(list)
    for event in events:
        if event.name == "delivery":
            states[event.data["id"]].append(event.data["state"])
    for ident, seen in states.items():
        assert all(a != b for a, b in itertools.pairwise(seen)), (ident, seen)


async def test_the_server_is_killed_and_nothing_is_lost_or_shown_twice(tmp_path: Path) -> None:
    first = product.start(tmp_path, SITE)
    port = first.port
    try:
        with Listener(port, first.token, "?start=oldest") as listener:
            await asyncio.gather(*(_ask(first, f"a{n}.1", f"a{n}.2") for n in range(10)))
            await asyncio.to_thread(listener.until, "message", text="a9.2")
            # Killed in the middle of talk: some of it is committed and not shown yet.
            talk = [asyncio.create_task(_ask(first, *map(str, range(15)))) for _ in range(10)]
            await asyncio.to_thread(listener.until, "message", text="7")
            first.kill()
            await asyncio.gather(*talk, return_exceptions=True)
            second = product.start(tmp_path, None, "-c", "trunkline.toml", port=port)
            try:
                await asyncio.to_thread(listener.wait_open)
                await asyncio.gather(*(_ask(second, f"b{n}") for n in range(10)))
                await _complete(second, listener)
                _assert_each_once(listener.events)
                assert listener.opened >= 2
                assert not [event for event in listener.events if event.name == "reset"]
                texts = [e.data["text"] for e in listener.events if e.name == "message"]
                assert {f"b{n}" for n in range(10)} <= set(texts)
                second.stop()
            finally:
                second.kill()
    finally:
        first.kill()


async def test_a_viewer_that_is_cut_again_and_again_misses_nothing(tmp_path: Path) -> None:
    with (
        product.serving(tmp_path, SITE) as running,
        Listener(running.port, running.token, "?start=oldest") as listener,
    ):
        for nth in range(6):
            talk = asyncio.create_task(_ask(running, f"{nth}.1", f"{nth}.2", f"{nth}.3"))
            listener.cut()
            await talk
            await asyncio.to_thread(listener.wait_open)
        await _complete(running, listener)
        _assert_each_once(listener.events)
        assert listener.opened >= 6


async def test_a_stop_ends_the_stream_in_order_and_it_goes_on_after_the_start(
    tmp_path: Path,
) -> None:
    first = product.start(tmp_path, SITE)
    with Listener(first.port, first.token) as listener:
        await _ask(first, "one")
        await asyncio.to_thread(listener.until, "message", text="one")
        first.stop()  # exits with 0 within its time although a stream is open
        assert listener.until("end").data == {"reason": "stopping"}
        with product.serving(tmp_path, None, "-c", "trunkline.toml", port=first.port) as second:
            await asyncio.to_thread(listener.wait_open)
            await _ask(second, "two")
            await asyncio.to_thread(listener.until, "message", text="two")
            _assert_each_once(listener.events)


async def test_what_a_person_decides_is_on_the_stream_within_a_second(tmp_path: Path) -> None:
    with (
        product.serving(tmp_path, SITE) as running,
        Listener(running.port, running.token, "?topics=outbox,lines") as listener,
    ):
        running.get("/api/v1/lines/blog/pause", method="POST")
        paused = await asyncio.to_thread(listener.until, "line", name="blog")
        assert "paused" in paused.data["overlays"]
        assert paused.seq == ""
        async with visiting(running.socket("/contact")) as visitor:
            await visitor.send(chat("hold"))
            await visitor.until("chat_message_received")
            held = await asyncio.to_thread(listener.until, "delivery", state="queued")
            running.get(f"/api/v1/deliveries/{held.data['id']}/discard", method="POST")
            await asyncio.to_thread(
                listener.until, "delivery", id=held.data["id"], state="discarded"
            )
        assert all(event.name != "message" for event in listener.events)
