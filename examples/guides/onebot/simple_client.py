"""Guide 002: `python simple_client.py [URL]` says two things and shows what is answered."""

import asyncio
import sys

from ws_client import URL, WebSocketClient


async def main(url: str) -> None:
    client = WebSocketClient(url)
    answers: asyncio.Queue[dict] = asyncio.Queue()
    client.on_message(answers.put_nowait)
    await client.connect()
    await client.send_text("Hello!", "private", target_id=67890)
    print("收到消息:", await answers.get())
    await client.send_text("Hello, everyone!", "group", group_id=123456)
    print("收到消息:", await answers.get())
    await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else URL))
