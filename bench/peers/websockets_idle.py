"""Plain `websockets`, echo, no compression: what an idle connection costs there."""

import asyncio
import json
import os

from websockets.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection) -> None:
    """Send everything back."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Serve until killed."""
    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        ready = {"url": f"http://127.0.0.1:{port}", "pid": os.getpid()}
        print("ready", json.dumps(ready), flush=True)
        await server.serve_forever()


asyncio.run(main())
