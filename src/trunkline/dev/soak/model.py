"""A chat model on a free port of loopback: answers, and now and then fails as real ones do."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Final

import msgspec

FAILS: Final = 0.1  # of the questions: HTTP 500
HANGS: Final = 0.02  # of the questions: no answer before the asker's patience is over
HANG_S: Final = 5.0
_MAX_BODY_BYTES: Final = 1 << 20


class ModelStub:
    """One server that speaks as much of the chat API as is asked.

    Args:
        chance: decides which questions fail.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()
        self.url = ""
        self.asked = 0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        size = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
        if size > _MAX_BODY_BYTES:
            return False
        await reader.readexactly(size)
        self.asked += 1
        drawn = self._chance.random()
        if drawn < HANGS:
            await asyncio.sleep(HANG_S)
        status = 500 if drawn < HANGS + FAILS else 200
        body = msgspec.json.encode({
            "id": "c", "object": "chat.completion", "created": 1, "model": "soak",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"model answer {self.asked}"},
            }],
        })  # fmt: skip
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return True
