"""The real application on a real socket, in a thread of its own, over a real store.

What the commands talk to in tests: a folder with configuration, lock file and token.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

import web_rows
from trunkline.clock import FakeClock
from trunkline.exchange.contract import Seen
from trunkline.store.sqlite import SqliteStore
from trunkline.web.app import make_app
from trunkline.web.auth import Access, digest_token, ensure_api_token
from web_stand import OneDesk, OneFleet, make_services

T = TypeVar("T")
WAIT_S = 10.0


class World:
    """One server with its folder.

    Args:
        folder: made by the test.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "trunkline.toml"
        self.config.touch()
        self.desk = OneDesk()
        self.fleet = OneFleet()
        self.store: SqliteStore
        self.url = ""
        self._loop: asyncio.AbstractEventLoop
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve on a free port and write it into the lock file."""
        is_up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(is_up)))
        self._thread.start()
        assert is_up.wait(WAIT_S)

    def stop(self) -> None:
        """End streams, then the server, and wait for both."""
        assert self._thread is not None
        assert self._server is not None
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def emit(self, *seen: Seen) -> None:
        """Show something to all who watch, at once; there must be somebody."""

        async def show() -> None:
            assert self.desk.sinks
            for sink in self.desk.sinks:
                for one in seen:
                    sink(one)

        self.do(show())

    def end_streams(self) -> None:
        """End every stream, as a stop does."""
        self._loop.call_soon_threadsafe(self.services.live.close_all)

    def _end(self) -> None:
        assert self._server is not None
        self.services.live.close_all()
        self._server.should_exit = True

    async def _serve(self, is_up: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self.store = SqliteStore(self.folder, clock=FakeClock())
        await self.store.open()
        token = ensure_api_token(self.folder)
        self.services = make_services(
            self.store, desk=self.desk, fleet=self.fleet, access=Access(digest_token(token))
        )
        config = uvicorn.Config(
            make_app(self.services), host="127.0.0.1", port=0, ws="none", lifespan="off",
            log_config=None, access_log=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        (self.folder / "trunkline.lock").write_text(json.dumps({"pid": 1, "url": self.url}))
        is_up.set()
        await serving
        await self.store.close()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[World]:
    """Serve the rows of `web_rows` while the block runs."""
    world = World(folder)
    world.start()
    try:
        world.do(web_rows.fill(world.store))
        yield world
    finally:
        world.stop()
