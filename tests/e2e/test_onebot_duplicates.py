"""Two connections of one account over real sockets, where the older one is asked first."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import product
from onebot11_lines import CONNECT, message
from rawsocket import CLOSE, PING, PONG, TEXT, RawSocket, close_payload

LINES = """\
[lines.qq]
dialect = "onebot11"
path = "/ws/"
duplicate = "probe"

[[rules]]
name = "echo"
match = "any"
reply = "{send_message}"
"""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[product.Product]:
    with product.serving(tmp_path, LINES) as running:
        yield running


async def greet(site: product.Product, *frames: bytes) -> RawSocket:
    peer = await RawSocket.open(site.port, "/ws/")
    for frame in (CONNECT, *frames):
        await peer.send(TEXT, frame)
    return peer


async def test_who_answers_stays_and_who_is_silent_goes(site: product.Product) -> None:
    older = await greet(site, said("one"))
    assert await answer(older) == "one"
    newer = await greet(site)
    ping = await older.read_frame()
    assert ping.opcode == PING
    await older.send(PONG, ping.payload)
    end = await newer.read_close()
    assert (end.code, end.reason) == (1008, "duplicate self_id")
    await newer.close()

    heir = await greet(site, said("two"))  # kept until it is decided
    third = await greet(site)
    assert (await third.read_close()).code == 1008  # somebody waits already
    await third.close()
    assert (await older.read_frame()).opcode == PING
    end = await older.read_close()  # nothing was said for a second
    assert (end.code, end.reason) == (1000, "replaced by a newer connection")
    await older.send(CLOSE, close_payload(1000))
    assert await answer(heir) == "two"
    await older.close()
    await heir.close()


def said(words: str) -> bytes:
    return json.dumps(message(message=words, message_id=len(words) * 1000 + ord(words[0]))).encode()


async def answer(peer: RawSocket) -> str:
    """Return what the next call says, and respond to it."""
    call = json.loads(await peer.read_message())
    done = {"status": "ok", "retcode": 0, "data": {"message_id": 1}, "echo": call["echo"]}
    await peer.send(TEXT, json.dumps(done).encode())
    return "".join(part["data"]["text"] for part in call["params"]["message"])
