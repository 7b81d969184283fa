"""Runs in the environment of maim_message 0.6.8 and is that package's own core, on either line.

Not a test: `test_maim_adapter.py` starts it. Orders are JSON lines on stdin, events JSON lines on
stdout. It ends when stdin ends.

    {"do": "classic", "port": …, "token": …, "cert": …, "key": …}
    {"do": "api", "port": …, "token": …} · {"do": "send", "message": {…}}
    {"event": "serving"} · {"event": "received", "frame": {…}, "parsed": {…}} · {"event": "sent", …}
"""

import asyncio
import contextlib
import json
import socket
import sys

from maim_message import MessageBase, MessageServer
from maim_message.message import APIMessageBase
from maim_message.server import WebSocketServer, create_server_config


def tell(event: str, **values: object) -> None:
    """Write one line for the test."""
    sys.stdout.write(json.dumps({"event": event, **values}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


class Classic:
    """`MessageServer`."""

    def __init__(self, order: dict) -> None:
        self.server = MessageServer(
            host="127.0.0.1", port=order["port"], enable_token=bool(order.get("token")),
            ssl_certfile=order.get("cert"), ssl_keyfile=order.get("key"),
        )  # fmt: skip
        if order.get("token"):
            self.server.add_valid_token(order["token"])
        self.server.register_message_handler(self.handle)
        self.server.register_custom_message_handler("wave", self.wave)

    async def start(self) -> None:
        """Run until the end."""
        await self.server.run()

    async def handle(self, raw: dict) -> None:
        """Tell what came, and how the package reads it."""
        try:
            tell("received", frame=raw, parsed=MessageBase.from_dict(raw).to_dict())
        except Exception as error:  # whatever the package raises is the finding
            tell("unparsable", frame=raw, error=repr(error))

    async def wave(self, raw: dict) -> None:
        """Tell of a custom message."""
        tell("custom", frame=raw)

    async def send(self, message: dict) -> bool:
        """Send as the core application does."""
        return bool(await self.server.send_message(MessageBase.from_dict(message)))

    async def send_custom(self, platform: str, name: str, content: dict) -> bool:
        """Send a custom message."""
        return bool(await self.server.send_custom_message(platform, name, content))


class Api:
    """`WebSocketServer` of the API-Server line; the user is the key."""

    def __init__(self, order: dict) -> None:
        async def is_known(metadata: dict) -> bool:
            return not order.get("token") or metadata["api_key"] == order["token"]

        async def user(metadata: dict) -> str:
            return metadata["api_key"]

        self.server = WebSocketServer(
            create_server_config(
                host="127.0.0.1", port=order["port"], on_auth=is_known,
                on_auth_extract_user=user, on_message=self.handle,
                custom_handlers={"custom_wave": self.wave},
            )
        )  # fmt: skip

    async def start(self) -> None:
        """Start; it runs in tasks of its own."""
        await self.server.start()

    async def handle(self, message: APIMessageBase, metadata: dict) -> None:
        """Tell what came."""
        tell("received", frame=message.to_dict(), platform=metadata["platform"])

    async def wave(self, raw: dict, metadata: dict) -> None:
        """Tell of a custom message."""
        tell("custom", frame=raw)

    async def send(self, message: dict) -> bool:
        """Send to the account in `message_dim`."""
        results = await self.server.send_message(APIMessageBase.from_dict(message))
        return bool(results) and all(results.values())


async def wait_listening(port: int) -> None:
    """Return when something accepts on the port."""
    for _ in range(200):
        with contextlib.closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        await asyncio.sleep(0.05)


async def main() -> None:
    """Do what the lines on stdin say, until it ends."""
    loop = asyncio.get_running_loop()
    core = None
    tasks = []
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if order["do"] in ("classic", "api"):
            core = Classic(order) if order["do"] == "classic" else Api(order)
            tasks.append(asyncio.create_task(core.start()))
            await wait_listening(order["port"])
            tell("serving")
        elif order["do"] == "send":
            tell("sent", ok=await core.send(order["message"]))
        elif order["do"] == "custom":
            ok = await core.send_custom(order["platform"], order["name"], order["content"])
            tell("sent", ok=ok)
    sys.stdout.flush()
    # The package's own shutdown can take ten seconds; a core that goes is all that is wanted.
    import os

    os._exit(0)


asyncio.run(main())
