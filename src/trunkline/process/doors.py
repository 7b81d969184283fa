"""The addresses of this process and which lines are behind them.

One main address has the HTTP application and every listening line without a `bind`; each further
`bind` has the doors of its own lines only. Sockets that a service manager has opened are taken
instead of new ones (`LISTEN_FDS`), so a restart refuses nobody.

Source: reliability 6
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import msgspec

from trunkline.config import Config
from trunkline.lines.line import Line
from trunkline.lines.listen import Gate
from trunkline.web.activation import Sockets, read_handed
from trunkline.web.requests import App
from trunkline.web.server import Server, Socket


class Ready(msgspec.Struct, frozen=True):
    """What is known once it listens.

    Args:
        url: of the main port.
        sockets: further addresses by line.
        demo_url: of the page to try, "" when there is no contact line.
    """

    url: str
    sockets: Mapping[str, str]
    demo_url: str
    token_file: str


def ws_url(url: str) -> str:
    """Turn `http(s)://…` into `ws(s)://…`."""
    return "ws" + url.removeprefix("http")


def hang_doors(gate: Gate, lines: Iterable[Line]) -> None:
    """Give the gate the doors of every line that listens."""
    for line in _listening(lines):
        binds = line.options.bind or ("",)
        for path in line.dialect.paths(line.options):
            for bind in binds:
                gate.add(bind, path, line)
        for bind in binds:
            gate.add_requests(bind, line)


def make_server(config: Config, app: App, gate: Gate, lines: Iterable[Line]) -> Server:
    """Return the server of all addresses; it listens when it is started.

    Raises:
        ConfigError: what a service manager handed over is not a listening TCP socket.
    """
    handed = Sockets(read_handed(os.environ, os.getpid()))
    return Server(app, gate, sockets_of(config, lines), handed=handed)


def sockets_of(config: Config, lines: Iterable[Line]) -> list[Socket]:
    """Return where to listen: the main address, then each `bind` once, by its first line."""
    server = config.server
    key = server.tls_key.get_secret_value() if server.tls_key else ""
    sockets = {"": Socket("", server.host, server.port, server.tls_cert, key)}
    for line in _listening(lines):
        options = line.options
        for bind in options.bind:
            if bind not in sockets:
                host, _, port = bind.rpartition(":")
                own = options.tls_key.get_secret_value() if options.tls_key else ""
                sockets[bind] = Socket(bind, host.strip("[]"), int(port), options.tls_cert, own)
    return list(sockets.values())


def demo_path_of(lines: Iterable[Line]) -> str:
    """Return the path that the page to try talks to, "" when there is none."""
    for line in lines:
        if line.is_public and line.options.enabled and not line.options.bind:
            return str(line.dialect.paths(line.options)[0])
    return ""


def open_doors(config: Config, lines: Mapping[str, Line], bound: Mapping[str, str]) -> Ready:
    """Tell every line that listens where it is.

    Args:
        bound: what `Server.start` returned.
    """
    sockets: dict[str, str] = {}
    for line in _listening(lines.values()):
        where = tuple(
            ws_url(bound[bind]) + path
            for bind in line.options.bind or ("",)
            for path in line.dialect.paths(line.options)
        )
        line.serve(is_on=True, where=where)
        if line.options.bind:
            sockets[line.name] = where[0]
    return Ready(
        url=bound[""],
        sockets=sockets,
        demo_url=f"{bound['']}/demo" if demo_path_of(lines.values()) else "",
        token_file=str(config.folder / "api.token"),
    )


def _listening(lines: Iterable[Line]) -> Iterable[Line]:
    return (line for line in lines if line.options.link == "listen" and line.options.enabled)
