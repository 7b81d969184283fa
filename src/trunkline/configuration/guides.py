"""What `serve --guides` serves: the guides' own ports and paths, as a table.

One row an address; a dialect that comes to an address is one row more. The accounts of guides 000
and 001 dial and have no address. Pure text: nothing is opened or written here. Source: guides 2
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

# The account of guide 001 and where `init --template guides` has it look for a marketplace:
# `trunkline emulate xianyu --port 18091`. `serve --guides` opens one of its own on a free port.
MARKET_LINE: Final = "xianyu"
MARKET_URL: Final = f"http://{HOST}:18091"
COOKIES_FILE: Final = "xianyu.cookies"
SELLER: Final = "2200000000001"
COOKIES: Final = f"unb={SELLER}; cookie2=guide; _m_h5_tk=0123456789abcdef_1"
# Whoever runs the sample is another account: what it says must not look like the line's owner in
# the app, who would silence the line (`takeover_for_s`).
READER_COOKIES: Final = COOKIES.replace(SELLER, "2200000000009")
REPLY_PATH: Final = "/xianyu/reply"
# The account of guide 000 and where the template has it look for a gateway, likewise.
JOB_LINE: Final = "boss"
JOB_URL: Final = f"http://{HOST}:18092"
JOB_PATH: Final = "/chatws"
JOB_COOKIES_FILE: Final = "boss.cookies"
JOB_COOKIES: Final = "wt=guide-login; bst=guide-call-token"
# Another login, as of guide 001: what its owner writes is no message of the line's own account.
JOB_READER_COOKIES: Final = "wt=guide-reader; bst=guide-reader-token"

_HEAD = """\
# The guides' own ports and paths: what they print works against this unchanged.
# 各指南自己的端口和路径：指南中的示例不改一字即可使用。

[server]
host = "{host}"
port = {port}
"""

# Repeats stay recognised here: nobody types these frames, and a marketplace pushes again what was
# not acknowledged in time.
_MARKET = """
# Guide 001. The marketplace of `trunkline serve --guides`, else: {command}
# 指南 001。市场由 trunkline serve --guides 提供，否则先运行上面的命令。
[lines.{line}]
dialect = "xianyu"
url = "{url}/"
http_url = "{http_url}"
upload_url = "{http_url}"
cookies = {{ file = "{cookies}" }}
"""

# The tour shows answers, so nobody approves them here, and it may go on for longer than the 150
# messages that an account of a real platform should send on one day.
_JOB = """
# Guide 000. The gateway of `trunkline serve --guides`, else: {command}
# 指南 000。网关由 trunkline serve --guides 提供，否则先运行上面的命令。
[lines.{line}]
dialect = "boss"
url = "{url}"
http_url = "{http_url}"
cookies = {{ file = "{cookies}" }}
mode = "auto"                  # an account of yours: leave it out, answers then wait for you
every_s = 2.0
daily = 0
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
    market = _MARKET.format(
        command=f"trunkline emulate xianyu --port {MARKET_URL.rpartition(':')[2]} --messages 0",
        line=MARKET_LINE,
        url="ws" + MARKET_URL.removeprefix("http"),
        http_url=MARKET_URL,
        cookies=COOKIES_FILE,
    )
    job = _JOB.format(
        command=f"trunkline emulate boss --port {JOB_URL.rpartition(':')[2]} --messages 0",
        line=JOB_LINE,
        url="ws" + JOB_URL.removeprefix("http") + JOB_PATH,
        http_url=JOB_URL,
        cookies=JOB_COOKIES_FILE,
    )
    return "".join([*parts, market, job, _RULE])


def write_cookies() -> str:
    """Return the seller's cookies; a marketplace of this machine lets everybody in."""
    return COOKIES + "\n"


def write_job_cookies() -> str:
    """Return the job seeker's cookies; a gateway of this machine lets everybody in."""
    return JOB_COOKIES + "\n"


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
