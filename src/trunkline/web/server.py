"""The HTTP server: uvicorn's protocol with a bounded request head, on the sockets it is given.

One server serves every socket. The main one has the ASGI app and the gate; further ones have only
the doors of their own `bind`. uvicorn's own runner is not used: signals, logging and the order of
stopping belong to `process/`. uvicorn appears in this file only.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from trunkline.errors import ConfigError
from trunkline.lines.listen import Answer, Call, Gate

from .activation import Sockets
from .requests import App, LineRequests
from .sockets import Socket, bind_sockets, close_all, make_context, url_of

_Message = MutableMapping[str, Any]

_BACKLOG: Final = 2048
_CANCEL_S: Final = 1.0
_TLS_HANDSHAKE_S: Final = 5.0
_DATE_EVERY_S: Final = 1.0
_FRESH_S: Final = 0.5
_FRESH_STEP_S: Final = 0.01


class HeadLimits(msgspec.Struct, frozen=True):
    """Bounds of a request head, which uvicorn has none of. Source: reliability 8.

    Args:
        max_bytes: request line and headers.
        max_fields: headers.
        arrive_s: from the connection, or the first byte of a further request, to the last header.
        keep_alive_s: an idle connection lives so long.
    """

    max_bytes: int = 16_384
    max_fields: int = 64
    arrive_s: float = 5.0
    keep_alive_s: float = 15.0


async def not_found(
    scope: _Message,
    receive: Callable[[], Awaitable[_Message]],  # noqa: ARG001, RUF100 - ASGI's signature
    send: Callable[[_Message], Awaitable[None]],
) -> None:
    """Answer 404: the app of a socket that has only doors."""
    if scope["type"] != "http":
        return
    body = b"nothing is served here\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection: uvicorn's, with a bounded head, and doors in front of the app."""

    parser: Any  # httptools has no types

    def __init__(
        self, config: Config, state: ServerState, *, app: App, gate: Gate, bind: str,
        limits: HeadLimits,
    ) -> None:  # fmt: skip
        super().__init__(config, state, {})
        self.app = cast("Any", app)  # uvicorn's own types of ASGI are closed ones
        self.timeout_keep_alive = limits.keep_alive_s  # type: ignore[assignment]  # any number works
        self._gate = gate
        self._bind = bind
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_in_head = True
        self._is_refused = False
        self._is_door = False
        self._raw_bytes = 0  # of a head that is not complete yet
        self._field_bytes = 0  # of what the parser has found in it
        self._completed = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) + self._gate.links > self._gate.max_links:
            self._answer(Answer(503, "too many connections", (("Retry-After", "5"),)))
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and count what belongs to a head that is not complete."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        if self._is_in_head and self._head_timer is None:
            self._arm()
        completed = self._completed
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._is_door and not self._is_refused:
                at: int = upgrade.args[0]
                self._knock(data[at:])
            return
        except httptools.HttpParserError:
            self._answer(Answer(400, "this is not HTTP/1.1"))
            return
        if self._is_in_head and completed == self._completed:
            self._raw_bytes += len(data)
            if max(self._raw_bytes, self._field_bytes) > self._limits.max_bytes:
                self._answer(Answer(431, "the request head is too large"))

    # -- what the parser calls --------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_in_head = True
        self._raw_bytes = self._field_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the request target."""
        self._field_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer of a chunked body: both count."""
        self._field_bytes += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse, prepare for the gate, or start the app."""
        self._is_in_head = False
        self._disarm()
        if (
            self._field_bytes > self._limits.max_bytes
            or len(self.headers) > self._limits.max_fields
        ):
            self._answer(Answer(431, "the request head is too large"))
            return
        self._is_door = bool(self._gate.find(self._bind, self.url)) and not self._is_request()
        if not self._is_door:
            super().on_headers_complete()
            if self.parser.should_upgrade():
                # The app answers as if nobody had asked; what follows is not HTTP any more.
                self.cycle.keep_alive = False
            return
        self.scope["method"] = self.parser.get_method().decode("ascii")
        if not self._should_upgrade():
            self._answer(self._gate.turn_away(self._bind, self.url))

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        if not self._is_refused and not self._is_door:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._completed += 1
        self._is_in_head = True
        if not self._is_refused and not self._is_door:
            super().on_message_complete()

    def _is_request(self) -> bool:
        """Whether a line takes this without an upgrade: then it goes the way of the app."""
        method = self.parser.get_method().decode("ascii")
        is_upgrade = self.parser.should_upgrade()
        return not is_upgrade and (
            self._gate.find_request(self._bind, self.url, method) is not None
        )

    def _should_upgrade(self) -> bool:
        return (
            self._is_door and self.parser.should_upgrade() and self._get_upgrade() == b"websocket"
        )

    # -- the gate ---------------------------------------------------------------------------

    def _knock(self, rest: bytes) -> None:
        # The link has the connection from here on; uvicorn's list is for what it must wait for.
        self.connections.discard(self)
        call = Call(
            bind=self._bind,
            method=self.scope["method"],
            target=self.url,
            version=self.parser.get_http_version(),
            headers=self.headers,
            peer=self.client[0] if self.client else "",
        )
        answer = self._gate.knock(call, self.transport, rest)
        if answer is not None:
            self.connections.add(self)
            self._answer(answer)
            return
        # uvloop's transport keeps a reference to its first protocol, so we live as long as the link
        # and let go of everything: about 3 KiB for each. Nobody calls us again.
        vars(self).clear()

    def _answer(self, answer: Answer) -> None:
        """Answer without the app, and close."""
        self._is_refused = True
        self._disarm()
        if self.transport.is_closing():
            return
        body = answer.text.encode() + b"\n"
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [
            f"{name.decode()}: {value.decode()}"
            for name, value in self.server_state.default_headers
        ]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        lines += ["content-type: text/plain; charset=utf-8", f"content-length: {len(body)}"]
        lines += ["connection: close", "", ""]
        self.transport.write("\r\n".join(lines).encode() + body)
        self.transport.close()

    @property
    def is_fresh(self) -> bool:
        """Whether its first request is still on the way."""
        return not self._completed and self._is_in_head and not self._is_refused

    def cut(self) -> None:
        """Drop the connection; a request that still runs is told that the client is gone."""
        if self.cycle is not None:  # type: ignore[redundant-expr]  # None before the first request
            self.cycle.disconnected = True
        self.transport.abort()

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(self._limits.arrive_s, self._late)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _late(self) -> None:
        self._head_timer = None
        if self._raw_bytes:
            self._answer(Answer(408, "the request head did not arrive in time"))
        elif not self.transport.is_closing():
            self.transport.close()


class Server:
    """Listens, serves the apps and the gate.

    Args:
        app: answers what is not a door, on the socket whose bind is "".
        gate: who may upgrade.
        sockets: where to listen.
        limits: of request heads.
        handed: sockets that are open already, for a restart that refuses nobody.
    """

    def __init__(
        self,
        app: App,
        gate: Gate,
        sockets: Sequence[Socket],
        limits: HeadLimits | None = None,
        handed: Sockets | None = None,
    ) -> None:
        self._handed = handed or Sockets()
        self._app = app
        self._gate = gate
        self._sockets = tuple(sockets)
        self._limits = limits or HeadLimits()
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._date_timer: asyncio.TimerHandle | None = None
        self._is_stopping = False

    async def start(self) -> dict[str, str]:
        """Listen on every address, or on none.

        Returns:
            For each bind its `http://` or `https://` URL, with the real port.

        Raises:
            ConfigError: an address cannot be bound, or a certificate cannot be read; all of them
                are named, and nothing listens.
        """
        problems: list[str] = []
        bound: list[tuple[Socket, list[socket.socket], ssl.SSLContext | None]] = []
        for at in self._sockets:
            try:
                context = make_context(at)
                bound.append((at, await bind_sockets(at, self._handed), context))
            except ConfigError as error:
                problems += error.problems
        problems += self._handed.require_none()
        if problems:
            for _, opened, _ in bound:
                close_all(opened)
            raise ConfigError(problems)
        self._set_date()
        config = _make_config()
        for at, opened, context in bound:
            for each in opened:
                await self._listen(config, at.bind, each, context)
        for server in self._servers:
            await server.start_serving()
        return {
            at.bind: url_of(opened[0], is_tls=context is not None) for at, opened, context in bound
        }

    async def stop_accepting(self) -> None:
        """Close the listening sockets; connections go on.

        Who was accepted just before may still send its request, half a second long: closing on it
        would look like a refusal.
        """
        for server in self._servers:
            server.close()
        self._servers.clear()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + _FRESH_S
        # An event would cost every request something; this runs once in the life of a process.
        while loop.time() < end_s and any(one.is_fresh for one in self._connections()):  # noqa: ASYNC110 - see above
            await asyncio.sleep(_FRESH_STEP_S)

    async def stop(self, grace_s: float) -> None:
        """Stop accepting, let running requests finish, then cancel them and cut what is left.

        Links are not touched: whoever has them closes them. Streams that never end by
        themselves must have been ended before, or they take the whole `grace_s`.
        """
        await self.stop_accepting()
        if self._date_timer is not None:
            self._date_timer.cancel()
            self._date_timer = None
        self._is_stopping = True
        for connection in self._connections():
            connection.shutdown()
        pending = set(self._state.tasks)
        if pending:
            _, pending = await asyncio.wait(pending, timeout=grace_s)
        for connection in self._connections():
            connection.cut()
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=_CANCEL_S)

    def _connections(self) -> tuple[HttpProtocol, ...]:
        # All connections of the state are ours, whatever uvicorn's type of the set says.
        return cast("tuple[HttpProtocol, ...]", tuple(self._state.connections))

    def _guard(self, app: App) -> App:
        """Wrap an app so that our own cancelling at stop does not look like its failure."""

        async def run(
            scope: _Message,
            receive: Callable[[], Awaitable[_Message]],
            send: Callable[[_Message], Awaitable[None]],
        ) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                if not self._is_stopping:
                    raise

        return run

    async def _listen(
        self,
        config: Config,
        bind: str,
        sock: socket.socket,
        context: ssl.SSLContext | None,
    ) -> None:
        make = functools.partial(
            HttpProtocol,
            config,
            self._state,
            app=self._guard(LineRequests(not_found if bind else self._app, self._gate, bind)),
            gate=self._gate,
            bind=bind,
            limits=self._limits,
        )
        server = await asyncio.get_running_loop().create_server(
            make,
            sock=sock,
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_TLS_HANDSHAKE_S if context else None,
            start_serving=False,
        )
        self._servers.append(server)

    def _set_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        loop = asyncio.get_running_loop()
        self._date_timer = loop.call_later(_DATE_EVERY_S, self._set_date)


def _make_config() -> Config:
    """Return uvicorn's settings: no logging, lifespan, proxy headers or WebSockets of its own."""
    config = Config(
        app=cast("Any", not_found),  # each socket has its own
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        interface="asgi3",
    )
    config.load()
    return config
