from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

from trunkline.cli.client import Client, Server, Unreachable, find_server
from trunkline.cli.output import CommandFailed, ExitCode

SERVER = Server("http://127.0.0.1:8080", "tl_x")


def folder(tmp_path: Path, config: str = "", url: str = "http://127.0.0.1:4321") -> Path:
    data = tmp_path / "data" if "dir" in config else tmp_path
    data.mkdir(exist_ok=True)
    (data / "trunkline.lock").write_text(json.dumps({"pid": 1, "url": url}))
    (data / "api.token").write_text("tl_secret\n")
    (tmp_path / "trunkline.toml").write_text(config)
    return tmp_path / "trunkline.toml"


@pytest.mark.parametrize("config", ["", '[store]\ndir = "data"\n'])
def test_the_server_is_found_by_the_data_folder(tmp_path: Path, config: str) -> None:
    path = folder(tmp_path, config)
    assert find_server(path, env={}) == Server("http://127.0.0.1:4321", "tl_secret")


@pytest.mark.parametrize("where", [".", "trunkline"])
def test_without_c_it_looks_here_and_in_the_first_starts_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    place = tmp_path / where
    place.mkdir(exist_ok=True)
    folder(place)
    monkeypatch.chdir(tmp_path)
    assert find_server(None, env={}).token == "tl_secret"


def test_an_address_that_is_named_wins(tmp_path: Path) -> None:
    path = folder(tmp_path)
    env = {"TRUNKLINE_URL": "http://127.0.0.1:1", "TRUNKLINE_TOKEN": "tl_env"}
    assert find_server(path, env=env) == Server("http://127.0.0.1:1", "tl_env")
    assert find_server(path, "http://127.0.0.1:2/", env).url == "http://127.0.0.1:2"


def test_a_data_folder_of_the_environment_wins(tmp_path: Path) -> None:
    path = folder(tmp_path, '[store]\ndir = "data"\n')
    path.write_text("store = 5\nserver = []\n")
    assert find_server(path, env={"TRUNKLINE__STORE__DIR": "data"}).token == "tl_secret"


def test_the_servers_own_certificate_is_trusted(tmp_path: Path) -> None:
    path = folder(tmp_path, '[server]\ntls_cert = "server.crt"\n')
    assert find_server(path, env={}).ca_file == tmp_path / "server.crt"


@pytest.mark.parametrize("lock", [None, b"", b"{", b"[]", b'{"pid":1}', b'{"url":5}'])
def test_no_server_is_exit_3(tmp_path: Path, lock: bytes | None) -> None:
    path = folder(tmp_path)
    (tmp_path / "trunkline.lock").unlink()
    if lock is not None:
        (tmp_path / "trunkline.lock").write_bytes(lock)
    with pytest.raises(CommandFailed) as failure:
        find_server(path, env={})
    assert failure.value.code == ExitCode.UNREACHABLE
    assert "trunkline serve" in failure.value.fix


@pytest.mark.parametrize("config", ["[store\n", "a = \x00"])
def test_a_broken_configuration_is_exit_2(tmp_path: Path, config: str) -> None:
    with pytest.raises(CommandFailed) as failure:
        find_server(folder(tmp_path, config), env={})
    assert failure.value.code == ExitCode.USAGE


def test_a_missing_configuration_is_exit_2(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as failure:
        find_server(tmp_path / "no.toml", env={})
    assert failure.value.code == ExitCode.USAGE


def answering(status: int, document: object) -> Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=json.dumps(document).encode())

    return Client(SERVER, httpx2.MockTransport(answer))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, ExitCode.NOT_ALLOWED),
        (403, ExitCode.NOT_ALLOWED),
        (421, ExitCode.NOT_ALLOWED),
        (429, ExitCode.NOT_ALLOWED),
        (404, ExitCode.USAGE),
        (413, ExitCode.USAGE),
        (422, ExitCode.USAGE),
        (409, ExitCode.PROBLEM),
        (503, ExitCode.PROBLEM),
        (507, ExitCode.PROBLEM),
    ],
)
def test_a_no_becomes_an_exit_code_with_the_servers_words(status: int, code: ExitCode) -> None:
    document = {"title": "T", "detail": "D", "fix": "F", "code": "c"}
    for ask in (Client.get, Client.post):
        with answering(status, document) as client, pytest.raises(CommandFailed) as failure:
            ask(client, "/api/v1/lines")
        assert (failure.value.code, failure.value.message) == (code, "T: D")
        assert failure.value.fix == "F"


@pytest.mark.parametrize("content", [b"<html>", b"", b"[1]", b"\xff"])
def test_something_else_that_answers_is_not_taken_for_us(content: bytes) -> None:
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, content=content))
    with Client(SERVER, transport) as client, pytest.raises(CommandFailed) as failure:
        client.get("/api/v1/lines")
    assert failure.value.code == ExitCode.PROBLEM


def test_nobody_there_is_unreachable() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with Client(SERVER, httpx2.MockTransport(refuse)) as client:
        with pytest.raises(Unreachable, match="8080"):
            client.get("/")
        with pytest.raises(Unreachable), client.events("/api/v1/feed"):
            pass


def test_the_token_goes_in_the_header_and_redirects_are_not_followed() -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(307, headers={"location": "http://evil.example/"}, content=b"{}")

    client = Client(SERVER, httpx2.MockTransport(answer))
    with client, pytest.raises(CommandFailed, match="307"):
        client.get("/x", line="blog", empty="", none=None, zero=0)
    (request,) = asked
    assert request.headers["authorization"] == "Bearer tl_x"
    assert str(request.url) == "http://127.0.0.1:8080/x?line=blog"


@pytest.mark.parametrize("url", ["http://[::1", "nonsense", "http://exa mple"])
def test_a_useless_address_is_told(url: str) -> None:
    with pytest.raises((CommandFailed, Unreachable)), Client(Server(url, "")) as client:
        client.get("/x")


def test_events_are_read_as_they_come() -> None:
    stream = (
        b': open\n\nid: m-1\nevent: message\ndata: {"a":1}\n\n: still\n\nevent: end\ndata: {}\n\n'
    )
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, content=stream))
    with Client(SERVER, transport) as client, client.events("/api/v1/feed") as events:
        assert [(event.name, event.data) for event in events] == [
            ("message", {"a": 1}),
            ("end", {}),
        ]


def test_a_stream_that_is_refused_is_a_no() -> None:
    with (
        answering(401, {"title": "T"}) as client,
        pytest.raises(CommandFailed) as failure,
        client.events("/api/v1/feed"),
    ):
        pass
    assert failure.value.code == ExitCode.NOT_ALLOWED
