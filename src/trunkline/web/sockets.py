"""The addresses that a server listens on: opened before anything is served, with or without TLS."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Sequence

import msgspec

from trunkline.errors import ConfigError

from .activation import Sockets


class Socket(msgspec.Struct, frozen=True):
    """One address to listen on.

    Args:
        bind: the key of its doors in the gate; the socket with "" also has the app.
        host, port: port 0 picks a free one.
        tls_cert, tls_key: PEM files; "" = no TLS.
    """

    bind: str
    host: str
    port: int
    tls_cert: str = ""
    tls_key: str = ""


def make_context(at: Socket) -> ssl.SSLContext | None:
    """Return what TLS needs at an address, None when it has none.

    Raises:
        ConfigError: a file cannot be read, or is none.
    """
    if not at.tls_cert and not at.tls_key:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(at.tls_cert, at.tls_key or None)
    except (OSError, ssl.SSLError) as error:
        files = f"tls_cert {at.tls_cert!r}, tls_key {at.tls_key!r}"
        raise ConfigError([f"{files} for {at.bind}: {error}"]) from error
    return context


async def bind_sockets(at: Socket, handed: Sockets) -> list[socket.socket]:
    """Return sockets for every address of the host; all get the same port.

    Args:
        handed: sockets that a service manager has opened; taken instead when they are the ones.

    Raises:
        ConfigError: the address cannot be had.
    """
    where = f"{at.host}:{at.port}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            at.host or None,
            at.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except OSError as error:
        raise ConfigError([f"{where}: {error.strerror}"]) from error
    sockets = handed.take(at.bind, [str(address[0]) for *_, address in found], at.port)
    if sockets:
        return sockets
    port = at.port
    problem = ""
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port, *address[2:]))
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRINUSE:
                close_all(sockets)
                raise ConfigError([f"port {port} of {at.host} is already in use"]) from error
            problem = error.strerror or str(error)
            continue
        sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        sockets.append(sock)
        port = sock.getsockname()[1]
    if not sockets:
        raise ConfigError([f"cannot listen on {where}: {problem}"])
    return sockets


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close what was opened for nothing."""
    for each in sockets:
        each.close()


def url_of(sock: socket.socket, *, is_tls: bool) -> str:
    """Return the address of a bound socket, as people write it."""
    host, port, *_ = sock.getsockname()
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if is_tls else 'http'}://{name}:{port}"
