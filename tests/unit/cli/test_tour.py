"""`serve --guides` before anything listens: which ports, which certificate, which sentences."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

import msgspec
import pytest

from trunkline.cli.cert import make_certificate
from trunkline.cli.main import run
from trunkline.cli.output import CommandFailed
from trunkline.cli.tour import plan
from trunkline.config import check_listening, load_config
from trunkline.configuration.guides import MAIN_PORT, PLACES
from trunkline.dialects.registry import DIALECTS


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return tmp_path


@pytest.fixture
def table():
    """The table on ports of this test's own: the last one is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free: list[int] = []
        for _ in range(len(PLACES) - 2):
            with socket.create_server(("127.0.0.1", 0)) as probe:
                free.append(probe.getsockname()[1])
        ports = [MAIN_PORT, *free, taken.getsockname()[1]]
        yield [
            msgspec.structs.replace(place, port=port)
            for place, port in zip(PLACES, ports, strict=True)
        ]


def test_the_table_is_the_guides_own():
    """Source: guides 2"""
    assert {(place.port, place.paths[0], place.has_tls) for place in PLACES} == {
        (8080, "/contact", False),
        (8000, "/ws/", False),
        (8000, "/ws", False),
        (18000, "/ws", False),
        (8090, "/ws", True),
    }
    assert PLACES[0].paths[1:] == ("/websocket/", "/websocket/contact")
    assert len({place.line for place in PLACES}) == len(PLACES)


def test_what_it_writes_is_good_and_safe(here, tmp_path_factory):
    tour = plan(0, is_plain=False)
    path = tour.write(tmp_path_factory.mktemp("tour"))
    config = load_config(path, os.environ)
    assert config.warnings == ()
    assert check_listening(config) == []
    assert list(config.lines) == [place.line for place in tour.places]
    for place in tour.places:
        options = config.lines[place.line]
        assert options.dedupe is False
        served = tuple(DIALECTS[place.dialect].paths(options))
        assert served[: len(place.paths)] == place.paths
        # OneBot's two halves, below the path that the guide names.
        assert all(path.startswith("/ws/") for path in served[len(place.paths) :])
        expected = str(here / "ssl/server.crt") if place.has_tls else ""
        assert options.tls_cert == expected
    [rule] = config.rules
    assert (rule.match, rule.reply) == ("any", "收到：{send_message}")


def test_a_taken_port_is_named_and_left_out(table):
    tour = plan(0, table, is_plain=False)
    assert [place.line for place in tour.absent] == ["maim-8090"]
    lines = {
        place.line: SimpleNamespace(
            where=tuple(f"ws://127.0.0.1:{place.port}{one}" for one in (*place.paths, "/more"))
        )
        for place in tour.places
    }
    told = "\n".join(tour.tell(lines))
    assert f"port {table[-1].port} is taken: left out" in told
    assert tour.certificate is None, "nothing is left that has TLS"
    for place in tour.places:
        assert f"127.0.0.1:{place.port}{place.paths[0]}  {place.sample_en}" in told
        assert all(f":{place.port}{path}" in told for path in place.paths)
    assert "/more" not in told


def test_the_certificate_that_is_there_is_used(here, table):
    made = make_certificate(here / "ssl")
    before = (here / "ssl/server.crt").read_bytes()
    tour = plan(0, table[:-1], is_plain=False)
    assert tour.certificate is None
    tour = plan(0, [msgspec.structs.replace(table[1], has_tls=True)], is_plain=False)
    assert tour.certificate == (here / made.cert, here / made.key)
    assert tour.is_new is False
    assert (here / "ssl/server.crt").read_bytes() == before


def test_plain_makes_none(here, table):
    tour = plan(0, [msgspec.structs.replace(table[1], has_tls=True)], is_plain=True)
    assert tour.certificate is None
    assert list(here.iterdir()) == []


def test_half_a_pair_is_refused(here, table):
    (here / "ssl").mkdir()
    (here / "ssl/server.crt").write_text("mine")
    with pytest.raises(CommandFailed, match="without the other file") as refused:
        plan(0, [msgspec.structs.replace(table[1], has_tls=True)], is_plain=False)
    assert refused.value.code == 2
    assert "trunkline cert --force" in refused.value.fix


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--guides", "--demo"], "not together with --demo or -c"),
        (["--guides", "-c", "x.toml"], "not together with --demo or -c"),
        (["--plain"], "--plain is only for --guides"),
    ],
)
def test_words_that_do_not_fit_together(capsys, here, words, said):
    assert run(["serve", *words]) == 2
    assert said in capsys.readouterr().err
    assert list(here.iterdir()) == []
