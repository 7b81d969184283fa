"""NoneBot2 with its OneBot V11 adapter, an `on_message` matcher that echoes; nothing is stored.

The way of a user of the framework: the fastapi driver under uvicorn, one matcher, `bot.send`. Runs
in that package's own environment.
"""

import json
import os
import socket

import nonebot
import uvicorn
from nonebot.adapters.onebot.v11 import Adapter, Bot, MessageEvent


def main() -> None:
    """Serve until killed."""
    nonebot.init(_env_file=None, driver="~fastapi", log_level="WARNING")
    nonebot.get_driver().register_adapter(Adapter)
    matcher = nonebot.on_message()

    @matcher.handle()
    async def _(bot: Bot, event: MessageEvent) -> None:
        await bot.send(event, event.message)

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    ready = {"url": f"http://127.0.0.1:{listener.getsockname()[1]}", "pid": os.getpid()}
    print("ready", json.dumps(ready), flush=True)
    config = uvicorn.Config(nonebot.get_asgi(), log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


main()
