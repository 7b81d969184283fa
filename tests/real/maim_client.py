"""Runs in the environment of maim_message 0.6.8 and uses that package's own client.

Not a test: `test_maim_package.py` starts it. It takes one JSON line on stdin (routes, messages to
send), connects its `Router`, sends, and writes one JSON line for everything it learns:

    {"event": "connected"} · {"event": "received", "on": platform, "frame": {...}}
    {"event": "sent", "id": ..., "ok": true} · {"event": "closed", "code": ...}

What arrives is parsed by the package's `MessageBase.from_dict` and dumped by its `to_dict`; a frame
that it cannot parse is an event of its own. It ends when stdin ends.
"""

import asyncio
import json
import sys

import aiohttp
from maim_message import MessageBase, RouteConfig, Router, TargetConfig


def tell(event: str, **values: object) -> None:
    """Write one line for the test."""
    sys.stdout.write(json.dumps({"event": event, **values}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def make_handler(router: Router, platform: str):
    """Return a handler that knows which of the router's connections it is on."""

    async def handle(raw: dict) -> None:
        try:
            parsed = MessageBase.from_dict(raw)
            tell("received", on=platform, frame=raw, parsed=parsed.to_dict())
        except Exception as error:  # whatever the package raises is the finding
            tell("unparsable", on=platform, frame=raw, error=repr(error))

    return handle


async def probe(url: str, headers: dict) -> None:
    """Connect as the package does and report how the server ends it."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as ws:
        message = await ws.receive(timeout=10)
        tell("closed", code=ws.close_code, kind=message.type.name, reason=message.extra)


async def main() -> None:
    """Do what the lines on stdin say, until it ends."""
    loop = asyncio.get_running_loop()
    routers: dict[str, Router] = {}
    tasks = []
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "probe":
            await probe(order["url"], order["headers"])
        elif order["do"] == "route":
            config = RouteConfig(
                {
                    name: TargetConfig(url=target["url"], token=target.get("token"))
                    for name, target in order["routes"].items()
                }
            )
            router = Router(config)
            tasks.append(asyncio.create_task(router.run()))
            for name in order["routes"]:
                for _ in range(200):
                    if router.check_connection(name):
                        break
                    await asyncio.sleep(0.05)
                else:
                    tell("unconnected", platform=name)
                    break
                router.clients[name].register_message_handler(make_handler(router, name))
                routers[name] = router
            else:
                tell("connected")
        elif order["do"] == "send":
            message = MessageBase.from_dict(order["message"])
            name = message.message_info.platform
            ok = await routers[name].send_message(message)
            tell("sent", id=message.message_info.message_id, ok=ok)
    for router in set(routers.values()):
        await router.stop()
    for task in tasks:
        task.cancel()


asyncio.run(main())
