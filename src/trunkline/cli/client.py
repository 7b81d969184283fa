"""The way from a command to the running server: find it, ask it, and turn its no into an exit code.

The server is found by the data folder of the configuration: `trunkline.lock` tells its URL and
`api.token` opens it. `--url` and `TRUNKLINE_URL` point elsewhere, with `TRUNKLINE_TOKEN`; a token
is never taken from the command line, where every user of the machine could read it (reliability 8).
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tomllib
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, NoReturn, cast
from urllib.parse import quote

import msgspec
import typer

from .output import ExitCode, fail, language, text

if TYPE_CHECKING:
    import httpx2

CONFIG_NAMES: Final = ("trunkline.toml", "trunkline/trunkline.toml")
TIMEOUT_S: Final = 15.0
_INTERFACE: Final = "/openapi.json"
_NOT_ALLOWED: Final = frozenset({401, 403, 421, 429})
_WRONG: Final = frozenset({400, 404, 405, 413, 422})

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help=text("配置文件", "configuration file"))
]
UrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        help=text("服务地址（令牌取自 TRUNKLINE_TOKEN）", "server (token in TRUNKLINE_TOKEN)"),
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help=text("输出 JSON", "print JSON"))]


class Server(NamedTuple):
    """Where the server is.

    Args:
        ca_file: the server's own certificate, trusted besides the system's.
    """

    url: str
    token: str
    ca_file: Path | None = None


class Unreachable(Exception):
    """The server did not answer; `tail` waits for it, other commands end with exit code 3."""


class Event(NamedTuple):
    """One server-sent event, its data decoded."""

    name: str
    data: dict[str, Any]


def find_server(config: Path | None, url: str = "", env: Mapping[str, str] = os.environ) -> Server:
    """Find the server of a configuration, or the one that is named.

    Raises:
        CommandFailed: no server was ever started here (3), or a file cannot be read (2, 4).
    """
    url = url or env.get("TRUNKLINE_URL", "")
    token = env.get("TRUNKLINE_TOKEN", "")
    path = config or _find_config()
    settings = _read_config(path) if path else {}
    folder = _find_folder(path, settings, env)
    if not url and folder is not None:
        url = _read_lock(folder / "trunkline.lock")
    if not url:
        fail(
            ExitCode.UNREACHABLE,
            text("这里没有运行中的服务", "no server runs here"),
            text(
                "运行 trunkline serve，或用 -c 指明配置、用 --url 指明地址",
                "run trunkline serve, or name the configuration with -c or the address with --url",
            ),
        )
    if not token and folder is not None:
        token = _read_token(folder / "api.token")
    certificate = _setting(settings, "server", "tls_cert")
    ca_file = path.parent / certificate if path and certificate else None
    return Server(url.rstrip("/"), token, ca_file)


class Client:
    """Asks one server. Use as a context manager.

    Args:
        server: where it is.
        transport: for tests of what a server may answer; None = the network.
    """

    def __init__(self, server: Server, transport: httpx2.BaseTransport | None = None) -> None:
        import httpx2

        headers = {"Accept-Language": language()}
        if server.token:
            headers["Authorization"] = f"Bearer {server.token}"
        try:
            # Proxy variables of the environment must not lead the token elsewhere.
            self._http = httpx2.Client(
                base_url=server.url, headers=headers, timeout=TIMEOUT_S, trust_env=False,
                verify=_trust(server), transport=transport,
            )  # fmt: skip
        except (httpx2.InvalidURL, OSError, UnicodeError) as error:
            fail(ExitCode.USAGE, text(f"地址无效：{error}", f"the address is not usable: {error}"))
        self._url = server.url
        self._errors = (httpx2.TransportError, httpx2.StreamError, httpx2.InvalidURL)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, *, timeout_s: float = TIMEOUT_S, **query: Any) -> dict[str, Any]:
        """Ask for something; values of the query that are empty are left out.

        Raises:
            CommandFailed: the server says no.
            Unreachable: it does not answer.
        """
        with self._reaching():
            answer = self._http.get(path, params=_filled(query), timeout=timeout_s)
        return self._read(answer.status_code, answer.content)

    def post(
        self, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Ask for a change.

        Raises:
            CommandFailed: the server says no.
            Unreachable: it does not answer.
        """
        return self._change("POST", path, body, headers)

    def put(self, path: str, body: Any = None) -> dict[str, Any]:
        """Ask for something to be so; raises as `post` does."""
        return self._change("PUT", path, body, None)

    def delete(self, path: str) -> dict[str, Any]:
        """Ask for something to be no more; raises as `post` does."""
        return self._change("DELETE", path, None, None)

    def _change(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None
    ) -> dict[str, Any]:
        content = None if body is None else msgspec.json.encode(body)
        sent = dict(headers or {})
        if content is not None:
            sent["Content-Type"] = "application/json"
        with self._reaching():
            answer = self._http.request(method, path, content=content, headers=sent)
        return self._read(answer.status_code, answer.content)

    @contextlib.contextmanager
    def events(self, path: str, **query: Any) -> Generator[Iterator[Event]]:
        """Open a live stream; the events end when the server stops.

        Raises:
            CommandFailed: the server says no.
            Unreachable: it does not answer, or the connection is cut.
        """
        # The server sends something every 15 s; three times that is silence.
        asked = self._http.stream("GET", path, params=_filled(query), timeout=45.0)
        with self._reaching(), asked as answer:
            if answer.status_code != 200:
                self._read(answer.status_code, answer.read())
            yield self._events(answer)

    def _events(self, answer: httpx2.Response) -> Iterator[Event]:
        name = "message"
        with self._reaching():
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield Event(name, msgspec.json.decode(value, type=dict[str, Any]))

    @contextlib.contextmanager
    def _reaching(self) -> Generator[None]:
        try:
            yield
        except self._errors as error:
            raise Unreachable(f"{self._url}: {error or type(error).__name__}") from error

    def _read(self, status: int, content: bytes) -> dict[str, Any]:
        try:
            document = msgspec.json.decode(content, type=dict[str, Any])
        except msgspec.DecodeError:
            title = text(f"{self._url} 不是 trunkline", f"{self._url} is not trunkline")
            document = {"title": title}
            status = status if status >= 400 else 502
        if status >= 300:  # a redirect leads nowhere that our token may go
            _refuse(status, document)
        return document


def see_help() -> str:
    """Return the next step where the server knows none for whoever types."""
    return text("用法见 --help", "--help says how it is used")


def _refuse(status: int, problem: Mapping[str, Any]) -> NoReturn:
    code = ExitCode.PROBLEM
    if status in _NOT_ALLOWED:
        code = ExitCode.NOT_ALLOWED
    elif status in _WRONG:
        code = ExitCode.USAGE
    title, detail = str(problem.get("title") or status), str(problem.get("detail") or "")
    fix = str(problem.get("fix") or "")
    if _INTERFACE in fix:  # the interface is for programs; whoever types has a command
        fix = see_help()
    fail(code, f"{title}: {detail}" if detail else title, fix)


@contextlib.contextmanager
def connect(config: Path | None, url: str) -> Generator[Client]:
    """Open a client for one command; a server that does not answer ends it with exit code 3."""
    server = find_server(config, url)
    with Client(server) as client:
        try:
            yield client
        except Unreachable as error:
            give_up(error)


def give_up(error: Unreachable) -> NoReturn:
    """End the command: the server does not answer.

    Raises:
        CommandFailed: always, with exit code 3.
    """
    fail(
        ExitCode.UNREACHABLE,
        text(f"服务没有回应（{error}）", f"the server does not answer ({error})"),
        text("它在运行吗？ trunkline serve", "does it run? trunkline serve"),
    )


def in_path(part: str) -> str:
    """Return `part` as one segment of a path."""
    return quote(part, safe="")


def _filled(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value not in ("", None, [], 0)}


def _trust(server: Server) -> ssl.SSLContext:
    if not server.url.lower().startswith("https:"):
        # Loading the system's certificates takes longer than most commands; this trusts nobody.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context()
    if server.ca_file is not None and server.ca_file.is_file():
        context.load_verify_locations(server.ca_file)
    return context


def _find_config() -> Path | None:
    return next((path for name in CONFIG_NAMES if (path := Path(name)).is_file()), None)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        fail(ExitCode.USAGE, text(f"没有文件 {path}", f"there is no file {path}"))
    except (OSError, ValueError) as error:
        fail(
            ExitCode.USAGE,
            text(f"{path} 无法读取：{error}", f"{path} cannot be read: {error}"),
            "trunkline check",
        )


def _find_folder(
    path: Path | None, settings: Mapping[str, Any], env: Mapping[str, str]
) -> Path | None:
    named = env.get("TRUNKLINE__STORE__DIR") or _setting(settings, "store", "dir")
    if path is None:
        return Path(named) if named else None
    return path.parent / named


def _setting(settings: Mapping[str, Any], table: str, key: str) -> str:
    # Only text counts here: whether the configuration is right is what `check` tells.
    found = settings.get(table)
    value = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def _read_lock(path: Path) -> str:
    try:
        lock: Any = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return ""
    if not isinstance(lock, dict):
        return ""
    url = cast("dict[str, Any]", lock).get("url")
    return url if isinstance(url, str) else ""


def _read_token(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except OSError:
        fail(
            ExitCode.NOT_ALLOWED,
            text(f"不能读取 {path}", f"{path} cannot be read"),
            text("用运行服务的用户执行", "run this as the user who runs the server"),
        )
