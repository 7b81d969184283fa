"""Who may come in: the table of open routes, the API token, hosts, origins, proxies, lock-outs.

One pure ASGI middleware decides before any route runs. A route that is not in `OPEN` needs the
token; a new route is closed until somebody writes it into the table, and a test compares the table
with the live router. Listening lines are not served here: their doors are the gate's.

Source: reliability 8, guides 1.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from trunkline.clock import Clock
from trunkline.errors import ConfigError
from trunkline.lines.caller import (
    Caller,
    identify,
    is_host_allowed,
    is_loopback,
    parse_networks,
)

from .problem import Problem, Said, build_response

OPEN: Final = frozenset({
    "/", "/livez", "/healthz", "/readyz",
    "/demo", "/demo/app.js", "/demo/style.css", "/demo/icon.svg", "/demo/settings.json",
})  # fmt: skip
"""Paths that anybody may read with GET or HEAD. Everything else needs the token."""

OPEN_HERE: Final = frozenset({"/xianyu/reply"})
"""Paths that this machine may call with any method while the server is bound to loopback.

Source: guides 1; a browser's page cannot: it would have to ask before it sends JSON.
"""

IGNORES_PROXIES: Final = "/demo"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
ONCE: Final = (b"host", b"authorization", b"origin")
MAX_FAILURES: Final = 10
FAILURE_WINDOW_S: Final = 60.0
LOCK_OUT_S: Final = 300.0
MAX_ADDRESSES: Final = 4096
MAX_TOKEN_BYTES: Final = 1024
TOKEN_FILE: Final = "api.token"  # noqa: S105  a file name
IsRoute = Callable[[Scope], bool]


class Access(msgspec.Struct, frozen=True):
    """What the middleware decides by.

    Args:
        token_sha256: digest of the API token (`digest_token`).
        bind_host: where the server listens.
        allowed_hosts: further names in `Host`.
        origins: pages (`https://example.org`) that may call with unsafe methods.
        trusted_proxies: addresses or networks whose `X-Forwarded-For` counts.
    """

    token_sha256: bytes
    bind_host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()


def digest_token(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def ensure_api_token(folder: Path) -> str:
    """Return the API token of a data folder, made at the first start, readable by us alone.

    Raises:
        ConfigError: others can read the file, or it holds no token.
    """
    path = folder / TOKEN_FILE
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return _make_token(path)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError([f"{path} can be read by others; run: chmod 600 {path}"])
    with path.open("rb") as file:
        raw = file.read(MAX_TOKEN_BYTES + 1)
    try:
        token = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not token or len(raw) > MAX_TOKEN_BYTES:
        raise ConfigError([
            f"{path} holds no token; delete it and a new one is made at the next start"
        ])  # fmt: skip
    return token


def _make_token(path: Path) -> str:
    token = "tl_" + secrets.token_urlsafe(32)
    # Written beside and renamed: a crash in between leaves no empty token behind.
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return token


class LockOut:
    """Counts wrong tokens by address: 10 in a minute close the door for five (`reliability 8`).

    At most 4,096 addresses are remembered, the longest unseen is forgotten first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, address: str) -> None:
        """Note one wrong token."""
        now_s = self._clock.monotonic_s()
        count, until_s = self._seen.pop(address, (0, 0.0))
        if now_s >= until_s:
            count, until_s = 0, now_s + FAILURE_WINDOW_S
        count += 1
        if count == MAX_FAILURES:
            until_s = now_s + LOCK_OUT_S
        self._seen[address] = (count, until_s)
        if len(self._seen) > MAX_ADDRESSES:
            self._seen.popitem(last=False)

    def wait_s(self, address: str) -> float:
        """Return how long this address must wait, 0 = not at all."""
        count, until_s = self._seen.get(address, (0, 0.0))
        if count == 0:
            return 0.0
        left_s = until_s - self._clock.monotonic_s()
        if left_s <= 0:
            del self._seen[address]
            return 0.0
        return left_s if count >= MAX_FAILURES else 0.0


class Guard:
    """The middleware. Sets `scope["state"]["is_authorized"]` for routes that tell more to some.

    Args:
        is_route: whether the router knows a path; others are 404 for everybody outside `/api`.
        on_failure: called for each wrong token, for the metrics.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        clock: Clock,
        is_route: IsRoute,
        on_failure: Callable[[], None],
    ) -> None:
        self._app = app
        self._access = access
        self._is_route = is_route
        self._on_failure = on_failure
        self._lock_out = LockOut(clock)
        names = (access.bind_host, *access.allowed_hosts)
        self._hosts = tuple(name.lower() for name in names if name)
        self._is_bound_here = is_loopback(access.bind_host)
        self._proxies = parse_networks(access.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the call in, or answer it with a problem document."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # Upgrades belong to the gate; one that gets here has no door.
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
        except Problem as problem:
            language = headers.get("accept-language", "")
            response = build_response(problem, language, scope["path"])
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        path, method = scope["path"], scope["method"]
        if any(_count(scope, name) > 1 for name in ONCE):
            raise Problem("bad-request", Said("请求头重复。", "A header is repeated."))
        caller = self._identify(scope, headers)
        host = headers.get("host", "")
        if not is_host_allowed(host, self._hosts):
            raise Problem("wrong-host", Said(f"主机 {host[:100]}", f"Host {host[:100]}"))
        is_here = path in OPEN_HERE and caller.is_loopback and self._is_bound_here
        is_open = is_here or (path in OPEN and method in SAFE_METHODS)
        if method not in SAFE_METHODS:
            self._check_origin(headers, is_here=is_here)
        is_authorized = self._is_authorized(headers, caller, is_open=is_open)
        if not is_open and not is_authorized:
            if not path.startswith("/api/") and not self._is_route(scope):
                raise Problem("not-found")
            raise Problem("unauthorized", headers={"WWW-Authenticate": 'Bearer realm="trunkline"'})
        scope.setdefault("state", {})["is_authorized"] = is_authorized

    def _is_authorized(self, headers: Headers, caller: Caller, *, is_open: bool) -> bool:
        wait_s = 0.0 if caller.is_loopback else self._lock_out.wait_s(caller.address)
        if wait_s:
            if is_open:
                return False
            raise Problem("locked-out", headers={"Retry-After": str(int(wait_s) + 1)})
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not token or scheme.lower() != "bearer":
            return False
        if hmac.compare_digest(digest_token(token.strip()), self._access.token_sha256):
            return True
        self._on_failure()
        if not caller.is_loopback:
            self._lock_out.failed(caller.address)
        return False

    def _identify(self, scope: Scope, headers: Headers) -> Caller:
        """Return who calls; a proxy that nobody vouches for is refused except on the demo page."""
        client = scope.get("client")
        joined = {name: ", ".join(headers.getlist(name)) for name in headers}
        caller = identify(str(client[0]) if client else "", joined, self._proxies)
        path: str = scope["path"]
        if caller.is_proxied and path != IGNORES_PROXIES and not path.startswith("/demo/"):
            raise Problem("forwarded")
        return caller

    def _check_origin(self, headers: Headers, *, is_here: bool) -> None:
        origin = headers.get("origin")
        if origin is None or origin in self._access.origins:
            return
        if is_here and is_loopback(urlsplit(origin).hostname or ""):
            return  # guides 1: a page of this machine itself
        if urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            raise Problem("origin")


def _count(scope: Scope, name: bytes) -> int:
    return sum(1 for key, _ in scope["headers"] if key == name)
