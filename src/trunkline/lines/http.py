"""Performs `Fetch`: the HTTP calls that sessions ask for, under the rules of `reliability 8`.

Only http and https; the name is looked up once, every address of it is checked, and the connection
goes to a checked one. Private, loopback, link-local and other special addresses are refused except
for hosts that the line's owner wrote. No redirect, no proxy variables, no cookies of our own. At
most 16 calls run and 256 wait.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from trunkline.dialects.contract import Fetch, Fetched
from trunkline.errors import LinkError, LinkTimeout

if TYPE_CHECKING:  # loaded on first use: most starts need none of it
    import httpx2

RUNNING: Final = 16
WAITING: Final = 256  # as many lines may ask for their tokens when a process starts
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]


class Fetcher:
    """The one place that makes sessions' calls. It owns every task that it starts.

    Args:
        resolve: `(host, port) → addresses`; the system's by default.
        transport: for tests.
    """

    def __init__(
        self, resolve: Resolve | None = None, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._resolve = resolve or _resolve
        self._transport = transport
        self._client: httpx2.AsyncClient | None = None
        self._slots = asyncio.Semaphore(RUNNING)
        self._tasks: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        """Load what a first call would load, which stops the loop for longer than 50 ms."""
        self._client = self._client or self._make_client()
        from anyio.lowlevel import checkpoint  # what httpx2 calls through; loads its back-end

        await checkpoint()

    def _make_client(self) -> httpx2.AsyncClient:
        import httpx2

        return httpx2.AsyncClient(
            follow_redirects=False, trust_env=False, transport=self._transport, timeout=None
        )

    def fetch(
        self, request: Fetch, own_hosts: frozenset[str], answer: Callable[[object], None]
    ) -> None:
        """Make a call; `answer` gets a `Fetched` or an error, once, on the loop's thread."""
        if len(self._tasks) >= RUNNING + WAITING:
            answer(LinkError("too many calls wait"))
            return
        task = asyncio.get_running_loop().create_task(self._run(request, own_hosts, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up what runs; nobody is answered any more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _run(
        self, request: Fetch, own_hosts: frozenset[str], answer: Callable[[object], None]
    ) -> None:
        import httpx2

        try:
            async with asyncio.timeout(request.timeout_s), self._slots:
                found: object = await self._call(request, own_hosts)
        except TimeoutError:
            found = LinkTimeout(f"no answer within {request.timeout_s:g} s")
        except LinkError as error:
            found = error
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ValueError) as error:
            # Only the kind: a text of the library may hold the address with its query.
            found = LinkError(f"the call failed: {type(error).__name__}")
        answer(found)

    async def _call(self, request: Fetch, own_hosts: frozenset[str]) -> Fetched:
        url = urlsplit(request.url)
        host = url.hostname or ""
        if url.scheme not in ("http", "https") or not host:
            raise LinkError("only http:// and https:// are fetched")
        port = url.port or (443 if url.scheme == "https" else 80)
        address = await self._check(host, port, is_own=host in own_hosts)
        at = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        headers["host"] = url.netloc.rpartition("@")[2]
        client = self._client = self._client or self._make_client()
        async with client.stream(
            request.method,
            urlunsplit((url.scheme, at, url.path, url.query, "")),
            headers=headers,
            content=request.body,
            extensions={"sni_hostname": host},
        ) as response:
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > request.max_bytes:
                    raise LinkError(f"the answer is longer than {request.max_bytes} bytes")
            client.cookies.clear()
            told = tuple((name.lower(), value) for name, value in response.headers.multi_items())
            return Fetched(response.status_code, told, bytes(body))

    async def _check(self, host: str, port: int, *, is_own: bool) -> str:
        """Return the address to connect to; all of a name must be allowed."""
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise LinkError(f"{host}: {error.strerror or 'name resolution failed'}") from error
        if not addresses:
            raise LinkError(f"{host} has no address")
        if not is_own:
            for address in addresses:
                if not is_public(address):
                    raise LinkError(f"{host} is at a private address; it is not fetched")
        return addresses[0]


def is_public(text: str) -> bool:
    """Whether an address is one of the open internet. Source: reliability 8"""
    address: _IP = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in _NAT64 or address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found: list[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [entry[4][0] for entry in found]
