"""Guide 004: the classes of the published package, over `connect` and `listen` (`maim 2`, `6`).

    server = MessageServer(host="127.0.0.1", port=8090)
    server.register_message_handler(handle)    # gets the decoded frame, plain or async
    server.run_sync()

Frames pass as they are: what `send_message` is given is what the peer reads, and a handler gets the
object that the peer sent. `Router` is the package's, not `trunkline.Router`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import inspect
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol, Self, TypeAlias, runtime_checkable

import msgspec

from trunkline.embed import EmbeddedLine, EmbeddedServer, connect, listen
from trunkline.embed.line import Embedded
from trunkline.errors import ConfigError
from trunkline.model.address import Chat
from trunkline.telemetry.logs import get_logger

from .work import Work

Handler: TypeAlias = Callable[[dict[str, Any]], Any]
AT_WORK: Final = 256  # handlers at work; then no more is read
_log = get_logger("guides")


@runtime_checkable
class HasDict(Protocol):
    """A message object, such as the package's `MessageBase`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the message as it stands in JSON."""
        ...


Frame: TypeAlias = Mapping[str, Any] | HasDict


class TargetConfig(msgspec.Struct):
    """Where a platform's core is.

    Args:
        url: `ws://` or `wss://`.
        token: for the `authorization` header.
        ssl_verify: PEM file with the certificate to believe; None = the system's roots.
    """

    url: str = ""
    token: str | None = None
    ssl_verify: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return msgspec.structs.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make one from plain values; other keys are left out."""
        return cls(data.get("url") or "", data.get("token"), data.get("ssl_verify"))


class RouteConfig(msgspec.Struct):
    """The targets by platform."""

    route_config: dict[str, TargetConfig] = {}

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        targets = {platform: target.to_dict() for platform, target in self.route_config.items()}
        return {"route_config": targets}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make one from plain values."""
        targets: Mapping[str, Mapping[str, Any]] = data.get("route_config") or {}
        return cls({name: TargetConfig.from_dict(target) for name, target in targets.items()})


class Handlers:
    """The functions that get frames, and the work they began."""

    def __init__(self) -> None:
        self.message_handlers: list[Handler] = []
        self.custom_message_handlers: dict[str, list[Handler]] = {}
        self.work = Work(AT_WORK)

    def register_message_handler(self, handler: Handler) -> None:
        """Call with each message, once however often it is registered."""
        if handler not in self.message_handlers:
            self.message_handlers.append(handler)

    def register_custom_message_handler(self, message_type_name: str, handler: Handler) -> None:
        """Call with each custom message of this name."""
        handlers = self.custom_message_handlers.setdefault(message_type_name, [])
        if handler not in handlers:
            handlers.append(handler)

    async def process_message(self, message: dict[str, Any]) -> None:
        """Call whom a frame is for; what they raise is logged."""
        name = message.get("message_type_name")
        custom = self.custom_message_handlers.get(name, []) if isinstance(name, str) else []
        is_custom = bool(message.get("is_custom_message") or custom)
        for handler in list(custom if is_custom else self.message_handlers):
            try:
                result = handler(message)
                if inspect.isawaitable(result):
                    await result
            except Exception as error:  # noqa: BLE001 - the embedding program's code
                _log.error("handler failed", error=error)

    async def hear(self, frame: object) -> None:
        """Take a frame of the embedded line."""
        if isinstance(frame, dict):
            # What a peer sends as an object has text for keys.
            await self.work.begin(self.process_message(frame))  # pyright: ignore[reportUnknownArgumentType]


class MessageServer(Handlers):
    """A core: adapters connect to it, one platform each.

    Args:
        host, port, path: where it listens; port 0 picks a free one, which `url` names.
        enable_token: only who has a token of `add_valid_token` (at most two) is let in.
        app: not supported: the server has its own port.
        ssl_certfile, ssl_keyfile: for `wss://`.
        mode: `ws`; the package's own `tcp` is not supported.
        allow_open: listen to strangers without a token or TLS.

    Raises:
        ConfigError: something of this cannot work.
        UnsafeConfig: strangers could come in (exit 78); with `enable_token` told by `run`.
    """

    def __init__(  # noqa: PLR0913 - the package's signature
        self,
        host: str = "0.0.0.0",  # noqa: S104 - the package's; `require_safe` has its say
        port: int = 18000,
        enable_token: bool = False,  # noqa: FBT001, FBT002 - the package's signature
        app: object = None,
        path: str = "/ws",
        ssl_certfile: str | None = None,
        ssl_keyfile: str | None = None,
        mode: Literal["ws", "tcp"] = "ws",
        *,
        allow_open: bool = False,
    ) -> None:
        super().__init__()
        problems: list[str] = []
        if mode != "ws":
            problems.append('mode must be "ws": the package\'s own tcp transport is not supported')
        if app is not None:
            problems.append("app: the server has a port of its own; leave it out")
        if problems:
            raise ConfigError(problems)
        self._bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._path = path
        self._tls = (ssl_certfile or "", ssl_keyfile or "")
        self._allow_open = allow_open
        self._enable_token = enable_token
        self._tokens: list[str] = []
        self.server: EmbeddedServer | None = None
        if not enable_token:
            self._make()

    @property
    def url(self) -> str:
        """Where it listens."""
        if self.server is None:
            raise RuntimeError("the server does not listen yet")
        return self.server.url

    def add_valid_token(self, token: str) -> None:
        """Let in who has this token, from the next start on."""
        if token not in self._tokens:
            self._tokens.append(token)

    def remove_valid_token(self, token: str) -> None:
        """Let in who has this token no longer, from the next start on."""
        if token in self._tokens:
            self._tokens.remove(token)

    async def verify_token(self, token: str) -> bool:
        """Whether this token lets in."""
        found = [hmac.compare_digest(token.encode(), known.encode()) for known in self._tokens]
        return any(found) or not self._enable_token

    async def start_server(self) -> None:
        """Listen, and return."""
        self.server = server = self._make()
        server.on_frame(self.hear)
        await server.open()

    async def run(self) -> None:
        """Listen until `stop`."""
        if self.server is None:
            await self.start_server()
        try:
            if self.server is not None:
                await self.server.run()
        finally:
            await self.work.stop()
            self.server = None

    def run_sync(self) -> None:
        """Do the same without a loop of one's own; Ctrl C ends it."""
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self.run())

    async def stop(self) -> None:
        """End `run` and close every connection."""
        if self.server is not None:
            self.server.shutdown_now()
            await self.server.close()

    async def send_message(self, message: Frame) -> bool:
        """Send a message to the adapter of its platform; return whether it was written."""
        frame = _as_dict(message)
        return await self.broadcast_to_platform(_platform_of(frame), frame)

    async def broadcast_to_platform(self, platform: str, message: Frame) -> bool:
        """Send a frame to the adapter of a platform; return whether it was written."""
        return await _write(self.server, platform, "frame", _as_dict(message))

    async def broadcast_message(self, message: Frame) -> None:
        """Send a frame to every adapter."""
        for peer in self.server.peers if self.server is not None else ():
            await self.broadcast_to_platform(peer.account, message)

    async def send_custom_message(
        self, platform: str, message_type_name: str, message: Mapping[str, Any]
    ) -> bool:
        """Send a custom message to the adapter of a platform."""
        return await _write(self.server, platform, f"custom:{message_type_name}", message)

    def _make(self) -> EmbeddedServer:
        cert, key = self._tls
        options: dict[str, Any] = {"tls_cert": cert, "tls_key": key} if cert or key else {}
        tokens = self._tokens
        if self._enable_token:
            # Nobody has been given a token yet: one that nobody knows lets nobody in.
            options["token"] = tokens or [secrets.token_hex(16)]
        return listen(
            "maim",
            role="core",
            bind=self._bind,
            path=self._path,
            allow_open=self._allow_open,
            **options,
        )


class Router(Handlers):
    """Adapters: one connection to a core for each platform, kept up until `stop`.

    Args:
        config: the targets by platform.
    """

    def __init__(self, config: RouteConfig) -> None:
        super().__init__()
        self.config = config
        self.clients: dict[str, EmbeddedLine] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._stopped = asyncio.Event()

    def register_class_handler(self, handler: Handler) -> None:
        """Call with each message of every platform."""
        self.register_message_handler(handler)

    async def connect(self, platform: str) -> None:
        """Begin to connect a platform; it is dialled until `stop` or `remove_platform`.

        Raises:
            ValueError: there is no target for it.
            ConfigError: its target cannot work.
        """
        target = self.config.route_config.get(platform)
        if target is None:
            raise ValueError(f"there is no target for the platform {platform!r}")
        if platform in self._runs:
            return
        options: dict[str, Any] = {"url": target.url, "platform": platform, "max_failures": 0}
        if target.token:
            options["token"] = target.token
        if target.ssl_verify:
            options["ca_file"] = target.ssl_verify
        line = connect("maim", role="adapter", **options)
        line.on_frame(self.hear)
        self.clients[platform] = line
        self._runs[platform] = asyncio.create_task(_keep(line, platform))

    async def run(self) -> None:
        """Connect every platform and stay until `stop`."""
        self._stopped.clear()
        try:
            for platform in list(self.config.route_config):
                await self.connect(platform)
            await self._stopped.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Close every connection."""
        self._stopped.set()
        for platform in list(self._runs):
            await self._drop(platform)
        await self.work.stop()

    async def add_platform(self, platform: str, config: TargetConfig) -> None:
        """Set a target and connect it."""
        self.config.route_config[platform] = config
        await self.connect(platform)

    async def remove_platform(self, platform: str) -> None:
        """Forget a target and close its connection."""
        self.config.route_config.pop(platform, None)
        await self._drop(platform)

    async def update_config(self, config_data: Mapping[str, Any]) -> None:
        """Take another configuration: what changed is connected anew, what is gone is closed."""
        old, new = self.config.route_config, RouteConfig.from_dict(config_data)
        is_running = bool(self._runs)
        for platform in set(old) | set(new.route_config):
            if old.get(platform) != new.route_config.get(platform):
                await self._drop(platform)
        self.config = new
        for platform in new.route_config if is_running else ():
            await self.connect(platform)

    def check_connection(self, platform: str) -> bool:
        """Whether the connection of a platform is there."""
        line = self.clients.get(platform)
        return line is not None and line.is_connected

    def get_target_url(self, message: Frame) -> str | None:
        """Return where a message goes, or None."""
        target = self.config.route_config.get(_platform_of(_as_dict(message)))
        return target.url if target is not None else None

    async def send_message(self, message: Frame) -> bool:
        """Send a message to the core of its platform; return whether it was written.

        Raises:
            ValueError: there is no target for its platform.
        """
        frame = _as_dict(message)
        platform = _platform_of(frame)
        if platform not in self.config.route_config:
            raise ValueError(f"there is no target for the platform {platform!r}")
        return await _write(self.clients.get(platform), platform, "frame", frame)

    async def send_custom_message(
        self, platform: str, message_type_name: str, message: Mapping[str, Any]
    ) -> bool:
        """Send a custom message to the core of a platform; return whether it was written.

        Raises:
            ValueError: the platform was never connected.
        """
        if platform not in self.clients:
            raise ValueError(f"the platform {platform!r} is not connected")
        return await _write(
            self.clients[platform], platform, f"custom:{message_type_name}", message
        )

    async def _drop(self, platform: str) -> None:
        line, run = self.clients.pop(platform, None), self._runs.pop(platform, None)
        if line is not None:
            line.shutdown_now()
        if run is not None:
            await asyncio.wait({run})


async def _keep(line: EmbeddedLine, platform: str) -> None:
    try:
        await line.run()
    except Exception as error:  # noqa: BLE001 - one platform that cannot work leaves the others be
        _log.error("platform failed", platform=platform, error=str(error))


async def _write(line: Embedded | None, platform: str, name: str, data: Mapping[str, Any]) -> bool:
    """Have a frame or a custom message written to the peer of a platform, if it is there."""
    if line is None or all(peer.account != platform for peer in line.peers):
        return False
    fate = await line.act(name, data, Chat(platform, "platform", platform))
    return fate.is_sent


def _as_dict(message: Frame) -> Mapping[str, Any]:
    return message.to_dict() if isinstance(message, HasDict) else message


def _platform_of(frame: Mapping[str, Any]) -> str:
    info = frame.get("message_info")
    platform: object = info.get("platform") if isinstance(info, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - JSON
    if not isinstance(platform, str) or not platform:
        raise ValueError("message_info.platform says where a message goes; here is none")
    return platform
