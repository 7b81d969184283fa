"""Guide 003, "verify": `python test/websocket_contact_test.py [URL]` talks to the service once."""

import asyncio
import sys

from trunkline import connect, plain_text

URL = "ws://127.0.0.1:8080/contact"


async def main(url: str) -> None:
    async with connect("contact", url=url) as line:
        fate = await line.send("visitor:site", "你好，我想咨询一些问题")
        print("✅", fate.outcome.value)
        answer = await line.receive()
        print("🤖", plain_text(answer.segments))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else URL))
