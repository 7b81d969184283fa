"""Which addresses a configuration opens, and what the lines behind them are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripted import Stand
from trunkline.config import Config, load_config
from trunkline.dialects.registry import DIALECTS
from trunkline.lines.line import Line
from trunkline.process.doors import demo_path_of, open_doors, sockets_of, ws_url
from trunkline.web.server import Socket

TEXT = """\
[server]
port = 0
{server}
[lines.blog]
dialect = "contact"
{blog}
[lines.core]
dialect = "maim"
bind = ["127.0.0.1:1", "[::1]:2"]
{core}
[lines.other]
dialect = "maim"
path = "/other"
bind = "127.0.0.1:1"
{core}
[lines.asleep]
dialect = "maim"
path = "/asleep"
bind = "127.0.0.1:3"
enabled = false

[lines.out]
dialect = "maim"
role = "adapter"
link = "dial"
url = "ws://127.0.0.1:4/ws"
platform = "qq"
"""


def read(folder: Path, **parts: str) -> tuple[Config, dict[str, Line]]:
    path = folder / "trunkline.toml"
    path.write_text(TEXT.format(**{"blog": "", "core": "", "server": ""} | parts), encoding="utf-8")
    config = load_config(path, {})
    around = Stand().line.around
    lines = {
        name: Line(name, DIALECTS[options.dialect], options, around)
        for name, options in config.lines.items()
    }
    return config, lines


def test_each_bind_is_opened_once_and_none_for_who_is_off_or_dials(tmp_path: Path) -> None:
    config, lines = read(tmp_path)
    assert sockets_of(config, lines.values()) == [
        Socket("", "127.0.0.1", 0),
        Socket("127.0.0.1:1", "127.0.0.1", 1),
        Socket("[::1]:2", "::1", 2),
    ]


def test_each_address_has_its_own_certificate_and_key(tmp_path: Path) -> None:
    main = 'tls_cert = "main.pem"\ntls_key = "main.key"'
    core = 'tls_cert = "core.pem"\ntls_key = "core.key"'
    for name in ("main.pem", "main.key", "core.pem", "core.key"):
        (tmp_path / name).touch(0o600)
    config, lines = read(tmp_path, server=main, core=core)
    files = [(at.bind, at.tls_cert, at.tls_key) for at in sockets_of(config, lines.values())]
    assert [(bind, Path(cert).name, Path(key).name) for bind, cert, key in files] == [
        ("", "main.pem", "main.key"),
        ("127.0.0.1:1", "core.pem", "core.key"),
        ("[::1]:2", "core.pem", "core.key"),
    ]


def test_lines_are_told_every_address_and_the_ready_line_the_main_ones(tmp_path: Path) -> None:
    config, lines = read(tmp_path)
    bound = {
        "": "http://127.0.0.1:80",
        "127.0.0.1:1": "https://127.0.0.1:1",
        "[::1]:2": "http://[::1]:2",
    }
    ready = open_doors(config, lines, bound)
    assert lines["core"].where == ("wss://127.0.0.1:1/ws", "ws://[::1]:2/ws")
    assert lines["blog"].where[0] == "ws://127.0.0.1:80/contact"
    assert ready.sockets == {
        "core": "wss://127.0.0.1:1/ws", "other": "wss://127.0.0.1:1/other",
    }  # fmt: skip
    assert (ready.url, ready.demo_url) == ("http://127.0.0.1:80", "http://127.0.0.1:80/demo")
    assert ready.token_file == str(config.folder / "api.token")
    serving = {name for name, line in lines.items() if line.is_serving}
    assert serving == {"blog", "core", "other"}


@pytest.mark.parametrize("blog", ["enabled = false", 'bind = "127.0.0.1:5"'])
def test_no_page_to_try_without_a_contact_line_on_the_main_port(tmp_path: Path, blog: str) -> None:
    config, lines = read(tmp_path, blog=blog)
    assert demo_path_of(lines.values()) == ""
    bound: Any = {bind: f"http://{bind}" for bind in ("127.0.0.1:1", "[::1]:2", "127.0.0.1:5")}
    assert open_doors(config, lines, bound | {"": "http://main"}).demo_url == ""


def test_a_socket_has_the_scheme_of_its_page() -> None:
    assert [ws_url("http://a:1"), ws_url("https://b")] == ["ws://a:1", "wss://b"]
