"""The maim vectors over real sockets: connections (H001 … H011) and every classic frame.

A connection counts as registered under a name when an answer to a message without `platform`
carries it. Source: maim 2
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from peers import closing, dial, maim_message, maim_text, receive
from product import Product
from torture import Link

VECTORS = Path(__file__).parent.parent / "vectors" / "maim" / "maim_vectors.json"
PATHS = {"[]": "/ws", '["T0"]': "/guarded"}


_FILE = json.loads(VECTORS.read_text(encoding="utf-8"))
CASES = {case["id"]: case for case in _FILE["connection_vectors"]}
FRAMES = {case["id"]: case for case in _FILE["vectors"]}


def test_every_connection_vector_is_here() -> None:
    assert sorted(CASES) == [f"H{number:03}" for number in range(1, 12)]


def _url(site: Product, case: dict[str, Any]) -> str:
    if "path" in case:
        return site.socket(case["path"])
    if "max_bytes" in case["server"]:
        assert case["server"]["max_bytes"] == 50_000
        return site.socket("/small")
    return site.socket(PATHS[json.dumps(case["server"]["tokens"])])


@pytest.mark.parametrize("ident", CASES)
async def test_vector(site: Product, ident: str) -> None:
    case = CASES[ident]
    expect, headers, url = case["expect"], case["headers"], _url(site, CASES[ident])
    if "http_in" in expect:
        with pytest.raises(InvalidStatus) as refused:
            await dial(url, headers)
        assert refused.value.response.status_code in expect["http_in"]
        return
    if not all(value.isascii() for value in headers.values()):
        await _check_registered_bare(url, headers, expect["registered_platform"])
        return
    older = await dial(url, headers) if "older_connection" in expect else None
    async with dial(url, headers) as socket:
        if "client sends" in case.get("precondition", ""):
            await socket.send("x" * 200_000)
        if "close" in expect:
            code, reason = await closing(socket)
            assert code == expect["close"]
            assert reason == expect.get("reason", reason)
            return
        if older is not None:
            assert (await closing(older))[0] == expect["older_connection"]["close"]
        await socket.send(json.dumps(maim_message(ident, platform=None), ensure_ascii=False))
        answer = await receive(socket)
        assert answer["message_info"]["platform"] == expect["registered_platform"]
        assert maim_text(answer) == f"收到：{ident}"


async def _check_registered_bare(url: str, headers: dict[str, str], platform: str) -> None:
    """As the package's client does: header values leave as UTF-8, which `websockets` refuses."""
    link = await Link.open(url, headers)
    try:
        await link.send(maim_message("bare", platform=None))
        assert (await link.receive())["message_info"]["platform"] == platform
    finally:
        link.close()


def _frame(case: dict[str, Any]) -> str | bytes:
    if "frame_base64" in case:
        return base64.b64decode(case["frame_base64"])
    return case["frame_text"] if "frame_text" in case else json.dumps(case["frame_json"])


@pytest.mark.parametrize("ident", FRAMES)
async def test_frame_vector_is_answered_or_dropped_and_the_connection_lives(
    site: Product, ident: str
) -> None:
    """Each vector on a connection of its own name, so that equal ids are no duplicates."""
    expect, platform = FRAMES[ident]["expect"], f"vector-{ident}"
    meaning = expect.get("meaning", {})
    wanted = ["收到：marker"]
    if meaning.get("text") and meaning["chat"]["id"] is not None:
        wanted.insert(0, f"收到：{meaning['text']}")
    async with dial(site.socket("/ws"), {"platform": platform}) as socket:
        await socket.send(_frame(FRAMES[ident]))
        await socket.send(json.dumps(maim_message("marker", platform=platform, user="marker")))
        got: list[str] = []
        while not set(wanted) <= set(got):
            got.append(maim_text(await receive(socket)))
        if not expect["accept"]:
            assert got == wanted


async def test_frames_pushed_before_the_refusal_are_not_processed(site: Product) -> None:
    """Maim 2.3: nothing of an unauthenticated connection is processed or answered."""
    secret = maim_message("pushed with a wrong token", user="intruder")
    async with dial(site.socket("/guarded"), {"platform": "qq", "authorization": "no"}) as socket:
        got: list[Any] = []
        with contextlib.suppress(ConnectionClosed):  # the refusal may be faster than the push
            await socket.send(json.dumps(secret))
            while True:
                got.append(await receive(socket))
        assert socket.close_code == 1008
        assert got == []
    async with dial(site.socket("/guarded"), {"platform": "qq", "authorization": "T0"}) as socket:
        await socket.send(json.dumps(maim_message("mine")))
        assert maim_text(await receive(socket)) == "收到：mine"


async def test_two_platforms_two_hundred_messages_each_on_its_own_in_order(site: Product) -> None:
    """Maim 11.1."""

    async def talk(platform: str) -> list[str]:
        async with dial(site.socket("/ws"), {"platform": platform}) as socket:
            for nth in range(200):
                text = f"{platform}-{nth}"
                await socket.send(json.dumps(maim_message(text, platform=platform, group="7")))
            answers = [await receive(socket) for _ in range(200)]
            assert {a["message_info"]["platform"] for a in answers} == {platform}
            assert {a["message_info"]["group_info"]["group_id"] for a in answers} == {"7"}
            return [maim_text(a) for a in answers]

    first, second = await asyncio.gather(talk("p-one"), talk("p-two"))
    assert first == [f"收到：p-one-{nth}" for nth in range(200)]
    assert second == [f"收到：p-two-{nth}" for nth in range(200)]


ODD: dict[str, str | bytes] = {
    "not JSON": "{nope",
    "empty": "",
    "array": "[]",
    "null": "null",
    "no message_info": '{"message_segment":{"type":"text","data":"x"}}',
    "empty object": "{}",
    "binary": b"\x00\x01",
    "custom": json.dumps({
        "platform": "odd", "message_type_name": "nobody_knows", "content": {}, "timestamp": 1.0,
        "is_custom_message": True,
    }),
}  # fmt: skip


async def test_odd_input_leaves_the_connection_usable(site: Product) -> None:
    """Maim 3.1 and 11.5."""
    async with dial(site.socket("/ws"), {"platform": "odd"}) as socket:
        for name, frame in ODD.items():
            await socket.send(frame)
            await socket.send(json.dumps(maim_message(name, platform="odd")))
            assert maim_text(await receive(socket)) == f"收到：{name}", name


async def test_the_same_message_twice_is_answered_once(site: Product) -> None:
    """Maim 5.2.4, guides 4: chat + id + time."""
    frame = json.dumps(maim_message("once", platform="twice", ident="same"))
    async with dial(site.socket("/ws"), {"platform": "twice"}) as socket:
        await socket.send(frame)
        assert maim_text(await receive(socket)) == "收到：once"
        await socket.send(frame)
        await socket.send(json.dumps(maim_message("next", platform="twice")))
        assert maim_text(await receive(socket)) == "收到：next"


async def test_the_late_end_of_a_replaced_connection_keeps_the_newer_one(site: Product) -> None:
    """Maim 2.5: compare identity before forgetting."""
    url, headers = site.socket("/ws"), {"platform": "again"}
    older = await dial(url, headers)
    async with dial(url, headers) as newer:
        assert (await closing(older))[0] == 1000
        for nth in range(3):
            await newer.send(json.dumps(maim_message(f"n{nth}", platform="again")))
            assert maim_text(await receive(newer)) == f"收到：n{nth}"
