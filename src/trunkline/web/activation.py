"""Listening sockets that somebody else opened and hands over, so that a restart refuses nobody.

The protocol is systemd's: descriptors from 3 on, `LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`. Who
handed a socket over keeps it open while we restart, so connections wait in the kernel instead of
being refused. Which socket is for which address is told by the socket itself; names only decide
where an address cannot (`port = 0`).

Source: sd_listen_fds(3); reliability 6
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from trunkline.errors import ConfigError

FIRST_DESCRIPTOR: Final = 3
MAX_SOCKETS: Final = 256
_ANY: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


class Handed(msgspec.Struct, frozen=True):
    """One socket that was handed over.

    Args:
        name: as `LISTEN_FDNAMES` has it; "" without.
    """

    sock: socket.socket
    name: str

    @property
    def host(self) -> str:
        """The address that it is bound to."""
        return str(self.sock.getsockname()[0])

    @property
    def port(self) -> int:
        """The port that it is bound to."""
        return int(self.sock.getsockname()[1])

    @property
    def takes_both(self) -> bool:
        """Whether an IPv6 socket takes IPv4 too, as systemd's `ListenStream=8080` does."""
        return self.sock.family == socket.AF_INET6 and not self.sock.getsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + (f" ({self.name})" if self.name else "")


def read_handed(env: Mapping[str, str], pid: int, first: int = FIRST_DESCRIPTOR) -> list[Handed]:
    """Return the sockets that were handed over to this process, usually none.

    Raises:
        ConfigError: what was handed over is not a listening TCP socket.
    """
    if env.get("LISTEN_PID") != str(pid):
        return []  # inherited from somebody for whom they were
    count = env.get("LISTEN_FDS", "0")
    if not count.isascii() or not count.isdigit() or int(count) > MAX_SOCKETS:
        raise ConfigError([f"LISTEN_FDS: {count!r} is not a number up to {MAX_SOCKETS}"])
    names = env.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * int(count)
    handed: list[Handed] = []
    problems: list[str] = []
    for nth in range(int(count)):
        descriptor = first + nth
        try:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's signature
            sock = socket.socket(fileno=descriptor)
        except OSError as error:
            problems.append(f"LISTEN_FDS: descriptor {descriptor} is no socket: {error.strerror}")
            continue
        if (
            sock.family not in (socket.AF_INET, socket.AF_INET6)
            or sock.type != socket.SOCK_STREAM
            or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            problems.append(f"LISTEN_FDS: descriptor {descriptor} is not a listening TCP socket")
            sock.detach()  # not ours to close
            continue
        sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        handed.append(Handed(sock, names[nth]))
    if problems:
        for one in handed:
            one.sock.detach()
        raise ConfigError(problems)
    return handed


class Sockets:
    """Gives each address the sockets that were handed over for it.

    Args:
        handed: all of them.
    """

    def __init__(self, handed: Sequence[Handed] = ()) -> None:
        self._left = list(handed)

    def take(self, bind: str, hosts: Sequence[str], port: int) -> list[socket.socket]:
        """Return the sockets of an address; none = it must be opened.

        Args:
            bind: as it is configured, "" for the main one: a hint when `port` is 0.
            hosts: the numeric addresses that it means.
            port: 0 takes the sockets of one port, the one named `bind` first.
        """
        fit = [one for one in self._left if _fits(one, hosts, port)]
        if not port and fit:
            named = [one for one in fit if one.name == (bind or "main")]
            chosen = (named or fit)[0].port
            fit = [one for one in fit if one.port == chosen]
        for one in fit:
            self._left.remove(one)
        return [one.sock for one in fit]

    def require_none(self) -> list[str]:
        """Return a problem for each socket that no address is for, and let them go."""
        problems = [
            f"LISTEN_FDS: the socket {one} matches no bind; set [server] host and port, or a "
            "line's bind, to its address"
            for one in self._left
        ]
        for one in self._left:
            one.sock.detach()
        self._left.clear()
        return problems


def _fits(one: Handed, hosts: Sequence[str], port: int) -> bool:
    if port and one.port != port:
        return False
    return one.host in hosts or (one.takes_both and one.host == "::" and _ANY[0] in hosts)
