"""Runs in the environment of maim_message 0.6.8: that package's API-Server client, as an adapter.

Not a test: `test_maim_api_package.py` starts it. Orders are JSON lines on stdin, events JSON lines
on stdout. It ends when stdin ends.

    {"do": "connect", "url": …, "key": …, "platform": …} · {"do": "send", "message": {…}}
    {"do": "custom", "name": …, "content": {…}} · {"do": "connected?"}
    {"event": "connected", "ok": …} · {"event": "received", "frame": {…}} · {"event": "sent", …}
    {"event": "acknowledged", "id": …}
"""

import asyncio
import json
import os
import sys

from maim_message.client import WebSocketClient, create_client_config
from maim_message.message import APIMessageBase


def tell(event: str, **values: object) -> None:
    """Write one line for the test."""
    sys.stdout.write(json.dumps({"event": event, **values}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


async def handle(message: APIMessageBase, _metadata: dict) -> None:
    """Tell what came."""
    tell("received", frame=message.to_dict())


async def wave(raw: dict, *_: object) -> None:
    """Tell of a custom message."""
    tell("custom", frame=raw)


async def main() -> None:
    """Do what the lines on stdin say, until it ends."""
    loop = asyncio.get_running_loop()
    client = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "connect":
            client = WebSocketClient(
                create_client_config(
                    order["url"], order["key"], platform=order["platform"], on_message=handle,
                    custom_handlers={"custom_wave": wave}, reconnect_delay=0.5,
                )
            )  # fmt: skip
            await client.start()
            tell("connected", ok=await client.connect())
        elif order["do"] == "send":
            tell("sent", ok=await client.send_message(APIMessageBase.from_dict(order["message"])))
        elif order["do"] == "custom":
            tell("sent", ok=await client.send_custom_message(order["name"], order["content"]))
        elif order["do"] == "error":
            tell("state", connected=client.is_connected(), error=client.get_last_error())
    sys.stdout.flush()
    # The package's own shutdown waits for its threads; a client that goes is all that is wanted.
    os._exit(0)


asyncio.run(main())
