"""Guide 003: a contact service to run, or to derive from (`contact 2` to `5`).

    run_contact_server()                       # ws://127.0.0.1:8080/contact

    class Mine(ContactServer):
        async def generate_ai_response(self, message: str) -> str: ...

Every frame of the guide is answered by the embedded server; the class only decides what is said.
Messages of one visitor are answered in order, visitors do not wait for one another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.embed import EmbeddedServer, listen
from trunkline.errors import TrunklineError
from trunkline.model.event import MessageReceived, RequestReceived
from trunkline.model.message import plain_text
from trunkline.telemetry.logs import get_logger

from .work import Work

PATH: Final = "/contact"
# Source: guide 003, "advanced" 1: what is said when answering fails.
FALLBACK: Final = "抱歉，我暂时无法处理您的请求，请稍后再试。"
AT_WORK: Final = 256  # messages being answered; then no more is read

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_log = get_logger("guides")


class ContactClient:
    """One connected visitor, as the guide's `connected_clients` holds it.

    Args:
        server: that it is connected to.
        client_id: from its greeting.
    """

    def __init__(self, server: EmbeddedServer, client_id: str) -> None:
        self._server = server
        self.client_id = client_id

    async def send(self, data: str | bytes) -> None:
        """Send a `chat_message` frame, given as JSON; its `message` is what the visitor reads.

        Raises:
            ValueError: it is no such frame.
            ConnectionError: the visitor has gone.
        """
        await self.say(_message_of(_decode(data)))

    async def say(self, text: str) -> None:
        """Send a text.

        Raises:
            ConnectionError: the visitor has gone.
        """
        if all(peer.key != self.client_id for peer in self._server.peers):
            raise ConnectionError("the visitor has gone")
        await self._server.send(f"visitor:{self.client_id}", text)


class ContactServer:
    """The guide's service. Three methods are there to be overridden.

    Args:
        host, port: where to listen; port 0 picks a free one, which `url` names.
        path: of the visitors' socket; the guide's proxy paths are served too.
        allow_open: listen to strangers without TLS.
        options: further keys of a contact line.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        path: str = PATH,
        allow_open: bool = False,
        **options: Any,
    ) -> None:
        bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.server = listen("contact", bind=bind, path=path, allow_open=allow_open, **options)
        self._work = Work(AT_WORK)

    # -- to be overridden --------------------------------------------------------------------

    async def generate_ai_response(self, message: str) -> str:
        """Return the answer to a message; "" says nothing."""
        return f"收到：{message}"

    async def save_chat_message(self, client_id: str, message: str, sender: str) -> None:
        """Keep a message; `sender` is `user` or `assistant`. Nothing is kept here."""

    async def broadcast_message(self, message: Mapping[str, Any]) -> None:
        """Say a `chat_message` to every visitor.

        Raises:
            ValueError: it is another frame: visitors are sent no others.
        """
        await self.server.broadcast(_message_of(message))

    # -- running -----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url

    @property
    def connected_clients(self) -> dict[str, ContactClient]:
        """The visitors who are connected now, by client id; a new mapping each time."""
        return {peer.key: ContactClient(self.server, peer.key) for peer in self.server.peers}

    async def serve(self) -> None:
        """Listen and answer until `stop`."""
        async with self.server:
            await self.answer()

    async def answer(self) -> None:
        """Answer on the open server until `stop`."""
        try:
            async for event in self.server:
                if isinstance(event, MessageReceived | RequestReceived):
                    await self._work.begin(self._take(event), event.chat.id)
        finally:
            await self._work.stop()

    def run(self) -> None:
        """Do the same without a loop of one's own; Ctrl C ends it."""
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self.serve())

    def stop(self) -> None:
        """End `serve` and `run`, from any thread."""
        self.server.shutdown()

    # -- inside ------------------------------------------------------------------------------

    async def _take(self, event: MessageReceived | RequestReceived) -> None:
        try:
            await self._handle(event, event.chat.id)
        except TrunklineError as error:
            _log.warning("answer failed", client=event.chat.id, error=str(error))
        except Exception as error:  # noqa: BLE001 - an overridden method must not end the service
            _log.error("answer failed", client=event.chat.id, error=error)

    async def _handle(self, event: MessageReceived | RequestReceived, client_id: str) -> None:
        if isinstance(event, RequestReceived):
            await self.save_chat_message(client_id, event.text, "user")
            return
        text = plain_text(event.segments)
        await self.save_chat_message(client_id, text, "user")
        try:
            answer = await self.generate_ai_response(text)
        except Exception as error:  # noqa: BLE001 - the visitor is told, the log has the reason
            _log.error("no answer", client=client_id, error=error)
            answer = FALLBACK
        if answer and not answer.isspace():
            await self.server.send(event, answer)
            await self.save_chat_message(client_id, answer, "assistant")


def run_contact_server(host: str = "127.0.0.1", port: int = 8080) -> None:
    """Serve guide 003 until Ctrl C."""
    ContactServer(host, port).run()


def _message_of(frame: Mapping[str, Any]) -> str:
    text = frame.get("message")
    if frame.get("type", "chat_message") != "chat_message" or not isinstance(text, str):
        raise ValueError("only a chat_message with a text can be sent to visitors")
    return text
