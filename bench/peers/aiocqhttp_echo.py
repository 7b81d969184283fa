"""aiocqhttp with an `on_message` handler that echoes; nothing is stored.

The way of a user of the package: its own `run_task` (Quart under Hypercorn) and `bot.send`. Runs in
that package's own environment.
"""

import asyncio
import json
import os
import socket

from aiocqhttp import CQHttp, Event


def free_port() -> int:
    """Return a port that was free a moment ago; the package cannot choose one itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main() -> None:
    """Serve until killed."""
    port = free_port()
    bot = CQHttp()

    @bot.on_message
    async def _(event: Event) -> None:
        await bot.send(event, event.message)

    running = asyncio.create_task(bot.run_task(port=port))
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
