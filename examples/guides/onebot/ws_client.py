"""Guide 002: `from ws_client import WebSocketClient`, or `python ws_client.py [URL]` to listen."""

import asyncio
import sys

from trunkline.guides.onebot import WebSocketClient

__all__ = ["WebSocketClient"]

URL = "ws://127.0.0.1:8000/ws/"


async def main(url: str) -> None:
    client = WebSocketClient(url, bot_id=12345)
    client.on_connect(lambda: print("连接成功!", flush=True))
    client.on_message(lambda data: print("收到消息:", data, flush=True))
    client.on_disconnect(lambda why: print("连接断开:", why, flush=True))
    client.on_error(lambda error: print("错误:", error, flush=True))
    await client.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else URL))
