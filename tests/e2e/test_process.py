"""The process as its user meets it: start, refusals with their exit codes, end.

Source: design 3, reliability 6 and 8
"""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

import product
from peers import chat, closing, visiting

PLAIN = """\
[lines.blog]
dialect = "contact"

[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""


async def test_sigterm_closes_visitors_in_order_and_exits_with_zero(tmp_path: Path) -> None:
    with product.serving(tmp_path, PLAIN) as running:
        async with visiting(running.socket("/contact")) as visitor:
            await visitor.send(chat("hi"))
            await visitor.until("chat_message")
            running.terminate()
            assert (await closing(visitor.socket))[0] == 1001
        running.stop()


def test_what_was_said_is_there_after_a_restart(tmp_path: Path) -> None:
    with product.serving(tmp_path, PLAIN) as running:
        running.get("/api/v1/lines")
        token = running.token
    with product.serving(tmp_path, None, "-c", "trunkline.toml") as running:
        assert running.token == token
        assert running.ask("/livez").status == 200


def test_secret_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    with product.serving(tmp_path, PLAIN) as running:
        for name in ("api.token", "trunkline.db", "trunkline.lock", "trunkline.log"):
            mode = stat.S_IMODE((running.folder / name).stat().st_mode)
            assert mode == 0o600, name
        assert running.ask("/api/v1/lines").status == 401
        assert running.ask("/metrics").status == 401


def test_a_second_process_on_the_same_data_exits_73_and_names_the_first(tmp_path: Path) -> None:
    with product.serving(tmp_path, PLAIN) as running:
        second = product.run(tmp_path, "serve", "-c", "trunkline.toml", "--port", "0")
        assert second.code == 73, second.text
        assert str(running.pid) in second.text
        assert "ready " not in second.out
        assert running.ask("/livez").status == 200  # the first one is unharmed


BROKEN = """\
[server]
prot = 8080

[lines.blog]
dialect = "contakt"

[lines.core]
dialect = "maim"
role = "boss"
debounce_s = -1

[[rules]]
name = "bad"
match = "regex"
keywords = ["("]
reply = "x"

[notify]
to = "line:qq/private:10001"
"""


PROBLEMS = (
    "[server] prot", '"port"', "[lines.blog] dialect", '"contact"', "[lines.core] role",
    "[lines.core] debounce_s", "[[rules]] #1", "[notify]", "not built yet",
)  # fmt: skip


@pytest.mark.parametrize("command", ["serve", "check"])
def test_all_problems_of_a_configuration_at_once_exit_2(tmp_path: Path, command: str) -> None:
    (tmp_path / "trunkline.toml").write_text(BROKEN)
    more = ("--port", "0") if command == "serve" else ()
    done = product.run(tmp_path, command, "-c", "trunkline.toml", *more)
    assert done.code == 2, done.text
    for words in PROBLEMS:
        assert words in done.text, f"{words!r} is missing in:\n{done.text}"
    assert "Traceback" not in done.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["trunkline.toml"]  # nothing was opened


UNSAFE = {
    "no token": ('host = "0.0.0.0"\ntls = "terminated-by-proxy"', "", "token"),
    "no TLS": ('host = "0.0.0.0"', 'token = "0123456789abcdef0123456789abcdef"', "tls"),
    "short token": ('host = "0.0.0.0"\ntls = "terminated-by-proxy"', 'token = "short"', "128"),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_bind_exits_78_before_a_socket_opens(tmp_path: Path, name: str) -> None:
    server, line, missing = UNSAFE[name]
    config = f'[server]\n{server}\n\n[lines.core]\ndialect = "maim"\nrole = "core"\n{line}\n'
    (tmp_path / "trunkline.toml").write_text(config)
    done = product.run(tmp_path, "serve", "-c", "trunkline.toml", "--port", "0")
    assert done.code == 78, done.text
    assert missing in done.text.lower()
    assert "core" in done.text or "server" in done.text
    assert "ready " not in done.out


def test_further_sockets_are_named_in_the_ready_line(tmp_path: Path) -> None:
    config = PLAIN + '\n[lines.core]\ndialect = "maim"\nrole = "core"\nbind = "127.0.0.1:0"\n'
    with product.serving(tmp_path, config) as running:
        others = {k: v for k, v in running.ready.items() if k not in ("url", "pid")}
        assert "127.0.0.1:" in json.dumps(others)


def test_a_taken_port_is_named_and_exits_2(tmp_path: Path) -> None:
    with product.serving(tmp_path / "first", PLAIN) as running:
        second = tmp_path / "second"
        second.mkdir()
        (second / "trunkline.toml").write_text(PLAIN)
        done = product.run(second, "serve", "-c", "trunkline.toml", "--port", str(running.port))
        assert done.code == 2, done.text
        assert str(running.port) in done.text
        assert "Traceback" not in done.text
