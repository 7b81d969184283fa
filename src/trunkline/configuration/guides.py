"""What `serve --guides` serves: the guides' own ports and paths, as a table.

One row an address; a dialect that comes to an address is one row more. Pure text: nothing is opened
or written here. Source: guides 2
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

MAIN_PORT: Final = 8080
HOST: Final = "127.0.0.1"
TLS_CERT: Final = "ssl/server.crt"
TLS_KEY: Final = "ssl/server.key"


class Place(msgspec.Struct, frozen=True):
    """One line of the configuration: an address and who of the guides' readers finds it there.

    Args:
        line: its name.
        guide: number of the guide.
        dialect, role: of the line; "" = the dialect's first role.
        port: where; the main port has everything that needs no socket of its own.
        paths: the main one first; all are exact.
        has_tls: with the certificate, unless all is served plain.
        sample_zh, sample_en: which printed sample belongs here.
    """

    line: str
    guide: str
    dialect: str
    port: int
    paths: tuple[str, ...]
    sample_zh: str
    sample_en: str
    role: str = ""
    has_tls: bool = False


PLACES: Final = (
    Place(
        "contact", "003", "contact", MAIN_PORT, ("/contact", "/websocket/", "/websocket/contact"),
        "Python 与 JavaScript 示例", "the Python and the JavaScript sample",
    ),
    Place(
        "onebot", "002", "onebot11", 8000, ("/ws/",),
        "ws_client.py、simple_client.py 与打印的事件",
        "ws_client.py, simple_client.py and the printed events", role="framework",
    ),
    Place(
        "maim-8000", "004", "maim", 8000, ("/ws",),
        "MaimCore 的默认端口", "the default port of MaimCore", role="core",
    ),
    Place(
        "maim-18000", "004", "maim", 18000, ("/ws",),
        "MessageServer 的默认端口", "the default port of MessageServer", role="core",
    ),
    Place(
        "maim-8090", "004", "maim", 8090, ("/ws",),
        "Python 与 JavaScript 示例", "the Python and the JavaScript sample",
        role="core", has_tls=True,
    ),
)  # fmt: skip

_HEAD = """\
# The guides' own ports and paths: what they print works against this unchanged.
# 各指南自己的端口和路径：指南中的示例不改一字即可使用。

[server]
host = "{host}"
port = {port}
"""

_RULE = """
[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""


def write_guides(
    places: Sequence[Place] = PLACES, certificate: tuple[str, str] | None = (TLS_CERT, TLS_KEY)
) -> str:
    """Return the configuration that serves these places.

    Args:
        places: rows of `PLACES`; those whose port is taken are left out by the caller.
        certificate: paths of the certificate and its key; None = no TLS anywhere.
    """
    parts = [_HEAD.format(host=HOST, port=MAIN_PORT)]
    parts += [_line(place, certificate) for place in places]
    return "".join([*parts, _RULE])


def _line(place: Place, certificate: tuple[str, str] | None) -> str:
    path, *aliases = place.paths
    lines = [f"\n[lines.{place.line}]", f'dialect = "{place.dialect}"']
    if place.role:
        lines.append(f'role = "{place.role}"')
    if place.port != MAIN_PORT:
        lines.append(f'bind = "{HOST}:{place.port}"')
    lines.append(f'path = "{path}"')
    if aliases:
        lines.append(f"aliases = [{', '.join(map(_quote, aliases))}]")
    if place.has_tls and certificate is not None:
        cert, key = certificate
        lines += [f"tls_cert = {_quote(cert)}", f"tls_key = {_quote(key)}"]
    lines.append("dedupe = false")
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """Return a TOML string: JSON's escapes are TOML's too."""
    return msgspec.json.encode(text).decode()
