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
from trunkline.clock import SystemClock
from trunkline.config import check_listening, load_config
from trunkline.configuration.guides import MAIN_PORT, PLACES, SELLER
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
    assert list(config.lines) == [*(place.line for place in tour.places), "xianyu", "boss"]
    for place in tour.places:
        options = config.lines[place.line]
        assert options.dedupe is False
        served = tuple(DIALECTS[place.dialect].paths(options))
        assert served[: len(place.paths)] == place.paths
        # OneBot's two halves, below the path that the guide names.
        assert all(path.startswith("/ws/") for path in served[len(place.paths) :])
        expected = str(here / "ssl/server.crt") if place.has_tls else ""
        assert options.tls_cert == expected
    assert config.lines["xianyu"].own_hosts == {"127.0.0.1"}
    assert config.lines["xianyu"].cookie_text.startswith(f"unb={SELLER};")
    job = config.lines["boss"]
    assert (job.own_hosts, job.mode, job.daily) == ({"127.0.0.1"}, "auto", 0)
    assert job.cookie_text.startswith("wt=")
    for name in ("xianyu.cookies", "boss.cookies", "trunkline.toml"):
        assert path.with_name(name).stat().st_mode & 0o777 == 0o600
    [rule] = config.rules
    assert (rule.match, rule.reply) == ("any", "收到：{send_message}")


async def test_the_line_of_guide_001_is_led_to_a_market_of_its_own(here):
    tour = plan(0, PLACES[:1], is_plain=True)
    path = tour.write(here)
    (market, gateway), where = await tour.open_platforms(SystemClock())
    try:
        options = load_config(path, os.environ | where).lines["xianyu"]
        assert options.url == tour.market_url
        assert options.http_url == options.upload_url == "http" + tour.market_url[2:-1]
        lines = {"contact": SimpleNamespace(where=("ws://127.0.0.1:1/contact",))}
        told = "\n".join(tour.tell(lines, "http://127.0.0.1:1"))
        assert "POST http://127.0.0.1:1/xianyu/reply  the reply service" in told
        cookies = told.partition("COOKIES_STR='")[2].partition("'")[0]
        assert f"export WEBSOCKET_URL={tour.market_url} COOKIES_STR='unb=" in told
        assert cookies != options.cookie_text, "who reads is another account than the line"
    finally:
        await market.stop()
        await gateway.stop()


async def test_the_line_of_guide_000_is_led_to_a_gateway_of_its_own(here):
    """Source: guides 2 "the Boss and 闲鱼 emulators with one account each, and a line to each" """
    tour = plan(0, PLACES[:1], is_plain=True)
    path = tour.write(here)
    platforms, where = await tour.open_platforms(SystemClock())
    try:
        options = load_config(path, os.environ | where).lines["boss"]
        assert options.url == tour.job_url == tour.platforms["gateway"]
        assert options.url == "ws" + options.http_url.removeprefix("http") + "/chatws"
        assert options.url != tour.market_url
        lines = {"contact": SimpleNamespace(where=("ws://127.0.0.1:1/contact",))}
        told = "\n".join(tour.tell(lines, "http://127.0.0.1:1"))
        assert f"export BOSS_URL={options.url} BOSS_HTTP_URL={options.http_url}\n" in told
        cookies = told.partition("echo '")[2].partition("'")[0]
        world = platforms[1].world
        mine, reader = (world.gateway.account(it) for it in (options.cookie_text, cookies))
        assert mine
        assert reader
        assert mine.uid != reader.uid
    finally:
        for platform in platforms:
            await platform.stop()


def test_a_taken_port_is_named_and_left_out(table):
    tour = plan(0, table, is_plain=False)
    assert [place.line for place in tour.absent] == ["maim-8090"]
    lines = {
        place.line: SimpleNamespace(
            where=tuple(f"ws://127.0.0.1:{place.port}{one}" for one in (*place.paths, "/more"))
        )
        for place in tour.places
    }
    told = "\n".join(tour.tell(lines, "http://127.0.0.1:1"))
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
