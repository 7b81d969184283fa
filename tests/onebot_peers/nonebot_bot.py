"""Runs in the environment of NoneBot2 and is a bot of that framework, with its OneBot V11 adapter.

Not a test: the tests of `tests/real` start it. Orders are JSON lines on stdin, events JSON lines on
stdout. It ends when stdin ends.

    {"do": "serve", "port": …, "token": …, "urls": […], "answers": true}
    {"do": "call", "api": …, "params": {…}} · {"do": "burst", "user_id": …, "count": …}
    {"event": "serving"} · {"event": "connected", "self_id": …} · {"event": "disconnected", …}
    {"event": "message", …} · {"event": "sent", "data": …} · {"event": "failed", "info": {…}}
    {"event": "called", "data": …}

With `urls` it dials them (`ONEBOT_WS_URLS`), beside listening on its port. `answers`: each message
is answered by its own text behind `nb:`; the word `quote` is answered by quoting the message.
"""

import asyncio
import json
import os
import sys

import nonebot
import uvicorn
from nonebot.adapters.onebot.v11 import ActionFailed, Adapter, Bot, MessageEvent, MessageSegment


def tell(event: str, **values: object) -> None:
    """Write one line for the test."""
    line = json.dumps({"event": event, **values}, ensure_ascii=False, default=str)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def prepare(order: dict) -> None:
    """Set NoneBot up as its users do."""
    nonebot.init(
        _env_file=None, driver="~fastapi+~websockets", log_level="WARNING",
        host="127.0.0.1", port=order["port"],
        onebot_access_token=order.get("token") or None, onebot_ws_urls=order.get("urls", []),
        command_start={"/"},
    )  # fmt: skip
    driver = nonebot.get_driver()
    driver.register_adapter(Adapter)

    @driver.on_bot_connect
    async def _(bot: Bot) -> None:
        tell("connected", self_id=bot.self_id)

    @driver.on_bot_disconnect
    async def _(bot: Bot) -> None:
        tell("disconnected", self_id=bot.self_id)

    matcher = nonebot.on_message(priority=1, block=True)

    @matcher.handle()
    async def _(bot: Bot, event: MessageEvent) -> None:
        words = event.get_plaintext()
        tell(
            "message", text=words, chat=event.message_type, user_id=event.user_id,
            group_id=getattr(event, "group_id", None), message_id=event.message_id,
            time=event.time, to_me=event.to_me, name=event.sender.nickname,
            raw=str(event.original_message),
            reply=event.reply.model_dump(mode="json") if event.reply else None,
        )  # fmt: skip
        if order.get("answers", True):
            message = f"nb:{words}"
            if words == "quote":
                message = MessageSegment.reply(event.message_id) + message
            await asking(bot.send(event, message), "sent")


async def asking(call: object, told: str) -> None:
    """Tell what came of a call."""
    try:
        tell(told, data=await call)
    except ActionFailed as error:
        tell("failed", info=error.info)
    except Exception as error:  # whatever the package raises is the finding
        tell("error", error=repr(error))


async def burst(bot: Bot, order: dict) -> None:
    """Send many messages at once, as a busy bot does; tell the ids in the order of the calls."""
    results = await asyncio.gather(
        *(
            bot.send_private_msg(user_id=order["user_id"], message=f"n{nth}")
            for nth in range(order["count"])
        ),
        return_exceptions=True,
    )
    tell("burst", results=[one if isinstance(one, dict) else repr(one) for one in results])


async def main() -> None:
    """Do what the lines on stdin say, until it ends."""
    loop = asyncio.get_running_loop()
    tasks = []
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "serve":
            prepare(order)
            config = uvicorn.Config(
                nonebot.get_asgi(), host="127.0.0.1", port=order["port"], log_level="warning"
            )
            server = uvicorn.Server(config)
            tasks.append(asyncio.create_task(server.serve()))
            while not server.started:
                await asyncio.sleep(0.02)
            tell("serving")
        elif order["do"] == "call":
            call = nonebot.get_bot().call_api(order["api"], **order.get("params", {}))
            tasks.append(asyncio.create_task(asking(call, "called")))
        elif order["do"] == "burst":
            tasks.append(asyncio.create_task(burst(nonebot.get_bot(), order)))
    sys.stdout.flush()
    os._exit(0)  # a framework that goes away is all that is wanted


asyncio.run(main())
