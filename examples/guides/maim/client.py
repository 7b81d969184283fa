"""Guide 004, client side: `python client.py [URL]` says one thing and shows the answer."""

import asyncio
import sys

from config import CERTIFICATE, PLATFORM, TOKEN, URL

from trunkline import connect, plain_text


async def main(url: str) -> None:
    options = {"platform": PLATFORM}
    if TOKEN:
        options["token"] = TOKEN
    if CERTIFICATE:
        options["ca_file"] = CERTIFICATE
    async with connect("maim", url=url, **options) as line:
        await line.send("private:user123", "你好，这是测试消息！")
        answer = await line.receive()
        print("收到消息:", plain_text(answer.segments))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else URL))
