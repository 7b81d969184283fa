"""The end that listens: the product's own listener with the doors of one line and nothing else."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from trunkline.errors import ConfigError
from trunkline.exchange.contract import Broadcast
from trunkline.lines.listen import Gate, GateRules
from trunkline.model.address import Chat
from trunkline.model.delivery import Say
from trunkline.model.message import parse_message
from trunkline.web.server import Server, Socket, not_found

from .line import SEND_S, Embedded
from .settings import Settings
from .watched import WatchedLine

_GRACE_S: Final = 0.5
# How the exchange marks a broadcast for the dialect. Source: contact 5.3
_BROADCAST: Final = msgspec.msgpack.encode({"broadcast": True})


class EmbeddedServer(Embedded):
    """A line that listens.

    Args:
        is_open: nobody is refused for being elsewhere.
        allowed_hosts: names by which this machine may be called, besides addresses.
    """

    def __init__(
        self,
        settings: Settings,
        queue_events: int,
        *,
        is_open: bool = False,
        allowed_hosts: tuple[str, ...] = (),
    ) -> None:
        super().__init__(settings, queue_events)
        self._is_open = is_open
        self._allowed_hosts = allowed_hosts
        self._gate: Gate | None = None
        self._server: Server | None = None
        self.urls: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The first address that it listens on, with the real port."""
        if not self.urls:
            raise RuntimeError("the server does not listen yet")
        return self.urls[0]

    async def broadcast(self, text: str) -> Broadcast:
        """Say something to everybody who is connected; return how many got it and how many not.

        Raises:
            ValueError: the text is empty, or this is no contact site.
        """
        if not self.settings.dialect.traits[self.settings.options.role].is_site:
            raise ValueError("only a contact site broadcasts")
        what = Say(parse_message(text))
        chats = [Chat("", self.settings.dialect.kinds[0], peer.key) for peer in self.peers]
        sends = [self._deliver(chat, what, SEND_S, _BROADCAST) for chat in chats]
        fates = await asyncio.gather(*sends, return_exceptions=True)
        good = sum(not isinstance(fate, BaseException) and fate.is_sent for fate in fates)
        return Broadcast(good, len(fates) - good)

    async def _start(self, line: WatchedLine) -> None:
        options = self.settings.options
        line.is_open = self._is_open
        rules = GateRules(allowed_hosts=self._allowed_hosts)
        self._gate = Gate(self._commons, self.clock, rules)
        paths = tuple(dict.fromkeys(line.dialect.paths(options)))
        key = options.tls_key.get_secret_value() if options.tls_key else ""
        sockets: list[Socket] = []
        for nth, bind in enumerate(options.bind):
            host, _, port = bind.rpartition(":")
            name = f"{nth} {bind}"  # the same address twice is two sockets: the system refuses
            sockets.append(Socket(name, host.strip("[]"), int(port), options.tls_cert, key))
            for path in paths:
                self._gate.add(name, path, line)
            self._gate.add_requests(name, line)
        server = Server(not_found, self._gate, sockets)
        bound = await server.start()
        self._server = server
        self.urls = tuple(
            bound[socket.bind].replace("http", "ws", 1) + path
            for socket in sockets
            for path in paths
        )
        line.serve(is_on=True, where=self.urls)
        if self._is_over:
            raise ConfigError(["the server was shut down before it was opened"])

    async def _stop(self, line: WatchedLine) -> None:
        if self._server is not None:
            await self._server.stop_accepting()

    async def _stopped(self) -> None:
        if self._server is not None:
            await self._server.stop(_GRACE_S)

    def _auth_failed(self, peer: str) -> None:
        if self._gate is not None:
            self._gate.auth_failed(peer)
