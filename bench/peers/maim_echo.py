"""A `MessageServer` of maim_message 0.6.8 that echoes; runs in that package's own environment.

The way of a user of the package: the handler gets the dictionary, makes a `MessageBase` of it and
sends it back by `send_message`. Nothing is stored.
"""

import asyncio
import json
import os
import socket
import sys

from maim_message import MessageBase, MessageServer


def free_port() -> int:
    """Return a port that was free a moment ago; the package cannot choose one itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main() -> None:
    """Serve until killed."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else free_port()
    server = MessageServer(host="127.0.0.1", port=port, mode="ws", path="/ws")

    async def echo(message: dict) -> None:
        await server.send_message(MessageBase.from_dict(message))

    server.register_message_handler(echo)
    running = asyncio.create_task(server.run())
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            if running.done():
                running.result()
            continue
        writer.close()
        break
    ready = {"url": f"http://127.0.0.1:{port}", "pid": os.getpid()}
    print("ready", json.dumps(ready), flush=True)
    await running


asyncio.run(main())
