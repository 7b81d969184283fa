"""Guide 004 with the package's own names: `python router.py [URL]`."""

import asyncio
import sys
import time

from config import PLATFORM, URL

from trunkline.guides.maim import RouteConfig, Router, TargetConfig


async def main(url: str) -> None:
    router = Router(RouteConfig({PLATFORM: TargetConfig(url=url)}))
    heard = asyncio.Event()

    def show(message: dict) -> None:
        print("收到消息:", message["message_segment"], flush=True)
        heard.set()

    router.register_class_handler(show)
    running = asyncio.create_task(router.run())
    while not router.check_connection(PLATFORM):
        await asyncio.sleep(0.05)
    user = {"platform": PLATFORM, "user_id": "user123", "user_nickname": "Ana"}
    info = {
        "platform": PLATFORM,
        "message_id": f"msg_{time.time_ns()}",
        "time": time.time(),
        "user_info": user,
    }
    segment = {"type": "seglist", "data": [{"type": "text", "data": "你好"}]}
    await router.send_message({"message_info": info, "message_segment": segment})
    await heard.wait()
    await router.stop()
    await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else URL))
