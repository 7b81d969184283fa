"""What `connect` and `listen` are given: checked as the configuration is, nothing opened."""

from __future__ import annotations

from pathlib import Path

import pytest

import trunkline
from boss_schema import with_two_more
from trunkline.embed.settings import read_settings, require_safe
from trunkline.errors import ConfigError, UnsafeConfig

URL = "ws://127.0.0.1:1/ws"
STRONG = "3f9c1e7ab2d84506917fe0c2d5ab6634"


@pytest.fixture(autouse=True)
def english(monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C")


def test_roles_and_bounds_come_from_the_direction():
    maim = read_settings("maim", "dial", {"url": URL}).options
    assert (maim.role, maim.link, maim.max_failures) == ("adapter", "dial", 5)
    contact = read_settings("contact", "dial", {"url": URL}).options
    assert (contact.role, contact.max_failures) == ("visitor", 0)
    site = read_settings("contact", "listen", {}).options
    assert (site.role, site.bind) == ("site", ("127.0.0.1:8080",))
    assert read_settings("maim", "listen", {}).options.role == "core"
    core = read_settings("maim", "dial", {"role": "core", "url": URL}).options
    assert core.link == "dial"
    assert read_settings("maim", "dial", {"url": URL, "max_failures": 0}).options.max_failures == 0
    shop = read_settings("xianyu", "dial", {"cookies": "unb=1; cookie2=x"}).options
    assert (shop.role, shop.max_failures, shop.probe_s) == ("account", 5, 0)
    framework = read_settings("onebot11", "dial", {"url": URL}).options
    assert (framework.role, framework.max_failures) == ("framework", 0)
    assert read_settings("onebot11", "listen", {"access_token": "t"}).options.tokens == ("t",)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: trunkline.connect("maim", ulr=URL), 'did you mean "url"?'),
        (lambda: trunkline.connect("maim"), "url: is required"),
        (lambda: trunkline.connect("mai", url=URL), 'did you mean "maim"?'),
        (lambda: trunkline.connect("contact", url=URL, role="site"), "cannot link"),
        (lambda: trunkline.connect("maim", url=URL, link="listen"), "is what listen() is for"),
        (lambda: trunkline.listen("maim", debounce_s=1), "is for `trunkline serve`"),
        (lambda: trunkline.listen("contact", operator_token="x"), "is for `trunkline serve`"),
        (lambda: trunkline.connect("onebot11", url=URL, carries="x"), "is for `trunkline serve`"),
        (lambda: trunkline.connect("boss", send_resume_image=True), "is for `trunkline serve`"),
        (lambda: trunkline.connect("boss", mode="auto"), "mode: is for `trunkline serve`"),
        (lambda: trunkline.connect("onebot11", url=URL, role="implementation"), "needs self_id"),
        (lambda: trunkline.listen("maim", bind="nowhere"), "is not HOST:PORT"),
        (lambda: trunkline.listen("maim", queue_events=0), "at least 1"),
    ],
)
def test_what_cannot_work_is_said(make, words):
    with pytest.raises(ConfigError) as caught:
        make()
    assert words in str(caught.value)


def test_every_problem_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        trunkline.connect("maim", pth="/x", tokn="y")
    assert len(caught.value.problems) == 3


def test_strangers_are_kept_out_unless_it_is_meant(tmp_path: Path):
    with pytest.raises(UnsafeConfig, match="token: none is set"):
        trunkline.listen("maim", bind="0.0.0.0:1")
    with pytest.raises(UnsafeConfig, match="tls_cert"):
        trunkline.listen("contact", bind="0.0.0.0:1")
    trunkline.listen("maim", bind="0.0.0.0:1", allow_open=True)
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    for file in (cert, key):
        file.write_text("x")
        file.chmod(0o600)
    require_safe(
        read_settings(
            "maim", "listen",
            {"bind": "0.0.0.0:1", "token": STRONG, "tls_cert": cert, "tls_key": key},
        )
    )  # fmt: skip


def test_the_public_names_are_there_and_cheap():
    for name in trunkline.__all__:
        assert getattr(trunkline, name) is not None


def test_a_schema_that_is_named_is_compiled(tmp_path):
    file = tmp_path / "t.proto"
    file.write_text(with_two_more(), "utf-8")
    given = {"cookies": "a=b", "schema": file}
    assert b"mood" in read_settings("boss", "dial", given).schema
    assert read_settings("boss", "dial", {"cookies": "a=b"}).schema == b""
    file.write_text("message", "utf-8")
    with pytest.raises(ConfigError, match="truncated"):
        read_settings("boss", "dial", given)
