"""Debian's nginx in front, with the configuration that `docs/nginx.conf` shows.

Only what the page marks is changed: names, ports and the certificate. Callers come from 127.0.0.2,
so that who is believed can be seen: 127.0.0.1 is the proxy. Source: reliability 8, contact 10
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

import product
from peers import WAIT_S, Visitor, chat, receive
from trunkline.cli.cert import make_certificate

pytestmark = pytest.mark.real

SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "nginx.conf"
STRANGER = "127.0.0.2"
FORGED = "203.0.113.9"
CONFIG = """\
[server]
tls = "terminated-by-proxy"
trusted_proxies = ["127.0.0.1"]
allowed_hosts = ["chat.example.org"]

[lines.blog]
dialect = "contact"

[lines.core]
dialect = "maim"
path = "/ws"

[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""
UNTRUSTING = CONFIG.replace('trusted_proxies = ["127.0.0.1"]\n', "")
APPENDED = "$proxy_add_x_forwarded_for"  # as guide 003 prints it


@dataclass
class Front:
    """An nginx, the product behind it, and how to call it as a stranger."""

    site: product.Product
    port: int
    tls: ssl.SSLContext

    def ask(
        self, path: str, body: Any = None, method: str = "", **headers: str
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Call over HTTPS from 127.0.0.2; return status, body and headers."""
        connection = self._connection()
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(
                method or ("GET" if body is None else "POST"), path, data,
                {"Host": "chat.example.org", "Content-Type": "application/json"}
                | {name.replace("_", "-"): value for name, value in headers.items()},
            )  # fmt: skip
            response = connection.getresponse()
            text = response.read()
            is_json = "json" in response.headers.get("content-type", "")
            return response.status, json.loads(text) if is_json else text.decode(), response.headers
        finally:
            connection.close()

    def api(self, path: str, body: Any = None, method: str = "") -> Any:
        """Call the API with the token."""
        status, got, _ = self.ask(path, body, method, Authorization=f"Bearer {self.site.token}")
        assert status < 300, (status, got)
        return got

    @contextlib.contextmanager
    def events(self) -> Iterator[http.client.HTTPResponse]:
        """The event stream, open."""
        connection = self._connection()
        try:
            connection.request(
                "GET", "/api/v1/events",
                headers={"Host": "chat.example.org", "Authorization": f"Bearer {self.site.token}"},
            )  # fmt: skip
            response = connection.getresponse()
            assert response.status == 200
            yield response
        finally:
            connection.close()

    def dial(self, path: str, **headers: str) -> connect:
        """A WebSocket through nginx, from 127.0.0.2, over TLS."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return connect(
            f"wss://localhost:{self.port}{path}", ssl=self.tls, additional_headers=sent,
            local_addr=(STRANGER, 0), compression=None, proxy=None, open_timeout=WAIT_S,
        )  # fmt: skip

    def peers(self) -> list[str]:
        """Who sits on the contact line, as the product sees it."""
        return [seat["peer"] for seat in self.api("/api/v1/lines/blog")["seats"]]

    def _connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "localhost", self.port, timeout=WAIT_S, context=self.tls, source_address=(STRANGER, 0)
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _replaced(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, f"the sample has no {old!r} any more"
        text = text.replace(old, new)
    return text


def _write(folder: Path, behind: int, plain: int, tls: int, forwarded: str) -> Path:
    """Write a whole configuration around the sample, with its marked lines changed."""
    pair = make_certificate(folder)
    sample = _replaced(
        SAMPLE.read_text("utf-8"),
        ("server 127.0.0.1:8080;", f"server 127.0.0.1:{behind};"),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{tls} ssl;"),
        ("    listen [::]:80;\n", ""),
        ("    listen [::]:443 ssl;\n", ""),
        ("server_name chat.example.org;", "server_name chat.example.org localhost;"),
        ("/etc/nginx/chat.crt", pair.cert),
        ("/etc/nginx/chat.key", pair.key),
        ("X-Forwarded-For $remote_addr;", f"X-Forwarded-For {forwarded};"),
    )
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.getuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {folder / 'pid'};\n"
        "error_log stderr notice;\nevents {}\n"
        f"http {{\naccess_log off;\n{temporary}{sample}}}\n",
        "utf-8",
    )
    return path


@contextlib.contextmanager
def _running(nginx: str, config: Path) -> Iterator[None]:
    child = subprocess.Popen(
        [nginx, "-p", str(config.parent), "-c", str(config)], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stderr is not None
    said = ""
    try:
        for line in child.stderr:
            said += line
            if "start worker process" in line:
                break
        else:
            raise AssertionError(f"nginx did not start:\n{said}")
        yield
    finally:
        child.terminate()
        child.communicate(timeout=10)


@contextlib.contextmanager
def _front(folder: Path, nginx: str, text: str, forwarded: str = "$remote_addr") -> Iterator[Front]:
    ports = (_free_port(), _free_port())
    with product.serving(folder / "data", text) as site:
        (folder / "front").mkdir()
        config = _write(folder / "front", site.port, *ports, forwarded)
        tls = ssl.create_default_context(cafile=str(folder / "front" / "server.crt"))
        with _running(nginx, config):
            yield Front(site, ports[1], tls)


@pytest.fixture(scope="module", params=["$remote_addr", APPENDED], ids=["overwrite", "append"])
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nginx: str
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("trusting")
    with _front(folder, nginx, CONFIG, request.param) as made:
        yield made


@pytest.mark.parametrize("path", ["/contact", "/websocket/", "/websocket/contact"])
async def test_visitors_chat_over_wss(front: Front, path: str) -> None:
    async with front.dial(path) as socket:
        visitor = Visitor(socket, await receive(socket))
        assert visitor.greeting["type"] == "connection_established"
        await visitor.send(chat("你好"))
        [answer] = await visitor.until("chat_message")
        assert answer["message"] == "收到：你好"
        assert front.peers() == [STRANGER]


async def test_rest_and_the_event_stream_work(front: Front) -> None:
    status, problem, _ = front.ask("/api/v1/lines")
    assert (status, problem["code"]) == (401, "unauthorized")
    names = [line["name"] for line in front.api("/api/v1/lines")["lines"]]
    assert names == ["blog", "core"]
    with front.events() as stream:
        async with front.dial("/contact") as socket:
            visitor = Visitor(socket, await receive(socket))
            await visitor.send(chat("through a buffer?"))
            await visitor.until("chat_message")
            # The stream goes on: what is read here did not wait for its end.
            seen = next(line for line in stream if b"through a buffer?" in line)
        assert seen.startswith(b"data:")
    status, page, _ = front.ask("/demo")
    assert status == 200
    assert "<html" in page
    assert front.ask("/metrics")[0] == 404  # not forwarded by the sample


async def test_a_forged_address_is_not_believed(front: Front) -> None:
    async with front.dial("/contact", X_Forwarded_For=FORGED, X_Real_IP=FORGED) as socket:
        await receive(socket)
        assert front.peers() == [STRANGER]
    # Nor does anybody become this machine by saying so: the core has no token.
    for claim in ("127.0.0.1", "::1", f"{FORGED}, 127.0.0.1"):
        with pytest.raises(InvalidStatus) as refused:
            async with front.dial("/ws", platform="qq", X_Forwarded_For=claim):
                pass
        assert refused.value.response.status_code == 403
        assert b"open to this machine only" in refused.value.response.body
    # Wrong tokens count for the address that nginx saw, whatever is written beside it.
    for nth in range(11):
        status, *_ = front.ask(
            "/api/v1/lines", Authorization="Bearer wrong", X_Forwarded_For=f"203.0.113.{nth}",
            Forwarded=f"for=203.0.113.{nth}",
        )  # fmt: skip
    assert status == 429
    assert front.site.get("/api/v1/lines")["lines"]  # others are not locked out


async def test_without_trusted_proxies_it_is_refused_with_a_sentence(
    tmp_path: Path, nginx: str
) -> None:
    with _front(tmp_path, nginx, UNTRUSTING) as front:
        for path in ("/api/v1/lines", "/readyz", "/livez"):
            status, problem, _ = front.ask(path, Authorization=f"Bearer {front.site.token}")
            assert (status, problem["code"]) == (403, "forwarded"), path
            assert "trusted_proxies" in problem["fix"]
        with pytest.raises(InvalidStatus) as refused:
            async with front.dial("/ws", platform="qq"):
                pass
        assert refused.value.response.status_code == 403
        assert b"trusted_proxies" in refused.value.response.body
        # Visitors and the demo page: the header is ignored.
        status, page, _ = front.ask("/demo", X_Forwarded_For=FORGED)
        assert status == 200
        assert "<html" in page
        async with front.dial("/contact", X_Forwarded_For=FORGED) as socket:
            visitor = Visitor(socket, await receive(socket))
            await visitor.send(chat("hi"))
            [answer] = await visitor.until("chat_message")
            assert answer["message"] == "收到：hi"
            seats = front.site.get("/api/v1/lines/blog")["seats"]
            assert [seat["peer"] for seat in seats] == ["127.0.0.1"]


def test_the_page_and_the_sample_agree() -> None:
    """Every directive that the page explains is in the sample, in both languages."""
    sample = SAMPLE.read_text("utf-8")
    for name in ("nginx.md", "nginx.zh-CN.md"):
        page = SAMPLE.with_name(name).read_text("utf-8")
        rows = re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
        told = [each for row in rows for each in re.findall(r"`([^`]+)`", row)]
        assert len(told) >= 8
        for each in told:
            assert all(word.rstrip(";") in sample for word in each.split()), each
