"""Guide 004, server side: `python server.py [PORT]` answers every message with its own segments."""

import asyncio
import sys
import time

from trunkline.guides.maim import MessageServer


async def main(port: int) -> None:
    server = MessageServer(host="127.0.0.1", port=port, mode="ws", path="/ws")

    async def answer(message: dict) -> None:
        info = message["message_info"]
        reply = {**info, "message_id": f"re_{info.get('message_id')}", "time": time.time()}
        await server.send_message({**message, "message_info": reply})

    server.register_message_handler(answer)
    await server.start_server()
    print(server.url, flush=True)
    await server.run()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8090))
