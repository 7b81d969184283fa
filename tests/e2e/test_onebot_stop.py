"""An orderly stop while a peer owes us responses."""

from __future__ import annotations

import json
from pathlib import Path

import product
from onebot11_lines import CONNECT, message
from rawsocket import TEXT, RawSocket

LINES = """\
[lines.qq]
dialect = "onebot11"
path = "/ws/"

[[rules]]
name = "echo"
match = "any"
reply = "{send_message}"
"""


async def test_what_waited_behind_an_unanswered_call_leaves_after_the_next_start(
    tmp_path: Path,
) -> None:
    with product.serving(tmp_path, LINES) as site:
        peer = await RawSocket.open(site.port, "/ws/")
        await peer.send(TEXT, CONNECT)
        for nth, words in enumerate(("one", "two", "three")):
            await peer.send(TEXT, json.dumps(message(message=words, message_id=nth + 1)).encode())
        assert said(await peer.read_message()) == "one"  # and is not answered
        site.stop()
        await peer.close()
    with product.database(tmp_path) as store:
        rows = store.execute("SELECT state FROM outbox ORDER BY id").fetchall()
    assert [state for (state,) in rows] == [5, 1, 1]  # UNCERTAIN, QUEUED, QUEUED
    with product.serving(tmp_path, LINES) as site:
        peer = await RawSocket.open(site.port, "/ws/")
        await peer.send(TEXT, CONNECT)
        for words in ("two", "three"):
            call = await peer.read_message()
            assert said(call) == words
            done = {"status": "ok", "retcode": 0, "data": {"message_id": 1}}
            await peer.send(TEXT, json.dumps(done | {"echo": json.loads(call)["echo"]}).encode())
        await peer.close()


def said(call: bytes) -> str:
    return "".join(part["data"]["text"] for part in json.loads(call)["params"]["message"])
