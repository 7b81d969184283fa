"""Runs in the environment of aiocqhttp and is a bot of that package.

Not a test: the tests of `tests/real` start it. Orders are JSON lines on stdin, events JSON lines on
stdout. It ends when stdin ends.

    {"do": "serve", "port": …, "token": …, "secret": …, "api_root": …, "answers": true}
    {"do": "call", "api": …, "params": {…}}
    {"event": "serving"} · {"event": "connected", "self_id": …} · {"event": "message", …}
    {"event": "sent", "data": …} · {"event": "failed", "info": {…}} · {"event": "called", …}

`api_root`: it calls actions over HTTP there when nobody is connected to it. `answers`: each message
is answered by its own text behind `cq:`; the word `quick` is answered by a quick operation.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys

from aiocqhttp import ActionFailed, CQHttp, Event


def tell(event: str, **values: object) -> None:
    """Write one line for the test."""
    line = json.dumps({"event": event, **values}, ensure_ascii=False, default=str)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def asking(call: object, told: str) -> None:
    """Tell what came of a call."""
    try:
        tell(told, data=await call)
    except ActionFailed as error:
        tell("failed", info=error.result)
    except Exception as error:  # whatever the package raises is the finding
        tell("error", error=repr(error))


def make_bot(order: dict) -> CQHttp:
    """Set aiocqhttp up as its users do."""
    bot = CQHttp(
        api_root=order.get("api_root"), access_token=order.get("token"),
        secret=order.get("secret"), api_timeout_sec=30,
    )  # fmt: skip

    @bot.on_websocket_connection
    async def _(event: Event) -> None:
        tell("connected", self_id=event.self_id)

    @bot.on_message
    async def _(event: Event) -> dict | None:
        words = "".join(
            part["data"].get("text", "") for part in event.message if part["type"] == "text"
        ) if isinstance(event.message, list) else event.message  # fmt: skip
        tell(
            "message", text=words, chat=event.message_type, user_id=event.user_id,
            group_id=event.group_id, message_id=event.message_id, time=event.time,
            name=event.sender["nickname"],
        )  # fmt: skip
        if words == "quick":
            return {"reply": "cq:quick"}
        if order.get("answers", True):
            await asking(bot.send(event, f"cq:{words}"), "sent")
        return None

    return bot


async def wait_listening(port: int) -> None:
    """Return when something accepts on the port."""
    for _ in range(400):
        with contextlib.closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        await asyncio.sleep(0.05)


async def main() -> None:
    """Do what the lines on stdin say, until it ends."""
    loop = asyncio.get_running_loop()
    bot = None
    tasks = []
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "serve":
            bot = make_bot(order)
            tasks.append(asyncio.create_task(bot.run_task(port=order["port"])))
            await wait_listening(order["port"])
            tell("serving")
        elif order["do"] == "call":
            call = bot.call_action(order["api"], **order.get("params", {}))
            tasks.append(asyncio.create_task(asking(call, "called")))
    sys.stdout.flush()
    os._exit(0)  # a framework that goes away is all that is wanted


asyncio.run(main())
