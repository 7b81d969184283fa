"""Guide 002: a OneBot account that dials a server, over `connect` (`onebot11 1.3`, `12`).

    client = WebSocketClient(uri="ws://127.0.0.1:8000/ws/", bot_id=12345)
    client.on_message(handle)                  # gets the decoded object, plain or async
    await client.run()

The line keeps the rules of the protocol by itself: the connect event goes first, heartbeats follow,
and a call of the server gets its response. Whatever the server sends reaches `on_message`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.embed import EmbeddedLine, connect
from trunkline.embed.callbacks import Callback, Callbacks
from trunkline.errors import LinkError, TrunklineError
from trunkline.model.address import Chat
from trunkline.telemetry.logs import get_logger

HEARTBEAT_MS: Final = 30_000
# Who speaks in a group when nobody is named. Source: onebot11 5.2 (vector group-anonymous)
NOBODY: Final = 80_000_000
_log = get_logger("guides")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class WebSocketClient:
    """The guide's client. A callback that is set again takes the place of the one before.

    Args:
        uri: of the server.
        bot_id: the account that we are; above 0.
        reconnect_interval: seconds between two attempts.
        max_reconnect_attempts: so many failed attempts in a row end it; 0 = it tries for ever.
        options: further keys of a onebot11 line, e.g. `token`.

    Raises:
        ConfigError: something of this cannot work.
    """

    def __init__(
        self,
        uri: str = "ws://127.0.0.1:8000/ws/",
        bot_id: int = 12345,
        reconnect_interval: float = 5,
        max_reconnect_attempts: int = 0,
        **options: Any,
    ) -> None:
        self.uri = uri
        self.bot_id = bot_id
        self.reconnect_interval = reconnect_interval
        self.max_reconnect_attempts = max_reconnect_attempts
        self._options = options
        self._callbacks = Callbacks(_failed)
        self._line: EmbeddedLine | None = None
        self._make()  # what cannot work is said here, not at the first dial

    # -- life --------------------------------------------------------------------------------

    async def connect(self) -> bool:
        """Connect, and return whether it came about; until then it tries again and again.

        Afterwards the connection is kept up until `disconnect`.
        """
        line = self._line
        if line is not None and line.error is None:
            return line.is_connected
        self._line = line = self._make()
        try:
            await line.open()
        except LinkError as error:
            await self._callbacks.tell("error", error)
            return False
        return line.is_connected

    async def disconnect(self) -> None:
        """Close the connection and dial no more; `run` ends."""
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def run(self) -> None:
        """Connect unless it is, and stay until `disconnect`.

        Raises:
            LinkError: it has given up.
        """
        line = self._line
        if line is None or line.error is not None:
            self._line = line = self._make()
        await line.run()

    @property
    def is_connected(self) -> bool:
        """Whether the server hears us."""
        return self._line is not None and self._line.is_connected

    # -- sending -----------------------------------------------------------------------------

    async def send_message(self, message: Mapping[str, Any] | str) -> bool:
        """Send an event as it stands, as an object or its JSON; return whether it was written.

        Raises:
            ValueError: it is no JSON object.
        """
        if self._line is None:
            return False
        try:
            frame = _decode(message) if isinstance(message, str) else message
        except msgspec.DecodeError as error:
            raise ValueError("the message is no JSON object") from error
        account = str(self.bot_id)
        try:
            fate = await self._line.act("frame", frame, Chat(account, "account", account))
        except TrunklineError as error:
            await self._callbacks.tell("error", error)
            return False
        return fate.is_sent

    async def send_text(
        self,
        text: str,
        message_type: str = "private",
        target_id: int | None = None,
        group_id: int | None = None,
    ) -> bool:
        """Let somebody say a text, see `create_text_message`; return whether it was written."""
        message = self.create_text_message(text, message_type, target_id, group_id)
        return await self.send_message(message)

    def create_connect_event(self) -> dict[str, Any]:
        """Return the connect event. The line sends it by itself."""
        return {**self._meta("lifecycle"), "sub_type": "connect"}

    def create_heartbeat_event(self) -> dict[str, Any]:
        """Return a heartbeat. The line sends one every 30 s by itself."""
        status = {"online": True, "good": True}
        return {**self._meta("heartbeat"), "status": status, "interval": HEARTBEAT_MS}

    def create_text_message(
        self,
        text: str,
        message_type: str = "private",
        target_id: int | None = None,
        group_id: int | None = None,
    ) -> dict[str, Any]:
        """Return a complete message event: frameworks drop what lacks a field (`onebot11 5.1`).

        The one who speaks is the other side, not the account: its own messages are answered by
        nobody.

        Args:
            text: what is said.
            message_type: `private` or `group`.
            target_id: who says it; needed in a private chat.
            group_id: where, in a group.

        Raises:
            ValueError: who or where is missing.
        """
        user = target_id
        if message_type == "group":
            user = NOBODY if target_id is None else target_id
            where: dict[str, Any] = {"group_id": group_id, "anonymous": None}
            sender: dict[str, Any] = {"card": "", "area": "", "level": "1", "role": "member"}
            sender["title"] = ""
            is_whole = group_id is not None
        elif message_type == "private":
            where, sender = {"target_id": target_id}, {}
            is_whole = target_id is not None
        else:
            raise ValueError("message_type is private or group")
        if not is_whole:
            missing = "group_id" if message_type == "group" else "target_id"
            raise ValueError(f"a {message_type} message needs {missing}")
        return {
            "time": int(time.time()),
            "self_id": self.bot_id,
            "post_type": "message",
            "message_type": message_type,
            "sub_type": "normal" if message_type == "group" else "friend",
            # Frameworks want an int32. Source: onebot11 12
            "message_id": secrets.randbelow((1 << 31) - 1) + 1,
            "user_id": user,
            **where,
            "message": [{"type": "text", "data": {"text": text}}],
            "raw_message": _escape(text),
            "message_format": "array",
            "font": 0,
            "sender": {
                "user_id": user, "nickname": str(user), "sex": "unknown", "age": 0, **sender,
            },
        }  # fmt: skip

    # -- callbacks ---------------------------------------------------------------------------

    def on_message(self, callback: Callback) -> Callback:
        """Call with the decoded object of whatever the server sends."""
        self._callbacks.put("frame", callback)
        return callback

    def on_connect(self, callback: Callback) -> Callback:
        """Call when the connection is there, also after each reconnect."""
        self._callbacks.put("connect", callback)
        return callback

    def on_disconnect(self, callback: Callback) -> Callback:
        """Call with the reason when the connection has ended."""
        self._callbacks.put("disconnect", callback)
        return callback

    def on_error(self, callback: Callback) -> Callback:
        """Call with an error: an attempt that failed, or what another callback raised."""
        self._callbacks.put("error", callback)
        return callback

    # -- inside ------------------------------------------------------------------------------

    def _make(self) -> EmbeddedLine:
        line = connect(
            "onebot11",
            role="implementation",
            url=self.uri,
            self_id=str(self.bot_id),
            reconnect_interval_s=self.reconnect_interval,
            max_failures=self.max_reconnect_attempts,
            **self._options,
        )
        tell = self._callbacks.tell

        async def hear(frame: object) -> None:
            await tell("frame", frame)

        async def connected(peer: object) -> None:
            await tell("connect", peer)

        async def disconnected(error: object) -> None:
            await tell("disconnect", error)

        async def failed(error: object) -> None:
            await tell("error", error)

        line.on_frame(hear, with_eventless=True)
        line.on_connect(connected)
        line.on_disconnect(disconnected)
        line.on_error(failed)
        return line

    def _meta(self, kind: str) -> dict[str, Any]:
        return {
            "time": int(time.time()),
            "self_id": self.bot_id,
            "post_type": "meta_event",
            "meta_event_type": kind,
        }


def _failed(error: BaseException) -> None:
    _log.error("callback failed", error=error)


def _escape(text: str) -> str:
    """Return a text as CQ codes write it. Source: onebot11 6.3"""
    return text.replace("&", "&amp;").replace("[", "&#91;").replace("]", "&#93;")
