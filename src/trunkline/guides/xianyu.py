"""Guide 001: its small WebSocket client, and the five states of a connection (`xianyu 9`, `17`).

    client = WebSocketClient(url=URL, headers=HEADERS, on_message=handle_message)
    await client.run()

The client carries text and knows nothing of what is in it: registration, heartbeats and
acknowledgements are the caller's own frames, as in the guide. A whole account, with all of that, is
`trunkline.connect("xianyu", …)`, whose `state` is a `ConnectionState`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import ItemsView, KeysView, Mapping
from functools import cached_property
from typing import Any, Final

import msgspec

from trunkline.embed.callbacks import Callback
from trunkline.embed.plain import PlainSocket, open_plain
from trunkline.errors import ConfigError, LinkError
from trunkline.lines.contract import LineState as ConnectionState
from trunkline.telemetry.logs import get_logger

__all__ = ["ConnectionState", "Message", "WebSocketClient"]

RECONNECT_DELAY_S: Final = 5  # Source: xianyu 17
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_log = get_logger("guides")


class Message(str):
    """A message as it came, whose members can also be read like those of the object that it holds.

    The guide's class diagram has the handler take a dict, the file that it describes hands over the
    text. Both kinds of handler work: `json.loads(message)` and `message["lwp"]`.
    """

    @cached_property
    def data(self) -> dict[str, Any]:
        """The object; empty when the text holds none."""
        try:
            return _decode(self.encode("utf-8", "replace"))
        except msgspec.DecodeError:
            return {}

    def __getitem__(self, key: Any) -> Any:
        return self.data[key] if isinstance(key, str) else super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a member, or the default."""
        return self.data.get(key, default)

    def keys(self) -> KeysView[str]:
        """Return the names of the members."""
        return self.data.keys()

    def items(self) -> ItemsView[str, Any]:
        """Return the members with their names."""
        return self.data.items()


class WebSocketClient:
    """The guide's client.

    Args:
        url: of the server.
        headers: of the upgrade request: `Cookie`, `Authorization` …
        on_message: called with each `Message`, plain or async; what it raises is logged, and the
            connection stays.
        ca_file: for `wss://` with a certificate of one's own.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        on_message: Callback | None = None,
        *,
        ca_file: str = "",
    ) -> None:
        self.url = url
        self.headers = dict(headers or {})
        self.on_message = on_message
        self.ca_file = ca_file
        self.reconnect_delay: float = RECONNECT_DELAY_S
        self.websocket: PlainSocket | None = None
        self._over = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Whether the server hears us."""
        return self.websocket is not None and self.websocket.is_open

    async def connect(self) -> bool:
        """Connect once, and return whether it came about; why not is in the log."""
        if self.is_connected:
            return True
        self.websocket = None
        try:
            self.websocket = await open_plain(self.url, self.headers, ca_file=self.ca_file)
        except (LinkError, ConfigError) as error:
            _log.error("not connected", error=str(error))
            return False
        return True

    async def disconnect(self) -> None:
        """Close the connection; `run` ends."""
        self._over.set()
        await self._close()

    async def send(self, message: str) -> bool:
        """Send a text, and return whether it was written."""
        socket = self.websocket
        if socket is None or not socket.is_open:
            return False
        try:
            await socket.send(message)
        except LinkError as error:
            _log.error("not sent", error=str(error))
            await self._close()
            return False
        return True

    async def receive(self) -> Message | None:
        """Return the next message; None without a connection, and when it has ended."""
        socket = self.websocket
        if socket is None:
            return None
        try:
            return Message(await socket.receive())
        except LinkError as error:
            _log.warning("disconnected", error=str(error))
            if self.websocket is socket:
                self.websocket = None
            await socket.close()
            return None

    async def reconnect(self) -> bool:
        """Wait for `reconnect_delay` seconds, then connect; return whether it came about."""
        self._over.clear()
        await self._close()
        await self._wait()
        return await self.connect()

    async def run(self) -> None:
        """Stay connected and hand over what comes, until `disconnect`."""
        self._over.clear()
        try:
            if self.websocket is None:
                await self.connect()
            while not self._over.is_set():
                if self.websocket is None:
                    await self._wait()
                    if not self._over.is_set():
                        await self.connect()
                elif (message := await self.receive()) is not None:
                    await self._handle(message)
        finally:
            await self._close()

    # -- inside ------------------------------------------------------------------------------

    async def _wait(self) -> None:
        """Wait before the next attempt; `disconnect` ends it."""
        try:
            async with asyncio.timeout(self.reconnect_delay):
                await self._over.wait()
        except TimeoutError:
            return

    async def _close(self) -> None:
        socket, self.websocket = self.websocket, None
        if socket is not None:
            await socket.close()

    async def _handle(self, message: Message) -> None:
        if self.on_message is None:
            return
        try:
            result = self.on_message(message)
            if inspect.isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001 - somebody else's code must not end the connection
            _log.error("callback failed", error=error)
