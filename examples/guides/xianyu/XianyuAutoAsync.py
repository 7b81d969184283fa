"""Guide 001: `python XianyuAutoAsync.py [ANSWERS]` connects the account and answers its buyers.

Registration, the stored position, heartbeats and acknowledgements are the line's. It ends after so
many answers; 0 = never.
"""

import asyncio
import sys

from ai_reply_engine import generate_reply
from config import COOKIES_STR, HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, WEBSOCKET_URL

from trunkline import MessageReceived, connect, plain_text


async def main(answers: int = 0) -> None:
    keys = {"heartbeat_interval_s": HEARTBEAT_INTERVAL, "heartbeat_timeout_s": HEARTBEAT_TIMEOUT}
    if WEBSOCKET_URL.startswith("ws://"):  # a marketplace of this machine, with its HTTP beside it
        base = "http" + WEBSOCKET_URL.removeprefix("ws").rstrip("/")
        keys |= {"http_url": base, "upload_url": base}
    async with connect("xianyu", url=WEBSOCKET_URL, cookies=COOKIES_STR, **keys) as line:
        print("状态:", line.state.name, flush=True)
        said = 0
        async for event in line:
            if not isinstance(event, MessageReceived) or event.is_own:
                continue
            message = plain_text(event.segments)
            print(f"收到消息 {event.sender.name}:", message, flush=True)
            if reply := await generate_reply(message, event.item):
                fate = await line.send(event, reply)
                print("已回复:", reply, fate.outcome.value, flush=True)
                said += 1
            if said == answers > 0:
                return


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
